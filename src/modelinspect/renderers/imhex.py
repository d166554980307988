"""Write a map as bookmarks for the hex editor ImHex: a colored, named and locked bookmark for every region.

The form is what ImHex imports by File, Import, Bookmarks (``view_bookmarks.cpp``): ``color`` is ABGR,
addresses count from the start of the file.
"""

from __future__ import annotations

import json
from typing import TextIO

from modelinspect.core.bytemap import RegionKind
from modelinspect.errors import UsageError
from modelinspect.renderers.escape import plain
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.map import MapReport, RegionEntry

_OPACITY = 0x60
_COLORS = {
    RegionKind.GRAPH: 0x2F9E62,
    RegionKind.METADATA: 0x9AA82F,
    RegionKind.TENSOR_DATA: 0x2F6FDE,
    RegionKind.SPARSE_INDEX: 0x6CC4C4,
    RegionKind.QUANTIZATION: 0xD19A10,
    RegionKind.ASSET: 0xA9716F,
    RegionKind.DEBUG: 0x8F6F4E,
    RegionKind.CONTAINER: 0x707A8A,
    RegionKind.FREE: 0xC3CAD4,
    RegionKind.UNATTRIBUTED: 0xD62839,
}
_OTHER = 0x4A4FA3


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the bookmarks, one line each.

    Raises `UsageError` for other reports than maps, and for maps of several files.
    """
    if not isinstance(report, MapReport):
        raise UsageError("imhex is a form of map; its regions are the bookmarks")
    if len(report.selections) > 1:
        raise UsageError(
            f"imhex marks one file, and this model has {len(report.selections)}: choose one with --member"
        )
    out.write('{"bookmarks": [')
    for index, entry in enumerate(report.entries()):
        out.write(",\n" if index else "\n")
        json.dump(_bookmark(index, entry), out)
    out.write("\n]}\n")


def _bookmark(index: int, entry: RegionEntry) -> dict[str, object]:
    path = " / ".join(plain(part) for part in entry.path)
    tensor = "" if entry.tensor is None else f"Tensor: {plain(entry.tensor)}\n"
    return {
        "id": index,
        "name": path or entry.kind,
        "comment": f"{tensor}Kind: {entry.kind}\n{entry.size:,} bytes at {entry.offset:,}",
        "color": _abgr(_COLORS.get(RegionKind(entry.kind), _OTHER)),
        "region": {"address": entry.offset, "size": entry.size},
        "locked": True,
        "highlightVisible": True,
    }


def _abgr(rgb: int) -> int:
    red, green, blue = rgb >> 16, rgb >> 8 & 0xFF, rgb & 0xFF
    return _OPACITY << 24 | blue << 16 | green << 8 | red
