"""Move exchanges of axes after what is computed with each element: sums, ReLU and the hyperbolic tangent
while operators are still TensorFlow's, and constants that are added when they are those of TFLite.

Source: tensorflow/compiler/mlir/tensorflow/transforms/layout_optimization.cc. Of the operations that TFLite
has, sums, ReLU and the hyperbolic tangent are marked as agnostic of the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from modelinspect.conversion.network import Location, Network, Op, Value, floats, fused
from modelinspect.conversion.operators import (
    ADD,
    CEIL,
    DEPTH_TO_SPACE,
    EXP,
    EXPAND_DIMS,
    FLOAT32,
    FLOOR,
    LOGISTIC,
    NEG,
    PRELU,
    RELU,
    RELU6,
    RELU_N1_TO_1,
    RESHAPE,
    ROUND,
    SQRT,
    SQUARE,
    SQUEEZE,
    TANH,
    TRANSPOSE,
)
from modelinspect.conversion.passes.move import PAIRED, Moves, axes_of
from modelinspect.conversion.passes.unused import drop_dead

_AGNOSTIC = frozenset((ADD, RELU, TANH))
ELEMENT_WISE = frozenset(
    (CEIL, EXP, FLOOR, LOGISTIC, NEG, RELU, RELU6, RELU_N1_TO_1, ROUND, SQRT, SQUARE, TANH)
)
"""What computes with each element."""
_MOVES = frozenset((DEPTH_TO_SPACE, EXPAND_DIMS, RESHAPE, SQUEEZE, TRANSPOSE))
"""What only puts elements elsewhere."""


def move_exchanges(network: Network) -> None:
    """Move exchanges of axes to the beginning, where some take back others, and then to the end."""
    if any(op.code == TRANSPOSE for op in network.ops):
        _move_to_beginning(network)
        _move_to_end(network)
        drop_dead(network)


def _move_to_beginning(network: Network) -> None:
    """Let an operator that only exchanges of axes take what it makes take exchanged axes itself."""
    makers = {id(value): op for op in network.ops for value in op.outputs}
    users = network.users()
    given_out = {id(value) for _, value in network.outputs}
    before: dict[int, list[Op]] = {}
    gone: set[int] = set()
    work = [makers.get(id(op.inputs[0])) for op in network.ops if op.code == TRANSPOSE]
    while work:
        op = work.pop()
        if op is None or op.code not in (*_AGNOSTIC, PRELU) or id(op.output) in given_out:
            continue
        turns = [each for each in users.get(id(op.output), ()) if id(each) not in gone]
        axes = axes_of(turns[0]) if turns and turns[0].is_traced else None
        order = None if axes is None else turns[0].inputs[1]
        if (
            axes is None
            or order is None
            or any(each.code != TRANSPOSE or axes_of(each) != axes for each in turns)
        ):
            continue
        if op.code == PRELU:  # the sum that it ends with is moved, and back
            _lead(network, order)
            for each in turns:
                each.output.location = op.output.location[:1]
            continue
        if any(value is None or not _can_turn(value, axes) for value in op.inputs):
            continue
        _lead(network, order)
        made = Value(turns[0].output.shape, op.output.location, op.output.kind)
        for each in turns:
            gone.add(id(each))
            given_out |= {id(made)} if id(each.output) in given_out else set()
            network.outputs = [
                (name, made if value is each.output else value) for name, value in network.outputs
            ]
            for user in users.get(id(each.output), ()):
                user.inputs = [made if value is each.output else value for value in user.inputs]
                users.setdefault(id(made), []).append(user)
        op.outputs, makers[id(made)], spare = [made], op, list(turns)
        for place, value in enumerate(op.inputs):
            if value is None:
                continue
            if value.constant is not None and value.constant.values is not None:
                op.inputs[place] = floats(np.transpose(value.constant.values, axes).astype("<f4"), ())
                continue
            shape = tuple(value.shape[axis] for axis in axes)
            # one of those after it is put before it where that needs no other type
            is_reused = spare and tuple(made.shape[axis] for axis in axes) == value.shape
            location = spare.pop(0).output.location if is_reused else made.location[:1]
            turned = Value(shape, location, value.kind)
            turn = Op(TRANSPOSE, [value, order], [turned], turns[0].options, turns[0].number, is_traced=True)
            op.inputs[place], makers[id(turned)] = turned, turn
            users[id(value)] = [*(each for each in users.get(id(value), ()) if each is not op), turn]
            users[id(turned)] = [op]
            before.setdefault(id(op), []).append(turn)
            work.append(makers.get(id(value)))
    network.ops = [one for op in network.ops for one in (*before.get(id(op), ()), op) if id(one) not in gone]
    _take_back(network, makers)


def _can_turn(value: Value, axes: Sequence[int]) -> bool:
    """Return whether axes of a tensor can be exchanged: a constant is computed at once."""
    is_held = value.constant is None or (value.constant.values is not None and value.kind == FLOAT32)
    return len(value.shape) == len(axes) and is_held


def _take_back(network: Network, makers: Mapping[int, Op]) -> None:
    """Leave out exchanges of axes that take back the one before."""
    same: dict[int, Value] = {}
    for op in network.ops:
        op.inputs = [value if value is None else same.get(id(value), value) for value in op.inputs]
        inner = makers.get(id(op.inputs[0])) if op.code == TRANSPOSE else None
        if inner is None or inner.code != TRANSPOSE or inner.inputs[0] is None:
            continue
        first, second = axes_of(inner), axes_of(op)
        if first is None or second is None or len(first) != len(second):
            continue
        if [first[axis] for axis in second] == sorted(first):
            same[id(op.output)] = inner.inputs[0]
    network.outputs = [(name, same.get(id(value), value)) for name, value in network.outputs]


def _lead(network: Network, constant: Value) -> None:
    """Move a constant to where the function begins."""
    network.beginning = [constant, *(value for value in network.beginning if value is not constant)]


def _move_to_end(network: Network) -> None:
    """Let an operator whose inputs all have their axes exchanged alike take them as they were."""
    makers = {id(value): op for op in network.ops for value in op.outputs}
    uses = Counter(id(value) for op in network.ops for value in op.inputs)
    uses.update(id(value) for _, value in network.outputs)
    ops: list[Op] = []
    for op in network.ops:
        ops.append(op)
        turns = [makers.get(id(value)) for value in op.inputs] if op.code in _AGNOSTIC else []
        exchanges = [turn for turn in turns if turn is not None and turn.code == TRANSPOSE]
        axes = axes_of(exchanges[0]) if exchanges and len(exchanges) == len(turns) else None
        outer, order = op.output, exchanges[0].inputs[1] if exchanges else None
        if axes is None or order is None or len(axes) != len(outer.shape):
            continue
        if any(axes_of(each) != axes for each in exchanges):
            continue
        _lead(network, order)
        lengths = dict(zip(axes, outer.shape, strict=True))
        inner = Value(tuple(lengths[axis] for axis in sorted(axes)), outer.location, outer.kind)
        first = exchanges[0]
        # the last that nothing else takes is put after the operator, else there is a new one
        for each in exchanges:
            outer.location = each.output.location if uses[id(each.output)] == 1 else outer.location
        op.inputs, op.outputs = [each.inputs[0] for each in exchanges], [inner]
        ops.append(Op(TRANSPOSE, [inner, order], [outer], first.options, first.number))
        makers[id(outer)] = ops[-1]
    network.ops = ops


def compute_before_exchange(moves: Moves, op: Op) -> bool:
    """Compute with two tensors, or with a constant, before axes are exchanged
    (push_transpose_through_ewise.cc).
    """
    if op.code not in PAIRED or len(op.inputs) != 2 or None in op.inputs:
        return False
    inner = [moves.makers.get(id(value)) for value in op.inputs]
    orders = [axes_of(each) if each is not None and each.code == TRANSPOSE else None for each in inner]
    if orders[0] is not None and orders[1] is not None:
        return _compute_with_both(moves, op, orders)
    place = 0 if orders[0] is not None else 1
    order, other = orders[place], op.inputs[1 - place]
    turn = None if order is None else moves.maker(op.inputs[place])
    if turn is None or order is None or other is None or turn.output.shape != op.output.shape:
        return False
    if other.constant is None or len(other.shape) not in (0, len(order)) or turn.inputs[0] is None:
        return False
    held = other.constant.values
    if prod(other.shape) > 1:
        if held is None:
            return False
        other = floats(np.transpose(held, np.argsort(order)).astype("<f4"), other.location)
    _swap(moves, op, turn, [turn.inputs[0], other], op.output.location)
    return True


def _compute_with_both(moves: Moves, op: Op, orders: Sequence[list[int] | None]) -> bool:
    first, second = (moves.makers[id(value)] for value in op.inputs)
    if first is second or orders[0] != orders[1] or first.inputs[0] is None or second.inputs[0] is None:
        return False
    early = next(each for each in moves.network.ops if each is first or each is second)
    late = second if early is first else first  # both inputs are there once the later exchange is reached
    if moves.uses[id(late.output)] != 1 or first.output.shape != op.output.shape:
        return False
    given = [first.inputs[0], second.inputs[0]]
    moves.uses[id(early.output)] -= 1
    if moves.uses[id(early.output)]:
        moves.uses[id(early.inputs[0])] += 1
    else:
        moves.gone.add(id(early))
    moves.takers.setdefault(id(early.inputs[0]), []).append(late)
    _swap(moves, op, late, given, op.output.location)
    return True


def _swap(moves: Moves, op: Op, mover: Op, given: Sequence[Value | None], location: Location) -> Value:
    """Let an operator take what is given before elements are put elsewhere, and not after it."""
    first = given[0]
    rest = mover.inputs[1:]
    shape = () if first is None else first.shape
    inner = Value(mover.inputs[0].shape if mover.inputs[0] is not None else shape, location, op.output.kind)
    code, options, number, version = mover.code, mover.options, mover.number, mover.version
    mover.code, mover.inputs, mover.outputs = op.code, list(given), [inner]
    mover.options, mover.number, mover.version = op.options, op.number, op.version
    op.code, op.inputs, op.options, op.number, op.version = code, [inner, *rest], options, number, version
    moves.makers[id(inner)], moves.uses[id(inner)], moves.takers[id(inner)] = mover, 1, [op]
    return inner


def compute_before_moving(moves: Moves, op: Op) -> bool:
    """Compute with each element before elements are put elsewhere (optimize_patterns.td,
    ReorderElementwiseAndMoveOperations).
    """
    mover = moves.maker(op.inputs[0]) if op.code in ELEMENT_WISE else None
    if mover is None or mover.code not in _MOVES or mover.inputs[0] is None:
        return False
    moved, shape = mover.output.location, mover.inputs[1] if len(mover.inputs) > 1 else None
    op.output.location = location = fused(op.output.location, moved)
    _swap(moves, op, mover, [mover.inputs[0]], location)
    if shape is not None and shape.constant is not None and shape.location == moved:
        # what adds or drops axes becomes a reshape only now
        op.inputs[1] = Value(shape.shape, location, shape.kind, shape.constant)
    return True
