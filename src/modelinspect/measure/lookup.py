"""Read elements that are stored as indices into tables of values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelinspect.core.tensors import LookupPayload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import Block, Reading, element_size

_STEP = 1 << 16
"""Elements of a block: a multiple of 8, so each block begins with a whole byte whatever the bits of an
index.
"""


def read_lookup(payload: LookupPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements that the indices name. Raises `FormatError` where an index is beyond its table."""
    size, bits, member = element_size(tensor.dtype), payload.bits, payload.stream.member
    source = reading.files.open_stream(payload.stream)
    needed = payload.channels * payload.stride * size
    reading.limits.allow("a lookup table", needed, reading.limits.block_size, member, payload.table.offset)
    if needed > payload.table.size or -(-tensor.element_count * bits // 8) > payload.indices.size:
        raise FormatError(
            f"the indices or tables of {tensor.name} are too short", member, payload.table.offset
        )
    table = np.frombuffer(source.read_at(payload.table.offset, needed), dtype=f"V{size}").reshape(
        payload.channels, payload.stride
    )
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    for first in range(0, tensor.element_count, _STEP):
        count = min(_STEP, tensor.element_count - first)
        data = source.read_at(payload.indices.offset + first * bits // 8, -(-count * bits // 8))
        digits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))[: count * bits].reshape(count, bits)
        indices = digits @ weights
        if int(indices.max(initial=0)) >= payload.stride:
            raise FormatError(
                f"an index of {tensor.name} is beyond its table of {payload.stride:,}",
                member,
                payload.indices.offset,
            )
        channels = np.arange(first, first + count) // payload.inner % payload.channels
        values = np.ascontiguousarray(table[channels, indices])
        yield Block(values.view(np.uint8), count, first)
