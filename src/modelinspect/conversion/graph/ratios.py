"""What the converter makes of ones and zeros in the shape of a tensor, and of divisions that give zero where
the divisor is zero: it writes out how shapes fit.
"""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.graph.activations import MOST_AXES
from modelinspect.conversion.graph.node import Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.graph.products import broadcast
from modelinspect.conversion.network import Shape, Value
from modelinspect.conversion.operators import (
    BOOL,
    BROADCAST_ARGS,
    BROADCAST_TO,
    DIV,
    EQUAL,
    FLOAT32,
    INT32,
    INT64,
    SELECT_V2,
    SHAPE,
    ZEROS_LIKE,
)

_TYPES = {FLOAT32: np.float32, INT32: np.int32, BOOL: np.bool_}


def _shape_of(node: Node, value: Value) -> Value:
    return node.op(SHAPE, [value], (len(value.shape),), {"out_type": 4}, INT64)


def _repeated(node: Node, value: Value, target: Value, shape: Shape) -> Value:
    made = node.op(BROADCAST_TO, [value, target], shape, None, value.kind)
    node.network.ops[-1].version = 2
    return made


def _ones(node: Node) -> Item:
    given = node.given
    if given.kind not in _TYPES or -1 not in given.shape:
        raise UnknownNodeError("fills another shape, or with another type")
    one = node.constant(np.ones((), _TYPES[given.kind]), given.kind)
    return _repeated(node, one, _shape_of(node, given), given.shape)


def _zeros(node: Node) -> Item:
    given = node.given
    return node.op(ZEROS_LIKE, [given], given.shape, {}, given.kind)


def _ratio(node: Node) -> Item:
    """Divide, and choose zero where the divisor is zero."""
    first, second = node.computed(0), node.computed(1)
    shape = broadcast(first.shape, second.shape)
    zero = node.constant(np.float32(0), FLOAT32)
    if len(shape) <= MOST_AXES:
        is_zero = node.op(EQUAL, [second, zero], second.shape, None, BOOL)
        return node.op(SELECT_V2, [is_zero, zero, node.op(DIV, [first, second], shape)], shape)
    if first.shape != second.shape:
        raise UnknownNodeError("divides shapes of more axes that differ")
    none = node.constant(np.zeros(0, np.int64), INT64)
    rank = (len(shape),)
    divisor = _shape_of(node, second)
    target = node.op(BROADCAST_ARGS, [divisor, none], rank, None, INT64)
    wide = [_repeated(node, value, target, shape) for value in (second, zero)]
    is_zero = node.op(EQUAL, wide, shape, None, BOOL)
    target = node.op(BROADCAST_ARGS, [_shape_of(node, first), divisor], rank, None, INT64)
    made = node.op(DIV, [_repeated(node, value, target, shape) for value in (first, second)], shape)
    return node.op(SELECT_V2, [_repeated(node, value, none, shape) for value in (is_zero, zero, made)], shape)


RATIOS: dict[str, Rule] = {"DivNoNan": _ratio, "OnesLike": _ones, "ZerosLike": _zeros}
"""The rules of ones, zeros, and divisions by what may be zero."""
