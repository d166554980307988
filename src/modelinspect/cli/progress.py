"""Show how far the reading of weights is, on a terminal and when it takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelinspect.reports.blocks import Unit

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PATIENCE = 0.5
_INTERVAL = 0.1


@contextmanager
def progress(what: str, unit: Unit = Unit.BYTES, *, quiet: bool = False) -> Iterator[_Meter]:
    """Yield a function that takes the bytes done and all bytes; unless quiet, a bar appears on standard error
    after half a second.
    """
    meter = _Meter(what, unit, quiet)
    try:
        yield meter
    finally:
        meter.close()


class _Meter:
    def __init__(self, what: str, unit: Unit, quiet: bool) -> None:
        self._what = what
        self._unit = unit
        self._next = time.monotonic() + _PATIENCE if sys.stderr.isatty() and not quiet else float("inf")
        self._lines: list[str] = []
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        if self._bar is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            done_of_all = (
                DownloadColumn(binary_units=True) if self._unit is Unit.BYTES else MofNCompleteColumn()
            )
            columns = (TextColumn("{task.description}"), BarColumn(), done_of_all, TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=total)
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def say(self, line: str) -> None:
        """Print a line above the bar once the work takes long; what was said before then comes first."""
        self._lines.append(line)
        if time.monotonic() < self._next and self._bar is None:
            return
        for waiting in self._lines:
            if self._bar is not None:
                self._bar.console.print(waiting, markup=False, highlight=False)
            else:
                sys.stderr.write(f"{waiting}\n")
        self._lines.clear()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
