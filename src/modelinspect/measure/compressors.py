"""Compress bytes for real and count what comes out: many compressors over one pass, in flat memory.

Each compressor has its own thread and takes blocks from a short queue. zlib lets the interpreter go on while
it works; cramjam does where it gets all bytes in one call, and not where it gets them in blocks.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Tensor
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks

BLOCK = MIB
GZIP_FRAME = 18
"""The bytes of a gzip header without a name, and of the trailer (RFC 1952)."""
ZSTD_CHECKSUM = 4
"""What the zstd tool adds to each frame."""

AT_ONCE = 4 * MIB
"""Inputs up to this are compressed in one call, and compressors then run on several processors."""
_FLUSHED = 32 * MIB
"""What is taken in between two flushes: each gives back what is held, and costs some bytes."""
_QUEUED = 4

Progress = Callable[[int, int], None]


class Compressor(StrEnum):
    """The compressors, with their levels."""

    GZIP = "gzip-9"
    ZSTD = "zstd-19"
    BROTLI = "brotli-11"


class Sink(Protocol):
    """Takes bytes and counts what they compress to."""

    def add(self, data: bytes) -> None:
        """Compress a block."""

    def finish(self) -> int:
        """Return the bytes of the whole."""


@dataclass(slots=True)
class Deflate:
    """Counts a raw deflate stream, as gzip and zip archives hold; it is the same however the bytes are cut.

    ``prefixes`` gets what all the bytes before each of ``marks`` deflate to: offsets, the smallest first.
    """

    level: int = 9
    marks: Sequence[int] = ()
    prefixes: dict[int, int] = field(default_factory=dict)
    _coder: Any = None
    _size: int = 0
    _taken: int = 0

    def __post_init__(self) -> None:
        self._coder = zlib.compressobj(self.level, zlib.DEFLATED, -15)

    def add(self, data: bytes | bytearray) -> None:
        """Compress a block."""
        start = 0
        while (
            len(self.prefixes) < len(self.marks)
            and self.marks[len(self.prefixes)] <= self._taken + len(data) - start
        ):
            mark = self.marks[len(self.prefixes)]
            end = start + mark - self._taken
            self._size += len(self._coder.compress(data[start:end]))
            self._taken, start = mark, end
            self.prefixes[mark] = self._size + len(self._coder.copy().flush())
        self._size += len(self._coder.compress(data[start:] if start else data))
        self._taken += len(data) - start

    def finish(self) -> int:
        """Return the bytes of the stream."""
        return self._size + len(self._coder.flush())


@dataclass(slots=True)
class _Cramjam:
    """Counts a stream of a compressor of cramjam; small inputs are compressed at once, as the tools do that
    know the size.
    """

    name: str
    level: int
    _coder: Any = None
    _size: int = 0
    _taken: int = 0
    _held: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """Compress a block, or hold it while all is small."""
        if self._coder is None and len(self._held) + len(data) <= AT_ONCE:
            self._held += data
            return
        if self._coder is None:
            self._coder = self._library().Compressor(level=self.level)
            self._coder.compress(bytes(self._held))
            self._held = bytearray()
        self._coder.compress(data)
        self._taken += len(data)
        if self._taken >= _FLUSHED:
            self._size += len(bytes(self._coder.flush()))
            self._taken = 0

    def finish(self) -> int:
        """Return the bytes of the stream."""
        if self._coder is None:
            return len(bytes(self._library().compress(bytes(self._held), level=self.level)))
        return self._size + len(bytes(self._coder.finish()))

    def _library(self) -> Any:
        import cramjam

        return getattr(cramjam, self.name)


def sink(compressor: Compressor, marks: Sequence[int] = (), prefixes: dict[int, int] | None = None) -> Sink:
    """Return a new sink; sizes are those of the bare streams, without names and checksums of files."""
    match compressor:
        case Compressor.GZIP:
            return Deflate(marks=marks, prefixes={} if prefixes is None else prefixes)
        case Compressor.ZSTD:
            return _Cramjam("zstd", 19)
        case Compressor.BROTLI:
            return _Cramjam("brotli", 11)


def compress_all(
    data: Iterable[bytes],
    compressors: Sequence[Compressor],
    total: int = 0,
    progress: Progress | None = None,
    marks: Sequence[int] = (),
    prefixes: dict[int, int] | None = None,
) -> Mapping[Compressor, int]:
    """Run compressors side by side over one pass; memory is flat however long the data are.

    Raises what reading raises.

    ``prefixes`` gets what deflate makes of the bytes before each of ``marks``.
    """
    workers = [_Worker(sink(compressor, marks, prefixes)) for compressor in compressors]
    done = 0
    try:
        for block in data:
            for worker in workers:
                worker.put(block)
            done += len(block)
            if progress is not None:
                progress(min(done, total), total)
        return {compressor: worker.result() for compressor, worker in zip(compressors, workers, strict=True)}
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A thread that compresses what it is given."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_QUEUED)
        self._error: BaseException | None = None
        self._size = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, block: bytes) -> None:
        """Give a block; waits while the queue is full."""
        self._blocks.put(block)

    def result(self) -> int:
        """Wait for the last block and return the size. Raises what compressing raised."""
        self.stop()
        if self._error is not None:
            raise self._error
        return self._size

    def stop(self) -> None:
        """End the thread."""
        if self._thread.is_alive():
            self._blocks.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            if self._error is None:
                self._try(self._sink.add, block)
        if self._error is None:
            self._try(self._finish)

    def _finish(self) -> None:
        self._size = self._sink.finish()

    def _try(self, call: Callable[..., None], *arguments: bytes) -> None:
        try:
            call(*arguments)
        except (MemoryError, RuntimeError, ValueError, OSError, zlib.error) as error:
            self._error = error


def deflated_size(data: Iterable[bytes], level: int = 9) -> int:
    """Return the bytes of a raw deflate stream."""
    counter = Deflate(level)
    for block in data:
        counter.add(block)
    return counter.finish()


def tensor_deflated_size(tensor: Tensor, reading: Reading) -> int:
    """Return what the dense elements of one tensor deflate to. Raises `UnmeasurableError`, `FormatError`."""
    return deflated_size(_elements(tensor, reading))


def _elements(tensor: Tensor, reading: Reading) -> Iterator[bytes]:
    for block in blocks(tensor, reading):
        data = block.data.tobytes()
        for _ in range(block.repeat):
            yield data
