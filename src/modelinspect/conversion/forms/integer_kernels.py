"""What the full-integer quantizers do with each operator: one rule per operator.

Sources: tensorflow/compiler/mlir/lite/ir/tfl_ops.td (int8: QuantizableResult, SameScalesOpInterface,
FixedOutputRangeInterface), tensorflow/lite/tools/optimize/operator_property.cc (int16), and op_version.cc.
`benchmarks/accuracy/integer_layers.py` converts networks around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag

from modelinspect.conversion.forms.rewrite import Weights
from modelinspect.conversion.operators import (
    CONV,
    DEPTHWISE,
    FULLY_CONNECTED,
    INT8,
    INT16,
    INT32,
    INT64,
    TRANSPOSE_CONV,
    codes,
)
from modelinspect.core.records import dataclass

KERNELS: Mapping[int, tuple[int, int, int]] = {
    CONV: (1, 2, 0),
    DEPTHWISE: (1, 2, 3),
    FULLY_CONNECTED: (1, 2, 0),
    TRANSPOSE_CONV: (1, 3, 0),
}
"""Which input is the kernel, which the bias, and the axis of the output channels."""


class Scales(IntFlag):
    """Which scales an operator's inputs and outputs have."""

    OWN = 0
    """Each has its own."""
    SAME = 1
    """With int8 activations, all have the same."""
    PASSED = 2
    """With int16 activations, the output has that of the first input."""
    FIXED = 4
    """The output's range is known without calibration, and no smallest and largest value is stored."""
    JOINED = 8
    """With int16 activations, each input is quantized again to the output's scale if it has another."""


_MOVES = Scales.SAME | Scales.PASSED
_JOINS = Scales.SAME | Scales.JOINED


@dataclass(frozen=True, slots=True)
class Rule:
    """How an operator is quantized: its versions with int8 and with int16 activations, and its scales.

    Without a version for int8, it stays float32, and what it takes is dequantized; without one for int16, the
    converter refuses the model.
    """

    int8: int | None
    int16: int | None
    scales: Scales = Scales.OWN


