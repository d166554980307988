"""Activations that are written by their parts: a value times its hard sigmoid, and limits of zero and six.

Source: tensorflow/compiler/mlir/lite/transforms/optimize_patterns.td.
"""

from __future__ import annotations

from modelinspect.conversion.network import Op, Value, fused
from modelinspect.conversion.operators import ADD, HARD_SWISH, MAXIMUM, MINIMUM, MUL, RELU, RELU6, options
from modelinspect.conversion.passes.move import Moves

_MOVED, _SHARE = 3.0, 1 / 6


def join_hard_swish(moves: Moves, op: Op) -> bool:
    """Make one operator of x * (relu6(x + 3) / 6), and of (x * relu6(x + 3)) / 6."""
    if op.code != MUL or op.activation or None in op.inputs:
        return False
    for first, second in ((0, 1), (1, 0)):
        x, other = op.inputs[first], op.inputs[second]
        if x is None or other is None:
            continue
        if _is(other, _SHARE):
            found = _gated(moves, moves.maker(x))
            if found is not None:
                return _join(moves, op, *found)
        inner = moves.maker(other)
        if inner is None or inner.code != MUL or inner.activation or not _is(inner.inputs[1], _SHARE):
            continue
        parts = _hard_sigmoid(moves, inner.inputs[0], x)
        if parts is not None and moves.uses[id(inner.output)] == 1:
            return _join(moves, op, x, (*parts, inner))
    return False


def _is(value: Value | None, number: float) -> bool:
    return (
        value is not None
        and value.constant is not None
        and value.constant.size == 4
        and value.vector is not None
        and abs(float(value.vector.reshape(-1)[0]) - number) < 1e-6
    )


def _hard_sigmoid(moves: Moves, value: Value | None, x: Value) -> tuple[Op, Op] | None:
    """Return the addition and the ReLU of relu6(x + 3), which nothing else takes."""
    limited = moves.maker(value)
    moved = moves.maker(limited.inputs[0]) if limited is not None and limited.code == RELU6 else None
    if limited is None or moved is None or moved.code != ADD or moved.activation:
        return None
    if moved.inputs[0] is not x or not _is(moved.inputs[1], _MOVED):
        return None
    is_alone = moves.uses[id(limited.output)] == 1 and moves.uses[id(moved.output)] == 1
    return (limited, moved) if is_alone else None


def _gated(moves: Moves, inner: Op | None) -> tuple[Value, tuple[Op, ...]] | None:
    """Return x and the operators of x * relu6(x + 3)."""
    if inner is None or inner.code != MUL or inner.activation or moves.uses[id(inner.output)] != 1:
        return None
    for x, gate in ((inner.inputs[0], inner.inputs[1]), (inner.inputs[1], inner.inputs[0])):
        parts = _hard_sigmoid(moves, gate, x) if x is not None else None
        if x is not None and parts is not None:
            return x, (*parts, inner)
    return None


def _join(moves: Moves, op: Op, x: Value, parts: tuple[Op, ...]) -> bool:
    limited, moved, last = parts
    three = moved.inputs[1]
    op.output.location = fused(
        op.output.location,
        three.location if three is not None else (),
        limited.output.location,
        moved.output.location,
        last.output.location,
    )
    op.code, op.inputs = HARD_SWISH, [x]
    op.options, op.number = options(HARD_SWISH, {})
    moves.gone.update(id(part) for part in parts)
    return True


def clip_below(_: Moves, op: Op) -> bool:
    """Write the larger of a value and zero as a ReLU."""
    other = op.inputs[1] if op.code == MAXIMUM and len(op.inputs) == 2 else None
    if other is None or other.constant is None or other.shape or not other.constant.is_all(0.0):
        return False
    op.code, op.inputs, op.options, op.number = RELU, op.inputs[:1], None, 0
    return True


def clip_to_six(moves: Moves, op: Op) -> bool:
    """Write a ReLU of the smaller of a value and six as a ReLU6."""
    maker = moves.maker(op.inputs[0]) if op.code == RELU else None
    if maker is None or maker.code != MINIMUM or len(maker.inputs) != 2:
        return False
    most = maker.inputs[1]
    if most is None or most.constant is None or most.shape or not most.constant.is_all(6.0):
        return False
    maker.code, maker.inputs, maker.options, maker.number = RELU6, maker.inputs[:1], None, 0
    moves.take_in(maker, op, fused(op.output.location, maker.output.location))
    return True
