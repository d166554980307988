"""What the converter makes of each operation of TensorFlow's graph."""

from __future__ import annotations

from math import prod

import numpy as np

from modelinspect.conversion.forms.rewrite import numbers as whole_numbers
from modelinspect.conversion.graph.activations import ACTIVATIONS, MOST_AXES
from modelinspect.conversion.graph.arrays import ARRAYS
from modelinspect.conversion.graph.images import IMAGES
from modelinspect.conversion.graph.node import KINDS, Held, Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.graph.products import PRODUCTS, broadcast
from modelinspect.conversion.graph.ratios import RATIOS
from modelinspect.conversion.graph.shapes import SHAPES, told_shape
from modelinspect.conversion.network import Shape, Value, fused
from modelinspect.conversion.operators import (
    ADD,
    BOOL,
    CAST,
    DIV,
    EQUAL,
    EXPAND_DIMS,
    FLOAT32,
    FLOOR_DIV,
    FULLY_CONNECTED,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    LOGICAL_AND,
    LOGICAL_OR,
    MAXIMUM,
    MEAN,
    MINIMUM,
    MUL,
    NOT_EQUAL,
    PAD,
    POW,
    REDUCE_ALL,
    REDUCE_ANY,
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_PROD,
    RESHAPE,
    SELECT,
    SELECT_V2,
    SQUARE,
    SQUARED_DIFFERENCE,
    SQUEEZE,
    SUB,
    SUM,
    TILE,
    TRANSPOSE,
    lengthened,
    recalled,
)
from modelinspect.formats.graph.data_types import data_type

_COMMUTES = frozenset((ADD, MUL, MAXIMUM, MINIMUM))
_NEUTRAL = {ADD: 0.0, SUB: 0.0, MUL: 1.0}


_POWERS = frozenset((1.0, 0.5, 0.0, -0.5, -1.0))
"""Powers that may become other operators."""


def _is_neutral(code: int, value: Value) -> bool:
    """Return whether a constant changes nothing."""
    return code in _NEUTRAL and value.constant is not None and value.constant.is_all(_NEUTRAL[code])


def _binary(code: int, kind: int | None = None) -> Rule:
    def rule(node: Node) -> Item:
        if code == ADD:
            _read_bias(node)
        first, second = node.value(0), node.value(1)
        if code in _COMMUTES and first.constant is not None:
            first, second = second, first
        if first.kind != second.kind:
            raise UnknownNodeError("takes two types")
        if code == MUL and second.constant is not None and second.constant.is_all(0.0):
            nothing = next((item for item in node.inputs if isinstance(item, Held)), None)
            if nothing is not None and nothing.shape == first.shape and -1 not in first.shape:
                return nothing
        shape = first.shape
        if not node.network.is_rough:
            shape = broadcast(shape, second.shape)
        elif len(shape) == len(second.shape):
            shape = tuple(max(pair, key=abs) for pair in zip(shape, second.shape, strict=True))
        if code == SQUARED_DIFFERENCE and len(shape) > MOST_AXES:
            return node.op(SQUARE, [node.op(SUB, [first, second], shape)], shape)
        if first.constant is None and shape == first.shape and _is_neutral(code, second):
            return first
        return node.op(code, [first, second], shape, None, first.kind if kind is None else kind)

    return rule


def _read_bias(node: Node) -> None:
    """Read what is added to several last axes of a reshaped product: the product takes it as its bias."""
    first, second = node.inputs
    reshape = node.makers.get(id(first))
    product = None if reshape is None else node.makers.get(id(reshape.inputs[0]))
    if reshape is None or product is None or not isinstance(second, Held):
        return
    if reshape.code == RESHAPE and product.code == FULLY_CONNECTED:
        second.array(node.reading)


def _divided(node: Node) -> Item:
    """Divide; the passes make a product of what a constant divides."""
    first, second = node.value(0), node.value(1)
    if second.constant is not None and (second.vector is None or second.kind != FLOAT32):
        raise UnknownNodeError("divides by too large a constant")
    return node.op(DIV, [first, second], broadcast(first.shape, second.shape))


def _power(node: Node) -> Item:
    """Raise to a power; the converter knows squares as products."""
    given, number = node.value(0), node.value(1)
    if number.vector is None or number.vector.size != 1 or number.vector.item() in _POWERS:
        raise UnknownNodeError("another power")
    if number.vector.item() != 2.0:
        return node.op(POW, [given, number], given.shape)
    output = node.op(MUL, [given, given], given.shape)
    output.location = fused(node.location, number.location)
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
    output = node.op(RESHAPE, [given, target], shape, None, given.kind)
    node.network.ops[-1].is_reshape = node.step.op == "Reshape"
    return output


def _reshape(node: Node) -> Item:
    given, target = node.given, node.inputs[1]
    if isinstance(target, Value):
        output = node.op(RESHAPE, [given, target], told_shape(node, len(node.given.shape)), None, given.kind)
        node.network.ops[-1].is_reshape = True
        return output
    lengths = [int(length) for length in target.array(node.reading).reshape(-1)]
    shape = _resolved(given.shape, lengths)
    value = target.value(node.reading)
    return reshaped(node, shape, Value(value.shape, (), value.kind, value.constant))


