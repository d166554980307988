"""Work that worker processes of the tests do: numbers and words for which they square, end, hang or fill
memory.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def act(tasks: Sequence[object], begin: Callable[[int], None]) -> list[object]:
    """Do each task."""
    results: list[object] = []
    for index, task in enumerate(tasks):
        begin(index)
        results.append(_act(task))
    return results


def _act(task: object) -> object:
    match task:
        case int():
            return task * task
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case "hang":
            time.sleep(600)
        case "fill":
            try:
                return len(bytearray(1 << 62))
            except MemoryError:
                return "refused"
        case "print":
            print("noise")
            os.write(1, b"noise")
        case "pid":
            return os.getpid()
        case str() if task.startswith("once:"):  # ends the first process that tries it
            mark = Path(task.removeprefix("once:"))
            if not mark.exists():
                mark.touch()
                os._exit(1)
            return "survived"
    return None


def fail_to_start(tasks: Sequence[object], begin: Callable[[int], None]) -> list[object]:
    """End before any task is begun."""
    os._exit(3)
