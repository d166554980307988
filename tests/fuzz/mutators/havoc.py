"""Changes of bytes that know nothing of a format, and the numbers that readers trip over."""

from __future__ import annotations

import random

Rng = random.Random

LARGEST = 1 << 20
"""Mutated inputs are no longer than this."""


def havoc(data: bytes, rng: Rng) -> bytes:
    """Return a copy with bits flipped, bytes at borders, numbers made huge, runs cut, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not changed:
            return bytes(rng.getrandbits(8) for _ in range(rng.randrange(16)))
        _change(changed, rng)
    return bytes(changed[:LARGEST])


def _change(data: bytearray, rng: Rng) -> None:
    place = rng.randrange(len(data))
    match rng.randrange(8):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            data[place] = rng.choice((0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF))
        case 2:
            width = rng.choice((2, 4, 8))
            data[place : place + width] = packed(odd_number(rng, len(data), width), width, rng)[
                : len(data) - place
            ]
        case 3:
            del data[place : place + rng.choice((1, 2, 8, 64))]
        case 4:
            data[place:place] = data[place : place + rng.choice((1, 2, 8, 64))]
        case 5:
            other, size = rng.randrange(len(data)), rng.choice((1, 4, 8, 32))
            run = bytes(data[other : other + size])
            data[place : place + len(run)] = run
        case 6:
            data[place] = (data[place] + rng.choice((1, -1, 16, -16))) % 256
        case _:
            data[place : place + 8] = bytes(min(8, len(data) - place))


def odd_number(rng: Rng, size: int, width: int = 8) -> int:
    """Return a number at a border: of its width, of the input's size, or any."""
    most = 1 << 8 * width
    return (
        rng.choice(
            (
                0,
                1,
                2,
                3,
                7,
                8,
                255,
                most - 1,
                most // 2,
                most // 2 - 1,
                size,
                size - 1,
                size + 1,
                size // 2,
                rng.randrange(most),
            )
        )
        % most
    )


def near(value: int, rng: Rng, size: int, width: int) -> int:
    """Return another number for a field: near what it was, or at a border."""
    if rng.random() < 0.5:
        return (value + rng.choice((1, -1, 2, -2, 4, 8, -8, value, 256))) % (1 << 8 * width)
    return odd_number(rng, size, width)


def packed(value: int, width: int, rng: Rng) -> bytes:
    """Return a number in bytes, most often little-endian."""
    return value.to_bytes(width, "big" if rng.random() < 0.1 else "little")
