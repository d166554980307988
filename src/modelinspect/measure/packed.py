"""Unpack whole numbers that share bytes along an axis of a matrix, and indices into tables of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.tensors import DTYPES, LookupPayload, PackedPayload, Payload, Tensor, ZeroPoints
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Block, Reading, UnmeasurableError, element_size

Bytes = NDArray[np.uint8]
Values = NDArray[np.int16]

_TRITS = 5

ReadBlocks = Callable[[Tensor, Reading], Iterator[Block]]
"""Reads the elements of any tensor, whatever its payload."""


def read_packed(
    payload: PackedPayload, tensor: Tensor, reading: Reading, read: ReadBlocks
) -> Iterator[Block]:
    """Yield the values as int16 in the order of elements, zero points subtracted.

    Raises `FormatError`, `UnmeasurableError`.

    A value of 8 bits less its zero point has nine: hence int16.
    """
    height, width = _matrix(tensor)
    zeros = _Zeros.read(payload.zeros, tensor, reading, read) if payload.zeros is not None else None
    row = 0
    for stored in _slabs(payload, tensor, reading, read):
        values = _unpacked(stored, payload)
        values = values[: height - row, :width]
        if zeros is not None:
            values = values - zeros.of_rows(row, len(values))
        if values.size:
            flat = np.ascontiguousarray(values, dtype="<i2").reshape(-1)
            yield Block(flat.view(np.uint8), flat.size, row * width)
        row += len(values)


def _matrix(tensor: Tensor) -> tuple[int, int]:
    if len(tensor.shape) != 2:
        raise UnmeasurableError("values that share bytes are read of a matrix")
    return tensor.shape[0], tensor.shape[1]


def _unpacked(stored: Bytes, payload: PackedPayload) -> Values:
    """Return the values of whole stored rows, padding included."""
    rows, columns = stored.shape
    parts: list[NDArray[Any]] = []
    if payload.is_ternary:
        rest = stored.astype(np.int16)
        for _ in range(_TRITS):
            parts.append(rest % 3 - 1)
            rest = rest // 3
    else:
        mask, sign = (1 << payload.bits) - 1, 1 << (payload.bits - 1)
        for place in range(payload.per_byte):
            value = ((stored >> (place * payload.bits)) & mask).astype(np.int16)
            parts.append((value ^ sign) - sign if payload.is_signed else value)
    axis = payload.axis % 2
    spread = np.stack(parts, axis=axis + 1)
    shape = (rows * len(parts), columns) if axis == 0 else (rows, columns * len(parts))
    return spread.reshape(shape)


def _slabs(payload: PackedPayload, tensor: Tensor, reading: Reading, read: ReadBlocks) -> Iterator[Bytes]:
    """Yield the stored bytes in runs of whole rows."""
    rows, columns = payload.stored_shape
    if not rows or not columns:
        return
    reading.limits.allow("one row of packed values", columns, reading.limits.block_size)
    step = max(BLOCK_SIZE // (4 * columns), 1) * columns
    held = np.empty(0, dtype=np.uint8)
    for part in _runs(payload.stored, _stored(tensor, payload), reading, read):
        held = np.concatenate((held, part))
        while len(held) >= step:
            yield held[:step].reshape(-1, columns)
            held = held[step:]
    whole = len(held) - len(held) % columns
    if whole:
        yield held[:whole].reshape(-1, columns)


def _stored(tensor: Tensor, payload: PackedPayload) -> Tensor:
    size = payload.stored_shape[0] * payload.stored_shape[1]
    return replace(
        tensor, dtype=DTYPES["uint8"], shape=payload.stored_shape, payload=payload.stored, logical_size=size
    )


def _runs(payload: Payload, tensor: Tensor, reading: Reading, read: ReadBlocks) -> Iterator[Bytes]:
    """Yield the bytes of a tensor in order; those that come in boxes, or stand for many, are put together
    first.
    """
    itemsize = tensor.dtype.bits // 8
    whole: Bytes | None = None
    for block in read(replace(tensor, payload=payload), reading):
        if whole is None and block.placed and block.box is None and block.repeat == 1:
            yield block.data.copy()
            continue
        if whole is None:
            reading.limits.allow(
                f"the dense form of {tensor.name}", tensor.logical_size, reading.limits.structure_size
            )
            whole = np.zeros((*tensor.shape, itemsize), dtype=np.uint8)
        if block.box is not None:
            where = tuple(
                slice(at, at + length) for at, length in zip(block.box.origin, block.box.shape, strict=True)
            )
            whole[where] = block.data.reshape(*block.box.shape, itemsize)
        elif block.placed:
            run = np.tile(block.data, block.repeat)
            whole.reshape(-1)[block.first * itemsize : block.first * itemsize + len(run)] = run
        elif block.data.any():
            raise UnmeasurableError("its chunks are incomplete and filled with another value than 0")
    if whole is not None:
        yield whole.reshape(-1)


class _Zeros:
    """The zero points of a matrix, read once."""

    def __init__(self, points: Values, groups: NDArray[np.intp], axis: int) -> None:
        self._points = points
        self._groups = groups
        self._axis = axis

    @classmethod
    def read(cls, zeros: ZeroPoints, tensor: Tensor, reading: Reading, read: ReadBlocks) -> _Zeros:
        """Read the points and the groups. Raises `FormatError` where they do not fit the matrix."""
        raw = _whole(zeros.points, tensor, "int8" if zeros.is_signed else "uint8", zeros.shape, reading, read)
        points = raw.view(np.int8 if zeros.is_signed else np.uint8).astype(np.int16).reshape(zeros.shape)
        length = tensor.shape[zeros.group_axis]
        reading.limits.allow(f"the groups of {tensor.name}", 8 * length, reading.limits.structure_size)
        if zeros.groups is None:
            groups = np.arange(length) // max(zeros.size, 1)
        else:
            numbers = _whole(zeros.groups, tensor, "float32", (length,), reading, read).view("<f4")
            if not np.isfinite(numbers).all():
                raise FormatError(f"the groups of {tensor.name} are not numbers")
            groups = numbers.astype(np.intp)
        other = 1 - zeros.group_axis
        along = points.shape[zeros.group_axis]
        if points.shape[other] != tensor.shape[other] or (
            length and not 0 <= groups.min() <= groups.max() < along
        ):
            raise FormatError(f"the zero points of {tensor.name} do not fit its shape")
        return cls(points, groups, zeros.group_axis)

    def of_rows(self, first: int, count: int) -> Values:
        """Return the zero point of each element of some rows."""
        if self._axis == 0:
            return self._points[self._groups[first : first + count]]
        return self._points[first : first + count][:, self._groups]


def _whole(
    payload: Payload, tensor: Tensor, dtype: str, shape: tuple[int, ...], reading: Reading, read: ReadBlocks
) -> Bytes:
    """Return the bytes of a helper of a tensor."""
    size = prod(shape) * (DTYPES[dtype].bits // 8)
    reading.limits.allow(f"a helper of {tensor.name}", size, reading.limits.structure_size)
    helper = replace(tensor, dtype=DTYPES[dtype], shape=shape, payload=payload, logical_size=size)
    parts = list(_runs(payload, helper, reading, read))
    data = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint8)
    if len(data) != size:
        raise FormatError(f"a helper of {tensor.name} has {len(data):,} bytes where {size:,} belong")
    return data


_STEP = 1 << 16
"""Elements of a block: a multiple of 8, so each block begins with a whole byte whatever the bits of an
index.
"""


def read_lookup(payload: LookupPayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the elements that the indices name. Raises `FormatError` where an index is beyond its table."""
    size, bits, member = element_size(tensor.dtype), payload.bits, payload.stream.member
    source = reading.files.open_stream(payload.stream)
    needed = payload.channels * payload.stride * size
    reading.limits.allow("a lookup table", needed, reading.limits.block_size, member, payload.table.offset)
    if needed > payload.table.size or -(-tensor.element_count * bits // 8) > payload.indices.size:
        raise FormatError(
            f"the indices or tables of {tensor.name} are too short", member, payload.table.offset
        )
    table = np.frombuffer(source.read_at(payload.table.offset, needed), dtype=f"V{size}").reshape(
        payload.channels, payload.stride
    )
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    for first in range(0, tensor.element_count, _STEP):
        count = min(_STEP, tensor.element_count - first)
        data = source.read_at(payload.indices.offset + first * bits // 8, -(-count * bits // 8))
        digits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))[: count * bits].reshape(count, bits)
        indices = digits @ weights
        if int(indices.max(initial=0)) >= payload.stride:
            raise FormatError(
                f"an index of {tensor.name} is beyond its table of {payload.stride:,}",
                member,
                payload.indices.offset,
            )
        channels = np.arange(first, first + count) // payload.inner % payload.channels
        values = np.ascontiguousarray(table[channels, indices])
        yield Block(values.view(np.uint8), count, first)
