"""Number the operators and options of schema.fbs, and count what windows make of lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.tree import Node

ADD, AVERAGE_POOL, CONCATENATION, LOGISTIC, MAX_POOL, MUL, RELU, RELU6, RESHAPE = 0, 1, 2, 14, 17, 18, 19, 21, 22
RESIZE_BILINEAR, SOFTMAX, TANH, PAD, TRANSPOSE, MEAN, SUB, DIV, STRIDED_SLICE, EXP, CAST = 23, 25, 28, 34, 39, 40, 41, 42, 45, 47, 53
MAXIMUM, MINIMUM, GREATER, TRANSPOSE_CONV, EXPAND_DIMS, SUM, SHAPE, RSQRT, REDUCE_PROD, REDUCE_MAX, PACK = (
    55,
    57,
    61,
    67,
    70,
    74,
    77,
    76,
    81,
    82,
    83,
)
RESIZE_NEAREST, LEAKY_RELU, SQUARED_DIFFERENCE, ELU, HARD_SWISH, SELECT_V2, BATCH_MATMUL, GELU = 97, 98, 99, 111, 117, 123, 126, 150
PRELU, LOG, SQRT, NEG, ABS, SQUARE, SQUEEZE, BATCH_TO_SPACE, SPACE_TO_BATCH = 54, 73, 75, 59, 101, 92, 43, 37, 38
SPLIT, LESS, SLICE, LOGICAL_AND, REVERSE, WHILE, FILL, TILE = 49, 58, 65, 86, 105, 119, 94, 69
"""BuiltinOperator in schema.fbs."""

_OPTIONS: Mapping[int, tuple[str, int]] = {
    ADD: ("AddOptions", 11),
    AVERAGE_POOL: ("Pool2DOptions", 5),
    BATCH_MATMUL: ("BatchMatMulOptions", 101),
    CONCATENATION: ("ConcatenationOptions", 10),
    DIV: ("DivOptions", 29),
    EXP: ("ExpOptions", 33),
    EXPAND_DIMS: ("ExpandDimsOptions", 52),
    GELU: ("GeluOptions", 116),
    HARD_SWISH: ("HardSwishOptions", 91),
    LEAKY_RELU: ("LeakyReluOptions", 75),
    MAX_POOL: ("Pool2DOptions", 5),
    MEAN: ("ReducerOptions", 27),
    MUL: ("MulOptions", 21),
    NEG: ("NegOptions", 42),
    PACK: ("PackOptions", 59),
    PAD: ("PadOptions", 22),
    REDUCE_MAX: ("ReducerOptions", 27),
    REDUCE_PROD: ("ReducerOptions", 27),
    RESIZE_BILINEAR: ("ResizeBilinearOptions", 15),
    RESIZE_NEAREST: ("ResizeNearestNeighborOptions", 74),
    SELECT_V2: ("SelectV2Options", 98),
    SHAPE: ("ShapeOptions", 55),
    SOFTMAX: ("SoftmaxOptions", 9),
    STRIDED_SLICE: ("StridedSliceOptions", 32),
    SUB: ("SubOptions", 28),
    SUM: ("ReducerOptions", 27),
    SPLIT: ("SplitOptions", 35),
    TRANSPOSE_CONV: ("TransposeConvOptions", 49),
    WHILE: ("WhileOptions", 93),
    3: ("Conv2DOptions", 1),
    4: ("DepthwiseConv2DOptions", 2),
    9: ("FullyConnectedOptions", 8),
    36: ("GatherOptions", 23),
    44: ("UnidirectionalSequenceLSTMOptions", 71),
}
"""The table of an operator's options and its number in the union BuiltinOptions; the others have none when the converter writes them."""


def options(code: int, values: Mapping[str, int | float | bool]) -> tuple[Node | None, int]:
    """Return the options of an operator."""
    table = _OPTIONS.get(code)
    return (None, 0) if table is None else (Node(table[0], {**values}), table[1])


def slid(length: int, window: int, stride: int, *, same: bool, dilation: int = 1) -> int:
    """Return the length after a window slid over it."""
    reach = (window - 1) * dilation + 1
    return ceil(length / stride) if same else max((length - reach) // stride + 1, 1)


def same_padding(shape: Sequence[int], weight: Sequence[int], node: Node, sides: NDArray[np.float32]) -> bool:
    """Return whether zeros at the sides are what a convolution that keeps lengths would add itself."""
    if sides.shape != (4, 2) or sides[0].any() or sides[3].any() or len(shape) != 4 or len(weight) != 4:
        return False
    for axis, name in ((1, "h"), (2, "w")):
        stride, dilation = max(node.number(f"stride_{name}"), 1), max(node.number(f"dilation_{name}_factor", 1), 1)
        reach = (weight[axis] - 1) * dilation + 1
        total = max((ceil(shape[axis] / stride) - 1) * stride + reach - shape[axis], 0)
        if tuple(sides[axis]) != (total // 2, total - total // 2):
            return False
    return True
