"""Small networks of the third set whose code computes with tensors between layers: operators and functions of
TensorFlow in Keras 2, and of ``keras.ops`` in Keras 3.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def _called(library: Any, two: str, three: str) -> Any:
    """Return a function by its name in TensorFlow or in ``keras.ops``."""
    if library.__name__ == "keras":
        return getattr(library.ops, three)
    import tensorflow as tf

    found: Any = tf
    for part in two.split("."):
        found = getattr(found, part)
    return found


def scaled_input(library: Any, draw: random.Random) -> Any:
    """Pixels scaled by operators before the first convolution."""
    k = library.layers
    given = library.Input((40, 40, 3))
    x = given / 127.5 - 1.0 if draw.random() < 0.5 else given / 255.0
    x = k.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x)
    x = k.ReLU()(k.BatchNormalization()(x))
    for filters in (16, 24):
        x = k.SeparableConv2D(filters, 3, padding="same", activation="relu")(x)
        x = k.MaxPooling2D()(x)
    x = k.Dropout(0.2)(k.GlobalAveragePooling2D()(x))
    return library.Model(given, k.Dense(3)(x))


def hard_swish(library: Any, draw: random.Random) -> Any:
    """The blocks of MobileNetV3 with their activations written out (Howard, 2019)."""
    k, relu6 = library.layers, _called(library, "nn.relu6", "relu6")

    def swish(x: Any) -> Any:
        return x * (relu6(x + 3.0) / 6.0) if draw.random() < 0.5 else x * relu6(x + 3.0) * (1.0 / 6.0)

    def excited(x: Any) -> Any:
        depth = x.shape[-1]
        y = k.Reshape((1, 1, depth))(k.GlobalAveragePooling2D()(x))
        y = k.Conv2D(depth, 1)(k.Conv2D(depth // 4, 1, activation="relu")(y))
        return k.Multiply()([x, relu6(y + 3.0) / 6.0])

    given = library.Input((40, 40, 3))
    x = swish(k.BatchNormalization()(k.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(given)))
    for wide, filters, strides, has in ((24, 12, 2, True), (32, 12, 1, False))[: draw.randint(1, 2)]:
        y = swish(k.BatchNormalization()(k.Conv2D(wide, 1, use_bias=False)(x)))
        y = k.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
        y = swish(k.BatchNormalization()(y))
        y = excited(y) if has else y
        y = k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(y))
        x = x + y if strides == 1 else y
    x = swish(k.Conv2D(32, 1)(k.GlobalAveragePooling2D(keepdims=True)(x)))
    return library.Model(given, k.Dense(5, activation="softmax")(k.Flatten()(x)))


def last_step(library: Any, draw: random.Random) -> Any:
    """A residual chain of causal convolutions, of which only the last step is read."""
    k = library.layers
    given = library.Input((32, 4))
    x = k.Conv1D(12, 1)(given)
    for rate in (1, 2, 4):
        y = k.Conv1D(12, 3, padding="causal", dilation_rate=rate, activation="relu")(x)
        x = x + k.Dropout(0.1)(y)
    x = x[:, -1, :] if draw.random() < 0.5 else x[:, -1]
    return library.Model(given, k.Dense(2)(x))


def sines(library: Any, draw: random.Random) -> Any:
    """A place to a color by sines after each dense layer (Sitzmann, 2020)."""
    k, sin = library.layers, _called(library, "sin", "sin")
    given = library.Input((2,))
    x = sin(30.0 * k.Dense(32)(given))
    for _ in range(draw.randint(2, 3)):
        x = sin(k.Dense(32)(x) * 1.5)
    return library.Model(given, k.Dense(3)(x))


def attention_by_hand(library: Any, draw: random.Random) -> Any:
    """Attention by products of matrices, written out with reshapes and transposes."""
    k, width, heads = library.layers, 16, 2
    matmul, softmax = _called(library, "matmul", "matmul"), _called(library, "nn.softmax", "softmax")
    reshape, transpose = _called(library, "reshape", "reshape"), _called(library, "transpose", "transpose")
    given = library.Input((20, 8))
    x = k.Dense(width)(given)

    def split(y: Any) -> Any:
        return transpose(reshape(y, (-1, 20, heads, width // heads)), (0, 2, 1, 3))

    q, key, v = (split(k.Dense(width)(x)) for _ in range(3))
    scores = softmax(matmul(q, transpose(key, (0, 1, 3, 2))) / float(width // heads) ** 0.5)
    y = reshape(transpose(matmul(scores, v), (0, 2, 1, 3)), (-1, 20, width))
    x = k.LayerNormalization()(x + k.Dense(width)(y))
    x = k.Dense(24, activation="relu")(k.GlobalAveragePooling1D()(x))
    return library.Model(given, k.Dense(draw.choice((2, 5)), activation="softmax")(x))


def cosine_pair(library: Any, draw: random.Random) -> Any:
    """Two pictures by one network, and how far apart their vectors are."""
    k = library.layers
    total, square = _called(library, "reduce_sum", "sum"), _called(library, "square", "square")
    root, most = _called(library, "sqrt", "sqrt"), _called(library, "maximum", "maximum")
    inner = library.Sequential(
        [
            library.Input((28, 28, 1)),
            k.Conv2D(8, (5, 5), activation="tanh"),
            k.AveragePooling2D(pool_size=(2, 2)),
            k.Conv2D(16, (5, 5), activation="tanh"),
            k.AveragePooling2D(pool_size=(2, 2)),
            k.Flatten(),
            k.Dense(10, activation="tanh"),
        ],
        name="embedding_network",
    )
    one, two = library.Input((28, 28, 1)), library.Input((28, 28, 1))
    axis = {"axis": 1, "keepdims": True}
    distance = root(most(total(square(inner(one) - inner(two)), **axis), 1e-7))
    x = k.BatchNormalization()(distance)
    return library.Model([one, two], k.Dense(1, activation="sigmoid")(x))


def moments(library: Any, draw: random.Random) -> Any:
    """Means and spreads over time joined to one vector, for voices (Snyder, 2018)."""
    k = library.layers
    mean, square = _called(library, "reduce_mean", "mean"), _called(library, "square", "square")
    root, join = _called(library, "sqrt", "sqrt"), _called(library, "concat", "concatenate")
    given = library.Input((60, 20))
    x = given
    for width, rate in ((5, 1), (3, 2), (3, 3)):
        x = k.BatchNormalization()(k.Conv1D(20, width, dilation_rate=rate, activation="relu")(x))
    middle = mean(x, axis=1)
    spread = (
        root(mean(square(x), axis=1) - square(middle) + 10.0)
        if draw.random() < 0.5
        else mean(square(x), axis=1)
    )
    x = k.Dense(24)(join([middle, spread], axis=-1))
    return library.Model(given, k.Dense(12, activation="softmax")(k.ReLU()(x)))


def rates(library: Any, draw: random.Random) -> Any:
    """An answer kept between two limits: a sigmoid, scaled by operators, and a clipped one."""
    k, clip = library.layers, _called(library, "clip_by_value", "clip")
    given = library.Input((11,))
    x = k.Dense(24, activation="relu")(given)
    x = k.Dense(16, activation="relu")(x)
    one = 4.0 * k.Dense(1, activation="sigmoid")(x) + 1.0
    two = clip(k.Dense(2)(x), 0.0, draw.choice((1.0, 6.0)))
    return library.Model(given, [one, two])


def spatial_attention(library: Any, draw: random.Random) -> Any:
    """A mask from the mean and the maximum of channels."""
    k = library.layers
    mean, most = _called(library, "reduce_mean", "mean"), _called(library, "reduce_max", "max")
    join = _called(library, "concat", "concatenate")
    given = library.Input((32, 32, 3))
    x = given
    for filters in (12, 20):
        x = k.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
        both = join([mean(x, axis=-1, keepdims=True), most(x, axis=-1, keepdims=True)], axis=-1)
        x = x * k.Conv2D(1, draw.choice((3, 7)), padding="same", activation="sigmoid")(both)
    return library.Model(given, k.Dense(4, activation="softmax")(k.GlobalMaxPooling2D()(x)))


def stacked_outputs(library: Any, draw: random.Random) -> Any:
    """Boxes and scores joined to one output, as detectors for phones have it."""
    k = library.layers
    join, sigmoid = _called(library, "concat", "concatenate"), _called(library, "sigmoid", "sigmoid")
    given = library.Input((48, 48, 3))
    x, outs = given, []
    for place, filters in enumerate((8, 16, 24, 32)):
        x = k.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = k.Activation("swish" if draw.random() < 0.7 else "relu")(k.BatchNormalization()(x))
        if place > 1:
            y = k.Reshape((x.shape[1] * x.shape[2], 8))(k.Conv2D(8, 1)(x))
            outs.append(join([sigmoid(y[..., 0:2]), y[..., 2:4] * 2.0, sigmoid(y[..., 4:])], axis=-1))
    return library.Model(given, join(outs, axis=1))


THIRD_OPERATIONS: dict[str, tuple[str, Builder]] = {
    "t-attention-by-hand": ("operations", attention_by_hand),
    "t-cosine-pair": ("operations", cosine_pair),
    "t-hard-swish": ("operations", hard_swish),
    "t-last-step": ("operations", last_step),
    "t-moments": ("operations", moments),
    "t-rates": ("operations", rates),
    "t-scaled-input": ("operations", scaled_input),
    "t-sines": ("operations", sines),
    "t-spatial-attention": ("operations", spatial_attention),
    "t-stacked-outputs": ("operations", stacked_outputs),
}
"""The class of each kind of network, and what builds it."""
