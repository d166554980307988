"""Yield the objects of a JSON text, in time and memory that the text cannot choose.

A text whose values fit in memory is read by the standard library. Of a larger one, the objects are yielded as
they end, and what they hold is dropped: long lists, numbers, and what is deep inside. Two entries with one
key count as in Python: the last one is in the object, but objects inside the first one are yielded too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import numpy as np

from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass, field
from modelinspect.errors import FormatError, LimitError

_BOM = b"\xef\xbb\xbf"
# Possessive: what was matched is not looked at again, and the engine need not remember where it could.
_SEPARATORS = re.compile(rb"[\s,:]*+")
_NUMBERS = re.compile(rb"[-+0-9.eE,\s\[\]]{64,1048576}+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STRINGS = re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+,\s*+){1,10000}+', re.DOTALL)
_WORD = re.compile(rb"[^\s,:{}\[\]\"]++")
_KEPT_ITEMS = 1_000
_KEPT_WEIGHT = 20_000
_NESTING = 10_000
"""No reader of JSON goes deeper; Python's own stops long before."""
_VALUES = 400_000
"""Values of a large text that are read one by one; runs of numbers and of strings in lists are one each."""


def memory_of(text: bytes | str) -> int:
    """Estimate the bytes that Python needs for the values of a JSON text, and for reading it; never less than
    half of it.
    """
    if isinstance(text, bytes):
        opens, colons, lists, commas, quotes = (text.count(mark) for mark in (b"{", b":", b"[", b",", b'"'))
    else:
        opens, colons, lists, commas, quotes = (text.count(mark) for mark in ("{", ":", "[", ",", '"'))
    return 64 * opens + 110 * colons + 64 * lists + 40 * commas + 25 * quotes + 2 * len(text)


def fits(text: bytes | str, limits: Limits) -> bool:
    """Return whether a text and its values stay within the limits when they are read whole."""
    return len(text) <= limits.document_size and memory_of(text) <= 2 * limits.document_size


def objects(text: bytes, limits: Limits, member: str = "") -> Iterator[Mapping[str, object]]:
    """Yield every object of a JSON text, inner ones first.

    Raises `FormatError` where the text is not JSON, and `LimitError` where it is longer than a document may
    be or has too many values.
    """
    limits.allow("a JSON document", len(text), limits.document_size, member, 0)
    if fits(text, limits):
        try:
            yield from _whole(text)
        except RecursionError:
            yield from _Stream(text, member).objects()
        except ValueError as error:
            raise FormatError(f"a configuration is not readable as JSON: {error}", member, 0) from error
        return
    yield from _Stream(text, member).objects()


