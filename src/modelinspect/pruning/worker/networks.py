"""Build the architectures that `modelinspect.pruning.job` names."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

Network = Any
"""A ``keras.Model`` or ``tf_keras.Model``; neither has types."""


def build(name: str, keras: ModuleType) -> Network:
    """Return a network with fresh weights, built with ``keras`` or ``tf_keras``."""
    return _BUILDERS[name](keras)


def _mlp(keras: ModuleType) -> Network:
    layers = keras.layers
    return _sequential(
        keras,
        "mlp",
        layers.Input((10,)),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    )


def _cnn(keras: ModuleType) -> Network:
    layers = keras.layers
    return _sequential(
        keras,
        "cnn",
        layers.Input((28, 28)),
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(12, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    )


def _many_small_layers(keras: ModuleType) -> Network:
    layers = keras.layers
    hidden = [layers.Dense(64, activation="relu") for _ in range(16)]
    return _sequential(
        keras, "many_small_layers", layers.Input((64,)), *hidden, layers.Dense(10, activation="softmax")
    )


def _few_large_layers(keras: ModuleType) -> Network:
    layers = keras.layers
    return _sequential(
        keras,
        "few_large_layers",
        layers.Input((64,)),
        layers.Dense(896, activation="relu"),
        layers.Dense(10, activation="softmax"),
    )


def _lstm(keras: ModuleType) -> Network:
    layers = keras.layers
    return _sequential(
        keras, "lstm", layers.Input((28, 28)), layers.LSTM(48), layers.Dense(10, activation="softmax")
    )


def _embedding(keras: ModuleType) -> Network:
    layers = keras.layers
    return _sequential(
        keras,
        "embedding",
        layers.Input((24,), dtype="int32"),
        layers.Embedding(2000, 16),
        layers.GlobalAveragePooling1D(),
        layers.Dense(16, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    )


def _depthwise(keras: ModuleType) -> Network:
    layers = keras.layers
    return _sequential(
        keras,
        "depthwise",
        layers.Input((32, 32, 3)),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.DepthwiseConv2D(3, activation="relu"),
        layers.SeparableConv2D(64, 3, strides=2, activation="relu"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    )


def _attention(keras: ModuleType) -> Network:
    layers = keras.layers
    inputs = layers.Input((16, 32), name="input")
    attended = layers.MultiHeadAttention(2, 16, name="attention")(inputs, inputs)
    added = layers.Add(name="add")([inputs, attended])
    pooled = layers.GlobalAveragePooling1D(name="pool")(layers.LayerNormalization(name="norm")(added))
    return keras.Model(
        inputs, layers.Dense(10, activation="softmax", name="classes")(pooled), name="attention_network"
    )


def _mobilenet_v2(keras: ModuleType) -> Network:
    return keras.applications.MobileNetV2(input_shape=(96, 96, 3), weights=None, classes=10)


def _sequential(keras: ModuleType, name: str, *parts: Any) -> Network:
    return keras.Sequential(parts, name=name)


_BUILDERS: dict[str, Callable[[ModuleType], Network]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "many-small-layers": _many_small_layers,
    "few-large-layers": _few_large_layers,
    "lstm": _lstm,
    "embedding": _embedding,
    "depthwise": _depthwise,
    "attention": _attention,
    "mobilenet-v2": _mobilenet_v2,
}
