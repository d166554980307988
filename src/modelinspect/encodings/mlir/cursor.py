"""Read the variable-length integers of MLIR byte code."""

from __future__ import annotations

from modelinspect.encodings.cursor import Cursor


class MlirCursor(Cursor):
    """Reads PrefixVarInts besides what `Cursor` reads."""

    __slots__ = ()

    def varint(self) -> int:
        """Read an unsigned integer of 1 to 9 bytes.

        The zero bits that end the first byte count the bytes that follow it.
        """
        first = self.u8()
        if first & 1:
            return first >> 1
        if first == 0:
            return self.u64()
        size = (first & -first).bit_length()
        self.index -= 1
        return self.uint(size) >> size

    def svarint(self) -> int:
        """Read a signed integer, stored in zigzag order."""
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def svarints(self, most: int) -> tuple[int, ...]:
        """Read a count and that many signed integers.

        Raises `FormatError` where the count exceeds ``most``.
        """
        count = self.varint()
        if count > most:
            raise self.error(f"{self.what} lists {count:,} numbers; at most {most:,} make sense")
        return tuple(self.svarint() for _ in range(count))
