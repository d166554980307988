"""Requests for several ranges of a file at once, and the parts of the reply (RFC 9110, sections 14 and 14.6).

Nothing here trusts the server: a reply is taken only if it has each range that was asked for once, with the
length that it says, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modelinspect.core.limits import KIB, MIB
from modelinspect.core.records import dataclass

Range = tuple[int, int]
"""The first byte, and the one after the last."""
_MOST_RANGES = 100
"""Ranges of one request: Apache answers 200, and headers of 8 KiB pass everywhere."""
_MOST_BYTES = 8 * MIB
_HEAD = 512
"""Bytes that the headers of a part may take."""
_GAP = 32 * KIB
"""Ranges so near each other are read as one where each costs a request."""
_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70})(?=[\s;]|$))', re.IGNORECASE)
_CONTENT_RANGE = re.compile(rb"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Parts:
    """The bytes of each range in the order in which they were asked for, and the size of the whole file."""

    parts: list[bytes]
    size: int


def batches(ranges: Sequence[Range]) -> Iterator[Sequence[Range]]:
    """Yield the ranges of each request."""
    batch: list[Range] = []
    size = 0
    for begin, end in ranges:
        if batch and (len(batch) == _MOST_RANGES or size + end - begin > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((begin, end))
        size += end - begin
    if batch:
        yield batch


def merge(ranges: Sequence[Range]) -> list[Range]:
    """Return ranges that contain the given ones, which are in order, with what is between near ones."""
    merged: list[Range] = []
    for begin, end in ranges:
        if merged and begin - merged[-1][1] <= _GAP:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def cut(ranges: Sequence[Range], wider: Sequence[Range], data: Sequence[bytes]) -> list[bytes]:
    """Return the bytes of ranges out of those of the wider ones that `merge` made."""
    parts: list[bytes] = []
    at = 0
    for begin, end in ranges:
        while end > wider[at][1]:
            at += 1
        first = wider[at][0]
        parts.append(data[at][begin - first : end - first])
    return parts


def boundary_of(content_type: str) -> bytes | None:
    """Return what separates the parts; None where the reply has no parts."""
    if not content_type.lower().lstrip().startswith("multipart/byteranges"):
        return None
    match = _BOUNDARY.search(content_type)
    return (match[1] or match[2]).encode("latin-1", "replace") if match is not None else None


def most_bytes(ranges: Sequence[Range]) -> int:
    """Return how long a reply may be."""
    return sum(end - begin for begin, end in ranges) + _HEAD * (len(ranges) + 2)


def read_parts(data: bytes, boundary: bytes, ranges: Sequence[Range]) -> Parts | None:
    """Return the parts of a reply; None where it is not exactly what was asked for, in any order."""
    wanted = {(begin, end): place for place, (begin, end) in enumerate(ranges)}
    found: dict[int, bytes] = {}
    sizes: set[int] = set()
    mark = b"--" + boundary
    at = data.find(mark)
    if at < 0 or data[:at].strip(b"\r\n"):
        return None
    while data[at : at + len(mark)] == mark:
        at += len(mark)
        if data[at : at + 2] == b"--":
            whole = len(found) == len(ranges) and len(sizes) == 1
            return Parts([found[place] for place in range(len(ranges))], sizes.pop()) if whole else None
        head_end = data.find(b"\r\n\r\n", at, at + _HEAD)
        if head_end < 0:
            return None
        span = _span(data[at:head_end])
        if span is None or span[:2] not in wanted:
            return None
        begin, end, size = span
        place = wanted[begin, end]
        part = data[head_end + 4 : head_end + 4 + end - begin]
        at = head_end + 4 + end - begin
        if place in found or len(part) != end - begin or data[at : at + 2] != b"\r\n":
            return None
        found[place] = part
        sizes.add(size)
        at += 2
    return None


def _span(head: bytes) -> tuple[int, int, int] | None:
    """Return the range of a part and the size of the file, as its only ``Content-Range`` says."""
    spans = []
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-range":
            spans.append(_CONTENT_RANGE.fullmatch(value.strip()))
        elif name.strip().lower() == b"content-encoding":
            return None
    if len(spans) != 1 or spans[0] is None:
        return None
    first, last, size = (int(number) for number in spans[0].groups())
    return first, last + 1, size
