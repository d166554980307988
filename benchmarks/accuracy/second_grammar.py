"""A second grammar of random networks: stages of blocks with branches, merges, shared layers and nested
models, whose widths, kernels, strides, paddings and activations are drawn for each network.

A network draws its habits first (`Habits`): the activation and the normalization that most of its blocks
have, whether convolutions have biases, how wide it is. Each block then keeps to them or not, as in code that
a person wrote, where the first set's grammars draw each layer by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.accuracy.second_images import Builder


@dataclass
class Habits:
    """What the blocks of one network have in common."""

    library: Any
    draw: random.Random
    activation: str
    normalization: str
    has_bias: bool
    width: int
    is_named: bool
    named: int = 0

    @property
    def k(self) -> Any:
        return self.library.layers

    def chance(self, share: float) -> bool:
        return self.draw.random() < share

    def name(self, what: str) -> dict[str, str]:
        """Return a name for a layer, in networks whose layers have names."""
        if not self.is_named:
            return {}
        self.named += 1
        return {"name": f"{what}_{self.named}"}

    def activated(self, x: Any) -> Any:
        """Apply the usual activation, as a layer or as an argument of one."""
        if self.activation == "leaky":
            return self.k.LeakyReLU(0.2)(x)
        if self.activation == "prelu":
            return self.k.PReLU(shared_axes=list(range(1, len(x.shape) - 1)) or None)(x)
        if self.activation == "relu6":
            return self.k.ReLU(6.0, **self.name("relu6"))(x)
        if self.activation == "relu" and self.chance(0.5):
            return self.k.ReLU(**self.name("relu"))(x)
        return self.k.Activation(self.activation, **self.name("act"))(x)

    def normalized(self, x: Any) -> Any:
        """Apply the usual normalization."""
        if self.normalization == "batch":
            return self.k.BatchNormalization(**self.name("bn"))(x)
        if self.normalization == "layer":
            return self.k.LayerNormalization(**self.name("ln"))(x)
        return x

    def finished(self, x: Any) -> Any:
        """Normalize and activate, in one order or the other."""
        if self.chance(0.15):
            return self.normalized(self.activated(x))
        x = self.activated(self.normalized(x))
        return self.k.Dropout(0.1)(x) if self.chance(0.1) else x


def habits(library: Any, draw: random.Random, widths: tuple[int, ...]) -> Habits:
    """Draw what the blocks of a network have in common."""
    activation = draw.choices(
        ("relu", "swish", "gelu", "elu", "tanh", "relu6", "leaky", "prelu", "sigmoid", "softplus"),
        (9, 3, 2, 2, 2, 2, 2, 1, 1, 1),
    )[0]
    normalization = draw.choices(("batch", "none", "layer"), (5, 3, 1))[0]
    return Habits(
        library,
        draw,
        activation,
        normalization,
        draw.random() < 0.6,
        draw.choice(widths),
        draw.random() < 0.3,
    )


def _merged(h: Habits, one: Any, two: Any) -> Any:
    """Merge two tensors of one shape, or two that differ in their last axis."""
    k, pair = h.k, [one, two]
    if tuple(one.shape) == tuple(two.shape) and h.chance(0.75):
        layer = h.draw.choices((k.Add, k.Multiply, k.Average, k.Maximum, k.Subtract), (8, 3, 1, 1, 1))[0]
        return layer(**h.name("merge"))(pair)
    return k.Concatenate(**h.name("concat"))(pair)


Step = Callable[[Habits, Any], Any]


def _repeated(h: Habits, x: Any, step: Step) -> Any:
    """Apply one block inside a nested model to a tensor, and sometimes to what comes out of it again."""
    given = h.library.Input(x.shape[1:])
    out = step(h, given)
    inner = h.library.Model(given, out, **h.name("inner"))
    y = inner(x)
    if tuple(out.shape[1:]) == tuple(x.shape[1:]) and h.chance(0.5):
        y = inner(y)
    return y


# Maps of an image.


def _convolved(h: Habits, x: Any) -> Any:
    width = h.draw.choice((1, 2, 3, 3, 4, 5))
    more = {"padding": h.draw.choice(("same", "same", "valid"))} if x.shape[1] > 8 else {"padding": "same"}
    if h.chance(0.15) and more["padding"] == "same" and x.shape[1] is not None:
        more["dilation_rate"] = 2
    y = h.k.Conv2D(h.draw.choice((1, 2)) * h.width, width, use_bias=h.has_bias, **more, **h.name("conv"))(x)
    return h.finished(y)


def _depthwise(h: Habits, x: Any) -> Any:
    kernel = h.draw.choice((3, 3, 5, (1, 3)))
    y = h.k.DepthwiseConv2D(kernel, padding="same", use_bias=h.has_bias, **h.name("dw"))(x)
    y = h.finished(y)
    return h.finished(h.k.Conv2D(h.width, 1, use_bias=h.has_bias, **h.name("pw"))(y))


def _separable(h: Habits, x: Any) -> Any:
    return h.finished(h.k.SeparableConv2D(h.width, 3, padding="same", use_bias=h.has_bias)(x))


def _halved(h: Habits, x: Any) -> Any:
    k = h.k
    if x.shape[1] < 6:
        return h.activated(x)
    match h.draw.randrange(5):
        case 0:
            return k.MaxPooling2D(h.draw.choice((2, 3)), strides=2, padding=h.draw.choice(("same", "valid")))(
                x
            )
        case 1:
            return k.AveragePooling2D(2, padding=h.draw.choice(("same", "valid")))(x)
        case 2:
            y = k.Conv2D(2 * h.width, 3, strides=2, padding="same", use_bias=h.has_bias, **h.name("down"))(x)
            return h.finished(y)
        case 3:
            padded = k.ZeroPadding2D(((0, 1), (0, 1)))(x)
            return h.finished(k.DepthwiseConv2D(3, strides=2, padding="valid", use_bias=False)(padded))
        case _:
            y = k.Conv2D(h.width, 5, strides=2, padding="valid", activation="relu", **h.name("down"))(x)
            return y if y.shape[1] > 1 else x


def _residual(h: Habits, x: Any) -> Any:
    depth = x.shape[-1]
    y = h.finished(h.k.Conv2D(h.width, 3, padding="same", use_bias=h.has_bias, **h.name("res"))(x))
    y = h.k.Conv2D(depth, h.draw.choice((1, 3)), padding="same", use_bias=h.has_bias, **h.name("res"))(y)
    return h.activated(_merged(h, x, h.normalized(y)))


def _gate(h: Habits, x: Any) -> Any:
    """Weigh channels by their means, in one of three ways."""
    k, depth = h.k, x.shape[-1]
    if h.chance(0.4):
        y = k.GlobalAveragePooling2D(keepdims=True)(x)
        y = k.Conv2D(max(depth // 4, 2), 1, activation="relu")(y)
        return k.Multiply()([x, k.Conv2D(depth, 1, activation="sigmoid")(y)])
    y = k.Dense(max(depth // 4, 2), activation=h.draw.choice(("relu", "swish")))(
        k.GlobalAveragePooling2D()(x)
    )
    y = k.Dense(depth, activation=h.draw.choice(("sigmoid", "sigmoid", "tanh")))(y)
    return k.Multiply()([k.Reshape((1, 1, depth))(y), x])


def _forked(h: Habits, x: Any) -> Any:
    """Two or three branches from one tensor, whose first layers may be the same layer."""
    k, ends = h.k, []
    shared = k.Conv2D(h.width, 1, padding="same", **h.name("shared")) if h.chance(0.3) else None
    for place in range(h.draw.choice((2, 2, 3))):
        y = shared(x) if shared is not None else k.Conv2D(h.width, 1, use_bias=h.has_bias)(x)
        if place:
            y = k.Conv2D(h.width, (1, 3) if h.chance(0.3) else 3, padding="same", use_bias=h.has_bias)(y)
        ends.append(h.activated(y))
    out = ends[0]
    for end in ends[1:]:
        out = _merged(h, out, end)
    return out


def _doubled(h: Habits, x: Any) -> Any:
    """Scale up, merge with a convolution of the same size."""
    k = h.k
    if x.shape[1] > 16:
        return h.activated(x)
    if h.chance(0.5):
        y = k.UpSampling2D(2, interpolation=h.draw.choice(("nearest", "bilinear")))(x)
        return h.finished(k.Conv2D(h.width, 3, padding="same", use_bias=h.has_bias)(y))
    y = k.Conv2DTranspose(h.width, h.draw.choice((2, 3, 4)), strides=2, padding="same", use_bias=h.has_bias)(
        x
    )
    return h.finished(y)


_MAPS: tuple[Step, ...] = (_convolved, _depthwise, _separable, _halved, _residual, _gate, _forked, _doubled)
_MAP_SHARES = (6, 4, 2, 5, 4, 2, 3, 1)


def _map_step(h: Habits, x: Any) -> Any:
    return h.draw.choices(_MAPS, _MAP_SHARES)[0](h, x)


def grown_map(library: Any, draw: random.Random) -> Any:
    """Images, one or two, to classes, numbers or maps."""
    h, k = habits(library, draw, (6, 8, 12, 16)), library.layers
    side, channels = draw.choice((20, 28, 32, 40)), draw.choice((1, 3, 3, 4))
    inputs = [library.Input((side, side, channels))]
    x = k.Rescaling(1 / 255.0)(inputs[0]) if draw.random() < 0.25 else inputs[0]
    x = h.finished(k.Conv2D(h.width, draw.choice((3, 5)), strides=draw.choice((1, 2)), padding="same")(x))
    if draw.random() < 0.15:
        inputs.append(library.Input((side, side, 1), name="second"))
        y = k.Conv2D(h.width, 3, strides=side // x.shape[1], padding="same")(inputs[1])
        x = _merged(h, x, h.activated(y))
    for _ in range(draw.randint(2, 5)):
        x = _repeated(h, x, _map_step) if draw.random() < 0.15 else _map_step(h, x)
    if draw.random() < 0.2:
        return library.Model(inputs, k.Conv2D(draw.choice((1, 4)), 1, activation="sigmoid")(x))
    x = draw.choice((k.GlobalAveragePooling2D, k.GlobalAveragePooling2D, k.GlobalMaxPooling2D, k.Flatten))()(
        x
    )
    outs = [k.Dense(draw.choice((2, 10)), activation="softmax", name="label")(x)]
    if draw.random() < 0.2:
        outs.append(k.Dense(4, name="box")(x))
    return library.Model(inputs, outs)


# Sequences.


def _steps_convolved(h: Habits, x: Any) -> Any:
    padding = h.draw.choice(("same", "causal", "valid")) if x.shape[1] > 10 else "same"
    rate = h.draw.choice((1, 1, 1, 2, 3)) if padding == "causal" else 1
    y = h.k.Conv1D(
        h.width, h.draw.choice((1, 3, 5)), padding=padding, dilation_rate=rate, use_bias=h.has_bias
    )(x)
    return h.finished(y)


def _steps_residual(h: Habits, x: Any) -> Any:
    y = h.finished(h.k.Conv1D(h.width, 3, padding="same", use_bias=h.has_bias, **h.name("conv"))(x))
    return _merged(h, x, h.k.Conv1D(x.shape[-1], 1, **h.name("conv"))(y))


def _steps_gated(h: Habits, x: Any) -> Any:
    k = h.k
    value = k.Conv1D(h.width, 3, padding="causal", activation="tanh")(x)
    return k.Multiply()([value, k.Conv1D(h.width, 3, padding="causal", activation="sigmoid")(x)])


def _steps_dense(h: Habits, x: Any) -> Any:
    return h.finished(h.k.Dense(h.width, use_bias=h.has_bias, **h.name("dense"))(x))


def _steps_halved(h: Habits, x: Any) -> Any:
    if x.shape[1] < 8:
        return h.activated(x)
    if h.chance(0.3):
        return h.finished(h.k.Conv1D(h.width, 4, strides=2, padding="same")(x))
    return h.draw.choice((h.k.MaxPooling1D, h.k.AveragePooling1D))(2)(x)


def _steps_mixed(h: Habits, x: Any) -> Any:
    """Dense layers over the steps, by turning the axes."""
    y = h.k.Permute((2, 1))(h.normalized(x))
    y = h.k.Dense(x.shape[1], activation=h.draw.choice(("relu", "gelu", None)))(y)
    return _merged(h, x, h.k.Permute((2, 1))(y))


def _steps_attended(h: Habits, x: Any) -> Any:
    heads = h.draw.choice((1, 2))
    y = h.k.MultiHeadAttention(num_heads=heads, key_dim=h.draw.choice((4, 8)), **h.name("mha"))(x, x)
    return h.k.LayerNormalization()(h.k.Add()([x, y]))


_STEPS: tuple[Step, ...] = (
    _steps_convolved,
    _steps_residual,
    _steps_gated,
    _steps_dense,
    _steps_halved,
    _steps_mixed,
)
_STEP_SHARES = (6, 4, 2, 3, 3, 2)


def _sequence_step(h: Habits, x: Any) -> Any:
    return h.draw.choices(_STEPS, _STEP_SHARES)[0](h, x)


def _attention_step(h: Habits, x: Any) -> Any:
    return _steps_attended(h, x) if h.chance(0.5) else _sequence_step(h, x)


def _read(library: Any, draw: random.Random, h: Habits) -> tuple[list[Any], Any]:
    """Return inputs of words or of a series, and what the first layer makes of them."""
    k, length = library.layers, draw.choice((16, 20, 32, 50))
    if draw.random() < 0.4:
        given = library.Input((length,), dtype=draw.choice(("int32", "int64", "float32")))
        return [given], k.Embedding(draw.choice((64, 150, 400)), h.width)(given)
    given = library.Input((length, draw.choice((1, 3, 6, 12))))
    return [given], k.Conv1D(h.width, draw.choice((1, 3)), padding="same")(given)


def _grown_sequence(library: Any, draw: random.Random, step: Step) -> Any:
    h, k = habits(library, draw, (8, 12, 16)), library.layers
    inputs, x = _read(library, draw, h)
    for _ in range(draw.randint(2, 4)):
        x = _repeated(h, x, step) if draw.random() < 0.15 else step(h, x)
    if draw.random() < 0.25:
        return library.Model(inputs, k.Dense(draw.choice((1, 5)))(x))
    if draw.random() < 0.2:
        x = k.Concatenate()([k.GlobalAveragePooling1D()(x), k.GlobalMaxPooling1D()(x)])
    else:
        x = draw.choice((k.GlobalAveragePooling1D, k.GlobalMaxPooling1D, k.Flatten))()(x)
    x = h.activated(k.Dense(2 * h.width)(x)) if draw.random() < 0.5 else x
    return library.Model(inputs, k.Dense(draw.choice((1, 4)), activation=draw.choice(("sigmoid", None)))(x))


def grown_sequence(library: Any, draw: random.Random) -> Any:
    """A series or words to a class, or to an output for each step."""
    return _grown_sequence(library, draw, _sequence_step)


def grown_attention(library: Any, draw: random.Random) -> Any:
    """The same with attention among the blocks."""
    return _grown_sequence(library, draw, _attention_step)


# Vectors.


def _vector_step(h: Habits, x: Any) -> Any:
    """Apply one block of dense layers."""
    k, width = h.k, x.shape[-1]
    match h.draw.randrange(6):
        case 0 | 1:
            return h.finished(
                k.Dense(h.draw.choice((1, 2)) * h.width, use_bias=h.has_bias, **h.name("fc"))(x)
            )
        case 2:
            y = k.Dense(width)(h.finished(k.Dense(h.width)(h.normalized(x))))
            return k.Add()([x, y])
        case 3:
            return _merged(h, x, k.Dense(width, activation="sigmoid")(x))
        case 4:
            parts = [k.Dense(h.width, activation=h.draw.choice(("relu", "tanh", None)))(x) for _ in range(2)]
            return _merged(h, *parts)
        case _:
            shared = k.Dense(width, activation="relu", **h.name("shared"))
            return _merged(h, shared(x), shared(shared(x)))


def grown_vector(library: Any, draw: random.Random) -> Any:
    """One to three inputs of numbers or of categories to one or two outputs."""
    h, k = habits(library, draw, (8, 16, 24, 32)), library.layers
    inputs, parts = [], []
    for place in range(draw.choices((1, 2, 3), (5, 3, 2))[0]):
        if draw.random() < 0.7:
            given = library.Input((draw.choice((4, 10, 25)),), name=f"numbers_{place}")
            parts.append(h.activated(k.Dense(h.width)(given)) if draw.random() < 0.7 else given)
        else:
            length = draw.choice((1, 1, 5))
            given = library.Input((length,), dtype="int32", name=f"ids_{place}")
            x = k.Embedding(draw.choice((30, 100)), draw.choice((4, 8)))(given)
            parts.append(
                k.Flatten()(x) if length == 1 or draw.random() < 0.5 else k.GlobalAveragePooling1D()(x)
            )
        inputs.append(given)
    x = k.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for _ in range(draw.randint(2, 5)):
        x = _repeated(h, x, _vector_step) if draw.random() < 0.2 else _vector_step(h, x)
    outs = [k.Dense(draw.choice((1, 3)), activation=draw.choice(("softmax", "sigmoid", None)))(x)]
    if draw.random() < 0.25:
        outs.append(k.Dense(1)(h.activated(k.Dense(8)(x))))
    return library.Model(inputs, outs)


SECOND_GRAPHS: dict[str, tuple[str, Builder]] = {
    "r-attention": ("grammar-attention", grown_attention),
    "r-map": ("grammar-images", grown_map),
    "r-sequence": ("grammar-sequences", grown_sequence),
    "r-vector": ("grammar-tables", grown_vector),
}
"""The class of each kind of network, and what builds it."""
