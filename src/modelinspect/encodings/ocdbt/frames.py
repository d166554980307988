"""Read what encloses manifests and nodes: magic, length, version, compression, checksum; and integers."""

from __future__ import annotations

from enum import IntEnum

from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass
from modelinspect.encodings.cursor import Cursor
from modelinspect.errors import Code, FormatError
from modelinspect.sources.base import Source
from modelinspect.sources.zstd import decompress

CHECKSUM_SIZE = 4
_HEADER = 4 + 8 + 10 + 10
_NONE, _ZSTD = 0, 1


class FrameKind(IntEnum):
    """The kinds of frames by their magic number."""

    MANIFEST = 0x0CDB3A2A
    BTREE_NODE = 0x0CDB20DE
    VERSION_NODE = 0x0CDB1234


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of ``size`` bytes. Its stored body begins after ``header_size`` bytes; ``body`` is decoded.

    ``failure`` says that the checksum does not match.
    """

    size: int
    header_size: int
    is_compressed: bool
    body: bytes
    failure: FormatError | None

    @property
    def stored_size(self) -> int:
        """The bytes of the body as it is stored."""
        return self.size - self.header_size - CHECKSUM_SIZE


def read_frame(source: Source, offset: int, size: int, kind: FrameKind, limits: Limits) -> Frame:
    """Read the frame at ``[offset, offset + size)``.

    Raises `FormatError`; a wrong checksum is not raised, but reported.
    """
    import google_crc32c

    limits.allow("a node", size, limits.block_size, source.name, offset)
    source.require(offset, size, "a node")
    data = source.read_at(offset, size)
    cursor = OcdbtCursor(data[: min(len(data), _HEADER)], source.name, offset, "header of a node")
    magic = int.from_bytes(cursor.take(4), "big")
    if magic != kind:
        raise FormatError(
            f"the magic number {kind:#010x} belongs here but {magic:#010x} is", source.name, offset
        )
    length = cursor.u64()
    if length != size:
        raise FormatError(
            f"a node says that it has {length:,} bytes where {size:,} belong", source.name, offset
        )
    version, compression = cursor.varint(), cursor.varint()
    if version or compression not in (_NONE, _ZSTD):
        what = f"version {version}" if version else f"compression {compression}"
        raise FormatError(f"{what} of a node is not known", source.name, offset, Code.UNSUPPORTED)
    header_size = cursor.index
    if header_size + CHECKSUM_SIZE > size:
        raise FormatError("a node has no room for its checksum", source.name, offset)
    failure = None
    if google_crc32c.value(data[:-CHECKSUM_SIZE]) != int.from_bytes(data[-CHECKSUM_SIZE:], "little"):
        failure = FormatError(
            "the checksum of a node does not match its bytes", source.name, offset, Code.CHECKSUM
        )
    stored = data[header_size:-CHECKSUM_SIZE]
    if compression == _NONE:
        return Frame(size, header_size, False, stored, failure)
    try:
        body = decompress(stored, limits)
    except FormatError as error:
        if failure is not None:
            raise failure from error
        raise error.reworded(error.problem, source.name, offset + header_size) from error
    return Frame(size, header_size, True, body, failure)


_VARINT = 10
_CONTINUES = 0x80


class OcdbtCursor(Cursor):
    """Reads LEB128 integers besides what `Cursor` reads."""

    __slots__ = ()

    def varint(self) -> int:
        """Read an unsigned integer of up to 10 bytes, seven bits in each."""
        value = 0
        for place in range(_VARINT):
            byte = self.u8()
            value |= (byte & 0x7F) << 7 * place
            if byte < _CONTINUES:
                return value
        raise self.error(f"{self.what} has a number that does not end")

    def count(self, least: int) -> int:
        """Read a number of things that take at least ``least`` bytes each.

        Raises `FormatError` where they cannot fit.
        """
        value = self.varint()
        if value * least > self.left:
            raise self.error(f"{self.what} lists {value:,} entries in {self.left:,} bytes")
        return value

    def varints(self, count: int) -> list[int]:
        """Read a column of integers."""
        column = self.data[self.index : self.index + count]
        if len(column) == count and (not count or max(column) < _CONTINUES):
            self.index += count
            return list(column)
        return [self.varint() for _ in range(count)]

    def bytes_column(self, count: int) -> list[int]:
        """Read a column of bytes."""
        return list(self.take(count))

    def u64s(self, count: int) -> list[int]:
        """Read a column of 64-bit numbers."""
        data = self.take(8 * count)
        return [int.from_bytes(data[place : place + 8], "little") for place in range(0, len(data), 8)]
