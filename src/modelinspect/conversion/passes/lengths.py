"""Lengths that the converter does not know beside the batch: those after pixels were repeated, and after an
array got the shape of another one.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.conversion.network import Op, Value
from modelinspect.conversion.operators import CONCATENATION, RESHAPE, SHAPE


def has_unknown_lengths(value: Value, maker: Op | None, makers: Mapping[int, Op]) -> bool:
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
