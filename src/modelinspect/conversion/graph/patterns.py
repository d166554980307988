"""Find what the converter knows as one by its parts: activations and products of tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import pi, prod

import numpy as np

from modelinspect.conversion.graph.constants import read_constant
from modelinspect.conversion.graph.node import Node, UnknownNodeError
from modelinspect.conversion.graph.reader import Ref, Step
from modelinspect.conversion.network import Network, Value, floats, kernel
from modelinspect.conversion.operators import (
    FLOAT32,
    FULLY_CONNECTED,
    GELU,
    HARD_SWISH,
    LOGISTIC,
    PRELU,
    RELU_N1_TO_1,
    RESHAPE,
)
from modelinspect.core.records import dataclass, field
from modelinspect.measure.kept import Layout

_Scalar = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Found:
    """An operator that was found by its parts: what it takes, and the names of its parts as its location has
    them.
    """

    code: int
    taken: tuple[Ref, ...]
    names: tuple[str, ...]
    is_approximate: bool = False

    def lowered(self, node: Node) -> Value:
        """Add it as one operator."""
        inputs: list[Value | None] = [node.given]
        if self.code == PRELU:
            slope = node.held(1)
            if len(slope.shape) != len(node.given.shape) - 1 or slope.tensor is None:
                raise UnknownNodeError("a slope of another rank")
            if prod(slope.shape) == max(slope.shape):  # equal slopes of channels are one constant
                inputs.append(floats(slope.array(node.reading).astype(np.float32), self.names))
            else:
                layout = Layout(prod(slope.shape), 1, None)
                inputs.append(kernel(slope.tensor, layout, slope.shape, self.names))
        settings = {"approximate": True} if self.is_approximate else None
        output = node.op(self.code, inputs, node.given.shape, settings)
        output.location = self.names
        return output


@dataclass(slots=True)
class Patterns:
    """What was found, by the last step of each, and the steps that are parts of it."""

    wholes: dict[int, Found] = field(default_factory=dict)
    parts: set[int] = field(default_factory=set)


def patterns(steps: Sequence[Step]) -> Patterns:
    """Find every GELU and PReLU."""
    uses = Counter(id(ref.node) for step in steps for ref in step.inputs)
    numbers = Counter(number for number in map(_scalar, steps) if number is not None)
    found = Patterns()
    for step in steps:
        match = (
            _gelu(step, numbers)
            or _approximate_gelu(step, numbers)
            or _prelu(step)
            or _hard_swish(step, numbers)
            or _clipped(step, numbers)
            or _logistic(step, numbers)
        )
        if match is None:
            continue
        one, parts = match
        if all(uses[id(part)] == 1 for part in parts):
            found.wholes[id(step)] = one
            found.parts |= {id(part) for part in parts}
    return found


def _gelu(step: Step, numbers: Counter[_Scalar]) -> tuple[Found, list[Step]] | None:
    """Match x/2 * erfc(-x * sqrt(1/2))."""
    half, erfc = _two(step, "Mul")
    one, _ = _two(half, "Mul")
    inner = _only(erfc, "Erfc")
    negative, root = _two(inner, "Mul")
    if (
        half is None
        or erfc is None
        or inner is None
        or one is None
        or root is None
        or negative is None
        or negative.op != "Neg"
    ):
        return None
    if (
        negative.inputs[0] != half.inputs[1]
        or _number(one) != 0.5
        or _number(root) != float(np.float32(0.5**0.5))
    ):
        return None
    names = _names((step, one, half, negative, root, inner, erfc), numbers)
    return Found(GELU, (half.inputs[1],), names), [half, erfc, inner, negative]


def _approximate_gelu(step: Step, numbers: Counter[_Scalar]) -> tuple[Found, list[Step]] | None:
    """Match x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * pow(x, 3))))."""
    half, moved = _two(step, "Mul")
    share, _ = _by_number(half, "Mul", 0.5)
    one, bent = _by_number(moved, "AddV2", 1.0)
    scaled = _only(bent, "Tanh")
    root, total = _by_number(scaled, "Mul", (2 / pi) ** 0.5)
    _, small = _two(total, "AddV2")
    factor, cube = _by_number(small, "Mul", 0.044715)
    _, three = _two(cube, "Pow")
    parts = (step, share, half, three, cube, factor, small, total, root, scaled, bent, one, moved)
    if half is None or total is None or cube is None or three is None or any(part is None for part in parts):
        return None
    x = total.inputs[0]
    if x not in half.inputs or cube.inputs[0] != x or _number(three) != 3.0:
        return None
    names = _names([part for part in parts if part is not None], numbers)
    within = [part for part in (half, moved, bent, scaled, total, small, cube) if part is not None]
    return Found(GELU, (x,), names, is_approximate=True), within


def _by_number(step: Step | None, op: str, number: float) -> tuple[Step | None, Step | None]:
    """Return the constant of one number that a step of an operation takes on either side, and what makes the
    other.
    """
    first, second = _two(step, op)
    if step is None or step.op != op:
        return None, None
    for one, other in ((first, second), (second, first)):
        if one is not None and _number(one) == float(np.float32(number)):
            return one, other
    return None, None


def _hard_swish(step: Step, numbers: Counter[_Scalar]) -> tuple[Found, list[Step]] | None:
    """Match x * relu6(x + 3) / 6."""
    _, share = _two(step, "Mul")
    limited, six = _two(share, "RealDiv")
    moved = _only(limited, "Relu6")
    _, three = _two(moved, "AddV2")
    if share is None or limited is None or six is None or moved is None or three is None:
        return None
    if moved.inputs[0] != step.inputs[0] or _number(three) != 3.0 or _number(six) != 6.0:
        return None
    names = _names((step, three, limited, moved, share, six), numbers)
    return Found(HARD_SWISH, (step.inputs[0],), names), [share, limited, moved]


def _clipped(step: Step, numbers: Counter[_Scalar]) -> tuple[Found, list[Step]] | None:
    """Match the part of x between -1 and 1."""
    for outer, inner, limit in (("Maximum", "Minimum", 1.0), ("Minimum", "Maximum", -1.0)):
        before, last = _two(step, outer)
        _, first = _two(before, inner)
        if before is None or first is None or last is None:
            continue
        if _number(first) == limit and _number(last) == -limit:
            names = _names((step, first, before, last), numbers)
            return Found(RELU_N1_TO_1, (before.inputs[0],), names), [before]
    return None


def _logistic(step: Step, numbers: Counter[_Scalar]) -> tuple[Found, list[Step]] | None:
    """Match 1 / (1 + exp(-x))."""
    over, moved = _by_number(step, "RealDiv", 1.0)
    moved = moved or _only(step, "Reciprocal")
    one, power = _by_number(moved, "AddV2", 1.0)
    negative = _only(power, "Exp")
    if moved is None or one is None or power is None or negative is None:
        return None
    if negative.op != "Neg" or not negative.inputs:
        return None
    if step.op == "RealDiv" and (over is None or _maker(step.inputs[0]) is not over):
        return None
    names = _names((step, *([] if over is None else [over]), negative, power, one, moved), numbers)
    return Found(LOGISTIC, (negative.inputs[0],), names), [moved, power, negative]


def _names(parts: Sequence[Step], numbers: Counter[_Scalar]) -> tuple[str, ...]:
    """Return the names of parts; a constant that others equal has none."""
    shared = [(number := _scalar(part)) is not None and numbers[number] > 1 for part in parts]
    return tuple(dict.fromkeys("" if one else part.location for part, one in zip(parts, shared, strict=True)))


def _prelu(step: Step) -> tuple[Found, list[Step]] | None:
    """Match relu(x) + -slope * relu(-x)."""
    above, scaled = _two(step, "AddV2")
    slope, below = _two(scaled, "Mul")
    negative = _only(below, "Relu")
    if above is None or scaled is None or slope is None or below is None or negative is None:
        return None
    if (
        above.op != "Relu"
        or slope.op != "Neg"
        or negative.op != "Neg"
        or negative.inputs[0] != above.inputs[0]
    ):
        return None
    names = tuple(part.location for part in (step, above, negative, below, scaled))
    return Found(PRELU, (above.inputs[0], slope.inputs[0]), names), [above, scaled, slope, below, negative]


def _two(step: Step | None, op: str) -> tuple[Step | None, Step | None]:
    """Return what makes the two inputs of a step of an operation; None for what is not a step, and where it
    is of another.
    """
    if step is None or step.op != op or len(step.inputs) != 2:
        return None, None
    return _maker(step.inputs[0]), _maker(step.inputs[1])


def _only(step: Step | None, op: str) -> Step | None:
    return _maker(step.inputs[0]) if step is not None and step.op == op and len(step.inputs) == 1 else None


def _maker(ref: Ref) -> Step | None:
    return ref.node if isinstance(ref.node, Step) and ref.output == "0" else None


def _number(step: Step) -> float | None:
    """Return the element of a constant that has one, a float."""
    found = _scalar(step)
    return found[1] if found is not None and found[0] == FLOAT32 else None


def _scalar(step: Step) -> _Scalar | None:
    """Return the type and the element of a constant that has one."""
    if step.op != "Const":
        return None
    try:
        kind, shape, elements = read_constant(step.attributes["value"].tensor)
    except UnknownNodeError:
        return None
    return (kind, float(elements.reshape(-1)[0])) if elements is not None and not shape else None


def keep_dimensions(network: Network) -> None:
    """Multiply whole tensors where all lengths are known: a product needs no reshape before and after it."""
    makers = {id(op.output): op for op in network.ops}
    uses = Counter(id(value) for op in network.ops for value in op.inputs)
    uses.update(id(value) for _, value in network.outputs)
    users, gone = network.users(), set[int]()
    for op in network.ops:
        product = makers.get(id(op.inputs[0])) if op.code == RESHAPE else None
        before = (
            makers.get(id(product.inputs[0]))
            if product is not None and product.code == FULLY_CONNECTED
            else None
        )
        if product is None or before is None or before.code != RESHAPE or uses[id(product.output)] != 1:
            continue
        if [user.code for user in users.get(id(op.output), ())] == [RESHAPE]:  # which are joined first
            continue
        given = before.inputs[0]
        shapes = (given.shape if given is not None else (-1,)), op.output.shape
        if (
            given is None
            or product.options is None
            or -1 in shapes[0]
            or shapes[0][:-1] != shapes[1][:-1]
            or len(shapes[0]) < 3
        ):
            continue
        if (
            shapes[0][-1:] != before.output.shape[-1:]
            or len(before.output.shape) != 2
            or shapes[1][-1:] != product.output.shape[-1:]
        ):
            continue
        product.inputs[0], product.outputs = given, [op.output]
        product.options.set(keep_num_dims=True)
        gone.add(id(op))
        uses[id(before.output)] -= 1
        if not uses[id(before.output)]:  # other products may take the same reshape
            gone.add(id(before))
    network.ops = [op for op in network.ops if id(op) not in gone]
