"""Rewrite operators as the converter does while they are still TensorFlow's.

Source: tensorflow/compiler/mlir/tensorflow/transforms/canonicalize.td. What a rule makes has the locations of
all that it took; constants that are one already have none.
"""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.network import MARK, Location, Network, Op, Value, floats, fused
from modelinspect.conversion.operators import ADD, DIV, LOG, MUL, RSQRT, SLICE, SQRT, STRIDED_SLICE, options
from modelinspect.conversion.passes.unused import drop_dead


def rewrite_early(network: Network) -> None:
    """Multiply with reciprocals instead of dividing, take the logarithm of a sum with one in its own way, and
    mark what reshapes a reshape.
    """
    drop_dead(network)
    makers = {id(op.output): op for op in network.ops}
    shaping = {id(op.output) for op in network.ops if op.is_reshape}
    ops: list[Op] = []
    whole: dict[int, Value] = {}
    given_out = {id(value) for _, value in network.outputs}
    for op in network.ops:
        op.inputs = [value if value is None else whole.get(id(value), value) for value in op.inputs]
        if op.inputs and op.inputs[0] is not None and _is_whole(op) and id(op.output) not in given_out:
            whole[id(op.output)] = op.inputs[0]
            continue
        maker = makers.get(id(op.inputs[-1])) if op.inputs else None
        # reshapes between which a sum with zeros is dropped later are joined without their names
        op.is_reshape = op.is_reshape and id(op.inputs[0]) in shaping
        if op.code == DIV:
            ops += _divide(op, maker)
        elif op.code == LOG and maker is not None and maker.code == ADD:
            ops += _add_one(op, maker)
        ops.append(op)
    network.ops = ops
    drop_dead(network)


def _is_whole(op: Op) -> bool:
    """Return whether a slice takes all that it is given, without masks."""
    if op.code not in (SLICE, STRIDED_SLICE) or op.inputs[0] is None or len(op.inputs) < 3:
        return False
    given, (begin, end, *steps) = op.inputs[0].shape, (_numbers(value) for value in op.inputs[1:])
    if begin is None or end is None or len(begin) != len(given) or any(begin):
        return False
    if op.code == SLICE:  # of which -1 is the rest of an axis
        return all(last in (-1, length) for last, length in zip(end, given, strict=True))
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    is_masked = op.options is not None and any(op.options.number(mask) for mask in masks)
    return not is_masked and end == list(given) and steps == [[1] * len(given)]


def _numbers(value: Value | None) -> list[int] | None:
    """Return the elements of a constant of whole numbers."""
    held = None if value is None or value.constant is None else value.constant.values
    return None if held is None else [int(number) for number in held.reshape(-1)]


def _divide(op: Op, maker: Op | None) -> list[Op]:
    """Multiply with the reciprocal of a constant or of a root; return the operators before that."""
    divisor = op.inputs[1]
    before: list[Op] = []
    if divisor is None:
        return []
    if divisor.vector is not None:
        location = fused(op.output.location, _own(divisor))
        with np.errstate(all="ignore"):
            factor = floats(np.float32(1) / divisor.vector.reshape(divisor.shape), location)
    elif maker is not None and maker.code == SQRT:
        location = fused(op.output.location, divisor.location)
        factor = Value(divisor.shape, location, divisor.kind)
        before = [Op(RSQRT, [maker.inputs[0]], [factor], *options(RSQRT, {}))]
    else:
        return []
    op.code, op.inputs[1], op.output.location = MUL, factor, location
    op.options, op.number = options(MUL, {})
    return before


def _add_one(op: Op, maker: Op) -> list[Op]:
    """Write log(x + 1), which is one operation of TensorFlow, as two operators again."""
    for given, one in ((0, 1), (1, 0)):
        number = maker.inputs[one]
        if number is None or number.shape or number.constant is None or not number.constant.is_all(1.0):
            continue
        location = fused(op.output.location, _own(number), maker.output.location)
        moved = Value(maker.output.shape, location, maker.output.kind)
        inputs = [maker.inputs[given], floats(np.ones((), np.float32), location)]
        op.inputs, op.output.location = [moved], location
        return [Op(ADD, inputs, [moved], *options(ADD, {}))]
    return []


def _own(value: Value) -> Location:
    """Return the location of a constant, which it has lost where others equal it."""
    return tuple(name for name in value.location if name.partition(MARK)[0])
