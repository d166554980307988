"""Recognize what a builder dropped: tables and vtables that nothing leads to any more."""

from __future__ import annotations

from modelinspect.encodings.flatbuffers.sheet import Sheet
from modelinspect.errors import FormatError

_PADDING = 16
"""Zeros after a vtable are fewer: the largest alignment of a vector."""


def remains(sheet: Sheet, start: int, end: int, vtables: set[int]) -> int:
    """Return how many bytes from ``start`` on are tables of known vtables, vtables with their table, or
    vtables that fill the rest.

    ``vtables`` are the places of those that the walk used; found ones are added. Zeros count only between two
    of them.
    """
    position = good = start
    while position + 4 <= end:
        size = (
            _table(sheet, position, end, vtables)
            or _vtable(sheet, position, end, vtables)
            or _orphan(sheet, position, end)
        )
        if size:
            position += size
            good = position
        elif position - good < 3 and sheet.bytes_at(position, 1) == b"\0":
            position += 1
        else:
            break
    return good - start


def _table(sheet: Sheet, position: int, end: int, vtables: set[int]) -> int:
    vtable = position - int.from_bytes(sheet.bytes_at(position, 4), "little", signed=True)
    if vtable not in vtables and not (position < vtable <= end - 8 and _vtable(sheet, vtable, end, vtables)):
        return 0
    try:
        size = int.from_bytes(sheet.bytes_at(vtable + 2, 2), "little")
    except FormatError:
        return 0
    return size if size >= 4 and position + size <= end else 0


def _orphan(sheet: Sheet, position: int, end: int) -> int:
    """Return the bytes of a vtable that nothing uses any more, and of its padding: it ends where the gap
    does, but for padding.

    A builder that finds an equal vtable drops the one that it has just written; some leave its bytes.
    """
    length, size = (int.from_bytes(sheet.bytes_at(position + place, 2), "little") for place in (0, 2))
    left = end - position - length
    if (
        length < 4
        or length % 2
        or not 0 <= left < _PADDING
        or size < 4
        or any(sheet.bytes_at(position + length, left))
    ):
        return 0
    fields = sheet.bytes_at(position + 4, length - 4)
    places = [int.from_bytes(fields[index : index + 2], "little") for index in range(0, length - 4, 2)]
    return end - position if all(place == 0 or 4 <= place < size for place in places) else 0


def _vtable(sheet: Sheet, position: int, end: int, vtables: set[int]) -> int:
    length, size = (int.from_bytes(sheet.bytes_at(position + place, 2), "little") for place in (0, 2))
    if length < 4 or length % 2 or position + length + size > end or size < 4:
        return 0
    places = sheet.bytes_at(position + 4, length - 4)
    if any(int.from_bytes(places[index : index + 2], "little") >= size for index in range(0, length - 4, 2)):
        return 0
    if int.from_bytes(sheet.bytes_at(position + length, 4), "little") != length:
        return 0
    vtables.add(position)
    return length
