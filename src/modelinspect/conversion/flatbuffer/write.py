"""Write a tree as a flatbuffer, to the byte as flatbuffers' own builder does. Unknown vectors are zeros.

The bytes are written once, from the end of the file on (builder.py); tests compare them with the builder's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct, pack_into
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.flatbuffer.columns import Block, below_of, is_flat, packed
from modelinspect.conversion.flatbuffer.shapes import PHASES, Below, Shape, shape_of
from modelinspect.conversion.flatbuffer.size import packed_size
from modelinspect.conversion.tree import Node, Value, Vector
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Schema
from modelinspect.errors import InvariantError

Contents = Callable[[Node, str], bytes | None]
"""Gives the bytes of a vector that is a field of a node, None where they are not known."""

_U32 = Struct("<I")


def write(root: Node, schema: Schema, contents: Contents, size: int | None = None) -> bytearray:
    """Return the file, which is as large as `packed_size` says: ``size`` where that is known."""
    whole = packed_size(root, schema) if size is None else size
    writer = _Writer(schema, contents, bytearray(whole), whole)
    at = writer.table(root)
    writer.finish(at)
    return writer.data


_FEW = 8
"""So many tables of a shape are not worth their columns."""
_WIDE = 1 << 12
_AT_ONCE = 1 << 18
"""Bytes of tables that are written at once."""


class _Group:
    """Tables of one shape that take ``step`` bytes each, and where each begins."""

    __slots__ = ("block", "heads", "most", "nodes", "step")

    def __init__(self, step: int) -> None:
        self.step = step
        self.most = max(_AT_ONCE // step, 1)
        self.nodes: list[Node] = []
        self.heads: list[int] = []
        self.block: Block | None = None


@dataclass(slots=True)
class _Writer:
    """Places are counted from the end of the file; ``head`` is how much is written."""

    schema: Schema
    contents: Contents
    data: bytearray
    size: int
    head: int = 0
    alignment: int = 1
    vtables: dict[tuple[int, ...], int] = field(default_factory=dict)
    groups: tuple[dict[Shape, _Group], ...] = field(default_factory=lambda: tuple({} for _ in range(PHASES)))
    """Tables whose places are known, by where they begin modulo `PHASES`: they are written many at once."""

    def finish(self, root: int) -> None:
        """Write the root offset and the identifier. Raises `InvariantError` where the size is another."""
        while waiting := [pair for one in self.groups for pair in one.items() if pair[1].nodes]:
            for shape, group in waiting:
                self._fill(shape, group)
        identifier = self.schema.identifier
        length = 4 + len(identifier)
        self.head += -(self.head + length) % self.alignment + length
        if self.head != self.size:
            raise InvariantError("a flatbuffer is not as large as it was counted")
        self.data[:length] = _U32.pack(self.head - root) + identifier

    def table(self, node: Node) -> int:
        """Write a table after what it points to; return its place."""
        shape = node.shape or shape_of(node, self.schema)
        places = [self._below(node, item.name, below) for item, below, _ in shape.below]
        start, row = self.head, shape.row(self.head)
        fields: list[Value] = [start + place - at for at, place in zip(places, row.places, strict=True)]
        if shape.inline:
            values = node.values
            fields += [values[item.name] for item in shape.inline]
        self.alignment = max(self.alignment, shape.alignment)
        self.head = end = start + row.end
        vtable = self.vtables.get(row.vtable)
        if vtable is None:
            vtable = self.vtables[row.vtable] = self.head = end + row.vtable[0]
            pack_into(f"<{len(row.vtable)}H", self.data, self.size - vtable, *row.vtable)
        ordered = [fields[index] for index in shape.order]
        row.packed.pack_into(self.data, self.size - end, vtable - end, *ordered)
        return end

    def _below(self, node: Node, name: str, below: Below) -> int:
        """Write what a field points to; return its place."""
        if below is Below.VECTOR:
            vector = node.vector(name)
            return self._vector(vector, self.contents(node, name))
        if below is Below.TABLES:
            return self._offsets(self._tables(node.lists[name]))
        if below is Below.STRINGS:
            return self._offsets([self._string(text) for text in node.strings[name]])
        if below is Below.TABLE:
            return self.table(node.nodes[name])
        value = node.values[name]
        return self._string(value) if isinstance(value, bytes) else 0

    def _tables(self, nodes: Sequence[Node]) -> list[int]:
        """Write tables, or note them where one of their shape was written at the same alignment; return their
        places.
        """
        places: list[int] = []
        groups = self.groups
        for node in nodes:
            shape = node.shape or shape_of(node, self.schema)
            head = self.head
            group = groups[head % PHASES].get(shape)
            if group is None:
                known = len(self.vtables)
                places.append(self.table(node))
                if shape.is_whole and len(self.vtables) == known:
                    groups[head % PHASES][shape] = _Group(self.head - head)
                continue
            group.nodes.append(node)
            group.heads.append(head)
            self.head = head + group.step
            places.append(self.head)
            if len(group.nodes) >= group.most:
                self._fill(shape, group)
        return places

    def _fill(self, shape: Shape, group: _Group) -> None:
        """Write the tables that were noted."""
        nodes, heads, last = group.nodes, group.heads, self.head
        group.nodes, group.heads = [], []
        if len(nodes) < _FEW or group.step > _WIDE or not is_flat(shape):
            for node, head in zip(nodes, heads, strict=True):
                self.head = head
                self.table(node)
            self.head = last
            return
        if group.block is None:
            group.block = Block(shape, heads[0] % PHASES, group.step)
        starts = np.array(heads, np.int64)
        rows = np.tile(group.block.data, (len(nodes), 1))
        for at, end, vtable in group.block.vtables:
            rows[:, at : at + 4] = _bytes(self.vtables[vtable] - end - starts)
        below: dict[tuple[str, ...], Sequence[Node]] = {}
        for at, size, path, name, letter in group.block.columns:
            if path not in below:
                below[path] = below_of(nodes, path)
            data = self._column(below[path], name, letter, size)
            rows[:, at : at + size] = np.frombuffer(data, np.uint8).reshape(-1, size)
        first = self.size - starts - group.step
        np.frombuffer(self.data, np.uint8)[first[:, None] + np.arange(group.step)] = rows

    def _column(self, nodes: Sequence[Node], name: str, letter: str, size: int) -> bytes:
        """Return the bytes of one field of many tables."""
        if letter:
            values: list[Any] = [node.values[name] for node in nodes]
            return b"".join(values) if letter == "s" else Struct(f"<{len(nodes)}{letter}").pack(*values)
        contents = self.contents
        given = [contents(node, name) for node in nodes]
        vectors = [node.vector(name) for node in nodes]
        if all(data is None and vector.values for data, vector in zip(given, vectors, strict=True)):
            return packed(vectors)
        stored = [
            (packed([vector]) if data is None and vector.values else data or b"")[:size]
            for data, vector in zip(given, vectors, strict=True)
        ]
        return b"".join([data.ljust(size, b"\0") for data in stored])

    def _offsets(self, places: list[int]) -> int:
        self.head += -self.head % 4
        start = self.head
        self.head += 4 * len(places) + 4
        offsets = start + 4 * np.arange(len(places), 0, -1) - np.array(places, np.int64)
        self._put(len(places), offsets.astype("<u4").tobytes())
        return self.head

    def _string(self, text: bytes) -> int:
        self.head += -(self.head + len(text) + 1) % 4 + len(text) + 5
        self._put(len(text), text)
        return self.head

    def _vector(self, vector: Vector, data: bytes | None) -> int:
        width = max(vector.width, 4)
        self.alignment = max(self.alignment, width)
        self.head += -(self.head + vector.size) % width + vector.size + 4
        if data is None and vector.values:
            data = packed([vector])
        self._put(vector.count, data[: vector.size] if data else b"")
        return self.head

    def _put(self, count: int, data: bytes) -> None:
        """Put a count and what follows it where ``head`` is."""
        at = self.size - self.head
        _U32.pack_into(self.data, at, count)
        self.data[at + 4 : at + 4 + len(data)] = data


def _bytes(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    return numbers.astype("<i4").view(np.uint8).reshape(-1, 4)
