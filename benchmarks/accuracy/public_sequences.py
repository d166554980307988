"""Networks of series, sounds and text after published architectures, of our own code, in small sizes."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.public_images import Builder


def stacked_tcn(library: Any, draw: random.Random) -> Any:
    """Causal dilated convolutions with residuals, an output for each step (Bai, 2018)."""
    layers = library.layers
    given = layers.Input((32, draw.choice((2, 5))))
    x = layers.Conv1D(8, 1)(given)
    for rate in (1, 2, 4):
        y = layers.Conv1D(8, 3, padding="causal", dilation_rate=rate, activation="relu")(x)
        y = layers.Conv1D(8, 3, padding="causal", dilation_rate=rate, activation="relu")(
            layers.Dropout(0.1)(y)
        )
        x = layers.Activation("relu")(layers.Add()([x, y]))
    return library.Model(given, layers.Dense(draw.choice((1, 4)))(x))


def inception_time(library: Any, draw: random.Random) -> Any:
    """Kernels of several lengths in parallel over a series (Fawaz, 2020)."""
    layers = library.layers
    given = layers.Input((64, draw.choice((1, 3))))
    x = given
    for _ in range(2):
        inner = layers.Conv1D(6, 1, padding="same", use_bias=False)(x)
        many = [layers.Conv1D(6, width, padding="same", use_bias=False)(inner) for width in (10, 20)]
        pooled = layers.MaxPooling1D(3, strides=1, padding="same")(x)
        many.append(layers.Conv1D(6, 1, padding="same", use_bias=False)(pooled))
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Concatenate(axis=2)(many)))
    short = layers.BatchNormalization()(layers.Conv1D(18, 1, padding="same", use_bias=False)(given))
    x = layers.Activation("relu")(layers.Add()([x, short]))
    return library.Model(given, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def plain_series(library: Any, draw: random.Random) -> Any:
    """Three convolutions, each normalized (Wang, 2017)."""
    layers = library.layers
    parts = [layers.Input((draw.choice((60, 100)), 1))]
    for filters, width in ((8, 8), (16, 5), (8, 3)):
        parts += [layers.Conv1D(filters, width, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    parts += [layers.GlobalAveragePooling1D(), layers.Dense(3, activation="softmax")]
    return library.Sequential(parts)


def wave_u_net(library: Any, draw: random.Random) -> Any:
    """Down and up over a sound, with skips (Stoller, 2018)."""
    layers = library.layers
    given = layers.Input((64, 1))
    x, skips = given, []
    for filters in (6, 8):
        x = layers.LeakyReLU(0.2)(layers.Conv1D(filters, 5, padding="same")(x))
        skips.append(x)
        x = layers.MaxPooling1D(2)(x)
    x = layers.Conv1D(12, 5, padding="same", activation="tanh")(x)
    for filters, skip in ((8, skips[1]), (6, skips[0])):
        if draw.random() < 0.5:
            x = layers.UpSampling1D(2)(x)
        else:
            x = layers.Conv1DTranspose(filters, 4, strides=2, padding="same")(x)
        x = layers.Conv1D(filters, 3, padding="same", activation="relu")(layers.Concatenate()([x, skip]))
    return library.Model(given, layers.Conv1D(1, 1, activation="tanh")(x))


def quartz_net(library: Any, draw: random.Random) -> Any:
    """Separable convolutions over the frames of speech (Kriman, 2020)."""
    layers = library.layers
    given = layers.Input((50, 16))
    x = layers.Conv1D(16, 5, strides=2, padding="same", activation="relu")(given)
    for width in (7, 9)[: draw.randint(1, 2)]:
        y = layers.SeparableConv1D(16, width, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        x = layers.Add()([x, y])
    return library.Model(given, layers.Conv1D(29, 1, activation="softmax")(x))


def gated_convolutions(library: Any, draw: random.Random) -> Any:
    """Words by convolutions, each multiplied with a gate (Dauphin, 2017)."""
    layers = library.layers
    given = layers.Input((24,), dtype="int32")
    x = layers.Embedding(200, 12)(given)
    for _ in range(draw.randint(1, 3)):
        value = layers.Conv1D(12, 3, padding="causal")(x)
        gate = layers.Conv1D(12, 3, padding="causal", activation="sigmoid")(x)
        x = layers.Add()([x, layers.Multiply()([value, gate])])
    return library.Model(given, layers.Dense(40)(x))


def vocoder(library: Any, draw: random.Random) -> Any:
    """A sound from frames by transposed convolutions (Kumar, 2019)."""
    layers = library.layers
    given = layers.Input((16, 10))
    x = layers.Conv1D(16, 7, padding="same")(given)
    for filters in (12, 8):
        x = layers.Conv1DTranspose(filters, 4, strides=2, padding="same")(layers.LeakyReLU()(x))
        y = layers.Conv1D(filters, 3, padding="same", dilation_rate=draw.choice((1, 3)))(
            layers.LeakyReLU()(x)
        )
        x = layers.Add()([x, layers.Conv1D(filters, 1)(layers.LeakyReLU()(y))])
    return library.Model(given, layers.Conv1D(1, 7, padding="same", activation="tanh")(x))


def excited_ecg(library: Any, draw: random.Random) -> Any:
    """A residual network of signals with excitation."""
    layers = library.layers
    given = layers.Input((96, draw.choice((1, 12))))
    x = layers.Conv1D(12, 7, strides=2, padding="same")(given)
    for _ in range(2):
        y = layers.Activation("relu")(layers.BatchNormalization()(x))
        y = layers.Conv1D(12, 5, padding="same")(y)
        gate = layers.Dense(12, activation="sigmoid")(
            layers.Dense(4, activation="relu")(layers.GlobalAveragePooling1D()(y))
        )
        x = layers.Add()([x, layers.Multiply()([y, layers.Reshape((1, 12))(gate)])])
    x = layers.GlobalMaxPooling1D()(x)
    return library.Model(given, layers.Dense(5, activation="sigmoid")(x))


def activity(library: Any, draw: random.Random) -> Any:
    """Activities by the sensors of a phone, a branch for each."""
    layers = library.layers
    inputs = [layers.Input((40, 3), name=name) for name in ("acceleration", "rotation")]
    branches = []
    for given in inputs:
        x = layers.Conv1D(8, 5, activation="relu")(given)
        x = layers.AveragePooling1D(2)(x) if draw.random() < 0.5 else layers.MaxPooling1D(2)(x)
        branches.append(layers.Flatten()(layers.Conv1D(8, 3, activation="relu")(x)))
    x = layers.Dense(24, activation="relu")(layers.Concatenate()(branches))
    return library.Model(inputs, layers.Dense(6, activation="softmax")(x))


def spectrogram(library: Any, draw: random.Random) -> Any:
    """Sounds seen as images, means over frequencies (Hershey, 2017)."""
    layers = library.layers
    given = layers.Input((48, 32))
    x = layers.Reshape((48, 32, 1))(given)
    for filters in (6, 10):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D((2, 4) if draw.random() < 0.5 else 2)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.Conv1D(16, 3, activation="relu")(x)
    return library.Model(given, layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling1D()(x)))


def fast_text(library: Any, draw: random.Random) -> Any:
    """Means of embeddings (Joulin, 2016)."""
    layers = library.layers
    parts = [layers.Input((draw.choice((20, 40)),), dtype="int32"), layers.Embedding(500, 12)]
    parts += [layers.GlobalAveragePooling1D(), layers.Dense(draw.choice((2, 5)), activation="softmax")]
    return library.Sequential(parts)


def characters(library: Any, draw: random.Random) -> Any:
    """Characters by convolutions and pooling (Zhang, 2015)."""
    layers = library.layers
    given = layers.Input((80,), dtype="int32")
    x = layers.Embedding(60, 8)(given)
    for width in (7, 3):
        x = layers.MaxPooling1D(3)(layers.Conv1D(16, width, activation="relu")(x))
    x = layers.Dense(32, activation="relu")(layers.Flatten()(x))
    return library.Model(given, layers.Dense(4, activation="softmax")(layers.Dropout(0.5)(x)))


def deep_pyramid(library: Any, draw: random.Random) -> Any:
    """Residual convolutions of text, halved each time (Johnson, 2017)."""
    layers = library.layers
    given = layers.Input((32,), dtype="int32")
    x = layers.Conv1D(12, 3, padding="same")(layers.Embedding(300, 10)(given))
    for _ in range(draw.randint(1, 3)):
        x = layers.MaxPooling1D(3, strides=2, padding="same")(x)
        y = layers.Conv1D(12, 3, padding="same")(layers.Activation("relu")(x))
        y = layers.Conv1D(12, 3, padding="same")(layers.Activation("relu")(y))
        x = layers.Add()([x, y])
    return library.Model(given, layers.Dense(3)(layers.GlobalMaxPooling1D()(x)))


def mean_and_maximum(library: Any, draw: random.Random) -> Any:
    """Means and maxima of embeddings together (Shen, 2018)."""
    layers = library.layers
    given = layers.Input((30,), dtype="int32")
    x = layers.SpatialDropout1D(0.2)(layers.Embedding(250, 16)(given))
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)])
    x = layers.Dense(16, activation=draw.choice(("relu", "elu", "tanh")))(x)
    return library.Model(given, layers.Dense(1, activation="sigmoid")(x))


def two_texts(library: Any, draw: random.Random) -> Any:
    """One encoder for two texts, and how alike they are."""
    layers = library.layers
    given = layers.Input((16,), dtype="int32")
    x = layers.Conv1D(12, 3, padding="same", activation="tanh")(layers.Embedding(200, 8)(given))
    encoder = library.Model(given, layers.GlobalMaxPooling1D()(x), name="encoder")
    a, b = (layers.Input((16,), dtype="int32", name=name) for name in ("query", "reply"))
    x = layers.Dot(axes=1, normalize=draw.random() < 0.5)([encoder(a), encoder(b)])
    return library.Model([a, b], layers.Dense(1, activation="sigmoid")(x))


def tagger(library: Any, draw: random.Random) -> Any:
    """A tag for each word by two directions (Huang, 2015)."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 16), dtype="int32")
    x = layers.Embedding(200, 12)(given)
    x = layers.Bidirectional(layers.LSTM(10, return_sequences=True))(x)
    x = layers.Dense(12, activation=draw.choice(("relu", "tanh")))(x)
    return library.Model(given, layers.Dense(7, activation="softmax")(x))


