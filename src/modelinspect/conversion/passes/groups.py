"""The order in which the converters of TensorFlow before 2.21 have the constants of a network, by what makes
them.
"""

from __future__ import annotations

from enum import IntEnum

from modelinspect.conversion.network import Network, Op, Value
from modelinspect.conversion.operators import CONV, DEPTHWISE, FULLY_CONNECTED, TRANSPOSE_CONV
from modelinspect.core.records import dataclass


class Group(IntEnum):
    """When a constant is made, the last first."""

    FOLDED, ACTIVATED, BIASES, SCALARS, SCALED, CONVOLUTIONS, PRODUCTS, OTHERS, LAST = range(9)


@dataclass(frozen=True, slots=True)
class Placed:
    """A constant: when it is made, which input of which operator it is."""

    group: Group
    number: int
    op: Op
    value: Value


def constants_in_order(network: Network) -> list[Placed]:
    """Return the constants as the converter has them: what was made last is first, the first operator's at
    the end.
    """
    found: list[tuple[int, int, int, Op, Value]] = []
    for place, op in enumerate(network.ops):
        for number, value in enumerate(op.inputs):
            if value is not None and value.constant is not None:
                group = Group.LAST if not place else _group(op, number, value)
                found.append(
                    (group, place if group in (Group.FOLDED, Group.LAST) else -place, number, op, value)
                )
    return [
        Placed(Group(group), number, op, value)
        for group, _, number, op, value in sorted(found, key=lambda each: each[:3])
    ]


def _group(op: Op, number: int, value: Value) -> Group:
    """Return when the converter makes a constant."""
    if op.code == FULLY_CONNECTED:
        weight = op.inputs[1]
        if weight is not None and len(weight.location) > 1:
            return Group.FOLDED
    if op.code not in (CONV, DEPTHWISE, FULLY_CONNECTED, TRANSPOSE_CONV):
        return Group.SCALARS if not value.shape and not value.kind else Group.OTHERS
    if number == 2 and (op.inputs[1] is None or value.location != op.inputs[1].location):
        return Group.ACTIVATED if op.activation else Group.BIASES
    if op.code == FULLY_CONNECTED:
        return Group.PRODUCTS
    return Group.SCALED if len(value.location) > 1 else Group.CONVOLUTIONS
