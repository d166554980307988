"""Networks as people publish them, by class: text, sequences, images, tables, and graphs that are drawn at
random.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Builder = Callable[[Any, random.Random], Any]


def text_cnn(library: Any, draw: random.Random) -> Any:
    """Convolutions of several widths over the same embedded text (Kim, 2014)."""
    layers = library.layers
    given = layers.Input((draw.choice((24, 32, 48)),), dtype=draw.choice(("float32", "int32")))
    x = layers.Embedding(draw.choice((300, 800)), draw.choice((16, 24)))(given)
    branches = []
    for width in draw.choice(((2, 3, 4), (3, 4, 5), (3, 5))):
        branch = layers.Conv1D(
            draw.choice((8, 16)), width, activation="relu", padding=draw.choice(("valid", "same"))
        )(x)
        branches.append(layers.GlobalMaxPooling1D()(branch))
    x = layers.Dropout(0.5)(layers.Concatenate()(branches))
    return library.Model(
        given, layers.Dense(draw.choice((1, 3)), activation=draw.choice(("sigmoid", "softmax")))(x)
    )


def two_embeddings(library: Any, draw: random.Random) -> Any:
    """Tokens and positions, or two tables that the same numbers look up."""
    layers = library.layers
    given = layers.Input((draw.choice((16, 20)),))
    width = draw.choice((8, 16))
    first, second = (
        layers.Embedding(400, width)(given),
        layers.Embedding(draw.choice((400, 90)), width)(given),
    )
    x = draw.choice((layers.Add, layers.Concatenate, layers.Multiply))()([first, second])
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(24, activation=draw.choice(("relu", "tanh")))(x)
    return library.Model(given, layers.Dense(2, activation="softmax")(x))


def wavenet(library: Any, draw: random.Random) -> Any:
    """Gated dilated convolutions with skips."""
    layers = library.layers
    filters = draw.choice((8, 12))
    given = layers.Input((draw.choice((48, 64)), draw.choice((1, 2))))
    x = layers.Conv1D(filters, 2, padding="causal")(given)
    skips = []
    for rate in draw.choice(((1, 2, 4), (1, 2, 4, 8), (2, 4))):
        tanh = layers.Conv1D(filters, 2, dilation_rate=rate, padding="causal", activation="tanh")(x)
        gate = layers.Conv1D(filters, 2, dilation_rate=rate, padding="causal", activation="sigmoid")(x)
        z = layers.Multiply()([tanh, gate])
        skips.append(layers.Conv1D(filters, 1)(z))
        x = layers.Add()([x, layers.Conv1D(filters, 1)(z)])
    x = layers.ReLU()(layers.Add()(skips))
    x = layers.Conv1D(16, 1, activation="relu")(x)
    return library.Model(given, layers.Conv1D(draw.choice((1, 10)), 1)(x))


def temporal(library: Any, draw: random.Random) -> Any:
    """Residual blocks of dilated convolutions (TCN)."""
    layers = library.layers
    given = layers.Input((40, draw.choice((4, 6))))
    x, filters = given, draw.choice((8, 16))
    for rate in (1, 2, 4)[: draw.randint(2, 3)]:
        more = layers.Conv1D(filters, 3, dilation_rate=rate, padding="causal")(x)
        more = draw.choice((layers.BatchNormalization, layers.LayerNormalization))()(more)
        more = layers.SpatialDropout1D(0.1)(layers.Activation("relu")(more))
        more = layers.Conv1D(filters, 3, dilation_rate=rate, padding="causal", activation="relu")(more)
        short = x if x.shape[-1] == filters else layers.Conv1D(filters, 1, padding="same")(x)
        x = layers.Activation("relu")(layers.Add()([short, more]))
    x = draw.choice((layers.GlobalAveragePooling1D, layers.Flatten))()(x)
    return library.Model(given, layers.Dense(draw.choice((1, 5)))(x))


def residual_1d(library: Any, draw: random.Random) -> Any:
    """A residual network of signals, as for ECGs."""
    layers = library.layers
    given = layers.Input((draw.choice((96, 128)), draw.choice((1, 3))))
    x, depth = given, 0
    for filters in draw.choice(((8, 16), (8, 8, 16), (16,))):
        more = x
        for width in (8, 5, 3):
            more = layers.BatchNormalization()(layers.Conv1D(filters, width, padding="same")(more))
            more = layers.Activation("relu")(more) if width != 3 else more
        short = layers.BatchNormalization()(
            layers.Conv1D(filters, 1, padding="same")(x) if depth != filters else x
        )
        x, depth = layers.Activation("relu")(layers.Add()([short, more])), filters
    return library.Model(given, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def keyword(library: Any, draw: random.Random) -> Any:
    """Keyword spotting with depthwise convolutions (DS-CNN)."""
    layers = library.layers
    given = layers.Input((49, 10, 1))
    filters = draw.choice((16, 24))
    x = layers.Conv2D(filters, (10, 4), strides=(2, 2), padding="same")(given)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    for _ in range(draw.randint(1, 3)):
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.Conv2D(filters, 1, padding="same")(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(pool_size=(25, 5))(x)
    return library.Model(given, layers.Dense(12, activation="softmax")(layers.Flatten()(x)))


def tutorial(library: Any, draw: random.Random) -> Any:
    """The image classifier of the tutorials: rescaling inside, augmentation, convolutions."""
    layers = library.layers
    parts = [layers.Input((32, 32, 3))]
    parts += [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)] if draw.random() < 0.4 else []
    parts.append(
        layers.Rescaling(1.0 / 255) if draw.random() < 0.6 else layers.Rescaling(1 / 127.5, offset=-1)
    )
    for filters in (8, 16, 24)[: draw.randint(1, 3)]:
        parts.append(layers.Conv2D(filters, 3, padding=draw.choice(("same", "valid")), activation="relu"))
        parts.append(layers.MaxPooling2D())
    parts += [
        layers.Dropout(0.2),
        layers.Flatten(),
        layers.Dense(draw.choice((32, 64)), activation="relu"),
        layers.Dense(5),
    ]
    return library.Sequential(parts)


def gan_generator(library: Any, draw: random.Random) -> Any:
    """The generator of the DCGAN tutorial."""
    layers = library.layers
    filters = draw.choice((8, 16))
    parts = [
        layers.Input((draw.choice((32, 64)),)),
        layers.Dense(7 * 7 * filters, use_bias=False),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.Reshape((7, 7, filters)),
        layers.Conv2DTranspose(filters, 5, strides=1, padding="same", use_bias=draw.random() < 0.5),
        layers.BatchNormalization(),
        draw.choice((layers.LeakyReLU(), layers.ReLU())),
        layers.Conv2DTranspose(8, 5, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.Conv2DTranspose(1, 5, strides=2, padding="same", use_bias=False, activation="tanh"),
    ]
    return library.Sequential(parts)


def siamese(library: Any, draw: random.Random) -> Any:
    """One encoder for two inputs, and the distance of what it makes."""
    layers = library.layers
    encoder = library.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16),
        ],
        name="encoder",
    )
    a, b = layers.Input((28, 28, 1), name="a"), layers.Input((28, 28, 1), name="b")
    merge = draw.choice((layers.Subtract(), layers.Multiply(), layers.Concatenate(), layers.Dot(axes=1)))
    return library.Model([a, b], layers.Dense(1, activation="sigmoid")(merge([encoder(a), encoder(b)])))


def transformer(library: Any, draw: random.Random) -> Any:
    """An encoder of text with learned positions."""
    layers = library.layers
    given = layers.Input((16,))
    width, heads = draw.choice((16, 24)), 2
    x = layers.Embedding(300, width)(given)
    for _ in range(draw.randint(1, 2)):
        before = layers.LayerNormalization(epsilon=1e-6)(x) if draw.random() < 0.5 else x
        told = layers.MultiHeadAttention(num_heads=heads, key_dim=draw.choice((8, width // 2)))(
            before, before
        )
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, layers.Dropout(0.1)(told)]))
        more = layers.Dense(width)(layers.Dense(32, activation=draw.choice(("relu", "gelu")))(x))
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, more]))
    return library.Model(given, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def vision_transformer(library: Any, draw: random.Random) -> Any:
    """Patches of an image, attended to."""
    layers = library.layers
    given, width = layers.Input((32, 32, 3)), draw.choice((16, 32))
    x = layers.Conv2D(width, 8, strides=8)(given)
    x = layers.Reshape((16, width))(x)
    for _ in range(draw.randint(1, 2)):
        normal = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=width // 2)(normal, normal)])
        normal = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(normal))])
    x = draw.choice((layers.GlobalAveragePooling1D, layers.Flatten))()(
        layers.LayerNormalization(epsilon=1e-6)(x)
    )
    return library.Model(given, layers.Dense(10)(x))


def mixer(library: Any, draw: random.Random) -> Any:
    """Dense layers over patches and over channels in turn."""
    layers = library.layers
    given = layers.Input((16, draw.choice((8, 12))))
    width = given.shape[-1]
    x = given
    for _ in range(draw.randint(1, 2)):
        y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        y = layers.Permute((2, 1))(layers.Dense(16)(layers.Dense(24, activation="gelu")(y)))
        x = layers.Add()([x, y])
        y = layers.Dense(width)(layers.Dense(20, activation="gelu")(layers.LayerNormalization()(x)))
        x = layers.Add()([x, y])
    return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))


def wide_and_deep(library: Any, draw: random.Random) -> Any:
    """Tables: numbers and categories, wide beside deep."""
    layers = library.layers
    numbers = layers.Input((draw.choice((6, 13)),), name="numbers")
    inputs, parts = [numbers], [numbers]
    for place in range(draw.randint(1, 3)):
        category = layers.Input((1,), name=f"category_{place}", dtype="int32")
        inputs.append(category)
        parts.append(
            layers.Flatten()(layers.Embedding(draw.choice((10, 50, 120)), draw.choice((4, 8)))(category))
        )
    deep = layers.Concatenate()(parts)
    wide = layers.Dense(1)(numbers)
    for units in draw.choice(((32, 16), (64, 32), (40,))):
        deep = layers.Dense(units, activation="relu")(deep)
        deep = layers.BatchNormalization()(deep) if draw.random() < 0.4 else deep
    return library.Model(inputs, layers.Activation("sigmoid")(layers.Add()([wide, layers.Dense(1)(deep)])))


def recommender(library: Any, draw: random.Random) -> Any:
    """Users and items, multiplied."""
    layers = library.layers
    user, item = layers.Input((1,), name="user"), layers.Input((1,), name="item")
    width = draw.choice((8, 16))
    u = layers.Flatten()(layers.Embedding(200, width)(user))
    i = layers.Flatten()(layers.Embedding(350, width)(item))
    x = draw.choice((layers.Dot(axes=1), layers.Multiply(), layers.Concatenate()))([u, i])
    return library.Model([user, item], layers.Dense(1, activation=draw.choice(("sigmoid", None)))(x))


def forecaster(library: Any, draw: random.Random) -> Any:
    """Steps of a series, seen by recurrent layers."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, draw.choice((12, 24)), draw.choice((1, 5))))
    x = layers.Conv1D(8, 3, activation="relu")(given) if draw.random() < 0.4 else given
    cell = draw.choice((layers.LSTM, layers.GRU, layers.SimpleRNN))
    if draw.random() < 0.5:
        x = layers.Bidirectional(cell(8, return_sequences=True))(x)
    x = cell(draw.choice((8, 16)))(x)
    return library.Model(given, layers.Dense(draw.choice((1, 6)))(x))


