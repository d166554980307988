"""Read fractal heaps (specification, section III.G): where their managed, huge and tiny objects are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TypeVar

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.btree2 import BTree2
from modelinspect.encodings.hdf5.extension import claim_free_space
from modelinspect.encodings.hdf5.filters import decode
from modelinspect.encodings.hdf5.messages import read_filters
from modelinspect.encodings.hdf5.model import Filter
from modelinspect.encodings.hdf5.state import CONTAINER, State, encoded_size
from modelinspect.errors import FormatError

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class HeapObject:
    """An object of a fractal heap: its bytes, and where they are (None: only as filtered, tiny or
    huge-filtered bytes).
    """

    data: bytes
    offset: int | None


@dataclass(frozen=True, slots=True)
class _Block:
    """A direct block: where it begins in the heap's space, its bytes, and where they are in the file (None:
    filtered).
    """

    start: int
    data: bytes
    offset: int | None


class FractalHeap:
    """A fractal heap, read whole: its header, its indirect blocks and its direct blocks.

    Blocks are claimed as container; who reads an object claims it, and `finish` says that the rest is free.
    """

    __slots__ = (
        "_blocks",
        "_filters",
        "_flags",
        "_heap_bits",
        "_huge",
        "_huge_address",
        "_id_size",
        "_length_size",
        "_max_direct",
        "_offset_size",
        "_start",
        "_starts",
        "_width",
        "address",
        "ok",
        "path",
        "state",
        "stored_size",
    )

    def __init__(self, state: State, address: int, path: PathId) -> None:
        self.state = state
        self.address = address
        self.path = path
        self.ok = True
        self.stored_size = 0
        self._blocks: list[_Block] = []
        self._huge: dict[int, tuple[int, int, int, int]] | None = None
        state.enter(address, "fractal heap")
        root, rows, root_filtered = self._read_header()
        if root is not None:
            self._read_blocks(root, rows, root_filtered)
        self._blocks.sort(key=lambda block: block.start)
        self._starts = [block.start for block in self._blocks]

    def _read_header(self) -> tuple[int | None, int, tuple[int, int]]:
        state, path = self.state, self.path
        fixed = 26 + 3 * state.offset_size + 12 * state.length_size
        cursor = state.cursor(self.address, fixed, "fractal heap header")
        cursor.expect(b"FRHP")
        version = cursor.u8()
        if version != 0:
            raise state.unsupported(f"fractal heap version {version} is not read here", cursor.base)
        self._id_size, filter_size = cursor.u16(), cursor.u16()
        if filter_size:
            fixed += filter_size + state.length_size + 4
            again = state.cursor(self.address, fixed, "fractal heap header")
            again.index, cursor = cursor.index, again
        self._flags = cursor.u8()
        max_managed = cursor.u32()
        cursor.skip(state.length_size)
        huge = state.address(cursor)
        self._huge_address = None if huge == state.undefined else huge
        cursor.skip(state.length_size)
        free_space = state.address(cursor)
        cursor.skip(8 * state.length_size)
        self._width = cursor.u16()
        self._start, self._max_direct = state.length(cursor), state.length(cursor)
        self._heap_bits = cursor.u16()
        cursor.skip(2)
        root, rows = state.address(cursor), cursor.u16()
        root_filtered = (0, 0)
        self._filters: tuple[Filter, ...] = ()
        if filter_size:
            root_filtered = (state.length(cursor), cursor.u32())
            pipeline = Cursor(
                cursor.take(filter_size), cursor.member, cursor.offset - filter_size, "filter pipeline"
            )
            self._filters = read_filters(pipeline)
        if (
            not self._width
            or not self._start
            or self._start & (self._start - 1)
            or self._max_direct < self._start
            or self._heap_bits > 64
        ):
            raise state.error("the sizes of a fractal heap's header are impossible", cursor.base)
        self._offset_size = (self._heap_bits + 7) // 8
        self._length_size = min(encoded_size(self._max_direct), encoded_size(max_managed))
        state.verify(cursor.data, "fractal heap header", cursor.base)
        state.container(self.address, fixed, fixed, path)
        self.stored_size += fixed
        if free_space != state.undefined:
            self.stored_size += (
                state.guard(
                    claim_free_space, state, free_space, state.paths.child(path, "free-space manager")
                )
                or 0
            )
        return (None if root == state.undefined else root), rows, root_filtered

    def _row_size(self, row: int) -> int:
        return self._start << max(row - 1, 0)

    def _read_blocks(self, root: int, rows: int, filtered: tuple[int, int]) -> None:
        state = self.state
        if rows == 0:
            self._guard(self._direct, root, 0, self._start, filtered)
            return
        seen: set[int] = set()
        pending = [(root, 0, rows)]
        while pending:
            address, start, count = pending.pop()
            if address in seen:
                self.ok = False
                state.survive(
                    state.error(
                        "the indirect blocks of a fractal heap lead in a circle", state.base + address
                    )
                )
                continue
            seen.add(address)
            children = self._guard(self._indirect, address, start, count)
            if children is not None:
                pending += children

    def _guard(self, step: Callable[..., _Result], *arguments: object) -> _Result | None:
        result = self.state.guard(step, *arguments)
        if result is None:
            self.ok = False
        return result

    def _indirect(self, address: int, start: int, rows: int) -> list[tuple[int, int, int]]:
        state = self.state
        direct_rows = self._max_direct.bit_length() - self._start.bit_length() + 2
        if rows > 2 * 64:
            raise state.error(f"an indirect block of a fractal heap has {rows} rows", state.base + address)
        entry = state.offset_size + (state.length_size + 4 if self._filters else 0)
        directs = min(rows, direct_rows) * self._width
        indirects = max(rows - direct_rows, 0) * self._width
        size = 9 + state.offset_size + self._offset_size + directs * entry + indirects * state.offset_size
        cursor = state.cursor(address, size, "indirect block of a fractal heap")
        cursor.expect(b"FHIB")
        cursor.skip(1)
        self._own(cursor, start)
        pending: list[tuple[int, int, int]] = []
        for row in range(rows):
            row_size = self._row_size(row)
            for _ in range(self._width):
                child = state.address(cursor)
                filtered = (0, 0)
                if row < direct_rows and self._filters:
                    filtered = (state.length(cursor), cursor.u32())
                if child != state.undefined:
                    if row < direct_rows:
                        self._guard(self._direct, child, start, row_size, filtered)
                    else:
                        # A child covers as much as its row; its own rows follow from that (section III.G.2).
                        span = row_size // (self._start * self._width)
                        pending.append((child, start, max(span.bit_length(), 1)))
                start += row_size
        state.verify(cursor.data, "indirect block of a fractal heap", cursor.base)
        state.container(address, size, size, state.paths.child(self.path, "indirect block"))
        self.stored_size += size
        return pending

    def _own(self, cursor: Cursor, start: int) -> None:
        if self.state.address(cursor) != self.address or cursor.uint(self._offset_size) != start:
            raise cursor.error("a block of a fractal heap belongs to another heap or place")

    def _direct(self, address: int, start: int, size: int, filtered: tuple[int, int]) -> bool:
        state = self.state
        path = state.paths.child(self.path, "direct block")
        what = "direct block of a fractal heap"
        head = 5 + state.offset_size + self._offset_size + (4 if self._flags & 2 else 0)
        stored = filtered[0] if self._filters else size
        data = state.read(address, stored, what)
        offset: int | None = state.base + address
        if self._filters:
            state.claim(state.base + address, stored, CONTAINER, path)
            data, offset = decode(data, self._filters, filtered[1], size, state, state.base + address), None
        if len(data) < max(head, size):
            raise state.error(f"a {what} has {len(data):,} bytes", state.base + address)
        cursor = Cursor(data[:head], state.name, state.base + address, what)
        cursor.expect(b"FHDB")
        cursor.skip(1)
        self._own(cursor, start)
        if self._flags & 2:
            # The checksum is in the middle and counts as 0 in its own sum.
            place = head - 4
            state.verify(
                data[:place] + b"\0\0\0\0" + data[head:] + data[place:head], what, state.base + address
            )
        if offset is not None:
            state.claim(offset, head, CONTAINER, path)
        self.stored_size += stored
        self._blocks.append(_Block(start, data, offset))
        return True

    def get(self, heap_id: bytes) -> HeapObject:
        """Return the object of an id. Raises `FormatError`."""
        state = self.state
        if len(heap_id) < self._id_size or not heap_id or heap_id[0] & 0xC0:
            raise state.error(f"{heap_id.hex()} is not an id of the fractal heap", state.base + self.address)
        match heap_id[0] >> 4 & 3:
            case 0:
                start = int.from_bytes(heap_id[1 : 1 + self._offset_size], "little")
                rest = heap_id[1 + self._offset_size : 1 + self._offset_size + self._length_size]
                return self._managed(start, int.from_bytes(rest, "little"))
            case 1:
                return self._huge_object(heap_id[1 : self._id_size])
            case 2:
                return self._tiny(heap_id[: self._id_size])
            case kind:
                raise state.error(f"an object of a fractal heap is of kind {kind}", state.base + self.address)

    def _managed(self, start: int, size: int) -> HeapObject:
        index = bisect_right(self._starts, start) - 1
        if index >= 0:
            block = self._blocks[index]
            begin = start - block.start
            if size and begin + size <= len(block.data):
                return HeapObject(
                    block.data[begin : begin + size], None if block.offset is None else block.offset + begin
                )
        raise self.state.error(
            f"no block of the fractal heap holds {size:,} bytes at {start:,}", self.state.base + self.address
        )

    def _tiny(self, heap_id: bytes) -> HeapObject:
        if self._id_size <= 17:
            size, begin = (heap_id[0] & 0x0F) + 1, 1
        else:
            size, begin = ((heap_id[0] & 0x0F) << 8 | heap_id[1]) + 1, 2
        if begin + size > len(heap_id):
            raise self.state.error(
                f"a tiny object of {size} bytes does not fit into its id", self.state.base + self.address
            )
        return HeapObject(heap_id[begin : begin + size], None)

    def _huge_object(self, rest: bytes) -> HeapObject:
        state = self.state
        direct = state.offset_size + state.length_size + (4 + state.length_size if self._filters else 0)
        if len(rest) >= direct:
            cursor = Cursor(rest, state.name, state.base + self.address, "id of a huge object")
            address, size = state.address(cursor), state.length(cursor)
            mask, plain = (cursor.u32(), state.length(cursor)) if self._filters else (0, size)
        else:
            if self._huge is None:
                self._huge = self._read_huge()
            key = int.from_bytes(rest[: min(8, len(rest))], "little")
            if key not in self._huge:
                raise state.error(f"the fractal heap has no huge object {key}", state.base + self.address)
            address, size, mask, plain = self._huge[key]
        data = state.read(address, size, "huge object of a fractal heap")
        if self._filters:
            state.claim(state.base + address, size, CONTAINER, state.paths.child(self.path, "huge object"))
            return HeapObject(decode(data, self._filters, mask, plain, state, state.base + address), None)
        return HeapObject(data, state.base + address)

    def _read_huge(self) -> dict[int, tuple[int, int, int, int]]:
        state = self.state
        huge: dict[int, tuple[int, int, int, int]] = {}
        for number, record in enumerate(self._huge_records()):
            cursor = Cursor(record, state.name, state.base + self.address, "record of a huge object")
            address, size = state.address(cursor), state.length(cursor)
            mask, plain = (cursor.u32(), state.length(cursor)) if self._filters else (0, size)
            key = state.length(cursor) if cursor.left >= state.length_size else ~number
            huge[key] = (address, size, mask, plain)
            self.stored_size += size
        return huge

    def _huge_records(self) -> list[bytes]:
        if self._huge_address is None:
            return []
        path = self.state.paths.child(self.path, "index of huge objects")
        tree = BTree2(self.state, self._huge_address, (1, 2, 3, 4), path)
        records = [record for node in tree.nodes() for record in node.each()]
        self.stored_size += tree.stored_size
        return records

    def finish(self) -> None:
        """Say that what no object holds of the direct blocks is free, if every object was read."""
        state = self.state
        if self._huge is None:
            try:
                self._huge = self._read_huge()
            except FormatError as error:
                self.ok = False
                state.survive(error)
        if self.ok:
            free = state.paths.child(self.path, "unused")
            for block in self._blocks:
                if block.offset is not None:
                    state.fill(block.offset, len(block.data), free)
