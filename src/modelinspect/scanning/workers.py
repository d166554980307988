"""Worker processes of modelinspect's own: which artifact a process was at is always known, so one that ends
costs one row.

They are started as new interpreters with a pipe each. Nothing of the calling program is run again in them, so
a script needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from typing import Generic, NamedTuple, TypeVar

from modelinspect.core.limits import GIB
from modelinspect.errors import ModelInspectError
from modelinspect.reports.scan import Failure
from modelinspect.scanning.worker import POSITION, Work

T = TypeVar("T")
R = TypeVar("R")
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; from modelinspect.scanning.worker import main;"
    " main(int(sys.argv[1]))"
)
_LEAST_MEMORY = 8 * GIB
"""Address space that a worker has in any case: libraries reserve much more than they use."""
_BARREN = 3
"""Processes that may end one after another before they begin a task."""
_POLL = 0.2
_GROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux reports the memory that a container may take."""


class Done(NamedTuple, Generic[T, R]):
    """A batch and its result."""

    batch: Sequence[T]
    result: R


class Lost(NamedTuple, Generic[T]):
    """A task that ended its process twice, or that took too long."""

    task: T
    failure: Failure
    problem: str


class Pool(Generic[T, R]):
    """Processes that work side by side.

    ``work`` must be a function that can be pickled. An artifact that takes more than ``timeout`` seconds is
    lost with its process. An artifact whose process is killed is tried again at the end, when no other
    process competes for memory. ``memory`` is the address space of one process in bytes. At most three
    batches for each process are handed out and not yet taken from `run`.
    """

    def __init__(
        self, work: Work[T, R], count: int, *, timeout: float | None = None, memory: int | None = None
    ) -> None:
        self._work = work
        self._count = count
        self._timeout = timeout
        self._memory = memory if memory is not None else max(_LEAST_MEMORY, _machine_memory())
        self.peak = 0
        self._suspects: list[T] = []

    def run(self, batches: Iterator[Sequence[T]]) -> Iterator[Done[T, R] | Lost[T]]:
        """Yield results as they are done; every task is in one of them, or lost.

        Raises what ``batches`` raises, `ModelInspectError`.
        """
        yield from _Phase(self, batches, self._count, self._suspects).run()
        alone, self._suspects = self._suspects, []
        if alone:
            yield from _Phase(self, iter([(task,) for task in alone]), 1, None).run()

    def start(self) -> _Process[T, R]:
        """Start a process."""
        return _Process(self._work, self._memory)

    @property
    def timeout(self) -> float | None:
        """Seconds that one task may take."""
        return self._timeout


class _EndedError(Exception):
    """A process ended: with which code, and with which task of its batch it had begun."""

    def __init__(self, code: int, index: int) -> None:
        super().__init__(code, index)
        self.code = code
        self.index = index


class _Process(Generic[T, R]):
    """A process and the thread's end of its pipes."""

    def __init__(self, work: Work[T, R], memory: int | None) -> None:
        self.seen = 0
        self.since = 0.0
        self.is_busy = False
        self.late_at = -1
        self._begun = 0
        with tempfile.TemporaryFile() as file:
            file.truncate(POSITION.size)
            self._place = mmap.mmap(file.fileno(), POSITION.size)
            command = [sys.executable, "-c", _START, str(file.fileno()), *sys.path]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(file.fileno(),)
            )
        with suppress(OSError):  # where it has ended already, the first batch finds out
            self._send((work, memory))

    def ask(self, batch: Sequence[T]) -> tuple[R, int, bool]:
        """Return the result of a batch, the peak of memory, and whether the process ends now.

        Raises `_EndedError`.
        """
        self.since, self.is_busy = time.monotonic(), True
        try:
            self._send(batch)
            answer: tuple[R, int, bool] = pickle.load(self._process.stdout)  # type: ignore[arg-type] # noqa: S301 - our own process wrote it
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self.kill()
            raise _EndedError(self._process.wait(), self.position() - self._begun - 1) from error
        finally:
            self.is_busy = False
        self._begun += len(batch)
        return answer

    def _send(self, what: object) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            pickle.dump(what, pipe, pickle.HIGHEST_PROTOCOL)
            pipe.flush()

    def position(self) -> int:
        """Return how many tasks the process has begun."""
        number: int = POSITION.unpack_from(self._place)[0]
        return number

    def is_at_task(self) -> bool:
        """Return whether the process has begun a task of the batch that it has: starting it is nobody's
        time.
        """
        return self.is_busy and self.position() > self._begun

    def kill(self) -> None:
        """End the process."""
        self._process.kill()

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()


