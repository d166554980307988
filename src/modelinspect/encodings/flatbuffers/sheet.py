"""As much of a source as was asked for, at the offsets where it is.

The structures of a flatbuffer are between the data that it carries, and its offsets jump back and forth. A
sheet is as long as the source, and only the pages that structures need are read; the system gives memory to
no others.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.errors import FormatError
from modelinspect.sources.base import Source

PAGE = 512
"""Small, so next to nothing is read of the data beside a structure."""
WHOLE = 4096
"""Sources up to here are read at once."""
MAPPED = 1 << 20
"""Sheets above this are mapped, so what is not read takes no memory."""
MOST = 1 << 32
"""An unsigned offset reaches no further."""

Positions = NDArray[np.int64]


class Sheet:
    """The first bytes of a source, up to 4 GiB of them; pages are read when they are first needed."""

    __slots__ = ("_flags", "_have", "_left", "_source", "buffer", "octets", "size")

    def __init__(self, source: Source) -> None:
        self._source = source
        self.size = min(source.size, MOST)
        self.buffer: bytearray | mmap.mmap = (
            _mapped(self.size) if self.size > MAPPED else bytearray(self.size)
        )
        self.octets: NDArray[np.uint8] = np.frombuffer(self.buffer, dtype=np.uint8)
        self._flags = bytearray((self.size + PAGE - 1) // PAGE)
        self._have = np.frombuffer(self._flags, dtype=np.bool_)
        self._left = len(self._have)
        if 0 < self.size <= WHOLE:
            self._read(0, len(self._have))

    def need(self, offset: int, size: int) -> None:
        """Read what is missing of a span. Raises `FormatError` where it is not within the sheet."""
        if offset < 0 or size < 0 or offset + size > self.size:
            left = max(self.size - max(offset, 0), 0)
            raise FormatError(
                f"a structure needs {size:,} bytes but {left:,} are left", self._source.name, offset
            )
        if self._left:
            first, last = offset // PAGE, (offset + size + PAGE - 1) // PAGE
            if self._flags.find(0, first, last) >= 0:
                self._read_pages(np.flatnonzero(~self._have[first:last]) + first)

    def need_many(self, starts: Positions, sizes: Positions | int) -> None:
        """Read what is missing of spans that the caller knows to be within the sheet."""
        if not self._left or not len(starts):
            return
        first = starts // PAGE
        last = np.maximum((starts + sizes - 1) // PAGE, first)
        lengths = last - first + 1
        if lengths.max() <= 2:
            pages = np.concatenate((first, last))
        else:
            before = np.cumsum(lengths) - lengths
            pages = np.repeat(first - before, lengths) + np.arange(int(lengths.sum()))
        missing = pages[~self._have[pages]]
        if len(missing):
            self._read_pages(np.unique(missing))

    def _read_pages(self, pages: Positions) -> None:
        borders = np.flatnonzero(np.diff(pages) > 1) + 1
        if len(borders) and self._source.is_remote:  # one run is read with what comes after it
            self._source.expect([(page * PAGE, PAGE) for page in pages.tolist()])
        for run in np.split(pages, borders):
            self._read(int(run[0]), int(run[-1]) + 1)

    def _read(self, first: int, last: int) -> None:
        begin, end = first * PAGE, min(last * PAGE, self.size)
        self._source.read_into(begin, memoryview(self.buffer)[begin:end])
        self._have[first:last] = True
        self._left -= last - first

    def gather(self, positions: Positions, code: str) -> Positions:
        """Read one number at each position, aligned or not; ``code`` is numpy's (``<u4``).

        The positions must be within the sheet.
        """
        dtype: np.dtype[Any] = np.dtype(code)
        if not len(positions):
            return np.empty(0, dtype=np.int64)
        self.need_many(positions, dtype.itemsize)
        length = self.size - dtype.itemsize + 1
        view: NDArray[Any] = np.ndarray((length,), dtype, buffer=self.buffer, strides=(1,))
        return view[positions].astype(np.int64)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return the bytes of a span. Raises `FormatError` where it is not within the sheet."""
        self.need(offset, size)
        return bytes(memoryview(self.buffer)[offset : offset + size])


def _mapped(size: int) -> mmap.mmap:
    """Return zeros that take memory only where they are written."""
    buffer = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        buffer.madvise(mmap.MADV_NOHUGEPAGE)
    return buffer
