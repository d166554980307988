"""Scans on a Dask cluster: real schedulers and workers on this machine, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from modelinspect.errors import LocationError, ModelInspectError
from modelinspect.reports.scan import Failure
from modelinspect.scanning import scan, scan_iter
from modelinspect.scanning.engine import OnExecutor
from modelinspect.scanning.workers import Done, Lost
from tests.scanning.artifacts import make
from tests.support.fixtures import FOLDER

distributed = pytest.importorskip(
    "distributed", reason="distributed is not installed: pip install 'modelinspect[dask]'"
)

_QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error", "DASK_DISTRIBUTED__DASHBOARD__LINK": ""}


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A list of processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _start(started: list[subprocess.Popen[bytes]], *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **_QUIET, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=log, stderr=log, cwd=folder, env=environment
        )
    started.append(process)
    return process


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for the file in which a scheduler notes its address."""
    import json

    while True:
        assert process.poll() is None, (file.parent / "log").read_text()
        try:
            return str(json.loads(file.read_text())["address"]).removeprefix("tcp://")
        except (OSError, ValueError, KeyError):
            time.sleep(0.02)


def test_a_worker_that_is_killed_costs_no_row(
    tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    locations = make(tmp_path / "models", 400)
    noted = tmp_path / "scheduler.json"
    scheduler = (
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--no-show",
        "--scheduler-file",
    )
    address = _address(noted, _start(processes, *scheduler, str(noted), folder=tmp_path))
    worker = (
        "distributed.cli.dask_worker",
        f"tcp://{address}",
        "--no-nanny",
        "--no-dashboard",
        "--nthreads",
        "1",
        "--host",
        "127.0.0.1",
    )
    first, _ = (
        _start(processes, *worker, "--local-directory", str(tmp_path / name), folder=tmp_path)
        for name in ("one", "two")
    )
    with distributed.Client(f"tcp://{address}", set_as_default=False) as client:
        client.wait_for_workers(2)
    rows = scan_iter([tmp_path / "models"], executor=f"dask://{address}", measure=False)
    found = [next(rows) for _ in range(50)]
    first.send_signal(signal.SIGKILL)
    found += rows
    assert sorted(row.location for row in found) == locations
    assert all(row.error is None for row in found)


def test_a_local_cluster_gives_the_rows_of_this_process(tmp_path: Path) -> None:
    settings = {
        "n_workers": 1,
        "threads_per_worker": 2,
        "processes": False,
        "dashboard_address": None,
        "host": "127.0.0.1",
        "protocol": "tcp",
    }
    with distributed.LocalCluster(**settings) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        report = scan([FOLDER / "mlp"], executor=address, into=tmp_path / "dataset")
        assert scan([FOLDER / "mlp"], executor=address) == scan([FOLDER / "mlp"])
    assert (report.artifacts, report.failed) == (4, 0)


def test_a_scheduler_that_does_not_answer_is_an_error_with_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelinspect.scanning.distributed._CONNECT_SECONDS", 0.2)
    with pytest.raises(LocationError, match=r"dask://127\.0\.0\.1:1"):
        list(scan_iter([FOLDER / "mlp"], executor="dask://127.0.0.1:1"))


class _KilledError(Exception):
    """What a cluster raises for a batch that ended every worker that had it."""


class _Cluster(Executor):
    """Does what it is given at once; a batch with the task "die" is killed, with "stop" the cluster is
    gone.
    """

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        if "die" in args[0]:
            future.set_exception(_KilledError())
        elif "unknown" in args[0]:
            future.set_exception(ModuleNotFoundError("No module named 'modelinspect'"))
        elif "stop" in args[0]:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def _echo(batch: tuple[str, ...], begin: object) -> tuple[str, ...]:
    return batch


def test_a_batch_that_ends_its_workers_is_tried_one_by_one() -> None:
    on = OnExecutor(_Cluster(), _echo, 2, killed=(_KilledError,))  # type: ignore[arg-type]
    found = list(on.run(iter([("a", "die", "b"), ("c",)])))
    assert sorted(task for one in found if isinstance(one, Done) for task in one.batch) == ["a", "b", "c"]
    assert [(one.task, one.failure) for one in found if isinstance(one, Lost)] == [("die", Failure.KILLED)]


def test_workers_without_modelinspect_are_an_error() -> None:
    with pytest.raises(ModelInspectError, match="No module named"):
        list(OnExecutor(_Cluster(), _echo, 2).run(iter([("unknown",)])))  # type: ignore[arg-type]


def test_a_cluster_that_stops_is_an_error() -> None:
    with pytest.raises(ModelInspectError, match="stopped"):
        list(OnExecutor(_Cluster(), _echo, 2).run(iter([("stop",)])))  # type: ignore[arg-type]
