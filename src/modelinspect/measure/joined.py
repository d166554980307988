"""Read elements that are in several places one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from modelinspect.core.tensors import JoinedPayload, Tensor
from modelinspect.measure.blocks import Block, Reading, element_size
from modelinspect.measure.raw import read_raw


def read_joined(payload: JoinedPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements of every part in turn. Raises `FormatError` where a part holds too few bytes."""
    first = 0
    size = max(element_size(tensor.dtype), 1)
    for part in payload.parts:
        count = sum(span.size for span in part.spans) // size
        for block in read_raw(part, replace(tensor, shape=(count,)), reading):
            yield replace(block, first=first + block.first)
        first += count
