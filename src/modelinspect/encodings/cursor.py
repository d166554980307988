"""Read numbers and bytes one after another, and never past the end."""

from __future__ import annotations

from struct import Struct

from modelinspect.errors import FormatError

_U16 = Struct("<H")
_U32 = Struct("<I")
_U64 = Struct("<Q")


class Cursor:
    """Reads little-endian values from bytes in memory.

    ``base`` is the offset of ``data[0]`` in the member ``member``; errors name member and offset. ``what``
    says what is being read, for the same reason.
    """

    __slots__ = ("base", "data", "end", "index", "member", "what")

    def __init__(self, data: bytes, member: str = "", base: int = 0, what: str = "structure") -> None:
        self.data = data
        self.index = 0
        self.end = len(data)
        self.base = base
        self.member = member
        self.what = what

    @property
    def offset(self) -> int:
        """The offset of the next byte in the member."""
        return self.base + self.index

    @property
    def left(self) -> int:
        """The bytes that are left."""
        return self.end - self.index

    def _take(self, size: int) -> int:
        index = self.index
        if size < 0 or size > self.end - index:
            raise self.error(f"{self.what} needs {size:,} bytes but {self.end - index:,} are left")
        self.index = index + size
        return index

    def error(self, problem: str) -> FormatError:
        """Return an error about the next byte."""
        return FormatError(problem, self.member, self.offset)

    def u8(self) -> int:
        """Read an unsigned byte."""
        return self.data[self._take(1)]

    def u16(self) -> int:
        """Read an unsigned 16-bit number."""
        value: int = _U16.unpack_from(self.data, self._take(2))[0]
        return value

    def u32(self) -> int:
        """Read an unsigned 32-bit number."""
        value: int = _U32.unpack_from(self.data, self._take(4))[0]
        return value

    def u64(self) -> int:
        """Read an unsigned 64-bit number."""
        value: int = _U64.unpack_from(self.data, self._take(8))[0]
        return value

    def uint(self, size: int) -> int:
        """Read an unsigned number of ``size`` bytes."""
        index = self._take(size)
        return int.from_bytes(self.data[index : index + size], "little")

    def take(self, size: int) -> bytes:
        """Read ``size`` bytes."""
        index = self._take(size)
        return self.data[index : index + size]

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes."""
        self._take(size)

    def expect(self, signature: bytes) -> None:
        """Read a signature. Raises `FormatError` where other bytes are."""
        found = self.data[self.index : self.index + len(signature)]
        if found != signature:
            raise self.error(f"{self.what} must begin with {signature!r} but {found!r} is there")
        self.index += len(signature)
