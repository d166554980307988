"""What the tool says that dead channels would save, against networks that are really built without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.surgery import filled, places_of, removal_of, seeded, without, zeroed

pytestmark = pytest.mark.tensorflow
Zeros = tuple[str, str, int, tuple[int, ...]] | tuple[str, str, int, tuple[int, ...], float]


@dataclass(frozen=True)
class Network:
    """How a network is built, what is zeroed or set in it, and how many channels each layer must lose by
    that.
    """

    build: Callable[[Any, Any], Any]
    dead: tuple[Zeros, ...]
    lost: Mapping[str, int]


def chain(keras: Any, layers: Any) -> Any:
    parts = [
        layers.Dense(24, activation="tanh", name="a"),
        layers.Dropout(0.3),
        layers.Dense(16, activation="relu", name="b"),
    ]
    return keras.Sequential([layers.Input((12,)), *parts, layers.Dense(5, activation="softmax", name="c")])


def convolutions(keras: Any, layers: Any) -> Any:
    parts = [
        layers.Conv2D(8, 3, padding="same", use_bias=False, name="a"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3, name="b", activation="relu"),
        layers.Flatten(),
        layers.Dense(10, name="c", activation="relu"),
        layers.Dense(4, name="d"),
    ]
    return keras.Sequential([layers.Input((10, 10, 3)), *parts])


def separable(keras: Any, layers: Any) -> Any:
    given = layers.Input((8, 8, 4))
    x = layers.Conv2D(6, 1, activation="relu", name="a")(given)
    x = layers.DepthwiseConv2D(3, name="deep")(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.SeparableConv2D(7, 3, activation="relu", name="b")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(3, name="c")(x))


def residual(keras: Any, layers: Any) -> Any:
    given = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(given)
    y = layers.Conv2D(8, 3, padding="same", activation="relu", name="b")(x)
    y = layers.Conv2D(8, 3, padding="same", name="c")(y)
    x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model(given, layers.Dense(3, name="d")(x))


def joined(keras: Any, layers: Any) -> Any:
    given = layers.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, activation="relu", name="a")(given)
    y = layers.Conv2D(6, 3, activation="relu", name="b")(given)
    x = layers.Concatenate()([x, y])
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(4, 3, name="c")(x)
    return keras.Model(given, layers.Dense(3, name="d")(layers.Flatten()(x)))


def forked(keras: Any, layers: Any) -> Any:
    given = layers.Input((12,))
    x = layers.Dense(9, activation="relu", name="a")(given)
    return keras.Model(given, [layers.Dense(4, name="b")(x), layers.Dense(5, name="c")(x)])


def gated(keras: Any, layers: Any) -> Any:
    """A block that weighs channels by what it sees of them all, as in SENet and EfficientNet."""
    given = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="a")(given)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(4, 1, activation="relu", name="squeeze")(y)
    y = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(y)
    x = layers.Multiply()([x, y])
    x = layers.Conv2DTranspose(5, 3, strides=2, name="b")(x)
    return keras.Model(given, layers.Conv2D(2, 1, name="c")(x))


def words(keras: Any, layers: Any) -> Any:
    parts = [
        layers.Embedding(30, 12, name="table"),
        layers.Conv1D(8, 3, name="a", activation="elu"),
        layers.GlobalAveragePooling1D(),
    ]
    return keras.Sequential([layers.Input((9,)), *parts, layers.Dense(4, name="b")])


def normalized(keras: Any, layers: Any) -> Any:
    """The second convolution has no bias: the normalization behind it takes what a constant channel adds."""
    parts = [
        layers.Conv2D(6, 3, name="a", activation="relu"),
        layers.Conv2D(5, 3, use_bias=False, name="b"),
        layers.BatchNormalization(name="norm"),
    ]
    return keras.Sequential([layers.Input((9, 9, 2)), *parts, layers.Flatten(), layers.Dense(3, name="c")])


NETWORKS: dict[str, Network] = {
    "a column, whose constant goes into the bias behind": Network(
        chain, (("a", "kernel", 1, (0, 7)),), {"a": 2}
    ),
    "a row that reads nothing": Network(chain, (("b", "kernel", 0, (3, 4, 5)),), {"a": 3}),
    "rows and columns, some of the same channel": Network(
        chain,
        (
            ("a", "kernel", 1, (1, 2)),
            ("b", "kernel", 0, (2, 3)),
            ("b", "kernel", 1, (9,)),
            ("c", "kernel", 0, (1,)),
        ),
        {"a": 3, "b": 2},
    ),
    "a layer of zeros makes and reads one channel still": Network(
        chain, (("b", "kernel", 1, tuple(range(16))),), {"a": 23, "b": 15}
    ),
    "the model's outputs stay": Network(chain, (("c", "kernel", 1, (0, 2)),), {}),
    "the model's inputs stay": Network(chain, (("a", "kernel", 0, (0, 2)),), {}),
    "filters, normalized to less than zero, and to more before a bias": Network(
        convolutions,
        (
            ("a", "kernel", 3, (0, 5)),
            ("norm", "beta", 0, (0, 5), -3.0),
            ("norm", "moving_mean", 0, (0, 5)),
            ("b", "kernel", 3, (2,)),
            ("c", "kernel", 0, tuple(range(4, 54, 6))),
        ),
        {"a": 2, "b": 2},
    ),
    "a constant that is not zero goes into a convolution without padding": Network(
        convolutions,
        (("a", "kernel", 3, (1,)), ("norm", "beta", 0, (1,), 2.0), ("norm", "moving_mean", 0, (1,))),
        {"a": 1},
    ),
    "one position that nobody reads is no channel": Network(convolutions, (("c", "kernel", 0, (4,)),), {}),
    "filters of depth": Network(
        separable,
        (
            ("deep", "depthwise_kernel", 2, (3,)),
            ("deep", "bias", 0, (3,)),
            ("b", "pointwise_kernel", 3, (0, 6)),
        ),
        {"a": 1, "b": 2},
    ),
    "a constant does not go through padding": Network(
        separable, (("a", "kernel", 3, (2,)), ("deep", "bias", 0, (2,), 4.0)), {}
    ),
    "both branches of a sum": Network(
        residual,
        (
            ("a", "kernel", 3, (1, 2)),
            ("a", "bias", 0, (1, 2), -1.0),
            ("c", "kernel", 3, (1, 4)),
            ("c", "bias", 0, (1, 4)),
            ("b", "kernel", 3, (6,)),
            ("b", "bias", 0, (6,)),
        ),
        {"a": 1, "b": 1, "c": 1},
    ),
    "a channel that two layers read": Network(
        forked,
        (("b", "kernel", 0, (0, 1, 2)), ("c", "kernel", 0, (2, 3)), ("a", "kernel", 1, (8,))),
        {"a": 2},
    ),
    "parts of what is joined": Network(
        joined, (("a", "kernel", 3, (0,)), ("c", "kernel", 2, (5, 6, 10))), {"a": 1, "b": 3}
    ),
    "what is multiplied by zero": Network(
        gated,
        (
            ("a", "kernel", 3, (2, 3)),
            ("a", "bias", 0, (2, 3), -0.5),
            ("squeeze", "kernel", 3, (1,)),
            ("b", "kernel", 2, (4,)),
        ),
        {"a": 2, "excite": 2, "squeeze": 1, "b": 1},
    ),
    "a constant does not go through a transposed convolution": Network(
        gated, (("excite", "kernel", 3, (2,)), ("a", "kernel", 3, (2,)), ("a", "bias", 0, (2,), 1.0)), {}
    ),
    "columns of an embedding": Network(
        words, (("table", "embeddings", 1, (0, 11)), ("b", "kernel", 0, (5,))), {"table": 2, "a": 1}
    ),
    "a normalization takes the place of a bias": Network(
        normalized, (("a", "kernel", 3, (3,)), ("a", "bias", 0, (3,), 1.5)), {"a": 1}
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_the_smaller_network_computes_the_same_and_has_as_many_bytes_less(
    package: str, name: str, tmp_path: Path
) -> None:
    network, keras = NETWORKS[name], import_module(package)
    seeded(keras, 11)
    model = filled(network.build(keras, keras.layers), 12)
    for each in network.dead:
        zeroed(model, *each)
    model.save(tmp_path / "model.h5")
    artifact, removal = removal_of(tmp_path / "model.h5")
    assert removal is not None
    places = places_of(model, artifact, removal)
    assert lost(model, places) == network.lost

    x = inputs(model)
    smaller = without(keras, model, places, x)
    assert removal.size == sum(weight.nbytes for weight in model.get_weights()) - sum(
        weight.nbytes for weight in smaller.get_weights()
    )
    assert (removal.size > 0) is bool(network.lost)
    for one, other in zip(outputs(model, x), outputs(smaller, x), strict=True):
        assert np.ptp(one) > 1e-4
        assert np.allclose(one, other, rtol=1e-3, atol=1e-4)


def lost(model: Any, places: Any) -> dict[str, int]:
    """Count the channels that the kernels of each layer no longer make."""
    found = {}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("Dense", "Embedding", "Conv1D", "Conv2D", "Conv2DTranspose", "SeparableConv2D"):
            kernel = 1 if kind.startswith("Separable") else 0
            axis = layer.get_weights()[kernel].ndim - (2 if kind.endswith("Transpose") else 1)
            found[layer.name] = len(places[layer.name][kernel].get(axis, ()))
    return {name: count for name, count in found.items() if count}


def inputs(model: Any, seed: int = 3) -> Any:
    numbers, shape = np.random.default_rng(seed), (4, *model.input_shape[1:])
    if any(type(layer).__name__ == "Embedding" for layer in model.layers):
        return numbers.integers(0, 30, shape)
    return numbers.normal(0, 1, shape).astype("f4")


def outputs(model: Any, x: Any) -> list[Any]:
    found = model(x)
    return [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]
