"""Lines that are said during long work appear on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
import time

import pytest

from modelinspect.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)],
)
def test_lines_appear_on_a_terminal_once_the_work_takes_long(
    stream: type[io.StringIO], quiet: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = stream()
    monkeypatch.setattr(sys, "stderr", error)
    with progress("compressing", quiet=quiet) as meter:
        meter.say("early: 1 byte")
        assert error.getvalue() == ""
        later = time.monotonic() + 10
        monkeypatch.setattr(time, "monotonic", lambda: later)
        meter.say("late: 2 bytes")
    assert error.getvalue() == ("early: 1 byte\nlate: 2 bytes\n" if shown else "")
