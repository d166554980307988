"""Networks that are drawn at random, with slices zeroed at random: what the tool says can go is taken out of
each, for real.
"""

from __future__ import annotations

import random
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.networks.channels.test_by_hand import outputs
from tests.support.surgery import filled, places_of, removal_of, seeded, without, zeroed

pytestmark = pytest.mark.tensorflow
SEEDS = range(12)
_ACTIVATIONS = (None, "relu", "relu", "relu6", "tanh", "sigmoid", "elu")


def drawn(keras: Any, numbers: random.Random) -> Any:
    """Draw a network of pictures: branches that are added, joined or multiplied, then dense layers."""
    layers = keras.layers
    count = iter(range(100))

    def convolution(x: Any, width: int) -> Any:
        kind = numbers.choice((layers.Conv2D, layers.Conv2D, layers.SeparableConv2D))
        size, padding = numbers.choice((1, 3)), numbers.choice(("same", "valid"))
        normalized = numbers.random() < 0.4
        activation = None if normalized else numbers.choice(_ACTIVATIONS)
        biased = not normalized or numbers.random() < 0.5
        x = kind(
            width, size, padding=padding, activation=activation, use_bias=biased, name=f"conv_{next(count)}"
        )(x)
        if normalized:
            x = layers.BatchNormalization(name=f"norm_{next(count)}")(x)
            x = layers.Activation(numbers.choice(_ACTIVATIONS[1:]))(x)
        return x

    def between(x: Any) -> Any:
        choices = (
            lambda x: x,
            lambda x: layers.MaxPooling2D(2, padding="same")(x),
            lambda x: layers.AveragePooling2D(2, padding="same")(x),
            lambda x: layers.ZeroPadding2D(1)(x),
            lambda x: layers.UpSampling2D(2)(x),
            lambda x: layers.DepthwiseConv2D(
                3, padding="same", activation="relu", name=f"deep_{next(count)}"
            )(x),
            lambda x: layers.Dropout(0.2)(x),
        )
        return numbers.choice(choices)(x)

    def same(x: Any, width: int) -> Any:
        return layers.Conv2D(
            width, 3, padding="same", activation=numbers.choice(_ACTIVATIONS), name=f"conv_{next(count)}"
        )(x)

    given = layers.Input((12, 12, 3))
    x = convolution(given, numbers.randint(4, 8))
    for _ in range(numbers.randint(1, 2)):
        x = between(x)
        how, width = numbers.choice(("plain", "add", "multiply", "join")), int(x.shape[-1])
        if how == "plain":
            x = convolution(x, numbers.randint(4, 8))
        elif how == "join":
            x = layers.Concatenate()([same(x, numbers.randint(3, 6)), x, same(x, numbers.randint(3, 6))])
        else:
            x = (layers.Add() if how == "add" else layers.Multiply())([x, same(x, width)])
    x = numbers.choice((layers.Flatten, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D))()(
        convolution(x, 6)
    )
    for _ in range(numbers.randint(0, 2)):
        x = layers.Dense(
            numbers.randint(5, 12), activation=numbers.choice(_ACTIVATIONS), name=f"dense_{next(count)}"
        )(x)
    return keras.Model(given, layers.Dense(3, name="head")(x))


_KERNELS = {
    "Dense": ("kernel", 0, 1),
    "Conv2D": ("kernel", 2, 3),
    "SeparableConv2D": ("pointwise_kernel", 2, 3),
    "DepthwiseConv2D": ("depthwise_kernel", None, 2),
}
"""The kernel of each class of layers, the axis of its inputs (of depthwise filters, none but the outputs')
and that of its outputs.
"""


def kill(model: Any, numbers: random.Random) -> None:
    """Zero filters, columns and rows at random; biases of dead ones become zero, or less or more."""
    for layer in model.layers:
        if type(layer).__name__ not in _KERNELS or numbers.random() < 0.2:
            continue
        name, inputs, axis = _KERNELS[type(layer).__name__]
        shape = next(weight.shape for weight in reversed(layer.get_weights()) if weight.ndim > 1)
        dead = tuple(place for place in range(shape[axis]) if numbers.random() < 0.35)
        zeroed(model, layer.name, name, axis, dead)
        if layer.use_bias:
            zeroed(model, layer.name, "bias", 0, dead, numbers.choice((0.0, 0.0, -0.7, 0.8)))
        if inputs is not None:
            zeroed(
                model,
                layer.name,
                name,
                inputs,
                tuple(place for place in range(shape[inputs]) if numbers.random() < 0.2),
            )


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_drawn_network_computes_the_same_without_the_channels_that_go(
    package: str, seed: int, tmp_path: Path
) -> None:
    keras = import_module(package)
    numbers = seeded(keras, seed)
    model = filled(drawn(keras, numbers), seed)
    kill(model, numbers)
    model.save(tmp_path / "model.h5")
    artifact, removal = removal_of(tmp_path / "model.h5")
    assert removal is not None
    places = places_of(model, artifact, removal)
    x = np.random.default_rng(seed).normal(0, 1, (3, 12, 12, 3)).astype("f4")
    smaller = without(keras, model, places, x)
    assert removal.size == sum(weight.nbytes for weight in model.get_weights()) - sum(
        weight.nbytes for weight in smaller.get_weights()
    )
    (one,), (other,) = outputs(model, x), outputs(smaller, x)
    assert np.allclose(one, other, rtol=1e-3, atol=1e-3 * max(1, abs(one).max()))


def test_most_drawn_networks_lose_channels(tmp_path: Path) -> None:
    keras = import_module("keras")
    sizes = []
    for seed in SEEDS:
        numbers = seeded(keras, seed)
        model = filled(drawn(keras, numbers), seed)
        kill(model, numbers)
        model.save(tmp_path / f"{seed}.h5")
        _, removal = removal_of(tmp_path / f"{seed}.h5")
        sizes.append(removal.size if removal is not None else 0)
    assert sum(size > 0 for size in sizes) > len(sizes) * 3 // 4
