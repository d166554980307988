"""Which operators have full-integer kernels, in which versions, and what their inputs and outputs are."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.conversion.forms.rewrite import Weights
from modelinspect.conversion.operators import (
    ADD,
    AVERAGE_POOL,
    BATCH_TO_SPACE,
    CONCATENATION,
    CONV,
    DEPTHWISE,
    EXPAND_DIMS,
    FULLY_CONNECTED,
    GATHER,
    INT8,
    INT16,
    INT32,
    INT64,
    LEAKY_RELU,
    LOGISTIC,
    MAX_POOL,
    MAXIMUM,
    MEAN,
    MINIMUM,
    MUL,
    PACK,
    PAD,
    REDUCE_MAX,
    RELU,
    RELU6,
    RESHAPE,
    RESIZE_BILINEAR,
    RESIZE_NEAREST,
    SOFTMAX,
    SPACE_TO_BATCH,
    SPLIT,
    SQUEEZE,
    STRIDED_SLICE,
    SUB,
    TANH,
    TRANSPOSE,
    TRANSPOSE_CONV,
)
from modelinspect.core.records import dataclass

KERNELS: Mapping[int, tuple[int, int, int]] = {
    CONV: (1, 2, 0),
    DEPTHWISE: (1, 2, 3),
    FULLY_CONNECTED: (1, 2, 0),
    TRANSPOSE_CONV: (1, 3, 0),
}
"""Which input is the kernel, which the bias, and the axis of the output channels."""
_SAME = 1
VERSIONS: Mapping[int, tuple[int, int]] = {
    ADD: (2, 2),
    AVERAGE_POOL: (2, 3),
    BATCH_TO_SPACE: (2, 3),
    CONCATENATION: (2, 3),
    CONV: (3, 3),
    DEPTHWISE: (3, 5),
    EXPAND_DIMS: (_SAME, _SAME),
    FULLY_CONNECTED: (4, 7),
    GATHER: (2, 4),
    LEAKY_RELU: (2, 2),
    LOGISTIC: (2, 3),
    MAXIMUM: (2, 4),
    MAX_POOL: (2, 3),
    MEAN: (2, 3),
    MINIMUM: (2, 4),
    MUL: (2, 4),
    PACK: (2, 2),
    PAD: (2, 3),
    REDUCE_MAX: (2, 3),
    RELU: (2, 4),
    RELU6: (2, 3),
    RESHAPE: (_SAME, _SAME),
    RESIZE_BILINEAR: (2, 4),
    RESIZE_NEAREST: (2, 4),
    SOFTMAX: (2, 3),
    SPACE_TO_BATCH: (2, 3),
    SPLIT: (2, 4),
    SQUEEZE: (_SAME, _SAME),
    STRIDED_SLICE: (2, 4),
    SUB: (3, 5),
    TANH: (2, 3),
    TRANSPOSE: (2, 4),
    TRANSPOSE_CONV: (2, 3),
}
"""The operators that have full-integer kernels, and their versions with int8 and with int16 activations
(op_version.cc).
"""
FIXED_RANGE = frozenset((LOGISTIC, SOFTMAX, TANH))
"""Operators whose output has a range that needs no calibration, and so no smallest and largest value."""
SAME_SCALE = frozenset((CONCATENATION,))
"""Operators whose inputs have one scale (operator_property.cc: restrict_same_input_output_scale)."""


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
READS_SHAPE = frozenset((77,))
"""Operators that look at the shape of what they take: SHAPE."""
