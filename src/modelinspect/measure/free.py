"""Find bytes that are where the format says that nothing is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.artifact import Artifact, Member
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import KIB, Limits
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    Hdf5Payload,
    JoinedPayload,
    LookupPayload,
    ProtobufPayload,
    RawPayload,
    SplatPayload,
    Stream,
    Tensor,
    ZarrPayload,
)
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_WINDOW = 512 * KIB
_GAP = 4 * KIB
"""Free regions closer than this are read at once, with what is between them."""


@dataclass(frozen=True, slots=True)
class HiddenBytes:
    """A free region that holds something: how many of its bytes are not zero, and where the first of them
    is.
    """

    member: str
    span: Span
    path: tuple[str, ...]
    count: int
    first: int


@dataclass(frozen=True, slots=True)
class HiddenReport:
    """The free regions that hold something, by member and offset; the counts include those that were not
    kept.
    """

    regions: tuple[HiddenBytes, ...]
    region_count: int
    byte_count: int


def find_hidden(artifact: Artifact, files: FileSet, limits: Limits | None = None) -> HiddenReport:
    """Read every free region, and say which hold bytes that are not zero.

    Raises `SourceChangedError` where a file shrinks.
    """
    most = (limits or Limits()).diagnostics
    packed = _compressed_runs(artifact.tensors)
    kept: list[HiddenBytes] = []
    regions = total = 0
    for member in artifact.members:
        rows = _free_rows(member, packed.get(member.name, []))
        if not len(rows):
            continue
        for row, count, first in _occupied(files.open(member.name), member, rows):
            regions += 1
            total += count
            if len(kept) < most:
                region = member.map[row]
                kept.append(HiddenBytes(member.name, region.span, region.path, count, first))
    return HiddenReport(tuple(kept), regions, total)


def _free_rows(member: Member, packed: list[Span]) -> NDArray[np.int64]:
    """Return the rows of the free regions whose bytes are as they are; those of compressed runs are
    something's code.
    """
    columns = member.map.columns
    rows = np.flatnonzero(columns.kinds == RegionKind.FREE.code)
    for run in packed:
        starts = columns.offsets[rows]
        rows = rows[(starts < run.offset) | (starts >= run.end)]
    return rows


def _occupied(source: Source, member: Member, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Yield row, number and first offset of bytes that are not zero, for each region that has some."""
    buffer = bytearray(_WINDOW)
    starts, sizes = member.map.columns.offsets[rows], member.map.columns.sizes[rows]
    index = 0
    while index < len(rows):
        begin = int(starts[index])
        if int(sizes[index]) > _WINDOW:
            count, first = _scan(source, begin, int(sizes[index]), buffer)
            if count:
                yield int(rows[index]), count, first
            index += 1
            continue
        last = _window_end(starts, sizes, index)
        end = int(starts[last - 1] + sizes[last - 1])
        view = memoryview(buffer)[: end - begin]
        source.read_into(begin, view)
        filled = np.frombuffer(view, dtype=np.uint8) != 0
        if filled.any():
            before = np.concatenate(([0], np.cumsum(filled)))
            heads, tails = starts[index:last] - begin, starts[index:last] + sizes[index:last] - begin
            counts = before[tails] - before[heads]
            for found in np.flatnonzero(counts).tolist():
                first = int(heads[found]) + int(filled[heads[found] : tails[found]].argmax())
                yield int(rows[index + found]), int(counts[found]), begin + first
        index = last


def _window_end(starts: NDArray[np.int64], sizes: NDArray[np.int64], index: int) -> int:
    """Return the index after the last region that is read with the one at ``index``."""
    begin = int(starts[index])
    last = index + 1
    stop = int(np.searchsorted(starts, begin + _WINDOW))
    ends = starts[index:stop] + sizes[index:stop]
    far = np.flatnonzero((starts[index + 1 : stop] - ends[:-1] > _GAP) | (ends[1:] > begin + _WINDOW))
    return last + int(far[0]) if len(far) else max(stop, last)


def _scan(source: Source, offset: int, size: int, buffer: bytearray) -> tuple[int, int]:
    count, first = 0, -1
    for start in range(offset, offset + size, len(buffer)):
        view = memoryview(buffer)[: min(len(buffer), offset + size - start)]
        source.read_into(start, view)
        block = np.frombuffer(view, dtype=np.uint8)
        some = int(np.count_nonzero(block))
        if some and first < 0:
            first = start + int((block != 0).argmax())
        count += some
    return count, first


def _compressed_runs(tensors: tuple[Tensor, ...]) -> dict[str, list[Span]]:
    """Return the compressed runs that tensors are in, by member."""
    found: dict[str, set[Span]] = {}
    for stream in {stream for tensor in tensors for stream in _streams(tensor)}:
        run = stream.stored[1]
        if run is not None:
            found.setdefault(stream.member, set()).add(run)
    return {member: sorted(spans) for member, spans in found.items()}


def _streams(tensor: Tensor) -> tuple[Stream, ...]:
    match tensor.payload:
        case (
            RawPayload(stream=stream)
            | SplatPayload(stream=stream)
            | Hdf5Payload(stream=stream)
            | ProtobufPayload(stream=stream)
        ):
            return (stream,)
        case LookupPayload(stream=stream):
            return (stream,)
        case ZarrPayload(streams=streams):
            return streams
        case JoinedPayload(parts=parts):
            return tuple(part.stream for part in parts)
        case _:
            return ()
