"""The process of a worker: inspects batches that arrive on standard input, and ends with its parent."""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO, TypeVar

POSITION = struct.Struct("<q")
"""How many tasks this process has begun: the parent reads it to know which one a process ended with."""
_TASKS = 100_000
"""Tasks after which a process is replaced, whatever it holds. Starting another one takes as long as a
thousand small artifacts.
"""
_HELD = 1 << 30
"""Bytes of resident memory above which a process is replaced after a batch."""
_PARENT_SECONDS = 1.0
_YOUNG = 100_000
"""New objects before Python looks for cycles, as for the command: what is known of an artifact are many
objects and no cycle.
"""
T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[Sequence[T], Callable[[int], None]], R]
"""Does a batch; it calls the function that it gets with the index of each task before it begins it."""


def main(descriptor: int) -> None:
    """Answer each batch on standard input with a result, the peak of memory in bytes, and whether this
    process ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    source, sink = _private_streams()
    place = mmap.mmap(descriptor, POSITION.size)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    work, memory = pickle.load(source)  # noqa: S301 - the parent wrote it
    if memory is not None:
        _limit_memory(memory)
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    begun = 0

    def begin(index: int) -> None:
        POSITION.pack_into(place, 0, begun + index + 1)

    while True:
        try:
            batch = pickle.load(source)  # noqa: S301 - the parent wrote it
        except (EOFError, pickle.UnpicklingError):
            return
        result = work(batch, begin)
        begun += len(batch)
        is_last = begun >= _TASKS or _resident() > _HELD
        try:
            sink.write(pickle.dumps((result, _peak(), is_last), pickle.HIGHEST_PROTOCOL))
            sink.flush()
        except BrokenPipeError:  # the parent was killed, and nobody wants the answer
            os._exit(1)
        if is_last:
            return


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return what standard input and output are, and point them elsewhere: nothing that is printed may get
    between the answers.
    """
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    os.close(nowhere)
    return source, sink


def _end_with_parent(parent: int) -> None:
    """End this process when its parent was killed, even in the middle of an artifact."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


def _limit_memory(size: int) -> None:
    import resource

    with suppress(ValueError, OSError):  # not every system can
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(
            resource.RLIMIT_AS, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard)
        )


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _resident() -> int:
    """Return the bytes of memory that are resident now; the peak where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read after every batch
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return _peak()
