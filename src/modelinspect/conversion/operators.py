"""Look up operators, element types and options in schema.fbs, and count what windows make of lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.tree import Node
from modelinspect.errors import InvariantError
from modelinspect.formats.tflite.schema import schema


def codes(enum: str, names: str) -> tuple[int, ...]:
    """Return the numbers of names in an enum of schema.fbs.

    Raises `KeyError` for a name that it does not have.
    """
    numbers = {name: number for number, name in schema("model").enums[enum].items()}
    return tuple(numbers[name] for name in names.split())


def operator_name(code: int) -> str:
    """Return the name of an operator in schema.fbs; its number where the schema has none."""
    return schema("model").enums["BuiltinOperator"].get(code, f"number {code}")


ADD, AVERAGE_POOL, BATCH_MATMUL, CAST, CONCATENATION, CONV, DENSIFY, DEPTHWISE, DEQUANTIZE, DIV = codes(
    "BuiltinOperator",
    "ADD AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D DENSIFY DEPTHWISE_CONV_2D DEQUANTIZE DIV",
)
ABS, BATCH_TO_SPACE, ELU, EXP, EXPAND_DIMS, FILL, FULLY_CONNECTED, GATHER, GELU, GREATER, HARD_SWISH = codes(
    "BuiltinOperator",
    "ABS BATCH_TO_SPACE_ND ELU EXP EXPAND_DIMS FILL FULLY_CONNECTED GATHER GELU GREATER HARD_SWISH",
)
LEAKY_RELU, LESS, LOG, LOGICAL_AND, LOGISTIC, MAXIMUM, MAX_POOL, MEAN, MINIMUM, MUL, NEG, PACK, PAD, PRELU = (
    codes(
        "BuiltinOperator",
        "LEAKY_RELU LESS LOG LOGICAL_AND LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL NEG PACK PAD PRELU",
    )
)
QUANTIZE, REDUCE_MAX, REDUCE_PROD, RELU, RELU6, RESHAPE, RESIZE_BILINEAR, RESIZE_NEAREST, REVERSE, RSQRT = (
    codes(
        "BuiltinOperator",
        "QUANTIZE REDUCE_MAX REDUCE_PROD RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR"
        " REVERSE_V2 RSQRT",
    )
)
(
    SELECT,
    SELECT_V2,
    SEQUENCE_LSTM,
    SHAPE,
    SLICE,
    SOFTMAX,
    SPACE_TO_BATCH,
    SPLIT,
    SQRT,
    SQUARE,
    SQUARED_DIFFERENCE,
    SQUEEZE,
) = codes(
    "BuiltinOperator",
    "SELECT SELECT_V2 UNIDIRECTIONAL_SEQUENCE_LSTM SHAPE SLICE SOFTMAX SPACE_TO_BATCH_ND SPLIT SQRT SQUARE"
    " SQUARED_DIFFERENCE SQUEEZE",
)
(
    CONV_3D,
    EQUAL,
    FLOOR_DIV,
    GREATER_EQUAL,
    L2_NORMALIZATION,
    LESS_EQUAL,
    LOGICAL_NOT,
    LOGICAL_OR,
    LOG_SOFTMAX,
    NOT_EQUAL,
    POW,
    REDUCE_ALL,
    REDUCE_ANY,
    REDUCE_MIN,
    RELU_N1_TO_1,
    SIN,
    COS,
) = codes(
    "BuiltinOperator",
    "CONV_3D EQUAL FLOOR_DIV GREATER_EQUAL L2_NORMALIZATION LESS_EQUAL LOGICAL_NOT LOGICAL_OR LOG_SOFTMAX"
    " NOT_EQUAL POW REDUCE_ALL REDUCE_ANY REDUCE_MIN RELU_N1_TO_1 SIN COS",
)
(
    ADD_N,
    BROADCAST_ARGS,
    RANDOM_STANDARD_NORMAL,
    ZEROS_LIKE,
    ARG_MAX,
    ARG_MIN,
    BROADCAST_TO,
    CEIL,
    CUMSUM,
    DEPTH_TO_SPACE,
    FLOOR,
    FLOOR_MOD,
    MIRROR_PAD,
    ONE_HOT,
    ROUND,
    SIGN,
    SPACE_TO_DEPTH,
    SPLIT_V,
    TOPK,
    UNPACK,
) = codes(
    "BuiltinOperator",
    "ADD_N BROADCAST_ARGS RANDOM_STANDARD_NORMAL ZEROS_LIKE ARG_MAX ARG_MIN BROADCAST_TO CEIL CUMSUM"
    " DEPTH_TO_SPACE FLOOR FLOOR_MOD MIRROR_PAD ONE_HOT ROUND SIGN SPACE_TO_DEPTH SPLIT_V TOPK_V2 UNPACK",
)
STRIDED_SLICE, SUB, SUM, TANH, TILE, TRANSPOSE, TRANSPOSE_CONV, WHILE = codes(
    "BuiltinOperator", "STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV WHILE"
)
"""The operators that the converter writes, by the names that the rules use."""
BOOL, FLOAT16, FLOAT32, INT8, INT16, INT32, INT64, UINT8 = codes(
    "TensorType", "BOOL FLOAT16 FLOAT32 INT8 INT16 INT32 INT64 UINT8"
)
"""Element types of tensors."""

_OPTIONS: Mapping[int, str] = {
    ADD: "AddOptions",
    ARG_MAX: "ArgMaxOptions",
    ARG_MIN: "ArgMinOptions",
    AVERAGE_POOL: "Pool2DOptions",
    BATCH_MATMUL: "BatchMatMulOptions",
    CONCATENATION: "ConcatenationOptions",
    CONV: "Conv2DOptions",
    CONV_3D: "Conv3DOptions",
    CUMSUM: "CumsumOptions",
    DEPTH_TO_SPACE: "DepthToSpaceOptions",
    DEPTHWISE: "DepthwiseConv2DOptions",
    DIV: "DivOptions",
    EXP: "ExpOptions",
    EXPAND_DIMS: "ExpandDimsOptions",
    FULLY_CONNECTED: "FullyConnectedOptions",
    GATHER: "GatherOptions",
    GELU: "GeluOptions",
    LEAKY_RELU: "LeakyReluOptions",
    L2_NORMALIZATION: "L2NormOptions",
    LOG_SOFTMAX: "LogSoftmaxOptions",
    MAX_POOL: "Pool2DOptions",
    MEAN: "ReducerOptions",
    MIRROR_PAD: "MirrorPadOptions",
    MUL: "MulOptions",
    NEG: "NegOptions",
    ONE_HOT: "OneHotOptions",
    PACK: "PackOptions",
    PAD: "PadOptions",
    RANDOM_STANDARD_NORMAL: "RandomOptions",
    REDUCE_ALL: "ReducerOptions",
    REDUCE_ANY: "ReducerOptions",
    REDUCE_MAX: "ReducerOptions",
    REDUCE_MIN: "ReducerOptions",
    REDUCE_PROD: "ReducerOptions",
    RESIZE_BILINEAR: "ResizeBilinearOptions",
    RESIZE_NEAREST: "ResizeNearestNeighborOptions",
    SELECT: "SelectOptions",
    SELECT_V2: "SelectV2Options",
    SEQUENCE_LSTM: "UnidirectionalSequenceLSTMOptions",
    SHAPE: "ShapeOptions",
    SOFTMAX: "SoftmaxOptions",
    SPACE_TO_DEPTH: "SpaceToDepthOptions",
    SPLIT: "SplitOptions",
    SPLIT_V: "SplitVOptions",
    SQUARE: "SquareOptions",
    SQUEEZE: "SqueezeOptions",
    STRIDED_SLICE: "StridedSliceOptions",
    SUB: "SubOptions",
    SUM: "ReducerOptions",
    TOPK: "TopKV2Options",
    TRANSPOSE_CONV: "TransposeConvOptions",
    UNPACK: "UnpackOptions",
    WHILE: "WhileOptions",
    ZEROS_LIKE: "ZerosLikeOptions",
}
"""The table of an operator's options; the others have none when the converter writes them."""


