"""Change flatbuffers: references led elsewhere, vectors resized, runs put in with every offset across them
mended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from tests.fuzz.mutators.havoc import Rng, havoc, near

_MOST_TABLES = 3_000
IDENTIFIERS = (b"TFL3", b"TFLM", b"M001")


@dataclass
class Layout:
    """Where the tables of a flatbuffer, its vectors and the references to both are, as far as they can be
    guessed without a schema.
    """

    references: dict[int, int] = field(default_factory=dict)
    """What each unsigned 32-bit offset leads to, by its position."""
    tables: dict[int, int] = field(default_factory=dict)
    """The vtable of each table, by position."""
    vectors: set[int] = field(default_factory=set)
    scalars: list[tuple[int, int]] = field(default_factory=list)
    """Positions of fields and the bytes up to the next one."""


def mutate(data: bytes, rng: Rng) -> bytes:
    """Return a flatbuffer with a few changes; what is none is changed without structure."""
    layout = survey(data)
    if not layout.tables:
        return havoc(data, rng)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(changed, layout, rng)
    if rng.random() < 0.2:
        return _insert(bytes(changed), layout, rng)
    return bytes(changed)


def survey(data: bytes) -> Layout:
    """Follow every field that can be a reference, from the root on."""
    layout = Layout()
    if len(data) < 8:
        return layout
    root = _u32(data, 0)
    layout.references[0] = root
    pending = [root]
    while pending and len(layout.tables) < _MOST_TABLES:
        position = pending.pop()
        if position in layout.tables or position % 2 or position + 4 > len(data):
            continue
        vtable = position - int.from_bytes(data[position : position + 4], "little", signed=True)
        if not 0 <= vtable <= len(data) - 4:
            continue
        size, inline = _u16(data, vtable), _u16(data, vtable + 2)
        if (
            not 4 <= size <= 400
            or size % 2
            or not 4 <= inline <= 2_000
            or vtable + size > len(data)
            or position + inline > len(data)
        ):
            continue
        layout.tables[position] = vtable
        places = sorted({_u16(data, at) for at in range(vtable + 4, vtable + size, 2)} - {0})
        for place, after in pairwise([*places, inline]):
            at = position + place
            if at + 4 > len(data):
                continue
            layout.scalars.append((at, min(max(after - place, 1), 8)))
            target = at + _u32(data, at)
            if _u32(data, at) >= 4 and target + 4 <= len(data) and target % 2 == 0:
                layout.references[at] = target
                pending.append(target)
                _vector(data, target, layout, pending)
    return layout


def _vector(data: bytes, position: int, layout: Layout, pending: list[int]) -> None:
    """Note a vector, and its elements where all may be references."""
    count = _u32(data, position)
    if not 0 < count <= 4_096 or position + 4 + 4 * count > len(data):
        return
    layout.vectors.add(position)
    places = range(position + 4, position + 4 + 4 * count, 4)
    targets = [place + _u32(data, place) for place in places]
    if all(
        _u32(data, place) >= 4 and target + 4 <= len(data) and target % 2 == 0
        for place, target in zip(places, targets, strict=True)
    ):
        for place, target in zip(places, targets, strict=True):
            layout.references[place] = target
            pending.append(target)


def _change(data: bytearray, layout: Layout, rng: Rng) -> None:
    match rng.randrange(7):
        case 0 if layout.references:  # lead a reference to something else of the same file
            place = rng.choice(list(layout.references))
            targets = [*layout.tables, *layout.vectors]
            _put(data, place, (rng.choice(targets) - place) % (1 << 32), 4)
        case 1 if layout.vectors:
            place = rng.choice(list(layout.vectors))
            _put(data, place, near(_u32(data, place), rng, len(data), 4), 4)
        case 2:  # another table's vtable
            place = rng.choice(list(layout.tables))
            vtable = rng.choice(list(layout.tables.values()))
            _put(data, place, (place - vtable) % (1 << 32), 4)
        case 3:
            vtable = rng.choice(list(layout.tables.values()))
            place = vtable + 2 * rng.randrange(max(_u16(data, vtable) // 2, 1))
            _put(data, place, near(_u16(data, place), rng, len(data), 2), 2)
        case 4 if layout.references:
            place = rng.choice(list(layout.references))
            _put(data, place, near(_u32(data, place), rng, len(data), 4), 4)
        case _ if layout.scalars:
            place, width = rng.choice(layout.scalars)
            width = rng.choice((width, 1, min(width, 4)))
            _put(
                data,
                place,
                near(int.from_bytes(data[place : place + width], "little"), rng, len(data), width),
                width,
            )
        case _:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _insert(data: bytes, layout: Layout, rng: Rng) -> bytes:
    """Put a run of bytes in, and let every reference across it lead where it led before."""
    at = rng.choice([*layout.vectors, *layout.tables]) // 4 * 4
    size = 8 * rng.choice((1, 1, 4, 64))
    changed = bytearray(data[:at] + bytes(rng.getrandbits(8) for _ in range(size)) + data[at:])

    def moved(place: int) -> int:
        return place + size if place >= at else place

    for place, target in layout.references.items():
        _put(changed, moved(place), (moved(target) - moved(place)) % (1 << 32), 4)
    for table, vtable in layout.tables.items():
        _put(changed, moved(table), (moved(table) - moved(vtable)) % (1 << 32), 4)
    return bytes(changed)


def _put(data: bytearray, place: int, value: int, width: int) -> None:
    if place >= 0 and place + width <= len(data):
        data[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


def _u32(data: bytes | bytearray, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "little")


def _u16(data: bytes | bytearray, place: int) -> int:
    return int.from_bytes(data[place : place + 2], "little")
