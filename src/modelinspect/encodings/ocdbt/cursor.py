"""Read the integers of OCDBT, one by one and in columns."""

from __future__ import annotations

from modelinspect.encodings.cursor import Cursor

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
