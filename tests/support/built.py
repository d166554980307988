"""Write a tree of a conversion with flatbuffers' own builder, which `conversion.flatbuffer` imitates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers.builder import Builder

from modelinspect.conversion.flatbuffer.write import Contents
from modelinspect.conversion.tree import Node, Vector
from modelinspect.encodings.flatbuffers.schema import Field, Schema, Shape


def build_with_flatbuffers(root: Node, schema: Schema, contents: Contents) -> bytes:
    """Return the file; vectors without contents or values are zeros."""
    builder = Builder(1024)
    writer = _Writer(builder, schema, contents)
    builder.Finish(writer.table(root), file_identifier=schema.identifier or None)
    return bytes(builder.Output())


@dataclass(slots=True)
class _Writer:
    builder: Any
    schema: Schema
    contents: Contents

    def table(self, node: Node) -> int:
        """Write a table after what it points to; return its offset."""
        kind = self.schema.tables[node.type]
        held = {*node.lists, *node.strings, *node.nodes, *node.values}  # of many fields, most tables have few
        mine = [item for item in kind.fields if item.name in held]
        below = {
            item.slot: offset
            for item in kind.offsets
            if item.name in held and (offset := self._below(node, item)) is not None
        }
        self.builder.StartObject(len(kind.fields))
        for item in mine:
            value = node.values.get(item.name, item.default)
            if item.slot in below:
                self.builder.PrependUOffsetTRelativeSlot(item.slot, below[item.slot], 0)
            elif item.inline and value not in (None, item.default):
                getattr(self.builder, _SLOTS[item.target])(item.slot, value, item.default)
        return int(self.builder.EndObject())

    def _below(self, node: Node, item: Field) -> int | None:
        """Write what a field points to; return its offset, None where it is not there."""
        name = item.name
        if item.vector and item.shape is Shape.TABLE:
            return (
                self._offsets([self.table(child) for child in node.lists[name]])
                if name in node.lists
                else None
            )
        if item.vector and item.shape is Shape.STRING:
            return (
                self._offsets([self.builder.CreateString(text) for text in node.strings[name]])
                if name in node.strings
                else None
            )
        if item.shape in (Shape.TABLE, Shape.UNION):
            return self.table(node.nodes[name]) if name in node.nodes else None
        value = node.values.get(name)
        if isinstance(value, Vector):
            return self._vector(value, self.contents(node, name))
        return int(self.builder.CreateString(value)) if isinstance(value, bytes) else None

    def _offsets(self, offsets: list[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _vector(self, vector: Vector, data: bytes | None) -> int:
        unsigned = np.dtype(f"<u{vector.width}")
        if data is not None:
            array = np.frombuffer(data, unsigned)
        elif vector.values:
            array = np.array(vector.values, dtype=np.int64).astype(f"<i{vector.width}").view(unsigned)
        else:
            array = np.zeros(vector.count, unsigned)
        return int(self.builder.CreateNumpyVector(array))


_SLOTS = {
    "bool": "PrependBoolSlot",
    "byte": "PrependInt8Slot",
    "ubyte": "PrependUint8Slot",
    "short": "PrependInt16Slot",
    "ushort": "PrependUint16Slot",
    "int": "PrependInt32Slot",
    "uint": "PrependUint32Slot",
    "long": "PrependInt64Slot",
    "ulong": "PrependUint64Slot",
    "float": "PrependFloat32Slot",
    "double": "PrependFloat64Slot",
}
"""How flatbuffers' builder writes each scalar."""
