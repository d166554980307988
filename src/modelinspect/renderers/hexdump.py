"""Lay out an annotated hexdump: offset, bytes, characters, what they are."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.renderers.escape import plain
from modelinspect.renderers.layout import cut, pad
from modelinspect.reports.blocks import Dump, DumpRegion

Spans = list[tuple[str, str]]
"""A line as text and the name of its style."""

_LEAST_LABEL = 14


def dump_lines(dump: Dump, width: int, ellipsis: str = "...") -> Iterator[Spans]:
    """Yield the lines of a dump; each region begins its own line, and its label is beside its bytes."""
    digits = max(len(f"{max(dump.end - 1, 0):x}"), 4)
    per_line = next(
        (
            count
            for count in (16, 8, 4)
            if digits + 6 + 4 * count + 1 + (32 if count == 16 else _LEAST_LABEL) <= width
        ),
        4,
    )
    room = width - digits - 6 - 4 * per_line - 1
    for region in dump.regions:
        labels = _labels(region, max(room, 8), ellipsis)
        for line in _region_lines(region, per_line, digits, ellipsis, dump.mark):
            label = next(labels, "")
            yield [*line, (label, region.kind)] if label else line


def _region_lines(
    region: DumpRegion, per_line: int, digits: int, ellipsis: str, mark: int | None
) -> Iterator[Spans]:
    reached = region.offset
    for begin, data in region.pieces:
        if begin > reached:
            yield _elided(begin - reached, per_line, digits, ellipsis)
        for index in range(0, len(data), per_line):
            yield _data_line(begin + index, data[index : index + per_line], per_line, digits, mark)
        reached = begin + len(data)
    if reached < region.offset + region.size:
        yield _elided(region.offset + region.size - reached, per_line, digits, ellipsis)


def _data_line(offset: int, data: bytes, per_line: int, digits: int, mark: int | None) -> Spans:
    """Return a line of bytes; the one at ``mark`` is in brackets."""
    numbers = pad(f" {' '.join(f'{byte:02x}' for byte in data)}", 3 * per_line + 2, right=False)
    characters = pad(
        "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data), per_line, right=False
    )
    spans: Spans = [(f"{offset:0{digits}x} ", "offset")]
    if mark is not None and offset <= mark < offset + len(data):
        place = 3 * (mark - offset)
        spans += [
            (numbers[:place], ""),
            (f"[{numbers[place + 1 : place + 3]}]", "mark"),
            (numbers[place + 4 :], ""),
        ]
    else:
        spans.append((numbers, ""))
    return [*spans, (f"{characters}  ", "characters")]


def _elided(size: int, per_line: int, digits: int, ellipsis: str) -> Spans:
    text = f"{ellipsis} {size:,} more bytes"
    return [(f"{pad('', digits, right=False)}  {pad(text, 4 * per_line + 1, right=False)}  ", "offset")]


def _labels(region: DumpRegion, room: int, ellipsis: str) -> Iterator[str]:
    """Yield what is beside the lines: the end of the path says most, so it is the beginning that is cut."""
    lines = sum(-(-len(data) // 8) for _, data in region.pieces)
    path = plain(region.label) or "unknown"
    if lines > 1:
        yield cut(path, room, ellipsis)
        label_text = f"({region.kind}, {region.size:,} bytes)"
        yield label_text if len(label_text) <= room else cut(f"({region.kind})", room, ellipsis)
    else:
        short = f"{path} ({region.kind})"
        yield short if len(short) <= room else cut(path, room, ellipsis)
