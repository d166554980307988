"""Choose where the tasks of a scan are done, and do them: in this process, on processes of modelinspect's
own, or on any executor.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import chain, islice
from typing import Generic, TypeVar

from modelinspect.core.limits import Limits
from modelinspect.errors import ModelInspectError, UsageError
from modelinspect.reports.scan import Failure
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
        for found in _run(engine, _bind(work, questions), counted(), stack, here):
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
            return _run_here(work, batches(iter(first), 1, here))
        tasks = chain(first, tasks)
    if executor is None and engine.jobs == 1 and engine.timeout is None and engine.memory is None:
        return _run_here(work, batches(tasks, 1, here))
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


_T = TypeVar("_T")
_KILLED = "the process that inspected it was killed, perhaps because memory ran out"


def _run_here(work: Work[_T, R], batches: Iterator[Sequence[_T]]) -> Iterator[Done[_T, R] | Lost[_T]]:
    """Yield the result of each batch, done in this process."""
    for batch in batches:
        yield Done(batch, work(batch, _begin))


@dataclass(frozen=True, slots=True)
class OnExecutor(Generic[_T, R]):
    """Batches on any executor of ``concurrent.futures``.

    At most ``ahead`` batches are submitted and not yet yielded. Where the executor breaks because one of its
    processes was killed, what it had is done again, one batch and then one task at a time, by executors from
    ``again`` (of modelinspect's own where it is None), and they do the rest too. ``killed`` are errors that
    mean the same of one batch only: the executor is still good, and gets its tasks one by one.
    """

    executor: Executor
    work: Work[_T, R]
    ahead: int
    again: Callable[[], Executor] | None = None
    killed: tuple[type[BaseException], ...] = ()

    def run(self, batches: Iterator[Sequence[_T]]) -> Iterator[Done[_T, R] | Lost[_T]]:
        """Yield results as they are done; every task is in one of them, or lost.

        Raises what ``batches`` raises, `ModelInspectError`.
        """
        suspects: list[Sequence[_T]] = []
        waiting: dict[Future[R], Sequence[_T]] = {}
        single: deque[Sequence[_T]] = deque()
        is_broken = False
        try:
            while not is_broken:
                while (
                    len(waiting) < self.ahead
                    and (batch := single.popleft() if single else next(batches, None)) is not None
                ):
                    try:
                        waiting[self.executor.submit(self.work, batch, _begin)] = batch
                    except BrokenExecutor:
                        suspects.append(batch)
                        is_broken = True
                        break
                if not waiting:
                    break
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    batch = waiting.pop(future)
                    try:
                        yield from self._settle(batch, future, single)
                    except BrokenExecutor:
                        suspects.append(batch)
                        is_broken = True
            for future, batch in waiting.items():
                try:
                    yield Done(batch, future.result())
                except (BrokenExecutor, CancelledError):
                    suspects.append(batch)
            waiting.clear()
        finally:
            for future in waiting:
                future.cancel()
        if is_broken:
            yield from self._go_on([*suspects, *single], batches)

    def _settle(
        self, batch: Sequence[_T], future: Future[R], single: deque[Sequence[_T]]
    ) -> Iterator[Done[_T, R] | Lost[_T]]:
        """Yield what became of a batch; tasks of one that ended its process are tried one by one.

        Raises `BrokenExecutor`.
        """
        try:
            yield Done(batch, future.result())
        except BrokenExecutor:
            raise
        except CancelledError as error:
            raise ModelInspectError("the executor was stopped before the scan was done") from error
        except self.killed:
            if len(batch) == 1:
                yield Lost(batch[0], Failure.KILLED, _KILLED)
            else:
                single.extend((task,) for task in batch)
        except ModelInspectError:
            raise
        except (
            Exception
        ) as error:  # work raises nothing: this is about the executor, such as a worker without modelinspect
            raise ModelInspectError(
                f"the executor cannot inspect artifacts: {type(error).__name__}: {error}"
            ) from error

    def _go_on(
        self, suspects: list[Sequence[_T]], batches: Iterator[Sequence[_T]]
    ) -> Iterator[Done[_T, R] | Lost[_T]]:
        """Do what a broken executor had, and what it never got."""
        if self.again is None:
            alone = iter([(task,) for batch in suspects for task in batch])
            yield from Pool(self.work, 1).run(_joined(alone, batches))
            return
        for batch in _joined(iter(suspects), batches):
            try:
                yield Done(batch, self._alone(self.again, batch))
            except BrokenExecutor:
                for task in batch if len(batch) > 1 else ():
                    try:
                        yield Done((task,), self._alone(self.again, (task,)))
                    except BrokenExecutor:
                        yield Lost(task, Failure.KILLED, _KILLED)
                if len(batch) == 1:
                    yield Lost(batch[0], Failure.KILLED, _KILLED)

    def _alone(self, again: Callable[[], Executor], batch: Sequence[_T]) -> R:
        with again() as executor:
            return executor.submit(self.work, batch, _begin).result()


def _joined(first: Iterator[Sequence[_T]], second: Iterator[Sequence[_T]]) -> Iterator[Sequence[_T]]:
    yield from first
    yield from second


def _begin(index: int) -> None:
    """Note nothing: which task an executor is at is not known."""


def _bind(work: Callable[..., R], questions: object) -> Work[_T, R]:
    """Return work that asks the same of every batch, and can be pickled."""
    return partial(work, questions=questions)
