"""What decides how many bytes a table takes: which fields it has, and how long its vectors and strings are.

Most tables of a model equal many others in that. Equal ones have one `Shape`, which nodes keep, so each is
looked at once however many forms of the model are counted and written.
"""

from __future__ import annotations

from enum import Enum, auto
from struct import Struct
from typing import Any
from weakref import WeakValueDictionary

from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.records import dataclass
from modelinspect.encodings.flatbuffers.schema import Field, Schema, TableType
from modelinspect.encodings.flatbuffers.schema import Shape as Kind
from modelinspect.errors import InvariantError

PHASES = 8
"""The bytes of the widest number: how a table is aligned depends on its end modulo these."""
_MANY = 16
"""Tables with longer lists are not compared with others."""


class Below(Enum):
    """What the offset of a field leads to."""

    TABLE = auto()
    TABLES = auto()
    STRING = auto()
    STRINGS = auto()
    VECTOR = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """How the fields of a table lie in it.

    ``end`` is how far the table ends after ``start``, which is all that it takes but for what it points to
    and its vtable. ``packed`` packs the offset to the vtable and the fields, the last slot first; ``places``
    are the distances of the offsets from ``start``, in the order of the slots.
    """

    end: int
    packed: Struct
    places: tuple[int, ...]
    vtable: tuple[int, ...]
    """The sizes of the vtable and the table, and the places of the fields by slot."""


class Shape:
    """What a table has: ``below`` its offsets in the order of their slots, each with its field, what it leads
    to, and its length; ``inline`` its numbers that are not the default.

    The length is that of a string in bytes, the count and the width of a vector, the lengths of strings, the
    shape of a table, the shapes of tables. ``order`` has the indices of both, one after the other, from the
    last slot on; ``alignment`` is the largest of its fields. With ``is_whole`` equal tables have this very
    shape.
    """

    __slots__ = ("__weakref__", "alignment", "below", "inline", "is_whole", "order", "rows", "type")

    def __init__(
        self,
        type: TableType,
        below: tuple[tuple[Field, Below, Any], ...],
        inline: tuple[Field, ...],
        *,
        is_whole: bool,
    ) -> None:
        self.type = type
        self.below = below
        self.inline = inline
        self.is_whole = is_whole
        self.alignment = max([4, *(item.size for item in inline)])
        if PHASES % self.alignment:
            raise InvariantError(f"a number of {self.alignment} bytes is wider than the alignment of tables")
        slots = [item.slot for item in (*(one[0] for one in below), *inline)]
        self.order = tuple(sorted(range(len(slots)), key=lambda index: -slots[index]))
        self.rows: list[Row | None] = [None] * PHASES

    def row(self, start: int) -> Row:
        """Return how the fields lie when what the table points to ends ``start`` bytes before the end of the
        file.
        """
        phase = start % PHASES
        row = self.rows[phase]
        if row is None:
            row = self.rows[phase] = _row(self, phase)
        return row


_known: WeakValueDictionary[tuple[object, ...], Shape] = WeakValueDictionary()
"""The shapes of tables that some node has."""


def shape_of(node: Node, schema: Schema) -> Shape:
    """Return the shape of a node, which must not be changed afterwards: a copy of it may be."""
    found: Shape | None = node.shape
    if found is not None:
        return found
    kind = schema.tables[node.type]
    parts: list[object] = [id(kind)]
    by_name = kind.by_name
    for name, value in node.values.items():
        item = by_name.get(name)
        if item is None:
            continue
        if isinstance(value, Vector):
            parts.append((name, value.count, value.width))
        elif isinstance(value, bytes):
            parts.append((name, len(value)))
        elif value is not None and value != item.default:
            parts.append(name)
    for name, child in node.nodes.items():
        parts.append((name, child.shape or shape_of(child, schema)))
    is_whole = True
    for name, nodes in node.lists.items():
        parts.append((name, [child.shape or shape_of(child, schema) for child in nodes]))
        is_whole = is_whole and len(nodes) <= _MANY
    for name, texts in node.strings.items():
        parts.append((name, [*map(len, texts)]))
        is_whole = is_whole and len(texts) <= _MANY
    if not is_whole:
        return _shape(kind, parts[1:], is_whole=False)
    key = tuple(
        [(part[0], *part[1]) if isinstance(part, tuple) and _is_listed(part) else part for part in parts]
    )
    found = _known.get(key)
    if found is None:
        found = _known[key] = _shape(kind, parts[1:], is_whole=True)
    node.shape = found
    return found


def _is_listed(part: tuple[Any, ...]) -> bool:
    return isinstance(part[1], list)


def _shape(kind: TableType, parts: list[Any], *, is_whole: bool) -> Shape:
    """Make a shape of a name for each number and of a name with what follows it for each offset."""
    below: list[tuple[Field, Below, Any]] = []
    inline: list[Field] = []
    for part in parts:
        item = kind.by_name.get(part if isinstance(part, str) else part[0])
        if item is None:
            continue
        if isinstance(part, str) or item.inline:
            if item.inline:
                inline.append(item)
        elif item.vector and item.shape in (Kind.TABLE, Kind.STRING):
            if isinstance(part[1], list):
                below.append((item, Below.TABLES if item.shape is Kind.TABLE else Below.STRINGS, part[1]))
        elif item.shape in (Kind.TABLE, Kind.UNION):
            if isinstance(part[1], Shape):
                below.append((item, Below.TABLE, part[1]))
        elif len(part) == 3:
            below.append((item, Below.VECTOR, part[1:]))
        elif isinstance(part[1], int):
            below.append((item, Below.STRING, part[1]))
    below.sort(key=lambda one: one[0].slot)
    inline.sort(key=lambda one: one.slot)
    return Shape(kind, tuple(below), tuple(inline), is_whole=is_whole)


def _row(shape: Shape, start: int) -> Row:
    """Lay the fields of a table out as flatbuffers' builder does, each before the one with the slot before it
    (builder.py: Prep, WriteVtable).
    """
    sizes = sorted(
        [(item.slot, 4, "I") for item, _, _ in shape.below]
        + [(item.slot, item.size, item.scalar.format[1:] if item.scalar else "") for item in shape.inline]
    )
    head = start
    placed: list[tuple[int, int, str]] = []
    for slot, size, letter in sizes:
        head += -head % size + size
        placed.append((slot, head, letter))
    end = head + -head % 4 + 4
    slots = [0] * (placed[-1][0] + 1 if placed else 0)
    pattern, at = "<i", end - 4
    for (slot, place, letter), (_, size, _) in zip(reversed(placed), reversed(sizes), strict=True):
        slots[slot] = end - place
        pattern += f"{at - place}x{letter}"
        at = place - size
    offsets = {item.slot for item, _, _ in shape.below}
    return Row(
        end - start,
        Struct(f"{pattern}{at - start}x"),
        tuple(place - start for slot, place, _ in placed if slot in offsets),
        (2 * (len(slots) + 2), end - start, *slots),
    )
