"""Verify and write the checksum that the fletcher32 filter puts after a chunk.

Specification: H5_checksum_fletcher32 in H5checksum.c and H5Zfletcher32.c of the HDF5 library.
"""

from __future__ import annotations


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
