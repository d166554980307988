"""Read elements from the chunks of an HDF5 dataset or a zarr array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder, DType, ElementKind, Hdf5Payload, Tensor, ZarrPayload
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Block, Box, Reading, element_size
from modelinspect.measure.filters import ChunkCoder, Data

_FAR = 2**62


def read_chunks(payload: Hdf5Payload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements of chunks, in the order of elements where the shape of the chunks allows it.

    What no chunk holds comes last, as one block that stands for all of it. Raises `FormatError`.
    """
    size = element_size(tensor.dtype)
    member = payload.stream.member
    if not len(payload.offsets) or not tensor.element_count:
        yield from read_grid(None, payload, tensor, size, reading)
        return
    source = reading.files.open_stream(payload.stream)
    allow_chunks(payload, tensor.shape, size, reading, reading.limits.expansion * source.size, member)
    coder = ChunkCoder(
        payload.filters,
        payload.chunk_shape,
        numpy_type(tensor.dtype, size, payload.byte_order),
        payload.fill,
        member,
    )

    def decode(row: int) -> Data:
        offset, stored = payload.offsets[row], payload.sizes[row]
        source.require(offset, stored, "a chunk")
        return coder.decode(source.read_at(offset, stored), payload.masks[row], offset)

    yield from read_grid(decode, payload, tensor, size, reading)


Chunked = Hdf5Payload | ZarrPayload


def allow_chunks(
    payload: Chunked, shape: tuple[int, ...], size: int, reading: Reading, most: int, member: str
) -> None:
    """Check the chunks against the shape and the limits before any is read. Raises `FormatError`."""
    chunk, count = payload.chunk_shape, len(payload.offsets)
    if (
        len(chunk) != len(shape)
        or not shape
        or min(chunk) < 1
        or len(payload.coordinates) != count * len(shape)
    ):
        raise FormatError(f"chunks of shape {chunk} do not fit a dataset of shape {shape}", member)
    chunk_size = prod(chunk) * size
    reading.limits.allow("a chunk", chunk_size, reading.limits.block_size, member, payload.offsets[0])
    reading.limits.allow("decoding all chunks", count * chunk_size, most, member)
    reading.count_decoded(count * chunk_size, member)


def read_grid(
    decode: Callable[[int], Data] | None, payload: Chunked, tensor: Tensor, size: int, reading: Reading
) -> Iterator[Block]:
    """Yield the elements of chunks, which ``decode`` decodes by their row, and after them those that no chunk
    holds.
    """
    covered = 0
    if decode is not None:
        grid = _Grid.of(decode, payload, tensor, size)
        covered = grid.covered
        yield from grid.blocks(reading)
    if covered < tensor.element_count:
        yield _rest(payload, tensor.element_count - covered, size, whole=not covered)


def _rest(payload: Chunked, count: int, size: int, *, whole: bool) -> Block:
    """Return the block that stands for the elements that were never written: the fill value, zero where there
    is none.
    """
    fill = payload.fill or bytes(size)
    held = len(fill) // size
    if len(fill) % size or count % held:
        fill, held = fill[:size].ljust(size, b"\0"), 1
    return Block(
        np.frombuffer(fill, dtype=np.uint8), held, 0, payload.byte_order, repeat=count // held, placed=whole
    )


