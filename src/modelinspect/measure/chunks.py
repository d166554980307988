"""Reads elements from the chunks of an HDF5 data set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.tensors import ByteOrder, DType, ElementKind, Hdf5Payload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Block, Box, Reading, element_size
from modelinspect.measure.filters import ChunkCoder
from modelinspect.sources.base import Source

_FAR = 2**62


def read_chunks(payload: Hdf5Payload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements of chunks, in the order of elements where the shape of the chunks allows it.

    What no chunk holds comes last, as one block that stands for all of it. Raises `FormatError`.
    """
    size = element_size(tensor.dtype)
    if not tensor.element_count:
        return
    covered = 0
    if len(payload.offsets):
        grid = _Grid.of(payload, tensor, reading, size)
        covered = grid.covered
        yield from grid.blocks(reading)
    if covered < tensor.element_count:
        yield _rest(payload, tensor.element_count - covered, size, whole=not covered)


def _rest(payload: Hdf5Payload, count: int, size: int, *, whole: bool) -> Block:
    """Return the block that stands for the elements that were never written: the fill value, zero where there is none."""
    fill = payload.fill or bytes(size)
    held = len(fill) // size
    if len(fill) % size or count % held:
        fill, held = fill[:size].ljust(size, b"\0"), 1
    return Block(np.frombuffer(fill, dtype=np.uint8), held, 0, payload.byte_order, repeat=count // held, placed=whole)


@dataclass(slots=True)
class _Grid:
    """The chunks of a data set, sorted by their place in it."""

    payload: Hdf5Payload
    shape: tuple[int, ...]
    coder: ChunkCoder
    source: Source
    rows: NDArray[np.int64]
    origins: NDArray[np.int64]
    lengths: NDArray[np.int64]
    covered: int

    @classmethod
    def of(cls, payload: Hdf5Payload, tensor: Tensor, reading: Reading, size: int) -> _Grid:
        """Check the chunks against the shape and the limits before any is read."""
        member = payload.stream.member
        shape, chunk = tensor.shape, payload.chunk_shape
        count = len(payload.offsets)
        if len(chunk) != len(shape) or not shape or min(chunk) < 1 or len(payload.coordinates) != count * len(shape):
            raise FormatError(f"chunks of shape {chunk} do not fit a data set of shape {shape}", member)
        chunk_size = prod(chunk) * size
        source = reading.files.open_stream(payload.stream)
        reading.limits.allow("a chunk", chunk_size, reading.limits.block_size, member, payload.offsets[0])
        reading.limits.allow("decoding all chunks", count * chunk_size, reading.limits.expansion * source.size, member)
        reading.count_decoded(count * chunk_size, member)
        origins = np.frombuffer(payload.coordinates, dtype=np.int64).reshape(count, len(shape))
        limit = np.array([min(length, _FAR) for length in shape], dtype=np.int64)
        lengths = np.minimum(origins + np.array(chunk, dtype=np.int64), limit) - origins
        if (origins < 0).any() or (origins % np.array(chunk, dtype=np.int64)).any():
            raise FormatError("a chunk stands between the places for chunks", member)
        order = np.lexsort(origins.T[::-1])
        order = order[(lengths[order] > 0).all(axis=1)]
        origins, lengths = origins[order], lengths[order]
        if len(order) > 1 and (origins[1:] == origins[:-1]).all(axis=1).any():
            raise FormatError("two chunks stand in one place", member)
        coder = ChunkCoder(payload.filters, chunk, _numpy_type(tensor.dtype, size, payload.byte_order), payload.fill, member)
        return cls(payload, shape, coder, source, order, origins, lengths, int(lengths.prod(axis=1).sum()))

    def blocks(self, reading: Reading) -> Iterator[Block]:
        """Yield slabs of elements in order where they fit in a block, else each chunk by itself."""
        starts = self.origins[:, 0]
        changes = np.flatnonzero(starts[1:] != starts[:-1]) + 1
        borders = [0, *changes.tolist(), len(starts)] if len(starts) else [0]
        places = zip(self.shape[1:], self.coder.chunk_shape[1:], strict=True)
        across = prod(-(-length // chunk) for length, chunk in places)
        inner = prod(self.shape[1:])
        for first, last in pairwise(borders):
            slab = int(self.lengths[first, 0]) * inner * self.coder.dtype.itemsize
            if last - first == across and slab <= reading.limits.block_size:
                yield from self._slab(first, last, inner, reading)
            else:
                yield from (self._box(index) for index in range(first, last))

    def _chunk(self, index: int) -> NDArray[Any]:
        """Decode a chunk and cut off what stands beyond the edge of the data set."""
        row = int(self.rows[index])
        offset, stored = self.payload.offsets[row], self.payload.sizes[row]
        self.source.require(offset, stored, "a chunk")
        try:
            data = self.coder.decode(self.source.read_at(offset, stored), self.payload.masks[row], offset)
        except FormatError as error:
            at = ", ".join(map(str, self.origins[index].tolist()))
            raise error.reworded(f"the chunk at element ({at}): {error.problem}", error.member, error.offset) from error
        whole = np.frombuffer(data, dtype=self.coder.dtype).reshape(self.coder.chunk_shape)
        return whole[tuple(slice(0, length) for length in self.lengths[index].tolist())]

    def _slab(self, first: int, last: int, inner: int, reading: Reading) -> Iterator[Block]:
        """Put the chunks of one range of the first axis together."""
        start, rows = int(self.origins[first, 0]), int(self.lengths[first, 0])
        if last - first == 1:
            slab = np.ascontiguousarray(self._chunk(first))
        else:
            buffer = reading.take(rows * inner * self.coder.dtype.itemsize)
            slab = np.frombuffer(buffer, dtype=self.coder.dtype).reshape(rows, *self.shape[1:])
            for index in range(first, last):
                place = zip(self.origins[index, 1:].tolist(), self.lengths[index, 1:].tolist(), strict=True)
                slab[(slice(None), *(slice(at, at + length) for at, length in place))] = self._chunk(index)
        yield from _pieces(slab.reshape(-1).view(np.uint8), start * inner, self.coder.dtype.itemsize, self.payload.byte_order)

    def _box(self, index: int) -> Block:
        part = np.ascontiguousarray(self._chunk(index))
        box = Box(tuple(self.origins[index].tolist()), tuple(self.lengths[index].tolist()))
        return Block(part.reshape(-1).view(np.uint8), part.size, 0, self.payload.byte_order, box)


def _pieces(data: NDArray[np.uint8], first: int, size: int, order: ByteOrder) -> Iterator[Block]:
    step = max(BLOCK_SIZE // size, 1)
    for start in range(0, len(data) // size, step):
        part = data[start * size : (start + step) * size]
        yield Block(part, len(part) // size, first + start, order)


def _numpy_type(dtype: DType, size: int, order: ByteOrder) -> np.dtype[Any]:
    """Return the numpy type of elements as stored: what filters of the library's need to know, else just their size."""
    kind = _LETTERS.get(dtype.kind)
    if kind == "f" and dtype.name not in ("float16", "float32", "float64"):
        kind = "u" if size in (1, 2, 4, 8) else None
    return np.dtype(f"V{size}") if kind is None else np.dtype(f"{'<' if order is ByteOrder.LITTLE else '>'}{kind}{size}")


_LETTERS = {ElementKind.FLOAT: "f", ElementKind.COMPLEX: "c", ElementKind.INT: "i", ElementKind.UINT: "u", ElementKind.BOOL: "u"}
