"""Nothing is lost, whatever happens while a result is written."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.errors import OutputError, UsageError
from modelinspect.shrinking import writing
from modelinspect.shrinking.zip_files import ParallelDeflate
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path


def model(folder: Path, name: str = "model.h5") -> Path:
    path = folder / name
    path.write_bytes(fixture_path("mlp/original.h5").read_bytes())
    return path


def large(folder: Path) -> Path:
    path = folder / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.random.default_rng(0).normal(size=4_000_000).astype("f4"))
    return path


def test_the_output_cannot_be_the_input_by_any_name(tmp_path: Path) -> None:
    path = model(tmp_path)
    (tmp_path / "link.h5").symlink_to(path)
    os.link(path, tmp_path / "hard.h5")
    before = path.read_bytes()
    for name in ("model.h5", "link.h5", "hard.h5"):
        with pytest.raises(UsageError, match="is the input itself"):
            mi.shrink(path, tmp_path / name, force=True)
    assert path.read_bytes() == before


def test_an_output_that_exists_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path, other = model(tmp_path), tmp_path / "other.h5"
    other.write_bytes(b"precious")
    with pytest.raises(UsageError, match="--force"):
        mi.shrink(path, other)
    assert other.read_bytes() == b"precious"
    assert mi.shrink(path, other, force=True).after is not None
    assert mi.open(other).format == "keras-hdf5"


def test_in_place_keeps_permissions_follows_a_link_and_leaves_other_names_of_the_file_as_they_are(
    tmp_path: Path,
) -> None:
    path = model(tmp_path)
    path.chmod(0o640)
    os.link(path, tmp_path / "hard.h5")
    (tmp_path / "link.h5").symlink_to("model.h5")
    before = path.read_bytes()
    report = mi.shrink(tmp_path / "link.h5", in_place=True)
    assert report.after is not None
    assert path.stat().st_size == report.after.size < len(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link.h5").is_symlink()
    assert (tmp_path / "hard.h5").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hard.h5", "link.h5", "model.h5"]


def test_what_an_earlier_run_left_is_never_overwritten(tmp_path: Path) -> None:
    path = model(tmp_path)
    (tmp_path / "model.h5.orig").write_bytes(b"precious")
    before = path.read_bytes()
    with pytest.raises(OutputError, match="earlier run"):
        mi.shrink(path, in_place=True)
    assert path.read_bytes() == before
    assert (tmp_path / "model.h5.orig").read_bytes() == b"precious"


def test_the_original_returns_where_the_new_file_is_not_what_was_proved(tmp_path: Path) -> None:
    path, staged = model(tmp_path), tmp_path / "staged"
    before = path.read_bytes()
    staged.write_bytes(b"torn")
    with pytest.raises(OutputError, match="in its place again"):
        writing.replace_files({staged: path}, [], {path: "0" * 64})
    assert path.read_bytes() == before


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = large(tmp_path)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)); "
    code = limit + "from modelinspect.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for arguments in (["-o", str(tmp_path / "small.h5")], ["--in-place"]):
        before = path.stat().st_mtime_ns, path.stat().st_size
        done = subprocess.run(
            [sys.executable, "-c", code, "shrink", str(path), *arguments], capture_output=True, text=True
        )
        assert done.returncode == 3, done.stderr
        assert done.stderr.count("\n") == 1
        assert "cannot be written" in done.stderr
        assert (path.stat().st_mtime_ns, path.stat().st_size) == before
        assert [file.name for file in tmp_path.iterdir()] == ["large.h5"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    path = model(tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            mi.shrink(path, in_place=True)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("when", [0.3, 0.6, 1.0, 1.5, 2.2, 3.0])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_at_any_point_loses_nothing(
    stop: signal.Signals, when: float, tmp_path: Path
) -> None:
    path = large(tmp_path)
    before = path.read_bytes()
    arguments = [sys.executable, "-m", "modelinspect", "shrink", str(path), "--in-place"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(when)
    process.send_signal(stop)
    process.wait()
    with h5py.File(io.BytesIO(before)) as old, h5py.File(path) as file:
        np.testing.assert_array_equal(old["x"][()], file["x"][()])
    if stop is signal.SIGTERM and process.returncode != -signal.SIGTERM:
        assert not list(tmp_path.glob(".*.part"))


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "exported"
    shutil.copytree(fixture_path("saved_model_keras3/exported"), folder)
    report = mi.shrink(folder, in_place=True)
    assert report.after is not None
    assert mi.open(folder).size == report.after.size
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]


def test_a_checkpoint_is_named_by_its_prefix(tmp_path: Path) -> None:
    import shutil

    for file in fixture_path("checkpoint/adam").iterdir():
        shutil.copy(file, tmp_path)
    report = mi.shrink(tmp_path / "model", tmp_path / "small")
    assert report.after is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.data-00000-of-00001",
        "model.index",
        "small.data-00000-of-00001",
        "small.index",
    ]
    assert mi.compare_content(tmp_path / "model", tmp_path / "small").same
    assert mi.shrink(tmp_path / "model.index", in_place=True).after is not None
    assert (tmp_path / "model.index").read_bytes() == (tmp_path / "small.index").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_check_and_dry_run_write_nothing_and_check_exits_with_1(tmp_path: Path) -> None:
    path = model(tmp_path)
    assert run_cli("shrink", path, "--check").code == 1
    done = run_cli("shrink", path, "--dry-run", "--format", "json")
    assert done.code == 0
    said = json.loads(done.text)
    assert said["written"] is None
    assert said["after"]["size"] < said["before"]["size"]
    assert [file.name for file in tmp_path.iterdir()] == ["model.h5"]
    mi.shrink(path, in_place=True)
    assert run_cli("shrink", path, "--check").code == 0


def test_several_models_go_into_a_folder_and_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    first, second = model(tmp_path, "a.h5"), model(tmp_path, "b.h5")
    broken = tmp_path / "c.h5"
    broken.write_bytes(b"nothing")
    out = tmp_path / "out"
    out.mkdir()
    done = run_cli("shrink", first, broken, second, "-o", out, "--format", "json")
    assert done.code == 3
    said = json.loads(done.text)
    assert [entry["outcome"] for entry in said["results"]] == ["smaller", "failed", "smaller"]
    assert sorted(file.name for file in out.iterdir()) == ["a.h5", "b.h5"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), ("-o OUT", "--in-place", "--check", "--dry-run")),
        (("--check", "--in-place"), ("--in-place", "--check")),
        (("-o", "x.h5", "--dry-run"), ("--output", "--dry-run")),
    ],
)
def test_exactly_one_place_is_asked_for(
    options: tuple[str, ...], told: tuple[str, ...], tmp_path: Path
) -> None:
    before = model(tmp_path)
    done = run_cli("shrink", before, *options, cwd=tmp_path)
    assert done.code == 2
    assert [option for option in told if option not in done.err] == []
    assert list(tmp_path.iterdir()) == [before]


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        for number in range(3):
            file.create_dataset(
                f"x{number}", data=np.random.default_rng(number).normal(size=10_000_000).astype("f4")
            )
    code = (
        "import resource, sys; import modelinspect as mi; r = mi.shrink(sys.argv[1], sys.argv[2], level=1); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, r.outcome)"
    )
    peaks = []
    for source in (fixture_path("mlp/original.h5"), path):
        done = subprocess.run(
            [sys.executable, "-c", code, source, tmp_path / f"{source.name}.out"],
            check=True,
            capture_output=True,
            text=True,
        )
        peak, outcome = done.stdout.split()
        assert outcome == "smaller"
        peaks.append(int(peak) / 1024)
    assert peaks[1] - peaks[0] < 100


def test_blocks_that_are_deflated_side_by_side_are_one_stream() -> None:
    random = np.random.default_rng(0)
    data = (random.integers(0, 255, 7_000_003) * (random.random(7_000_003) < 0.3)).astype("u1").tobytes()
    made = []
    for piece in (1 << 16, 5_000_000):
        packer = ParallelDeflate(6)
        parts = [packer.compress(data[at : at + piece]) for at in range(0, len(data), piece)]
        made.append(b"".join([*parts, packer.flush()]))
    assert made[0] == made[1]
    assert zlib.decompress(made[0], -zlib.MAX_WBITS) == data
    alone = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    assert len(made[0]) < 1.001 * len(alone.compress(data) + alone.flush())
    empty = ParallelDeflate(9)
    assert zlib.decompress(empty.compress(b"") + empty.flush(), -zlib.MAX_WBITS) == b""
