"""Read one block of a table: entries that share key prefixes, and restart points.

Specification: google/leveldb, doc/table_format.md and table/block.cc; tsl/lib/io/block.cc.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError, LimitError
from modelinspect.sources.base import Source

HEADER_MOST = 15
"""Three varints of up to five bytes."""


@dataclass(slots=True)
class Record:  # not frozen: there may be a million, and freezing is most of what making one costs
    """An entry of a block; offsets count from the start of the block's contents."""

    key: bytes
    offset: int
    key_offset: int
    value_offset: int
    value_size: int


@dataclass(slots=True)
class KeyBudget:
    """The key bytes that may still be put together: shared prefixes let few bytes ask for many."""

    left: int

    def spend(self, size: int, offset: int) -> None:
        """Take bytes from the budget. Raises `LimitError` where they are not left."""
        self.left -= size
        if self.left < 0:
            raise LimitError("the keys of a table are too large for the bytes that hold them", offset=offset)


def varint32(data: bytes, index: int) -> tuple[int, int]:
    """Return the varint at an index and the index after it.

    Raises `FormatError` where none ends within five bytes.
    """
    value = shift = 0
    while index < len(data) and shift < 35:
        byte = data[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > 0xFFFFFFFF:
                break
            return value, index
        shift += 7
    raise FormatError("a varint of 32 bits does not end")


def read_restarts(contents: Source) -> tuple[int, ...]:
    """Return the offsets of the restart points. Raises `FormatError` where they do not fit the block."""
    if contents.size < 4:
        raise FormatError(
            f"a block of {contents.size} bytes has no room for its restart count", contents.name, 0
        )
    count = int.from_bytes(contents.read_at(contents.size - 4, 4), "little")
    if count > (contents.size - 4) // 4:
        raise FormatError(
            f"{count:,} restart points do not fit a block of {contents.size:,} bytes",
            contents.name,
            contents.size - 4,
        )
    data = contents.read_at(contents.size - 4 - 4 * count, 4 * count)
    return tuple(int.from_bytes(data[index : index + 4], "little") for index in range(0, len(data), 4))


def read_records(contents: Source, restarts: tuple[int, ...], budget: KeyBudget) -> Iterator[Record]:
    """Yield the entries of a block; values are not read.

    Raises `FormatError` with the offset in the contents.
    """
    end = contents.size - 4 - 4 * len(restarts)
    points = frozenset(restarts)
    offset = 0
    key = b""
    missed = len(points - {0})
    while offset < end:
        head = contents.read_at(offset, min(HEADER_MOST, end - offset))
        try:
            shared, index = varint32(head, 0)
            unshared, index = varint32(head, index)
            value_size, index = varint32(head, index)
        except FormatError as error:
            raise FormatError(error.problem, contents.name, offset) from error
        if shared > len(key) or (shared and offset in points):
            raise FormatError(
                f"an entry shares {shared:,} bytes with a key of {len(key):,}", contents.name, offset
            )
        key_offset = offset + index
        if unshared + value_size > end - key_offset:
            raise FormatError(
                f"an entry needs {unshared + value_size:,} bytes but {end - key_offset:,} are left",
                contents.name,
                offset,
            )
        missed -= offset in points and offset > 0
        budget.spend(shared + unshared, offset)
        inner = index + unshared
        new = head[index:inner] if inner <= len(head) else contents.read_at(key_offset, unshared)
        key = key[:shared] + new
        yield Record(key, offset, key_offset, key_offset + unshared, value_size)
        offset = key_offset + unshared + value_size
    if missed:
        raise FormatError(f"{missed:,} restart points are not the beginning of an entry", contents.name, end)
