"""Decoders of compressed streams that give at most the requested number of bytes: deflate, bzip2, LZMA.

zlib says how much of its input it used. The decoders of bzip2 and LZMA keep what they are given, so they are
given little at a time: what a byte took to decode is then known to `_BITE` bytes.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from struct import Struct
from typing import Protocol, Self

from modelinspect.core.limits import MIB
from modelinspect.errors import FormatError

_BITE = 256
_BLOCK_BEGINS = 0x314159265359
"""What a block of bzip2 begins with, at any bit."""
_MARKS = tuple((_BLOCK_BEGINS >> shift & (1 << 40) - 1).to_bytes(5) for shift in (8, *range(1, 8)))
"""Five whole bytes of the mark, for each bit of a byte at which it may begin."""
_LZMA_HEADER = Struct("<BBHBI")
_LZMA_PROPERTIES = 5
_LARGEST_DICTIONARY = 256 * MIB
"""The decoder allocates the dictionary at once, whatever the stream holds."""
_MOST_PROPERTIES = 9 * 5 * 5

FAILURES = (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError)
"""What the decoders raise for bytes that are not what they should be."""


class Inflater(Protocol):
    """A decoder in the manner of ``zlib.decompressobj``, whose class has no separate name."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: memoryview, max_length: int = 0, /) -> bytes: ...
    def copy(self) -> Self: ...


class _Feeding:
    """Feeds a decoder of the standard library that cannot be copied; a copy begins again, so only decoders at
    the start are copied.
    """

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self.unconsumed_tail = b""

    def copy(self) -> Self:
        """Return a decoder at the start of the stream."""
        return type(self)()


class Bzip2Inflater(_Feeding):
    """A decoder of one bzip2 stream."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = bz2.BZ2Decompressor()
        self._has_more = False

    def decompress(self, data: memoryview, max_length: int = 0, /) -> bytes:
        """Return at most ``max_length`` bytes more."""
        # The decoder asks for input as soon as it has none, though it may have more of a block to give.
        is_needed = self._decoder.needs_input and not self._has_more
        size = self._until_a_block(bytes(data[: _BITE + len(_MARKS[0])])) if is_needed else 0
        piece = self._decoder.decompress(bytes(data[:size]), max_length)
        self._has_more = bool(piece)
        self.eof = self._decoder.eof
        self.unused_data = self._decoder.unused_data + bytes(data[size:]) if self.eof else b""
        self.unconsumed_tail = bytes(data[size:])
        return piece

    @staticmethod
    def _until_a_block(data: bytes) -> int:
        """Return how much to decode next: up to where a block begins: each is decoded alone."""
        found = [position for mark in _MARKS if (position := data.find(mark, 1)) > 0]
        return min([_BITE, *found])


class ZipLzmaInflater(_Feeding):
    """A decoder of LZMA as zip members have it: a header with the settings of the stream, then the stream
    (APPNOTE 5.8.8).
    """

    def __init__(self) -> None:
        super().__init__()
        self._header = b""
        self._decoder: lzma.LZMADecompressor | None = None

    def decompress(self, data: memoryview, max_length: int = 0, /) -> bytes:
        """Return at most ``max_length`` bytes more.

        Raises `FormatError` where the header asks for too much.
        """
        if self._decoder is None:
            size = _LZMA_HEADER.size - len(self._header)
            self._header += bytes(data[:size])
            if len(self._header) == _LZMA_HEADER.size:
                self._decoder = _lzma_decoder(self._header)
            self.unconsumed_tail = bytes(data[size:])
            return b""
        size = _BITE if self._decoder.needs_input else 0
        piece = self._decoder.decompress(bytes(data[:size]), max_length)
        # Without a mark at its end, the stream has ended where nothing is left of it.
        self.eof = self._decoder.eof or (not data and not piece)
        self.unused_data = self._decoder.unused_data + bytes(data[size:]) if self._decoder.eof else b""
        self.unconsumed_tail = bytes(data[size:])
        return piece


def _lzma_decoder(header: bytes) -> lzma.LZMADecompressor:
    _, _, size, packed, dictionary = _LZMA_HEADER.unpack(header)
    if size != _LZMA_PROPERTIES or packed >= _MOST_PROPERTIES:
        raise FormatError("the settings of its LZMA stream are not ones that exist")
    if dictionary > _LARGEST_DICTIONARY:
        raise FormatError(
            f"its LZMA stream needs a dictionary of {dictionary:,} bytes, more than the"
            f" {_LARGEST_DICTIONARY:,} that are allowed"
        )
    rest, literal_context = divmod(packed, 9)
    position, literal_position = divmod(rest, 5)
    settings = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(dictionary, 4096),
        "lc": literal_context,
        "lp": literal_position,
        "pb": position,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings])
