"""Compute the masked checksum that TensorFlow stores."""

from __future__ import annotations

import google_crc32c

_DELTA = 0xA282EAD8  # tsl/lib/hash/crc32c.h, kMaskDelta


def mask(checksum: int) -> int:
    """Return the masked form of a CRC-32C: rotated right by 15 bits, plus a constant."""
    return ((checksum >> 15 | checksum << 17) + _DELTA) & 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Return the masked CRC-32C of bytes."""
    return mask(google_crc32c.value(data))


def extended(checksum: int, data: bytes) -> int:
    """Return the unmasked CRC-32C of bytes after those that ``checksum`` is of; begin with 0."""
    return int(google_crc32c.extend(checksum, data))
