"""Read the next bytes while the last ones are looked at: a thread reads, and reading needs no interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")

_BUFFERS = 2
"""One is read into while the other is looked at; more would not stay in the cache."""


def read_ahead(
    items: Iterator[Item], size: int, read: Callable[[Item, memoryview], memoryview | None]
) -> Iterator[tuple[Item, memoryview | None]]:
    """Yield each item with what ``read`` returned for it, valid until the next is asked for.

    ``read`` receives a buffer of ``size`` bytes and is called in another thread, in the order of the items.
    Where no thread can be started, or only one processor may be used, it is called in this one. Raises what
    ``read`` or ``items`` raise.
    """
    ahead = _Ahead(items, read)
    if _processors() < 2 or not ahead.start(size):
        buffer = memoryview(bytearray(size))
        for item in items:
            yield item, read(item, buffer)
        return
    try:
        yield from ahead
    finally:
        ahead.stop()


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Ahead(Generic[Item]):
    """A thread that reads, and two queues: buffers that are free, and those that were read into."""

    def __init__(self, items: Iterator[Item], read: Callable[[Item, memoryview], memoryview | None]) -> None:
        self._items = items
        self._read = read
        self._free: SimpleQueue[memoryview | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Item, memoryview, memoryview | None] | BaseException | None] = (
            SimpleQueue()
        )
        self._thread = Thread(target=self._run, daemon=True)

    def start(self, size: int) -> bool:
        """Start to read; return whether a thread could be started."""
        try:
            self._thread.start()
        except RuntimeError:  # this platform has no threads, or no more of them
            return False
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(size)))
        return True

    def __iter__(self) -> Iterator[tuple[Item, memoryview | None]]:
        while (got := self._done.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            item, buffer, part = got
            yield item, part
            self._free.put(buffer)

    def stop(self) -> None:
        """Wait until the thread reads no more."""
        self._free.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                buffer = self._free.get()
                if buffer is None:
                    return
                self._done.put((item, buffer, self._read(item, buffer)))
            self._done.put(None)
        except BaseException as error:  # noqa: BLE001 - the thread that waits for this one raises it
            self._done.put(error)
