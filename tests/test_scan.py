"""Scans: every artifact once, each row what `inspect` says, and trouble in one stops none."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelinspect as mi
from modelinspect import api
from modelinspect.errors import LocationError
from modelinspect.scanning import find_artifacts, group, scan
from tests.support.cli import run_cli
from tests.support.fixtures import FOLDER


@pytest.mark.parametrize(
    ("names", "artifacts", "others"),
    [
        (["model.h5", "README.md"], ["model.h5"], 1),
        (
            ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
            ["."],
            0,
        ),
        (["a/saved_model.pb", "a/assets/vocab.h5", "b/model.tflite"], ["a", "b/model.tflite"], 0),
        (
            ["ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.data-00001-of-00002", "checkpoint"],
            ["ckpt-1.index"],
            0,
        ),
        (["web/model.json", "web/group1-shard1of1.bin", "other.bin"], ["web/model.json"], 1),
        (["model.h5.gz", "bundle.zip", "x.data-00000-of-00001"], ["bundle.zip", "model.h5.gz"], 1),
    ],
)
def test_files_that_belong_together_are_one_artifact(
    names: list[str], artifacts: list[str], others: int
) -> None:
    assert group(names) == (artifacts, others)


@settings(deadline=None)
@given(
    st.lists(
        st.text("ab/.", min_size=1, max_size=6).map(lambda text: f"f{text}x".replace("//", "/")),
        unique=True,
        max_size=8,
    )
)
def test_grouping_takes_any_names(names: list[str]) -> None:
    found, others = group(names)
    assert len(found) + others <= len(names)


def test_each_row_says_what_inspect_says(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        report = scan([str(FOLDER / "mlp"), str(FOLDER / "tflite" / "sparse.tflite")], executor)
    assert [Path(row.location).name for row in report.artifacts] == [
        "original.h5",
        "original_no_optimizer.h5",
        "stripped.h5",
        "wrapped.h5",
        "sparse.tflite",
    ]
    for row in report.artifacts:
        one = mi.inspect(row.location)
        assert row.categories == one.categories
        assert row.size == one.artifact.size == Path(row.location).stat().st_size
        assert row.parameters == 2698 or row.format == "tflite"
    assert report.size == sum(row.size or 0 for row in report.artifacts)


def test_trouble_in_one_artifact_is_a_row_and_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3))
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "fine.h5").write_bytes((FOLDER / "mlp" / "stripped.h5").read_bytes())
    report = scan([str(tmp_path)])
    broken, fine = report.artifacts
    assert broken.problem
    assert broken.size is None
    assert fine.problem is None
    assert report.skipped == 1


def test_a_root_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LocationError):
        find_artifacts("/does/not/exist")


def test_a_remote_folder_is_scanned_too() -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.makedirs("/scan_test")
    try:
        memory.put(str(FOLDER / "mlp" / "stripped.h5"), "/scan_test/stripped.h5")
        (row,) = scan(["memory://scan_test"]).artifacts
    finally:
        memory.rm("/scan_test", recursive=True)
    assert row.size == 25656


@pytest.mark.parametrize("form", ["terminal", "json", "markdown", "csv"])
def test_the_command_writes_the_table_in_every_format(form: str) -> None:
    done = run_cli("scan", FOLDER / "mlp", "--format", form, "--jobs", "1")
    assert done.code == 0
    assert "wrapped.h5" in done.text
    assert "optimizer" in done.text


class _Broken(Executor):
    """An executor whose process is killed by one location; all that were handed to it after that fail."""

    def __init__(self, killer: str) -> None:
        self._killer = killer
        self._dead = False

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future = Future()
        self._dead = self._dead or any(task.location.endswith(self._killer) for task in args[0])
        if self._dead:
            future.set_exception(BrokenProcessPool("killed"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_killed_process_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5", "c.h5"):
        shutil.copy(FOLDER / "keras_hdf5" / "clustered.h5", tmp_path / name)
    report = scan([str(tmp_path)], _Broken("b.h5"), again=lambda: _Broken("b.h5"))
    assert [row.problem is None for row in report.artifacts] == [True, False, True]
    assert "killed" in (report.artifacts[1].problem or "")


def _doomed(name: str) -> None:
    """Let this process be killed by the system when it is given a file of a name, as one that runs out of
    memory is.
    """
    inspect = api.inspect

    def killing(location: str, **settings: object) -> object:
        if location.endswith(name):
            os.kill(os.getpid(), signal.SIGKILL)
        return inspect(location, **settings)

    api.inspect = killing


def _workers(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_doomed, initargs=("b.h5",)
    )


def test_a_worker_that_the_system_kills_is_a_row_and_the_others_are_whole(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5", "c.h5", "d.h5"):
        shutil.copy(FOLDER / "keras_hdf5" / "clustered.h5", tmp_path / name)
    with _workers(2) as executor:
        report = scan([str(tmp_path)], executor, again=lambda: _workers(1))
    assert [row.problem is None for row in report.artifacts] == [True, False, True, True]
    assert report.artifacts[0].size == report.artifacts[3].size == (tmp_path / "a.h5").stat().st_size