def crnn(library: Any, draw: random.Random) -> Any:
    """Convolutions, then recurrent layers, as for reading text."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 32, 16, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(given)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Reshape((16, 64))(x)
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Bidirectional(draw.choice((layers.LSTM, layers.GRU))(12, return_sequences=True))(x)
    return library.Model(given, layers.Dense(11, activation="softmax")(x))


def u_net(library: Any, draw: random.Random) -> Any:
    """Segmentation with skips, normalized."""
    layers = library.layers
    given = layers.Input((32, 32, draw.choice((1, 3))))

    def twice(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Activation("relu")(
                layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))
            )
        return x

    first = twice(given, 8)
    second = twice(layers.MaxPooling2D()(first), 12)
    x = twice(layers.MaxPooling2D()(second), 16)
    for filters, skip in ((12, second), (8, first)):
        x = layers.Conv2DTranspose(filters, draw.choice((2, 3)), strides=2, padding="same")(x)
        x = layers.BatchNormalization()(x) if draw.random() < 0.5 else x
        x = twice(layers.Concatenate()([x, skip]), filters)
    return library.Model(given, layers.Conv2D(1, 1, activation="sigmoid")(x))


def super_resolution(library: Any, draw: random.Random) -> Any:
    """A small image made larger."""
    layers = library.layers
    given = layers.Input((16, 16, draw.choice((1, 3))))
    x = layers.Conv2D(16, 5, padding="same", activation=draw.choice(("relu", "tanh")))(given)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2, interpolation=draw.choice(("nearest", "bilinear")))(x)
    return library.Model(given, layers.Conv2D(given.shape[-1], 3, padding="same")(x))


def detector(library: Any, draw: random.Random) -> Any:
    """Boxes and classes from one body at two scales."""
    layers = library.layers
    given = layers.Input((48, 48, 3))
    x = layers.Rescaling(1 / 255.0)(given) if draw.random() < 0.5 else given
    heads = []
    for filters in (8, 16, 24):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(draw.choice((None, 6.0)))(layers.BatchNormalization()(x))
        heads.append(x)
    boxes, classes = [], []
    for head in heads[1:]:
        boxes.append(layers.Reshape((-1, 4))(layers.Conv2D(8, 3, padding="same")(head)))
        classes.append(layers.Reshape((-1, 3))(layers.Conv2D(6, 3, padding="same")(head)))
    probabilities = layers.Softmax()(layers.Concatenate(axis=1)(classes))
    return library.Model(given, [layers.Concatenate(axis=1)(boxes), probabilities])


def variational(library: Any, draw: random.Random) -> Any:
    """The encoder of an autoencoder: means and variances."""
    layers = library.layers
    given = layers.Input((28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(given)
    x = layers.Conv2D(16, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    return library.Model(given, [layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)])


def anomaly(library: Any, draw: random.Random) -> Any:
    """A dense autoencoder with normalizations, or one of sequences."""
    layers = library.layers
    if draw.random() < 0.5:
        given = layers.Input((draw.choice((140, 320)),))
        x = given
        for units in (32, 16, 8, 16, 32):
            x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(units)(x)))
        return library.Model(given, layers.Dense(given.shape[-1])(x))
    given = layers.Input((48, 1))
    x = layers.Conv1D(16, 7, strides=2, padding="same", activation="relu")(given)
    x = layers.Conv1D(8, 7, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1DTranspose(8, 7, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1DTranspose(16, 7, strides=2, padding="same", activation="relu")(x)
    return library.Model(given, layers.Conv1DTranspose(1, 7, padding="same")(x))


def dueling(library: Any, draw: random.Random) -> Any:
    """Reinforcement learning: frames in, the values of actions out."""
    layers = library.layers
    given = layers.Input((42, 42, 4))
    x = layers.Conv2D(8, 8, strides=4, activation="relu")(given)
    x = layers.Conv2D(16, 4, strides=2, activation="relu")(x)
    x = layers.Flatten()(x)
    value = layers.Dense(1)(layers.Dense(24, activation="relu")(x))
    advantage = layers.Dense(4)(layers.Dense(24, activation="relu")(x))
    return library.Model(
        given, layers.Add()([value, advantage]) if draw.random() < 0.6 else [value, advantage]
    )


KINDS: dict[str, tuple[str, Builder]] = {
    "anomaly": ("sequences", anomaly),
    "crnn": ("recurrent", crnn),
    "detector": ("images", detector),
    "dueling": ("images", dueling),
    "forecaster": ("recurrent", forecaster),
    "gan-generator": ("images", gan_generator),
    "keyword": ("images", keyword),
    "mixer": ("attention", mixer),
    "recommender": ("tables", recommender),
    "residual-1d": ("sequences", residual_1d),
    "siamese": ("tables", siamese),
    "super-resolution": ("images", super_resolution),
    "temporal": ("sequences", temporal),
    "text-cnn": ("text", text_cnn),
    "transformer": ("attention", transformer),
    "tutorial": ("images", tutorial),
    "two-embeddings": ("text", two_embeddings),
    "u-net": ("images", u_net),
    "variational": ("images", variational),
    "vision-transformer": ("attention", vision_transformer),
    "wavenet": ("sequences", wavenet),
    "wide-and-deep": ("tables", wide_and_deep),
}
"""The class of each kind of network, and what builds it."""
