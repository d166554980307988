"""Networks whose conversion is known to the byte: those of what the networks of docs/developer/predictions.md
were made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from modelinspect.conversion.network import Network, Op, shares_kernels
from modelinspect.conversion.operators import (
    ADD,
    CONV,
    DEPTHWISE,
    DIV,
    FULLY_CONNECTED,
    MAXIMUM,
    MINIMUM,
    MUL,
    RSQRT,
    SUB,
    TRANSPOSE,
)

_CERTAIN = frozenset(
    {
        "Add",
        "AddV2",
        "AvgPool",
        "BiasAdd",
        "ConcatV2",
        "Conv2D",
        "DepthwiseConv2dNative",
        "Elu",
        "FusedBatchNormV3",
        "MatMul",
        "Max",
        "MaxPool",
        "Maximum",
        "Mean",
        "Mul",
        "Pack",
        "Pad",
        "Relu",
        "Relu6",
        "Reshape",
        "Rsqrt",
        "Selu",
        "Shape",
        "Sigmoid",
        "Softmax",
        "Squeeze",
        "StridedSlice",
        "Sub",
        "Tanh",
    }
)


UNSURE = 40
"""Bytes that names may have more or less where a constant is one from before training, axes change their
order, or a sample is normalized by itself.
"""

_IMAGE = 4
"""The axes of images."""


def doubt(network: Network) -> int:
    """Return the bytes of names that a graph's operators, before they are fused, may have more or less."""
    rank = 2 if any(-1 in value.shape for _, value in network.inputs) else 1
    return UNSURE * sum(2 * _is_fresh(op, rank) + (op.code in (RSQRT, TRANSPOSE)) for op in network.ops)


def is_certain(operations: Set[str], network: Network, *, has_layers: bool = False) -> bool:
    """Return whether the kinds of nodes of a graph, and the operators that it became before they are fused,
    are of what was always predicted to the byte.

    ``has_layers`` means that a configuration of layers was traced: of these networks there were not enough
    with a fixed batch, or that multiply or subtract tensors, or add those of different shapes.
    """
    if not operations <= _CERTAIN or shares_kernels(network):
        return False
    if has_layers and any(_combines(op) for op in network.ops):
        return False
    if has_layers and any(value.shape[:1] != (-1,) for _, value in network.inputs):
        return False
    makers = {id(op.output): op for op in network.ops}
    uses = Counter(id(value) for op in network.ops for value in op.inputs)
    only = {key: maker for key, maker in makers.items() if uses[key] == 1}
    return not any(
        _is_fresh(op) or _follows(op, makers) or _is_rare(op) or _is_scaled(op, only) for op in network.ops
    )


def _combines(op: Op) -> bool:
    """Return whether an operator computes with two tensors, other than adding those of one shape."""
    taken = [value for value in op.inputs if value is not None and value.constant is None]
    is_sum = op.code == ADD and len({value.shape for value in taken}) == 1
    return op.code in (ADD, DIV, MAXIMUM, MINIMUM, MUL, SUB) and len(taken) > 1 and not is_sum


def _is_fresh(op: Op, rank: int = 1) -> bool:
    """Return whether an operator takes zeros or ones that are not its convolution's: before training the
    converter shares these.
    """
    if op.code in (CONV, DEPTHWISE):
        return False
    taken = [value for value in op.inputs if value is not None and len(value.shape) >= rank]
    vectors = [value.constant for value in taken if value.constant is not None and not value.kind]
    return any(constant.is_all(0.0) or constant.is_all(1.0) for constant in vectors)


def _is_rare(op: Op) -> bool:
    """Return whether an operator works on volumes, or is a convolution in groups, dilated, or of several
    outputs for each channel.
    """
    if op.options is not None and max(op.options.number(f"dilation_{axis}_factor") for axis in "hw") > 1:
        return True
    if any(len(value.shape) > _IMAGE for value in op.outputs) or (op.code == CONV and op.version > 1):
        return True
    return op.code == DEPTHWISE and op.options is not None and op.options.number("depth_multiplier") != 1


def _is_scaled(op: Op, makers: dict[int, Op]) -> bool:
    """Return whether a number is added to, or multiplies, what a matrix product takes or makes."""
    maker = makers.get(id(op.inputs[0]))
    if op.code == FULLY_CONNECTED:
        return maker is not None and _takes_number(maker)
    while maker is not None and maker.code == ADD and not _takes_number(maker):
        maker = makers.get(id(maker.inputs[0]))
    return _takes_number(op) and maker is not None and maker.code == FULLY_CONNECTED


def _takes_number(op: Op) -> bool:
    """Return whether an operator computes with each element and one number."""
    if op.code not in (ADD, SUB, MUL, DIV) or len(op.inputs) != 2:
        return False
    return any(value is not None and value.constant is not None and not value.shape for value in op.inputs)


def _follows(op: Op, makers: dict[int, Op]) -> bool:
    """Return whether a normalization follows another."""
    before = makers.get(id(op.inputs[0])) if op.code == MUL and _takes_constant(op) else None
    first = (
        makers.get(id(before.inputs[0]))
        if before is not None and before.code == ADD and _takes_constant(before)
        else None
    )
    return first is not None and first.code == MUL and _takes_constant(first)


def _takes_constant(op: Op) -> bool:
    return len(op.inputs) == 2 and op.inputs[1] is not None and op.inputs[1].constant is not None
