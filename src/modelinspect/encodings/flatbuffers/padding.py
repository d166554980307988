"""Distinguish the padding of a flatbuffer from bytes that belong to nothing.

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
from modelinspect.encodings.flatbuffers.remains import remains
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
    reach = np.maximum.accumulate(ends)
    last = int(reach[-1])
    left = remains(sheet, last, sheet.size if end is None else end, vtables) if vtables is not None else 0
    if left:
        walk.claims.claim(last, left, RegionKind.FREE, walk.claims.path("unreferenced"))
        reach[-1] = last = last + left
    limit = min(sheet.size, end) if end is not None else last + _tail(sheet, last, alignment)
    stops = np.concatenate((begins[1:], [limit]))
    open_gaps = stops > reach
    starts, sizes = reach[open_gaps], (stops - reach)[open_gaps]
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
        left = remains(sheet, start, start + size, vtables)
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
