"""A third grammar of random networks: a walk from layer to layer, each drawn from all layers that people use
for a tensor of its rank, as often as they use it.

The second grammar draws blocks, whose parts belong together. Here the order of layers is free, as in code
that grew by trying: pooling before an activation, normalization after dropout, noise, cropping and padding
between convolutions. Branches, skips to earlier tensors of the same size, and further inputs come with their
own shares.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.accuracy.third_images import Builder
from benchmarks.accuracy.third_shares import ACTIVATIONS, MAP_LAYERS, SERIES_LAYERS, VECTOR_LAYERS

LARGEST = 1500
"""The longest vector that a dense layer gets, so networks stay small."""


@dataclass
class Walk:
    """A network while it grows: its usual activation, and the tensors that a later layer may join."""

    library: Any
    draw: random.Random
    usual: str
    width: int
    earlier: list[Any] = field(default_factory=list)

    @property
    def k(self) -> Any:
        return self.library.layers

    def chance(self, share: float) -> bool:
        return self.draw.random() < share

    def activation(self) -> str | None:
        """Return the argument of a layer: mostly the usual activation, or none."""
        if self.chance(0.3):
            return None
        return self.usual if self.chance(0.8) else self.draw.choices(*_weighed(ACTIVATIONS))[0]

    def filters(self) -> int:
        return self.width * self.draw.choice((1, 1, 2)) + self.draw.choice((0, 0, 0, 1, 3))

    def one_of(self, shares: dict[str, float]) -> str:
        return self.draw.choices(*_weighed(shares))[0]

    def options(self) -> dict[str, Any]:
        """Return options that change nothing after training, or little."""
        more: dict[str, Any] = {}
        if self.chance(0.15):
            more["kernel_regularizer"] = self.library.regularizers.l2(1e-4)
        if self.chance(0.15):
            more["kernel_initializer"] = self.draw.choice(("he_normal", "he_uniform", "lecun_normal"))
        if self.chance(0.2):
            more["use_bias"] = False
        if self.chance(0.05):
            more["kernel_constraint"] = self.library.constraints.MaxNorm(3)
        return more


def _weighed(shares: dict[str, Any]) -> tuple[list[str], list[float]]:
    return list(shares), list(shares.values())


def _activated(w: Walk, x: Any) -> Any:
    k = w.k
    name = w.one_of(
        {
            "usual": 8,
            "relu": 4,
            "leaky": 3,
            "prelu": 1,
            "elu": 1,
            "relu6": 1,
            "softmax": 0.3,
            "hard": 0.7,
            "named": 2,
        }
    )
    match name:
        case "relu":
            return k.ReLU()(x)
        case "leaky":
            return k.LeakyReLU(w.draw.choice((0.1, 0.2, 0.3)))(x)
        case "prelu":
            return k.PReLU(shared_axes=list(range(1, len(x.shape) - 1)) or None)(x)
        case "elu":
            return k.ELU(w.draw.choice((1.0, 1.0, 0.5)))(x)
        case "relu6":
            return k.ReLU(max_value=6.0)(x)
        case "softmax":
            return k.Softmax()(x)
        case "hard":
            return k.Activation(w.draw.choice(("hard_sigmoid", "softsign")))(x)
        case "named":
            return k.Activation(w.one_of(ACTIVATIONS))(x)
    return k.Activation(w.usual)(x)


def _common(w: Walk, x: Any, name: str) -> Any:
    """Apply a layer that there is for tensors of every rank."""
    k, draw = w.k, w.draw
    match name:
        case "BatchNormalization":
            more = {"momentum": 0.9} if w.chance(0.3) else {}
            if w.chance(0.1):
                more["epsilon"] = 1e-5
            return k.BatchNormalization(**more)(x)
        case "LayerNormalization":
            return k.LayerNormalization(epsilon=draw.choice((1e-3, 1e-6)))(x)
        case "Dense":
            return k.Dense(w.filters(), activation=w.activation(), **w.options())(x)
        case "Dropout":
            return k.Dropout(draw.choice((0.1, 0.2, 0.25, 0.5)))(x)
        case "GaussianNoise":
            return k.GaussianNoise(0.1)(x)
        case "GaussianDropout":
            return k.GaussianDropout(0.1)(x)
        case "AlphaDropout":
            return k.AlphaDropout(0.1)(x)
        case "UnitNormalization":
            return k.UnitNormalization()(x)
        case "ActivityRegularization":
            return k.ActivityRegularization(l2=1e-4)(x)
        case "Rescaling":
            return k.Rescaling(draw.choice((0.5, 2.0)), offset=draw.choice((0.0, -1.0)))(x)
    return _activated(w, x)


def _map_step(w: Walk, x: Any) -> Any:
    k, draw, name = w.k, w.draw, w.one_of(MAP_LAYERS)
    side = min(x.shape[1], x.shape[2])
    padding = draw.choice(("same", "same", "valid")) if side >= 8 else "same"
    match name:
        case "Conv2D":
            more = w.options()
            if w.chance(0.2) and side >= 6:
                more["strides"] = 2
            elif w.chance(0.08) and padding == "same":
                more["dilation_rate"] = 2
            elif w.chance(0.06) and x.shape[-1] % 2 == 0:
                return k.Conv2D(2 * w.width, 3, padding="same", groups=2, activation=w.activation())(x)
            kernel = draw.choices((1, 2, 3, 5, 7, (1, 3), (3, 1)), (4, 1, 12, 3, 1, 1, 1))[0]
            return k.Conv2D(w.filters(), kernel, padding=padding, activation=w.activation(), **more)(x)
        case "SeparableConv2D":
            return k.SeparableConv2D(w.filters(), 3, padding=padding, activation=w.activation())(x)
        case "DepthwiseConv2D":
            more = {"strides": 2} if w.chance(0.25) and side >= 6 else {}
            more["depth_multiplier"] = 2 if w.chance(0.1) and x.shape[-1] < 16 else 1
            kernel = draw.choice((3, 3, 5))
            return k.DepthwiseConv2D(kernel, padding=padding, activation=w.activation(), **more)(x)
        case "Conv2DTranspose" if side <= 24:
            strides = draw.choice((1, 2, 2))
            kernel = draw.choice((2, 3, 4))
            return k.Conv2DTranspose(
                w.filters(), kernel, strides=strides, padding="same", activation=w.activation()
            )(x)
        case "MaxPooling2D" | "AveragePooling2D" if side >= 4:
            size, strides = draw.choice(((2, None), (2, None), (3, 2), (3, 1)))
            return getattr(k, name)(size, strides=strides, padding=padding)(x)
        case "UpSampling2D" if side <= 24:
            return k.UpSampling2D(2, interpolation=draw.choice(("nearest", "nearest", "bilinear")))(x)
        case "ZeroPadding2D":
            return k.ZeroPadding2D(draw.choice((1, (1, 2), ((0, 1), (0, 1)))))(x)
        case "Cropping2D" if side >= 8:
            return k.Cropping2D(draw.choice((1, ((1, 0), (0, 1)))))(x)
        case "SpatialDropout2D":
            return k.SpatialDropout2D(0.2)(x)
        case "GroupNormalization" if x.shape[-1] % 2 == 0:
            return k.GroupNormalization(groups=2)(x)
        case "Resizing":
            return k.Resizing(16, 16, interpolation=draw.choice(("bilinear", "nearest")))(x)
        case "Permute":
            return k.Permute((2, 1, 3))(x)
        case "excited":
            y = k.GlobalAveragePooling2D()(x)
            y = k.Dense(max(x.shape[-1] // 4, 2), activation="relu")(y)
            y = k.Dense(x.shape[-1], activation=draw.choice(("sigmoid", "hard_sigmoid")))(y)
            return k.Multiply()([x, k.Reshape((1, 1, x.shape[-1]))(y)])
    return _common(w, x, name)


def _series_step(w: Walk, x: Any) -> Any:
    k, draw, name = w.k, w.draw, w.one_of(SERIES_LAYERS)
    length = x.shape[1]
    padding = draw.choice(("same", "valid")) if length >= 12 else "same"
    match name:
        case "Conv1D":
            more, kernel = w.options(), draw.choices((1, 3, 5, 7, 9), (2, 8, 5, 3, 1))[0]
            if w.chance(0.25) and length >= 8:
                more["strides"] = 2
            elif w.chance(0.25):
                padding, more["dilation_rate"] = draw.choice(("causal", "same")), draw.choice((1, 2, 4))
            return k.Conv1D(w.filters(), kernel, padding=padding, activation=w.activation(), **more)(x)
        case "SeparableConv1D":
            return k.SeparableConv1D(w.filters(), 3, padding="same", activation=w.activation())(x)
        case "DepthwiseConv1D":
            return k.DepthwiseConv1D(3, padding="same", activation=w.activation())(x)
        case "Conv1DTranspose" if length <= 40:
            return k.Conv1DTranspose(w.filters(), 3, strides=2, padding="same", activation=w.activation())(x)
        case "MaxPooling1D" | "AveragePooling1D" if length >= 6:
            return getattr(k, name)(draw.choice((2, 2, 3)), padding=padding)(x)
        case "UpSampling1D" if length <= 40:
            return k.UpSampling1D(2)(x)
        case "ZeroPadding1D":
            return k.ZeroPadding1D(draw.choice((1, (2, 0))))(x)
        case "Cropping1D" if length >= 8:
            return k.Cropping1D((draw.choice((0, 1)), 1))(x)
        case "SpatialDropout1D":
            return k.SpatialDropout1D(0.2)(x)
        case "TimeDistributed":
            return k.TimeDistributed(k.Dense(w.filters(), activation=w.activation()))(x)
        case "Permute" if length <= 40:
            return k.Permute((2, 1))(x)
        case "MultiHeadAttention" if length <= 40:
            y = k.MultiHeadAttention(num_heads=draw.choice((1, 2, 4)), key_dim=draw.choice((4, 8)))(x, x)
            return k.LayerNormalization()(k.Add()([x, y])) if w.chance(0.7) else y
        case "Attention" if length <= 40:
            return k.Attention()([x, x])
    return _common(w, x, name)


def _vector_step(w: Walk, x: Any) -> Any:
    k, name, size = w.k, w.one_of(VECTOR_LAYERS), x.shape[-1]
    if name == "gated":
        return k.Multiply()([x, k.Dense(size, activation="sigmoid")(x)])
    if name == "reshaped" and size % 4 == 0:
        y = k.Conv1D(8, 3, padding="same", activation=w.activation())(k.Reshape((size // 4, 4))(x))
        return k.Flatten()(y)
    return _common(w, x, name)


STEPS: dict[int, Callable[[Walk, Any], Any]] = {4: _map_step, 3: _series_step, 2: _vector_step}


def _step(w: Walk, x: Any) -> Any:
    """Apply one layer, or a branch of some beside others, and sometimes join an earlier tensor."""
    step, k = STEPS[len(x.shape)], w.k
    if w.chance(0.1):
        ends = [step(w, step(w, x)), step(w, x) if w.chance(0.5) else x]
        x = _joined(w, ends)
    elif w.chance(0.06):  # one layer, applied twice
        layer = k.Dense(x.shape[-1], activation=w.usual)
        x = layer(layer(x))
    else:
        x = step(w, x)
    if w.earlier and w.chance(0.15):
        alike = [one for one in w.earlier if one.shape[1:-1] == x.shape[1:-1] and one is not x]
        if alike:
            x = _joined(w, [x, w.draw.choice(alike)])
    w.earlier.append(x)
    return x


def _joined(w: Walk, ends: list[Any]) -> Any:
    """Merge tensors that are equal in shape or in all but the last axis; else keep the first."""
    k = w.k
    if ends[0].shape == ends[1].shape and ends[0] is not ends[1] and w.chance(0.7):
        name = w.one_of({"Add": 10, "Multiply": 3, "Average": 2, "Maximum": 1, "Minimum": 0.5, "Subtract": 1})
        return getattr(k, name)()(ends)
    if ends[0].shape[1:-1] == ends[1].shape[1:-1]:
        return k.Concatenate()(ends)
    return ends[0]


def _flat(w: Walk, x: Any) -> Any:
    """Return a vector of a map or a series, by pooling or by flattening."""
    k, rank = w.k, len(x.shape)
    if rank == 2:
        return x
    size = 1
    for axis in x.shape[1:]:
        size *= axis
    if size <= LARGEST and w.chance(0.5):
        return k.Flatten()(x)
    name = w.one_of({"GlobalAveragePooling": 3, "GlobalMaxPooling": 1})
    y = getattr(k, f"{name}{rank - 2}D")()(x)
    if w.chance(0.1):
        other = "GlobalMaxPooling" if name == "GlobalAveragePooling" else "GlobalAveragePooling"
        y = k.Concatenate()([y, getattr(k, f"{other}{rank - 2}D")()(x)])
    return y


def _finished(w: Walk, inputs: list[Any], x: Any) -> Any:
    """Add another input, layers after flattening and one or two outputs."""
    k, draw = w.k, w.draw
    x = _flat(w, x)
    if w.chance(0.15):
        given = w.library.Input((draw.choice((3, 8)),), name="more")
        inputs.append(given)
        x = k.Concatenate()([x, k.Dense(8, activation=w.usual)(given) if w.chance(0.5) else given])
    for _ in range(draw.choice((0, 1, 1, 2))):
        x = _vector_step(w, x)
    outs = []
    for _ in range(draw.choices((1, 2), (6, 1))[0]):
        many, last = draw.choice(
            ((10, "softmax"), (4, "softmax"), (1, "sigmoid"), (1, None), (6, None), (3, "sigmoid"))
        )
        y = k.Dense(many, activation=None if w.chance(0.2) else last)(x)
        outs.append(k.Softmax()(y) if last == "softmax" and w.chance(0.1) else y)
    return w.library.Model(inputs if len(inputs) > 1 else inputs[0], outs if len(outs) > 1 else outs[0])


def _walk(library: Any, draw: random.Random, widths: tuple[int, ...]) -> Walk:
    return Walk(library, draw, draw.choices(*_weighed(ACTIVATIONS))[0], draw.choice(widths))


def walked_image(library: Any, draw: random.Random) -> Any:
    """An image to classes or to a map."""
    w, k = _walk(library, draw, (6, 8, 12, 16)), library.layers
    given = library.Input((draw.choice((20, 24, 28, 32)), draw.choice((24, 28, 32)), draw.choice((1, 3, 3))))
    x = given
    if w.chance(0.3):
        x = k.Rescaling(1 / 255.0)(x) if w.chance(0.5) else k.Rescaling(1 / 127.5, offset=-1)(x)
    if w.chance(0.1):
        x = k.RandomFlip("horizontal")(x)
    x = k.Conv2D(w.width, 3, strides=draw.choice((1, 2)), padding="same", activation=w.activation())(x)
    for _ in range(draw.randint(4, 11)):
        x = _step(w, x)
    if w.chance(0.2):
        return library.Model(
            given, k.Conv2D(draw.choice((1, 3)), 1, activation=draw.choice(("sigmoid", "tanh", None)))(x)
        )
    return _finished(w, [given], x)


def walked_series(library: Any, draw: random.Random) -> Any:
    """A series to classes, to a number or to a series."""
    w, k = _walk(library, draw, (8, 12, 16, 24)), library.layers
    given = library.Input((draw.choice((24, 48, 60, 100)), draw.choice((1, 3, 6, 13))))
    x = given
    if w.chance(0.15):
        x = k.Normalization(mean=0.2, variance=1.5)(x)
    for _ in range(draw.randint(4, 9)):
        x = _step(w, x)
    if w.chance(0.2):
        return library.Model(given, k.Conv1D(draw.choice((1, 4)), 1)(x))
    return _finished(w, [given], x)


def walked_words(library: Any, draw: random.Random) -> Any:
    """Words to classes."""
    w, k = _walk(library, draw, (8, 12, 16)), library.layers
    given = library.Input((draw.choice((12, 20, 32)),), dtype=draw.choice(("int32", "float32", "int64")))
    x = k.Embedding(draw.choice((100, 250, 500)), draw.choice((8, 16)))(given)
    for _ in range(draw.randint(1, 6)):
        x = _step(w, x)
    return _finished(w, [given], x)


def walked_table(library: Any, draw: random.Random) -> Any:
    """A row of numbers to classes or to numbers."""
    w, k = _walk(library, draw, (8, 16, 24, 32, 64)), library.layers
    given = library.Input((draw.choice((4, 9, 16, 30)),))
    x = given
    if w.chance(0.25):
        x = k.Normalization(mean=0.5, variance=3.0)(x)
    for _ in range(draw.randint(3, 8)):
        x = _step(w, x)
    return _finished(w, [given], x)


THIRD_GRAPHS: dict[str, tuple[str, Builder]] = {
    "g-image": ("grammar-images", walked_image),
    "g-series": ("grammar-sequences", walked_series),
    "g-table": ("grammar-tables", walked_table),
    "g-words": ("grammar-text", walked_words),
}
"""The class of each kind of network, and what builds it."""
