"""Walk Riegeli/records files: block headers, chunks, and the records of simple chunks.

Specification: https://github.com/google/riegeli/blob/master/doc/riegeli_records_file_format.md. Hashes are
not verified.
"""

from __future__ import annotations

from collections.abc import Iterator

import cramjam

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.protobuf.wire import Malformed, read_varint
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, UnsupportedFeatureError

SIGNATURE = bytes.fromhex(
    "83af70d10d884a3f000000000000000040000000000000" + "0091bac23c9287e1a90000000000000000e19f13c0e9b1c37273"
)
"""How every such file begins: a block header and a chunk of type ``s``."""
BLOCK = 1 << 16
BLOCK_HEADER = 24
CHUNK_HEADER = 40
_SIMPLE = ord("r")
_CODECS = {ord("b"): "brotli", ord("z"): "zstd"}


@dataclass(frozen=True, slots=True)
class Record:
    """A record: its number in the file, its bytes, and the spans that store them, where they are not
    compressed.

    ``position`` is what the file calls it by: where its chunk begins, plus its number there.
    """

    position: int
    data: bytes
    stored: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: where it begins and ends, its type, its data's spans between block headers, and its
    records.
    """

    begin: int
    end: int
    type: int
    data: tuple[Span, ...]
    values: tuple[Span, ...]
    records: tuple[Record, ...]


def chunks(walk: Walk) -> Iterator[Chunk]:
    """Yield the chunks and claim all framing; the data of chunks, and where they are simple only the values,
    are the caller's.

    Trouble ends the walk: what follows stays unclaimed.
    """
    claims, source = walk.claims, walk.source
    framing = claims.path("block header")
    for place in range(0, source.size - BLOCK_HEADER + 1, BLOCK):
        claims.claim(place, BLOCK_HEADER, RegionKind.CONTAINER, framing)
    place = 0
    number = 0
    try:
        while place < source.size:
            chunk = _chunk(walk, place, number)
            yield chunk
            place, number = chunk.end, number + 1
    except FormatError as error:
        walk.report(error)


def pieces(begin: int, size: int) -> Iterator[Span]:
    """Yield the spans of ``size`` bytes from ``begin`` on that are not block headers."""
    while size > 0:
        if begin % BLOCK < BLOCK_HEADER:
            begin += BLOCK_HEADER - begin % BLOCK
        run = min(size, BLOCK - begin % BLOCK)
        yield Span(begin, run)
        begin, size = begin + run, size - run


def _chunk(walk: Walk, begin: int, number: int) -> Chunk:
    source, claims = walk.source, walk.claims
    path = claims.path(f"chunk {number}")
    header = tuple(pieces(begin, CHUNK_HEADER))
    cursor = Cursor(_read(walk, header, "a chunk header"), source.name, begin, "a chunk header")
    cursor.skip(8)
    size = cursor.u64()
    cursor.skip(8)
    type_ = cursor.u8()
    count = cursor.uint(7)
    decoded = cursor.u64()
    if size > source.size:
        raise FormatError(
            f"a chunk needs {size:,} bytes but the file has {source.size:,}", source.name, begin
        )
    for span in header:
        claims.claim(span.offset, span.size, RegionKind.CONTAINER, path)
    data = tuple(pieces(header[-1].end, size))
    after = data[-1].end if data else header[-1].end
    end = max(after, _boundary(begin + count))
    if end > source.size:
        raise FormatError(f"a chunk ends {end - source.size:,} bytes after the file", source.name, begin)
    for span in pieces(after, end - after - _headers(after, end)):
        claims.claim(span.offset, span.size, RegionKind.FREE, claims.path(f"chunk {number}", "padding"))
    if type_ != _SIMPLE:
        return Chunk(begin, end, type_, data, data, ())
    return _simple(walk, begin, end, data, count, decoded, number)


def _simple(
    walk: Walk, begin: int, end: int, data: tuple[Span, ...], count: int, decoded: int, number: int
) -> Chunk:
    """Read a simple chunk: the sizes of its records, then their bytes one after another, both perhaps
    compressed.
    """
    walk.limits.allow("the records of a chunk", count, walk.limits.objects, walk.source.name, begin)
    walk.limits.allow(
        "a chunk",
        max(decoded, sum(s.size for s in data)),
        walk.limits.structure_size,
        walk.source.name,
        begin,
    )
    content = _read(walk, data, "a chunk")
    try:
        codec = content[0] if content else 0
        sizes_size, place = read_varint(content, 1, len(content))
        values_at = place + sizes_size
        if values_at > len(content):
            raise Malformed(
                f"the sizes of its records need {sizes_size:,} bytes but {len(content) - place:,} are left",
                place,
            )
        sizes = _sizes(_decode(content[place:values_at], codec, walk.limits, None), count)
        values = _decode(content[values_at:], codec, walk.limits, decoded)
    except Malformed as trouble:
        raise FormatError(
            f"a chunk of records is broken: {trouble.problem}", walk.source.name, begin
        ) from trouble
    if sum(sizes) != len(values):
        raise FormatError(
            f"the records of a chunk take {sum(sizes):,} bytes but it has {len(values):,}",
            walk.source.name,
            begin,
        )
    for span in _part(data, 0, values_at):
        walk.claims.claim(
            span.offset, span.size, RegionKind.CONTAINER, walk.claims.path(f"chunk {number}", "sizes")
        )
    stored = _part(data, values_at, len(content) - values_at)
    places = _split(stored, sizes) if codec == 0 else iter([()] * count)
    records: list[Record] = []
    first = 0
    for index, size in enumerate(sizes):
        records.append(Record(begin + index, values[first : first + size], next(places)))
        first += size
    return Chunk(begin, end, _SIMPLE, data, stored, tuple(records))


def _sizes(data: bytes, count: int) -> list[int]:
    if count > len(data):
        raise Malformed(f"{count:,} sizes do not fit in {len(data):,} bytes", 0)
    sizes: list[int] = []
    place = 0
    for _ in range(count):
        size, place = read_varint(data, place, len(data))
        sizes.append(size)
    return sizes


def _decode(data: bytes, codec: int, limits: Limits, wanted: int | None) -> bytes:
    if codec == 0:
        return data
    if codec not in _CODECS:
        raise UnsupportedFeatureError(f"chunks of compression type {codec:#x} are not read")
    size, place = read_varint(data, 0, len(data))
    limits.allow(
        "a compressed chunk",
        size,
        min(limits.structure_size, max(limits.block_size, limits.expansion * len(data))),
    )
    if wanted is not None and size != wanted:
        raise Malformed(f"{size:,} decoded bytes are given but {wanted:,} expected", 0)
    output = bytearray(size)
    try:
        written = getattr(cramjam, _CODECS[codec]).decompress_into(data[place:], output)
    except (cramjam.DecompressionError, ValueError, OSError) as error:
        raise Malformed(f"its {_CODECS[codec]} data cannot be decoded: {error}", place) from error
    if written != size:
        raise Malformed(f"it decodes to {written:,} bytes, not {size:,}", place)
    return bytes(output)


def _part(spans: tuple[Span, ...], first: int, size: int) -> tuple[Span, ...]:
    """Return the spans of ``[first, first + size)`` of what the spans hold one after another."""
    found: list[Span] = []
    for span in spans:
        if first < span.size and size > 0:
            run = min(span.size - first, size)
            found.append(Span(span.offset + first, run))
            size -= run
            first = 0
        else:
            first = max(first - span.size, 0)
    return tuple(found)


def _split(spans: tuple[Span, ...], sizes: list[int]) -> Iterator[tuple[Span, ...]]:
    """Yield the spans of runs of these sizes, one after another."""
    rest = list(reversed(spans))
    for size in sizes:
        found: list[Span] = []
        while size > 0 and rest:
            span = rest.pop()
            run = min(size, span.size)
            found.append(Span(span.offset, run))
            if run < span.size:
                rest.append(Span(span.offset + run, span.size - run))
            size -= run
        yield tuple(found)


def _read(walk: Walk, spans: tuple[Span, ...], what: str) -> bytes:
    for span in spans:
        walk.source.require(span.offset, span.size, what)
    return b"".join(walk.source.read_at(span.offset, span.size) for span in spans)


def _boundary(place: int) -> int:
    """Round up to where a chunk may end: not inside a block header, nor right after one."""
    inside = place % BLOCK
    return place - inside + BLOCK_HEADER + 1 if 0 < inside <= BLOCK_HEADER else place


def _headers(begin: int, end: int) -> int:
    """Return the bytes of block headers in ``[begin, end)``."""
    total = 0
    for block in range(begin // BLOCK * BLOCK, end, BLOCK):
        total += max(min(block + BLOCK_HEADER, end) - max(block, begin), 0)
    return total
