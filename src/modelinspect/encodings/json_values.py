"""Find the long values of a JSON text: lists of numbers, lists of words, and base64 strings, with their paths
and places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}\[\],:]|true|false|null|NaN|-?Infinity', re.DOTALL)
_LONG = tuple(
    re.compile(pattern)
    for pattern in (
        rb"[-+0-9.eE,\s\[\]]{512}",
        rb'"[^"\\]{0,80}"\s*,\s*(?:"[^"\\]{0,80}"\s*,\s*){31}',
        rb'"[A-Za-z0-9+/=\\n]{512}',
    )
)
"""What a text has somewhere that holds a long value: looked for first, as most texts have none; one after
another, as each by itself is looked for by its first byte.
"""
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/_-]|\\n)+={0,2}(?:\\n)?")
_NESTING = 200


class ValueKind(StrEnum):
    """What a long value is."""

    NUMBERS = "numbers"
    WORDS = "words"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class LongValue:
    """A long value: where it is in the text, by keys and indices (``config.layers[2].config.value``), and of
    how many parts.
    """

    path: str
    span: Span
    kind: ValueKind
    count: int


@dataclass(slots=True)
class _Frame:
    """An object or a list that is open: what it holds so far, and the long values within it."""

    begin: int
    is_list: bool
    key: str = ""
    index: int = 0
    numbers: int = 0
    words: int = 0
    others: int = 0
    found: list[LongValue] = field(default_factory=list)
    has_key: bool = False


def long_values(text: bytes, least: int) -> list[LongValue]:
    """Return the values of at least ``least`` bytes, in order; of lists within lists of numbers the
    outermost.

    ``text`` must be JSON that a parser has accepted. Values that are nested more than 200 levels deep are
    left out.
    """
    if len(text) < least or not any(pattern.search(text) for pattern in _LONG):
        return []
    return list(_scan(text, least))


def _scan(text: bytes, least: int) -> Iterator[LongValue]:
    frames = [_Frame(0, False)]
    for token in _TOKEN.finditer(text):
        top = frames[-1]
        first = text[token.start() : token.start() + 1]
        if first in (b"{", b"["):
            if len(frames) > _NESTING:
                return
            frames.append(_Frame(token.start(), first == b"["))
        elif first in (b"}", b"]"):
            if len(frames) < 2:
                return
            _close(frames, token.end(), least)
        elif first == b",":
            top.index += 1
            top.has_key = False
        elif first == b":":
            top.has_key = True
        elif first == b'"':
            _string(frames, text, token.start(), token.end(), least)
        elif first in b"-0123456789NI":
            top.numbers += 1
        else:
            top.others += 1
    yield from frames[0].found


def _string(frames: list[_Frame], text: bytes, begin: int, end: int, least: int) -> None:
    top = frames[-1]
    if not top.is_list and not top.has_key:
        top.key = text[begin + 1 : end - 1][:200].decode("utf-8", "replace")
        return
    top.words += 1
    if end - begin >= least and _BASE64.fullmatch(text, begin + 1, end - 1):
        top.others += 1  # a list of such strings is not a list of words
        top.found.append(
            LongValue(_path(frames), Span(begin, end - begin), ValueKind.BASE64, end - begin - 2)
        )


def _close(frames: list[_Frame], end: int, least: int) -> None:
    """Add what a list holds to the one around it; a list of numbers or of only words is one value."""
    done = frames.pop()
    outer = frames[-1]
    pure = done.is_list and not done.others and bool(done.numbers) != bool(done.words)
    if pure and done.numbers and outer.is_list and len(frames) > 1:
        outer.numbers += done.numbers  # a row of a matrix
    else:
        outer.others += 1
    if pure and end - done.begin >= least:
        kind = ValueKind.NUMBERS if done.numbers else ValueKind.WORDS
        value = LongValue(_path(frames), Span(done.begin, end - done.begin), kind, done.numbers or done.words)
        outer.found.append(value)
    else:
        outer.found += done.found


def _path(frames: list[_Frame]) -> str:
    parts: list[str] = []
    for frame in frames[1:]:
        if frame.is_list:
            parts.append(f"[{frame.index}]")
        elif frame.key:
            parts.append(f".{frame.key}" if parts else frame.key)
    return "".join(parts)
