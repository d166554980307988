"""Decode Snappy blocks.

Specification: google/snappy, format_description.txt.
"""

from __future__ import annotations

from modelinspect.core.limits import Limits
from modelinspect.errors import FormatError, LimitError
from modelinspect.sources.base import MemorySource, Source

SNAPPY = "snappy"
"""The codec's name in streams and extents."""
_EXPANSION = 64
"""No element makes more than 64 bytes of its 2 to 5."""


def read_preamble(data: bytes) -> tuple[int, int]:
    """Return the decoded size that a block announces, and the bytes that the announcement takes.

    Raises `FormatError`.
    """
    value = 0
    for index in range(min(len(data), 5)):
        value |= (data[index] & 0x7F) << 7 * index
        if data[index] < 0x80:
            return value, index + 1
    raise FormatError("a Snappy block does not begin with its decoded size")


def decompress(data: bytes, limits: Limits) -> bytes:
    """Decode a block.

    Raises `FormatError`, and `LimitError` before anything is decoded where it says to be too large.
    """
    size, _ = read_preamble(data)
    if size > limits.block_size:
        raise LimitError(f"a Snappy block decodes to {size:,} bytes but the limit is {limits.block_size:,}")
    if size > len(data) * _EXPANSION:
        raise FormatError(f"a Snappy block of {len(data):,} bytes cannot decode to {size:,}")
    import cramjam

    try:
        decoded = bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError as error:
        raise FormatError(f"a Snappy block cannot be decoded: {error}") from error
    if len(decoded) != size:
        raise FormatError(f"a Snappy block decodes to {len(decoded):,} bytes where it announces {size:,}")
    return decoded


def open_snappy(outer: Source, offset: int, size: int, limits: Limits) -> Source:
    """Return what a block of another source decodes to. Raises `FormatError`."""
    limits.allow("a compressed block", size, limits.structure_size, outer.name, offset)
    return MemorySource(decompress(outer.read_at(offset, size), limits), outer.name)
