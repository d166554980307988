"""Functions and layers of functional models that make several tensors, take arrays, or work along other axes:
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

ARRAY = np.random.default_rng(2).standard_normal((16, 12)).astype("f4")
Wire = Callable[[Any, Any, Any], Any]


def _halves(k: Any, f: Any, x: Any) -> Any:
    one, two = f.split(k.Dense(24)(x), 2, axis=-1)
    return one * k.Activation("sigmoid")(two)


def _steps(k: Any, f: Any, x: Any) -> Any:
    first, *_, last = f.unstack(k.Reshape((3, 16))(k.Dense(48)(x)), 3, axis=1)
    return k.Dense(4)(first) + k.Dense(4)(last)


def _each(k: Any, f: Any, x: Any) -> Any:
    inner = f.Sequential([f.Input((6, 6, 2)), k.Conv2D(4, 3), k.Flatten(), k.Dense(5)])
    return k.Flatten()(k.TimeDistributed(inner)(x))


WIRES: dict[str, tuple[tuple[int, ...], str, Wire]] = {
    "split": ((16,), "float32", _halves),
    "unstack": ((16,), "float32", _steps),
    "softmax-of-steps": ((8, 16), "float32", lambda k, f, x: f.softmax(k.Dense(12)(x), axis=1)),
    "product-with-an-array": ((8, 16), "float32", lambda k, f, x: k.Dense(8)(f.matmul(x, ARRAY))),
    "array-of-factors": ((16, 12), "float32", lambda k, f, x: k.Dense(8)(f.multiply(x, ARRAY))),
    "whole-numbers": (
        (16,),
        "int32",
        lambda k, f, x: k.Dense(8)(k.Activation("tanh")(k.Rescaling(0.5, 0.25)(x))),
    ),
    "channels-first": (
        (8, 16),
        "float32",
        lambda k, f, x: k.Dense(4)(k.GlobalAveragePooling1D(data_format="channels_first")(x)),
    ),
    "dilated-channels": (
        (16, 6),
        "float32",
        lambda k, f, x: k.Conv1D(4, 3)(k.DepthwiseConv1D(3, padding="same", dilation_rate=2)(x)),
    ),
    "groups-of-channels": (
        (6, 6, 8),
        "float32",
        lambda k, f, x: k.Conv2D(4, 3)(k.GroupNormalization(2)(x)),
    ),
    "choice": ((12,), "float32", lambda k, f, x: k.Dense(4)(f.where(x > 0.0, x, x * 2.0))),
    "comparison": ((12,), "float32", lambda k, f, x: k.Dense(4)(f.cast(x > 0.5, "float32"))),
    "slope": ((12,), "float32", lambda k, f, x: k.Dense(4)(f.leaky_relu(x, 0.1))),
    "repeated": ((4, 6), "float32", lambda k, f, x: k.Dense(4)(f.tile(x, [1, 2, 1]))),
    "reversed": ((4, 6), "float32", lambda k, f, x: k.Dense(4)(f.flip(x, [1]))),
    "cube": ((8,), "float32", lambda k, f, x: k.Dense(2)(f.floor(x**3.0))),
    "best": ((8,), "float32", lambda k, f, x: f.top_k(k.Dense(6)(x), 2)[0]),
    "length": ((8,), "float32", lambda k, f, x: k.Dense(2)(f.norm(x, axis=-1, keepdims=True))),
    "new-axes": (
        (8,),
        "float32",
        lambda k, f, x: k.Dense(2)(k.Flatten()(x[:, :, None] * x[:, None, :])),
    ),
    "model-at-each-step": ((3, 6, 6, 2), "float32", _each),
    "repeated-once": ((8, 6), "float32", lambda k, f, x: k.Dense(4)(k.Flatten()(k.UpSampling1D(1)(x)))),
}


@pytest.mark.parametrize("library", ["tf_keras", "keras"])
@pytest.mark.parametrize("name", WIRES)
def test_a_function_is_predicted_to_the_byte(name: str, library: str, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip(library)
    shape, dtype, wire = WIRES[name]
    given = keras.Input(shape, dtype=dtype, name="given")
    network = keras.Model(given, wire(keras.layers, _Functions(keras, tf), given))
    random = np.random.default_rng(3)
    network.set_weights([random.standard_normal(each.shape).astype("f4") for each in network.get_weights()])
    path = tmp_path / ("model.keras" if library == "keras" else "model.h5")
    network.save(path)
    entry = mi.plan(path, only=["tflite-float32"], downloads=False).options[0]
    assert entry.size == len(tf.lite.TFLiteConverter.from_keras_model(network).convert())


class _Functions:
    """Functions of tensors by the names of `keras.ops`, and what makes models."""

    def __init__(self, library: Any, tf: Any) -> None:
        self.Sequential, self.Input = library.Sequential, library.Input
        source = library.ops if library.__name__ == "keras" else tf
        self.matmul, self.multiply, self.split = source.matmul, source.multiply, source.split
        self.unstack, self.softmax = source.unstack, getattr(source, "softmax", tf.nn.softmax)
        self.where, self.cast, self.tile, self.floor = source.where, source.cast, source.tile, source.floor
        self.leaky_relu = getattr(source, "leaky_relu", tf.nn.leaky_relu)
        self.flip = getattr(source, "flip", tf.reverse)
        self.top_k = getattr(source, "top_k", tf.math.top_k)
        self.norm = source.norm


def test_constants_that_are_equal_in_float16_are_stored_once(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    given = keras.Input((16,), name="given")
    x, layers = given, [keras.layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
    for layer in layers:
        x = keras.layers.Activation("tanh")(layer(x))
    network = keras.Model(given, x)
    gamma = np.linspace(1, 2, 16).astype("f4")
    for number, layer in enumerate(layers):
        layer.set_weights([gamma * (1 + number * 1e-6), gamma * 0.5 + number])
    path = tmp_path / "model.keras"
    network.save(path)
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    entry = mi.plan(path, only=["tflite-float16"], downloads=False).options[0]
    assert entry.size == len(converter.convert())
