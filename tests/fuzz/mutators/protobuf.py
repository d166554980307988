"""Change protobuf messages: fields dropped, doubled, moved, renumbered and changed at any depth, with all
lengths around them mended.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.mutators.havoc import Rng, havoc, odd_number

_MOST_FIELDS = 4_096
_DEEPEST = 12
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass
class Field:
    """A field: its number, wire type, and what it holds; ``inner`` are its fields where the bytes read as a
    message.
    """

    number: int
    wire: int
    value: int = 0
    data: bytes = b""
    inner: list[Field] | None = None


def parse(data: bytes, depth: int = 0) -> list[Field] | None:
    """Return the fields of a message, None where the bytes are none."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if at < 0 or not 0 < tag >> 3 < 1 << 29 or len(fields) > _MOST_FIELDS:
            return None
        field = Field(tag >> 3, tag & 7)
        match field.wire:
            case 0:
                field.value, at = _varint(data, at)
            case 1 | 5:
                width = 8 if field.wire == _FIXED64 else 4
                field.value, at = int.from_bytes(data[at : at + width], "little"), at + width
            case 2:
                size, at = _varint(data, at)
                if at < 0:
                    return None
                field.data, at = data[at : at + size], at + size
                field.inner = parse(field.data, depth + 1) if field.data and depth < _DEEPEST else None
            case _:
                return None
        if not 0 <= at <= len(data):
            return None
        fields.append(field)
    return fields


def serialize(fields: list[Field]) -> bytes:
    """Return the bytes of a message, every length counted anew."""
    out = bytearray()
    for field in fields:
        out += varint(field.number << 3 | field.wire)
        match field.wire:
            case 0:
                out += varint(field.value)
            case 1 | 5:
                width = 8 if field.wire == _FIXED64 else 4
                out += (field.value % (1 << 8 * width)).to_bytes(width, "little")
            case _:
                data = field.data if field.inner is None else serialize(field.inner)
                out += varint(len(data)) + data
    return bytes(out)


def mutate(data: bytes, rng: Rng) -> bytes:
    """Return a message with a few fields changed; what is no message is changed without structure."""
    fields = parse(data)
    if not fields:
        return havoc(data, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(fields, rng)
    return serialize(fields)


def _change(fields: list[Field], rng: Rng) -> None:
    level = fields
    while level and rng.random() < 0.7:  # go down
        inside = [field.inner for field in level if field.inner]
        if not inside:
            break
        level = rng.choice(inside)
    if not level:
        return
    index = rng.randrange(len(level))
    field = level[index]
    match rng.randrange(9):
        case 0:
            del level[index]
        case 1:
            level.insert(rng.randrange(len(level) + 1), field)
        case 2:
            level[index : index + 1] = [field] * rng.choice((2, 3, 50))
        case 3:
            field.number = rng.choice(
                (field.number + 1, max(field.number - 1, 1), rng.randrange(1, 40), (1 << 29) - 1)
            )
        case 4:
            field.wire = rng.choice((_VARINT, _FIXED64, _BYTES, _FIXED32))
        case 5 if field.inner is not None:  # nest it within itself
            field.inner.append(Field(field.number, _BYTES, data=serialize(field.inner)))
        case 6 if field.wire == _BYTES:
            field.data, field.inner = havoc(field.data, rng), None
        case 7 if field.wire == _BYTES:  # what another field says
            other = rng.choice(level)
            field.data, field.inner = other.data, other.inner
        case _:
            field.value = odd_number(rng, len(field.data) or 64)


def varint(value: int) -> bytes:
    """Return a number as a varint."""
    value %= 1 << 64
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return 0, -1
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    return 0, -1


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends, which is negative where it does not."""
    return _varint(data, at)
