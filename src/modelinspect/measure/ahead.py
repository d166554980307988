"""Read the next bytes while the last ones are looked at: a thread reads, and reading needs no interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(
    items: Iterator[Item], size: int, read: Callable[[Item, memoryview], memoryview | None]
) -> Iterator[tuple[Item, memoryview | None]]:
    """Yield each item with what ``read`` returned for it, valid until the next is asked for.

    ``read`` receives a buffer of ``size`` bytes and is called in another thread, in the order of the items.
    Where no thread can be started, or only one processor may be used, it is called in this one. Raises what
    ``read`` or ``items`` raise.
    """
    # One buffer is read into while the other is looked at; more would not stay in the cache.
    buffers = cycle([memoryview(bytearray(size)), memoryview(bytearray(size))])
    with ThreadPoolExecutor(1) as pool:
        if _processors() < 2 or not _has_thread(pool):
            for item in items:
                yield item, read(item, next(buffers))
            return
        waiting = None
        for item in items:
            following = item, pool.submit(read, item, next(buffers))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1].result()


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_thread(pool: ThreadPoolExecutor) -> bool:
    """Start the thread of a pool; return whether that could be done."""
    try:
        pool.submit(int).result()
    except RuntimeError:  # this platform has no threads, or no more of them
        return False
    return True
