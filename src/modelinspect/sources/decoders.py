"""Decode the frames of a compressed run, one after another; no decoder gives more than the requested bytes.

zlib says how much of its input it used. The decoders of bzip2 and LZMA keep what they are given, so they are
given little at a time: what a byte took to decode is then known to `_BITE` bytes.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from enum import StrEnum
from struct import Struct
from typing import Protocol, Self

from modelinspect.core import signatures
from modelinspect.core.limits import KIB, MIB
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.errors import FormatError
from modelinspect.sources.base import Source


class Codec(StrEnum):
    """How a run of bytes is compressed."""

    DEFLATE = "deflate"
    """A raw deflate stream (RFC 1951), as in a zip member."""
    GZIP = "gzip"
    """Gzip members one after another (RFC 1952), headers and trailers included."""
    ZLIB = "zlib"
    """One zlib stream (RFC 1950): a header, deflate, and the Adler-32 of what it decodes to."""
    BZIP2 = "bzip2"
    """One bzip2 stream, as in a zip member."""
    LZMA = "lzma"
    """LZMA as a zip member has it, its settings first."""


WINDOW_BITS = {Codec.DEFLATE: -15, Codec.GZIP: 31, Codec.ZLIB: 15}
_INPUT = 16 * KIB
_SMALL_INPUT = 512
_BUFFER = 64 * KIB
_SKIP = MIB


@dataclass(frozen=True, slots=True)
class Frame:
    """One compressed stream of the run: where it is in the run, and where its output begins."""

    stored: Span
    logical_offset: int


@dataclass(frozen=True, slots=True)
class Run:
    """The compressed bytes."""

    outer: Source
    offset: int
    size: int
    codec: Codec


class Decoder:
    """A decoder somewhere in the run: ``produced`` bytes came out, ``consumed`` bytes of the run were needed
    for them.
    """

    __slots__ = (
        "_buffer",
        "_buffer_offset",
        "_frame_begin",
        "_frame_logical",
        "_inflater",
        "_run",
        "blocks",
        "consumed",
        "ended",
        "frames",
        "produced",
    )

    def __init__(self, run: Run) -> None:
        self._run = run
        self._inflater = _inflater(run.codec)
        self._buffer = memoryview(b"")
        self._buffer_offset = 0
        self._frame_begin = 0
        self._frame_logical = 0
        self.frames: list[Frame] = []
        self.blocks: list[tuple[int, int]] = []
        """What was produced and consumed when a block of bzip2 began."""
        self.consumed = 0
        self.produced = 0
        self.ended = False

    def copy(self) -> Decoder:
        """Return a decoder in the same state, with no separate frames yet."""
        twin = Decoder(self._run)
        twin._inflater = self._inflater.copy()
        twin._frame_begin, twin._frame_logical = self._frame_begin, self._frame_logical
        twin.consumed, twin.produced, twin.ended = self.consumed, self.produced, self.ended
        return twin

    def decode(self, count: int, most: int = _INPUT) -> bytes:
        """Return ``count`` bytes more, fewer where the streams end or fail.

        Raises `FormatError` where none are left before that.
        """
        pieces: list[bytes] = []
        run = self._run
        while count > 0 and not self.ended:
            # What is not needed of a bite is copied by zlib, so little is offered where little is asked.
            bite = self._peek(min(most, max(count, _SMALL_INPUT)))
            try:
                piece = self._inflater.decompress(bite, count)
            except _FAILURES as error:
                if pieces:
                    break
                raise FormatError(f"the compressed bytes cannot be decoded: {error}") from error
            left = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            if run.codec is Codec.BZIP2 and len(left) < len(bite):
                self._note_block()
            self.consumed += len(bite) - len(left)
            self.produced += len(piece)
            count -= len(piece)
            pieces.append(piece)
            if self._inflater.eof:
                self._end_frame()
            elif not bite and not piece:
                if len(pieces) > 1:
                    break
                raise FormatError("the compressed bytes end before their stream does")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _note_block(self) -> None:
        """Note that input is taken: a block begins where the last one's output ended."""
        if not self.blocks or self.blocks[-1][0] < self.produced:
            self.blocks.append((self.produced, self.consumed))

    def shared_out(self, borders: Iterable[int]) -> list[int]:
        """Return how much of the run is taken by each count of produced bytes, evenly within a block."""
        ends = [*self.blocks, (self.produced, self.consumed)]
        found: list[int] = []
        for border in borders:
            index = bisect_right(ends, border, key=lambda end: end[0])
            if index in (0, len(ends)):
                found.append(self.consumed if index else 0)
                continue
            (made, taken), (made_next, taken_next) = ends[index - 1], ends[index]
            found.append(taken + (taken_next - taken) * (border - made) // (made_next - made))
        return found

    def take(self, count: int) -> bytes:
        """Return ``count`` bytes more, fewer where the streams end.

        Raises `FormatError` where they fail before.
        """
        pieces: list[bytes] = []
        while count > 0 and not self.ended:
            pieces.append(self.decode(count))
            count -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, count: int) -> None:
        """Decode ``count`` bytes and forget them."""
        while count > 0 and not self.ended:
            count -= len(self.decode(min(count, _SKIP)))

    def _peek(self, size: int) -> memoryview:
        """Return the next bytes of the run, at most ``size``; none at its end."""
        begin = self.consumed - self._buffer_offset
        if begin + size > len(self._buffer):
            run = self._run
            self._buffer = memoryview(
                run.outer.read_at(run.offset + self.consumed, min(_BUFFER, run.size - self.consumed))
            )
            self._buffer_offset, begin = self.consumed, 0
        return self._buffer[begin : begin + size]

    def _end_frame(self) -> None:
        """Note the stream that has ended, and begin the next one where gzip members follow each other."""
        run, begin = self._run, self._frame_begin
        self.frames.append(Frame(Span(begin, self.consumed - begin), self._frame_logical))
        self.ended = run.codec is not Codec.GZIP or bytes(self._peek(len(signatures.GZIP))) != signatures.GZIP
        if not self.ended:
            self._frame_begin, self._frame_logical = self.consumed, self.produced
            self._inflater = _inflater(run.codec)


def _inflater(codec: Codec) -> _Inflater:
    match codec:
        case Codec.BZIP2:
            return _Bzip2Inflater()
        case Codec.LZMA:
            return _ZipLzmaInflater()
        case _:
            return zlib.decompressobj(WINDOW_BITS[codec])


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

_FAILURES = (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError)
"""What the decoders raise for bytes that are not what they should be."""


class _Inflater(Protocol):
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


class _Bzip2Inflater(_Feeding):
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


class _ZipLzmaInflater(_Feeding):
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
