"""A dataset of a scan: whole parts, nothing lost and nothing twice, whenever the scan ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import duckdb
import pytest

import modelinspect as mi
from modelinspect.errors import MissingExtraError, OutputError, UsageError
from modelinspect.scanning import Rules, scan, tables
from modelinspect.scanning.store import LocalStore, RemoteStore
from modelinspect.scanning.writing import Dataset
from tests.scanning.artifacts import make, tiny
from tests.support.fixtures import FOLDER


def _rows(dataset: Path, table: str = "artifacts") -> Counter[str]:
    """Return how often each location is in a table."""
    found = duckdb.sql(f"select location from '{dataset}/{table}/*.parquet'").fetchall()
    return Counter(location for (location,) in found)


def test_a_scan_that_is_killed_and_resumed_loses_nothing_and_has_nothing_twice(tmp_path: Path) -> None:
    locations = make(tmp_path / "models", 300)
    dataset = tmp_path / "dataset"
    command = [sys.executable, "-m", "modelinspect", "scan", str(tmp_path / "models"), "--into", str(dataset)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*command, "--part-rows", "20", "--no-measure", "--jobs", "1"],
        env=environment,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            while process.poll() is None and len(list(dataset.glob("artifacts/part-*"))) < 4:
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
    finished = _rows(dataset)
    assert len(finished) >= 80
    (dataset / "tensors" / "part-000077-abcdef00.parquet").write_bytes(
        b"left by a scan that was killed before its artifacts were there"
    )
    report = scan([tmp_path / "models"], into=dataset, resume=True, measure=False, jobs=1)
    assert (report.unchanged, report.scanned, report.artifacts, report.failed) == (
        len(finished),
        300 - len(finished),
        300,
        0,
    )
    assert _rows(dataset) == _rows(dataset, "tensors") == Counter(locations)
    assert not [path for path in dataset.rglob("*") if path.is_file() and path.suffix != ".parquet"]


def test_only_what_changed_is_inspected_again_and_its_rows_are_replaced(tmp_path: Path) -> None:
    locations = make(tmp_path / "models", 12)
    dataset = tmp_path / "dataset"
    first = scan([tmp_path / "models"], into=dataset, part_rows=4, jobs=1)
    assert (first.artifacts, first.parts) == (12, 3)
    Path(locations[3]).write_bytes(tiny(0))  # the same size: only the time of modification is another one
    os.utime(locations[3], ns=(1, 1))
    Path(locations[7]).write_bytes(b"damaged")
    again = scan([tmp_path / "models"], into=dataset, resume=True)
    assert (again.scanned, again.unchanged, again.artifacts, again.failed) == (2, 10, 12, 1)
    assert _rows(dataset) == Counter(locations)
    assert _rows(dataset, "tensors") == Counter(set(locations) - {locations[7]})
    (zero,) = duckdb.sql(
        f"select zero_parameters from '{dataset}/artifacts/*.parquet' where location = '{locations[3]}'"
    ).fetchall()
    assert zero == (1,)
    other = scan([tmp_path / "models"], into=dataset, resume=True, measure=False)
    assert (other.scanned, other.unchanged, other.artifacts) == (12, 0, 12)
    assert _rows(dataset) == Counter(locations)


def test_artifacts_of_several_files_are_marked_as_a_whole(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "keras_presets" / "task", tmp_path / "models" / "task")
    shutil.copytree(FOLDER / "mlp", tmp_path / "models" / "mlp")
    dataset = tmp_path / "dataset"
    found = scan([tmp_path / "models"], into=dataset, measure=False)
    named = [tmp_path / "models" / "task", tmp_path / "models" / "mlp" / "wrapped.h5"]
    again = scan(
        locations=named, into=dataset, resume=True, measure=False
    )  # a location and a listing give the same mark
    assert (again.scanned, again.unchanged, again.artifacts) == (0, 2, found.artifacts)
    os.utime(next((tmp_path / "models" / "task").rglob("vocabulary*")), ns=(1, 1))
    assert scan([tmp_path / "models"], into=dataset, resume=True, measure=False).scanned == 1


def test_a_dataset_is_written_where_fsspec_reaches(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    try:
        for number in range(6):
            memory.pipe_file(f"/scan_into/models/{number}.safetensors", tiny(number))
        root, dataset = "memory://scan_into/models", "memory://scan_into/dataset"
        first = scan([root], into=dataset, part_rows=2, jobs=1)
        memory.pipe_file("/scan_into/models/1.safetensors", tiny(0))
        again = scan([root], into=dataset, resume=True, jobs=1)
        parts = memory.ls("/scan_into/dataset/artifacts", detail=False)
    finally:
        memory.rm("/scan_into", recursive=True)
    assert (first.scanned, first.artifacts) == (6, 6)
    assert (again.scanned, again.unchanged, again.artifacts, len(parts)) == (1, 5, 6, again.parts)


def test_revisions_and_parts_that_were_cut_short_are_cleared_up(tmp_path: Path) -> None:
    make(tmp_path / "models", 4)
    dataset = tmp_path / "dataset"
    scan([tmp_path / "models"], into=dataset, part_rows=2, jobs=1)
    first, second = sorted((dataset / "artifacts").iterdir())
    shutil.copy(
        first, first.with_name(first.name.replace(".parquet", ".r1.parquet"))
    )  # it was written again, and its old form not removed
    shutil.copy(
        dataset / "tensors" / first.name, dataset / "tensors" / first.name.replace(".parquet", ".r1.parquet")
    )
    second.write_bytes(second.read_bytes()[:-9])
    (dataset / "artifacts" / ".part-000009-00.parquet.x.part").write_bytes(b"half")
    report = scan([tmp_path / "models"], into=dataset, resume=True)
    assert (report.unchanged, report.scanned, report.artifacts) == (2, 2, 4)
    assert set(_rows(dataset).values()) == set(_rows(dataset, "tensors").values()) == {1}


@pytest.mark.parametrize("boundary", range(16))
def test_a_scan_that_ends_between_any_two_writes_can_go_on(boundary: int, tmp_path: Path) -> None:
    """Ends as by kill -9 before the Nth write or removal, while rows are replaced and parts are written."""
    locations = make(tmp_path / "models", 8)
    dataset = tmp_path / "dataset"
    scan([tmp_path / "models"], into=dataset, part_rows=4, measure=False, jobs=1)
    for changed in (1, 2, 5):
        os.utime(locations[changed], ns=(1, 1))
    Path(locations[6]).unlink()
    (tmp_path / "models" / "new.safetensors").write_bytes(tiny(1))
    steps = 0
    write, remove = LocalStore.write, LocalStore.remove

    def counted(self: LocalStore, name: str, *data: bytes) -> None:
        nonlocal steps
        steps += 1
        if steps > boundary:
            raise KeyboardInterrupt
        write(self, name, *data) if data else remove(self, name)

    with mock.patch.object(LocalStore, "write", counted), mock.patch.object(LocalStore, "remove", counted):
        try:
            scan([tmp_path / "models"], into=dataset, resume=True, part_rows=2, measure=False, jobs=1)
        except KeyboardInterrupt:
            assert steps > boundary
    report = scan([tmp_path / "models"], into=dataset, resume=True, measure=False)
    expected = Counter([*locations, str(tmp_path / "models" / "new.safetensors")])
    assert _rows(dataset) == _rows(dataset, "tensors") == expected
    assert report.artifacts == 9
    assert scan([tmp_path / "models"], into=dataset, resume=True, measure=False).scanned == 0


def test_what_failed_for_a_reason_outside_the_file_is_tried_again(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    missing = tmp_path / "late.safetensors"
    assert scan(locations=[missing], into=dataset).errors == {"location": 1}
    missing.write_bytes(tiny(1))
    report = scan(locations=[missing], into=dataset, resume=True)
    assert (report.scanned, report.errors, report.artifacts) == (1, {}, 1)


def test_findings_and_checks_are_tables_too(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    budget = {"size": "30 kB"}
    report = scan([FOLDER / "mlp"], into=dataset, lint=Rules(select=("wasteful",)), budget=budget)
    lint = mi.lint(FOLDER / "mlp" / "wrapped.h5", select=("wasteful",))
    found = duckdb.sql(
        f"select rule, bytes from '{dataset}/findings/*.parquet' where location like '%wrapped.h5'"
    ).fetchall()
    assert sorted(found) == sorted((finding.rule, finding.bytes) for finding in lint.findings)
    (above,) = duckdb.sql(f"select count(*) from '{dataset}/checks/*.parquet' where not ok").fetchall()
    assert above == (report.exceeded,) == (2,)
    assert report.lint is not None
    assert sum(report.lint.values()) == sum(_rows(dataset, "findings").values())


def test_a_dataset_is_not_added_to_unless_that_is_asked_for(tmp_path: Path) -> None:
    make(tmp_path / "models", 1)
    scan([tmp_path / "models"], into=tmp_path / "dataset")
    with pytest.raises(UsageError, match="--resume"):
        scan([tmp_path / "models"], into=tmp_path / "dataset")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        scan([tmp_path / "models"], into=tmp_path / "file")


def test_without_pyarrow_the_error_names_the_extra(tmp_path: Path) -> None:
    with (
        mock.patch.object(tables, "import_module", side_effect=ImportError),
        pytest.raises(MissingExtraError, match=r"modelinspect\[parquet\]"),
    ):
        Dataset(str(tmp_path / "dataset"))


def test_names_that_are_not_unicode_and_numbers_that_do_not_fit_are_rows_too(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    name = os.fsencode(tmp_path / "models") + b"/odd\xff.safetensors"
    Path(os.fsdecode(name)).write_bytes(tiny(1))
    dataset = tmp_path / "dataset"
    scan([tmp_path / "models"], into=dataset)
    assert scan([tmp_path / "models"], into=dataset, resume=True).unchanged == 1
    assert list(_rows(dataset)) == [f"{tmp_path}/models/odd\\udcff.safetensors"]
    assert tables._number(1 << 70) is None


def test_a_remote_store_reports_trouble_as_an_error_of_the_output() -> None:
    pytest.importorskip("fsspec")
    store = RemoteStore("memory://scan_store")
    with (
        mock.patch.object(type(store._system), "pipe_file", side_effect=RuntimeError("denied")),
        pytest.raises(OutputError, match="denied"),
    ):
        store.write("artifacts/a", b"")
