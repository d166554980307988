"""Compute the FarmHash fingerprint that TensorFlow stores in ``fingerprint.pb``.

Specification: google/farmhash, src/farmhash.cc, Fingerprint64 (the same on every machine, for good).
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def fingerprint64(data: bytes) -> int:
    """Return the 64-bit fingerprint of bytes."""
    size = len(data)
    if size <= 16:
        return _up_to_16(data, size)
    if size <= 32:
        return _up_to_32(data, size)
    if size <= 64:
        return _up_to_64(data, size)
    return _long(data, size)


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def _rotate(value: int, shift: int) -> int:
    value &= _MASK
    return (value >> shift | value << (64 - shift)) & _MASK


def _mix(value: int) -> int:
    value &= _MASK
    return value ^ value >> 47


def _pair(first: int, second: int, factor: int) -> int:
    mixed = _mix((first ^ second) * factor)
    return _mix((second ^ mixed) * factor) * factor & _MASK


def _up_to_16(data: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    if size >= 8:
        first, last = _word(data, 0) + _K2, _word(data, size - 8)
        return _pair(
            _rotate(last, 37) * factor + first & _MASK, (_rotate(first, 25) + last) * factor & _MASK, factor
        )
    if size >= 4:
        first, last = int.from_bytes(data[:4], "little"), int.from_bytes(data[size - 4 :], "little")
        return _pair(size + (first << 3), last, factor)
    if size:
        low, high = data[0] + (data[size >> 1] << 8), size + (data[size - 1] << 2)
        return _mix(low * _K2 & _MASK ^ high * _K0 & _MASK) * _K2 & _MASK
    return _K2


def _up_to_32(data: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    a, b = _word(data, 0) * _K1 & _MASK, _word(data, 8)
    c, d = _word(data, size - 8) * factor & _MASK, _word(data, size - 16) * _K2 & _MASK
    return _pair(
        _rotate(a + b, 43) + _rotate(c, 30) + d & _MASK, a + _rotate(b + _K2, 18) + c & _MASK, factor
    )


def _up_to_64(data: bytes, size: int) -> int:
    factor = _K2 + 2 * size
    a, b = _word(data, 0) * _K2 & _MASK, _word(data, 8)
    c, d = _word(data, size - 8) * factor & _MASK, _word(data, size - 16) * _K2 & _MASK
    y = _rotate(a + b, 43) + _rotate(c, 30) + d & _MASK
    z = _pair(y, a + _rotate(b + _K2, 18) + c & _MASK, factor)
    e, f = _word(data, 16) * factor & _MASK, _word(data, 24)
    g, h = (y + _word(data, size - 32)) * factor & _MASK, (z + _word(data, size - 24)) * factor & _MASK
    return _pair(_rotate(e + f, 43) + _rotate(g, 30) + h & _MASK, e + _rotate(f + a, 18) + g & _MASK, factor)


def _weak(data: bytes, offset: int, a: int, b: int) -> tuple[int, int]:
    """Return a weak hash of 32 bytes with two seeds."""
    w, x, y, z = (_word(data, offset + step) for step in (0, 8, 16, 24))
    a += w
    b = _rotate(b + a + z, 21)
    first = a
    a += x + y
    b += _rotate(a, 44)
    return a + z & _MASK, b + first & _MASK


def _long(data: bytes, size: int) -> int:
    x, y = 81, 81 * _K1 + 113 & _MASK
    z = _mix(y * _K2 + 113) * _K2 & _MASK
    v, w = (0, 0), (0, 0)
    x = x * _K2 + _word(data, 0) & _MASK
    end = (size - 1) // 64 * 64
    for offset in range(0, end, 64):
        x, y, z, v, w = _round(data, offset, (x, y, z), v, w, _K1, 1)
    factor = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + ((size - 1) & 63), w[1])
    v = (v[0] + w[0] & _MASK, v[1])
    w = (w[0] + v[0] & _MASK, w[1])
    x, y, z, v, w = _round(data, size - 64, (x, y, z), v, w, factor, 9)
    first = _pair(v[0], w[0], factor) + _mix(y) * _K0 + z & _MASK
    return _pair(first, _pair(v[1], w[1], factor) + x & _MASK, factor)


def _round(
    data: bytes,
    at: int,
    state: tuple[int, int, int],
    v: tuple[int, int],
    w: tuple[int, int],
    factor: int,
    times: int,
) -> tuple[int, int, int, tuple[int, int], tuple[int, int]]:
    """Take in 64 bytes; the last round differs in two factors."""
    x, y, z = state
    x = _rotate(x + y + v[0] + _word(data, at + 8), 37) * factor & _MASK
    y = _rotate(y + v[1] + _word(data, at + 48), 42) * factor & _MASK
    x ^= w[1] * times & _MASK
    y = y + v[0] * times + _word(data, at + 40) & _MASK
    z = _rotate(z + w[0], 33) * factor & _MASK
    v = _weak(data, at, v[1] * factor & _MASK, x + w[0])
    w = _weak(data, at + 32, z + w[1], y + _word(data, at + 16))
    return z, y, x, v, w
