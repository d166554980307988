"""Read fixed and extensible arrays, which index chunks (specification, sections on FAHD and EAHD, appendix
C).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.numbers import numbers
from modelinspect.encodings.hdf5.state import FREE, State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Part = tuple[int, "NDArray[np.uint64]"]
"""The index of an element, and rows of address, size and mask from there on."""


@dataclass(frozen=True, slots=True)
class _Array:
    """What the header of an array says about it."""

    state: State
    header: int
    client: int
    entry: int
    filtered: bool
    offset_bytes: int
    per_page: int
    path: PathId

    def elements(self, data: bytes, count: int) -> NDArray[np.uint64]:
        """Return rows of address, size and mask."""
        import numpy as np

        width, entry = self.state.offset_size, self.entry
        table = np.frombuffer(data, dtype=np.uint8, count=count * entry).reshape(count, entry)
        rows = np.zeros((count, 3), dtype=np.uint64)
        rows[:, 0] = numbers(table[:, :width])
        if self.filtered:
            rows[:, 1] = numbers(table[:, width : entry - 4])
            rows[:, 2] = numbers(table[:, entry - 4 :])
        return rows


def _check_entry(state: State, entry: int, filtered: bool, client: int, offset: int) -> None:
    width = state.offset_size
    if client != int(filtered) or not (width + 5 <= entry <= width + 12 if filtered else entry == width):
        raise state.error(f"a chunk index has elements of {entry} bytes and client {client}", offset)


def _pages(array: _Array, address: int, start: int, count: int, bitmap: bytes, path: PathId) -> list[Part]:
    """Read the pages of a data block; a page whose bit is not set was never written."""
    state, parts = array.state, []
    for number in range(-(-count // array.per_page)):
        elements = min(array.per_page, count - number * array.per_page)
        size = elements * array.entry + 4
        # Bits count from the highest of each byte (H5VM_bit_get).
        if number // 8 < len(bitmap) and bitmap[number // 8] & (0x80 >> number % 8):
            data = state.read(address, size, "page of a chunk index")
            state.verify(data, "page of a chunk index", state.base + address)
            state.container(address, size, size, path)
            parts.append((start + number * array.per_page, array.elements(data, elements)))
        else:
            state.claim(state.base + address, size, FREE, state.paths.child(path, "unused"))
        address += size
    return parts


def read_fixed_array(state: State, address: int, filtered: bool, path: PathId) -> tuple[list[Part], int]:
    """Return the elements of a fixed array and its bytes. Raises `FormatError`."""
    size = 12 + state.length_size + state.offset_size
    cursor = state.cursor(address, size, "fixed array header")
    cursor.expect(b"FAHD")
    version, client, entry, page_bits = cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8()
    if version != 0:
        raise state.unsupported(f"fixed array version {version} is not read here", cursor.base)
    _check_entry(state, entry, filtered, client, cursor.base)
    count, block = state.length(cursor), state.address(cursor)
    state.verify(cursor.data, "fixed array header", cursor.base)
    state.container(address, size, size, state.paths.child(path, "fixed array header"))
    if block == state.undefined:
        return [], size
    what = "fixed array data block"
    place = state.paths.child(path, what)
    array = _Array(state, address, client, entry, filtered, 0, 1 << min(page_bits, 62), path)
    pages = -(-count // array.per_page) if count > array.per_page else 0
    head = 6 + state.offset_size + (pages + 7) // 8
    body = count * entry + 4 * pages
    state.locate(block, head + body + 4, what)
    data = state.cursor(block, head + (0 if pages else body) + 4, what)
    _own(array, data, b"FADB")
    bitmap = data.take((pages + 7) // 8)
    state.verify(data.data, what, data.base)
    state.container(block, len(data.data), len(data.data), place)
    size += head + body + 4
    if not pages:
        return [(0, array.elements(data.take(body), count))], size
    return _pages(array, block + head + 4, 0, count, bitmap, state.paths.child(place, "page")), size


def read_extensible_array(state: State, address: int, filtered: bool, path: PathId) -> tuple[list[Part], int]:
    """Return the elements of an extensible array and its bytes.

    Raises `FormatError`; a block that cannot be read is reported.
    """
    size = 16 + 6 * state.length_size + state.offset_size
    cursor = state.cursor(address, size, "extensible array header")
    cursor.expect(b"EAHD")
    version, client, entry, bits = cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8()
    if version != 0:
        raise state.unsupported(f"extensible array version {version} is not read here", cursor.base)
    _check_entry(state, entry, filtered, client, cursor.base)
    index_elements, block_elements, pointers, page_bits = cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8()
    cursor.skip(6 * state.length_size)
    block = state.address(cursor)
    state.verify(cursor.data, "extensible array header", cursor.base)
    state.container(address, size, size, state.paths.child(path, "extensible array header"))
    if (
        bits > 64
        or not block_elements
        or block_elements & (block_elements - 1)
        or pointers < 2
        or pointers & (pointers - 1)
    ):
        raise state.error("the sizes of an extensible array's header are impossible", cursor.base)
    if block == state.undefined:
        return [], size
    array = _Array(state, address, client, entry, filtered, (bits + 7) // 8, 1 << min(page_bits, 62), path)
    super_blocks = 1 + bits - (block_elements.bit_length() - 1)
    in_index = min(2 * (pointers.bit_length() - 1), super_blocks)
    addresses = 2 * (pointers - 1) + super_blocks - in_index
    used = 6 + state.offset_size + index_elements * entry + addresses * state.offset_size + 4
    index = state.cursor(block, used, "extensible array index block")
    _own(array, index, b"EAIB")
    state.verify(index.data, "extensible array index block", index.base)
    state.container(block, used, used, state.paths.child(path, "extensible array index block"))
    parts: list[Part] = [(0, array.elements(index.take(index_elements * entry), index_elements))]
    size += used
    known = index_elements
    for number in range(super_blocks):
        # Section on the extensible array: block sizes double every second super block.
        blocks, elements = 1 << number // 2, (1 << (number + 1) // 2) * block_elements
        if number < in_index:
            size += _data_blocks(
                array, [(state.address(index), None) for _ in range(blocks)], known, elements, parts
            )
        else:
            address = state.address(index)
            if address != state.undefined:
                size += state.guard(_super_block, array, address, known, blocks, elements, parts) or 0
        known += blocks * elements
    return parts, size


def _own(array: _Array, cursor: Cursor, signature: bytes) -> None:
    cursor.expect(signature)
    if cursor.u8() != 0 or cursor.u8() != array.client or array.state.address(cursor) != array.header:
        raise cursor.error("a block of an array of chunks belongs to another one")


def _data_blocks(
    array: _Array, blocks: list[tuple[int, bytes | None]], known: int, elements: int, parts: list[Part]
) -> int:
    """Read data blocks that follow one another in the index, and return their bytes."""
    size = 0
    for number, (address, bitmap) in enumerate(blocks):
        if address != array.state.undefined:
            size += (
                array.state.guard(
                    _data_block, array, address, known + number * elements, elements, bitmap, parts
                )
                or 0
            )
    return size


def _data_block(
    array: _Array, address: int, start: int, elements: int, bitmap: bytes | None, parts: list[Part]
) -> int:
    state, what = array.state, "extensible array data block"
    path = state.paths.child(array.path, what)
    head = 6 + state.offset_size + array.offset_bytes
    pages = elements // array.per_page if elements > array.per_page else 0
    total = head + 4 + elements * array.entry + 4 * pages
    state.locate(address, total, what)
    cursor = state.cursor(address, head + 4 if pages else total, what)
    _own(array, cursor, b"EADB")
    cursor.skip(array.offset_bytes)
    state.verify(cursor.data, what, cursor.base)
    state.container(address, len(cursor.data), len(cursor.data), path)
    if pages:
        parts += _pages(
            array, address + head + 4, start, elements, bitmap or b"", state.paths.child(path, "page")
        )
    else:
        parts.append((start, array.elements(cursor.take(elements * array.entry), elements)))
    return total


def _super_block(
    array: _Array, address: int, known: int, blocks: int, elements: int, parts: list[Part]
) -> int:
    state, what = array.state, "extensible array secondary block"
    pages = elements // array.per_page if elements > array.per_page else 0
    bitmap_size = (pages + 7) // 8
    size = 6 + state.offset_size + array.offset_bytes + blocks * (bitmap_size + state.offset_size) + 4
    cursor = state.cursor(address, size, what)
    _own(array, cursor, b"EASB")
    cursor.skip(array.offset_bytes)
    bitmaps = [cursor.take(bitmap_size) for _ in range(blocks)]
    state.verify(cursor.data, what, cursor.base)
    state.container(address, size, size, state.paths.child(array.path, what))
    return size + _data_blocks(
        array, [(state.address(cursor), bitmap) for bitmap in bitmaps], known, elements, parts
    )
