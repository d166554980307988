"""What the converter makes of each operation of TensorFlow's graph."""

from __future__ import annotations

from math import prod

import numpy as np

from modelinspect.conversion.graph.activations import ACTIVATIONS
from modelinspect.conversion.graph.constants import strided
from modelinspect.conversion.graph.images import IMAGES
from modelinspect.conversion.graph.node import KINDS, Held, Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.graph.products import PRODUCTS, broadcast
from modelinspect.conversion.keras.call import Shape
from modelinspect.conversion.network import Value, floats, fused, kernel
from modelinspect.conversion.operators import (
    ADD,
    BOOL,
    CAST,
    CONCATENATION,
    DIV,
    EXPAND_DIMS,
    FLOAT32,
    GATHER,
    GREATER,
    INT32,
    INT64,
    LESS,
    MAXIMUM,
    MEAN,
    MINIMUM,
    MUL,
    PACK,
    PAD,
    PRELU,
    REDUCE_MAX,
    REDUCE_PROD,
    RESHAPE,
    SELECT_V2,
    SHAPE,
    SQUARED_DIFFERENCE,
    STRIDED_SLICE,
    SUB,
    SUM,
    TILE,
    TRANSPOSE,
)
from modelinspect.formats.graph.data_types import data_type
from modelinspect.measure.kept import Layout

_COMMUTES = frozenset((ADD, MUL, MAXIMUM, MINIMUM))
_NEUTRAL = {ADD: 0.0, SUB: 0.0, MUL: 1.0}


def _is_neutral(code: int, value: Value) -> bool:
    """Return whether a constant changes nothing."""
    return code in _NEUTRAL and value.constant is not None and value.constant.is_all(_NEUTRAL[code])


def _binary(code: int, kind: int | None = None) -> Rule:
    def rule(node: Node) -> Item:
        first, second = node.value(0), node.value(1)
        if code in _COMMUTES and first.constant is not None:
            first, second = second, first
        if first.kind != second.kind:
            raise UnknownNodeError("takes two types")
        shape = broadcast(first.shape, second.shape)
        if first.constant is None and shape == first.shape and _is_neutral(code, second):
            return first
        return node.op(code, [first, second], shape, None, first.kind if kind is None else kind)

    return rule


def _divided(node: Node) -> Item:
    """Divide; what a constant divides is multiplied by its reciprocal."""
    first, second = node.value(0), node.value(1)
    shape = broadcast(first.shape, second.shape)
    if second.constant is None:
        return node.op(DIV, [first, second], shape)
    if second.vector is None or second.kind != FLOAT32:
        raise UnknownNodeError("divides by too large a constant")
    location = fused(node.location, second.location)
    with np.errstate(all="ignore"):
        share = floats(np.float32(1) / second.vector.reshape(second.shape), location)
    output = node.op(MUL, [first, share], shape)
    output.location = location
    return output


def _bias(node: Node) -> Item:
    if node.text("data_format", "NHWC") != "NHWC":
        raise UnknownNodeError("of another data format")
    return node.op(ADD, [node.given, node.value(1)], node.given.shape)


def _reduced(code: int) -> Rule:
    def rule(node: Node) -> Item:
        given, axes = node.given, node.held(1)
        where = {int(axis) % len(given.shape) for axis in axes.array(node.reading).reshape(-1)}
        keep = node.flag("keep_dims")
        shape = tuple(
            1 if axis in where else length
            for axis, length in enumerate(given.shape)
            if keep or axis not in where
        )
        if keep and given.shape == shape:
            return given
        return node.op(code, [given, axes.value(node.reading)], shape, {"keep_dims": keep}, given.kind)

    return rule


def reshaped(node: Node, shape: Shape, target: Value) -> Value:
    """Reshape; what has the shape already is left as it is."""
    given = node.given
    if shape == given.shape and -1 not in shape:  # of an unknown batch the shapes do not say
        return given
    return node.op(RESHAPE, [given, target], shape, None, given.kind)


def _reshape(node: Node) -> Item:
    given, target = node.given, node.inputs[1]
    if isinstance(target, Value):
        shape = _told(node, len(node.given.shape))
        return node.op(RESHAPE, [given, target], shape, None, given.kind)
    lengths = [int(length) for length in target.array(node.reading).reshape(-1)]
    shape = _resolved(given.shape, lengths)
    value = target.value(node.reading)
    return reshaped(node, shape, Value(value.shape, (), value.kind, value.constant))


