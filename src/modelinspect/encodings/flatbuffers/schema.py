"""A flatbuffers schema: the tables, their fields in the order of their slots, unions and enums."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from struct import Struct
from typing import Any

from modelinspect.core.records import dataclass, field
from modelinspect.errors import InvariantError

SCALARS = {
    "bool": Struct("<?"),
    "byte": Struct("<b"),
    "ubyte": Struct("<B"),
    "short": Struct("<h"),
    "ushort": Struct("<H"),
    "int": Struct("<i"),
    "uint": Struct("<I"),
    "long": Struct("<q"),
    "ulong": Struct("<Q"),
    "float": Struct("<f"),
    "double": Struct("<d"),
}


class Shape(Enum):
    """What a field holds."""

    SCALAR = auto()
    STRUCT = auto()
    STRING = auto()
    TABLE = auto()
    UNION = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a table.

    ``target`` is the table's, union's or struct's name; ``scalar`` reads a number; ``size`` is the bytes of
    one element in place (4 for what an offset points to). ``alignment`` is that of a vector's elements, at
    least that of its length.
    """

    name: str
    slot: int
    shape: Shape
    vector: bool
    size: int
    alignment: int
    target: str = ""
    scalar: Struct | None = None
    default: Any = None

    @property
    def inline(self) -> bool:
        """Return whether the value is in the table itself and not after an offset."""
        return not self.vector and self.shape in (Shape.SCALAR, Shape.STRUCT)

    @property
    def inline_size(self) -> int:
        """The bytes that the field takes in its table."""
        return self.size if self.inline else 4


@dataclass(frozen=True, slots=True)
class TableType:
    """A table's fields by slot and by name; ``union_types`` gives the slot of the type field of each union's
    slot.
    """

    name: str
    fields: tuple[Field, ...]
    by_name: Mapping[str, Field]

    inline: tuple[Field, ...] = ()
    """The fields whose value is in the table itself."""
    offsets: tuple[Field, ...] = ()
    """The fields whose value an offset points to."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables, unions and enums of one kind of flatbuffer."""

    root: str
    identifier: bytes
    tables: Mapping[str, TableType]
    unions: Mapping[str, tuple[str, ...]]
    enums: Mapping[str, Mapping[int, str]]
    alignment: int
    """The largest alignment of any field."""
    structs: Mapping[str, int] = field(default_factory=dict)
    """The bytes of each struct; a member of a union may be one."""

    def enum_name(self, enum: str, value: int) -> str:
        """Return the name of an enum's value, or the number where the schema does not know it."""
        return self.enums[enum].get(value) or str(value)


def schema_from(data: Mapping[str, Any]) -> Schema:
    """Make a schema of plain data: ``root``, ``identifier``, ``tables``, ``unions``, ``enums`` and
    ``structs`` (size and alignment).
    """
    structs: Mapping[str, Sequence[int]] = data.get("structs", {})
    unions = {name: tuple(members) for name, members in data["unions"].items()}
    tables: dict[str, TableType] = {}
    for name, rows in data["tables"].items():
        fields = tuple(_field(slot, row, data["tables"], unions, structs) for slot, row in enumerate(rows))
        tables[name] = TableType(
            name,
            fields,
            {item.name: item for item in fields},
            tuple(item for item in fields if item.inline),
            tuple(item for item in fields if not item.inline),
        )
    enums = {
        name: {value: key for key, value in reversed(values.items())}
        for name, values in data["enums"].items()
    }
    alignments = [item.alignment for table in tables.values() for item in table.fields] + [
        alignment for _, alignment in structs.values()
    ]
    sizes = {name: size for name, (size, _) in structs.items()}
    return Schema(data["root"], data["identifier"].encode(), tables, unions, enums, max(alignments), sizes)


_TYPE = re.compile(r"(\[?)(union )?(\w+)\]?(?: (\d+))?$")


def _field(
    slot: int,
    row: Sequence[Any],
    tables: Mapping[str, Any],
    unions: Mapping[str, Any],
    structs: Mapping[str, Sequence[int]],
) -> Field:
    name, kind = row[0], row[1]
    default = row[2] if len(row) > 2 else None
    match = _TYPE.match(kind)
    if match is None:
        raise InvariantError(f"the schema's type {kind!r} cannot be read")
    vector, union, target = bool(match[1]), match[2], match[3]
    forced = int(match[4] or 0)
    if target in SCALARS:
        scalar = SCALARS[target]
        default = (False if target == "bool" else 0) if default is None else default
        return Field(
            name,
            slot,
            Shape.SCALAR,
            vector,
            scalar.size,
            max(scalar.size, 4, forced),
            target,
            scalar,
            None if vector else default,
        )
    if target in structs:
        size, alignment = structs[target]
        return Field(name, slot, Shape.STRUCT, vector, size, max(alignment, 4, forced), target)
    if target == "string":
        return Field(name, slot, Shape.STRING, vector, 4, 4)
    if union is not None and target in unions:
        return Field(name, slot, Shape.UNION, vector, 4, 4, target)
    if union is None and target in tables:
        return Field(name, slot, Shape.TABLE, vector, 4, 4, target)
    raise InvariantError(f"the schema does not say what {target} is")