class _Phase(Generic[T, R]):
    """One run through batches: a thread for each process, and one that looks at the clock."""

    def __init__(
        self, pool: Pool[T, R], batches: Iterator[Sequence[T]], count: int, suspects: list[T] | None
    ) -> None:
        self._pool = pool
        self._batches = batches
        self._again: deque[Sequence[T]] = deque()
        self._suspects = suspects
        self._lock = threading.Lock()
        self._source_lock = (
            threading.Lock()
        )  # listing a folder may take long, and the clock must not wait for it
        self._results: Queue[Done[T, R] | Lost[T] | BaseException | None] = Queue(maxsize=count)
        self._stop = threading.Event()
        self._processes: dict[int, _Process[T, R]] = {}
        self._barren = 0
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in range(count)
        ]

    def run(self) -> Iterator[Done[T, R] | Lost[T]]:
        """Yield results until every thread has ended."""
        clock = threading.Thread(target=self._watch, daemon=True)
        if self._pool.timeout is not None:
            clock.start()
        for thread in self._threads:
            thread.start()
        running = len(self._threads)
        try:
            while running:
                found = self._results.get()
                if found is None:
                    running -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield found
        finally:
            self._stop.set()
            with self._lock:
                for process in self._processes.values():
                    process.kill()
            for thread in self._threads:
                thread.join()
            if clock.is_alive():
                clock.join()

    def _serve(self, slot: int) -> None:
        """Hand batches to a process, and start another one when it ends."""
        try:
            while (batch := self._next()) is not None:
                self._do(slot, batch)
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are taken
            self._put(error)
        finally:
            self._drop(slot)
            self._put(None)

    def _do(self, slot: int, batch: Sequence[T]) -> None:
        process = self._processes.get(slot)
        if process is None:
            process = self._pool.start()
            with self._lock:
                self._processes[slot] = process
        try:
            result, peak, is_last = process.ask(batch)
        except _EndedError as ended:
            self._drop(slot)
            if not self._stop.is_set():
                self._judge(batch, ended, process.late_at == process.position())
            return
        self._barren = 0
        self._pool.peak = max(self._pool.peak, peak)
        if is_last:
            self._drop(slot)
        self._put(Done(batch, result))

    def _judge(self, batch: Sequence[T], ended: _EndedError, is_late: bool) -> None:
        """Decide what becomes of a batch whose process ended: the task that it was at is lost or suspected,
        the others are done again.
        """
        if ended.index < 0:
            self._barren += 1
            if self._barren > _BARREN:
                raise ModelInspectError(
                    f"the processes that inspect artifacts end as soon as they start ({_ending(ended.code)})"
                )
            self._again.append(batch)
            return
        self._barren = 0
        task = batch[ended.index]
        rest = (*batch[: ended.index], *batch[ended.index + 1 :])
        if rest:
            self._again.append(rest)
        if is_late:
            self._put(Lost(task, Failure.TIMEOUT, f"it took longer than {self._pool.timeout:g} seconds"))
        elif self._suspects is not None:
            self._suspects.append(task)
        else:
            problem = (
                f"the process that inspected it was killed twice ({_ending(ended.code)}), perhaps because"
                " memory ran out"
            )
            self._put(Lost(task, Failure.KILLED, problem))

    def _next(self) -> Sequence[T] | None:
        with self._source_lock:
            if self._stop.is_set():
                return None
            return self._again.popleft() if self._again else next(self._batches, None)

    def _drop(self, slot: int) -> None:
        with self._lock:
            process = self._processes.pop(slot, None)
        if process is not None:
            process.close()

    def _put(self, what: Done[T, R] | Lost[T] | BaseException | None) -> None:
        while not self._stop.is_set():
            with suppress(Full):
                self._results.put(what, timeout=_POLL)
                return

    def _watch(self) -> None:
        """End processes that are at one task for too long."""
        timeout = self._pool.timeout or 0.0
        while not self._stop.wait(min(_POLL, timeout / 4)):
            now = time.monotonic()
            with self._lock:
                for process in self._processes.values():
                    position = process.position()
                    if position != process.seen or not process.is_at_task():
                        process.seen, process.since = position, now
                    elif now - process.since > timeout:
                        process.late_at = position
                        process.kill()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {-code}, {signal.Signals(-code).name}"
    return f"signal {-code}"


def _machine_memory() -> int:
    """Return the bytes of memory of this machine or container, 0 where the system does not say."""
    found: list[int] = []
    with suppress(ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _GROUPS:
        with suppress(ValueError, OSError):
            found.append(int(path.read_text()))
    return min(found, default=0)
