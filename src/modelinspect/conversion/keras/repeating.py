"""What the converter makes of upsampling to nearest neighbours in Keras 3, which repeats along one axis after
the other, and how lengths are kept that it then does not know.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.conversion.keras.call import Call, Shape, UnknownLayerError, known
from modelinspect.conversion.network import Value, integers
from modelinspect.conversion.operators import (
    CONCATENATION,
    EXPAND_DIMS,
    INT32,
    PACK,
    RESHAPE,
    SHAPE,
    STRIDED_SLICE,
    TILE,
)


def repeated(call: Call, factors: Sequence[int]) -> Value:
    """Repeat along one axis after the other, the first after the batch. Of what each but the first makes, the
    converter does not know the lengths of the axes before it any more.
    """
    given = known(call.given.shape)
    if given[0] > 0 or min(factors) < 2 or len(given) != len(factors) + 2:
        raise UnknownLayerError("this way of repeating")
    value = call.given
    for place, factor in enumerate(factors):
        axis = place + 1
        value = _repeat(call, value, axis, factor, f"Repeat_{place}" if place else "Repeat")
        before = tuple(map(forgotten, map(recalled, value.shape[1:axis])))
        value.shape = (value.shape[0], *before, *value.shape[axis:])
    return value


def repeated_vector(call: Call, count: int) -> Value:
    """Repeat a vector: it is given an axis, of the batch as it is, along which it is repeated."""
    shape = known(call.given.shape)
    if shape[0] > 0:
        return _repeated_samples(call, shape, count)
    told = call.op(SHAPE, [call.given], (2,), "Shape", {"out_type": 2}, INT32)
    bounds = [
        call.integers([n], f"strided_slice/{part}")
        for n, part in ((0, "stack"), (1, "stack_1"), (1, "stack_2"))
    ]
    batch = call.op(STRIDED_SLICE, [told, *bounds], (), "strided_slice", {"shrink_axis_mask": 1}, INT32)
    lengths = [call.integers(length, f"Reshape/shape/{place}") for place, length in ((1, 1), (2, shape[1]))]
    target = call.op(PACK, [batch, *lengths], (3,), "Reshape/shape", {"values_count": 3}, INT32)
    wide = call.op(RESHAPE, [call.given, target], (shape[0], 1, shape[1]), "Reshape")
    return _repeat(call, wide, 1, count, "Repeat")


def _repeated_samples(call: Call, shape: Shape, count: int) -> Value:
    """Repeat vectors whose batch is known: all shapes are constants."""
    batch, length = shape
    value = call.given
    for lengths, name in (((batch, 1, length), "Reshape"), ((batch, 1, 1, length), "Repeat/ExpandDims")):
        value = call.op(RESHAPE, [value, call.integers(list(lengths), name)], lengths, name)
    times = call.integers([1, 1, count, 1], "Repeat/Tile/multiples")
    made = call.op(TILE, [value, times], (batch, 1, count, length), "Repeat/Tile")
    whole = (batch, count, length)
    return call.op(RESHAPE, [made, call.integers(list(whole), "Repeat/Reshape_1")], whole, "Repeat/Reshape_1")


def forgotten(length: int) -> int:
    """Return what stands for a length that the converter does not know, and TensorFlow does: less than -1."""
    return -1 - length


def recalled(length: int) -> int:
    """Return a length, also one that the converter does not know. Raises `UnknownLayerError`."""
    if length == -1:
        raise UnknownLayerError("lengths that are not known")
    return length if length >= 0 else -1 - length


def lengthened(length: int, more: int) -> int:
    """Return a length and more; what the converter does not know stays so."""
    made = recalled(length) + more
    return forgotten(made) if length < 0 else made


def fitted(first: int, second: int) -> int:
    """Return the length of two tensors that are computed with element by element: one that the converter
    does not know is the other's, unless that is 1.
    """
    if first < 0 and second < 0:
        return min(first, second)
    if first < 0 or second < 0:
        known = max(first, second)
        return known if known > 1 else min(first, second)
    return max(first, second)


def joined(first: int, second: int) -> int:
    """Return the length of two tensors along an axis that they are not joined along: if either is known, it
    is that.
    """
    return max(first, second) if max(first, second) >= 0 else min(first, second)


def _repeat(call: Call, value: Value, axis: int, factor: int, name: str) -> Value:
    shape = value.shape
    wide = (*shape[: axis + 1], 1, *shape[axis + 1 :])
    expanded = call.op(
        EXPAND_DIMS, [value, call.integers(axis + 1, f"{name}/ExpandDims/dim")], wide, f"{name}/ExpandDims"
    )
    times = [factor if place == axis + 1 else 1 for place in range(len(wide))]
    tiled = (*wide[: axis + 1], factor, *wide[axis + 2 :])
    made = call.op(TILE, [expanded, call.integers(times, f"{name}/Tile/multiples")], tiled, f"{name}/Tile")
    told = call.op(SHAPE, [value], (len(shape),), f"{name}/Shape", {"out_type": 2}, INT32)
    bounds = [
        call.integers([n], f"{name}/strided_slice/{part}")
        for n, part in ((0, "stack"), (axis, "stack_1"), (1, "stack_2"))
    ]
    front = call.op(
        STRIDED_SLICE, [told, *bounds], (axis,), f"{name}/strided_slice", {"begin_mask": 1}, INT32
    )
    length = recalled(shape[axis]) * factor
    parts = [
        front,
        call.integers([length], f"{name}/concat/values_1"),
        call.integers(list(shape[axis + 1 :]), f"{name}/strided_slice_2"),
    ]
    target = call.op(CONCATENATION, parts, (len(shape),), f"{name}/concat", {"axis": 0}, INT32)
    call.network.ghosts.append(integers(factor, ()))
    call.network.ghosts += [integers([number], ()) for number in (0, 1, axis, axis + 1)]
    return call.op(RESHAPE, [made, target], (*shape[:axis], length, *shape[axis + 1 :]), f"{name}/Reshape_1")
