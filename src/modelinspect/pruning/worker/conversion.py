"""Set up TFLiteConverter for each form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

REPRESENTATIVE = 64
"""The samples that the converter sees when it fixes the ranges of full integer models."""


def configure(converter: Any, mode: str, representative: Callable[[], Iterator[Any]], *, integer_input: bool) -> None:
    """Set a converter up for a form such as ``dynamic-int8-sparse``; integer inputs keep their type in full integer models."""
    optimizations = []
    match mode.removesuffix("-sparse"):
        case "float32":
            pass
        case "float16":
            optimizations.append(tf.lite.Optimize.DEFAULT)
            converter.target_spec.supported_types = [tf.float16]
        case "dynamic-int8":
            optimizations.append(tf.lite.Optimize.DEFAULT)
        case "int8":
            optimizations.append(tf.lite.Optimize.DEFAULT)
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            if not integer_input:
                converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
        case "int16":
            optimizations.append(tf.lite.Optimize.DEFAULT)
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8]
    if mode.endswith("-sparse"):
        optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    converter.optimizations = optimizations
