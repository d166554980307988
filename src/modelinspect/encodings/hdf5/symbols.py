"""Walk groups of the first kind: v1 B-tree, symbol table nodes, local heap (specification, sections III.A.1,
B to D).
"""

from __future__ import annotations

from struct import Struct

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.hdf5.model import B_TREE, LOCAL_HEAP, SYMBOL_NODE
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, METADATA, STALE_ENTRIES, STALE_KEYS, State

_WIDTH = {2: "H", 4: "I", 8: "Q"}
_NODE_HEAD = 8
_UNSET_FREE = 1
"""The offset that ends a local heap's free list (H5HL_FREE_NULL)."""


@dataclass(slots=True)
class LocalHeap:
    """A local heap: its data segment, and where the segment's used strings were met."""

    data: bytes
    offset: int
    path: PathId
    free: list[tuple[int, int]]
    used: dict[int, tuple[int, PathId]] = field(default_factory=dict)

    def string(self, state: State, index: int, what: str) -> bytes:
        """Return the string that begins at an index of the data segment. Raises `FormatError`."""
        end = self.data.find(b"\0", index) if index < len(self.data) else -1
        if end < 0:
            raise state.error(
                f"a {what} at {index:,} of the local heap does not end within it",
                self.offset + min(index, len(self.data)),
            )
        return self.data[index:end]


@dataclass(frozen=True, slots=True)
class Entry:
    """A symbol table entry: a hard link to an object header, or a soft link (``target``)."""

    name: str
    address: int
    target: bytes | None = None


def claim_entry(state: State, offset: int, cache_type: int, path: PathId) -> None:
    """Claim a symbol table entry: its scratch pad says something for cache types 1 (group) and 2 (soft link)
    only.
    """
    head = 2 * state.offset_size + 4
    used = {1: 2 * state.offset_size, 2: 4}.get(cache_type, -4)
    state.claim(offset, head + 4 + used, CONTAINER, path)
    state.claim(offset + head + 4 + used, 16 - used, FREE, path)


def local_heap_header_size(state: State) -> int:
    """Return the bytes that a local heap's header takes, with its padding."""
    return (8 + 2 * state.length_size + state.offset_size + 7) // 8 * 8


def read_local_heap(state: State, address: int, path: PathId) -> LocalHeap:
    """Read a local heap's header, data segment and free list, and claim the header. Raises `FormatError`."""
    size = 8 + 2 * state.length_size + state.offset_size
    state.enter(address, "local heap")
    cursor = state.cursor(address, size, "local heap")
    cursor.expect(LOCAL_HEAP)
    version = cursor.u8()
    if version != 0:
        raise state.unsupported(f"local heap version {version} is not read here", cursor.base)
    cursor.skip(3)
    segment_size, free, segment = state.length(cursor), state.length(cursor), state.address(cursor)
    data = state.read(segment, segment_size, "local heap's data segment")
    state.claim(cursor.base, size, CONTAINER, path)
    state.fill(cursor.base + size, local_heap_header_size(state) - size, path)
    blocks: list[tuple[int, int]] = []
    seen: set[int] = set()
    pair = Struct("<2" + _WIDTH[state.length_size])
    offset = state.base + segment
    while free != _UNSET_FREE and free != (1 << 8 * state.length_size) - 1:
        if free in seen or free + pair.size > len(data):
            raise state.error("the free list of a local heap leads out of it or in a circle", offset)
        seen.add(free)
        following, length = pair.unpack_from(data, free)
        if length < pair.size or free + length > len(data):
            raise state.error(f"a free block of a local heap has {length:,} bytes", offset + free)
        blocks.append((free, length))
        free = following
    return LocalHeap(data, offset, path, blocks)


def finish_local_heap(state: State, heap: LocalHeap) -> None:
    """Claim the data segment: strings, the free list's headers, and what is free."""
    claim, child, path = state.claim, state.paths.child, heap.path
    segment, padding, unused = child(path, "data segment"), child(path, "padding"), child(path, "unused")
    link = 2 * state.length_size
    pieces = [(index, size, 0, place) for index, (size, place) in heap.used.items()]
    pieces += [(index, length, 1, child(path, "free block header")) for index, length in heap.free]
    pieces.sort(key=lambda piece: piece[0])
    done, base = 0, heap.offset
    after_string = False
    for index, size, is_free, place in pieces:
        if index < done:  # two links that share the end of a string; the first claim holds it
            size -= done - index
            index = done
            if size <= 0:
                continue
        gap = index - done
        claim(base + done, gap, FREE, padding if after_string and gap < 8 else unused)
        if is_free:
            claim(base + index, min(link, size), CONTAINER, place)
            claim(base + index + link, size - link, FREE, child(path, "free block"))
        else:
            claim(base + index, size, CONTAINER if place == segment else METADATA, place)
        after_string = not is_free
        done = index + size
    gap = len(heap.data) - done
    claim(base + done, gap, FREE, padding if after_string and gap < 8 else unused)


