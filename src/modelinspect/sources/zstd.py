"""Decode Zstandard frames in memory, within limits.

Specification: RFC 8878. A frame may give its decoded size; where it does not, its blocks bound it.
"""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.errors import FormatError, LimitError
from modelinspect.sources.base import MemorySource, Source

ZSTD = "zstd"
"""The codec's name in streams and extents."""
_BLOCK = 128 * KIB
_RLE = 1
_EXPANSION = 256
"""Decoded bytes for each stored byte of a large frame; what a small one may decode to is `_SMALL`."""
_SMALL = MIB


def bound_size(data: bytes) -> int:
    """Return the decoded size that a frame gives, or else the most that its blocks can decode to.

    Raises `FormatError`.
    """
    if data[:4] != signatures.ZSTD or len(data) < 6:
        raise FormatError("no Zstandard frame begins here")
    descriptor = data[4]
    is_single = descriptor >> 5 & 1
    size_field = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    offset = 5 + (0 if is_single else 1) + (0, 1, 2, 4)[descriptor & 3]
    if size_field:
        value = int.from_bytes(data[offset : offset + size_field], "little")
        return value + 256 if size_field == 2 else value
    return _bound_blocks(data, offset)


def _bound_blocks(data: bytes, offset: int) -> int:
    """Return the most that the blocks from ``offset`` on can decode to."""
    total = 0
    while offset + 3 <= len(data):
        header = int.from_bytes(data[offset : offset + 3], "little")
        kind, size = header >> 1 & 3, header >> 3
        total += min(size, _BLOCK) if kind <= _RLE else _BLOCK
        offset += 3 + (1 if kind == _RLE else size)
        if header & 1:
            return total
    raise FormatError("a Zstandard frame does not end")


def decompress(data: bytes, limits: Limits, exact: int | None = None) -> bytes:
    """Decode a frame; ``exact`` is the size that its output must have, which only the limit for blocks
    bounds.

    Raises `FormatError`, and `LimitError` before anything is decoded where the frame would need more than the
    limits allow.
    """
    import cramjam

    bound = bound_size(data) if exact is None else exact
    allowed = (
        _allowed(len(data), limits)
        if exact is not None
        else min(limits.block_size // 4, max(_SMALL, _EXPANSION * len(data)))
    )
    if bound > allowed:
        raise LimitError(
            f"a Zstandard frame of {len(data):,} bytes decodes to {bound:,}; the limit is {allowed:,}"
        )
    output = bytearray(bound)
    try:
        size = cramjam.zstd.decompress_into(data, output)
    except cramjam.DecompressionError as error:
        raise FormatError(f"a Zstandard frame cannot be decoded: {error}") from error
    if exact is not None and size != exact:
        raise FormatError(f"a Zstandard frame decodes to {size:,} bytes where {exact:,} belong")
    return bytes(output[:size])


def _allowed(stored: int, limits: Limits) -> int:
    """Return what a frame of a known decoded size may decode to: a block, or more where it is hardly
    compressed.
    """
    return max(limits.block_size, min(limits.structure_size, limits.large_expansion * stored))


def open_zstd(outer: Source, offset: int, size: int, limits: Limits) -> Source:
    """Return what a frame of another source decodes to. Raises `FormatError`."""
    limits.allow("a compressed frame", size, limits.structure_size, outer.name, offset)
    return MemorySource(decompress(outer.read_at(offset, size), limits), outer.name)
