"""Let kernels and biases take in the numbers that their inputs or outputs are computed with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from modelinspect.conversion.network import Array, Constant, Location, Network, Op, Value, floats
from modelinspect.conversion.operators import ADD, CONV, DEPTHWISE, MUL, SUB, TRANSPOSE_CONV
from modelinspect.measure.kept import Factors, Layout

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
        while len(gone) < _MOST_SCALED:
            before = makers.get(id(op.inputs[0]))
            if before is None or before.activation or uses[id(before.output)] != 1:
                break
            rule = _moved if before.code in (ADD, SUB) else _scaled if before.code == MUL else None
            if rule is None or not rule(op, before):
                break
            gone.add(id(before))
    network.ops = [op for op in network.ops if id(op) not in gone]


def _moved(op: Op, before: Op) -> bool:
    """Let a bias take in a number that is added before a convolution that pads nothing."""
    given, number = before.inputs
    bias = op.inputs[2]
    if given is None or number is None or bias is None or not _is_one_number(number, given, before):
        return False
    if op.options is None or not op.options.number("padding"):
        return False
    channels = bias.shape[-1]
    location = op.output.location
    op.inputs[0] = given
    op.inputs[2] = Value(bias.shape, location, bias.kind, Constant(4 * channels, None, key=("moved", id(op))))
    return True


def _is_one_number(value: Value, given: Value, before: Op) -> bool:
    """Return whether an operator computes with each element and one number, of any rank."""
    numbers = value.vector
    return numbers is not None and numbers.size == 1 and given.shape == before.output.shape


def _scaled(op: Op, before: Op) -> bool:
    given, factor = before.inputs
    weight = op.inputs[1]
    if (
        given is None
        or factor is None
        or not _is_one_number(factor, given, before)
        or weight is None
        or weight.constant is None
    ):
        return False
    held = weight.constant
    op.inputs[0] = given
    one = factor.vector
    scaled = (
        None
        if held.kernel is None or one is None
        else held.kernel.times(Factors(cols=np.full(held.kernel.layout.cols, one.item(), np.float32)))
    )
    op.inputs[1] = Value(
        weight.shape, op.output.location, weight.kind, Constant(held.size, held.values, scaled, key=id(op))
    )
    return True


def scale_kernel(op: Op, factors: Array, location: Location | None = None) -> None:
    """Let the kernel of a convolution or matrix product take in a factor for each of its outputs.

    Its location stays where none is given; that of a kernel that others take too is the operator's again.
    """
    weight = op.inputs[1]
    if weight is None:
        return
    held = weight.constant
    if held is not None:
        found = None if held.kernel is None else _of_outputs(held.kernel.layout, factors, op.code)
        kernel = held.kernel if held.kernel is None or found is None else held.kernel.times(found)
        # of two kernels, even all zeros are not the same: they keep the signs of the weights
        held = Constant(held.size, held.values, kernel, key=key_after(weight, "product", factors))
    own = weight.location or op.output.location
    op.inputs[1] = Value(weight.shape, own if location is None else location, weight.kind, held)


def _of_outputs(layout: Layout, factors: Array, code: int) -> Factors | None:
    """Return the factors of outputs as factors of rows or columns; None where the layout has them in another
    way.
    """
    if code == TRANSPOSE_CONV:  # height, width and outputs are its rows
        if layout.rows % len(factors):
            return None
        return Factors(rows=np.tile(factors, layout.rows // len(factors)))
    if layout.channel == 0:
        return Factors(rows=factors) if layout.rows == len(factors) else None
    return Factors(cols=factors) if layout.cols == len(factors) else None


def changed(bias: Value, change: Callable[[Array], Array]) -> Array | None:
    """Return the elements of a bias after a change; None of one that took in sums before the product."""
    return None if bias.vector is None else change(bias.vector)


def bias_of(elements: Array | None, count: int, location: Location, key: object) -> Value:
    """Return the bias of a matrix product, whose elements need not be known; equal ones have the same
    ``key``.
    """
    if elements is not None:
        return floats(elements, location)
    return Value((count,), location, 0, Constant(4 * count, None, key=key))


def key_after(value: Value | None, change: str, numbers: Array | None) -> object:
    """Return what is the same of constants that equal ones became by the same change."""
    held = None if value is None or value.constant is None else value.constant.key
    return change, held, None if numbers is None else numbers.tobytes()
