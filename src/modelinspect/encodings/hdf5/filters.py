"""Undo the filters that the standard library can: deflate, shuffle and fletcher32.

The checksum: H5_checksum_fletcher32 in H5checksum.c and H5Zfletcher32.c of the HDF5 library.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

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


def without_fletcher32(data: bytes | bytearray) -> bytes | bytearray:
    """Return what is before the checksum.

    Raises `ValueError` where that is wrong; its message says both sums.
    """
    if len(data) < 4:
        raise ValueError(f"a fletcher32 checksum needs 4 bytes but {len(data)} are left")
    content, stored = data[:-4], data[-4:]
    first, second = sums = fletcher32(content)
    value = int.from_bytes(stored, "little")
    swapped = int.from_bytes(
        bytes((stored[1], stored[0], stored[3], stored[2])), "little"
    )  # libraries before 1.6.3
    if all(((each & 0xFFFF) % 65535, (each >> 16) % 65535) != sums for each in (value, swapped)):
        raise ValueError(
            f"the fletcher32 checksum is {value:#010x} but the bytes give {second << 16 | first:#010x}"
        )
    return content


def with_fletcher32(data: bytes) -> bytes:
    """Return the bytes with their checksum after them."""
    first, second = fletcher32(data)
    return data + (second << 16 | first).to_bytes(4, "little")


def fletcher32(data: bytes | bytearray) -> tuple[int, int]:
    """Return the two sums of the HDF5 library's checksum, modulo 65,535: of big-endian 16-bit words, an odd
    byte as a high one.
    """
    import numpy as np

    words = np.frombuffer(data + b"\0" if len(data) % 2 else data, dtype=">u2")
    first = second = 0
    block = 1 << 16
    for start in range(0, len(words), block):
        part = words[start : start + block].astype(np.uint64)
        weights = np.arange(len(part), 0, -1, dtype=np.uint64)
        second = (second + len(part) * first + int((part * weights).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    return first, second
