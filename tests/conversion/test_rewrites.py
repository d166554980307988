"""Operators that the converter joins, moves or writes in another way are predicted to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi

pytestmark = pytest.mark.tensorflow

STEPS, IMAGE, VECTOR = (1, 8, 16), (1, 6, 6, 4), (1, 64)
Body = Callable[[Any, Any, Callable[..., Any]], Any]


def _normalized(tf: Any, x: Any, w: Any, root: Callable[[Any], Any], axis: int = -1) -> Any:
    """Return a product of vectors that are multiplied or divided by the root of the sum of their squares."""
    return tf.matmul(root(tf.reduce_sum(tf.square(x), axis, keepdims=True)), w(16, 24))


def _difference_used_twice(tf: Any, x: Any, w: Any) -> Any:
    moved = x - w(16)
    return tf.matmul(tf.square(moved), w(16, 24)) + tf.matmul(moved, w(16, 24))


def _added_around_relu(tf: Any, x: Any, w: Any) -> Any:
    numbers = w(1, 8, 24)
    return tf.nn.relu(tf.matmul(x, w(16, 24)) + w(24) + numbers) + numbers


def _normalized_difference(tf: Any, x: Any, w: Any) -> Any:
    """The square of a difference is one operator before the normalization could be."""
    moved = x - tf.reduce_mean(x, -1, keepdims=True)
    return tf.matmul(tf.nn.l2_normalize(moved, -1), w(64, 8))


def _between(tf: Any, x: Any, compute: Callable[[Any], Any]) -> Any:
    """Compute with exchanged axes; of some operations the converter knows that the order does not matter."""
    turned = compute(tf.transpose(tf.sigmoid(x), [0, 3, 1, 2]))
    return tf.reduce_mean(tf.transpose(turned, [0, 2, 3, 1]), [1, 2])


def _two_choices(tf: Any, x: Any, w: Any) -> Any:
    first, second = (tf.gather(x, places, axis=1) for places in ([0, 2, 3], [1, 2, 3]))
    return tf.matmul(first, w(16, 8)) + tf.matmul(second, w(16, 8))


BODIES: dict[str, tuple[tuple[int | None, ...], Body]] = {
    "square-of-difference": (STEPS, lambda tf, x, w: tf.matmul(tf.square(x - w(16)), w(16, 24))),
    "difference-used-twice": (STEPS, _difference_used_twice),
    "square-of-five-axes": (
        (1, 2, 3, 4, 5),
        lambda tf, x, w: tf.reduce_mean(tf.square(x - tf.reduce_mean(x, [1, 2], keepdims=True)), [1, 2]),
    ),
    "first-channels": (IMAGE, lambda tf, x, w: tf.concat([x[..., 1:], tf.nn.relu(x[..., :3])], -1)),
    "divided-by-root": (STEPS, lambda tf, x, w: _normalized(tf, x, w, lambda s: x / tf.sqrt(s + 1e-8))),
    "divided-by-root-of-sum": (STEPS, lambda tf, x, w: _normalized(tf, x, w, lambda s: x / tf.sqrt(s))),
    "divided-by-least-root": (
        STEPS,
        lambda tf, x, w: _normalized(tf, x, w, lambda s: x / tf.sqrt(tf.maximum(s, 1e-6))),
    ),
    "multiplied-by-root": (
        STEPS,
        lambda tf, x, w: _normalized(tf, x, w, lambda s: x * tf.math.rsqrt(s + 1e-6)),
    ),
    "almost-too-large": (STEPS, lambda tf, x, w: _normalized(tf, x, w, lambda s: x / tf.sqrt(s + 9e-4))),
    "too-large": (STEPS, lambda tf, x, w: _normalized(tf, x, w, lambda s: x / tf.sqrt(s + 1e-3))),
    "too-large-least": (
        STEPS,
        lambda tf, x, w: _normalized(tf, x, w, lambda s: x / tf.sqrt(tf.maximum(s, 1e-2))),
    ),
    "another-axis": (
        STEPS,
        lambda tf, x, w: _normalized(tf, x, w, lambda s: x * tf.math.rsqrt(s + 1e-6), axis=1),
    ),
    "logarithm-of-one-more": (STEPS, lambda tf, x, w: tf.matmul(tf.math.log(x + 1.0), w(16, 24))),
    "one-and-more": (STEPS, lambda tf, x, w: tf.matmul(tf.math.log(1.0 + x), w(16, 24))),
    "logarithm-of-two-more": (STEPS, lambda tf, x, w: tf.matmul(tf.math.log(x + 2.0), w(16, 24))),
    "divided-twice": (
        STEPS,
        lambda tf, x, w: tf.exp(tf.square(x) / -0.02) + tf.tanh(tf.nn.relu(x) / -0.02),
    ),
    "two-transpositions": (
        (1, 4, 6, 5),
        lambda tf, x, w: tf.matmul(tf.transpose(tf.transpose(x, [0, 2, 1, 3]), [0, 3, 1, 2]), w(4, 8)),
    ),
    "transpositions-of-one-axis": (
        (1, 64, 1),
        lambda tf, x, w: tf.matmul(tf.transpose(tf.transpose(x, [0, 2, 1]), [1, 0, 2]), w(64, 8)),
    ),
    "frames": (VECTOR, lambda tf, x, w: tf.matmul(tf.signal.frame(x, 16, 8), w(16, 8))),
    "whole-slice": (VECTOR, lambda tf, x, w: tf.matmul(tf.strided_slice(x, [0, 0], [1, 64]), w(64, 8))),
    "whole-slice-of-batch": ((None, 16), lambda tf, x, w: tf.matmul(tf.slice(x, [0, 0], [-1, 16]), w(16, 8))),
    "masked-slice": (VECTOR, lambda tf, x, w: tf.matmul(x[:, 0:], w(64, 8))),
    "scaled-heads": (
        STEPS,
        lambda tf, x, w: tf.transpose(tf.reshape(tf.matmul(x, w(16, 24)), [1, 8, 2, 12]) * 0.3, [0, 2, 1, 3]),
    ),
    "moved-heads": (
        STEPS,
        lambda tf, x, w: tf.transpose(tf.reshape(tf.sigmoid(x), [1, 8, 2, 8]) + 0.3, [0, 2, 1, 3]),
    ),
    "two-choices": (STEPS, _two_choices),
    "two-sums": (STEPS, lambda tf, x, w: tf.nn.relu(x) + w(16) + w(1, 8, 16)),
    "two-sums-after-product": (STEPS, lambda tf, x, w: tf.matmul(x, w(16, 24)) + w(24) + w(1, 8, 24)),
    "two-sums-after-convolution": (
        IMAGE,
        lambda tf, x, w: tf.nn.bias_add(tf.nn.conv2d(x, w(3, 3, 4, 8), 1, "SAME"), w(8)) + w(1, 6, 6, 8),
    ),
    "sums-around-relu": (STEPS, _added_around_relu),
    "numbers-before-product": (VECTOR, lambda tf, x, w: tf.matmul((x - 33.3) / 78.6, w(64, 8))),
    "number-before-product": (VECTOR, lambda tf, x, w: tf.matmul(x + 0.5, w(64, 8))),
    "vector-before-product": (VECTOR, lambda tf, x, w: tf.matmul(x + w(64), w(64, 8))),
    "relu-between-transpositions": (IMAGE, lambda tf, x, w: _between(tf, x, tf.nn.relu)),
    "tanh-between-transpositions": (IMAGE, lambda tf, x, w: _between(tf, x, tf.tanh)),
    "sum-between-transpositions": (IMAGE, lambda tf, x, w: _between(tf, x, lambda t: t + t)),
    "elu-between-transpositions": (IMAGE, lambda tf, x, w: _between(tf, x, tf.nn.elu)),
    "relu-of-a-flat-sum": (
        (None, 6, 6, 4),
        lambda tf, x, w: tf.matmul(tf.nn.relu(tf.reshape(tf.sigmoid(x) + x, [-1, 144])), w(144, 8)),
    ),
    "normalized-difference": (VECTOR, _normalized_difference),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_the_converter_rewrites_is_predicted_to_the_byte(name: str, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    shape, body = BODIES[name]
    random, weights = np.random.default_rng(5), list[Any]()

    def weight(*lengths: int) -> Any:
        number = next(count)
        if number == len(weights):
            weights.append(tf.Variable(random.standard_normal(lengths).astype("f4")))
        return weights[number]

    count = iter(range(8))
    body(tf, tf.zeros([length or 1 for length in shape]), weight)  # makes the variables
    module = tf.Module()
    module.weights = weights

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])
    def call(x: Any) -> Any:
        nonlocal count
        count = iter(range(8))
        return body(tf, x, weight)

    module.call = call
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=call)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    option = mi.plan(tmp_path / "saved", only=["tflite-float32"], downloads=False).options[0]
    assert option.size == len(converter.convert())
