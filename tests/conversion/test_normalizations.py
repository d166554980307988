"""Factors of zero in a normalization make zeros of the kernel that they are folded into.

A residual branch may start with such factors, and channels are pruned by them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.accuracy.integer_sparse import converted

import modelinspect as mi

_FLOAT = {"tflite-float32": (), "tflite-sparse": ("SPARSE",), "tflite-dynamic-int8": ("DEFAULT",)}
_FORMS = {**_FLOAT, "tflite-dynamic-int8-sparse": ("DEFAULT", "SPARSE")}


def _float(network: Any, options: tuple[str, ...]) -> bytes:
    import tensorflow as tf

    names = {"SPARSE": tf.lite.Optimize.EXPERIMENTAL_SPARSITY, "DEFAULT": tf.lite.Optimize.DEFAULT}
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [names[option] for option in options]
    return bytes(converter.convert())


def _network(keras: Any, gammas: list[float]) -> Any:
    """Return convolutions with normalizations after them, whose channels have these gammas in turn; the last
    two have the same shape, and zeros only.
    """
    layers = keras.layers
    given = x = keras.Input((12, 12, 16), batch_size=None)
    for channels in (32, 24):
        x = layers.Conv2D(channels, 3, use_bias=False, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x))
    for _ in range(2):
        branch = layers.Conv2D(24, 3, use_bias=False, padding="same")(x)
        x = layers.Add()([x, layers.BatchNormalization()(branch)])
    network = keras.Model(given, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(3)
    normalizations = [one for one in network.layers if isinstance(one, layers.BatchNormalization)]
    for layer in network.layers:
        layer.set_weights([random.standard_normal(each.shape).astype("f4") for each in layer.get_weights()])
    for number, layer in enumerate(normalizations):
        gamma, beta, mean, variance = layer.get_weights()
        parts = [0.0] if number >= len(normalizations) - 2 else gammas
        layer.set_weights([gamma * np.resize(parts, gamma.shape).astype("f4"), beta, mean, np.abs(variance)])
    return network


@pytest.mark.tensorflow
@pytest.mark.parametrize("library", ["tf_keras", "keras"])
def test_zeros_of_normalizations_are_counted_in_every_form(library: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    network = _network(pytest.importorskip(library), [1.0, 0.0, 1.0, 0.0, 0.0])
    path = tmp_path / ("model.keras" if library == "keras" else "model.h5")
    network.save(path)
    planned = {entry.option: entry for entry in mi.plan(path, only=[*_FORMS, "tflite-int8"]).options}
    real = {name: len(_float(network, options)) for name, options in _FORMS.items()}
    real["tflite-int8"] = len(converted(network, "int8"))
    assert planned.keys() == real.keys()
    for name, entry in planned.items():
        if library == "tf_keras":
            assert entry.size == real[name], name
        assert abs(entry.size - real[name]) <= (entry.error or 0) * real[name], name
