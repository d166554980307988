"""Read a flatbuffer into a tree of tables, in which equal parts can be shared.

Specification: flatbuffers.dev, "FlatBuffer Internals". A reader follows offsets, so equal parts may be stored
once.
"""

from __future__ import annotations

from typing import Any

from modelinspect.core.limits import KIB, MIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Field, Schema, Shape, TableType
from modelinspect.shrinking.steps import NotShrinkableError
from modelinspect.sources.base import Source

LARGE = 64 * KIB
"""Vectors of numbers from this size on are not read but copied when they are written."""
_AT_ONCE = 32 * MIB
"""Files up to here are read whole."""
_PAGE = 64 * KIB
_SHORT = 64
"""Equal vectors of at most this many bytes are one node from the start, except the bytes of buffers."""
_LOOSE = 8
"""The alignment that bytes of unknown meaning (options of custom operators) keep where they have it: code may
read numbers in them.
"""

_CHANGED = frozenset({"Operator", "Tensor", "SubGraph", "Metadata", "TensorMap"})
"""Tables that steps change after they are read: two that are equal may differ then."""

_DIFFERENT = frozenset({"Buffer", "Operator"})
"""Tables whose vectors seldom equal others."""


@dataclass(eq=False, slots=True)
class Text:
    """A string. ``place`` is where a node is written, 0 until that is known."""

    data: bytes
    place: int = 0


@dataclass(eq=False, slots=True)
class Numbers:
    """A vector of numbers or structs: ``data``, or a place in the source where they are many.

    ``alignment`` is that of the elements.
    """

    data: bytes | None
    offset: int
    size: int
    count: int
    alignment: int
    place: int = 0


@dataclass(eq=False, slots=True)
class Items:
    """A vector of strings or tables."""

    items: list[Node]
    place: int = 0


@dataclass(eq=False, slots=True)
class Record:
    """A table: numbers and structs by field name as bytes, all else as nodes.

    Tables without fields share their dictionaries, so these are replaced where a field is added.
    """

    type: TableType
    inline: dict[str, bytes] = field(default_factory=lambda: _NO_NUMBERS)
    nodes: dict[str, Node] = field(default_factory=lambda: _NO_NODES)
    place: int = 0

    def number(self, name: str) -> int:
        """Return an integer field, or its default."""
        known = self.type.by_name[name]
        data = self.inline.get(name)
        return int(known.default if data is None or known.scalar is None else known.scalar.unpack(data)[0])

    def set_number(self, name: str, value: int) -> None:
        """Set an integer field; a default is not stored."""
        known = self.type.by_name[name]
        if value == known.default:
            self.inline.pop(name, None)
        elif known.scalar is not None:
            self.inline = {**self.inline, name: known.scalar.pack(value)}

    def records(self, name: str) -> list[Record]:
        """Return the tables of a vector field."""
        node = self.nodes.get(name)
        return [item for item in node.items if isinstance(item, Record)] if isinstance(node, Items) else []

    def numbers(self, name: str) -> list[int]:
        """Return the integers of a small vector field."""
        node, known = self.nodes.get(name), self.type.by_name[name]
        if not isinstance(node, Numbers) or node.data is None or known.size not in (1, 4, 8):
            return []
        signed = known.target not in ("ubyte", "uint", "ulong", "bool")
        return [
            int.from_bytes(node.data[at : at + known.size], "little", signed=signed)
            for at in range(0, len(node.data), known.size)
        ]

    def set_numbers(self, name: str, values: list[int]) -> None:
        """Set a vector field of integers that are 4 bytes each."""
        data = b"".join(value.to_bytes(4, "little", signed=True) for value in values)
        self.nodes = {**self.nodes, name: Numbers(data, 0, len(data), len(values), 4)}

    def text(self, name: str) -> str:
        """Return a string field, empty where it is missing."""
        node = self.nodes.get(name)
        return node.data.decode("utf-8", "surrogateescape") if isinstance(node, Text) else ""


Node = Text | Numbers | Items | Record

_NO_NUMBERS: dict[str, bytes] = {}
_NO_NODES: dict[str, Node] = {}


