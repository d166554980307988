"""Choose how a dataset's elements are stored: as they are, or deflated in chunks, with or without shuffle."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import prod

import numpy as np

from modelinspect.core.limits import KIB, MIB
from modelinspect.core.records import dataclass

CHUNK_MOST = 4 * MIB
"""Bytes of a chunk before compression: far beyond deflate's window of 32 KiB, and small beside the memory of
a loader.
"""
COMPACT_MOST = 32 * KIB
"""Datasets up to this size may be stored in their object header, which cannot exceed 64 KiB."""
_TRIED_WHOLE = 256 * KIB
_SAMPLE, _SAMPLES = 64 * KIB, 4
_TRIED_HARD, _TRYING = 64 * KIB, 6
"""Samples of more bytes are compressed at this level to choose: the highest takes many times as long, and the
choice is the same.
"""
_LEAST = 64
_FILTER_COST = 34
"""What the messages of a chunked and filtered dataset take beyond those of one stored as it is."""


@dataclass(frozen=True, slots=True)
class Filters:
    """How chunks are encoded: deflate, after shuffle where ``shuffle``; ``chunk`` is the shape of a chunk.

    ``coded`` is deflate without matches: of shuffled floats the high bytes are few different ones, and the
    low bytes repeat by chance only, so searching for matches finds nothing and takes 60 times as long.
    """

    chunk: tuple[int, ...]
    shuffle: bool
    coded: bool = False


def chunk_shape(shape: Sequence[int], item_size: int, most: int = CHUNK_MOST) -> tuple[int, ...]:
    """Return the shape of chunks of at most ``most`` bytes that are runs of the dataset's elements: leading
    axes are cut first.
    """
    chunk = list(shape)
    for axis, length in enumerate(shape):
        rest = prod(chunk[axis + 1 :]) * item_size
        if length * rest <= most:
            break
        chunk[axis] = max(most // rest, 1) if rest else length
        if chunk[axis] > 1 or rest <= most:
            break
    return tuple(chunk)


def choose(
    sample: bytes, size: int, shape: tuple[int, ...], item_size: int, level: int, *, hosted: bool = False
) -> Filters | None:
    """Return the filters that make a dataset of ``size`` bytes smaller, None where none does.

    ``sample`` are all its bytes or some of them (`sample_spans`); the choice is made on them. A ``hosted``
    file is deflated as a whole afterwards, so only the gain of shuffle counts.
    """
    if level == 0 or size < _LEAST or not shape:
        return None
    trying = level if len(sample) <= _TRIED_HARD else min(level, _TRYING)
    plain = len(_deflated(sample, trying))
    shuffled = coded = plain
    if item_size > 1:
        sorted_bytes = shuffle(sample, item_size)
        shuffled = len(_deflated(sorted_bytes, trying))
        coded = len(_deflated(sorted_bytes, trying, coded=True))
    changed = min(shuffled, coded)
    best, now = (changed, plain) if hosted else (min(plain, changed), len(sample))
    scale = size / max(len(sample), 1)
    if best * scale + _FILTER_COST >= now * scale:
        return None
    return Filters(chunk_shape(shape, item_size), changed < plain, coded < min(shuffled, plain))


def _deflated(data: bytes | memoryview, level: int, *, coded: bool = False) -> bytes:
    """Return a zlib stream; with ``coded`` one without matches."""
    strategy = zlib.Z_HUFFMAN_ONLY if coded else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
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
    """
    stored = _deflated(shuffle(data, item_size) if filters.shuffle else data, level, coded=filters.coded)
    if len(stored) < len(data):
        return stored, 0
    return bytes(data), 0b11 if filters.shuffle else 0b1