def options(code: int, values: Mapping[str, int | float | bool]) -> tuple[Node | None, int]:
    """Return the options of an operator, and the number of their table in the union BuiltinOptions.

    Raises `InvariantError` for a field that the table does not have.
    """
    table = _OPTIONS.get(code)
    if table is None:
        return None, 0
    unknown = [name for name in values if name not in schema("model").tables[table].by_name]
    if unknown:
        raise InvariantError(f"{table} has no field {', '.join(unknown)}")
    return Node(table, {**values}), schema("model").unions["BuiltinOptions"].index(table)


def slid(length: int, window: int, stride: int, *, same: bool, dilation: int = 1) -> int:
    """Return the length after a window slid over it; of one that the converter does not know, too."""
    if length < 0:
        return forgotten(slid(recalled(length), window, stride, same=same, dilation=dilation))
    reach = (window - 1) * dilation + 1
    return ceil(length / stride) if same else max((length - reach) // stride + 1, 1)


def forgotten(length: int) -> int:
    """Return what stands for a length that the converter does not know, and TensorFlow does: less than -1."""
    return -1 - length


def recalled(length: int) -> int:
    """Return a length, also one that the converter does not know. Raises `ValueError` for -1."""
    if length == -1:
        raise ValueError("a length that is not known")
    return length if length >= 0 else -1 - length


def lengthened(length: int, more: int) -> int:
    """Return a length and more; what the converter does not know stays so."""
    made = recalled(length) + more
    return forgotten(made) if length < 0 else made


def multiplied(length: int, factor: int) -> int:
    """Return a length many times; what the converter does not know stays so."""
    made = recalled(length) * factor
    return forgotten(made) if length < 0 else made


def divided(length: int, factor: int) -> int:
    """Return a part of a length; what the converter does not know stays so."""
    made = recalled(length) // factor
    return forgotten(made) if length < 0 else made


def fitted(first: int, second: int) -> int:
    """Return the length of two tensors that are computed with element by element: one that the converter
    does not know is the other's, unless that is 1.
    """
    if first < 0 and second < 0:
        return min(first, second)
    if first < 0 or second < 0:
        known = max(first, second)
        return known if known > 1 else min(first, second)
    return max(first, second)


def joined(first: int, second: int) -> int:
    """Return the length of two tensors along an axis that they are not joined along: if either is known, it
    is that.
    """
    return max(first, second) if max(first, second) >= 0 else min(first, second)


def same_padding(shape: Sequence[int], weight: Sequence[int], node: Node, sides: NDArray[np.float32]) -> bool:
    """Return whether zeros at the sides are what a convolution that keeps lengths would add itself."""
    if sides.shape != (4, 2) or sides[0].any() or sides[3].any() or len(shape) != 4 or len(weight) != 4:
        return False
    for axis, name in ((1, "h"), (2, "w")):
        stride, dilation = (
            max(node.number(f"stride_{name}"), 1),
            max(node.number(f"dilation_{name}_factor", 1), 1),
        )
        reach = (weight[axis] - 1) * dilation + 1
        total = max((ceil(shape[axis] / stride) - 1) * stride + reach - shape[axis], 0)
        if tuple(sides[axis]) != (total // 2, total - total // 2):
            return False
    return True
