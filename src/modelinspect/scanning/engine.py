"""Choose where the tasks of a scan are done, and do them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, islice
from typing import TypeVar

from modelinspect.core.limits import Limits
from modelinspect.errors import UsageError
from modelinspect.scanning.running import OnExecutor, bind, run_here
from modelinspect.scanning.tasks import Task, batches
from modelinspect.scanning.worker import Work
from modelinspect.scanning.workers import Done, Lost, Pool

R = TypeVar("R")
Progress = Callable[[int, int], None]
"""Receives how many artifacts are done, and how many there are; while folders are listed, how many have been
found.
"""
_DASK = "dask://"
_FEW = 8
"""Artifacts that are inspected in this process: starting others would take longer."""
_AHEAD = 4
"""Batches that wait for each worker of an executor."""


class Kind(StrEnum):
    """Executors by name."""

    PROCESSES = "processes"
    THREADS = "threads"


@dataclass(frozen=True, slots=True)
class Engine:
    """Where tasks are done; see `modelinspect.scan_iter`.

    Raises `UsageError` for a name that is no executor's.
    """

    executor: Executor | str | None = None
    jobs: int | None = None
    timeout: float | None = None
    memory: int | None = None
    again: Callable[[], Executor] | None = None

    def __post_init__(self) -> None:
        if (
            isinstance(self.executor, str)
            and self.executor not in tuple(Kind)
            and not self.executor.startswith(_DASK)
        ):
            raise UsageError(
                f"there is no executor {self.executor!r}: it is one of {', '.join(Kind)}, {_DASK}HOST:PORT"
            )
        if self.timeout is not None and self.timeout <= 0:
            raise UsageError(f"timeout {self.timeout:g}: a time is more than 0 seconds")

    @property
    def count(self) -> int:
        """The processes or threads that work side by side."""
        return self.jobs or os.cpu_count() or 1

    def limits(self, limits: Limits | None) -> Limits | None:
        """Return the limits of one artifact: where no process can be ended, the timeout is one of them."""
        if self.timeout is None or self.executor in (None, Kind.PROCESSES):
            return limits
        seconds = max(1, round(self.timeout))
        usual = limits or Limits()
        return replace(
            usual,
            processor_seconds=min(usual.processor_seconds, seconds),
            remote_seconds=min(usual.remote_seconds, seconds),
        )


def run(
    engine: Engine,
    work: Callable[..., R],
    questions: object,
    tasks: Iterator[Task],
    progress: Progress | None = None,
    here: int = 1,
) -> Iterator[Done[Task, R] | Lost[Task]]:
    """Yield results as they are done; every task is in one of them, or lost.

    Raises what ``tasks`` raises, `ModelInspectError`.

    ``here`` is how many tasks are done together where this process does them.
    """
    total = 0

    def counted() -> Iterator[Task]:
        nonlocal total
        for task in tasks:
            total += 1
            yield task

    done = 0
    with ExitStack() as stack:
        for found in _run(engine, bind(work, questions), counted(), stack, here):
            done += len(found.batch) if isinstance(found, Done) else 1
            yield found
            if progress is not None:
                progress(done, total)


def _run(
    engine: Engine, work: Work[Task, R], tasks: Iterator[Task], stack: ExitStack, here: int
) -> Iterator[Done[Task, R] | Lost[Task]]:
    executor = engine.executor
    if executor is None and engine.timeout is None and engine.jobs is None:
        first = list(islice(tasks, _FEW + 1))
        if len(first) <= _FEW:
            return run_here(work, batches(iter(first), 1, here))
        tasks = chain(first, tasks)
    if executor is None and engine.jobs == 1 and engine.timeout is None and engine.memory is None:
        return run_here(work, batches(tasks, 1, here))
    if executor in (None, Kind.PROCESSES):
        pool = Pool(work, engine.count, timeout=engine.timeout, memory=engine.memory)
        return pool.run(batches(tasks, engine.count))
    if executor == Kind.THREADS:
        threads = stack.enter_context(ThreadPoolExecutor(engine.count))
        return OnExecutor(threads, work, _AHEAD * engine.count).run(batches(tasks, engine.count))
    if isinstance(executor, str):
        from modelinspect.scanning.distributed import cluster

        dask = stack.enter_context(cluster(executor.removeprefix(_DASK)))
        return OnExecutor(dask.executor, work, _AHEAD * dask.threads, killed=dask.killed).run(
            batches(tasks, dask.threads)
        )
    if executor is None:
        raise UsageError("no executor")
    workers = getattr(executor, "_max_workers", None) or engine.count
    return OnExecutor(executor, work, _AHEAD * workers, engine.again).run(batches(tasks, workers))
