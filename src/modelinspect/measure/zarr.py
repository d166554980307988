"""Read elements from the chunks of a zarr array."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from math import prod

from modelinspect.core.tensors import Tensor, ZarrPayload
from modelinspect.errors import Code, FormatError
from modelinspect.measure.blocks import Block, Reading, element_size
from modelinspect.measure.chunks import allow_chunks, read_grid
from modelinspect.measure.filters import Data
from modelinspect.sources.zstd import decompress

_WINDOW_BITS = {"gzip": 31, "zlib": 15}
_CHECKSUM = 4


def read_zarr(payload: ZarrPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements of chunks, in the order of elements where the shape of the chunks allows it.

    Raises `FormatError`.
    """
    size = element_size(tensor.dtype)
    if not tensor.shape:  # an array without axes has one chunk of one element
        coordinates = payload.coordinates[:0]
        coordinates.extend([0] * len(payload.offsets))
        payload = replace(payload, chunk_shape=(1,), coordinates=coordinates)
        tensor = replace(tensor, shape=(1,))
    if not len(payload.offsets) or not tensor.element_count:
        yield from read_grid(None, payload, tensor, size, reading)
        return
    limits = reading.limits
    members = {stream.member for stream in payload.streams}
    stored = sum(reading.files.open(member).size for member in members)
    most = max(limits.large_size, limits.expansion * stored)
    allow_chunks(payload, tensor.shape, size, reading, most, payload.streams[0].member)
    limits.allow("decoding its arrays", reading.decoded, most, payload.streams[0].member)
    chunk_size = prod(payload.chunk_shape) * size

    def decode(row: int) -> Data:
        stream = payload.streams[payload.which[row]]
        source = reading.files.open_stream(stream)
        offset = payload.offsets[row]
        source.require(offset, payload.sizes[row], "a chunk")
        data = source.read_at(offset, payload.sizes[row])
        return _decode(data, payload.codecs, chunk_size, reading, stream.member, offset)

    yield from read_grid(decode, payload, tensor, size, reading)


def _decode(
    data: bytes, codecs: tuple[str, ...], size: int, reading: Reading, member: str, offset: int
) -> Data:
    """Undo the codecs of a chunk, which then has ``size`` bytes. Raises `FormatError`."""
    try:
        for place, codec in enumerate(codecs):
            needed = size + _CHECKSUM * codecs[place + 1 :].count("crc32c")
            if codec == "crc32c":
                data = _without_checksum(data)
            elif codec == "zstd":
                data = decompress(data, reading.limits, needed)
            else:
                data = _inflate(data, _WINDOW_BITS[codec], needed)
    except FormatError as error:
        raise error.reworded(error.problem, member, offset) from error
    if len(data) != size:
        raise FormatError(f"a chunk has {len(data):,} bytes where {size:,} belong", member, offset)
    return data


def _without_checksum(data: bytes) -> bytes:
    import google_crc32c

    body = data[:-_CHECKSUM]
    if len(data) < _CHECKSUM or google_crc32c.value(body) != int.from_bytes(data[-_CHECKSUM:], "little"):
        raise FormatError("the checksum of a chunk does not match its bytes", code=Code.CHECKSUM)
    return body


def _inflate(data: bytes, window_bits: int, size: int) -> bytes:
    """Inflate, and stop where the chunk is full: what asks for more is a bomb."""
    decoder = zlib.decompressobj(window_bits)
    try:
        inflated = decoder.decompress(data, size + 1)
    except zlib.error as error:
        raise FormatError(f"a chunk does not inflate: {error}") from error
    if len(inflated) != size:
        raise FormatError(f"a chunk inflates to {len(inflated):,} bytes or more where {size:,} belong")
    return inflated
