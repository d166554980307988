"""Walk gzip members: headers and trailers are claimed, what they compress is left to the caller.

Specification: RFC 1952, section 2.3.
"""

from __future__ import annotations

from enum import IntEnum

from modelinspect.core import signatures
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import KIB
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip_headers import printable
from modelinspect.errors import FormatError
from modelinspect.sources.base import Source
from modelinspect.sources.decoders import Frame

"""What a gzip member begins with: the identification and the one method there is."""

_TRAILER_SIZE = 8
_FIRST_READ = 512
_HEADER_LIMIT = 256 * KIB


class _Flag(IntEnum):
    """Which optional fields a header has."""

    CRC = 2
    EXTRA = 4
    NAME = 8
    COMMENT = 16


def walk_gzip(walk: Walk, frames: tuple[Frame, ...], *, broken: bool = False) -> tuple[Span, ...]:
    """Claim the header and the trailer of every member and what follows the last; return what was claimed.

    ``frames`` are the members, as a decoder of the whole source found them to end; ``broken`` says that it
    could not decode one more to its end.
    """
    claimed: list[Span] = []
    container, path = RegionKind.CONTAINER, walk.claims.path
    for number, frame in enumerate(frames):
        names = () if len(frames) == 1 else (f"member {number}",)
        begin, end = frame.stored.offset, frame.stored.end
        size = header_size(walk.source, begin)
        trailer = max(end - _TRAILER_SIZE, begin + size)
        walk.claims.claim(begin, size, container, path(*names, "member header"))
        walk.claims.claim(trailer, end - trailer, container, path(*names, "CRC32 and ISIZE"))
        claimed += [Span(begin, size), Span(trailer, end - trailer)]
    end = frames[-1].stored.end if frames else 0
    if broken:
        size = header_size(walk.source, end)
        walk.claims.claim(end, size, container, path("member header"))
        claimed.append(Span(end, size))
    elif frames and end < walk.source.size:
        left = walk.source.size - end
        if any(walk.source.read_at(end, min(left, _FIRST_READ))):
            walk.report(
                FormatError(
                    f"{left:,} bytes after the last gzip member do not belong to it", walk.source.name, end
                )
            )
        walk.claims.claim(end, left, RegionKind.FREE, path("trailing bytes"))
    return tuple(claimed)


def header_size(source: Source, offset: int) -> int:
    """Return the size of the member header at ``offset``. Raises `FormatError`."""
    size = min(_FIRST_READ, source.size - offset)
    try:
        return _read_header(Cursor(source.read_at(offset, size), source.name, offset, "gzip member header"))
    except FormatError:
        if size == source.size - offset:
            raise
    size = min(_HEADER_LIMIT, source.size - offset)
    return _read_header(Cursor(source.read_at(offset, size), source.name, offset, "gzip member header"))


def original_name(source: Source) -> str:
    """Return the file name that the first member's header states, empty where it says none.

    Raises `FormatError`.
    """
    data = source.read_at(0, min(_HEADER_LIMIT, source.size))
    cursor = Cursor(data, source.name, 0, "gzip member header")
    cursor.expect(signatures.GZIP_DEFLATE)
    flags = cursor.u8()
    if not flags & _Flag.NAME:
        return ""
    cursor.skip(6)
    if flags & _Flag.EXTRA:
        cursor.skip(cursor.u16())
    begin = cursor.index
    _skip_text(cursor)
    return printable(data[begin : cursor.index - 1].decode("latin-1"))


def _read_header(cursor: Cursor) -> int:
    cursor.expect(signatures.GZIP_DEFLATE)
    flags = cursor.u8()
    cursor.skip(6)
    if flags & _Flag.EXTRA:
        cursor.skip(cursor.u16())
    if flags & _Flag.NAME:
        _skip_text(cursor)
    if flags & _Flag.COMMENT:
        _skip_text(cursor)
    if flags & _Flag.CRC:
        cursor.skip(2)
    return cursor.index


def _skip_text(cursor: Cursor) -> None:
    end = cursor.data.find(b"\0", cursor.index)
    if end < 0:
        raise cursor.error("a text of the gzip member header has no end")
    cursor.skip(end + 1 - cursor.index)