def _resolved(given: Shape, lengths: list[int]) -> Shape:
    """Return the shape that a list of lengths gives: -1 is what is left over."""
    if lengths.count(-1) > 1:
        raise UnknownNodeError("reshapes to lengths that are not known")
    given = tuple(recalled(length) if length < -1 else length for length in given)
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


def _squeeze(node: Node) -> Item:
    given = node.given
    axes = {axis % len(given.shape) for axis in node.integers("squeeze_dims")}
    if not axes:
        axes = {axis for axis, length in enumerate(given.shape) if length == 1}
    shape = tuple(length for axis, length in enumerate(given.shape) if axis not in axes)
    if any(given.shape[axis] != 1 for axis in axes) or shape.count(-1) > 1:
        raise UnknownNodeError("leaves out lengths that are not 1")
    if min(shape) < -1:
        made = node.op(SQUEEZE, [given], shape, {}, given.kind)
        options = node.network.ops[-1].options
        if options is not None:
            options.set(squeeze_dims=whole_numbers(*sorted(axes)))
        return made
    return reshaped(node, shape, node.constant(list(shape)))


def _expand(node: Node) -> Item:
    given, axis = node.given, node.held(1)
    number = int(axis.array(node.reading).reshape(-1)[0])
    shape = list(given.shape)
    shape.insert(number if number >= 0 else len(shape) + 1 + number, 1)
    if -1 not in shape:
        node.keep_late(axis)
        return node.op(RESHAPE, [given, node.constant(shape)], tuple(shape), None, given.kind)
    return node.op(EXPAND_DIMS, [given, axis.value(node.reading)], tuple(shape), None, given.kind)


def _cast(node: Node) -> Item:
    name = data_type(node.step.attributes["DstT"].type).name if "DstT" in node.step.attributes else ""
    if name not in KINDS:
        raise UnknownNodeError("a cast to another type")
    given = node.given
    return given if given.kind == KINDS[name] else node.op(CAST, [given], given.shape, None, KINDS[name])


def _select(node: Node) -> Item:
    values = [node.value(place) for place in range(3)]
    shape = broadcast(broadcast(values[0].shape, values[1].shape), values[2].shape)
    is_plain = -1 not in shape and all(value.shape == shape for value in values)
    return node.op(SELECT if is_plain else SELECT_V2, values, shape, None, values[1].kind)


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
    node.network.ops[-1].is_traced = True
    return output


def _pad(node: Node) -> Item:
    given, sides = node.given, node.held(1)
    numbers = sides.array(node.reading).astype(np.int64).reshape(-1, 2)
    if len(numbers) != len(given.shape):
        raise UnknownNodeError("pads another shape")
    shape = tuple(
        -1 if length == -1 else lengthened(length, int(side.sum()))
        for length, side in zip(given.shape, numbers, strict=True)
    )
    return node.op(PAD, [given, sides.value(node.reading)], shape, None, given.kind)


def _tile(node: Node) -> Item:
    if isinstance(node.inputs[1], Value):
        given = node.value(0)
        return node.op(TILE, [given, node.computed(1)], told_shape(node, 0), None, given.kind)
    given, times = node.given, node.held(1)
    numbers = [int(number) for number in times.array(node.reading).reshape(-1)]
    if len(numbers) != len(given.shape) or numbers[0] != 1:
        raise UnknownNodeError("repeats samples")
    if set(numbers) == {1}:
        node.forget(times)
        return given
    shape = tuple(length * number for length, number in zip(given.shape, numbers, strict=True))
    return node.op(TILE, [given, times.value(node.reading)], (given.shape[0], *shape[1:]), None, given.kind)


RULES: dict[str, Rule] = {
    "Add": _binary(ADD),
    "AddV2": _binary(ADD),
    "BiasAdd": _bias,
    "Cast": _cast,
    "ExpandDims": _expand,
    "Greater": _binary(GREATER, BOOL),
    "Equal": _binary(EQUAL, BOOL),
    "FloorDiv": _binary(FLOOR_DIV),
    "GreaterEqual": _binary(GREATER_EQUAL, BOOL),
    "Less": _binary(LESS, BOOL),
    "LessEqual": _binary(LESS_EQUAL, BOOL),
    "LogicalAnd": _binary(LOGICAL_AND, BOOL),
    "LogicalOr": _binary(LOGICAL_OR, BOOL),
    "NotEqual": _binary(NOT_EQUAL, BOOL),
    "All": _reduced(REDUCE_ALL),
    "Any": _reduced(REDUCE_ANY),
    "Min": _reduced(REDUCE_MIN),
    "Max": _reduced(REDUCE_MAX),
    "Maximum": _binary(MAXIMUM),
    "Mean": _reduced(MEAN),
    "Minimum": _binary(MINIMUM),
    "Mul": _binary(MUL),
    "Pad": _pad,
    "Pow": _power,
    "Prod": _reduced(REDUCE_PROD),
    "RealDiv": _divided,
    "Reshape": _reshape,
    "SelectV2": _select,
    "SquaredDifference": _binary(SQUARED_DIFFERENCE),
    "Squeeze": _squeeze,
    "Sub": _binary(SUB),
    "Sum": _reduced(SUM),
    "Tile": _tile,
    "Transpose": _transpose,
    **ACTIVATIONS,
    **ARRAYS,
    **IMAGES,
    **PRODUCTS,
    **RATIOS,
    **SHAPES,
}
"""The rule of each operation."""
