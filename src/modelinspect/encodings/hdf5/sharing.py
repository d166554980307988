"""Find shared messages: committed datatypes, and the shared object header message table (specification,
section III.I).
"""

from __future__ import annotations

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.btree2 import BTree2
from modelinspect.encodings.hdf5.fractal import FractalHeap, HeapObject
from modelinspect.encodings.hdf5.state import CONTAINER, State

_IN_HEAP = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shared message is: an object header's address, or an id of the shared message heap."""

    header: int | None
    heap_id: bytes | None


def read_place(cursor: Cursor, state: State) -> Place:
    """Read the body of a shared message."""
    version, kind = cursor.u8(), cursor.u8()
    if version == 1:
        cursor.skip(6 + state.length_size)
        return Place(state.address(cursor), None)
    if version not in (2, 3):
        raise state.unsupported(f"shared message version {version} is not read here", cursor.base)
    if version == 3 and kind == 1:
        return Place(None, cursor.take(8))
    return Place(state.address(cursor), None)


@dataclass(slots=True)
class SharedIndex:
    """An index of the table: the message types it holds, its heap, and the ids of the messages in it."""

    types: int
    heap: FractalHeap | None
    ids: list[bytes] = field(default_factory=list)


class SharedMessages:
    """The shared object header message table of a file."""

    __slots__ = ("_claimed", "_indexes", "path", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.path = state.claims.path("shared object header message table")
        self._indexes: list[SharedIndex] = []
        self._claimed: set[bytes] = set()

    def read(self, address: int, count: int) -> None:
        """Read the table and its indexes, and claim them. Raises `FormatError`."""
        state = self.state
        size = 8 + count * (14 + 2 * state.offset_size)
        cursor = state.cursor(address, size, "shared object header message table")
        cursor.expect(b"SMTB")
        state.verify(cursor.data, "shared object header message table", cursor.base)
        state.container(address, size, size, self.path)
        state.totals.shared_headers += size
        for number in range(count):
            version, kind, types = cursor.u8(), cursor.u8(), cursor.u16()
            cursor.skip(4)
            list_max = cursor.u16()
            cursor.skip(2)
            messages, index, heap = cursor.u16(), state.address(cursor), state.address(cursor)
            if version != 0 or kind > 1:
                state.survive(
                    state.unsupported(
                        f"shared message index type {kind} version {version} is not read here", cursor.offset
                    )
                )
                continue
            path = state.paths.child(self.path, f"index {number}")
            found = SharedIndex(types, None)
            self._indexes.append(found)
            if heap != state.undefined:
                found.heap = state.guard(FractalHeap, state, heap, state.paths.child(path, "fractal heap"))
            if index != state.undefined:
                step = self._read_list if kind == 0 else self._read_tree
                state.guard(step, found, index, messages, list_max, path)

    def _read_list(
        self, found: SharedIndex, address: int, messages: int, list_max: int, path: PathId
    ) -> None:
        state = self.state
        record = 5 + max(12, 4 + state.offset_size)
        size, used = 8 + list_max * record, 8 + messages * record
        if used > size:
            raise state.error(
                f"a shared message list says that it has {messages:,} messages", state.base + address
            )
        state.locate(address, size, "shared message list")
        cursor = state.cursor(address, used, "shared message list")
        cursor.expect(b"SMLI")
        for _ in range(messages):
            self._record(found, cursor.take(record))
        state.verify(cursor.data, "shared message list", cursor.base)
        state.container(address, used, size, state.paths.child(path, "list"))
        state.totals.shared_btrees += size

    def _read_tree(
        self, found: SharedIndex, address: int, _messages: int, _list_max: int, path: PathId
    ) -> None:
        tree = BTree2(self.state, address, (7,), self.state.paths.child(path, "v2 B-tree"))
        for node in tree.nodes():
            for record in node.each():
                self._record(found, record)
        self.state.totals.shared_btrees += tree.stored_size

    def _record(self, found: SharedIndex, record: bytes) -> None:
        if record[0] == _IN_HEAP and len(record) >= 17:
            found.ids.append(record[9:17])

    def find(self, message_type: int, heap_id: bytes) -> HeapObject:
        """Return a shared message. Raises `FormatError`."""
        for index in self._indexes:
            if index.types >> message_type & 1 and index.heap is not None:
                return index.heap.get(heap_id)
        raise self.state.error(f"no shared message index holds messages of type {message_type:#06x}")

    def first_use(self, message_type: int, heap_id: bytes) -> bool:
        """Return whether the message was not met before, so its bytes are yet to be claimed."""
        key = heap_id + bytes((message_type,))
        known = key in self._claimed
        self._claimed.add(key)
        return not known

    def finish(self) -> None:
        """Claim the messages that nobody claimed more finely, and the heaps' rest."""
        state = self.state
        for index in self._indexes:
            if index.heap is None:
                continue
            path = state.paths.child(index.heap.path, "shared message")
            for heap_id in index.ids:
                if any(heap_id + bytes((kind,)) in self._claimed for kind in (0x0C,)):
                    continue
                found = state.guard(index.heap.get, heap_id)
                if found is None:
                    index.heap.ok = False
                elif found.offset is not None:
                    state.claim(found.offset, len(found.data), CONTAINER, path)
            index.heap.finish()
            state.totals.shared_heaps += index.heap.stored_size