class TreeReader:
    """Reads a flatbuffer by its schema; ``end`` is where the last thing that was read ends.

    Raises `NotShrinkableError` for fields that the schema does not know: they could not be written again.
    """

    def __init__(self, source: Source, schema: Schema, limits: Limits) -> None:
        self._source = source
        self._schema = schema
        self._limits = limits
        self._known: dict[str, dict[int, Record]] = {}
        self._equal: dict[Any, Any] = {}
        self._options = {name for names in schema.unions.values() for name in names} - _CHANGED
        self._pages: dict[int, bytes] = {}
        self._whole = source.read_at(0, source.size) if source.size <= _AT_ONCE else b""
        self._layouts: dict[tuple[int, str], tuple[int, list[tuple[Field, int, bytes | None]]]] = {}
        self._count = 0
        self.end = 8

    def read(self) -> Record:
        """Return the root table."""
        if self._bytes(4, 4) != self._schema.identifier:
            raise NotShrinkableError(f"{self._source.name}: does not begin as a model does")
        root = self._table(self._uint(0), self._schema.tables[self._schema.root])
        for known in (self._known, self._equal, self._pages, self._layouts):  # the tree is all that stays
            known.clear()
        self._whole = b""
        return root

    def _bytes(self, offset: int, size: int) -> bytes:
        if self._whole and 0 <= offset <= len(self._whole) - size:
            return self._whole[offset : offset + size]
        page, inner = divmod(offset, _PAGE)
        read = self._pages.get(page)
        if read is not None and inner + size <= len(read):
            return read[inner : inner + size]
        self._source.require(offset, size)
        if inner + size > _PAGE:
            return self._source.read_at(offset, size)
        if page not in self._pages:
            if len(self._pages) > 256:
                self._pages.clear()
            self._pages[page] = self._source.read_at(
                page * _PAGE, min(_PAGE, self._source.size - page * _PAGE)
            )
        return self._pages[page][inner : inner + size]

    def _uint(self, offset: int, size: int = 4) -> int:
        if offset + size > self.end:
            self.end = offset + size
        return int.from_bytes(self._bytes(offset, size), "little")

    def _table(self, at: int, kind: TableType) -> Record:
        places = self._known.get(kind.name)
        if places is None:
            places = self._known[kind.name] = {}
        known = places.get(at)
        if known is not None:
            return known
        self._count += 1
        if self._count > self._limits.objects:
            self._limits.allow(
                "the number of its tables", self._count, self._limits.objects, self._source.name, at
            )
        numbers: dict[str, bytes] = {}
        nodes: dict[str, Node] = {}
        record = places[at] = Record(kind, numbers, nodes)
        vtable = at - int.from_bytes(self._bytes(at, 4), "little", signed=True)
        layout = self._layouts.get((vtable, kind.name))
        if layout is None:
            layout = self._layouts[vtable, kind.name] = self._layout(vtable, kind)
        size, fields = layout
        self.end = max(self.end, at + 4, at + size)
        for one, slot, default in fields:
            if default is None:
                self._field(record, one, at + slot)
            elif (data := self._bytes(at + slot, one.size)) != default:
                numbers[one.name] = data
        record.inline, record.nodes = numbers or _NO_NUMBERS, nodes or _NO_NODES
        if kind.name in self._options:
            below = tuple((name, id(node)) for name, node in nodes.items())
            key = kind.name, tuple(numbers.items()), below
            record = places[at] = self._equal.setdefault(key, record)
        return record

    def _layout(self, vtable: int, kind: TableType) -> tuple[int, list[tuple[Field, int, bytes | None]]]:
        """Return the size of the tables of a vtable, and the fields that they have with their places and,
        for numbers, the bytes of their defaults.
        """
        length, size = self._uint(vtable, 2), self._uint(vtable + 2, 2)
        self.end = max(self.end, vtable + length)
        slots = [self._uint(vtable + place, 2) for place in range(4, length - 1, 2)]
        if any(slots[len(kind.fields) :]):
            raise NotShrinkableError(
                f"{self._source.name}: a {kind.name} has fields that this version does not know"
            )
        return size, [
            (one, slot, one.scalar.pack(one.default) if one.inline and one.scalar is not None else None)
            for one, slot in zip(kind.fields, slots, strict=False)
            if slot
        ]

    def _field(self, record: Record, one: Field, at: int) -> None:
        if one.inline:
            record.inline[one.name] = self._bytes(at, one.size)
            return
        target = at + self._uint(at)
        if one.shape is Shape.UNION:
            record.nodes[one.name] = self._union(record, one, target)
        elif not one.vector:
            record.nodes[one.name] = self._node(target, one)
        elif one.shape in (Shape.SCALAR, Shape.STRUCT):
            numbers = self._numbers(target, one)
            if numbers.size <= _SHORT and record.type.name not in _DIFFERENT:
                # most are shapes, and few of those differ
                key = record.type.name, one.name, numbers.alignment, numbers.data
                numbers = self._equal.setdefault(key, numbers)
            record.nodes[one.name] = numbers
        else:
            count = self._uint(target)
            self._source.require(target + 4, 4 * count)
            self._limits.allow(
                "the number of its tables", count, self._limits.objects, self._source.name, target
            )
            places = range(target + 4, target + 4 + 4 * count, 4)
            record.nodes[one.name] = Items([self._node(place + self._uint(place), one) for place in places])

    def _node(self, at: int, one: Field) -> Node:
        if one.shape is Shape.TABLE:
            return self._table(at, self._schema.tables[one.target])
        size = self._uint(at)
        self._limits.allow("a string", size, self._limits.structure_size, self._source.name, at)
        self.end = max(self.end, at + 4 + size + 1)
        return Text(self._bytes(at + 4, size))

    def _union(self, record: Record, one: Field, at: int) -> Node:
        kind = record.number(f"{one.name}_type")
        members = self._schema.unions[one.target]
        if not 0 < kind < len(members) or members[kind] not in self._schema.tables:
            raise NotShrinkableError(
                f"{self._source.name}: {one.name} is of a kind ({kind}) that this version does not know"
            )
        return self._table(at, self._schema.tables[members[kind]])

    def _numbers(self, at: int, one: Field) -> Numbers:
        count = self._uint(at)
        size = count * one.size
        self._source.require(at + 4, size)
        self.end = max(self.end, at + 4 + size)
        loose = one.target == "ubyte" and one.alignment < _LOOSE and (at + 4) % _LOOSE == 0
        alignment = _LOOSE if loose else one.alignment
        data = self._bytes(at + 4, size) if size < LARGE else None
        return Numbers(data, at + 4, size, count, alignment)


