"""Read at any offset of what a compressed run of bytes decodes to, in bounded memory."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum

from modelinspect.core import signatures
from modelinspect.core.limits import KIB, MIB, Cost, Limits
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.errors import Code, FormatError, LimitError
from modelinspect.sources.base import Source
from modelinspect.sources.inflaters import FAILURES, Bzip2Inflater, Inflater, ZipLzmaInflater


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


_WINDOW_BITS = {Codec.DEFLATE: -15, Codec.GZIP: 31, Codec.ZLIB: 15}
_RESUMED = frozenset(_WINDOW_BITS)
"""Decoders whose state can be kept; the others begin again where something is read again."""
_INPUT = 16 * KIB
_SMALL_INPUT = 512
_CRUMB = 8
_BUFFER = 64 * KIB
_BLOCK = 256 * KIB
_CACHED_BLOCKS = 64
_CHECKPOINTS = 128
_FIRST_SPACING = 4 * MIB // _BLOCK
_SKIP = MIB
_FIRST_FRAMES = 1_000
_FRAME_SIZE = 512
"""Beyond the first, gzip members are this large on average; bgzip makes them of 64 KiB."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One compressed stream of the run: where it is in the run, and where its output begins."""

    stored: Span
    logical_offset: int


class DecompressedSource(Source):
    """What ``[offset, offset + size)`` of another source decodes to.

    ``logical_size`` is what the archive says that it decodes to; None when nothing says so: then everything
    is decoded once to find out. Decoded blocks and decoder states are kept, few enough of each that memory
    stays flat, so a read decodes little more than it asks for. ``crc`` is compared when the last byte was
    decoded. ``failure`` is what is wrong with the compressed bytes, known when they were decoded up to there;
    reads after it raise it.
    """

    def __init__(
        self,
        outer: Source,
        offset: int,
        size: int,
        codec: Codec,
        logical_size: int | None = None,
        *,
        crc: int | None = None,
        limits: Limits | None = None,
        name: str | None = None,
    ) -> None:
        outer.require(offset, size, "a compressed run")
        self.name = f"{outer.name} (decompressed)" if name is None else name
        self.failure: FormatError | None = None
        self._limits = limits or Limits()
        self._run = _Run(outer, offset, size, codec)
        self._frontier = _Decoder(self._run)
        self._states: list[_Decoder] = [_Decoder(self._run)]
        self._reader: _Decoder | None = None
        self._spacing = _FIRST_SPACING
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._crc = 0
        self._expected_crc = crc
        if logical_size is None:
            self.size = -1
            self.decode_all()
            self.size = self._frontier.produced
        else:
            self.size = logical_size
            self._allow(logical_size, size)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The compressed streams that were decoded so far to their end, in order."""
        return tuple(self._frontier.frames)

    @property
    def stored_end(self) -> int:
        """The bytes of the run that were decoded so far; what follows the last stream, once that has
        ended.
        """
        return self._frontier.consumed

    @property
    def outer(self) -> Source:
        """The source that holds the compressed run."""
        return self._run.outer

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.require(offset, len(buffer))
        done = 0
        while done < len(buffer):
            index, begin = divmod(offset + done, _BLOCK)
            piece = self._block(index)[begin : begin + len(buffer) - done]
            if not piece:
                raise self.failure or FormatError(
                    "the compressed bytes end before the size that the archive states",
                    self.name,
                    offset + done,
                )
            buffer[done : done + len(piece)] = piece
            done += len(piece)

    def decode_all(self) -> None:
        """Decode whatever was not decoded yet, to learn ``failure``, ``frames`` and ``stored_end``."""
        while (
            not self._frontier.ended
            and self.failure is None
            and (self.size < 0 or self._frontier.produced <= self.size)
        ):
            self._advance()
        if self.failure is None and 0 <= self.size != self._frontier.produced:
            self._fail(
                f"it decodes to {self._frontier.produced:,} bytes or more, but the archive states"
                f" {self.size:,}"
            )

    def positions(self, borders: Iterable[int]) -> list[int]:
        """Return how many bytes of the run the decoder has consumed when it has produced each count of bytes.

        ``borders`` ascend. The last byte's border is the end of its stream. Decodes near the borders only.
        A bzip2 decoder needs a whole block before it produces its first byte: the bytes of a block are shared
        out evenly over what it decodes to.
        """
        self.decode_all()
        if self._run.codec is Codec.BZIP2:
            return self._frontier.shared_out(borders)
        known = [state.produced for state in self._states]
        decoder: _Decoder | None = None
        found: list[int] = []
        for border in borders:
            nearest = bisect_right(known, border) - 1
            if decoder is None or known[nearest] > decoder.produced:
                decoder = self._states[nearest].copy()
            if border >= self._frontier.produced:
                found.append(self._frontier.consumed)
                continue
            try:
                decoder.skip(border - decoder.produced)
            except FormatError:
                found.append(self._frontier.consumed)
                continue
            found.append(decoder.consumed)
        return found

    def _block(self, index: int) -> bytes:
        """Return a block of the output; shorter than a whole one only where the output ends or fails."""
        cached = self._blocks.get(index)
        if cached is not None:
            self._blocks.move_to_end(index)
            return cached
        while (
            self._frontier.produced < (index + 1) * _BLOCK
            and not self._frontier.ended
            and self.failure is None
        ):
            self._advance()
        cached = self._blocks.get(index)
        if cached is not None:
            return cached
        nearest = self._states[
            bisect_right(self._states, index * _BLOCK, key=lambda state: state.produced) - 1
        ]
        decoder = self._reader
        if decoder is None or not nearest.produced <= decoder.produced <= index * _BLOCK:
            decoder = nearest.copy()
            if self._run.codec not in _RESUMED:  # what is decoded again counts
                self._limits.spend(Cost.DECOMPRESSED, index * _BLOCK, self.name)
        self._reader = decoder  # the next block will be asked for next
        block = b""
        for number in range(decoder.produced // _BLOCK, index + 1):
            wanted = min(_BLOCK, self._frontier.produced - number * _BLOCK)
            try:
                block = decoder.take(wanted)
            except FormatError:
                self._reader = None
                return b""
            self._keep(number, block)
        return block

    def _advance(self) -> None:
        """Decode the next block for the first time: its checksum, its limits, a state to come back to."""
        decoder = self._frontier
        number = decoder.produced // _BLOCK  # only the last block is shorter than a whole one
        resumes = self._run.codec in _RESUMED
        if resumes and number and number % self._spacing == 0 and decoder.produced == number * _BLOCK:
            self._states.append(decoder.copy())
            if len(self._states) > _CHECKPOINTS:
                self._spacing *= 2
                self._states = [
                    state for state in self._states if (state.produced // _BLOCK) % self._spacing == 0
                ]
        try:
            block = decoder.take(_BLOCK)
        except FormatError as error:
            block = self._salvage(number)
            self.failure = FormatError(error.problem, self.name, self._frontier.produced, error.code)
        decoder = self._frontier
        self._crc = zlib.crc32(block, self._crc)
        self._keep(number, block)
        limits = self._limits
        frames = min(limits.members, _FIRST_FRAMES + decoder.consumed // _FRAME_SIZE)
        limits.allow("its list of gzip members", len(decoder.frames), frames, self.name)
        limits.spend(Cost.DECOMPRESSED, len(block), self.name)
        self._allow(decoder.produced, decoder.consumed)
        if decoder.ended and self.failure is None and self._expected_crc not in (None, self._crc):
            self._fail(
                f"its bytes have the CRC {self._crc:#010x} but the archive states {self._expected_crc:#010x}",
                Code.CHECKSUM,
            )

    def _salvage(self, number: int) -> bytes:
        """Decode the block that fails again, up to where it does: zlib gives nothing of a bite in which it
        fails.
        """
        state = self._states[
            bisect_right(self._states, number * _BLOCK, key=lambda state: state.produced) - 1
        ]
        decoder = state.copy()
        decoder.skip(number * _BLOCK - decoder.produced)
        pieces: list[bytes] = []
        try:
            while not decoder.ended and decoder.produced < (number + 1) * _BLOCK:
                pieces.append(decoder.decode(_BLOCK, _CRUMB))
        except FormatError:
            pass  # what failed before; the caller describes it
        decoder.frames[:0] = [frame for frame in self._frontier.frames if frame.stored.end <= state.consumed]
        self._frontier = decoder
        return b"".join(pieces)

    def _keep(self, number: int, block: bytes) -> None:
        self._blocks[number] = block
        self._blocks.move_to_end(number)
        if len(self._blocks) > _CACHED_BLOCKS:
            self._blocks.popitem(last=False)

    def _fail(self, problem: str, code: Code = Code.MALFORMED) -> None:
        self.failure = FormatError(problem, self.name, self._frontier.produced, code)

    def _allow(self, produced: int, consumed: int) -> None:
        limits = self._limits
        if produced > limits.decompressed_size:
            problem = (
                f"what it decompresses to needs {produced:,} but the limit is {limits.decompressed_size:,}"
            )
            raise LimitError(problem, self.name, code=Code.EXPANSION)
        expansion = limits.expansion if produced <= limits.large_size else limits.large_expansion
        # A few stored bytes say nothing of the rate yet: the decoder runs ahead of them by its window.
        if produced > expansion * (consumed + KIB):
            problem = (
                f"{consumed:,} stored bytes decompress to {produced:,}, over {expansion:,} times as many"
            )
            raise LimitError(
                f"{problem}: it looks like a zip bomb and is not read", self.name, code=Code.EXPANSION
            )


@dataclass(frozen=True, slots=True)
class _Run:
    """The compressed bytes."""

    outer: Source
    offset: int
    size: int
    codec: Codec


class _Decoder:
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

    def __init__(self, run: _Run) -> None:
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

    def copy(self) -> _Decoder:
        """Return a decoder in the same state, with no separate frames yet."""
        twin = _Decoder(self._run)
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
            except FAILURES as error:
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


def _inflater(codec: Codec) -> Inflater:
    match codec:
        case Codec.BZIP2:
            return Bzip2Inflater()
        case Codec.LZMA:
            return ZipLzmaInflater()
        case _:
            return zlib.decompressobj(_WINDOW_BITS[codec])