def gated_series(library: Any, draw: random.Random) -> Any:
    """Gated units in a stack."""
    layers = library.layers
    parts = [layers.Input(batch_shape=(1, 20, draw.choice((2, 6))))]
    parts += [layers.GRU(12, return_sequences=True), layers.GRU(8), layers.Dropout(0.1)]
    return library.Sequential([*parts, layers.Dense(8, activation="relu"), layers.Dense(1)])


def repeated(library: Any, draw: random.Random) -> Any:
    """A series encoded, repeated and decoded, to find anomalies."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 12, 3))
    cell = draw.choice((layers.LSTM, layers.GRU))
    x = layers.RepeatVector(12)(cell(8)(given))
    return library.Model(given, layers.Dense(3)(cell(8, return_sequences=True)(x)))


def stacked_lstm(library: Any, draw: random.Random) -> Any:
    """A language model of characters."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 20), dtype="int32")
    x = layers.Embedding(40, 8)(given)
    for _ in range(draw.randint(1, 2)):
        x = layers.LSTM(16, return_sequences=True)(x)
    return library.Model(given, layers.Dense(40, activation="softmax")(x))


def attended(library: Any, draw: random.Random) -> Any:
    """Steps of a recurrent layer weighed by a dense layer that reads each."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 16, 4))
    x = draw.choice((layers.LSTM, layers.GRU))(12, return_sequences=True)(given)
    weights = layers.Softmax(axis=1)(layers.Dense(1, activation="tanh")(x))
    x = layers.Flatten()(layers.Dot(axes=1)([weights, x]))
    return library.Model(given, layers.Dense(2, activation="softmax")(x))


PUBLIC_SEQUENCES: dict[str, tuple[str, Builder]] = {
    "p-activity": ("sequences", activity),
    "p-attended": ("recurrent", attended),
    "p-characters": ("text", characters),
    "p-deep-pyramid": ("text", deep_pyramid),
    "p-excited-ecg": ("sequences", excited_ecg),
    "p-fast-text": ("text", fast_text),
    "p-gated-convolutions": ("text", gated_convolutions),
    "p-gated-series": ("recurrent", gated_series),
    "p-inception-time": ("sequences", inception_time),
    "p-mean-and-maximum": ("text", mean_and_maximum),
    "p-plain-series": ("sequences", plain_series),
    "p-quartznet": ("sequences", quartz_net),
    "p-repeated": ("recurrent", repeated),
    "p-spectrogram": ("sequences", spectrogram),
    "p-stacked-lstm": ("recurrent", stacked_lstm),
    "p-stacked-tcn": ("sequences", stacked_tcn),
    "p-tagger": ("recurrent", tagger),
    "p-two-texts": ("text", two_texts),
    "p-vocoder": ("sequences", vocoder),
    "p-wave-unet": ("sequences", wave_u_net),
}
"""The class of each kind of network, and what builds it."""
