"""Convolutions that pad themselves where the padding before them is one that they know.

Source: tensorflow/compiler/mlir/lite/transforms/optimize_pass.cc.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.conversion.network import Op, Value, fused
from modelinspect.conversion.operators import (
    CONCATENATION,
    CONV,
    DEPTHWISE,
    PAD,
    RESHAPE,
    SHAPE,
    same_padding,
)
from modelinspect.conversion.passes.move import Moves


def take_padding(moves: Moves, op: Op) -> bool:
    """Let a convolution pad where the padding before it is the one that it knows."""
    pad = moves.maker(op.inputs[0]) if op.code in (CONV, DEPTHWISE) else None
    if (
        pad is None
        or pad.code != PAD
        or pad.inputs[0] is None
        or pad.inputs[1] is None
        or op.options is None
        or op.inputs[1] is None
        or _has_unknown_lengths(pad.inputs[0], moves.maker(pad.inputs[0]), moves.makers)
    ):
        return False
    sides = pad.inputs[1].vector
    if (
        op.options.number("padding") != 1
        or sides is None
        or not same_padding(pad.inputs[0].shape, op.inputs[1].shape, op.options, sides)
    ):
        return False
    location = fused(op.output.location, pad.inputs[1].location, pad.output.location)
    bias = op.inputs[2]
    if bias is not None and bias.location:
        bias.location = fused(bias.location, pad.inputs[1].location, pad.output.location)
    op.options.set(padding=0)
    moves.give(op, pad.inputs[0])
    op.output.location = location
    moves.gone.add(id(pad))
    return True


def _has_unknown_lengths(value: Value, maker: Op | None, makers: Mapping[int, Op]) -> bool:
    """Return whether the converter does not know all lengths of a value, given what makes it.

    Of a shape that is joined from the lengths of several axes it knows none of these, and of one that is
    taken from an array as it is none at all.
    """
    if any(length < 0 for length in value.shape[1:]):
        return True
    target = maker.inputs[1] if maker is not None and maker.code == RESHAPE else None
    joined = makers.get(id(target)) if target is not None else None
    if joined is not None and joined.code == SHAPE:
        return True
    if joined is None or joined.code != CONCATENATION:
        return False
    front = joined.inputs[0]
    return front is not None and front.constant is None and front.shape != (1,)
