"""Scans: a hundred thousand models, one and two processes, a kill half way, a Dask cluster.

Made of ``MODELINSPECT_BENCH_ARTIFACTS`` tiny safetensors files (100,000) in folders of a hundred; only the
structure is read. Nothing about a model takes less time than such a file, so what a scan adds to each of them
weighs most.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed.harness import BUSY, MIB, Row, Run, process, shown, under_memory

_COUNT = int(os.environ.get("MODELINSPECT_BENCH_ARTIFACTS", "100000"))
_DASK_COUNT = 2_000
_TARGET, _DASK_TARGET = 1.9, 1.8
_MEMORY = 400 * MIB
_GROWTH = 24 * MIB
"""What the peak of memory may grow from a tenth of the artifacts to all: noise, and the marks of a
dataset.
"""


def bench(folder: Path) -> list[Row]:
    """Scan the structure of many artifacts into a dataset; what is counted are rows in its files."""
    for name in ("small", "one", "two", "killed"):  # datasets of an earlier run in a folder that is kept
        shutil.rmtree(folder / name, ignore_errors=True)
    models, tenth = _make(folder / "models", _COUNT), _make(folder / "tenth", _COUNT // 10)
    small = _scan(tenth, folder / "small", 2)
    one = _scan(models, folder / "one", 1)
    two = _scan(models, folder / "two", 2)
    return [
        Row(f"{_COUNT:,} models, 1 process", shown(one)),
        Row(f"{_COUNT:,} models, 2 processes", shown(two)),
        _times("2 processes", one, two, _TARGET),
        under_memory(f"highest peak of a process, {_COUNT // 10:,} models", small.memory, _MEMORY),
        under_memory(
            f"highest peak of a process, {_COUNT:,} models", two.memory, min(_MEMORY, small.memory + _GROWTH)
        ),
        *_kill_and_resume(models, folder / "killed"),
        *_on_dask(_make(folder / "few", _DASK_COUNT), folder),
    ]


def _make(folder: Path, count: int) -> Path:
    header = json.dumps({"w": {"dtype": "I32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    for number in range(count):
        inner = folder / f"{number // 100:05d}"
        if number % 100 == 0:
            inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{number:07d}.safetensors").write_bytes(
            struct.pack("<Q", len(header)) + header + struct.pack("<i", number)
        )
    return folder


def _command(models: Path, dataset: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "modelinspect",
        "scan",
        str(models),
        "--into",
        str(dataset),
        "--no-measure",
        "--quiet",
        *options,
    ]


def _scan(models: Path, dataset: Path, jobs: int) -> Run:
    return process(*_command(models, dataset, "--jobs", str(jobs)), times=1)


def _times(what: str, slow: Run, fast: Run, target: float) -> Row:
    """Return how many times faster a scan is; on a busy machine, at most how many times it could be with a
    core for each process.
    """
    if BUSY:
        ratio = 2 * slow.processor / fast.processor
        return Row(
            f"{what}: times as fast, by processor time on two cores",
            f"{ratio:.2f}",
            f">= {target}",
            ratio >= target,
        )
    ratio = slow.seconds / fast.seconds
    return Row(f"{what}: times as fast", f"{ratio:.2f}", f">= {target}", ratio >= target)


def _kill_and_resume(models: Path, dataset: Path) -> Iterator[Row]:
    """Kill the command when half of the artifacts are written, go on, and count rows."""
    with subprocess.Popen(
        _command(models, dataset, "--jobs", "2", "--part-rows", "1000"), stdout=subprocess.DEVNULL
    ) as scan:
        while scan.poll() is None and _rows(dataset)[0] < _COUNT // 2:
            time.sleep(1)
        scan.send_signal(signal.SIGKILL)
    written = _rows(dataset)[0]
    resumed = process(*_command(models, dataset, "--jobs", "2", "--resume", "--json"), times=1)
    report = json.loads(resumed.output)
    rows, distinct = _rows(dataset)
    yield Row(
        "rows when it was killed, all kept",
        f"{written:,}",
        f"{report['unchanged']:,}",
        report["unchanged"] == written,
    )
    yield Row(
        "models lost, models twice",
        f"{_COUNT - distinct}, {rows - distinct}",
        "0, 0",
        rows == distinct == _COUNT,
    )
    yield under_memory("highest peak of a process that resumes", resumed.memory, _MEMORY)


def _rows(dataset: Path) -> tuple[int, int]:
    """Return how many rows a dataset has, and how many locations."""
    import pyarrow.parquet

    if not any(dataset.glob("artifacts/*.parquet")):
        return 0, 0
    locations = pyarrow.parquet.read_table(dataset / "artifacts", columns=["location"]).column("location")
    return len(locations), len(locations.unique())


def _on_dask(models: Path, folder: Path) -> Iterator[Row]:
    try:
        import distributed
    except ImportError:
        yield Row("Dask", "distributed is not installed")
        return
    from modelinspect.scanning import scan_iter

    def scan(address: str) -> tuple[float, float, int]:
        before, started = _cluster_processor(address), time.perf_counter()
        count = sum(1 for _ in scan_iter([models], executor=address, measure=False))
        return time.perf_counter() - started, _cluster_processor(address) - before, count

    with _cluster(distributed, 1) as one:
        scan(one)  # what is imported on first use
        slow, slow_processor, _ = scan(one)
    with _cluster(distributed, 2) as two:
        scan(two)
        scan(two)
        fast, fast_processor, count = scan(two)
    yield Row(f"{count:,} models on one Dask worker, on two", f"{slow:.1f} s, {fast:.1f} s")
    ratio = 2 * slow_processor / fast_processor if BUSY else slow / fast
    by = ", by processor time of the workers" if BUSY else ""
    yield Row(
        f"two Dask workers: times as fast{by}", f"{ratio:.2f}", f">= {_DASK_TARGET}", ratio >= _DASK_TARGET
    )


@contextmanager
def _cluster(distributed: object, workers: int) -> Iterator[str]:
    settings = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": None,
        "host": "127.0.0.1",
    }
    with distributed.LocalCluster(**settings) as cluster:  # type: ignore[attr-defined]
        yield cluster.scheduler_address.replace("tcp://", "dask://")


def _cluster_processor(address: str) -> float:
    """Return the seconds of processor time that the workers of a cluster have taken."""
    import distributed

    with distributed.Client(address.replace("dask://", "tcp://"), set_as_default=False) as client:
        return float(sum(client.run(time.process_time).values()))
