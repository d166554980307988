"""Read at any offset of what a compressed run of bytes decodes to, in bounded memory."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable

from modelinspect.core.limits import KIB, MIB, Cost, Limits
from modelinspect.errors import Code, FormatError, LimitError
from modelinspect.sources.base import Source
from modelinspect.sources.decoders import WINDOW_BITS, Codec, Decoder, Frame, Run

_RESUMED = frozenset(WINDOW_BITS)
"""Decoders whose state can be kept; the others begin again where something is read again."""
_CRUMB = 8
_BLOCK = 256 * KIB
_CACHED_BLOCKS = 64
_CHECKPOINTS = 128
_FIRST_SPACING = 4 * MIB // _BLOCK
_FIRST_FRAMES = 1_000
_FRAME_SIZE = 512
"""Beyond the first, gzip members are this large on average; bgzip makes them of 64 KiB."""


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
        self._run = Run(outer, offset, size, codec)
        self._frontier = Decoder(self._run)
        self._states: list[Decoder] = [Decoder(self._run)]
        self._reader: Decoder | None = None
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
        decoder: Decoder | None = None
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
