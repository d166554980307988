"""Count the bytes of a flatbuffer as Python's object API writes it, which is how TFLiteConverter writes its
files.

Sources: flatbuffers/python/flatbuffers/builder.py (Prep, WriteVtable, Finish) and the ``Pack`` methods that
flatc generates: what a table points to is written first, in the order of the fields, then the table.
``convert_object_to_bytearray`` in tensorflow/lite/tools/flatbuffer_utils.py is the last step of every
conversion; it ignores ``force_align``, so buffers are at multiples of 4.
"""

from __future__ import annotations

from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Field, Schema, Shape


def packed_size(root: Node, schema: Schema) -> int:
    """Return the size of the file."""
    packer = Packer(schema)
    return packer.finish(packer.table(root), identifier=bool(schema.identifier))


@dataclass(slots=True)
class Packer:
    """A builder without bytes: ``head`` counts what is written, from the end of the file on."""

    schema: Schema
    head: int = 0
    alignment: int = 1
    vtables: set[tuple[int, ...]] = field(default_factory=set)

    def finish(self, root: int, *, identifier: bool) -> int:
        """Write the root offset and the identifier; return the size."""
        self._prepare(self.alignment, 8 if identifier else 4)
        self.head += 8 if identifier else 4
        return self.head

    def table(self, node: Node) -> int:
        """Write a table after what it points to; return its offset."""
        kind = self.schema.tables[node.type]
        values = node.values
        held = {*node.lists, *node.strings, *node.nodes, *values}  # of many fields, most tables have few
        sizes = {item.slot: 4 for item in kind.offsets if item.name in held and self._below(node, item)}
        for item in kind.inline:
            if values.get(item.name, item.default) not in (None, item.default):
                sizes[item.slot] = item.size
        start = self.head
        places = [0] * len(kind.fields)
        for slot, size in sorted(sizes.items()):
            self._prepare(size, 0)
            self.head += size
            places[slot] = self.head
        return self._end(start, places)

    def _below(self, node: Node, item: Field) -> bool:
        """Write what a field points to; return whether it is there."""
        name = item.name
        if item.vector and item.shape is Shape.TABLE:
            if name not in node.lists:
                return False
            for child in node.lists[name]:
                self.table(child)
            self._vector(len(node.lists[name]), 4)
        elif item.vector and item.shape is Shape.STRING:
            if name not in node.strings:
                return False
            for text in node.strings[name]:
                self._string(len(text))
            self._vector(len(node.strings[name]), 4)
        elif item.shape in (Shape.TABLE, Shape.UNION):
            if name not in node.nodes:
                return False
            self.table(node.nodes[name])
        else:
            value = node.values.get(name)
            if isinstance(value, Vector):
                self._vector(value.count, value.width)
            elif isinstance(value, bytes):
                self._string(len(value))
            else:
                return False
        return True

    def _prepare(self, size: int, more: int) -> None:
        self.alignment = max(self.alignment, size)
        self.head += -(self.head + more) % size

    def _vector(self, count: int, width: int) -> None:
        self._prepare(4, count * width)
        self._prepare(width, count * width)
        self.head += count * width + 4

    def _string(self, size: int) -> None:
        self._prepare(4, size + 1)
        self.head += size + 1 + 4

    def _end(self, start: int, places: list[int]) -> int:
        """Write the offset to the vtable, and the vtable where there is no equal one yet."""
        self._prepare(4, 0)
        self.head += 4
        end = self.head
        while places and not places[-1]:
            places.pop()
        key = (*(end - place if place else 0 for place in places), end - start)
        if key not in self.vtables:
            self.vtables.add(key)
            self._prepare(2, 0)
            self.head += 2 * (len(places) + 2)
        return end
