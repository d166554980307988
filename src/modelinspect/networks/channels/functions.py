"""What functions of single elements make of a constant, as far as it matters: whether it is zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from modelinspect.networks.channels.wires import Reals

Function = Callable[[Reals], Reals]


def same(values: Reals) -> Reals:
    """Return what is given."""
    return values


def relu(values: Reals) -> Reals:
    """Return 0 for what is negative."""
    return np.maximum(values, 0.0)


def relu6(values: Reals) -> Reals:
    """Return 0 for what is negative, and 6 for what is more."""
    return np.clip(values, 0.0, 6.0)


def keeps_zero(values: Reals) -> Reals:
    """Return 0 for 0, and nothing known for the rest."""
    return np.where(values == 0, 0.0, np.nan)


def loses_zero(values: Reals) -> Reals:
    """Return nothing known."""
    return np.full_like(values, np.nan)


KERAS: Mapping[str, Function] = {
    "linear": same,
    "relu": relu,
    "relu6": relu6,
    **dict.fromkeys(
        ("celu", "elu", "gelu", "hard_swish", "hard_silu", "hard_tanh", "leaky_relu", "mish", "selu"),
        keeps_zero,
    ),
    **dict.fromkeys(
        ("silu", "soft_shrink", "hard_shrink", "softsign", "swish", "tanh", "tanh_shrink"), keeps_zero
    ),
    **dict.fromkeys(("exponential", "hard_sigmoid", "log_sigmoid", "sigmoid", "softplus"), loses_zero),
}
"""Keras' activations that look at one element at a time."""

TFLITE: Mapping[str, Function] = {
    "NONE": same,
    "RELU": relu,
    "RELU6": relu6,
    "QUANTIZE": same,
    "DEQUANTIZE": same,
    **dict.fromkeys(
        ("RELU_N1_TO_1", "TANH", "ABS", "ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "NEG", "SQRT", "SQUARE"),
        keeps_zero,
    ),
    **dict.fromkeys(("CAST", "FLOOR", "ROUND", "SIGN", "SIN"), keeps_zero),
    **dict.fromkeys(("COS", "EXP", "LOG", "LOGISTIC", "RSQRT"), loses_zero),
}
"""TFLite's operators, and what it fuses into others, that look at one element at a time."""
