"""Distinguish the padding of a flatbuffer from bytes that belong to nothing, and tables and vtables that a
builder dropped: nothing leads to them any more.

A builder writes back to front and adds zeros until the next structure is aligned, also for one that it then
leaves out (an empty buffer). Most alignments are those of the schema; a writer may force a larger one for a
vector (``ForceVectorAlignment``: the compilers for the Edge TPU align byte code to 16 bytes or more, and
leave up to 44 zeros). So a gap of zeros is padding where it is shorter than the schema's largest alignment,
or where a complete walk proves that nothing refers to it. What is not zero is never padding.
"""

from __future__ import annotations

import numpy as np

from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.flatbuffers.columns import Columns
from modelinspect.encodings.flatbuffers.sheet import Sheet
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError

MOST_REPORTED = 20
_LARGEST_ALIGNMENT = 64
"""More zeros than that between two structures are not writer's padding: they are reported."""


def claim_padding(
    walk: Walk, sheet: Sheet, columns: Columns, alignment: int, end: int | None, vtables: set[int] | None
) -> int:
    """Claim the padding between and after the structures; return where the last one ends, its padding
    included.

    ``end`` is where the flatbuffer ends; None where something else may follow it. ``vtables`` are those that
    a complete walk used, None where it was not complete. A complete walk also describes the remains of tables
    that nothing leads to, which are free, and reports what is neither.
    """
    begins, ends = columns.spans()
    last = int(ends[-1])
    left = _remains(sheet, last, sheet.size if end is None else end, vtables) if vtables is not None else 0
    if left:
        walk.claims.claim(last, left, RegionKind.FREE, walk.claims.path("unreferenced"))
        last += left
    limit = min(sheet.size, end) if end is not None else last + _tail(sheet, last, alignment)
    gaps = np.flatnonzero(begins[1:] > ends[:-1])
    starts, stops = ends[gaps], begins[gaps + 1]
    del begins, ends
    if limit > last:
        starts, stops = np.append(starts, last), np.append(stops, limit)
    sizes = stops - starts
    small = sizes < (alignment if vtables is None else _LARGEST_ALIGNMENT)
    zero = small.copy()
    for index in range(int(sizes[small].max(initial=0))):
        within = small & (sizes > index)
        zero[within] &= sheet.gather(starts[within] + index, "u1") == 0
    walk.claims.claim_many(starts[zero], sizes[zero], RegionKind.FREE.code, walk.claims.path("padding"))
    if vtables is not None:
        _claim_remains(walk, sheet, starts[~zero].tolist(), sizes[~zero].tolist(), vtables)
    return max(limit, last)


def _tail(sheet: Sheet, last: int, alignment: int) -> int:
    """Count the zeros after the last structure that fill it up to its alignment."""
    count = 0
    while (
        (last + count) % alignment and last + count < sheet.size and sheet.bytes_at(last + count, 1) == b"\0"
    ):
        count += 1
    return count


def _claim_remains(walk: Walk, sheet: Sheet, starts: list[int], sizes: list[int], vtables: set[int]) -> None:
    run_count = 0
    for start, size in zip(starts, sizes, strict=True):
        left = _remains(sheet, start, start + size, vtables)
        if size - left >= 4 or any(sheet.bytes_at(start + left, size - left)):
            run_count += 1
            if run_count <= MOST_REPORTED:
                walk.report(
                    FormatError(
                        f"{size:,} bytes belong to no structure that the root leads to",
                        walk.source.name,
                        start,
                    )
                )
            continue
        walk.claims.claim(start, size, RegionKind.FREE, walk.claims.path("unreferenced"))
    if run_count > MOST_REPORTED:
        problem = (
            f"{run_count - MOST_REPORTED:,} more runs of bytes belong to no structure that the root leads to"
        )
        walk.report(FormatError(problem, walk.source.name, starts[0]))


_PADDING = 16
"""Zeros after a vtable are fewer: the largest alignment of a vector."""


def _remains(sheet: Sheet, start: int, end: int, vtables: set[int]) -> int:
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
