"""Finds what the converter knows as one by its parts: GELUs, and factors before convolutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from modelinspect.analyses.plan.tflite.forms import CONV
from modelinspect.analyses.plan.tflite.graph import Constant, Network, Op, Value
from modelinspect.analyses.plan.tflite.node_constants import read_constant
from modelinspect.analyses.plan.tflite.nodes import Node, UnknownNodeError
from modelinspect.analyses.plan.tflite.operators import GELU, MUL
from modelinspect.analyses.plan.tflite.saved_graph import Ref, Step


@dataclass(frozen=True, slots=True)
class Gelu:
    """A GELU that was found: what it is given, and the names of its parts as its location has them."""

    given: Ref
    names: tuple[str, ...]

    def lowered(self, node: Node) -> Value:
        """Add it as one operator."""
        output = node.op(GELU, [node.given], node.given.shape)
        output.location = self.names
        return output


@dataclass(slots=True)
class Gelus:
    """The GELUs by their last step, and the steps that are parts of one."""

    wholes: dict[int, Gelu] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)


def gelus(steps: Sequence[Step]) -> Gelus:
    """Find every x/2 * erfc(-x * sqrt(1/2))."""
    uses = Counter(id(ref.node) for step in steps for ref in step.inputs)
    found = Gelus()
    for step in steps:
        half, erfc = (_maker(ref) for ref in step.inputs) if step.op == "Mul" and len(step.inputs) == 2 else (None, None)
        if half is None or erfc is None or erfc.op != "Erfc" or half.op != "Mul" or len(half.inputs) != 2:
            continue
        inner = _maker(erfc.inputs[0])
        if inner is None or inner.op != "Mul" or len(inner.inputs) != 2:
            continue
        negative, root, one = _maker(inner.inputs[0]), _maker(inner.inputs[1]), _maker(half.inputs[0])
        if negative is None or negative.op != "Neg" or root is None or one is None:
            continue
        if negative.inputs[0] != half.inputs[1] or not _is(one, 0.5) or not _is(root, 0.5**0.5):
            continue
        if any(uses[id(part)] != 1 for part in (half, erfc, inner, negative)):
            continue
        names = tuple(part.location for part in (step, one, half, negative, root, inner, erfc))
        found.wholes[id(step)] = Gelu(half.inputs[1], names)
        found.parts |= {id(part) for part in (half, erfc, inner, negative)}
    return found


def _maker(ref: Ref) -> Step | None:
    return ref.node if isinstance(ref.node, Step) and ref.output == "0" else None


def _is(step: Step, number: float) -> bool:
    if step.op != "Const":
        return False
    try:
        _, _, elements = read_constant(step.attributes["value"].tensor)
    except UnknownNodeError:
        return False
    return elements is not None and elements.size == 1 and bool(elements.reshape(-1)[0] == np.float32(number))


def scale_convolutions(network: Network) -> None:
    """Let the kernels of convolutions take in a factor that all their inputs are multiplied by."""
    makers = {id(op.output): op for op in network.ops}
    uses = Counter(id(value) for op in network.ops for value in op.inputs)
    uses.update(id(value) for _, value in network.outputs)
    gone: set[int] = set()
    for op in network.ops:
        before = makers.get(id(op.inputs[0])) if op.code == CONV else None
        if before is None or before.code != MUL or before.activation or uses[id(before.output)] != 1:
            continue
        if _scaled(op, before):
            gone.add(id(before))
    network.ops = [op for op in network.ops if id(op) not in gone]


def _scaled(op: Op, before: Op) -> bool:
    given, factor = before.inputs
    weight = op.inputs[1]
    if given is None or factor is None or factor.vector is None or factor.shape or weight is None or weight.constant is None:
        return False
    held = weight.constant
    op.inputs[0] = given
    op.inputs[1] = Value(weight.shape, op.output.location, weight.kind, Constant(held.size, held.values, held.kernel, key=id(op)))
    return True
