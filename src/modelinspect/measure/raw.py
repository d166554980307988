"""Read elements that are in a member as they are in memory, in one place or in several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from modelinspect.core.tensors import JoinedPayload, RawPayload, SplatPayload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Block, Reading, element_size, stored_bytes


def read_raw(payload: RawPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements of spans, gathered over their borders.

    Raises `FormatError` where the spans hold too few bytes.
    """
    size = element_size(tensor.dtype)
    spans = payload.spans
    needed = stored_bytes(tensor)
    held = spans[0].size if len(spans) == 1 else sum(span.size for span in spans)
    if held < needed:
        problem = f"tensor {tensor.name} needs {needed:,} bytes but its extents hold {held:,}"
        raise FormatError(problem, payload.stream.member, spans[0].offset if spans else None)
    if not needed:
        return
    source = reading.files.open_stream(payload.stream)
    whole = max(BLOCK_SIZE - BLOCK_SIZE % size, size) if size else BLOCK_SIZE
    if len(spans) == 1 and needed <= whole:
        buffer = reading.take(needed)
        source.read_into(spans[0].offset, buffer)
        yield Block(
            np.frombuffer(buffer, dtype=np.uint8),
            needed // size if size else tensor.element_count,
            0,
            payload.byte_order,
        )
        return
    buffer = reading.take(min(whole, needed))
    filled = 0
    first = 0
    for span in spans:
        offset = span.offset
        left = min(span.size, needed)
        needed -= left
        while left:
            part = min(left, len(buffer) - filled)
            source.read_into(offset, buffer[filled : filled + part])
            offset, left, filled = offset + part, left - part, filled + part
            if filled == len(buffer) or not (needed or left):
                count = (
                    filled // size
                    if size
                    else min(filled * 8 // tensor.dtype.bits, tensor.element_count - first)
                )
                yield Block(np.frombuffer(buffer[:filled], dtype=np.uint8), count, first, payload.byte_order)
                first += count
                filled = 0


def read_splat(payload: SplatPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the one stored element as a block that stands for all.

    Raises `FormatError` where its span has another size.
    """
    size = element_size(tensor.dtype)
    if payload.span.size != size:
        problem = (
            f"tensor {tensor.name} stores one element of {payload.span.size:,} bytes where {size:,} belong"
        )
        raise FormatError(problem, payload.stream.member, payload.span.offset)
    if tensor.element_count:
        data = reading.files.open_stream(payload.stream).read_at(payload.span.offset, size)
        yield Block(np.frombuffer(data, dtype=np.uint8), 1, 0, repeat=tensor.element_count, placed=True)


def read_joined(payload: JoinedPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements of every part in turn. Raises `FormatError` where a part holds too few bytes."""
    first = 0
    size = max(element_size(tensor.dtype), 1)
    for part in payload.parts:
        count = sum(span.size for span in part.spans) // size
        for block in read_raw(part, replace(tensor, shape=(count,)), reading):
            yield replace(block, first=first + block.first)
        first += count
