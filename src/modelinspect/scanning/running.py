"""Run batches of tasks somewhere: in this process, on processes of modelinspect's own, or on any executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from modelinspect.errors import ModelInspectError
from modelinspect.reports.scan import Failure
from modelinspect.scanning.worker import Work
from modelinspect.scanning.workers import Done, Lost, Pool

T = TypeVar("T")
R = TypeVar("R")
KILLED = "the process that inspected it was killed, perhaps because memory ran out"


def run_here(work: Work[T, R], batches: Iterator[Sequence[T]]) -> Iterator[Done[T, R] | Lost[T]]:
    """Yield the result of each batch, done in this process."""
    for batch in batches:
        yield Done(batch, work(batch, _begin))


@dataclass(frozen=True, slots=True)
class OnExecutor(Generic[T, R]):
    """Batches on any executor of ``concurrent.futures``.

    At most ``ahead`` batches are submitted and not yet yielded. Where the executor breaks because one of its
    processes was killed, what it had is done again, one batch and then one task at a time, by executors from
    ``again`` (of modelinspect's own where it is None), and they do the rest too. ``killed`` are errors that
    mean the same of one batch only: the executor is still good, and gets its tasks one by one.
    """

    executor: Executor
    work: Work[T, R]
    ahead: int
    again: Callable[[], Executor] | None = None
    killed: tuple[type[BaseException], ...] = ()

    def run(self, batches: Iterator[Sequence[T]]) -> Iterator[Done[T, R] | Lost[T]]:
        """Yield results as they are done; every task is in one of them, or lost.

        Raises what ``batches`` raises, `ModelInspectError`.
        """
        suspects: list[Sequence[T]] = []
        waiting: dict[Future[R], Sequence[T]] = {}
        single: deque[Sequence[T]] = deque()
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
        self, batch: Sequence[T], future: Future[R], single: deque[Sequence[T]]
    ) -> Iterator[Done[T, R] | Lost[T]]:
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
                yield Lost(batch[0], Failure.KILLED, KILLED)
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
        self, suspects: list[Sequence[T]], batches: Iterator[Sequence[T]]
    ) -> Iterator[Done[T, R] | Lost[T]]:
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
                        yield Lost(task, Failure.KILLED, KILLED)
                if len(batch) == 1:
                    yield Lost(batch[0], Failure.KILLED, KILLED)

    def _alone(self, again: Callable[[], Executor], batch: Sequence[T]) -> R:
        with again() as executor:
            return executor.submit(self.work, batch, _begin).result()


def _joined(first: Iterator[Sequence[T]], second: Iterator[Sequence[T]]) -> Iterator[Sequence[T]]:
    yield from first
    yield from second


def _begin(index: int) -> None:
    """Note nothing: which task an executor is at is not known."""


def bind(work: Callable[..., R], questions: object) -> Work[T, R]:
    """Return work that asks the same of every batch, and can be pickled."""
    return partial(work, questions=questions)
