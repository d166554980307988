"""What the converter makes of operations that take shapes, slice, join, split and fill."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from modelinspect.conversion.graph.constants import strided
from modelinspect.conversion.graph.node import KINDS, Held, Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.graph.slices import slice_with_axes
from modelinspect.conversion.network import Shape
from modelinspect.conversion.operators import (
    BOOL,
    CONCATENATION,
    FILL,
    INT32,
    INT64,
    PACK,
    RESHAPE,
    SHAPE,
    SPLIT,
    STRIDED_SLICE,
    forgotten,
    joined,
    recalled,
)
from modelinspect.formats.graph.data_types import data_type


def told_shape(node: Node, rank: int) -> Shape:
    """Return the shape that the graph itself describes what a node makes. Raises `UnknownNodeError`."""
    told = node.told_shape()
    if told is None:
        raise UnknownNodeError("has an output shape that is not in the graph")
    return told


def _shape(node: Node) -> Item:
    shape = node.value(0).shape
    kind = (
        KINDS.get(data_type(node.step.attributes["out_type"].type).name, INT32)
        if "out_type" in node.step.attributes
        else INT32
    )
    if kind not in (INT32, INT64):
        raise UnknownNodeError("a shape of another type")
    if -1 not in shape:
        return Held((len(shape),), kind, node.location, None, np.array(shape))
    return node.op(SHAPE, [node.given], (len(shape),), {"out_type": 2 if kind == INT32 else 4}, kind)


def _slice(node: Node) -> Item:
    begin, end, step = (
        [int(number) for number in node.held(place).array(node.reading).reshape(-1)] for place in (1, 2, 3)
    )
    given = node.given
    if node.number("new_axis_mask") or node.number("ellipsis_mask"):
        return slice_with_axes(node, begin, end, step)
    maker = node.makers.get(id(given))
    if maker is not None and maker.code == SHAPE and maker.inputs[0] is not None:
        part = strided(node, np.array(maker.inputs[0].shape), begin, end, step)
        if (np.asarray(part) >= 0).all():
            for place in (1, 2, 3):
                node.forget(node.held(place))
            return Held(np.asarray(part).shape, given.kind, node.location, None, np.asarray(part))
    shape = (
        strided(node, np.empty([_sliced(length) for length in given.shape], np.bool_), begin, end, step).shape
        if prod(map(_sliced, given.shape)) < 1 << 24
        else ()
    )
    names = ("begin_mask", "end_mask", "shrink_axis_mask")
    kept, dropped = node.number("begin_mask") & node.number("end_mask"), node.number("shrink_axis_mask")
    left = [axis for axis in range(len(given.shape)) if not dropped >> axis & 1]
    if len(shape) == len(left):
        shape = tuple(
            _unless_known(given.shape[axis], length, is_whole=bool(kept >> axis & 1) or axis >= len(begin))
            for axis, length in zip(left, shape, strict=True)
        )
    settings: dict[str, int | float | bool] = {name: node.number(name) for name in names}
    more = len(given.shape) - len(begin)
    inputs = [given]
    if more <= 0:
        inputs += (node.value(place) for place in (1, 2, 3))
    else:  # the converter writes out the axes that a slice leaves as they are
        rest = sum(1 << axis for axis in range(len(begin), len(given.shape)))
        settings |= {name: int(settings[name]) | rest for name in names[:2]}
        rest_ends = [max(length, 1) for length in given.shape[-more:]]
        written = (begin + [0] * more, end + rest_ends, step + [1] * more)
        for place in (1, 2, 3):
            node.forget(node.held(place))
        inputs = [given, *(node.constant(numbers) for numbers in written)]
        shape = _rest_kept(node, given.shape, shape, len(begin))
    return node.op(STRIDED_SLICE, inputs, shape, settings, given.kind)


def _sliced(length: int) -> int:
    """Return the length of an axis to be sliced; 1 stands for one that is not known."""
    return max(length, 1) if length >= -1 else recalled(length)


def _unless_known(given: int, length: int, *, is_whole: bool) -> int:
    """Return the length of a slice, which the converter does not know where it does not know the axis."""
    if given < -1:
        return forgotten(length)
    return -1 if given == -1 and is_whole else length


def _rest_kept(node: Node, given: Shape, shape: Shape, count: int) -> Shape:
    """Return the shape of a slice of the first axes: the others, also of unknown lengths, are kept."""
    rest = given[count:]
    return (*shape[: len(shape) - len(rest)], *rest)


def _pack(node: Node) -> Item:
    values = [node.value(place) for place in range(len(node.inputs))]
    axis = node.number("axis")
    shape = list(values[0].shape)
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, len(values))
    if len(values) == 1 and -1 not in shape:
        return node.op(RESHAPE, [values[0], node.constant(shape)], tuple(shape), None, values[0].kind)
    return node.op(PACK, values, tuple(shape), {"values_count": len(values), "axis": axis}, values[0].kind)


def _concat(node: Node) -> Item:
    axis = node.whole_numbers(len(node.inputs) - 1)[0]
    node.keep_late(node.held(len(node.inputs) - 1))
    values = [node.value(place) for place in range(len(node.inputs) - 1)]
    rank = len(values[0].shape)
    if not -rank <= axis < rank or any(len(value.shape) != rank for value in values):
        raise UnknownNodeError("joins another axis")
    lengths = [value.shape[axis] for value in values]
    shape = [reduce(joined, each) for each in zip(*(value.shape for value in values), strict=True)]
    shape[axis] = -1
    if -1 not in lengths:
        whole = sum(map(recalled, lengths))
        shape[axis] = whole if min(lengths) >= 0 else forgotten(whole)
    return node.op(CONCATENATION, values, tuple(shape), {"axis": axis}, values[0].kind)


def _fill(node: Node) -> Item:
    """Fill a shape that is computed."""
    value = node.held(1).value(node.reading)
    shape = told_shape(node, 0)
    made = node.op(FILL, [node.computed(0), value], shape, {}, value.kind)
    if value.kind == BOOL:
        node.network.ops[-1].version = 2
    return made


def _split(node: Node) -> Item:
    """Split into equal parts along one axis."""
    given, axis, count = node.computed(1), node.held(0), node.number("num_split")
    where = int(axis.array(node.reading).reshape(-1)[0]) % len(given.shape)
    if count < 1 or given.shape[where] < 1 or given.shape[where] % count:
        raise UnknownNodeError("splits lengths that are not known")
    shape = tuple(length // count if place == where else length for place, length in enumerate(given.shape))
    inputs = [axis.value(node.reading), given]
    return node.several(SPLIT, inputs, [shape] * count, {"num_splits": count}, [given.kind] * count)


SHAPES: dict[str, Rule] = {
    "ConcatV2": _concat,
    "Fill": _fill,
    "Pack": _pack,
    "Shape": _shape,
    "Split": _split,
    "StridedSlice": _slice,
}
"""The rules of operations on shapes."""
