"""Makes notes of messages and remedies: a remedy's first line is words, what follows is code to copy, which is shown once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from modelinspect.reports.blocks import Note

_LEAST_ALIKE = 3
"""Of fewer lines in common, all are shown again."""
_MOST_CHANGED = 2


class Advisor:
    """Makes the notes of one report; code that stands above already is named and not shown again."""

    def __init__(self) -> None:
        self._shown: list[tuple[str, list[str]]] = []

    def note(self, severity: str, label: str, text: str, remedy: str) -> Note:
        """Return a note with a remedy of words, then code."""
        words, _, code = remedy.partition("\n")
        return self._made(severity, label, text, words, code)

    def command(self, severity: str, label: str, text: str, code: str) -> Note:
        """Return a note with code alone."""
        return self._made(severity, label, text, "", code)

    def _made(self, severity: str, label: str, text: str, words: str, code: str) -> Note:
        lines = code.split("\n") if code else []
        words = words.removesuffix(":")
        if len(lines) < _LEAST_ALIKE:
            return Note(severity, label, text, f"{words}:" if words and code else words, code)
        for other, shown in self._shown:
            if lines == shown:
                where = "as above" if other == label else f"as for {other} above"
                return Note(severity, label, text, f"{words}, {where}" if words else where)
            changed = _changed(lines, shown) if not words else []
            if changed:
                return Note(severity, label, text, f"as for {other} above, but:", "\n".join(changed))
        self._shown.append((label, lines))
        return Note(severity, label, text, f"{words}:" if words else "", code)


def _changed(lines: list[str], shown: list[str]) -> list[str]:
    """Return the lines in the middle in which two pieces of code differ, none where they have too little in common."""
    before = _alike(iter(lines), iter(shown))
    after = _alike(reversed(lines[before:]), reversed(shown[before:]))
    middle, other = lines[before : len(lines) - after], shown[before : len(shown) - after]
    alike = before and after and before + after >= _LEAST_ALIKE
    return middle if alike and 1 <= len(other) <= _MOST_CHANGED and len(middle) <= _MOST_CHANGED else []


def _alike(one: Iterator[str], other: Iterator[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
