"""Place the weights of a TensorFlow.js model in its binary files, where they are without padding and may
straddle files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from math import prod

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import KIB
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import DTYPES, JoinedPayload, Payload, Role, Storage, Tensor
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.tfjs.manifest import Group, Weight

_LENGTH = 4
_WINDOW = 64 * KIB


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of a group, or a part of one; ``offset`` is that of its first byte in the group's bytes."""

    site: Site
    offset: int


@dataclass(frozen=True, slots=True)
class _Placed:
    weight: Weight
    offset: int
    size: int


def place_weights(
    parsing: Parsing, group: Group, available: set[str], owner: Site, role: Callable[[Weight], Role]
) -> None:
    """Add the tensors of a group and claim their bytes in those of its files that are there."""
    sites = [parsing.open(path) if path in available else None for path in group.paths]
    for path, site in zip(group.paths, sites, strict=True):
        if site is None:
            owner.diagnose(f"weights file {path!r} is not there", None, Severity.ERROR)
    pieces = _from_start(sites)
    weights, end = _measure(group, pieces, owner)
    if end is not None and len(pieces) < len(sites):
        pieces += _from_end(sites[len(pieces) :], end)
    for placed in weights:
        _add(parsing, placed, pieces, role(placed.weight))
    for piece in pieces:
        _claim_rest(piece, end, group)
    for site in {
        id(site): site
        for site in sites
        if site is not None and all(piece.site is not site for piece in pieces)
    }.values():
        site.diagnose("where its weights begin is unknown: files before and after it are missing", 0)


def _from_start(sites: list[Site | None]) -> list[Piece]:
    """Return the files up to the first that is missing."""
    pieces: list[Piece] = []
    offset = 0
    for site in sites:
        if site is None:
            break
        pieces.append(Piece(site, offset))
        offset += site.source.size
    return pieces


def _from_end(sites: list[Site | None], end: int) -> list[Piece]:
    """Return the files after the last that is missing: they end where the weights end."""
    pieces: list[Piece] = []
    for site in reversed(sites):
        if site is None or end < site.source.size:
            break
        end -= site.source.size
        pieces.append(Piece(site, end))
    return pieces[::-1]


def _measure(group: Group, pieces: list[Piece], owner: Site) -> tuple[list[_Placed], int | None]:
    """Return where each weight is, and where the last ends; None from a string weight on whose bytes are
    missing.
    """
    placed: list[_Placed] = []
    offset = 0
    for weight in group.weights:
        size = weight.size
        if size is None:
            size = _string_size(weight, pieces, offset, owner.limits.objects)
        if size is None:
            owner.diagnose(
                f"string weight {weight.name} is not whole; what follows it in its group cannot be placed"
            )
            return placed, None
        placed.append(_Placed(weight, offset, size))
        offset += size
    return placed, offset


def _string_size(weight: Weight, pieces: list[Piece], offset: int, limit: int) -> int | None:
    """Add up the lengths that are before each string."""
    begin, end = offset, pieces[-1].offset + pieces[-1].site.source.size if pieces else 0
    count = prod(weight.shape)
    if count * _LENGTH > end - begin or count > limit:
        return None
    window, base = b"", offset
    for _ in range(count):
        if offset + _LENGTH > base + len(window):
            parts = _parts(pieces, offset, _WINDOW)
            window, base = b"".join(site.source.read_at(start, size) for site, start, size in parts), offset
        length = window[offset - base : offset - base + _LENGTH]
        offset += _LENGTH + int.from_bytes(length, "little")
        if len(length) < _LENGTH or offset > end:
            return None
    return offset - begin


def _parts(pieces: list[Piece], offset: int, size: int) -> Iterator[tuple[Site, int, int]]:
    """Yield the parts of the group's bytes ``[offset, offset + size)`` that are there: site, offset in its
    file, size.
    """
    first = max(bisect_right(pieces, offset, key=lambda piece: piece.offset) - 1, 0)
    for index in range(first, len(pieces)):
        piece = pieces[index]
        if piece.offset >= offset + size:
            return
        begin = max(offset, piece.offset)
        end = min(offset + size, piece.offset + piece.site.source.size)
        if begin < end:
            yield piece.site, begin - piece.offset, end - begin


def _add(parsing: Parsing, placed: _Placed, pieces: list[Piece], role: Role) -> None:
    weight = placed.weight
    parts = list(_parts(pieces, placed.offset, placed.size))
    payload, note = _payload(placed, parts)
    layer = weight.name.rpartition("/")[0] or None
    extents = tuple(site.extent(offset, size) for site, offset, size in parts)
    tensor = parsing.add_tensor(
        Tensor(
            weight.name,
            weight.dtype,
            weight.shape,
            role,
            Storage.DENSE,
            extents,
            placed.size,
            layer,
            payload,
            note,
            weight.quantization,
            loaded_as=DTYPES.get(weight.original_dtype),
        )
    )
    for site, offset, size in parts:
        site.claims.claim(offset, size, RegionKind.TENSOR_DATA, site.claims.path(weight.name), tensor)


def _payload(placed: _Placed, parts: list[tuple[Site, int, int]]) -> tuple[Payload | None, str]:
    dtype = placed.weight.dtype
    if dtype.bits == 0:
        return None, "its elements are strings"
    if sum(size for _, _, size in parts) < placed.size:
        return None, "not all of its bytes are there"
    payloads = tuple(site.raw((Span(offset, size),)) for site, offset, size in parts)
    if not payloads:
        return None, "it has no elements"
    if len(payloads) == 1:
        return payloads[0], ""
    if any(size % (dtype.bits // 8) for _, _, size in parts):
        return None, "one of its elements is cut in two by the end of a file"
    return JoinedPayload(payloads), ""


def _claim_rest(piece: Piece, end: int | None, group: Group) -> None:
    """Label what is after the last weight; without an end of the weights nothing is known of it."""
    size = piece.site.source.size
    if end is None or piece.offset + size <= end:
        return
    begin = max(end - piece.offset, 0)
    piece.site.diagnose(
        f"{size - begin:,} bytes are after the last weight of {', '.join(group.paths[:3])}", begin
    )
    piece.site.claims.claim(begin, size - begin, RegionKind.FREE, piece.site.claims.path("trailing bytes"))