class SymbolTable:
    """Walks one group's B-tree and symbol table nodes."""

    __slots__ = (
        "_entry",
        "_keys",
        "_leaf_size",
        "_node_size",
        "_tree_head",
        "entries",
        "heap",
        "path",
        "state",
    )

    def __init__(self, state: State, leaf_k: int, internal_k: int, heap: LocalHeap, path: PathId) -> None:
        self.state = state
        self.heap = heap
        self.path = path
        self.entries: list[Entry] = []
        address, length = _WIDTH[state.offset_size], _WIDTH[state.length_size]
        self._tree_head = Struct("<4sBBH2" + address)
        self._entry = Struct("<2" + address + "II4x")
        self._node_size = (
            self._tree_head.size
            + (2 * internal_k + 1) * state.length_size
            + 2 * internal_k * state.offset_size
        )
        self._leaf_size = _NODE_HEAD + 2 * leaf_k * (2 * state.offset_size + 24)
        self._keys = length + address

    def walk(self, root: int) -> list[Entry]:
        """Claim the tree and return its entries in order; what cannot be read is reported."""
        state = self.state
        segment = state.paths.child(self.heap.path, "data segment")
        seen: set[int] = set()
        pending: list[tuple[int, int | None]] = [(root, None)]
        while pending:
            address, level = pending.pop()
            if address in seen:
                state.survive(state.error("the B-tree of a group leads in a circle", state.base + address))
                continue
            seen.add(address)
            if level == -1:
                state.guard(self._leaf, address)
                continue
            children = state.guard(self._node, address, level, segment)
            if children:
                pending += reversed(children)
        return self.entries

    def _node(self, address: int, level: int | None, segment: PathId) -> list[tuple[int, int | None]]:
        state, head = self.state, self._tree_head
        data = state.read(address, self._node_size, "B-tree node of a group")
        offset = state.base + address
        signature, kind, own_level, count, _left, _right = head.unpack_from(data)
        if signature != B_TREE or kind != 0:
            raise state.error("no B-tree node of a group is here", offset)
        if level is not None and own_level != level:
            raise state.error(f"a B-tree node has level {own_level} below level {level + 1}", offset)
        step = state.length_size + state.offset_size
        used = head.size + count * step + (state.length_size if count else 0)
        if used > self._node_size:
            raise state.error(f"a B-tree node says that it has {count:,} children", offset)
        path = state.paths.add(self.path, "B-tree node")
        state.claim(offset, used, CONTAINER, path)
        state.claim(offset + used, self._node_size - used, FREE, state.paths.add(path, STALE_KEYS))
        state.totals.group_btrees += self._node_size
        if not count:
            return []
        values = Struct("<" + self._keys * count + self._keys[0]).unpack_from(data, head.size)
        heap = self.heap
        for key in values[::2]:
            # A key is the offset of a name; the first one is of the empty string.
            if key not in heap.used and key < len(heap.data):
                heap.used[key] = (len(heap.string(state, key, "B-tree key")) + 1, segment)
        below = own_level - 1
        return [(child, below) for child in values[1::2]]

    def _leaf(self, address: int) -> None:
        state = self.state
        data = state.read(address, self._leaf_size, "symbol table node")
        offset = state.base + address
        if data[:4] != SYMBOL_NODE or data[4] != 1:
            raise state.error("no symbol table node is here", offset)
        count = int.from_bytes(data[6:8], "little")
        step = 2 * state.offset_size + 24
        used = _NODE_HEAD + count * step
        if used > self._leaf_size:
            raise state.error(f"a symbol table node says that it has {count:,} entries", offset)
        paths, path = state.paths, state.paths.add(self.path, "symbol table node")
        state.claim(offset, _NODE_HEAD, CONTAINER, path)
        state.totals.group_btrees += self._leaf_size
        entry_path = paths.add(path, "entry")
        scratch = self._entry.size
        for index in range(_NODE_HEAD, used, step):
            name, header, cache, _reserved = self._entry.unpack_from(data, index)
            claim_entry(state, offset + index, cache, entry_path)
            label = self._string(name, "link name")
            target = None
            if cache == 2:
                place = int.from_bytes(data[index + scratch - 4 : index + scratch], "little")
                target = self._string(place, "soft link's value").encode("utf-8", "backslashreplace")
            self.entries.append(Entry(label, header, target))
        state.claim(offset + used, self._leaf_size - used, FREE, paths.add(path, STALE_ENTRIES))

    def _string(self, index: int, what: str) -> str:
        heap = self.heap
        value = heap.string(self.state, index, what)
        self.state.spend(len(value), heap.offset + index)
        name = text(value)
        heap.used[index] = (len(value) + 1, self.state.paths.add(heap.path, name))
        return name