def _resolved(given: Shape, lengths: list[int]) -> Shape:
    """Return the shape that a list of lengths gives: -1 is what is left over."""
    if lengths.count(-1) > 1:
        raise UnknownNodeError("reshapes to lengths that are not known")
    if -1 not in given:
        rest = prod(length for length in lengths if length >= 0)
        return tuple(length if length >= 0 else prod(given) // max(rest, 1) for length in lengths)
    if -1 not in lengths:
        return tuple(lengths)
    known, told = (
        prod(length for length in given if length >= 0),
        prod(length for length in lengths if length >= 0),
    )
    if given.count(-1) == 1 and known == told:
        return tuple(lengths)
    if given.count(-1) == 1 and known % max(told, 1) == 0:
        return tuple(lengths)
    raise UnknownNodeError("reshapes to lengths that are not known")


def _told(node: Node, rank: int) -> Shape:
    """Return the shape that the graph itself describes what a node makes. Raises `UnknownNodeError`."""
    told = node.told_shape()
    if told is None:
        raise UnknownNodeError("has an output shape that is not in the graph")
    return told


def _squeeze(node: Node) -> Item:
    given = node.given
    axes = {axis % len(given.shape) for axis in node.integers("squeeze_dims")}
    if not axes:
        axes = {axis for axis, length in enumerate(given.shape) if length == 1}
    shape = tuple(length for axis, length in enumerate(given.shape) if axis not in axes)
    if any(given.shape[axis] != 1 for axis in axes) or shape.count(-1) > 1:
        raise UnknownNodeError("leaves out lengths that are not 1")
    return reshaped(node, shape, node.constant(list(shape)))


def _expand(node: Node) -> Item:
    given, axis = node.given, node.held(1)
    number = int(axis.array(node.reading).reshape(-1)[0])
    shape = list(given.shape)
    shape.insert(number if number >= 0 else len(shape) + 1 + number, 1)
    if -1 not in shape:
        node.forget(axis)
        return node.op(RESHAPE, [given, node.constant(shape)], tuple(shape), None, given.kind)
    return node.op(EXPAND_DIMS, [given, axis.value(node.reading)], tuple(shape), None, given.kind)


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
    maker = node.makers.get(id(given))
    if maker is not None and maker.code == SHAPE and maker.inputs[0] is not None:
        part = strided(node, np.array(maker.inputs[0].shape), begin, end, step)
        if -1 not in np.asarray(part):
            for place in (1, 2, 3):
                node.forget(node.held(place))
            return Held(np.asarray(part).shape, given.kind, node.location, None, np.asarray(part))
    shape = (
        strided(node, np.empty([max(length, 1) for length in given.shape], np.bool_), begin, end, step).shape
        if prod(given.shape) < 1 << 24
        else ()
    )
    names = ("begin_mask", "end_mask", "shrink_axis_mask")
    whole = [-1 if length < 0 else None for length in given.shape]
    if any(whole) and len(shape) == len(given.shape):
        kept = node.number("begin_mask") & node.number("end_mask")
        shape = tuple(
            -1 if unknown and (kept >> axis & 1 or axis >= len(begin)) else length
            for axis, (unknown, length) in enumerate(zip(whole, shape, strict=True))
        )
    settings: dict[str, int | float | bool] = {name: node.number(name) for name in names}
    inputs = [given, *(node.value(place) for place in (1, 2, 3))]
    return node.op(STRIDED_SLICE, inputs, shape, settings, given.kind)


def _pack(node: Node) -> Item:
    values = [node.value(place) for place in range(len(node.inputs))]
    axis = node.number("axis")
    shape = list(values[0].shape)
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, len(values))
    return node.op(PACK, values, tuple(shape), {"values_count": len(values), "axis": axis}, values[0].kind)


def _concat(node: Node) -> Item:
    axis = node.whole_numbers(len(node.inputs) - 1)[0]
    values = [node.value(place) for place in range(len(node.inputs) - 1)]
    rank = len(values[0].shape)
    if not -rank <= axis < rank or any(len(value.shape) != rank for value in values):
        raise UnknownNodeError("joins another axis")
    lengths = [value.shape[axis] for value in values]
    shape = list(values[0].shape)
    shape[axis] = -1 if -1 in lengths else sum(lengths)
    return node.op(CONCATENATION, values, tuple(shape), {"axis": axis}, values[0].kind)