def as_utf8(text: bytes) -> bytes:
    """Return a JSON text in UTF-8; Python's ``json`` recognizes UTF-16 and UTF-32 by their zeros, too."""
    if b"\0" not in text[:4] and text[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return text
    return text.decode(json.detect_encoding(text), "replace").lstrip("\ufeff").encode("utf-8", "replace")


def _whole(text: bytes) -> Iterator[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        found.append(made)
        return made

    json.loads(text.decode("utf-8", "replace").lstrip("\ufeff"), object_pairs_hook=keep)
    yield from found


@dataclass(slots=True)
class _Frame:
    """An object or list that is open: what is kept of it, the key that waits for its value, and what the kept
    values weigh.
    """

    made: dict[str, object] | list[object]
    key: str | None = None
    weight: int = 1

    def add(self, value: object, weight: int) -> None:
        """Keep a value, unless the object or list has become too heavy; of an object, short values stay."""
        if isinstance(self.made, list):
            if len(self.made) < _KEPT_ITEMS and self.weight + weight <= _KEPT_WEIGHT:
                self.made.append(value)
                self.weight += weight
            return
        if self.key is None:
            self.key = value if isinstance(value, str) else str(value)
            return
        key, self.key = self.key, None
        if self.weight + weight > _KEPT_WEIGHT:
            if weight > 1 or self.weight > 2 * _KEPT_WEIGHT:
                value = None
            weight = 1
        self.made[key] = value
        self.weight += weight


@dataclass(slots=True)
class _Stream:
    """A text that is read value by value."""

    text: bytes
    member: str
    frames: list[_Frame] = field(default_factory=list)
    values: int = 0

    def objects(self) -> Iterator[Mapping[str, object]]:
        """Yield the objects as they end."""
        text, end = self.text, len(self.text)
        place = len(_BOM) if text.startswith(_BOM) else 0
        while True:
            place = self._next(place)
            if place >= end:
                break
            self.values += 1
            if self.values > _VALUES:
                raise LimitError(
                    f"a JSON document has more than {_VALUES:,} values; the rest is not read",
                    self.member,
                    place,
                )
            mark = text[place]
            if mark in (0x7B, 0x5B):  # { [
                self._open({} if mark == 0x7B else [], place)
                place += 1
            elif mark in (0x7D, 0x5D):
                place += 1
                closed = self._close(place)
                if isinstance(closed, dict):
                    yield closed
            else:
                place = self._scalar(place, mark)
        if self.frames:
            raise FormatError(
                "a configuration is not readable as JSON: it ends within a value", self.member, end
            )

    def _next(self, place: int) -> int:
        """Return where the next value begins, after separators and long runs of numbers, which are
        dropped.
        """
        while True:
            found = (
                _NUMBERS.match(self.text, place)
                if self.frames and isinstance(self.frames[-1].made, list)
                else None
            )
            if found is None:
                separators = _SEPARATORS.match(self.text, place)
                return separators.end() if separators is not None else place
            place = self._skip_numbers(place, found.end())

    def _skip_numbers(self, place: int, end: int) -> int:
        """Pass numbers and the brackets among them; return where a bracket closes what is not a list, or the
        end.
        """
        run = np.frombuffer(self.text, dtype=np.uint8, count=end - place, offset=place)
        opened, closed = run == 0x5B, run == 0x5D
        depths = np.cumsum(opened.astype(np.int32) - closed.astype(np.int32))
        lists = 0
        while lists < len(self.frames) and isinstance(self.frames[-1 - lists].made, list):
            lists += 1
        low = np.flatnonzero(depths < -lists)
        if len(low):
            end = place + int(low[0])
            depths = depths[: int(low[0])]
        least, final = (min(int(depths.min()), 0), int(depths[-1])) if len(depths) else (0, 0)
        for _ in range(-least):
            self._close(place)
        for _ in range(final - least):
            self._open([], place)
        return end

    def _open(self, made: dict[str, object] | list[object], place: int) -> None:
        if len(self.frames) >= _NESTING:
            raise LimitError(
                f"a JSON document nests deeper than {_NESTING:,} levels; the rest is not read",
                self.member,
                place,
            )
        self.frames.append(_Frame(made))

    def _close(self, place: int) -> dict[str, object] | list[object]:
        if not self.frames:
            raise FormatError(
                "a configuration is not readable as JSON: a bracket closes nothing", self.member, place
            )
        frame = self.frames.pop()
        if self.frames:
            self.frames[-1].add(frame.made, frame.weight)
        return frame.made

    def _scalar(self, place: int, mark: int) -> int:
        """Keep a string, number or word; return where it ends."""
        top = self.frames[-1] if self.frames else _Frame([])
        if mark == 0x22:
            full = isinstance(top.made, list) and (len(top.made) >= _KEPT_ITEMS or top.weight >= _KEPT_WEIGHT)
            strings = _STRINGS.match(self.text, place) if full else None
            if strings is not None:
                return strings.end()
            found = _STRING.match(self.text, place)
            if found is None:
                raise FormatError(
                    "a configuration is not readable as JSON: a string does not end", self.member, place
                )
            top.add(_unquoted(found.group()), 1 + len(found.group()) // 64)
            return found.end()
        found = _WORD.match(self.text, place)
        if found is None:
            raise FormatError("a configuration is not readable as JSON", self.member, place)
        top.add(_word(found.group()), 1)
        return found.end()


def _unquoted(quoted: bytes) -> str:
    text = quoted.decode("utf-8", "replace")
    if "\\" not in text:
        return text[1:-1]
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text[1:-1]
    return value if isinstance(value, str) else ""


def _word(word: bytes) -> object:
    known = {b"true": True, b"false": False, b"null": None}
    if word in known:
        return known[word]
    try:
        return float(word)
    except ValueError:
        return word.decode("utf-8", "replace")
