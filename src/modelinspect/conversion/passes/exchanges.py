"""Move exchanges of axes after what is computed with each element: sums, ReLU and the hyperbolic tangent
while operators are still TensorFlow's, and constants that are added when they are those of TFLite.

Source: tensorflow/compiler/mlir/tensorflow/transforms/layout_optimization.cc. Of the operations that TFLite
has, sums, ReLU and the hyperbolic tangent are marked as agnostic of the layout.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from modelinspect.conversion.network import Network, Op, Value, floats, fused
from modelinspect.conversion.operators import (
    ADD,
    CEIL,
    DEPTH_TO_SPACE,
    EXP,
    EXPAND_DIMS,
    FLOOR,
    LOGISTIC,
    NEG,
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
from modelinspect.conversion.passes.move import Moves, axes_of
from modelinspect.conversion.passes.unused import drop_dead

_AGNOSTIC = frozenset((ADD, RELU, TANH))
_ELEMENT_WISE = frozenset(
    (CEIL, EXP, FLOOR, LOGISTIC, NEG, RELU, RELU6, RELU_N1_TO_1, ROUND, SQRT, SQUARE, TANH)
)
"""What computes with each element."""
_MOVES = frozenset((DEPTH_TO_SPACE, EXPAND_DIMS, RESHAPE, SQUEEZE, TRANSPOSE))
"""What only puts elements elsewhere."""


def move_exchanges(network: Network) -> None:
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
        outer = op.output
        if axes is None or len(axes) != len(outer.shape) or any(axes_of(each) != axes for each in exchanges):
            continue
        lengths = dict(zip(axes, outer.shape, strict=True))
        inner = Value(tuple(lengths[axis] for axis in sorted(axes)), outer.location, outer.kind)
        first = exchanges[0]
        # the last that nothing else takes is put after the operator, else there is a new one
        for each in exchanges:
            outer.location = each.output.location if uses[id(each.output)] == 1 else outer.location
        op.inputs, op.outputs = [each.inputs[0] for each in exchanges], [inner]
        ops.append(Op(TRANSPOSE, [inner, first.inputs[1]], [outer], first.options, first.number))
        makers[id(outer)] = ops[-1]
    network.ops = ops
    drop_dead(network)


def add_before_exchange(moves: Moves, op: Op) -> bool:
    """Add a constant before axes are exchanged, and not after it (push_transpose_through_ewise.cc)."""
    inner = moves.maker(op.inputs[0]) if op.code == ADD and len(op.inputs) == 2 else None
    order = axes_of(inner) if inner is not None and inner.code == TRANSPOSE else None
    other = op.inputs[1] if order is not None else None
    if inner is None or order is None or other is None or other.constant is None:
        return False
    given, held = inner.inputs[0], other.constant.values
    if given is None or held is None or len(other.shape) != len(order):
        return False
    before = floats(np.transpose(held, np.argsort(order)).astype("<f4"), other.location)
    made = Value(given.shape, op.output.location)
    swapped = inner.code, [made, inner.inputs[1]], inner.options, inner.number, inner.version
    inner.code, inner.inputs, inner.outputs = op.code, [given, before], [made]
    inner.options, inner.number, inner.version = op.options, op.number, op.version
    op.code, op.inputs, op.options, op.number, op.version = swapped
    moves.makers[id(made)], moves.uses[id(made)], moves.takers[id(made)] = inner, 1, [op]
    return True


def compute_before_moving(moves: Moves, op: Op) -> bool:
    """Compute with each element before elements are put elsewhere (optimize_patterns.td,
    ReorderElementwiseAndMoveOperations).
    """
    mover = moves.maker(op.inputs[0]) if op.code in _ELEMENT_WISE else None
    if mover is None or mover.code not in _MOVES or mover.inputs[0] is None:
        return False
    given, moved, outer = mover.inputs[0], mover.output, op.output
    location = fused(outer.location, moved.location)
    inner = Value(given.shape, location, outer.kind)
    outer.location = location
    swapped = mover.code, [inner, *mover.inputs[1:]], mover.options, mover.number, mover.version
    shape = swapped[1][1] if len(swapped[1]) > 1 else None
    if shape is not None and shape.constant is not None and shape.location == moved.location:
        # what adds or drops axes becomes a reshape only now
        swapped[1][1] = Value(shape.shape, location, shape.kind, shape.constant)
    mover.code, mover.inputs, mover.outputs = op.code, [given], [inner]
    mover.options, mover.number, mover.version = op.options, op.number, op.version
    op.code, op.inputs, op.options, op.number, op.version = swapped
    moves.makers[id(inner)], moves.uses[id(inner)], moves.takers[id(inner)] = mover, 1, [op]
    return True
