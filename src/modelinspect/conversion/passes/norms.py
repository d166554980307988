"""Squares of differences, normalizations by a root and sums with two constants: one operator each.

Source: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td.
"""

from __future__ import annotations

from math import prod

import numpy as np

from modelinspect.conversion.network import Constant, Location, Op, Value, floats, fused
from modelinspect.conversion.operators import (
    ADD,
    FLOAT32,
    L2_NORMALIZATION,
    MAXIMUM,
    MUL,
    RSQRT,
    SQUARE,
    SQUARED_DIFFERENCE,
    SUB,
    SUM,
    options,
)
from modelinspect.conversion.passes.move import Moves

_MOST_AXES = 4
"""The axes of the largest tensors whose differences the operator squares."""
_LARGEST = 1e-3
"""Only smaller numbers may be added to the sum."""


def join_difference(moves: Moves, op: Op) -> bool:
    """Make one operator of the square of a difference, which others may take too."""
    inner = moves.makers.get(id(op.inputs[0])) if op.code == SQUARE else None
    if inner is None or inner.code != SUB or inner.activation or id(inner) in moves.gone:
        return False
    location = fused(op.output.location, inner.output.location)
    if len(op.output.shape) > _MOST_AXES:  # the joined operation becomes two operators again
        if inner.output.location == location or moves.uses[id(inner.output)] != 1:
            return False
        op.output.location = inner.output.location = location
        return True
    op.output.location = location
    op.code, op.inputs = SQUARED_DIFFERENCE, [*inner.inputs]
    op.options, op.number = options(SQUARED_DIFFERENCE, {})
    moves.leave(op, inner)
    return True


def join_sums(moves: Moves, op: Op) -> bool:
    """Add one constant where two are added, one after the other."""
    inner = moves.makers.get(id(op.inputs[0])) if op.code == ADD and not op.activation else None
    if inner is None or inner.code != ADD or inner.activation or id(inner) in moves.gone:
        return False
    first, second = inner.inputs[1], op.inputs[1]
    if (
        op.output.kind != FLOAT32
        or first is None
        or second is None
        or first.constant is None
        or second.constant is None
    ):
        return False
    if moves.uses[id(inner.output)] != 1 or inner.output.shape != op.output.shape:
        return False
    taken = (op.output, first, inner.output, second)
    location = fused(*(value.location for value in taken))
    op.inputs[1] = _sum(first, second, location)
    op.output.location = location
    moves.give(op, inner.inputs[0])
    moves.leave(op, inner)
    return True


def _sum(first: Value, second: Value, location: Location) -> Value:
    shape = np.broadcast_shapes(first.shape, second.shape)
    one, other = first.vector, second.vector
    if one is not None and other is not None:
        return floats(one.reshape(first.shape) + other.reshape(second.shape), location)
    keys = [value.constant.key if value.constant is not None else None for value in (first, second)]
    key = None if None in keys else ("sum", *keys)
    return Value(shape, location, FLOAT32, Constant(4 * prod(shape), None, key=key))


def join_normalization(moves: Moves, op: Op) -> bool:
    """Make one operator of x * rsqrt(sum(square(x))) along the last axis; a small number may be added to the
    sum, or be its least value.
    """
    if op.code != MUL or op.activation or len(op.inputs) != 2:
        return False
    x = op.inputs[0]
    root = moves.makers.get(id(op.inputs[1]))
    total = moves.makers.get(id(root.inputs[0])) if root is not None and root.code == RSQRT else None
    if x is None or root is None or total is None:
        return False
    parts = [total.output, root.output]
    if total.code in (ADD, MAXIMUM):
        if not _is_small(total.inputs[1]) or total.activation or total.inputs[1] is None:
            return False
        parts.insert(0, total.inputs[1])
        total = moves.makers.get(id(total.inputs[0]))
        parts.insert(0, total.output if total is not None else x)
    square = moves.makers.get(id(total.inputs[0])) if total is not None and total.code == SUM else None
    if total is None or square is None or square.code != SQUARE or square.inputs[0] is not x:
        return False
    axis = total.inputs[1]
    if (
        axis is None
        or not _is_last(axis, x)
        or total.options is None
        or not total.options.number("keep_dims")
    ):
        return False
    # a constant that equals others has an empty name here
    names = (each.location or ("",) for each in (op.output, square.output, axis, *parts))
    op.output.location = fused(*names)
    op.code, op.inputs = L2_NORMALIZATION, [x]
    op.options, op.number = options(L2_NORMALIZATION, {})
    moves.uses[id(root.output)] -= 1
    if not moves.uses[id(root.output)]:
        moves.gone.add(id(root))
    return True


def _is_small(value: Value | None) -> bool:
    numbers = None if value is None else value.vector
    return numbers is not None and numbers.size == 1 and float(numbers.reshape(-1)[0]) < _LARGEST


def _is_last(axis: Value, given: Value) -> bool:
    numbers = axis.vector
    return (
        numbers is not None
        and numbers.size == 1
        and int(numbers.reshape(-1)[0]) in (-1, len(given.shape) - 1)
    )


JOINED = (join_difference, join_normalization)
"""The rules, in the order in which they are tried."""
