"""Let the kernels of convolutions take in the factor of a rescaling before them."""

from __future__ import annotations

from collections import Counter

from modelinspect.conversion.network import Constant, Network, Op, Value
from modelinspect.conversion.operators import CONV, DEPTHWISE, MUL

_MOST_SCALED = 64


def scale_convolutions(network: Network) -> None:
    """Let the kernels of convolutions take in a factor that all their inputs are multiplied by."""
    makers = {id(op.output): op for op in network.ops}
    uses = Counter(id(value) for op in network.ops for value in op.inputs)
    uses.update(id(value) for _, value in network.outputs)
    gone: set[int] = set()
    for op in network.ops:
        before = makers.get(id(op.inputs[0])) if op.code in (CONV, DEPTHWISE) else None
        if before is None or before.code != MUL or before.activation or uses[id(before.output)] != 1:
            continue
        if len(gone) < _MOST_SCALED and _scaled(op, before):
            gone.add(id(before))
    network.ops = [op for op in network.ops if id(op) not in gone]


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
