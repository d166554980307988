"""`scan_iter` and the command: one row for every artifact, from any list, and what went wrong has a name."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest

import modelinspect as mi
from modelinspect import api
from modelinspect.cli.scan import read_locations
from modelinspect.errors import LocationError, UsageError
from modelinspect.reports.scan import Failure
from modelinspect.scanning import Rules, scan_batch, scan_iter
from modelinspect.scanning.engine import OnExecutor
from modelinspect.scanning.workers import Done
from modelinspect.sources.listing import LocalFolder
from tests.scanning.artifacts import make, tiny
from tests.support.cli import run_cli
from tests.support.fixtures import FOLDER


def test_every_location_is_one_row_and_a_failure_has_a_type(tmp_path: Path) -> None:
    make(tmp_path, 3)
    (tmp_path / "text.h5").write_bytes(b"text")
    (tmp_path / "cut.safetensors").write_bytes(tiny(1)[:-2])
    listed = sorted(str(path) for path in tmp_path.rglob("*") if path.is_file())
    rows = {row.location: row for row in scan_iter(locations=[*listed, listed[0], tmp_path / "missing"])}
    assert sorted(rows) == sorted([*listed, str(tmp_path / "missing")])
    assert rows[str(tmp_path / "missing")].error == Failure.LOCATION
    assert rows[str(tmp_path / "text.h5")].error == Failure.UNKNOWN_FORMAT
    assert sum(row.error is None for row in rows.values()) in (3, 4)


def test_processes_threads_and_any_executor_give_the_rows_of_this_process(tmp_path: Path) -> None:
    make(tmp_path / "models", 120)
    (tmp_path / "models" / "unnamed").write_bytes(tiny(7))
    (tmp_path / "models" / "noise").write_bytes(b"noise")
    expected = sorted(scan_iter([tmp_path / "models"], jobs=1), key=lambda row: row.location)
    assert len(expected) == 121
    assert all(row.error is None and row.size == len(tiny(0)) for row in expected)
    for executor in ("processes", "threads"):
        assert (
            sorted(scan_iter([tmp_path / "models"], executor=executor, jobs=2), key=lambda row: row.location)
            == expected
        )
    with ThreadPoolExecutor(2) as threads:
        assert (
            sorted(scan_iter([tmp_path / "models"], executor=threads), key=lambda row: row.location)
            == expected
        )


def test_a_mistake_of_ours_is_a_row_that_says_so(tmp_path: Path) -> None:
    make(tmp_path, 2)
    with mock.patch.object(api, "inspect", side_effect=RuntimeError("impossible")):
        rows = list(scan_iter([tmp_path]))
    assert [row.error for row in rows] == [Failure.BUG, Failure.BUG]
    assert "RuntimeError: impossible" in (rows[0].problem or "")
    with mock.patch.object(api, "inspect", side_effect=RuntimeError("impossible")):
        done = run_cli("scan", tmp_path, "--jobs", "1")
    assert done.code == 3
    assert "report it" in done.err


def test_a_folder_that_cannot_be_listed_is_a_row_and_ends_nothing(tmp_path: Path) -> None:
    make(tmp_path, 201)
    enter = LocalFolder.enter

    def refusing(self: LocalFolder, name: str) -> LocalFolder:
        if name == "0001":
            raise LocationError(f"{name}: cannot be listed: Permission denied")
        return enter(self, name)

    with mock.patch.object(LocalFolder, "enter", refusing):
        rows = list(scan_iter([tmp_path], jobs=1, measure=False))
    assert sorted(Counter(Path(row.location).parent.name for row in rows).items()) == [
        ("0000", 100),
        ("0002", 1),
        (tmp_path.name, 1),
    ]


def test_files_in_memory_are_found_by_threads(tmp_path: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    try:
        for number in range(20):
            memory.pipe_file(f"/scan_iter/{number}", tiny(number))
        assert {row.error for row in scan_iter(["memory://scan_iter"])} == {None}
    finally:
        memory.rm("/scan_iter", recursive=True)


def test_an_executor_has_no_more_batches_than_it_was_promised() -> None:
    asked = 0

    def batches() -> Iterator[tuple[int, ...]]:
        nonlocal asked
        for number in range(30):
            asked += 1
            yield (number,)

    with ThreadPoolExecutor(2) as threads:
        for done, found in enumerate(OnExecutor(threads, _echo, 4).run(batches()), start=1):
            assert isinstance(found, Done)
            assert asked <= done + 4
    assert asked == 30


def _echo(batch: Sequence[int], begin: object) -> Sequence[int]:
    return batch


def test_rules_budgets_and_executors_that_do_not_exist_are_errors_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scan_iter([tmp_path], lint=Rules(select=("nothing",)))
    with pytest.raises(UsageError):
        scan_iter([tmp_path], budget={"size": "20 kB", "growth": {"size": "5 %"}})
    with pytest.raises(UsageError, match="dask://HOST:PORT"):
        scan_iter([tmp_path], executor="ray")
    with pytest.raises(UsageError, match="more than 0"):
        scan_iter([tmp_path], timeout=-1)


def test_a_batch_is_one_table_with_a_row_for_each_location(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    locations = [FOLDER / "mlp" / "wrapped.h5", tmp_path / "missing"]
    table = scan_batch(locations, tensors=True, lint=Rules(select=("wasteful",)))
    good, missing = table.to_pylist()
    report = mi.inspect(locations[0])
    assert (good["size"], good["format"], good["optimizer-state"]) == (
        72012,
        "keras-hdf5",
        report.categories.optimizer_state,
    )
    assert [one["zero_count"] for one in good["tensors_found"]] == [one.zero_count for one in report.tensors]
    assert len(good["lint_found"]) == len(mi.lint(locations[0], select=("wasteful",)).findings)
    assert (missing["error"], missing["size"], missing["tensors_found"]) == ("location", None, [])
    assert scan_batch([]).num_rows == 0


def test_locations_come_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    first, second = make(tmp_path / "models", 2)
    (tmp_path / "lines").write_bytes(os.fsencode(f"{first}\r\n\n{second}"))
    (tmp_path / "nulls").write_bytes(os.fsencode(f"{first}\0{second}\0"))
    for options in (["lines"], ["nulls", "--null"]):
        done = run_cli("scan", "--files-from", *options, "--jobs", "1", "--json", cwd=tmp_path)
        assert [row["location"] for row in json.loads(done.out)["artifacts"]] == [first, second]
    command = [sys.executable, "-m", "modelinspect", "scan", "--files-from", "-", "--jobs", "1", "--json"]
    piped = subprocess.run(
        command,
        input=os.fsencode(first),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert [row["location"] for row in json.loads(piped.stdout)["artifacts"]] == [first]


def test_a_list_is_read_as_it_is_needed() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            buffer[:] = b"a\n" * (len(buffer) // 2)
            return len(buffer)

    with mock.patch.object(
        sys, "stdin", mock.Mock(buffer=io.BufferedReader(Endless()), isatty=lambda: False)
    ):
        locations = read_locations("-")
        assert [next(locations) for _ in range(100_000)] == ["a"] * 100_000


def test_lint_and_check_end_with_1_for_what_they_find_and_with_3_for_what_they_could_not_look_at(
    tmp_path: Path,
) -> None:
    model = FOLDER / "mlp" / "wrapped.h5"
    (tmp_path / "budget.toml").write_text('size = "20 kB"\n')
    (tmp_path / "large.toml").write_text('size = "1 MB"\n')
    quiet = ("--jobs", "1", "--json")
    found = run_cli("scan", model, "--lint", "--select", "wasteful", *quiet, cwd=tmp_path)
    assert found.code == 1
    assert {one["rule"] for one in json.loads(found.out)["artifacts"][0]["lint"]} == {
        one.rule for one in mi.lint(model, select=("wasteful",)).findings
    }
    assert run_cli("scan", model, "--lint", "--fail-on", "error", *quiet, cwd=tmp_path).code == 0
    above = run_cli("scan", model, "--check", "--jobs", "1", cwd=tmp_path)
    assert above.code == 1
    assert "0 of 1 model within the budget" in above.text
    assert run_cli("scan", model, "--check", "--budget", "large.toml", *quiet, cwd=tmp_path).code == 0
    (tmp_path / "list").write_text("missing\n")
    assert run_cli("scan", "--files-from", "list", *quiet, cwd=tmp_path).code == 0
    assert run_cli("scan", "--files-from", "list", "--lint", *quiet, cwd=tmp_path).code == 3
    into = run_cli(
        "scan",
        model,
        "--into",
        "dataset",
        "--lint",
        "--check",
        "--budget",
        "large.toml",
        "--jobs",
        "1",
        cwd=tmp_path,
    )
    assert into.code == 1
    assert "1 model inspected, 0 unchanged" in into.text
    again = run_cli(
        "scan",
        model,
        "--into",
        "dataset",
        "--resume",
        "--lint",
        "--check",
        "--budget",
        "large.toml",
        *quiet,
        cwd=tmp_path,
    )
    assert (again.code, json.loads(again.out)["unchanged"]) == (1, 1)


@pytest.mark.parametrize(
    "options",
    [
        ("--resume",),
        ("--part-rows", "3"),
        ("--null",),
        ("--select", "unsafe"),
        ("--fail-on", "error"),
        ("--budget", "b.toml"),
        ("--into", "d", "--pages", "p", "--format", "html", "-o", "x.html"),
        ("--memory", "much"),
        ("--executor", "gpu"),
    ],
)
def test_an_option_that_needs_another_or_makes_no_sense_is_an_error_of_usage(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    assert run_cli("scan", FOLDER / "mlp", *options, cwd=tmp_path).code == 2


def test_a_model_on_standard_input_is_a_row_too() -> None:
    command = [sys.executable, "-m", "modelinspect", "scan", "-", "--json"]
    data = (FOLDER / "mlp" / "stripped.h5").read_bytes()
    done = subprocess.run(
        command,
        input=data,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert [row["size"] for row in json.loads(done.stdout)["artifacts"]] == [len(data)]


def test_a_scan_of_nothing_is_an_error_of_usage() -> None:
    assert run_cli("scan").code == 2
