"""Options are computed for every artifact, sorted, and say what they rest on."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from shlex import quote

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.analyses.plan.base import LATE, Basis, Planning
from modelinspect.analyses.plan.entropy import mask_bits
from modelinspect.analyses.plan.registry import families, option_names
from modelinspect.errors import UsageError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import Compressor, compress_all
from modelinspect.reports.blocks import Lines, Table
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.tables import bundle

CONTRACT = {
    "gzip-9",
    "zstd-19",
    "brotli-11",
    "strip-optimizer",
    "strip-pruning",
    "drop-duplicates",
    "canonical-zeros",
    "hdf5-gzip",
    "hdf5-repack",
    "zip-deflate",
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic-int8",
    "keras-int8",
    "keras-int4",
    "tflite-int8",
    "tflite-int8-sparse",
    "tflite-int16x8-sparse",
    "tflite-int16x8",
    "tflite-sparse",
    "tflite-dynamic-int8-sparse",
    "entropy-bound",
    "hdf5-repack+hdf5-gzip",
    "alias-duplicates",
    "tflite-pack",
    "shrink-members",
    "merge-shards",
    "compact-json",
    "strip-optimizer+hdf5-gzip",
    "strip-optimizer+zip-deflate",
    "strip-optimizer+alias-duplicates",
    "strip-pruning+hdf5-gzip",
    "strip-pruning+zip-deflate",
}


def sizes(name: str, *options: str) -> dict[str, int]:
    return {entry.option: entry.size for entry in mi.plan(fixture_path(name), only=options).options}


def test_the_options_are_those_of_the_contract() -> None:
    assert set(option_names()) == CONTRACT


@pytest.mark.parametrize("name", fixture_names())
def test_every_fixture_has_a_plan_or_is_refused(name: str) -> None:
    try:
        report = mi.plan(fixture_path(name))
    except mi.ModelInspectError:
        return
    assert [entry.size for entry in report.options] == sorted(entry.size for entry in report.options)
    assert len({entry.option for entry in report.options}) == len(report.options)
    for entry in report.options:
        assert entry.delta == entry.size - report.artifact.size
        assert (entry.error is not None) == (entry.basis == Basis.ESTIMATE)
        assert entry.size >= 0
        assert entry.loads_as
        assert entry.command or entry.basis == Basis.BOUND or entry.notes, "a command, or words on what to do"
    assert all(": " in line for line in report.left_out)
    measured = [entry.size for entry in report.options if entry.basis == Basis.MEASURED]
    bounds = [entry.size for entry in report.options if entry.basis == Basis.BOUND]
    assert not measured or all(bound <= min(measured) for bound in bounds), "a bound is a bound"


@pytest.mark.parametrize(
    ("before", "option", "after"),
    [
        ("mlp/original.h5", "strip-optimizer", "mlp/original_no_optimizer.h5"),
        ("mlp/wrapped.h5", "strip-pruning", "mlp/stripped.h5"),
        ("pruned_mlp/original/model.h5", "strip-optimizer", "pruned_mlp/original/no-optimizer.h5"),
        ("pruned_mlp/wrapped/model.h5", "strip-optimizer", "pruned_mlp/wrapped/no-optimizer.h5"),
        ("pruned_mlp/wrapped/model.h5", "strip-pruning", "pruned_mlp/stripped/model.h5"),
        ("pruned_mlp/original/model.weights.h5", "strip-optimizer", "pruned_mlp/stripped/model.weights.h5"),
        ("pruned_mlp/original/model.keras", "strip-optimizer", "pruned_mlp/stripped/model.keras"),
        ("pruned_mlp/wrapped/model.keras", "strip-pruning", "pruned_mlp/stripped/model.keras"),
    ],
)
def test_what_is_left_without_training_state_is_what_keras_saved_to_the_byte(
    before: str, option: str, after: str
) -> None:
    assert sizes(before, option) == {option: fixture_path(after).stat().st_size}


def test_nothing_is_stripped_of_an_artifact_without_training_state() -> None:
    assert sizes("mlp/stripped.h5", "strip-optimizer", "strip-pruning") == {}


def test_a_checkpoint_without_its_slots_is_within_the_stated_error() -> None:
    (entry,) = mi.plan(fixture_path("pruned_mlp/original/checkpoint"), only=["strip-optimizer"]).options
    real = sum(file.stat().st_size for file in fixture_path("pruned_mlp/stripped/checkpoint").iterdir())
    assert entry.error is not None
    assert abs(entry.size - real) <= entry.error * real
    assert entry.error < 0.15


def test_variables_that_keras_3_exports_twice_are_counted_once() -> None:
    """F5: model.export() writes each variable under two names."""
    folder = fixture_path("checkpoint_keras3/export")
    (entry,) = mi.plan(folder, only=["drop-duplicates"]).options
    weights = sum(
        one.stored_size
        for one in mi.tensors(folder).tensors
        if one.role in ("weight", "statistic") and one.stored_size >= 64
    )
    assert 0.5 <= -entry.delta / weights < 0.75
    assert "7 tensors" in entry.notes


def test_the_gzipped_size_without_copies_is_that_of_a_file_without_them(tmp_path: Path) -> None:
    """In HDF5 and in a checkpoint, whose files are written with and without the copy."""
    kernel = np.random.default_rng(3).normal(size=(300, 200)).astype("f4")
    other = np.where(kernel > 0, kernel.T.reshape(kernel.shape), np.float32(0))
    both, one = (
        {"a/kernel": kernel, "b/kernel": other, "c/kernel": kernel},
        {
            "a/kernel": kernel,
            "b/kernel": other,
        },
    )
    for name, weights in (("both", both), ("one", one)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for path, values in weights.items():
                file[path] = values
        folder = tmp_path / name
        folder.mkdir()
        for member, data in bundle(weights).items():
            (folder / member).write_bytes(data)
    for before, after in (("both.h5", "one.h5"), ("both/model", "one/model")):
        (without,) = mi.plan(tmp_path / before, only=["drop-duplicates"]).options
        (alone,) = mi.plan(tmp_path / after, only=["gzip-9"]).options
        assert without.download_size is not None
        assert abs(without.download_size - alone.size) <= 0.03 * alone.size
        assert "predicted, within 3 %" in without.notes


def test_the_floor_is_the_entropy_of_the_mask_and_the_kept_elements() -> None:
    assert mask_bits(8, 4) == 8
    assert mask_bits(8, 0) == mask_bits(8, 8) == 0
    (entry,) = mi.plan(fixture_path("mlp/stripped.h5"), only=["entropy-bound"]).options
    zeros, count = 1024, 1280
    share = zeros / count
    kernel = -count * (share * np.log2(share) + (1 - share) * np.log2(1 - share)) / 8 + (count - zeros) * 4
    assert entry.size == pytest.approx(2 * kernel + 4 * (128 + 10), abs=8)
    assert entry.basis == Basis.BOUND


def test_without_measuring_only_what_the_structure_tells_is_left() -> None:
    report = mi.plan(fixture_path("mlp/original.h5"), measure=False)
    assert [entry.option for entry in report.options] == ["strip-optimizer"]
    assert not report.measured
    assert not report.tensors


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no option 'gzip'"):
        mi.plan(fixture_path("mlp/original.h5"), only=["gzip"])


def test_progress_is_told_up_to_the_last_byte() -> None:
    told: list[tuple[int, int]] = []
    mi.plan(
        fixture_path("mlp/original.h5"),
        only=["gzip-9"],
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (57_352, 57_352)


def test_compressors_take_flat_memory() -> None:
    block = bytes(range(256)) * 4096
    tracemalloc.start()
    found = compress_all((block for _ in range(64)), [Compressor.GZIP, Compressor.ZSTD])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20 < 64 * len(block)
    assert all(0 < size < len(block) for size in found.values())


def test_compressed_sizes_do_not_depend_on_how_the_bytes_are_cut() -> None:
    block = np.random.default_rng(7).integers(0, 4, 100_000, dtype=np.uint8).tobytes()
    pieces = (block[start : start + 777] for start in range(0, len(block), 777))
    assert compress_all(pieces, list(Compressor)) == compress_all([block], list(Compressor))


def test_trouble_while_reading_ends_every_compressor() -> None:
    def broken():
        yield b"x" * 1000
        raise mi.FormatError("cut short", "model.h5", 5)

    with pytest.raises(mi.FormatError):
        compress_all(broken(), list(Compressor))


def test_what_was_computed_before_the_time_was_over_stays_in_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file["kernel"] = np.zeros((5, 1 << 18), np.float32)
    asked: list[list[Compressor]] = []

    def compress(data, compressors, *_):
        asked.append(list(compressors))
        if Compressor.BROTLI in compressors:
            raise UnmeasurableError("the time is over")
        return dict.fromkeys(compressors, sum(map(len, data)) // 2)

    monkeypatch.setattr("modelinspect.analyses.plan.transport.compress_all", compress)
    report = mi.plan(path)
    assert asked == [[Compressor.GZIP], [Compressor.ZSTD], [Compressor.BROTLI]]
    assert {"gzip-9", "zstd-19"} <= {option.option for option in report.options}
    assert "brotli-11: not computed: the time is over" in report.left_out


def test_no_form_is_begun_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    late = iter([False] * 5 + [True] * 100)  # asked before the family, and before each form
    monkeypatch.setattr(Planning, "is_late", property(lambda self: next(late)))
    forms = [name for name in CONTRACT if name.startswith("tflite-") and name != "tflite-pack"]
    report = mi.plan(fixture_path("mlp/original.h5"), only=forms, seconds=1000, downloads=False)
    assert 0 < len(report.options) < len(forms)
    assert any(LATE in text for text in report.left_out)
    left = {name for text in report.left_out for name in text.partition(":")[0].split(", ")}
    assert left.isdisjoint(option.option for option in report.options)


@pytest.mark.parametrize(
    "name",
    ["mlp/wrapped.h5", "tflite/sparse.tflite", "pruned_mlp/wrapped/model.keras", "tflite/dynamic.tflite"],
)
def test_damaged_artifacts_have_a_plan_or_an_error(name: str, tmp_path: Path) -> None:
    data = fixture_path(name).read_bytes()
    random = np.random.default_rng(11)
    cheap = sorted(CONTRACT - {"brotli-11", "zstd-19"})
    for number in range(30):
        broken = bytearray(data)
        if number % 3 == 0:
            del broken[int(random.integers(1, len(data))) :]
        else:
            for place in random.integers(0, min(len(data), 4096) if number % 3 == 1 else len(data), 8):
                broken[place] = int(random.integers(0, 256))
        path = tmp_path / f"{number}{Path(name).suffix}"
        path.write_bytes(broken)
        try:
            mi.plan(path, only=cheap)
        except mi.ModelInspectError:
            continue


def test_a_folder_can_be_planned_from_anywhere(tmp_path: Path) -> None:
    shutil.copytree(fixture_path("saved_model/keras"), tmp_path / "my model")
    report = mi.plan(tmp_path / "my model", only=["gzip-9"])
    assert "'my model'" in report.options[0].command
    assert str(tmp_path) not in report.options[0].command


def test_families_say_which_options_they_compute() -> None:
    assert sum(len(family.options) for family in families()) == len(CONTRACT)


SHRUNK = {
    "hdf5-repack+hdf5-gzip",
    "zip-deflate",
    "alias-duplicates",
    "tflite-pack",
    "shrink-members",
    "merge-shards",
    "compact-json",
}


@pytest.mark.parametrize(
    "name", [*fixture_names()[::6], *fixture_names(under="archives"), *fixture_names(under="tfjs")]
)
def test_a_fixture_is_planned_as_shrink_writes_it(name: str, tmp_path: Path) -> None:
    try:
        report = mi.plan(fixture_path(name), only=sorted(SHRUNK))
        written = mi.shrink(fixture_path(name), tmp_path / Path(name).name)
    except mi.ModelInspectError:
        return
    planned = {entry.option: (entry.size, entry.basis) for entry in report.options}
    if written.after is None:
        assert not planned
    else:
        assert list(planned.values()) == [(written.after.size, "measured")], name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("keras_zip/model.keras", {"zip-deflate": (), "strip-optimizer+zip-deflate": ("training",)}),
        ("pruned_mlp/wrapped/model.keras", {"zip-deflate": (), "strip-pruning+zip-deflate": ("training",)}),
        (
            "saved_model/keras_no_traces",
            {"alias-duplicates": (), "strip-optimizer+alias-duplicates": ("training",)},
        ),
        ("checkpoint/adam", {"alias-duplicates": (), "strip-optimizer+alias-duplicates": ("training",)}),
        (
            "pruned_mlp/original/model.h5",
            {"hdf5-repack+hdf5-gzip": (), "strip-optimizer+hdf5-gzip": ("training",)},
        ),
        ("saved_model_keras3/exported", {"alias-duplicates": ()}),
        ("tflite/int8.tflite", {"tflite-pack": ()}),
        ("safetensors_files/sharded", {"compact-json": ()}),
    ],
)
def test_what_shrink_does_is_planned_to_the_byte(
    name: str, options: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    planned = sizes(name, *options)
    for number, (option, drop) in enumerate(options.items()):
        report = mi.shrink(fixture_path(name), tmp_path / f"{number}{Path(name).suffix}", drop=drop)
        assert report.after is not None
        assert planned[option] == report.after.size


def test_the_first_line_names_the_smallest_that_changes_nothing_and_shrink_as_its_command() -> None:
    path = fixture_path("pruned_mlp/original/model.keras")
    report = mi.plan(path)
    lines = next(block for block in report.blocks() if isinstance(block, Lines)).lines
    assert lines[0].startswith("Smallest that loads as before, with nothing changed: ")
    assert "by zip-deflate: " in lines[0]
    assert f"modelinspect shrink {quote(str(path))} -o small-model.keras" in lines[0]


def test_each_option_is_told_as_soon_as_it_is_known_and_cheap_ones_first() -> None:
    told: list[tuple[str, int, str]] = []
    report = mi.plan(fixture_path("mlp/original.h5"), found=lambda *option: told.append(option))
    assert set(told) >= {(entry.option, entry.size, entry.basis) for entry in report.options} != set()
    order = [option for option, _, _ in told]
    assert order.index("gzip-9") < order.index("hdf5-repack+hdf5-gzip") < order.index("brotli-11")


def test_a_plan_without_time_says_what_it_left_out() -> None:
    report = mi.plan(fixture_path("mlp/original.h5"), seconds=0)
    assert not report.options
    assert any(line.startswith("gzip-9") and "--no-limit" in line for line in report.left_out)
    assert report.late > 10
    lines = next(block for block in report.blocks() if isinstance(block, Lines)).lines
    assert lines == (f"Not computed in the time for the plan: {report.late} options.",)
    assert all(block.columns[0].key != "option" for block in report.blocks() if isinstance(block, Table))
    assert mi.plan(fixture_path("mlp/original.h5"), only=["zip-deflate"]).late == 0
