"""Fetch the structure of a remote file level by level, before it is walked object by object.

The structures of a file are small and between the weights: reading each as it is met costs a request each.
This looks only for addresses, claims nothing, reports nothing, and stops where anything is odd: what was not
fetched here is fetched when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from struct import Struct, error
from typing import NamedTuple

from modelinspect.core.limits import KIB, MIB
from modelinspect.encodings.hdf5.headers import FIRST_READ
from modelinspect.encodings.hdf5.model import (
    B_TREE,
    COLLECTION,
    LOCAL_HEAP,
    OBJECT_HEADER,
    SYMBOL_NODE,
    Superblock,
)
from modelinspect.encodings.hdf5.superblock import Roots
from modelinspect.sources.base import Source

_MOST_BYTES = 32 * MIB
_COST = 64
"""Each place that is met counts as so many bytes."""
_MOST_SIZE = 4 * MIB
"""Structures above are not fetched ahead."""
_COLLECTION = 4 * KIB
"""Bytes of the smallest collection of global heap objects, which most are."""
_LINK, _LAYOUT, _ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE = 0x06, 0x08, 0x0C, 0x10, 0x11
_OLD_MESSAGE, _NEW_MESSAGE = Struct("<HH"), Struct("<BH")


class _Place(NamedTuple):
    """A structure of a kind: where it is, how long, and a number that its reader needs.

    Kinds without a reader lead to nothing.
    """

    kind: str
    address: int
    size: int
    number: int = 0


def fetch_ahead(source: Source, superblock: Superblock, roots: Roots) -> None:
    """Have a remote source fetch what a walk will read, in a few requests; do nothing for any other source.

    Raises `LocationError`, `SourceChangedError` as the source does.
    """
    if source.is_remote:
        _Scout(source, superblock, roots).run()


class _Scout:
    def __init__(self, source: Source, superblock: Superblock, roots: Roots) -> None:
        self.source = source
        self.base = superblock.offset
        self.roots = roots
        self.width, self.length = superblock.offset_size, superblock.length_size
        self.tree_size = 8 + 2 * self.width + (2 * roots.group_internal_k + 1) * self.length
        self.tree_size += 2 * roots.group_internal_k * self.width
        self.leaf_size = 8 + 2 * roots.group_leaf_k * (2 * self.width + 24)
        self.heap_size = 8 + 2 * self.length + self.width
        self.left = _MOST_BYTES
        self.readers: dict[str, Callable[[bytes, _Place], Iterator[_Place]]] = {
            "header": self._header,
            "rest": self._header,
            "block": self._block,
            "tree": self._tree,
            "leaf": self._leaf,
            "heap": self._heap,
            "chunks": self._chunks,
            "collection": self._collection,
        }

    def run(self) -> None:
        seen: set[tuple[str, int]] = set()
        roots = [self.roots.root_header, self.roots.extension]
        places = [_Place("header", root, FIRST_READ) for root in roots if root is not None]
        while places:
            self.source.expect([(self.base + place.address, place.size) for place in places])
            level, places = places, []
            for place in level:
                for below in self._below(place):
                    self.left -= _COST
                    key = below.kind, below.address
                    if key not in seen and 0 < below.size <= _MOST_SIZE and self.left > below.size:
                        self.left -= below.size
                        seen.add(key)
                        places.append(below)

    def _below(self, place: _Place) -> list[_Place]:
        """Return what a structure leads to, as far as it can be read."""
        offset = self.base + place.address
        size = min(place.size, self.source.size - offset)
        read = self.readers.get(place.kind)
        if read is None or offset < 0 or size <= 0 or self.left < 0:
            return []
        data = self.source.read_at(offset, size)
        found: list[_Place] = []
        with suppress(error, IndexError):  # the walk reads it again and says what is wrong
            found.extend(read(data, place))
        return found

    def _number(self, data: bytes, at: int, width: int | None = None) -> int:
        width = self.width if width is None else width
        if at + width > len(data):
            raise IndexError(at)
        return int.from_bytes(data[at : at + width], "little")

    def _header(self, data: bytes, place: _Place) -> Iterator[_Place]:
        if data[:4] == OBJECT_HEADER:
            flags = data[5]
            start = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            start, size = start + (1 << (flags & 3)), self._number(data, start, 1 << (flags & 3))
            end, is_new = start + size, 2 | (flags & 4)
        else:
            start, end, is_new = 16, 16 + self._number(data, 8, 4), 0
        if end > len(data) and place.size == FIRST_READ:
            yield _Place("rest", place.address, end + 4)
            return
        yield from self._messages(data[start:end], is_new)

    def _block(self, data: bytes, place: _Place) -> Iterator[_Place]:
        is_new = place.number
        yield from self._messages(data[4:-4] if is_new else data, is_new)

    def _messages(self, data: bytes, is_new: int) -> Iterator[_Place]:
        at = 0
        head = (6 if is_new & 4 else 4) if is_new else 8
        layout = _NEW_MESSAGE if is_new else _OLD_MESSAGE
        while at + head <= len(data):
            kind, size = layout.unpack_from(data, at)
            body = data[at + head : at + head + size]
            at += head + size
            if kind == _CONTINUATION:
                size = self._number(body, self.width, self.length)
                yield _Place("block", self._number(body, 0), size, is_new)
            elif kind == _SYMBOL_TABLE:
                yield _Place("tree", self._number(body, 0), self.tree_size)
                yield _Place("heap", self._number(body, self.width), self.heap_size)
            elif kind == _LINK:
                yield from self._link(body)
            elif kind == _LAYOUT:
                yield from self._layout(body)
            elif kind == _ATTRIBUTE:
                yield from self._attribute(body)

    def _link(self, body: bytes) -> Iterator[_Place]:
        flags = body[1]
        at = 2
        kind = body[at] if flags & 8 else 0
        at += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        at += width + self._number(body, at, width)
        if kind == 0:
            yield _Place("header", self._number(body, at), FIRST_READ)

    def _layout(self, body: bytes) -> Iterator[_Place]:
        """Find the index of chunks that a B-tree of the first kind is."""
        if body[0] == 3 and body[1] == 2:
            rank = body[2]
            size = 8 + 2 * self.width + 2 * self.roots.chunk_k * (8 + 8 * rank + self.width) + 8 + 8 * rank
            yield _Place("chunks", self._number(body, 3), size, rank)

    def _chunks(self, data: bytes, place: _Place) -> Iterator[_Place]:
        if data[:4] == B_TREE and data[4] == 1 and data[5]:
            key = 8 + 8 * place.number
            for child in range(self._number(data, 6, 2)):
                at = 8 + 2 * self.width + key + child * (key + self.width)
                yield _Place("chunks", self._number(data, at), place.size, place.number)

    def _attribute(self, body: bytes) -> Iterator[_Place]:
        """Find the collection of a value of variable length, which is at the end of its message."""
        version = body[0]
        name, datatype, space = (self._number(body, at, 2) for at in (2, 4, 6))
        at = 8 + (version == 3)
        if version == 1:
            name, datatype, space = ((size + 7) // 8 * 8 for size in (name, datatype, space))
        if body[at + name] & 15 == 9:
            step = 8 + self.width
            for place in range(at + name + datatype + space, len(body) - step + 1, step):
                yield _Place("collection", self._number(body, place + 4), _COLLECTION)

    def _collection(self, data: bytes, place: _Place) -> Iterator[_Place]:
        size = self._number(data, 8, self.length)
        if data[:4] == COLLECTION and size > len(data) and place.size == _COLLECTION:
            yield _Place("whole", place.address, size)

    def _tree(self, data: bytes, place: _Place) -> Iterator[_Place]:
        if data[:4] != B_TREE or data[4] != 0:
            return
        kind, size = ("tree", self.tree_size) if data[5] else ("leaf", self.leaf_size)
        for child in range(self._number(data, 6, 2)):
            at = 8 + 2 * self.width + self.length + child * (self.length + self.width)
            yield _Place(kind, self._number(data, at), size)

    def _leaf(self, data: bytes, place: _Place) -> Iterator[_Place]:
        """Read symbol table entries; those of groups also say where their trees and heaps are."""
        if data[:4] != SYMBOL_NODE:
            return
        step = 2 * self.width + 24
        for entry in range(self._number(data, 6, 2)):
            at = 8 + entry * step + self.width
            yield _Place("header", self._number(data, at), FIRST_READ)
            if self._number(data, at + self.width, 4) == 1:
                at += self.width + 8
                yield _Place("tree", self._number(data, at), self.tree_size)
                yield _Place("heap", self._number(data, at + self.width), self.heap_size)

    def _heap(self, data: bytes, place: _Place) -> Iterator[_Place]:
        if data[:4] == LOCAL_HEAP:
            size = self._number(data, 8, self.length)
            yield _Place("segment", self._number(data, 8 + 2 * self.length), size)
