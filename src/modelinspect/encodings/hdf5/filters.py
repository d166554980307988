"""Undo the filters that the standard library can: deflate, shuffle and fletcher32."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from modelinspect.encodings.hdf5.fletcher import without_fletcher32
from modelinspect.encodings.hdf5.model import Filter

if TYPE_CHECKING:
    from modelinspect.encodings.hdf5.state import State

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3


def decode(
    data: bytes, filters: tuple[Filter, ...], mask: int, size: int, state: State, offset: int
) -> bytes:
    """Undo a pipeline; the result has ``size`` bytes at most. Raises `FormatError`."""
    state.limits.allow("a filtered block", size, state.limits.block_size, state.name, offset)
    for place in range(len(filters) - 1, -1, -1):
        step = filters[place]
        if mask >> place & 1:
            continue
        match step.number:
            case 1:
                decoder = zlib.decompressobj()
                try:
                    data = decoder.decompress(data, size + 4)
                except zlib.error as error:
                    raise state.error(f"deflated bytes cannot be inflated: {error}", offset) from error
            case 2:
                width = step.parameters[0] if step.parameters else 1
                data = _unshuffle(data, width)
            case 3:
                try:
                    data = bytes(without_fletcher32(data))
                except ValueError as error:
                    raise state.error(str(error), offset) from error
            case number:
                raise state.unsupported(f"filter {number} {step.name} is not undone here", offset)
    return data[:size]


def _unshuffle(data: bytes, width: int) -> bytes:
    if width <= 1 or width > len(data):
        return data
    import numpy as np

    whole = len(data) // width
    planes = np.frombuffer(data, dtype=np.uint8, count=whole * width).reshape(width, whole)
    return planes.T.tobytes() + data[whole * width :]
