"""Bounds on the work that code does, counted in calls: the same on every machine, however busy it is.

Time belongs to the benchmarks. A hostile input that would cost seconds costs millions of calls, and is caught
at the bound instead of at its end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

CALLS = 4_000_000
"""About two seconds of one processor."""


class TooMuchWorkError(AssertionError):
    """Code made more calls than its input is worth."""


class _Counter:
    def __init__(self, most: int) -> None:
        self.calls = 0
        self.most = most

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1
            if self.calls > self.most:
                sys.setprofile(None)
                raise TooMuchWorkError(
                    f"more than {self.most:,} calls; the last was in {frame.f_code.co_qualname}"
                )


@contextmanager
def bounded(calls: int = CALLS) -> Iterator[None]:
    """Fail where the block makes more calls, of Python functions and of built-in ones, than ``calls``."""
    outer = sys.getprofile()
    sys.setprofile(_Counter(calls))
    try:
        yield
    finally:
        sys.setprofile(outer)


def calls_of(function: Callable[[], object], most: int = CALLS) -> int:
    """Return how many calls a function makes.

    Raises `TooMuchWorkError` above ``most``; what the function raises is ignored.
    """
    counter = _Counter(most)
    outer = sys.getprofile()
    sys.setprofile(counter)
    try:
        function()
    except TooMuchWorkError:
        raise
    except Exception:
        pass
    finally:
        sys.setprofile(outer)
    return counter.calls
