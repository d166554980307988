"""Write a tree as a flatbuffer, to the byte as flatbuffers' own builder does. Unknown vectors are zeros.

The bytes are written once, from the end of the file on (builder.py); tests compare them with the builder's.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error, pack, pack_into

import numpy as np

from modelinspect.conversion.flatbuffer.shapes import Below, shape_of
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

    def finish(self, root: int) -> None:
        """Write the root offset and the identifier. Raises `InvariantError` where the size is another."""
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
            return self._offsets([self.table(child) for child in node.lists[name]])
        if below is Below.STRINGS:
            return self._offsets([self._string(text) for text in node.strings[name]])
        if below is Below.TABLE:
            return self.table(node.nodes[name])
        value = node.values[name]
        return self._string(value) if isinstance(value, bytes) else 0

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
            data = _packed(vector)
        self._put(vector.count, data[: vector.size] if data else b"")
        return self.head

    def _put(self, count: int, data: bytes) -> None:
        """Put a count and what follows it where ``head`` is."""
        at = self.size - self.head
        _U32.pack_into(self.data, at, count)
        self.data[at + 4 : at + 4 + len(data)] = data


_LETTERS = {1: "b", 2: "h", 4: "i", 8: "q"}


def _packed(vector: Vector) -> bytes:
    """Return the bytes of a vector's values."""
    try:
        return pack(f"<{vector.count}{_LETTERS[vector.width]}", *vector.values)
    except error:  # numbers without a sign
        return np.array(vector.values, np.int64).astype(f"<i{vector.width}").tobytes()