def _gather(node: Node) -> Item:
    axis = node.whole_numbers(2)[0] if len(node.inputs) > 2 else 0
    if axis or node.number("batch_dims"):
        raise UnknownNodeError("gathers along another axis")
    index = node.value(1)
    table = node.inputs[0]
    if (
        isinstance(table, Held)
        and table.tensor is not None
        and len(table.shape) == 2
        and table.kind == FLOAT32
    ):
        location = table.location if node.step.op == "GatherV2" else node.location
        value = kernel(table.tensor, Layout(table.shape[0], table.shape[1], None), table.shape, location)
    else:
        value = node.value(0)
    output = node.op(GATHER, [value, index], (*index.shape, *value.shape[1:]), {}, value.kind)
    if node.step.op == "GatherV2":
        output.location = (*output.location, "")
    return output


def _cast(node: Node) -> Item:
    name = data_type(node.step.attributes["DstT"].type).name if "DstT" in node.step.attributes else ""
    if name not in KINDS:
        raise UnknownNodeError("a cast to another type")
    given = node.given
    return given if given.kind == KINDS[name] else node.op(CAST, [given], given.shape, None, KINDS[name])


def _select(node: Node) -> Item:
    values = [node.value(place) for place in range(3)]
    shape = broadcast(broadcast(values[0].shape, values[1].shape), values[2].shape)
    return node.op(SELECT_V2, values, shape, None, values[1].kind)


def _transpose(node: Node) -> Item:
    given, order = node.given, node.held(1)
    axes = [int(axis) % len(given.shape) for axis in order.array(node.reading).reshape(-1)]
    if axes == list(range(len(given.shape))):
        node.forget(order)
        return given
    output = node.op(
        TRANSPOSE,
        [given, order.value(node.reading)],
        tuple(given.shape[axis] for axis in axes),
        None,
        given.kind,
    )
    maker = node.makers.get(id(given))
    if maker is not None and maker.code in (
        ADD,
        MUL,
        SUB,
        PRELU,
    ):  # it is moved before what is computed with elements, and back
        output.location = given.location[:1]
    return output


def _pad(node: Node) -> Item:
    given, sides = node.given, node.held(1)
    numbers = sides.array(node.reading).astype(np.int64).reshape(-1, 2)
    if len(numbers) != len(given.shape):
        raise UnknownNodeError("pads another shape")
    shape = tuple(
        -1 if length < 0 else length + int(side.sum())
        for length, side in zip(given.shape, numbers, strict=True)
    )
    return node.op(PAD, [given, sides.value(node.reading)], shape, None, given.kind)


def _tile(node: Node) -> Item:
    given, times = node.given, node.held(1)
    numbers = [int(number) for number in times.array(node.reading).reshape(-1)]
    if len(numbers) != len(given.shape) or numbers[0] != 1:
        raise UnknownNodeError("repeats samples")
    shape = tuple(length * number for length, number in zip(given.shape, numbers, strict=True))
    return node.op(TILE, [given, times.value(node.reading)], (given.shape[0], *shape[1:]), None, given.kind)


RULES: dict[str, Rule] = {
    "Add": _binary(ADD),
    "AddV2": _binary(ADD),
    "BiasAdd": _bias,
    "Cast": _cast,
    "ConcatV2": _concat,
    "ExpandDims": _expand,
    "GatherV2": _gather,
    "Greater": _binary(GREATER, BOOL),
    "Less": _binary(LESS, BOOL),
    "Max": _reduced(REDUCE_MAX),
    "Maximum": _binary(MAXIMUM),
    "Mean": _reduced(MEAN),
    "Minimum": _binary(MINIMUM),
    "Mul": _binary(MUL),
    "Pack": _pack,
    "Pad": _pad,
    "Prod": _reduced(REDUCE_PROD),
    "RealDiv": _divided,
    "Reshape": _reshape,
    "ResourceGather": _gather,
    "SelectV2": _select,
    "Shape": _shape,
    "SquaredDifference": _binary(SQUARED_DIFFERENCE),
    "Squeeze": _squeeze,
    "StridedSlice": _slice,
    "Sub": _binary(SUB),
    "Sum": _reduced(SUM),
    "Tile": _tile,
    "Transpose": _transpose,
    **ACTIVATIONS,
    **IMAGES,
    **PRODUCTS,
}
"""The rule of each operation."""
