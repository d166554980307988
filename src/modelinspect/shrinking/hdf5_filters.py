"""Choose how a dataset's elements are stored: as they are, or deflated in chunks, with or without shuffle."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from enum import IntEnum
from math import prod
from typing import Protocol

import numpy as np

from modelinspect.core.limits import KIB, MIB
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.hdf5.filters import with_fletcher32

CHUNK_MOST = 4 * MIB
"""Bytes of a chunk before compression: far beyond deflate's window of 32 KiB, and small beside the memory of
a loader.
"""
COMPACT_MOST = 32 * KIB
"""Datasets up to this size may be stored in their object header, which cannot exceed 64 KiB."""
_TRIED_WHOLE = 64 * KIB
_SAMPLE, _SAMPLES = 32 * KIB, 2
"""Larger datasets are judged by two pieces as long as deflate's window."""
_TRIED_EACH = 16 * KIB
"""Up to this size every way is tried at the level that is written; larger data that compress like data which
were tried before are stored as those were.
"""
_TRYING = 6
_HARD_GAIN = 0.85
"""What the highest level makes of the bytes of level 6, at least: measured 0.87 to 0.99, on float32 with 0 to
95 % zeros.
"""
_LEAST = 64
_FILTER_COST = 34
"""What the messages of a chunked and filtered dataset take beyond those of one stored as it is."""


class Matches(IntEnum):
    """Which repeated bytes deflate looks for.

    Of shuffled floats the high bytes are few different ones, and the low bytes repeat by chance only: looking
    for matches finds nothing there and takes 60 times as long. Zeros are runs of one byte.
    """

    ALL = zlib.Z_DEFAULT_STRATEGY
    NONE = zlib.Z_HUFFMAN_ONLY
    RUNS = zlib.Z_RLE


@dataclass(frozen=True, slots=True)
class Filters:
    """How chunks are encoded: deflate, after shuffle where ``shuffle``; ``chunk`` is the shape of a chunk.

    Where ``checksum``, Fletcher's checksum ends every chunk.
    """

    chunk: tuple[int, ...]
    shuffle: bool
    matches: Matches = Matches.ALL
    checksum: bool = False


