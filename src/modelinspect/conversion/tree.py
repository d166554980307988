"""A flatbuffer's objects without the bytes of its vectors: enough to know its size when it is written
again.
"""

from __future__ import annotations

from typing import Any

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import KIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Schema, Shape
from modelinspect.encodings.flatbuffers.tables import Reader, Table
from modelinspect.encodings.flatbuffers.walker import walk_flatbuffer
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, LimitError
from modelinspect.formats.tflite.labels import MODEL
from modelinspect.sources.base import Source

MOST_VALUES = 4_096
MOST_NODES = 2_000_000
MOST_NESTING = 64
_LEAST_TABLE = 8
"""Bytes of the smallest table with the reference to it."""
_SHARED = 64 * KIB
"""What short names and vectors that writers share may take beyond the file."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of numbers: how many, their width in bytes, and where they are; ``values`` of short vectors of
    whole numbers.
    """

    count: int
    width: int
    start: int = -1
    values: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of its numbers."""
        return self.count * self.width


Value = None | bool | int | float | bytes | Vector


@dataclass(slots=True)
class Node:
    """A table: numbers, strings and vectors in ``values``, tables in ``nodes``, vectors of tables in
    ``lists``.
    """

    type: str
    values: dict[str, Value] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    lists: dict[str, list[Node]] = field(default_factory=dict)
    strings: dict[str, list[bytes]] = field(default_factory=dict)
    shape: Any = field(default=None, init=False, repr=False, compare=False)
    """What decides its size, once that is known (`conversion.flatbuffer.shapes`)."""

    def copy(self) -> Node:
        """Return a node whose own fields can be changed; the nodes below are shared."""
        lists = {name: list(nodes) for name, nodes in self.lists.items()}
        return Node(self.type, dict(self.values), dict(self.nodes), lists, dict(self.strings))

    def number(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        value = self.values.get(name, default)
        return int(value) if isinstance(value, int | float) else default

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.values.get(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""

    def vector(self, name: str) -> Vector:
        """Return a vector, an empty one where it is not there."""
        value = self.values.get(name)
        return value if isinstance(value, Vector) else Vector(0, 4)


def read_tree(source: Source, schema: Schema, limits: Limits) -> Node:
    """Read a model that begins at byte 0.

    Raises `FormatError`, also where its tables are damaged, shared or nested beyond reason.
    """
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
    those, so what is read exceeds the file only where somebody made it so.
    """

    def __init__(self, reader: Reader, left: int) -> None:
        self.reader = reader
        self.count = 0
        self.left = left

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
        node = Node(table.type.name)
        for item in table.type.fields:
            if not table.has(item.name):
                continue
            if item.shape is Shape.SCALAR and not item.vector:
                node.values[item.name] = table.value(item.name)
            elif item.shape is Shape.SCALAR:
                node.values[item.name] = self._vector(table, item.name, item.size, item.target)
            elif item.shape is Shape.STRING and not item.vector:
                node.values[item.name] = text = (table.string(item.name) or "").encode()
                self._spend(len(text), table.position)
            elif item.shape is Shape.STRING:
                node.strings[item.name] = texts = [text.encode() for text in table.strings(item.name)]
                self._spend(sum(map(len, texts)), table.position)
            elif item.vector and item.shape is Shape.TABLE:
                node.lists[item.name] = [self.read(each, depth + 1) for each in table.tables(item.name)]
            elif item.shape in (Shape.TABLE, Shape.UNION) and not item.vector:
                below = table.table(item.name)
                if below is None:
                    raise FormatError(
                        f"the union {item.name} is of a type not known", self.reader.member, table.position
                    )
                node.nodes[item.name] = self.read(below, depth + 1)
            else:
                raise FormatError(
                    f"the field {item.name} is not read here", self.reader.member, table.position
                )
        return node

    def _vector(self, table: Table, name: str, width: int, target: str) -> Vector:
        found = table.data(name)
        if found is None:
            return Vector(0, width)
        start, count = found
        elements = (table.type.name, name) == ("Buffer", "data")
        short = count <= MOST_VALUES and target in ("int", "uint", "long", "ubyte") and not elements
        if not elements:
            self._spend(count * width, table.position)
        return Vector(count, width, start, tuple(table.numbers(name)) if short else ())
