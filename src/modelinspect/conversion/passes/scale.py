"""Let the kernels and biases of convolutions take in the numbers of a rescaling before them."""

from __future__ import annotations

from collections import Counter

from modelinspect.conversion.network import Constant, Network, Op, Value
from modelinspect.conversion.operators import ADD, CONV, DEPTHWISE, MUL, SUB

_MOST_SCALED = 64


def scale_convolutions(network: Network) -> None:
    """Let the kernels of convolutions take in a factor that all their inputs are multiplied by."""
    makers = {id(op.output): op for op in network.ops}
    uses = Counter(id(value) for op in network.ops for value in op.inputs)
    uses.update(id(value) for _, value in network.outputs)
    gone: set[int] = set()
    for op in network.ops:
        if op.code not in (CONV, DEPTHWISE):
            continue
        for rule, codes in ((_moved, (ADD, SUB)), (_scaled, (MUL,))):
            before = makers.get(id(op.inputs[0]))
            if (
                before is None
                or before.code not in codes
                or before.activation
                or uses[id(before.output)] != 1
            ):
                continue
            if len(gone) < _MOST_SCALED and rule(op, before):
                gone.add(id(before))
    network.ops = [op for op in network.ops if id(op) not in gone]


def _moved(op: Op, before: Op) -> bool:
    """Let a bias take in a number that is added before a convolution that pads nothing."""
    given, number = before.inputs
    bias = op.inputs[2]
    if given is None or number is None or number.vector is None or number.shape or bias is None:
        return False
    if op.options is None or not op.options.number("padding"):
        return False
    channels = bias.shape[-1]
    location = op.output.location
    op.inputs[0] = given
    op.inputs[2] = Value(bias.shape, location, bias.kind, Constant(4 * channels, None, key=("moved", id(op))))
    return True


def _scaled(op: Op, before: Op) -> bool:
    given, factor = before.inputs
    weight = op.inputs[1]
    if (
        given is None
        or factor is None
        or factor.vector is None
        or factor.shape
        or weight is None
        or weight.constant is None
    ):
        return False
    held = weight.constant
    op.inputs[0] = given
    op.inputs[1] = Value(
        weight.shape,
        op.output.location,
        weight.kind,
        Constant(held.size, held.values, held.kernel, key=id(op)),
    )
    return True
