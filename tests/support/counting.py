"""Count the bytes that are read of files in memory."""

from __future__ import annotations

from modelinspect.sources.base import Source
from modelinspect.sources.files import MemoryFiles


class CountingFiles(MemoryFiles):
    """Files that count how many bytes were read of them."""

    count = 0

    def _open_source(self, name: str) -> Source:
        return _Counting(super()._open_source(name), self)


class _Counting(Source):
    def __init__(self, inner: Source, files: CountingFiles) -> None:
        self.name, self.size = inner.name, inner.size
        self._inner, self._files = inner, files

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self._files.count += len(buffer)
        self._inner.read_into(offset, buffer)
