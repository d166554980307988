"""What compressing tells of the size that did not change: real gzip, real zeros, and when it is done
unasked.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from modelinspect import api
from modelinspect.analyses.explain import compressed as module
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_names, fixture_path

DENSE, PRUNED = "pruned_mlp/original/no-optimizer.h5", "pruned_mlp/stripped/no-optimizer.h5"


def gzipped(path: Path, level: int = 9) -> int:
    """Return the size of the file that ``gzip -9 FILE`` makes by Python's own module."""
    held = io.BytesIO()
    with gzip.GzipFile(path.name, "wb", level, held, mtime=0) as out:
        out.write(path.read_bytes())
    return len(held.getvalue())


def tarred(folder: Path) -> int:
    """Return what gzip makes of a folder's files as GNU tar writes them, which `tarfile` does too."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
                info.size, info.mode = path.stat().st_size, 0o644
                archive.addfile(info, io.BytesIO(path.read_bytes()))
    return len(gzip.compress(held.getvalue(), 9, mtime=0))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DENSE, PRUNED),
        ("pruned_mlp/original/float32.tflite", "pruned_mlp/stripped/float32.tflite"),
        ("pruned_mlp/original/dynamic-int8.tflite", "pruned_mlp/stripped/dynamic-int8.tflite"),
    ],
)
def test_both_sides_take_what_gzip_makes_of_them(before: str, after: str) -> None:
    found = api.explain(fixture_path(before), fixture_path(after)).compressed
    assert found is not None
    assert (found.compressor, found.before, found.after) == (
        "gzip-9",
        gzipped(fixture_path(before)),
        gzipped(fixture_path(after)),
    )


@pytest.mark.parametrize(
    "name", ["pruned_mlp/stripped/saved-model", "pruned_mlp/stripped/saved-model-no-traces"]
)
def test_a_folder_takes_what_gzip_makes_of_its_files(name: str) -> None:
    found = api.explain(fixture_path(name)).compressed
    assert found is not None
    assert found.before is None
    assert found.after == tarred(fixture_path(name))


def test_zeros_take_what_the_compressed_kernels_have_more_than_what_is_not_zero() -> None:
    with h5py.File(fixture_path(PRUNED)) as file:
        kernels = [
            file[f"model_weights/{layer}/{layer}/kernel:0"][()].reshape(-1) for layer in ("dense", "dense_1")
        ]
    everything = np.concatenate(kernels)
    rest = everything[everything != 0]
    found = api.explain(fixture_path(PRUNED)).compressed
    assert found is not None
    assert found.zeros == 4 * int((everything == 0).sum()) == 8_192
    expected = len(gzip.compress(everything.tobytes(), 9)) - len(gzip.compress(rest.tobytes(), 9))
    assert found.zeros_compressed == expected


def test_the_zeros_of_integers_are_their_zero_points() -> None:
    found = api.explain(fixture_path("pruned_mlp/stripped/dynamic-int8.tflite")).compressed
    assert found is not None
    assert found.zeros == 2_048
    assert found.zeros_compressed is not None
    assert (
        232 < found.zeros_compressed < 2_048
    )  # their positions need as many bytes at least, and they take one each


def test_the_first_sentences_say_why_what_the_zeros_are_worth_and_what_shrinks_the_file() -> None:
    report = api.explain(fixture_path(DENSE), fixture_path(PRUNED))
    why, zeros, smaller = report.summary
    assert why.startswith(
        "Same size, because a zero is stored like any other number: 0.0 % of the kernel elements were zero"
        " before, 80.0 %"
    )
    assert report.compressed is not None
    sizes = (
        f"the zeros take {report.compressed.zeros_compressed:,} bytes and the whole file"
        f" {report.compressed.after:,}"
    )
    assert zeros.startswith(
        "80.0 % of the kernel elements are zero, stored in 4 bytes each: 8,192 bytes. Compressed with gzip"
        f" -9, {sizes}"
    )
    planned = {entry.option: entry for entry in api.plan(fixture_path(PRUNED)).options}
    assert {entry.option for entry in report.options} == {"hdf5-gzip", "tflite-sparse", "tflite-float32"}
    assert all(entry.size == planned[entry.option].size for entry in report.options)
    assert f"which Keras still loads: {planned['hdf5-gzip'].size:,} bytes" in smaller
    assert f"sparse TFLite: {planned['tflite-sparse'].size:,} bytes" in smaller
    assert ("an estimate within 1 %" in smaller) is (planned["tflite-sparse"].basis == "estimate")


def test_the_sparse_size_that_is_told_is_that_of_the_converted_file() -> None:
    report = api.explain(
        fixture_path("pruned_mlp/original/float32.tflite"), fixture_path("pruned_mlp/stripped/float32.tflite")
    )
    (sparse,) = [entry for entry in report.options if entry.option == "tflite-sparse"]
    real = fixture_path("pruned_mlp/stripped/float32-sparse.tflite").stat().st_size
    assert abs(sparse.size - real) <= (sparse.error or 0) * real


@pytest.mark.parametrize(
    "name", ["checkpoint/ckpt-1", "saved-model-no-traces", "float32.tflite", "no-optimizer.h5"]
)
def test_the_size_that_stays_is_explained_in_every_format(name: str, tmp_path: Path) -> None:
    """The pruned artifact, and the same with numbers where its kernels have zeros."""
    after = fixture_path(f"pruned_mlp/stripped/{name}")
    root = after if after.exists() else after.parent
    shutil.copytree(root, tmp_path / root.name) if root.is_dir() else shutil.copy(root, tmp_path)
    before = tmp_path / after.relative_to(root.parent)
    artifact, random = api.open(before), np.random.default_rng(1)
    for tensor in artifact.tensors:
        if len(tensor.shape) == 2 and tensor.dtype.name == "float32":
            (extent,) = tensor.extents
            folder = before if before.is_dir() else before.parent
            with (folder / extent.member).open("r+b") as file:
                file.seek(extent.span.offset)
                file.write(random.normal(size=tensor.shape).astype("<f4").tobytes())
    report = api.explain(before, after)
    assert (report.delta, report.causes) == (0, ())
    assert report.summary[0].startswith(
        "Same size, because a zero is stored like any other number: 0.0 % of the kernel elements"
    )
    assert report.summary[1].startswith(
        "80.0 % of the kernel elements are zero, stored in 4 bytes each: 8,192 bytes. Compressed with gzip"
        " -9, the zeros take"
    )
    assert report.compressed is not None
    assert report.compressed.before is not None
    assert report.compressed.before - report.compressed.after > 5_000


def test_equal_weights_are_said_to_compress_equally(tmp_path: Path) -> None:
    for name in ("one.tflite", "other.tflite"):
        (tmp_path / name).write_bytes(fixture_path("pruned_mlp/original/float32.tflite").read_bytes())
    report = api.explain(tmp_path / "one.tflite", tmp_path / "other.tflite")
    assert report.summary[0].startswith(
        "Same size, because the weights are the same: all 4 tensors have equal elements."
    )


def test_other_values_of_the_same_shapes_are_said_to_take_the_same_bytes(tmp_path: Path) -> None:
    for name, value in (("one.weights.h5", 1), ("two.weights.h5", 2)):
        with h5py.File(tmp_path / name, "w") as file:
            file["layers/dense/vars/0"] = np.random.default_rng(value).normal(size=(64, 64)).astype("f4")
    report = api.explain(tmp_path / "one.weights.h5", tmp_path / "two.weights.h5")
    assert report.delta == 0
    assert (
        "the space they take does not depend on their values (0 of 1 tensor have equal elements)"
        in report.summary[0]
    )
    assert report.summary[1].startswith("Compressed with gzip -9, it takes ")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "pruned_mlp/original/no-optimizer.h5",
            "pruned_mlp/original/model.h5",
            (
                "31,696 bytes larger (2.2 times as large), mainly because of optimizer-state (+32,723). The"
                " weights take"
            ),
        ),
        (
            "pruned_mlp/original/model.h5",
            "pruned_mlp/original/no-optimizer.h5",
            "31,696 bytes smaller (-55.3 %), mainly because of optimizer-state (-32,723). The weights take",
        ),
        (
            "tflite/grew_before.tflite",
            "tflite/grew_after.tflite",
            "20,328 bytes larger (+86.6 %), mainly because of sparse-encoding (+19,323).",
        ),
    ],
)
def test_a_difference_is_told_by_its_main_causes(before: str, after: str, said: str) -> None:
    assert api.explain(fixture_path(before), fixture_path(after)).summary[0].startswith(said)


@pytest.mark.parametrize(("asked", "done"), [(None, True), (False, False), (True, True)])
def test_compressing_can_be_forbidden_and_forced(asked: bool | None, done: bool) -> None:
    report = api.explain(fixture_path(DENSE), fixture_path(PRUNED), compressors=asked)
    assert (report.compressed is not None) is bool(report.options) is done
    assert report.summary[1].startswith(
        "80.0 % of the kernel elements are zero, stored in 4 bytes each: 8,192 bytes"
    )


def test_nothing_is_compressed_unasked_where_it_answers_nothing() -> None:
    pair = fixture_path("pruned_mlp/original/no-optimizer.h5"), fixture_path("pruned_mlp/original/model.h5")
    assert api.explain(*pair).compressed is None
    forced = api.explain(*pair, compressors=True).compressed
    assert forced is not None
    assert forced.zeros is forced.zeros_compressed is None
    assert forced.after == gzipped(pair[1])


def test_nothing_is_compressed_unasked_without_measuring() -> None:
    report = api.explain(fixture_path(DENSE), fixture_path(PRUNED), measure=False)
    assert report.compressed is None
    assert report.options == ()
    assert "Their contents were not compared" in report.summary[0]
    forced = api.explain(
        fixture_path(DENSE), fixture_path(PRUNED), measure=False, compressors=True
    ).compressed
    assert forced is not None
    assert forced.before == gzipped(fixture_path(DENSE))


def test_large_artifacts_are_compressed_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPRESSED_UNASKED", 10_000)
    report = api.explain(fixture_path(DENSE), fixture_path(PRUNED))
    assert (report.compressed, report.options) == (None, ())
    assert "--compressors" in report.summary[1]
    asked = api.explain(fixture_path(DENSE), fixture_path(PRUNED), compressors=True)
    assert asked.compressed is not None
    assert "--compressors" not in " ".join(asked.summary)


def test_larger_artifacts_are_compressed_quickly_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEST_UNASKED", 10_000)
    report = api.explain(fixture_path(DENSE), fixture_path(PRUNED))
    assert report.compressed is not None
    assert (report.compressed.compressor, report.compressed.after) == (
        "gzip-6",
        gzipped(fixture_path(PRUNED), 6),
    )
    assert "Compressed with gzip, the zeros take " in report.summary[1]
    assert {entry.option for entry in report.options} == {"tflite-sparse", "tflite-float32"}
    asked = api.explain(fixture_path(DENSE), fixture_path(PRUNED), compressors=True)
    assert asked.compressed is not None
    assert asked.compressed.compressor == "gzip-9"


def test_the_sizes_are_those_of_the_plan() -> None:
    found = api.explain(fixture_path(PRUNED)).compressed
    assert found is not None
    assert found.after == next(
        option.size for option in api.plan(fixture_path(PRUNED)).options if option.option == "gzip-9"
    )


def test_progress_is_told_up_to_all_bytes_of_both_sides() -> None:
    told: list[tuple[int, int]] = []
    api.explain(
        fixture_path(DENSE),
        fixture_path(PRUNED),
        compressors=True,
        progress=lambda done, total: told.append((done, total)),
    )
    size = 2 * fixture_path(PRUNED).stat().st_size
    assert told[-1] == (size, size)


@pytest.mark.parametrize(("flag", "done"), [("--compressors", True), ("--no-compressors", False)])
def test_the_command_line_has_the_option_and_json_the_sizes(flag: str, done: bool) -> None:
    told: dict[str, Any] = json.loads(
        run_cli("explain", fixture_path(DENSE), fixture_path(PRUNED), flag, "--format", "json").text
    )
    assert (told["compressed"] is not None) is done
    assert bool(told["options"]) is done
    assert told["summary"]


def test_a_bare_constant_of_zeros_is_not_spread_out_to_be_compressed() -> None:
    report = api.explain(fixture_path("graph_def/frozen.pb"), compressors=True)
    assert report.compressed is not None


@pytest.mark.parametrize("name", fixture_names())
def test_every_fixture_is_compressed_where_it_is_asked_for(name: str) -> None:
    report = api.explain(fixture_path(name), compressors=True)
    found = report.compressed
    assert found is not None
    assert found.after > 0
    assert (found.zeros is None) is (found.zeros_compressed is None)
    if found.zeros_compressed is not None:
        assert "dense-zeros" in {finding.rule for finding in report.findings}
        assert f": {found.zeros:,} bytes" in report.summary[1]
