"""Layers that are used more than once, and outputs with names of their own, are predicted to the byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi

pytestmark = pytest.mark.tensorflow


def _again(keras: Any) -> Any:
    """Return a convolution and its normalization that are applied to what they made before."""
    layers = keras.layers
    given = start = keras.Input((12, 12, 8))
    convolution, normalization = layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization()
    x = layers.Activation("relu")(normalization(convolution(start)))
    for _ in range(2):
        x = layers.Activation("relu")(normalization(convolution(layers.Add()([start, x]))))
    return keras.Model(given, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def _two_products(keras: Any) -> Any:
    """Return two dense layers that take the same steps, whose number is known."""
    layers = keras.layers
    given = keras.Input((16, 8), batch_size=1)
    x = layers.Conv1D(20, 3, padding="same", activation="relu")(given)
    return keras.Model(given, [layers.Dense(3)(x), layers.Dense(2, activation="sigmoid")(x)])


def _zero_biases(keras: Any) -> Any:
    """Return dense layers over steps whose sums with zeros are dropped, so that reshapes follow reshapes."""
    layers = keras.layers
    given = keras.Input((12, 20))
    x = layers.Dense(16)(layers.Dense(24)(given))
    return keras.Model(given, layers.Dense(10)(layers.Flatten()(x)))


def _names(keras: Any) -> Any:
    """Return outputs that are a dictionary."""
    layers = keras.layers
    given = keras.Input((20,))
    x = layers.Dense(16, activation="relu")(given)
    return keras.Model(given, {"points": layers.Dense(6)(x), "a": layers.Dense(4, activation="sigmoid")(x)})


NETWORKS: dict[str, Callable[[Any], Any]] = {
    "again": _again,
    "two-products": _two_products,
    "zero-biases": _zero_biases,
    "names": _names,
}


@pytest.mark.parametrize("library", ["tf_keras", "keras"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_predicted_to_the_byte(name: str, library: str, tmp_path: Path) -> None:
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip(library)
    network = NETWORKS[name](keras)
    random = np.random.default_rng(3)
    for layer in network.layers:
        weights = layer.get_weights()
        is_zero = name == "zero-biases"
        drawn = [np.abs(random.standard_normal(each.shape)).astype("f4") + 0.1 for each in weights]
        layer.set_weights(
            [each if is_zero and each.ndim == 1 else new for each, new in zip(weights, drawn, strict=True)]
        )
    path = tmp_path / ("model.keras" if library == "keras" else "model.h5")
    network.save(path)
    loaded = keras.models.load_model(path, compile=False)  # whose inputs have the names that are saved
    real = len(tf.lite.TFLiteConverter.from_keras_model(loaded).convert())
    option = mi.plan(path, only=["tflite-float32"], downloads=False).options[0]
    assert option.size == real