def share(root: Record, apart: frozenset[str]) -> Record:
    """Return the tree with equal strings, vectors and tables as one node each; tables and fields named in
    ``apart`` are not shared.

    Only values of the same field are shared, so each byte has one meaning.
    """
    result = _Sharing(apart).visit(root, "")
    if not isinstance(result, Record):
        raise NotShrinkableError("the model has no root table")
    return result


class _Sharing:
    """Nodes that were seen, by what they are; a closure would keep the tree until the collector runs."""

    def __init__(self, apart: frozenset[str]) -> None:
        self.apart = apart
        self.known: dict[Any, Node] = {}
        self.leaves: dict[tuple[str, int], dict[bytes, Any]] = {}  # strings and vectors, by what has them
        self.visited: dict[int, Node] = {}
        self.replaced: list[Node] = []  # they must stay: numbers of objects that are gone are given again

    def visit(self, node: Node, owner: str) -> Node:
        """Return the first node that equals this one, which may be itself."""
        if isinstance(node, Text):
            return self._leaf(owner, 0, node.data, node)
        if isinstance(node, Numbers):
            if node.data is None or owner in self.apart:
                return node
            return self._leaf(owner, node.alignment, node.data, node)
        found = self.visited.get(id(node))
        if found is not None:
            return found
        key: object = None
        match node:
            case Items():
                node.items = [self.visit(item, owner) for item in node.items]
                key = ("items", owner, tuple(map(id, node.items)))
            case Record():
                for name, inner in node.nodes.items():
                    node.nodes[name] = self.visit(inner, f"{node.type.name}.{name}")
                if node.type.name not in self.apart:
                    nodes = tuple((name, id(each)) for name, each in sorted(node.nodes.items()))
                    key = ("table", node.type.name, tuple(sorted(node.inline.items())), nodes)
        found = node if key is None else self.known.setdefault(key, node)
        self.visited[id(node)] = found
        if found is not node:
            self.replaced.append(node)
        return found

    def _leaf(self, owner: str, alignment: int, data: bytes, node: Node) -> Node:
        """Return the first string or vector of a field with these bytes: as long ones have equal counts."""
        places = self.leaves.setdefault((owner, alignment), {})
        found: Node = places.setdefault(data, node)
        return found
