"""Fields of the protocol buffer messages that TensorFlow artifacts are made of.

They are listed in ``tables.txt``, which scripts/derive_protobuf_tables.py writes from TensorFlow's
descriptors.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cache

from modelinspect.core.records import dataclass


class WireType(IntEnum):
    """How the bytes of a field's value are laid out (protobuf encoding guide, "Message Structure")."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    GROUP = 3
    GROUP_END = 4
    FIXED32 = 5


SCALARS: Mapping[str, WireType] = {
    "int32": WireType.VARINT,
    "int64": WireType.VARINT,
    "uint32": WireType.VARINT,
    "uint64": WireType.VARINT,
    "sint32": WireType.VARINT,
    "sint64": WireType.VARINT,
    "bool": WireType.VARINT,
    "fixed64": WireType.FIXED64,
    "sfixed64": WireType.FIXED64,
    "double": WireType.FIXED64,
    "fixed32": WireType.FIXED32,
    "sfixed32": WireType.FIXED32,
    "float": WireType.FIXED32,
    "string": WireType.BYTES,
    "bytes": WireType.BYTES,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message. ``type`` is a scalar's name, or the full name of a message or an enumeration."""

    number: int
    name: str
    type: str
    wire: WireType
    repeated: bool
    message: MessageType | None
    """The type of the value where that is a message; for a map, its entry."""
    enum: EnumType | None
    oneof: str | None

    @property
    def packable(self) -> bool:
        """Return whether the values may also be packed, in one run of bytes."""
        return self.repeated and self.wire is not WireType.BYTES


class MessageType:
    """A message: its full name and its fields by number."""

    __slots__ = ("by_name", "fields", "is_entry", "name")

    def __init__(self, name: str, *, is_entry: bool = False) -> None:
        self.name = name
        self.is_entry = is_entry
        self.fields: dict[int, Field] = {}
        self.by_name: dict[str, Field] = {}

    def __repr__(self) -> str:
        return f"MessageType({self.name})"

    def add(self, field: Field) -> None:
        """Add a field."""
        self.fields[field.number] = field
        self.by_name[field.name] = field


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enumeration: its full name, and its values' names by number."""

    name: str
    values: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """Every message and enumeration by full name."""

    messages: Mapping[str, MessageType]
    enums: Mapping[str, EnumType]


@cache
def schema() -> Schema:
    """Read the tables, once."""
    from importlib import resources

    text = (
        resources.files("modelinspect.encodings.protobuf").joinpath("tables.txt").read_text(encoding="utf-8")
    )
    return parse_tables(text)


def message(name: str) -> MessageType:
    """Return a message by its full name, or its name in the package ``tensorflow``. Raises `KeyError`."""
    messages = schema().messages
    return messages.get(f"tensorflow.{name}") or messages[name]


def parse_tables(text: str) -> Schema:
    """Turn the text of a table into messages and enumerations."""
    rows: dict[str, list[str]] = {}
    enums: dict[str, EnumType] = {}
    lines: list[str] = []
    for line in text.splitlines():
        keyword, _, name = line.partition(" ")
        if keyword == "message":
            lines = rows[name] = []
        elif keyword == "enum":
            lines = rows["enum " + name] = []
        elif line.strip():
            lines.append(line)
    messages = {name: MessageType(name) for name in rows if not name.startswith("enum ")}
    for name, values in rows.items():
        if name.startswith("enum "):
            pairs = (line.split() for line in values)
            enums[name[5:]] = EnumType(name[5:], {int(number): value for number, value in pairs})
    for name, type_ in messages.items():
        for line in rows[name]:
            type_.add(_field(line, type_, messages, enums))
    return Schema(messages, enums)


def _field(
    line: str, owner: MessageType, messages: Mapping[str, MessageType], enums: Mapping[str, EnumType]
) -> Field:
    number, name, type_ = line.split(maxsplit=2)
    oneof = None
    if type_.startswith("oneof "):
        _, oneof, type_ = type_.split(maxsplit=2)
    if type_.startswith("map<"):
        key, _, value = type_[4:-1].partition(", ")
        entry = MessageType(
            f"{owner.name}.{''.join(part.title() for part in name.split('_'))}Entry", is_entry=True
        )
        entry.add(_field(f"1 key {key}", entry, messages, enums))
        entry.add(_field(f"2 value {value}", entry, messages, enums))
        return Field(int(number), name, entry.name, WireType.BYTES, True, entry, None, None)
    repeated = type_.startswith("repeated ")
    type_ = type_.removeprefix("repeated ")
    wire = SCALARS.get(type_) or (WireType.VARINT if type_ in SCALARS or type_ in enums else WireType.BYTES)
    return Field(int(number), name, type_, wire, repeated, messages.get(type_), enums.get(type_), oneof)
