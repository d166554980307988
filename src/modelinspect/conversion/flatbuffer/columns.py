"""Write many tables of one shape at once: their bytes but for numbers, strings and vectors are the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from struct import Struct, error
from typing import Any, NamedTuple

import numpy as np

from modelinspect.conversion.flatbuffer.shapes import Below, Shape
from modelinspect.conversion.tree import Node, Vector

_LETTERS = {1: "b", 2: "h", 4: "i", 8: "q"}
_COUNT = Struct("<I")

Path = tuple[str, ...]
"""The fields that lead from a table to one below it."""


class Column(NamedTuple):
    """Bytes that each table has its own of: where they are from the start of its block, and of which field.

    ``letter`` is the format of a number, "s" for a string, and empty for a vector.
    """

    at: int
    size: int
    path: Path
    name: str
    letter: str


class Block:
    """The bytes of a table and of all below it, where it begins at ``head`` modulo 8 from the end of the
    file.

    ``vtables`` are the offsets to vtables: where each is in the block, the end of its table, and the vtable.
    """

    def __init__(self, shape: Shape, head: int, size: int) -> None:
        self.columns: list[Column] = []
        self.vtables: list[tuple[int, int, tuple[int, ...]]] = []
        self._first, self._size = head, size
        self._data = bytearray(size)
        self._table(shape, (), head)
        self.data = np.frombuffer(self._data, np.uint8)

    def _table(self, shape: Shape, path: Path, head: int) -> int:
        """Add a table after what it points to; return where it ends."""
        places: list[int] = []
        for item, below, length in shape.below:
            head = self._below(path, item.name, below, length, head)
            places.append(head)
        row = shape.row(head)
        fields = [head + place - at for at, place in zip(places, row.places, strict=True)]
        fields += [0] * len(shape.inline)
        end = head + row.end
        at = self._at(end)
        row.packed.pack_into(self._data, at, 0, *[fields[index] for index in shape.order])
        self.vtables.append((at, end - self._first, row.vtable))
        for item in shape.inline:
            letter = item.scalar.format[1:] if item.scalar else ""
            self.columns.append(Column(at + row.vtable[2 + item.slot], item.size, path, item.name, letter))
        return end

    def _below(self, path: Path, name: str, below: Below, length: Any, head: int) -> int:
        if below is Below.TABLE:
            return self._table(length, (*path, name), head)
        if below is Below.STRING:
            count, size, letter, end = length, length, "s", 1
            head += -(head + size + 1) % 4
        else:
            count, size, letter, end = length[0], length[0] * length[1], "", 0
            head += -(head + size) % max(length[1], 4)
        head += size + end + 4
        at = self._at(head)
        _COUNT.pack_into(self._data, at, count)
        if size:
            self.columns.append(Column(at + 4, size, path, name, letter))
        return head

    def _at(self, head: int) -> int:
        return self._size - (head - self._first)


def is_flat(shape: Shape) -> bool:
    """Return whether a table has no vector of tables or strings below it."""
    return all(
        is_flat(length) if below is Below.TABLE else below in (Below.STRING, Below.VECTOR)
        for _, below, length in shape.below
    )


def packed(vectors: Sequence[Vector]) -> bytes:
    """Return the bytes of the values of vectors that are as long and as wide as each other."""
    width = vectors[0].width
    values = [*chain.from_iterable([vector.values for vector in vectors])]
    try:
        return Struct(f"<{len(values)}{_LETTERS[width]}").pack(*values)
    except error:  # numbers without a sign
        return np.array(values, np.int64).astype(f"<i{width}").tobytes()


def below_of(nodes: Sequence[Node], path: Path) -> Sequence[Node]:
    """Return the table that a path leads to from each of some."""
    for name in path:
        nodes = [node.nodes[name] for node in nodes]
    return nodes
