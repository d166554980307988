"""What every source of bytes offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from modelinspect.errors import FormatError


class Source(ABC):
    """Bytes that can be read at any offset. ``name`` is the member they belong to, for messages."""

    name: str
    size: int
    is_remote: bool = False
    """Whether each read may be a request to another machine, which `expect` saves."""

    @property
    def can_be_read_ahead(self) -> bool:
        """Whether another thread can read it, and that saves time, while nothing is opened or closed."""
        return False

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        """Fetch spans ``(offset, size)`` together that will be read soon; what is beyond the end is cut off.

        A source that is not remote does nothing. Raises as `read_into` does.
        """

    @abstractmethod
    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer with the bytes from ``offset`` on.

        Raises `FormatError` where the source ends before, `SourceChangedError` where a file became shorter.
        """

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes.

        Raises as `read_into` does; compare with ``size`` of the source first.
        """
        self.require(offset, size)
        buffer = bytearray(size)
        if size:
            self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def require(self, offset: int, size: int, what: str = "a read") -> None:
        """Raise `FormatError` where ``[offset, offset + size)`` is not within the source."""
        if offset < 0 or size < 0 or offset + size > self.size:
            left = max(self.size - max(offset, 0), 0)
            raise FormatError(f"{what} needs {size:,} bytes but {left:,} are left", self.name, offset)

    def close(self) -> None:
        """Let go of what the source holds open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemorySource(Source):
    """Bytes that are in memory."""

    __slots__ = ("_data", "name", "size")

    def __init__(self, data: bytes | bytearray | memoryview, name: str = "memory") -> None:
        self._data = memoryview(data).cast("B")
        self.name = name
        self.size = len(self._data)

    def read_at(self, offset: int, size: int) -> bytes:
        self.require(offset, size)
        return bytes(self._data[offset : offset + size])

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.require(offset, len(buffer))
        buffer[:] = self._data[offset : offset + len(buffer)]


class WindowSource(Source):
    """A run of bytes of another source, with its own zero."""

    __slots__ = ("_offset", "_outer", "name", "size")

    def __init__(self, outer: Source, offset: int, size: int, name: str | None = None) -> None:
        outer.require(offset, size, "a window")
        self._outer = outer
        self._offset = offset
        self.name = outer.name if name is None else name
        self.size = size
        self.is_remote = outer.is_remote

    @property
    def can_be_read_ahead(self) -> bool:
        return self._outer.can_be_read_ahead

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        if self.is_remote:
            inside = [
                (offset, min(size, self.size - offset)) for offset, size in spans if 0 <= offset < self.size
            ]
            self._outer.expect([(self._offset + offset, size) for offset, size in inside])

    def read_at(self, offset: int, size: int) -> bytes:
        self.require(offset, size)
        return self._outer.read_at(self._offset + offset, size)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.require(offset, len(buffer))
        self._outer.read_into(self._offset + offset, buffer)
