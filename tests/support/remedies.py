"""Tells which remedy of the table a printed one is, by its words and code."""

from __future__ import annotations

import re
from functools import cache
from string import Formatter

from modelinspect.remedies import Remedy


def remedy_of(printed: str) -> Remedy:
    """Return the remedy that was printed. Raises `LookupError` where none of the table reads so."""
    for remedy in Remedy:
        if _pattern(remedy).fullmatch(printed):
            return remedy
    raise LookupError(f"no remedy of the table: {printed!r}")


def code_of(printed: str) -> str:
    """Return the code of a printed remedy: what follows the line of words."""
    return printed.partition("\n")[2]


@cache
def _pattern(remedy: Remedy) -> re.Pattern[str]:
    """Return what a printed remedy looks like; a name may be anything."""
    text = remedy.text
    code = _regex(text.code.strip("\n"))
    words = rf"(?:unpack\ the\ archive,\ then\ )?{_regex(text.words)}"
    return re.compile(rf"{words}:\n{code}" if code else words, re.DOTALL)


def _regex(template: str) -> str:
    found = ""
    for literal, field, _, conversion in Formatter().parse(template):
        found += re.escape(literal)
        if field is not None:
            found += _QUOTED if conversion == "r" else r"(?:.*?)"
    return found


_QUOTED = r"""(?:'[^'\n]*'|"[^"\n]*")"""
