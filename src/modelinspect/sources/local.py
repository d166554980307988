"""Read files of this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from modelinspect.errors import LocationError, SourceChangedError
from modelinspect.sources.base import Source


class LocalSource(Source):
    """A file read with ``pread``: it may shrink under us, and its pages never count as our memory."""

    __slots__ = ("_descriptor", "_flags", "_path", "name", "size")

    def __init__(self, path: Path, name: str | None = None, *, follow: bool = True) -> None:
        self.name = path.name if name is None else name
        self._path: Path = path
        self._descriptor = -1
        self._flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        if not follow:
            self._flags |= getattr(os, "O_NOFOLLOW", 0)
        self._reopen()
        self.size = os.fstat(self._descriptor).st_size

    def _reopen(self) -> None:
        try:
            self._descriptor = os.open(self._path, self._flags)
        except OSError as error:
            raise LocationError(f"{self._path}: cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self.close()
            raise LocationError(f"{self._path}: is not a file")

    @property
    def can_be_read_ahead(self) -> bool:
        return self._descriptor >= 0  # else each read opens the file for itself, and closes it

    def release(self) -> None:
        """Give the descriptor back; each read opens the file again, so a folder of any number of files can be
        read.
        """
        self.close()

    def read_at(self, offset: int, size: int) -> bytes:
        self.require(offset, size)
        if self._descriptor < 0:
            return super().read_at(offset, size)
        data = os.pread(self._descriptor, size, offset)
        if len(data) == size:
            return data
        buffer = bytearray(size)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.require(offset, len(buffer))
        if self._descriptor >= 0:
            self._fill(offset, buffer)
            return
        self._reopen()
        try:
            self._fill(offset, buffer)
        finally:
            self.release()

    def _fill(self, offset: int, buffer: memoryview) -> None:
        size = len(buffer)
        done = os.preadv(self._descriptor, [buffer], offset) if size else 0
        if not done and size:
            raise self._changed(offset)
        while done < size:
            count = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            if count == 0:
                raise self._changed(offset + done)
            done += count

    def _changed(self, offset: int) -> SourceChangedError:
        return SourceChangedError(
            f"{self.name} at byte {offset:,}: the file became shorter while it was read "
            f"(it had {self.size:,} bytes); inspect it again when nothing writes to it"
        )

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()