class Pool(Protocol):
    """What runs compressors beside each other, as `concurrent.futures.ThreadPoolExecutor` does."""

    def submit(self, call: Callable[..., int], /, *arguments: object) -> Future[int]:
        """Call a function later."""


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to deflate."""

    shuffle: bool
    matches: Matches


@dataclass(slots=True)
class Chooser:
    """Chooses the filters of the datasets of a file.

    A choice depends only on the data and the datasets before: the same file is always written the same
    way.
    """

    level: int
    pool: Pool
    hosted: bool = False
    """The file is deflated as a whole afterwards, so only the gain of shuffle counts."""
    _known: dict[tuple[int, ...], tuple[_Way, float, float]] = field(default_factory=dict)
    """By what a quick trial makes of the data: the best way, and what it and plain deflate make at the level
    that is written, to the sizes of that trial.
    """

    def choose(self, sample: bytes, size: int, shape: tuple[int, ...], item_size: int) -> Filters | None:
        """Return the filters that make a dataset of ``size`` bytes smaller, None where none does.

        ``sample`` are all its bytes or some of them (`sample_spans`); the choice is made on them.
        """
        if self.level == 0 or size < _LEAST or not shape:
            return None
        sorted_bytes = shuffle(sample, item_size)
        ways = [_Way(False, Matches.ALL)]
        if item_size > 1:
            ways += [_Way(True, matches) for matches in Matches]
        judge = self._each if len(sample) <= _TRIED_EACH else self._like
        way, made, plain = judge(sample, sorted_bytes, ways)
        if self.hosted and not way.shuffle:
            return None
        now = plain if self.hosted else len(sample)
        scale = size / max(len(sample), 1)
        if made * scale + _FILTER_COST >= now * scale:
            return None
        return Filters(chunk_shape(shape, item_size), way.shuffle, way.matches)

    def _each(self, sample: bytes, sorted_bytes: bytes, ways: Sequence[_Way]) -> tuple[_Way, float, float]:
        """Return the best way, its size, and that of plain deflate: each way is tried."""
        sizes = self._sizes(sample, sorted_bytes, ways, self.level)
        best = min(range(len(ways)), key=sizes.__getitem__)
        return ways[best], sizes[best], sizes[0]

    def _like(self, sample: bytes, sorted_bytes: bytes, ways: Sequence[_Way]) -> tuple[_Way, float, float]:
        """Return the same: data of which each way makes the same share are stored the same way."""
        quick = self._sizes(sample, sorted_bytes, ways, 1)
        shape = (len(ways), *(round(100 * size / len(sample)) for size in quick))
        if shape not in self._known:
            sizes = self._hard(sample, sorted_bytes, ways)
            best = min(range(len(ways)), key=sizes.__getitem__)
            self._known[shape] = ways[best], sizes[best] / quick[best], sizes[0] / quick[0]
        way, share, plain = self._known[shape]
        return way, share * quick[ways.index(way)], plain * quick[0]

    def _hard(self, sample: bytes, sorted_bytes: bytes, ways: Sequence[_Way]) -> list[int]:
        """Return the sizes at the level that is written, of the ways that may be the best at least: the
        highest levels take ten times as long.
        """
        sizes = self._sizes(sample, sorted_bytes, ways, min(self.level, _TRYING))
        if self.level <= _TRYING:
            return sizes
        least = min(sizes)
        slow = [
            index
            for index, way in enumerate(ways)
            if way.matches is Matches.ALL and sizes[index] * _HARD_GAIN < least
        ]
        again = self._sizes(sample, sorted_bytes, [ways[index] for index in slow], self.level)
        for index, size in zip(slow, again, strict=True):
            sizes[index] = size
        return sizes

    def _sizes(self, sample: bytes, sorted_bytes: bytes, ways: Sequence[_Way], level: int) -> list[int]:
        coming = [
            self.pool.submit(_size, sorted_bytes if way.shuffle else sample, level, way.matches)
            for way in ways
        ]
        return [each.result() for each in coming]


def chunk_shape(shape: Sequence[int], item_size: int, most: int = CHUNK_MOST) -> tuple[int, ...]:
    """Return the shape of chunks of at most ``most`` bytes that are runs of the dataset's elements: leading
    axes are cut first, into parts as equal as can be, because the last chunk is filled up.
    """
    chunk = list(shape)
    for axis, length in enumerate(shape):
        rest = prod(chunk[axis + 1 :]) * item_size
        if length * rest <= most:
            break
        chunk[axis] = -(-length // -(-length // max(most // rest, 1))) if rest else length
        if chunk[axis] > 1 or rest <= most:
            break
    return tuple(chunk)


def _size(data: bytes, level: int, matches: Matches) -> int:
    return len(_deflated(data, level, matches))


def _deflated(data: bytes | memoryview, level: int, matches: Matches) -> bytes:
    """Return a zlib stream."""
    packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, matches)
    return packer.compress(data) + packer.flush()


def sample_spans(size: int, item_size: int) -> list[tuple[int, int]]:
    """Return where to look in ``size`` bytes, as offsets and sizes of whole elements: everywhere, unless
    there is much.
    """
    if size <= _TRIED_WHOLE:
        return [(0, size)]
    length = max(_SAMPLE // item_size, 1) * item_size
    stride = size // _SAMPLES // item_size * item_size
    return [(index * stride, min(length, size - index * stride)) for index in range(_SAMPLES)]


def shuffle(data: bytes | memoryview, item_size: int) -> bytes:
    """Return the bytes of elements sorted by their place in the element, as HDF5's shuffle filter does."""
    if item_size <= 1:
        return bytes(data)
    whole = len(data) // item_size * item_size
    array = np.frombuffer(data, dtype=np.uint8)
    return array[:whole].reshape(-1, item_size).T.tobytes() + array[whole:].tobytes()


def encode(data: bytes | memoryview, filters: Filters, item_size: int, level: int) -> tuple[bytes, int]:
    """Return a chunk as it is stored, and its filter mask: a chunk that deflate makes larger is stored
    unfiltered.

    The quick ways are both tried: which of them is better can differ from chunk to chunk.
    """
    ordered = shuffle(data, item_size) if filters.shuffle else data
    ways = [filters.matches] if filters.matches is Matches.ALL else [Matches.NONE, Matches.RUNS]
    stored = min((_deflated(ordered, level, way) for way in ways), key=len)
    mask = 0
    if len(stored) >= len(data):
        stored, mask = bytes(data), 0b11 if filters.shuffle else 0b1
    return with_fletcher32(stored) if filters.checksum else stored, mask
