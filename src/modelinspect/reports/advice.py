"""Make notes of messages and remedies: a remedy's first line is words, what follows is code to copy, which is
shown once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile

from modelinspect.reports.blocks import SHORT_CODE, Note

_LEAST_ALIKE = 3
"""Of fewer lines in common, all are shown again."""
_MOST_CHANGED = 2


class Advisor:
    """Make the notes of one report; code that was shown before is referred to and not shown again.

    With ``partly``, of commands that differ in few lines from an earlier one, only those lines are shown.
    ``more`` returns the command that prints the code of a label; longer code is then left to that command.
    """

    def __init__(self, *, partly: bool = True, more: Callable[[str], str] | None = None) -> None:
        self._partly = partly
        self._more = more
        self._shown: list[tuple[str, list[str]]] = []

    def note(self, severity: str, label: str, text: str, remedy: str) -> Note:
        """Return a note with a remedy of words, then code."""
        words, _, code = remedy.partition("\n")
        return self._made(severity, label, text, words, code)

    def command(self, severity: str, label: str, text: str, code: str) -> Note:
        """Return a note with only code."""
        return self._made(severity, label, text, "", code)

    def _made(self, severity: str, label: str, text: str, words: str, code: str) -> Note:
        lines = code.split("\n") if code else []
        words = words.removesuffix(":")
        if self._more is not None and len(lines) > SHORT_CODE:
            return Note(severity, label, text, words, code, self._more(label))
        if len(lines) < _LEAST_ALIKE:
            return Note(severity, label, text, f"{words}:" if words and code else words, code)
        for other, shown in self._shown:
            if lines == shown:
                where = "as above" if other == label else f"as for {other} above"
                return Note(severity, label, text, f"{words}, {where}" if words else where)
            changed, at_end = _changed(lines, shown) if self._partly and not words else ([], False)
            if changed:
                how = "but ending with" if at_end else "but"
                return Note(severity, label, text, f"as for {other} above, {how}:", "\n".join(changed))
        self._shown.append((label, lines))
        return Note(severity, label, text, f"{words}:" if words else "", code)


def _changed(lines: list[str], shown: list[str]) -> tuple[list[str], bool]:
    """Return the few lines in which code differs from what is shown, and whether they end it; none where too
    little is alike.
    """
    before = _alike(iter(lines), iter(shown))
    after = _alike(reversed(lines[before:]), reversed(shown[before:]))
    if before + after < _LEAST_ALIKE or not before:
        return [], False
    if len(shown) == before + after:  # lines come in: the one before them says where
        before -= 1
    middle, other = lines[before : len(lines) - after], shown[before : len(shown) - after]
    few = max(len(middle), len(other)) <= _MOST_CHANGED and (after or len(middle) == len(other))
    return (middle, not after) if few else ([], False)


def _alike(one: Iterator[str], other: Iterator[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