_TABLE: Mapping[str, Rule] = {
    "ABS": Rule(2, 2),
    "ADD": Rule(2, 2),
    "ADD_N": Rule(None, None),
    "ARG_MAX": Rule(2, None),
    "ARG_MIN": Rule(2, None),
    "ATAN2": Rule(None, None),
    "AVERAGE_POOL_2D": Rule(2, 2, _MOVES),
    "BATCH_MATMUL": Rule(2, 2),
    "BATCH_TO_SPACE_ND": Rule(2, 2, _MOVES),
    "BROADCAST_ARGS": Rule(1, None),
    "BROADCAST_TO": Rule(3, None, _MOVES),
    "CAST": Rule(None, None),
    "CEIL": Rule(None, None),
    "CONCATENATION": Rule(2, 2, _JOINS),
    "CONV_2D": Rule(3, 3),
    "CONV_3D": Rule(None, None),
    "COS": Rule(None, None),
    "CUMSUM": Rule(None, None),
    "DEPTHWISE_CONV_2D": Rule(3, 3),
    "DEPTH_TO_SPACE": Rule(2, None, _MOVES),
    "DIV": Rule(1, None),
    "ELU": Rule(None, None),
    "EQUAL": Rule(2, None),
    "EXP": Rule(2, 2),
    "EXPAND_DIMS": Rule(1, 1, _MOVES),
    "FILL": Rule(3, 3, _MOVES),
    "FLOOR": Rule(None, None),
    "FLOOR_DIV": Rule(None, None),
    "FLOOR_MOD": Rule(None, None),
    "FULLY_CONNECTED": Rule(4, 4),
    "GATHER": Rule(2, 2, _MOVES),
    "GATHER_ND": Rule(1, 3, _MOVES),
    "GELU": Rule(2, 2),
    "GREATER": Rule(2, None),
    "GREATER_EQUAL": Rule(2, None),
    "HARD_SWISH": Rule(1, None),
    "L2_NORMALIZATION": Rule(2, None, Scales.FIXED),
    "LEAKY_RELU": Rule(1, 2),
    "LESS": Rule(2, None),
    "LESS_EQUAL": Rule(2, None),
    "LOG": Rule(2, 2),
    "LOGICAL_AND": Rule(1, None),
    "LOGICAL_NOT": Rule(1, None),
    "LOGICAL_OR": Rule(1, None),
    "LOGISTIC": Rule(2, 2, Scales.FIXED),
    "LOG_SOFTMAX": Rule(2, None, Scales.FIXED),
    "MAXIMUM": Rule(2, 2, _JOINS),
    "MAX_POOL_2D": Rule(2, 2, _MOVES),
    "MEAN": Rule(2, 2),
    "MINIMUM": Rule(2, 2, _JOINS),
    "MIRROR_PAD": Rule(2, 2, _MOVES),
    "MUL": Rule(2, 2),
    "NEG": Rule(None, None),
    "NOT_EQUAL": Rule(None, None),
    "ONE_HOT": Rule(1, None),
    "PACK": Rule(2, 2, _JOINS),
    "PAD": Rule(2, 2, _MOVES),
    "POW": Rule(None, None),
    "PRELU": Rule(1, 1),
    "RANDOM_STANDARD_NORMAL": Rule(None, None),
    "REDUCE_ALL": Rule(1, None),
    "REDUCE_ANY": Rule(1, None),
    "REDUCE_MAX": Rule(2, 2, _MOVES),
    "REDUCE_MIN": Rule(2, 2, _MOVES),
    "REDUCE_PROD": Rule(2, 2),
    "RELU": Rule(2, 2),
    "RELU6": Rule(2, 2),
    "RELU_N1_TO_1": Rule(1, 1),
    "RESHAPE": Rule(1, 1, _MOVES),
    "RESIZE_BILINEAR": Rule(2, 2, _MOVES),
    "RESIZE_NEAREST_NEIGHBOR": Rule(2, 2, _MOVES),
    "REVERSE_V2": Rule(3, 3, _MOVES),
    "ROUND": Rule(None, None),
    "RSQRT": Rule(2, 2),
    "SELECT": Rule(1, None, Scales.SAME),
    "SELECT_V2": Rule(1, None, Scales.SAME),
    "SHAPE": Rule(1, 1),
    "SIGN": Rule(None, None),
    "SIN": Rule(None, None),
    "SLICE": Rule(2, 2, _MOVES),
    "SOFTMAX": Rule(2, 2, Scales.FIXED),
    "SPACE_TO_BATCH_ND": Rule(2, 2, _MOVES),
    "SPACE_TO_DEPTH": Rule(2, None, _MOVES),
    "SPLIT": Rule(2, 2, _MOVES),
    "SPLIT_V": Rule(2, 2, _MOVES),
    "SQRT": Rule(2, None),
    "SQUARE": Rule(None, None),
    "SQUARED_DIFFERENCE": Rule(2, 2),
    "SQUEEZE": Rule(1, 1, _MOVES),
    "STRIDED_SLICE": Rule(2, 2, _MOVES),
    "SUB": Rule(2, 2),
    "SUM": Rule(2, 2, Scales.PASSED),
    "TANH": Rule(2, 2, Scales.FIXED),
    "TILE": Rule(3, 3, _MOVES),
    "TOPK_V2": Rule(2, None, _MOVES),
    "TRANSPOSE": Rule(2, 2, _MOVES),
    "TRANSPOSE_CONV": Rule(2, 3),
    "UNPACK": Rule(2, 1, _MOVES),
    "ZEROS_LIKE": Rule(None, None),
}
RULES: Mapping[int, Rule] = dict(
    zip(codes("BuiltinOperator", " ".join(_TABLE)), _TABLE.values(), strict=True)
)
"""The rule of each operator; of the others, nothing is known."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a quantizer stores: the type of computed tensors and of biases, and whether it keeps the
    ranges.
    """

    activations: int
    biases: int
    width: int
    keeps_ranges: bool


KINDS = {Weights.FULL_INT8: Kind(INT8, INT32, 4, False), Weights.INT16X8: Kind(INT16, INT64, 8, True)}
