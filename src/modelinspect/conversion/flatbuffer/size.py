"""Count the bytes of a flatbuffer as Python's object API writes it, which is how TFLiteConverter writes its
files.

Sources: flatbuffers/python/flatbuffers/builder.py (Prep, WriteVtable, Finish) and the ``Pack`` methods that
flatc generates: what a table points to is written first, in the order of the fields, then the table.
``convert_object_to_bytearray`` in tensorflow/lite/tools/flatbuffer_utils.py is the last step of every
conversion; it ignores ``force_align``, so buffers are at multiples of 4.
"""

from __future__ import annotations

from typing import Any

from modelinspect.conversion.flatbuffer.shapes import PHASES, Below, Shape, shape_of
from modelinspect.conversion.tree import Node
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Schema


def packed_size(root: Node, schema: Schema) -> int:
    """Return the size of the file. The nodes must not be changed afterwards, but copies of them may be."""
    packer = Packer()
    packer.table(shape_of(root, schema))
    return packer.finish(identifier=bool(schema.identifier))


@dataclass(slots=True)
class Packer:
    """A builder without bytes: ``head`` counts what is written, from the end of the file on.

    How much a table takes depends on its shape, on ``head`` modulo the widest number, and on which vtables
    are there: it is counted until all of its vtables are, and known from then on.
    """

    head: int = 0
    alignment: int = 1
    vtables: set[tuple[int, ...]] = field(default_factory=set)
    steps: tuple[dict[Shape, int], ...] = field(default_factory=lambda: tuple({} for _ in range(PHASES)))
    """How far each shape moves ``head`` once its vtables are there, by ``head`` modulo `PHASES`."""

    def finish(self, *, identifier: bool) -> int:
        """Write the root offset and the identifier; return the size."""
        self._prepare(self.alignment, 8 if identifier else 4)
        self.head += 8 if identifier else 4
        return self.head

    def table(self, shape: Shape) -> None:
        """Write a table after what it points to."""
        before, known = self.head, len(self.vtables)
        for _, below, length in shape.below:
            self._below(below, length)
        row = shape.row(self.head)
        self.alignment = max(self.alignment, shape.alignment)
        self.head += row.end
        if row.vtable not in self.vtables:
            self.vtables.add(row.vtable)
            self.head += row.vtable[0]  # at a multiple of 2, as tables end at multiples of 4
        if shape.is_whole and len(self.vtables) == known:
            self.steps[before % PHASES][shape] = self.head - before

    def _below(self, below: Below, length: Any) -> None:
        """Write what a field points to."""
        if below is Below.TABLES:
            self._tables(length)
            self._vector(len(length), 4)
        elif below is Below.STRINGS:
            for size in length:
                self._string(size)
            self._vector(len(length), 4)
        elif below is Below.TABLE:
            self._tables([length])
        elif below is Below.VECTOR:
            self._vector(*length)
        else:
            self._string(length)

    def _tables(self, shapes: list[Shape]) -> None:
        steps = self.steps
        for shape in shapes:
            step = steps[self.head % PHASES].get(shape)
            if step is None:
                self.table(shape)
            else:
                self.head += step

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
