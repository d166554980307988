"""Idioms that predictions once got wrong: layers that read the same tensor, and what the converter folds
across layers.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fresh_kinds import Builder


def parallel_windows(library: Any, draw: random.Random) -> Any:
    """Convolutions of several widths over one embedded text share EXPAND_DIMS."""
    layers = library.layers
    given = layers.Input((32,))
    x = layers.Embedding(200, 16)(given)
    branches = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(8, width, activation="relu")(x)) for width in (3, 4, 5)
    ]
    return library.Model(given, layers.Dense(1, activation="sigmoid")(layers.Concatenate()(branches)))


def gated_dilations(library: Any, draw: random.Random) -> Any:
    """The two gates of a dilated causal convolution share PAD, SPACE_TO_BATCH and EXPAND_DIMS."""
    layers = library.layers
    given = layers.Input((48, 1))
    x, skips = layers.Conv1D(8, 2, padding="causal")(given), []
    for rate in (1, 2, 4):
        signal = layers.Conv1D(8, 2, dilation_rate=rate, padding="causal", activation="tanh")(x)
        gate = layers.Conv1D(8, 2, dilation_rate=rate, padding="causal", activation="sigmoid")(x)
        skips.append(layers.Conv1D(8, 1)(layers.Multiply()([signal, gate])))
        x = layers.Add()([x, skips[-1]])
    return library.Model(given, layers.Conv1D(4, 1)(layers.ReLU()(layers.Add()(skips))))


def shortcut_1d(library: Any, draw: random.Random) -> Any:
    """A residual block of signals: its first convolution and its shortcut read one tensor, and normalizations
    are folded.
    """
    layers = library.layers
    given = layers.Input((64, 2))
    x, depth = given, 2
    for filters in (8, 16):
        more = x
        for width in (8, 5, 3):
            more = layers.BatchNormalization()(layers.Conv1D(filters, width, padding="same")(more))
            more = layers.Activation("relu")(more) if width != 3 else more
        short = layers.BatchNormalization()(
            layers.Conv1D(filters, 1, padding="same")(x) if depth != filters else x
        )
        x, depth = layers.Activation("relu")(layers.Add()([short, more])), filters
    return library.Model(given, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def two_tables(library: Any, draw: random.Random) -> Any:
    """Two embeddings of one input share CAST, LESS and SELECT."""
    layers = library.layers
    given = layers.Input((16,))
    x = layers.Add()([layers.Embedding(300, 12)(given), layers.Embedding(300, 12)(given)])
    return library.Model(given, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def normalized_transpose(library: Any, draw: random.Random) -> Any:
    """A normalization after a transposed convolution is folded into it."""
    layers = library.layers
    given = layers.Input((8, 8, 6))
    x = layers.Conv2DTranspose(12, 3, strides=2, padding="same", use_bias=False)(given)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)))
    return library.Model(given, layers.Conv2D(1, 3, padding="same")(x))


def rescaled_image(library: Any, draw: random.Random) -> Any:
    """A rescaling is folded into the convolution that follows."""
    layers = library.layers
    parts = [
        layers.Input((24, 24, 3)),
        layers.Rescaling(1.0 / 255),
        layers.Conv2D(8, 3, padding="same", activation="relu"),
    ]
    return library.Sequential([*parts, layers.MaxPooling2D(), layers.Flatten(), layers.Dense(5)])


def normalized_signal(library: Any, draw: random.Random) -> Any:
    """A convolution of signals and its normalization have the names of both."""
    layers = library.layers
    given = layers.Input((40, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(8, 3)(given)))
    x = layers.BatchNormalization()(layers.Conv1D(12, 3, strides=2, padding="same", use_bias=False)(x))
    return library.Model(given, layers.Dense(3)(layers.Flatten()(x)))


def causal_attention(library: Any, draw: random.Random) -> Any:
    """A decoder: attention that must not look ahead."""
    layers = library.layers
    given = layers.Input((12,))
    x = layers.Embedding(90, 16)(given)
    told = layers.MultiHeadAttention(num_heads=2, key_dim=8)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, told]))
    return library.Model(given, layers.Dense(90)(x))


def both_ways(library: Any, draw: random.Random) -> Any:
    """LSTMs from both ends of a sequence."""
    layers = library.layers
    given = layers.Input(batch_shape=(1, 14, 5))
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(given)
    x = layers.Bidirectional(layers.LSTM(6))(x)
    return library.Model(given, layers.Dense(3, activation="softmax")(x))


def spatial_pyramid(library: Any, draw: random.Random) -> Any:
    """Dilated convolutions of one image at several rates, joined (ASPP)."""
    layers = library.layers
    given = layers.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(given)
    rates = (1, 2, 3, 2)
    x = layers.Concatenate()(
        [layers.Conv2D(6, 3, padding="same", dilation_rate=rate, activation="relu")(x) for rate in rates]
    )
    return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


IDIOMS: dict[str, tuple[str, Builder]] = {
    name.replace("_", "-"): ("recurrent" if name == "both_ways" else "idioms", builder)
    for name, builder in (
        ("both_ways", both_ways),
        ("causal_attention", causal_attention),
        ("gated_dilations", gated_dilations),
        ("normalized_signal", normalized_signal),
        ("normalized_transpose", normalized_transpose),
        ("parallel_windows", parallel_windows),
        ("rescaled_image", rescaled_image),
        ("shortcut_1d", shortcut_1d),
        ("spatial_pyramid", spatial_pyramid),
        ("two_tables", two_tables),
    )
}
"""The ten idioms, each with its class and what builds it."""
