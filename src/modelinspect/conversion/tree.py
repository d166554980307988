"""A flatbuffer's objects without the bytes of its vectors: enough to know its size when it is written
again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.core.records import dataclass
from modelinspect.encodings.flatbuffers.schema import Field, Schema, Shape
from modelinspect.encodings.flatbuffers.tables import Reader, Table
from modelinspect.encodings.flatbuffers.walker import root_table, walk_flatbuffer
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, LimitError
from modelinspect.formats.tflite.labels import MODEL
from modelinspect.sources.base import Source

MOST_VALUES = 4_096
MOST_NODES = 2_000_000
MOST_NESTING = 64
_LEAST_TABLE = 8
"""Bytes of the smallest table with the reference to it."""
_AT_ONCE = 32 * MIB
"""Files up to here are read whole."""
_SHORT = 16
"""Equal vectors of so many numbers are one object."""
_DIFFERENT = frozenset({"Operator", "SubGraph", "Tensor"})
"""Tables that are not compared: no two are equal."""
_SHARED = 64 * KIB
"""What short names and vectors that writers share may take beyond the file."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of numbers: how many, their width in bytes, and where they are in the file, or ``values`` of
    short vectors of whole numbers.
    """

    count: int
    width: int
    start: int = -1
    values: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of its numbers."""
        return self.count * self.width


_NONE = Vector(0, 4)

Value = None | bool | int | float | bytes | Vector


NO_VALUES: Mapping[str, Value] = MappingProxyType({})
NO_NODES: Mapping[str, Node] = MappingProxyType({})
NO_LISTS: Mapping[str, Sequence[Node]] = MappingProxyType({})
NO_STRINGS: Mapping[str, Sequence[bytes]] = MappingProxyType({})


