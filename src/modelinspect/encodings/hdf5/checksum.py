"""Verify the checksums of HDF5 metadata: Jenkins' lookup3 over many structures at once.

Specification, "Metadata checksum": lookup3 ``hashlittle`` with the initial value 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import iter_unpack

_MASK = 0xFFFFFFFF
_START = 0xDEADBEEF
_FEW = 24
"""Below so many structures of a length, numbers are quicker than arrays."""

_MIX = ((0, 2, 4, 1), (1, 0, 6, 2), (2, 1, 8, 0), (0, 2, 16, 1), (1, 0, 19, 2), (2, 1, 4, 0))
"""Steps of the mix: target, the one subtracted and rotated in, rotation, the one added to the latter."""
_FINAL = ((2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24))
"""Steps of the final mix: target, the other, rotation."""


def lookup3(data: bytes) -> int:
    """Return the checksum of bytes."""
    a = b = c = (_START + len(data)) & _MASK
    if not data:
        return c
    whole = (len(data) - 1) // 12 * 12
    for x, y, z in iter_unpack("<III", data[:whole]):
        a += x
        b += y
        c += z
        a = ((a - c) ^ ((c << 4) | ((c & _MASK) >> 28))) & _MASK
        c += b
        b = ((b - a) ^ ((a << 6) | (a >> 26))) & _MASK
        a += c
        c = ((c - b) ^ ((b << 8) | (b >> 24))) & _MASK
        b += a
        a = ((a - c) ^ ((c << 16) | (c >> 16))) & _MASK
        c += b
        b = ((b - a) ^ ((a << 19) | (a >> 13))) & _MASK
        a += c
        c = ((c - b) ^ ((b << 4) | (b >> 28))) & _MASK
        b = (b + a) & _MASK
    tail = data[whole:].ljust(12, b"\0")
    state = [
        (value + int.from_bytes(tail[i : i + 4], "little")) & _MASK for value, i in ((a, 0), (b, 4), (c, 8))
    ]
    for target, other, turn in _FINAL:
        value = state[other]
        state[target] = ((state[target] ^ value) - ((value << turn) | (value >> (32 - turn)))) & _MASK
    return state[2]


def wrong_checksums(structures: list[bytes]) -> Iterable[int]:
    """Yield the indexes of the structures whose last four bytes are not the checksum of the rest."""
    import numpy as np

    groups: dict[int, list[int]] = {}
    for index, data in enumerate(structures):
        groups.setdefault(len(data), []).append(index)
    for length, indexes in groups.items():
        if length < 5 or len(indexes) < _FEW:
            for index in indexes:
                data = structures[index]
                if length < 4 or lookup3(data[:-4]) != int.from_bytes(data[-4:], "little"):
                    yield index
            continue
        body = length - 4
        blocks = (body + 11) // 12
        rows = np.frombuffer(b"".join(structures[index] for index in indexes), dtype=np.uint8).reshape(
            len(indexes), length
        )
        padded = np.zeros((len(indexes), blocks * 12), dtype=np.uint8)
        padded[:, :body] = rows[:, :body]
        words = np.ascontiguousarray(padded.view("<u4").T)
        stored = np.ascontiguousarray(rows[:, body:]).view("<u4")[:, 0]
        state = [np.full(len(indexes), (_START + body) & _MASK, dtype=np.uint32) for _ in range(3)]
        for block in range(blocks):
            for part in range(3):
                state[part] += words[block * 3 + part]
            if block < blocks - 1:
                for target, other, turn, added in _MIX:
                    state[target] -= state[other]
                    state[target] ^= (state[other] << np.uint32(turn)) | (
                        state[other] >> np.uint32(32 - turn)
                    )
                    state[other] += state[added]
        for target, other, turn in _FINAL:
            state[target] ^= state[other]
            state[target] -= (state[other] << np.uint32(turn)) | (state[other] >> np.uint32(32 - turn))
        for row in np.flatnonzero(state[2] != stored).tolist():
            yield indexes[row]
