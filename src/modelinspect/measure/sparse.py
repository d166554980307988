"""Read sparse tensors: walks the axes as they are traversed and put each kept value in its place."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.span import Span
from modelinspect.core.tensors import SparseAxis, SparsePayload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Block, Bytes, Reading, UnmeasurableError, element_size
from modelinspect.sources.base import Source

Places = NDArray[np.int64]
_FARTHEST = 2**40
"""Places are sums of strides, which must fit into 64 bits."""


def read_sparse(payload: SparsePayload, tensor: Tensor, reading: Reading) -> Iterator[Block]:
    """Yield the dense elements. Raises `FormatError` where the index does not fit the shape or the values."""
    dense = densify(payload, tensor, reading)
    size = element_size(tensor.dtype)
    step = BLOCK_SIZE // size * size
    for start in range(0, len(dense), step):
        part = dense[start : start + step]
        yield Block(part, len(part) // size, start // size)


def densify(payload: SparsePayload, tensor: Tensor, reading: Reading) -> Bytes:
    """Return the bytes of the dense tensor."""
    size = element_size(tensor.dtype)
    if not size:
        raise UnmeasurableError(f"sparse {tensor.dtype} elements are not read")
    member = payload.stream.member
    reading.limits.allow(
        f"the dense form of {tensor.name}", tensor.logical_size, reading.limits.structure_size, member
    )
    reading.count_decoded(tensor.logical_size, member)
    source = reading.files.open_stream(payload.stream)
    places = _places(payload, tensor, source, reading.limits.structure_size // 8)
    kept = payload.values.size // size
    if len(places) != kept:
        problem = f"the sparse index of {tensor.name} places {len(places):,} values but {kept:,} are stored"
        raise FormatError(problem, member, payload.values.offset)
    values = np.frombuffer(source.read_at(payload.values.offset, kept * size), dtype=np.uint8).reshape(
        kept, size
    )
    dense = np.zeros((tensor.element_count, size), dtype=np.uint8)
    dense[places] = values
    return dense.reshape(-1)


def _places(payload: SparsePayload, tensor: Tensor, source: Source, most: int) -> Places:
    """Return the row-major place of each kept value."""
    rank = len(tensor.shape)
    count = rank + len(payload.block_map)
    if sorted(payload.traversal_order) != list(range(count)) or len(payload.axes) != count:
        raise FormatError(
            f"the traversal order {payload.traversal_order} does not fit a tensor of rank {rank}",
            payload.stream.member,
        )
    axes = dict(zip(payload.traversal_order, payload.axes, strict=True))
    if any(not 0 <= axis < rank for axis in payload.block_map):
        raise FormatError(
            f"the block map {payload.block_map} does not fit a tensor of rank {rank}", payload.stream.member
        )
    if not tensor.element_count:
        return np.zeros(0, dtype=np.int64)
    lengths = list(tensor.shape)
    strides = [prod(tensor.shape[axis + 1 :]) for axis in range(rank)]
    for place, axis in enumerate(payload.block_map):
        block = axes[rank + place].length
        if block <= 0:
            raise FormatError(f"a block of the sparse index has the length {block}", payload.stream.member)
        # The converter also writes blocks that do not divide the axis (dense_to_sparse_pass.cc asks for no
        # divisibility) and drops what is beyond the last whole one; LiteRT places what is there by the same
        # arithmetic (Populate, sparsity_format_converter.cc).
        lengths[axis] = -(-lengths[axis] // block)
        strides.append(strides[axis])
        strides[axis] *= block
        lengths.append(block)
        if strides[axis] > _FARTHEST:
            raise FormatError("the blocks of the sparse index reach beyond any tensor", payload.stream.member)
    flat: Places = np.zeros(1, dtype=np.int64)
    for number, level in zip(payload.traversal_order, payload.axes, strict=True):
        flat = _descend(flat, level, lengths[number], strides[number], source, most)
    if len(flat) and int(flat.max()) >= tensor.element_count:
        raise FormatError(
            f"a block of the sparse index reaches beyond the {tensor.element_count:,} elements of"
            f" {tensor.name}",
            source.name,
        )
    return flat


def _descend(flat: Places, axis: SparseAxis, length: int, stride: int, source: Source, most: int) -> Places:
    """Return the places after one more axis, in the order in which the values are."""
    if not axis.is_sparse:
        if axis.length != length:
            raise FormatError(
                f"a dense axis of the sparse index has length {axis.length}, not {length}", source.name
            )
        if max(len(flat), 1) * length > most:
            raise UnmeasurableError("its sparse index spans too many places")
        return (flat[:, None] + np.arange(length, dtype=np.int64) * stride).reshape(-1)
    segments = _numbers(source, axis.segments, axis.segment_size)
    indices = _numbers(source, axis.indices, axis.index_size)
    counts = np.diff(segments)
    if len(counts) != len(flat) or (counts < 0).any() or segments[0] != 0 or segments[-1] != len(indices):
        raise FormatError(
            f"the segments of a sparse axis do not fit its {len(indices):,} indices", source.name
        )
    if len(indices) and (int(indices.max()) >= length or int(indices.min()) < 0):
        raise FormatError(f"an index of a sparse axis is beyond its length {length}", source.name)
    return np.repeat(flat, counts) + indices * stride


def _numbers(source: Source, span: Span | None, size: int) -> Places:
    if span is None or size not in (1, 2, 4):
        raise FormatError("a sparse axis has no index", source.name)
    data = source.read_at(span.offset, span.size // size * size)
    return np.frombuffer(data, dtype="<i4" if size == 4 else f"<u{size}").astype(np.int64)