class Node:
    """A table: numbers, strings and vectors in ``values``, tables in ``nodes``, vectors of tables in
    ``lists``.

    Copies share the mappings, so these are replaced and never changed. ``shape`` is what decides the size,
    once that is known (`conversion.flatbuffer.shapes`); it is forgotten with every change.
    """

    __slots__ = ("lists", "nodes", "shape", "strings", "type", "values")

    def __init__(
        self,
        type: str,
        values: Mapping[str, Value] = NO_VALUES,
        nodes: Mapping[str, Node] = NO_NODES,
        lists: Mapping[str, Sequence[Node]] = NO_LISTS,
        strings: Mapping[str, Sequence[bytes]] = NO_STRINGS,
    ) -> None:
        self.type = type
        self.values = values
        self.nodes = nodes
        self.lists = lists
        self.strings = strings
        self.shape: Any = None

    def copy(self) -> Node:
        """Return a node that can be changed; the nodes below are shared."""
        made = Node(self.type, self.values, self.nodes, self.lists, self.strings)
        made.shape = self.shape
        return made

    def set(self, **values: Value) -> None:
        """Set numbers, strings and vectors."""
        self.values = {**self.values, **values}
        self.shape = None

    def set_node(self, name: str, node: Node) -> None:
        """Set a table."""
        self.nodes = {**self.nodes, name: node}
        self.shape = None

    def set_list(self, name: str, nodes: Sequence[Node]) -> None:
        """Set a vector of tables."""
        self.lists = {**self.lists, name: nodes}
        self.shape = None

    def drop(self, name: str) -> None:
        """Drop a field, where it is there."""
        if name in self.values:
            self.values = {key: value for key, value in self.values.items() if key != name}
        if name in self.nodes:
            self.nodes = {key: node for key, node in self.nodes.items() if key != name}
        self.shape = None

    def empty(self) -> None:
        """Drop every field."""
        self.values, self.nodes, self.lists, self.strings = NO_VALUES, NO_NODES, NO_LISTS, NO_STRINGS
        self.shape = None

    def number(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        value = self.values.get(name, default)
        if type(value) is int:
            return value
        return int(value) if isinstance(value, int | float) else default

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.values.get(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""

    def vector(self, name: str) -> Vector:
        """Return a vector, an empty one where it is not there."""
        value = self.values.get(name)
        return value if isinstance(value, Vector) else _NONE


def read_tree(source: Source, schema: Schema, limits: Limits, *, is_sound: bool = False) -> Node:
    """Read a model that begins at byte 0. With ``is_sound`` it was walked before, and nothing was wrong.

    Raises `FormatError`, also where its tables are damaged, shared or nested beyond reason.
    """
    if is_sound:
        root = root_table(source, schema)
        if source.size <= _AT_ONCE:  # then no table has to ask whether it was read
            root.reader.sheet.need(0, source.size)
            root.reader.walked = True
        return _TreeReader(root.reader, source.size + _SHARED).read(root, 0)
    troubles: list[FormatError] = []
    walk = Walk(source, ByteMapBuilder(source.name, source.size, limits), limits, troubles.append)
    document = walk_flatbuffer(walk, schema, MODEL)
    if troubles or not document.sound:
        raise troubles[0] if troubles else FormatError("its structures overlap", source.name, 0)
    return _TreeReader(document.root.reader, source.size + _SHARED).read(document.root, 0)


class _TreeReader:
    """Reads tables one below the other; ``count`` is how many, ``left`` how many bytes they may still take
    when each is written apart.

    A table or vector that many places refer to is read again for each of them. Converters share none of
    those, so what is read exceeds the file only where somebody made it so. Equal short vectors and equal
    tables of settings are one object, as most operators have the same.
    """

    def __init__(self, reader: Reader, left: int) -> None:
        self.reader = reader
        self.count = 0
        self.left = left
        self._equal: dict[object, Any] = {}
        self._present: dict[tuple[str, tuple[int, ...]], list[Field]] = {}

    def _spend(self, size: int, position: int) -> None:
        self.left -= size
        if self.left < 0:
            raise LimitError(
                "its tables are shared so often that together they exceed the file",
                self.reader.member,
                position,
            )

    def read(self, table: Table, depth: int) -> Node:
        self.count += 1
        if self.count > MOST_NODES or depth > MOST_NESTING:
            raise LimitError("its tables are too many or nested too deep", self.reader.member, table.position)
        self._spend(_LEAST_TABLE, table.position)
        values: dict[str, Value] = {}
        nodes: dict[str, Node] = {}
        lists: dict[str, list[Node]] = {}
        strings: dict[str, list[bytes]] = {}
        for item in self._fields(table):
            if item.shape is Shape.SCALAR and not item.vector:
                values[item.name] = table.value(item.name)
            elif item.shape is Shape.SCALAR:
                values[item.name] = self._vector(table, item.name, item.size, item.target)
            elif item.shape is Shape.STRING and not item.vector:
                values[item.name] = text = (table.string(item.name) or "").encode()
                self._spend(len(text), table.position)
            elif item.shape is Shape.STRING:
                strings[item.name] = texts = [text.encode() for text in table.strings(item.name)]
                self._spend(sum(map(len, texts)), table.position)
            elif item.vector and item.shape is Shape.TABLE:
                lists[item.name] = [self.read(each, depth + 1) for each in table.tables(item.name)]
            elif item.shape in (Shape.TABLE, Shape.UNION) and not item.vector:
                below = table.table(item.name)
                if below is None:
                    raise FormatError(
                        f"the union {item.name} is of a type not known", self.reader.member, table.position
                    )
                nodes[item.name] = self.read(below, depth + 1)
            else:
                raise FormatError(
                    f"the field {item.name} is not read here", self.reader.member, table.position
                )
        return self._node(table.type.name, values, nodes, lists, strings)

    def _fields(self, table: Table) -> list[Field]:
        """Return the fields that a table has; many tables have the same."""
        key = table.type.name, table.slots
        found = self._present.get(key)
        if found is None:
            present = zip(table.type.fields, table.slots, strict=False)
            found = self._present[key] = [item for item, place in present if place]
        return found

    def _node(
        self,
        name: str,
        values: dict[str, Value],
        nodes: dict[str, Node],
        lists: dict[str, list[Node]],
        strings: dict[str, list[bytes]],
    ) -> Node:
        below: Mapping[str, Node] = NO_NODES
        places = tuple([(key, id(node)) for key, node in nodes.items()])
        if places:
            below = self._equal.setdefault(places, nodes)
        if name in _DIFFERENT or lists or strings:
            return Node(name, values or NO_VALUES, below, lists or NO_LISTS, strings or NO_STRINGS)
        if any(type(value) is float for value in values.values()):  # 0.0 equals -0.0
            return Node(name, values, below)
        key = name, tuple(values.items()), places
        found: Node | None = self._equal.get(key)
        if found is None:
            found = self._equal[key] = Node(name, values or NO_VALUES, below)
        return found

    def _vector(self, table: Table, name: str, width: int, target: str) -> Vector:
        found = table.data(name)
        if found is None:
            return Vector(0, width)
        start, count = found
        elements = (table.type.name, name) == ("Buffer", "data")
        short = count <= MOST_VALUES and target in ("int", "uint", "long", "ubyte") and not elements
        if not elements:
            self._spend(count * width, table.position)
        if not short:
            return Vector(count, width, start)
        values = tuple(table.numbers(name))
        if count > _SHORT:
            return Vector(count, width, -1, values)
        key = width, values
        vector: Vector | None = self._equal.get(key)
        if vector is None:
            vector = self._equal[key] = Vector(count, width, -1, values)
        return vector
