"""The converter moves what computes with elements before what only puts them elsewhere.

TensorFlow's files are predicted to the byte.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi

pytestmark = pytest.mark.tensorflow

Step = Callable[[Any, Any], Any]

MOVES: dict[str, Step] = {
    "reshape": lambda tf, x: tf.reshape(x, [-1, 24, 8]),
    "reshape-all": lambda tf, x: tf.reshape(x, [-1, 192]),
    "transpose": lambda tf, x: tf.transpose(x, [0, 2, 1, 3]),
    "transpose-first": lambda tf, x: tf.transpose(x, [0, 3, 1, 2]),
    "expand-dims": lambda tf, x: tf.expand_dims(x, 1),
    "squeeze": lambda tf, x: tf.squeeze(tf.nn.avg_pool2d(x, (4, 6), (4, 6), "VALID"), [1, 2]),
    "depth-to-space": lambda tf, x: tf.nn.depth_to_space(x, 2),
}
STEPS: dict[str, Step] = {
    "ceil": lambda tf, x: tf.math.ceil(x),
    "exp": lambda tf, x: tf.exp(x),
    "sigmoid": lambda tf, x: tf.sigmoid(x),
    "relu": lambda tf, x: tf.nn.relu(x),
    "relu6": lambda tf, x: tf.nn.relu6(x),
    "square": lambda tf, x: tf.square(x),
    "tanh": lambda tf, x: tf.tanh(x),
    "add": lambda _, x: x + 2.0,
    "subtract": lambda _, x: x - 2.0,
    "subtract-from": lambda _, x: 2.0 - x,
    "multiply": lambda _, x: x * 2.0,
    "divide": lambda _, x: x / 2.0,
    "maximum": lambda tf, x: tf.maximum(x, 0.3),
}
AFTER_PRODUCTS: dict[str, Step] = {
    "bias-reshape-relu": lambda tf, x: tf.nn.relu(tf.reshape(x + np.arange(8, dtype=np.float32), [-1, 2, 4])),
    "bias-reshape-add": lambda tf, x: tf.reshape(x + np.arange(8, dtype=np.float32), [-1, 2, 4]) + 2.0,
    "multiply": lambda _, x: x * 2.0,
    "expand-dims-relu": lambda tf, x: tf.nn.relu(tf.expand_dims(x, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "batch"), [*((step, 1) for step in STEPS), ("relu", None), ("subtract", None)]
)
def test_a_step_after_a_move_of_a_convolution_is_predicted_to_the_byte(
    step: str, batch: int | None, tmp_path: Path
) -> None:
    import tensorflow as tf

    kernel = tf.Variable(np.random.default_rng(1).normal(size=(3, 3, 3, 8)).astype(np.float32), name="w")

    def after(move: Step) -> Callable[[Any], Any]:
        return lambda x: STEPS[step](tf, move(tf, tf.nn.conv2d(x, kernel, 1, "SAME")))

    for name, move in MOVES.items():
        _compare(tf, after(move), kernel, (batch, 4, 6, 3), tmp_path / name)


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize("name", AFTER_PRODUCTS)
def test_what_follows_a_product_is_predicted_to_the_byte(
    name: str, batch: int | None, tmp_path: Path
) -> None:
    import tensorflow as tf

    kernel = tf.Variable(np.random.default_rng(1).normal(size=(12, 8)).astype(np.float32), name="w")

    def body(x: Any) -> Any:
        return AFTER_PRODUCTS[name](tf, tf.matmul(x, kernel))

    _compare(tf, body, kernel, (batch, 12), tmp_path / "model")


EXCHANGED: dict[str, Callable[[Any, Any, list[int]], Any]] = {
    "relu-before": lambda tf, x, axes: tf.transpose(tf.nn.relu(tf.sin(x)), axes),
    "relu-after": lambda tf, x, axes: tf.nn.relu(tf.transpose(tf.sin(x), axes)),
    "sum-before": lambda tf, x, axes: tf.transpose(tf.sin(x) + tf.abs(x), axes),
    "limited-sum-before": lambda tf, x, axes: tf.transpose(tf.nn.relu(tf.sin(x) + tf.abs(x)), axes),
    "sum-after": lambda tf, x, axes: tf.transpose(tf.sin(x), axes) + tf.transpose(tf.abs(x), axes),
    "product-after": lambda tf, x, axes: tf.transpose(tf.sin(x), axes) * tf.transpose(tf.abs(x), axes),
    "number-after": lambda tf, x, axes: 2.0 - tf.transpose(tf.sin(x), axes),
    "sin-between": lambda tf, x, axes: tf.transpose(tf.tanh(tf.sin(tf.transpose(tf.sin(x), axes))), axes),
}


@pytest.mark.parametrize("axes", [[0, 2, 1], [0, 3, 1, 2], [0, 4, 1, 2, 3]])
@pytest.mark.parametrize("name", EXCHANGED)
def test_exchanges_of_axes_are_predicted_to_the_byte(name: str, axes: list[int], tmp_path: Path) -> None:
    import tensorflow as tf

    kernel = tf.Variable(np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32), name="w")

    def body(x: Any) -> Any:
        return tf.cos(EXCHANGED[name](tf, tf.matmul(x, kernel), axes))

    _compare(tf, body, kernel, (1, *(4, 5, 3)[: len(axes) - 2], 6), tmp_path / "model")


def _compare(tf: Any, body: Any, kernel: Any, shape: tuple[int | None, ...], folder: Path) -> None:
    module = tf.Module()
    module.kernel = kernel
    module.body = tf.function(body, input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures=module.body)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
    size = len(converter.convert())
    (found,) = mi.plan(folder, only=("tflite-float32",), downloads=False).options
    assert found.size == size, folder.name
