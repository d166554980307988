"""Graphs of a second grammar: each step takes a layer that fits the shape, and may fork, join or nest."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.public_images import Builder, excited, normalized

_ACTIVATIONS = ("relu", "relu", "relu", "sigmoid", "tanh", "elu", "selu", "swish", "softplus", "hard_sigmoid")


def _activated(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    match draw.randrange(4):
        case 0:
            return layers.ReLU(max_value=draw.choice((None, 6.0)))(x)
        case 1:
            return layers.LeakyReLU(draw.choice((0.1, 0.3)))(x)
        case _:
            return layers.Activation(draw.choice(_ACTIVATIONS))(x)


def _map(library: Any, draw: random.Random, x: Any, depth: int = 0) -> Any:
    """Apply one step to maps of an image."""
    layers, channels = library.layers, x.shape[-1]
    match draw.randrange(11):
        case 0 | 1:
            width = draw.choice((1, 3, 5, (3, 1)))
            x = layers.Conv2D(draw.choice((6, 8, 12)), width, padding="same", use_bias=draw.random() < 0.7)(x)
            return normalized(library, x) if draw.random() < 0.5 else _activated(library, draw, x)
        case 2:
            x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=draw.choice((1, 1, 2)))(x)
            return _activated(library, draw, x)
        case 3:
            return layers.SeparableConv2D(8, 3, padding="same", activation=draw.choice(("relu", None)))(x)
        case 4 if x.shape[1] % 2 == 0 and x.shape[1] >= 8:
            return draw.choice(
                (layers.MaxPooling2D(2), layers.AveragePooling2D(2), layers.Conv2D(8, 2, strides=2))
            )(x)
        case 5:
            return excited(library, x, 4, by_reshape=draw.random() < 0.5)
        case 6:
            padded = layers.ZeroPadding2D(1)(x)
            return layers.Conv2D(channels, 3, activation="relu")(padded)
        case 7 if depth < 2:
            one = _map(library, draw, x, depth + 2)
            if tuple(one.shape) == tuple(x.shape):
                return layers.Add()([x, one])
            two = layers.Conv2D(4, 1)(x)
            return layers.Concatenate()([two, one]) if one.shape[1] == x.shape[1] else one
        case 8 if depth < 2:
            given = layers.Input(x.shape[1:])
            return library.Model(given, _map(library, draw, given, depth + 2))(x)
        case 9 if x.shape[1] <= 16:
            return draw.choice(
                (layers.UpSampling2D(2), layers.Conv2DTranspose(6, 3, strides=2, padding="same"))
            )(x)
        case _:
            return _activated(library, draw, layers.BatchNormalization()(x))


def drawn_map(library: Any, draw: random.Random) -> Any:
    """An image to a class, or to another image."""
    layers, side = library.layers, draw.choice((16, 24))
    given = layers.Input((side, side, draw.choice((1, 3))))
    x = layers.Conv2D(8, 3, padding="same")(given)
    for _ in range(draw.randint(3, 6)):
        x = _map(library, draw, x)
    if draw.random() < 0.3:
        return library.Model(given, layers.Conv2D(2, 1, activation="sigmoid")(x))
    x = draw.choice((layers.GlobalAveragePooling2D, layers.Flatten))()(x)
    return library.Model(given, layers.Dense(draw.choice((2, 6)), activation="softmax")(x))


def _step(library: Any, draw: random.Random, x: Any) -> Any:
    """Apply one step to a sequence."""
    layers, depth = library.layers, x.shape[-1]
    match draw.randrange(9):
        case 0 | 1:
            return layers.Conv1D(
                draw.choice((6, 10)),
                draw.choice((1, 3, 4)),
                padding="same",
                activation=draw.choice(_ACTIVATIONS),
            )(x)
        case 2:
            y = layers.Conv1D(depth, 3, padding="causal", dilation_rate=draw.choice((1, 2)))(x)
            return layers.Add()([x, _activated(library, draw, y)])
        case 3:
            return _activated(library, draw, layers.Dense(draw.choice((6, 10)))(x))
        case 4:
            return draw.choice((layers.LayerNormalization, layers.BatchNormalization))()(x)
        case 5 if x.shape[1] % 2 == 0 and x.shape[1] > 8:
            return draw.choice((layers.MaxPooling1D, layers.AveragePooling1D))(2)(x)
        case 6:
            gate = layers.Dense(depth, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))
            return layers.Multiply()([x, layers.Reshape((1, depth))(gate)])
        case 7:
            return layers.Concatenate()([x, layers.Conv1D(4, 3, padding="same")(x)])
        case _:
            return _activated(library, draw, x)


def drawn_steps(library: Any, draw: random.Random) -> Any:
    """A series or words to a class, or to an output for each step."""
    layers = library.layers
    if draw.random() < 0.4:
        given = layers.Input((24,), dtype="int32")
        x = layers.Embedding(draw.choice((50, 200)), 8)(given)
    else:
        given = layers.Input((24, draw.choice((1, 4, 7))))
        x = layers.Conv1D(8, 3, padding="same")(given)
    for _ in range(draw.randint(2, 5)):
        x = _step(library, draw, x)
    if draw.random() < 0.3:
        return library.Model(given, layers.Dense(3)(x))
    x = draw.choice((layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D, layers.Flatten))()(x)
    return library.Model(given, layers.Dense(2, activation=draw.choice(("softmax", "sigmoid", None)))(x))


def drawn_features(library: Any, draw: random.Random) -> Any:
    """Several inputs of numbers and categories, joined in several ways, with one or two outputs."""
    layers = library.layers
    inputs, held = [], []
    for place in range(draw.randint(1, 3)):
        if draw.random() < 0.5:
            given = layers.Input((draw.choice((3, 8)),), name=f"numbers_{place}")
            held.append(layers.Dense(12, activation=draw.choice(_ACTIVATIONS))(given))
        else:
            given = layers.Input((1,), dtype="int32", name=f"category_{place}")
            held.append(layers.Flatten()(layers.Embedding(draw.choice((20, 90)), 12)(given)))
        inputs.append(given)
    x = held[0]
    for other in held[1:]:
        x = draw.choice((layers.Add, layers.Multiply, layers.Maximum, layers.Average))()([x, other])
    for _ in range(draw.randint(1, 4)):
        y = layers.Dense(12, use_bias=draw.random() < 0.7)(x)
        y = layers.BatchNormalization()(y) if draw.random() < 0.3 else _activated(library, draw, y)
        x = layers.Add()([x, y]) if draw.random() < 0.4 else y
    outs = [layers.Dense(draw.choice((1, 4)))(x) for _ in range(draw.choice((1, 1, 2)))]
    return library.Model(inputs, outs if len(outs) > 1 else outs[0])


PUBLIC_GRAPHS: dict[str, tuple[str, Builder]] = {
    "g-features": ("tables", drawn_features),
    "g-map": ("images", drawn_map),
    "g-steps": ("sequences", drawn_steps),
}
"""The class of each kind of network, and what builds it."""
