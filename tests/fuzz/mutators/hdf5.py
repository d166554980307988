"""Change HDF5 files: addresses led elsewhere, fields of headers, trees and heaps changed, with the checksums
above them mended.
"""

from __future__ import annotations

import re
from functools import lru_cache

from modelinspect.encodings.hdf5.checksum import lookup3
from tests.fuzz.mutators.havoc import Rng, havoc, near

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHECKED = (
    b"OHDR",
    b"OCHK",
    b"FRHP",
    b"FHDB",
    b"FHIB",
    b"BTHD",
    b"BTIN",
    b"BTLF",
    b"FAHD",
    b"FADB",
    b"EAHD",
    b"EAIB",
    b"EASB",
    b"EADB",
)
_MORE_CHECKED = (b"FSHD", b"FSSE", b"SMTB", b"SMLI")
_PLAIN = (b"TREE", b"SNOD", b"HEAP", b"GCOL")
_FOUND = re.compile(b"|".join(map(re.escape, (*_CHECKED, *_MORE_CHECKED, *_PLAIN, SIGNATURE))))
_LONGEST = 320
"""Structures that are longer have their checksums left alone, and so they test what a wrong one does."""
_UNDEFINED = 2**64 - 1
_FIELDS = 96
"""Fields of a structure stand within so many bytes of its beginning."""

Layout = tuple[tuple[int, ...], tuple[tuple[int, int], ...], tuple[int, ...]]


@lru_cache(maxsize=2_048)
def survey(data: bytes) -> Layout:
    """Return where structures begin, ``(begin, end)`` of those before a sound checksum, and where addresses
    of structures stand.
    """
    starts = [match.start() for match in _FOUND.finditer(data)]
    starts += [
        at
        for at in range(0, min(len(data), 65_536), 8)
        if data[at : at + 2] == b"\1\0" and data[at + 12 : at + 16] == bytes(4)
    ]
    checked: list[tuple[int, int]] = []
    for start in starts:
        newer = data[start : start + 8] == SIGNATURE and data[start + 8 : start + 9] in (b"\2", b"\3")
        if newer or data[start : start + 4] in (*_CHECKED, *_MORE_CHECKED):
            end = _checksum_of(data, start)
            if end is not None:
                checked.append((start, end))
    addresses: set[int] = set()
    for start in starts:
        if start:
            addresses.update(_places(data, start.to_bytes(8, "little")))
    return tuple(sorted(set(starts))), tuple(checked), tuple(sorted(addresses))


def _places(data: bytes, text: bytes) -> list[int]:
    found: list[int] = []
    at = data.find(text)
    while at >= 0 and len(found) < 64:
        found.append(at)
        at = data.find(text, at + 1)
    return found


def _checksum_of(data: bytes, start: int) -> int | None:
    """Return where the checksum of a structure is: where its header says, or else the first place at which
    one is right.
    """
    for end in _expected(data, start) or range(start + 12, min(start + _LONGEST, len(data) - 3)):
        if end + 4 <= len(data) and lookup3(data[start:end]) == int.from_bytes(data[end : end + 4], "little"):
            return end
    return None


def _expected(data: bytes, start: int) -> tuple[int, ...]:
    """Return where structures of a known length have their checksum; of others nothing."""
    match data[start : start + 4]:
        case b"OHDR":
            flags = data[start + 5] if start + 5 < len(data) else 0
            place = start + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            return (place + width + int.from_bytes(data[place : place + width], "little"),)
        case b"BTHD":
            return (start + 34,)
        case b"FRHP":
            return (start + 142,)
        case b"FAHD":
            return (start + 24,)
        case b"EAHD":
            return (start + 68,)
        case b"\x89HDF":
            return (start + 44,)
        case _:
            return ()


def mutate(data: bytes, rng: Rng) -> bytes:
    """Return a file with a few changes, and sound checksums but for one in ten."""
    if len(data) > 1 << 17:
        return havoc(data, rng)
    starts, checked, addresses = survey(data)
    if not starts:
        return havoc(data, rng)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(changed, starts, addresses, rng)
    if rng.random() < 0.9:
        for begin, end in checked:
            if changed[begin:end] != data[begin:end]:
                changed[end : end + 4] = lookup3(bytes(changed[begin:end])).to_bytes(4, "little")
    return bytes(changed)


def _change(data: bytearray, starts: tuple[int, ...], addresses: tuple[int, ...], rng: Rng) -> None:
    begin = rng.choice(starts)
    match rng.randrange(6):
        case 0 if addresses:
            target = rng.choice(
                (rng.choice(starts), rng.choice(starts), _UNDEFINED, len(data), len(data) - 8, 0)
            )
            _put(data, rng.choice(addresses), target, 8)
        case 1:  # a structure where another one is
            other = rng.choice(starts)
            size = rng.choice((16, 64, 256))
            run = bytes(data[other : other + size])
            data[begin : begin + len(run)] = run[: len(data) - begin]
        case 2 | 3:
            width = rng.choice((1, 1, 2, 4, 8))
            place = begin + 4 + rng.randrange(_FIELDS)
            _put(
                data,
                place,
                near(int.from_bytes(data[place : place + width], "little"), rng, len(data), width),
                width,
            )
        case 4:
            place = begin + rng.randrange(400)
            if place < len(data):
                data[place] = near(data[place], rng, 255, 1)
        case _:
            place = begin + 4 + rng.randrange(_FIELDS)
            if place < len(data):
                data[place] ^= 1 << rng.randrange(8)


def _put(data: bytearray, place: int, value: int, width: int) -> None:
    if place + width <= len(data):
        data[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