@dataclass(slots=True)
class _Grid:
    """The chunks of a dataset, sorted by their place in it."""

    decode: Callable[[int], Data]
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_order: ByteOrder
    rows: NDArray[np.int64]
    origins: NDArray[np.int64]
    lengths: NDArray[np.int64]
    covered: int

    @classmethod
    def of(cls, decode: Callable[[int], Data], payload: Chunked, tensor: Tensor, size: int) -> _Grid:
        """Sort the chunks by their places. Raises `FormatError` where two share one."""
        member = _member(payload)
        shape, chunk = tensor.shape, payload.chunk_shape
        origins = np.frombuffer(payload.coordinates, dtype=np.int64).reshape(len(payload.offsets), len(shape))
        limit = np.array([min(length, _FAR) for length in shape], dtype=np.int64)
        lengths = np.minimum(origins + np.array(chunk, dtype=np.int64), limit) - origins
        if (origins < 0).any() or (origins % np.array(chunk, dtype=np.int64)).any():
            raise FormatError("a chunk is between the places for chunks", member)
        order = np.lexsort(origins.T[::-1])
        order = order[(lengths[order] > 0).all(axis=1)]
        origins, lengths = origins[order], lengths[order]
        if len(order) > 1 and (origins[1:] == origins[:-1]).all(axis=1).any():
            raise FormatError("two chunks are in one place", member)
        dtype = numpy_type(tensor.dtype, size, payload.byte_order)
        return cls(
            decode,
            shape,
            chunk,
            dtype,
            payload.byte_order,
            order,
            origins,
            lengths,
            int(lengths.prod(axis=1).sum()),
        )

    def blocks(self, reading: Reading) -> Iterator[Block]:
        """Yield slabs of elements in order where they fit in a block, else each chunk by itself."""
        starts = self.origins[:, 0]
        changes = np.flatnonzero(starts[1:] != starts[:-1]) + 1
        borders = [0, *changes.tolist(), len(starts)] if len(starts) else [0]
        places = zip(self.shape[1:], self.chunk_shape[1:], strict=True)
        across = prod(-(-length // chunk) for length, chunk in places)
        inner = prod(self.shape[1:])
        for first, last in pairwise(borders):
            slab = int(self.lengths[first, 0]) * inner * self.dtype.itemsize
            if last - first == across and slab <= reading.limits.block_size:
                yield from self._slab(first, last, inner, reading)
            else:
                yield from (self._box(index) for index in range(first, last))

    def _chunk(self, index: int) -> NDArray[Any]:
        """Decode a chunk and cut off what is beyond the edge of the dataset."""
        try:
            data = self.decode(int(self.rows[index]))
        except FormatError as error:
            at = ", ".join(map(str, self.origins[index].tolist()))
            raise error.reworded(
                f"the chunk at element ({at}): {error.problem}", error.member, error.offset
            ) from error
        whole = np.frombuffer(data, dtype=self.dtype).reshape(self.chunk_shape)
        return whole[tuple(slice(0, length) for length in self.lengths[index].tolist())]

    def _slab(self, first: int, last: int, inner: int, reading: Reading) -> Iterator[Block]:
        """Put the chunks of one range of the first axis together."""
        start, rows = int(self.origins[first, 0]), int(self.lengths[first, 0])
        if last - first == 1:
            slab = np.ascontiguousarray(self._chunk(first))
        else:
            buffer = reading.take(rows * inner * self.dtype.itemsize)
            slab = np.frombuffer(buffer, dtype=self.dtype).reshape(rows, *self.shape[1:])
            for index in range(first, last):
                place = zip(self.origins[index, 1:].tolist(), self.lengths[index, 1:].tolist(), strict=True)
                slab[(slice(None), *(slice(at, at + length) for at, length in place))] = self._chunk(index)
        yield from _pieces(
            slab.reshape(-1).view(np.uint8), start * inner, self.dtype.itemsize, self.byte_order
        )

    def _box(self, index: int) -> Block:
        part = np.ascontiguousarray(self._chunk(index))
        box = Box(tuple(self.origins[index].tolist()), tuple(self.lengths[index].tolist()))
        return Block(part.reshape(-1).view(np.uint8), part.size, 0, self.byte_order, box)


def _member(payload: Chunked) -> str:
    return (
        payload.stream.member
        if isinstance(payload, Hdf5Payload)
        else next((stream.member for stream in payload.streams), "")
    )


def _pieces(data: NDArray[np.uint8], first: int, size: int, order: ByteOrder) -> Iterator[Block]:
    step = max(BLOCK_SIZE // size, 1)
    for start in range(0, len(data) // size, step):
        part = data[start * size : (start + step) * size]
        yield Block(part, len(part) // size, first + start, order)


def numpy_type(dtype: DType, size: int, order: ByteOrder) -> np.dtype[Any]:
    """Return the numpy type of elements as stored: what filters of the library's need to know, else just
    their size.
    """
    kind = _LETTERS.get(dtype.kind)
    if kind == "f" and dtype.name not in ("float16", "float32", "float64"):
        kind = "u" if size in (1, 2, 4, 8) else None
    return (
        np.dtype(f"V{size}")
        if kind is None
        else np.dtype(f"{'<' if order is ByteOrder.LITTLE else '>'}{kind}{size}")
    )


_LETTERS = {
    ElementKind.FLOAT: "f",
    ElementKind.COMPLEX: "c",
    ElementKind.INT: "i",
    ElementKind.UINT: "u",
    ElementKind.BOOL: "u",
}
