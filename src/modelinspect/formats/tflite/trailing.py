"""Claim what is after the flatbuffer: buffers' pads, byte code, an archive of associated files."""

from __future__ import annotations

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, Facts
from modelinspect.encodings.zip import find_end_record, walk_zip
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site

LONGEST_PAD = 4096
"""Accelerators want their byte code on its own page; no pad is longer."""


def claim_archive(site: Site, end: int, facts: Facts) -> int:
    """Claim the zip archive that ends the file, if there is one after ``end``; return where it begins.

    Metadata writers append it to the model, so its offsets count from the start of the file.
    """
    if site.source.size - end < 22:
        return site.source.size
    record = find_end_record(site.source)
    if record is None or record < end:
        return site.source.size
    path = site.claims.path("associated files")
    try:
        directory = walk_zip(site.walk, path)
    except FormatError as error:
        site.survive(error)
        return site.source.size
    files: dict[str, Fact] = {}
    for member in directory.members:
        if member.data is not None and member.data.offset >= end:
            place = site.claims.paths.child(path, member.name)
            site.claims.claim(member.data.offset, member.data.size, RegionKind.ASSET, place)
            files[member.name] = member.size
    facts["associated_files"] = files
    trailing = site.source.size - directory.end
    if trailing:
        _claim_trailing(site, directory.end, trailing)
    return max(directory.begin, end)


def claim_zeros(site: Site, taken: list[tuple[int, int]], begin: int, end: int) -> None:
    """Claim the zeros between spans of ``[begin, end)`` as padding, and other bytes as trailing ones, which
    the facts count.
    """
    position = begin
    for offset, size in [*sorted(taken), (end, 0)]:
        if offset > position:
            _claim_gap(site, position, min(offset, end) - position)
        position = max(position, offset + size)
        if position >= end:
            break


def _claim_gap(site: Site, offset: int, size: int) -> None:
    if size <= 0:
        return
    if size <= LONGEST_PAD and not any(site.source.read_at(offset, size)):
        site.claims.claim(offset, size, RegionKind.FREE, site.claims.path("padding"))
        return
    _claim_trailing(site, offset, size)


def _claim_trailing(site: Site, offset: int, size: int) -> None:
    """Claim bytes that nothing in the model leads to: a tool's output that went into the file, or something
    hidden.
    """
    site.claims.claim(offset, size, RegionKind.FREE, site.claims.path("trailing bytes"))
    known = site.parsing.facts.get("trailing_bytes", 0)
    site.parsing.facts["trailing_bytes"] = size + (known if isinstance(known, int) else 0)
