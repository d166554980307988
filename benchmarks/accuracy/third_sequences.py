"""Small networks of sounds, sensors, series and text of the third set, wired as tutorials and published code
wire them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def magic_wand(library: Any, draw: random.Random) -> Any:
    """Gestures of a wand for a microcontroller: the readings as an image."""
    k = library.layers
    return library.Sequential(
        [
            library.Input(shape=(128, 3, 1)),
            k.Conv2D(8, (4, 3), padding="same", activation="relu"),
            k.MaxPool2D((3, 3)),
            k.Dropout(0.1),
            k.Conv2D(16, (4, 1), padding="same", activation="relu"),
            k.MaxPool2D((3, 1), padding="same"),
            k.Dropout(0.1),
            k.Flatten(),
            k.Dense(16, activation="relu"),
            k.Dropout(0.1),
            k.Dense(4, activation="softmax"),
        ]
    )


def micro_speech(library: Any, draw: random.Random) -> Any:
    """Two words on a microcontroller: one depthwise convolution of a flat spectrogram."""
    k = library.layers
    given = library.Input((1960,))
    x = k.Reshape((49, 40, 1))(given)
    x = k.DepthwiseConv2D((10, 8), strides=(2, 2), depth_multiplier=8, padding="same", activation="relu")(x)
    x = k.Dropout(0.5)(x)
    x = k.Dense(4)(k.Flatten()(x))
    return library.Model(given, k.Activation("softmax")(x))


def sine(library: Any, draw: random.Random) -> Any:
    """The sine of one number: the first example for microcontrollers."""
    k, units = library.layers, draw.choice((8, 16))
    model = library.Sequential()
    model.add(library.Input(shape=(1,)))
    model.add(k.Dense(units, activation="relu"))
    model.add(k.Dense(units, activation="relu"))
    model.add(k.Dense(1))
    return model


def vowels(library: Any, draw: random.Random) -> Any:
    """Pairs of convolutions over a narrow spectrogram, a student's usual network."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((64, 8, 1)),
            k.Conv2D(8, (5, 5), padding="same", activation="relu"),
            k.Conv2D(8, (5, 5), padding="same", activation="relu"),
            k.MaxPooling2D(pool_size=(2, 2)),
            k.Conv2D(12, (3, 3), padding="same", activation="relu"),
            k.Conv2D(12, (3, 3), padding="same", activation="relu"),
            k.MaxPooling2D(pool_size=(2, 2)),
            k.Flatten(),
            k.Dense(48, activation="relu"),
            k.Dense(draw.choice((1, 6)), activation="sigmoid"),
        ]
    )


def street_sounds(library: Any, draw: random.Random) -> Any:
    """Sounds of streets from cepstra: small kernels, pooling and dropout in each step."""
    k = library.layers
    model = library.Sequential([library.Input(shape=(40, 87, 1))])
    for filters in (8, 16, 24):
        model.add(k.Conv2D(filters=filters, kernel_size=2, activation="relu"))
        model.add(k.MaxPooling2D(pool_size=2))
        model.add(k.Dropout(0.2))
    model.add(k.Conv2D(filters=32, kernel_size=2, activation="relu"))
    model.add(k.GlobalAveragePooling2D())
    model.add(k.Dense(10, activation="softmax"))
    return model


def sound_events(library: Any, draw: random.Random) -> Any:
    """Events in a spectrogram by depthwise separable blocks, normalized without a scale (YAMNet's body)."""
    k = library.layers

    def normalized(x: Any, name: str) -> Any:
        x = k.BatchNormalization(name=f"{name}_bn", center=True, scale=False, epsilon=1e-4)(x)
        return k.ReLU(name=f"{name}_relu")(x)

    given = library.Input((48, 32))
    x = k.Reshape((48, 32, 1))(given)
    x = k.Conv2D(8, (3, 3), strides=2, padding="same", use_bias=False, name="layer1_conv")(x)
    x = normalized(x, "layer1_conv")
    for place, (strides, filters) in enumerate(((1, 12), (2, 20), (1, 20), (2, 32))[: draw.randint(3, 4)]):
        name = f"layer{place + 2}"
        x = k.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}_dw")(x)
        x = normalized(x, f"{name}_dw")
        x = k.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_pw")(x)
        x = normalized(x, f"{name}_pw")
    x = k.Dense(20, use_bias=True)(k.GlobalAveragePooling2D()(x))
    return library.Model(given, k.Activation("sigmoid")(x))


def raw_waves(library: Any, draw: random.Random) -> Any:
    """Raw sound by convolutions whose first kernel is wide (Dai, 2017)."""
    k = library.layers
    given = library.Input((1600, 1))
    x = k.Conv1D(12, 80, strides=4, kernel_regularizer=library.regularizers.l2(1e-4))(given)
    for filters in (12, 16, 24):
        x = k.Activation("relu")(k.BatchNormalization()(x))
        x = k.MaxPooling1D(pool_size=4, strides=None)(x)
        x = k.Conv1D(filters, 3, padding="same")(x)
    x = k.Activation("relu")(k.BatchNormalization()(x))
    x = k.GlobalAveragePooling1D()(x)
    return library.Model(given, k.Dense(10, activation="softmax")(x))


def speech_features(library: Any, draw: random.Random) -> Any:
    """Features of raw speech: strided convolutions, each normalized over its channels (Baevski, 2020)."""
    k = library.layers
    given = library.Input((800, 1))
    x = given
    for width, strides in ((10, 5), (3, 2), (3, 2), (2, 2))[: draw.randint(3, 4)]:
        x = k.Conv1D(16, width, strides=strides, use_bias=False)(x)
        x = k.Activation("gelu")(k.LayerNormalization(epsilon=1e-5)(x))
    return library.Model(given, k.Dense(24)(k.LayerNormalization()(x)))


def three_heads(library: Any, draw: random.Random) -> Any:
    """Movements of people by three convolutions of different widths over the same readings."""
    k, length = library.layers, draw.choice((64, 128))
    heads = []
    given = (
        [library.Input((length, 6)) for _ in range(3)]
        if draw.random() < 0.5
        else [library.Input((length, 6))] * 3
    )
    for one, width in zip(given, (3, 5, 11), strict=True):
        x = k.Conv1D(filters=12, kernel_size=width, activation="relu")(one)
        x = k.MaxPooling1D(pool_size=2)(k.Dropout(0.5)(x))
        heads.append(k.Flatten()(x))
    x = k.Dense(16, activation="relu")(k.concatenate(heads))
    inputs = given[0] if given[0] is given[1] else given
    return library.Model(inputs, k.Dense(6, activation="softmax")(x))


def appliances(library: Any, draw: random.Random) -> Any:
    """One appliance's share of a house's power, from a window to its middle (Zhang, 2018)."""
    k, length = library.layers, draw.choice((59, 99))
    given = library.Input((length,))
    x = k.Reshape((1, length, 1))(given)
    for filters, width in ((10, 10), (10, 8), (12, 6), (16, 5)):
        x = k.Conv2D(filters, (1, width), strides=(1, 1), padding="same", activation="relu")(x)
    x = k.Dense(32, activation="relu")(k.Flatten(name="flatten")(x))
    return library.Model(given, k.Dense(1, activation="linear")(x))


def pulses(library: Any, draw: random.Random) -> Any:
    """Blood pressure from pulses: residual blocks in one dimension, two answers."""
    k = library.layers
    given = library.Input((200, draw.choice((1, 2))))
    x = k.Conv1D(12, 7, strides=2, padding="same")(given)
    x = k.ReLU()(k.BatchNormalization()(x))
    x = k.MaxPooling1D(3, strides=2, padding="same")(x)
    for filters in (12, 20):
        y = k.ReLU()(k.BatchNormalization()(k.Conv1D(filters, 3, padding="same")(x)))
        y = k.BatchNormalization()(k.Conv1D(filters, 3, padding="same")(y))
        x = x if x.shape[-1] == filters else k.Conv1D(filters, 1, padding="same")(x)
        x = k.ReLU()(k.Add()([x, y]))
    x = k.GlobalMaxPooling1D()(x)
    return library.Model(given, [k.Dense(1, name="sbp")(x), k.Dense(1, name="dbp")(x)])


def mixed_series(library: Any, draw: random.Random) -> Any:
    """Steps and features mixed in turn by dense layers (Chen, 2023)."""
    k, steps, features = library.layers, 24, draw.choice((5, 7))
    given = library.Input((steps, features))
    x = given
    for _ in range(2):
        y = k.BatchNormalization()(x)
        y = k.Permute((2, 1))(k.Dense(steps, activation="relu")(k.Permute((2, 1))(y)))
        x = k.Add()([x, k.Dropout(0.1)(y)])
        y = k.Dense(24, activation="relu")(k.BatchNormalization()(x))
        x = k.Add()([x, k.Dense(features)(k.Dropout(0.1)(y))])
    return library.Model(given, k.Permute((2, 1))(k.Dense(12)(k.Permute((2, 1))(x))))


def decomposed(library: Any, draw: random.Random) -> Any:
    """A trend by moving means and what is left, each with one dense layer (Zeng, 2022)."""
    k, steps = library.layers, draw.choice((36, 48))
    given = library.Input((steps, 3))
    trend = k.AveragePooling1D(pool_size=5, strides=1, padding="same")(given)
    rest = k.Subtract()([given, trend])
    parts = [k.Dense(12)(k.Permute((2, 1))(part)) for part in (trend, rest)]
    return library.Model(given, k.Permute((2, 1))(k.Add()(parts)))


def clips(library: Any, draw: random.Random) -> Any:
    """A short film: one convolutional network for each frame, means over time."""
    k = library.layers
    frame = library.Sequential(
        [
            library.Input((24, 24, 3)),
            k.Conv2D(8, 3, activation="relu"),
            k.MaxPooling2D(),
            k.Conv2D(16, 3, activation="relu"),
            k.GlobalAveragePooling2D(),
        ]
    )
    given = library.Input((5, 24, 24, 3))
    x = k.TimeDistributed(frame)(given)
    x = k.GlobalAveragePooling1D()(x) if draw.random() < 0.5 else k.Flatten()(x)
    return library.Model(given, k.Dense(8, activation="softmax")(k.Dense(16, activation="relu")(x)))


def sarcasm(library: Any, draw: random.Random) -> Any:
    """Headlines by means of embedded words, as a course has it."""
    k = library.layers
    last = (k.GlobalAveragePooling1D(), k.Flatten())[draw.random() < 0.4]
    return library.Sequential(
        [
            library.Input((40,)),
            k.Embedding(draw.choice((500, 800)), 16),
            last,
            k.Dense(24, activation="relu"),
            k.Dense(1, activation="sigmoid"),
        ]
    )


def sentence_pair(library: Any, draw: random.Random) -> Any:
    """Two sentences by one encoder: their vectors, the difference and the product (Conneau, 2017)."""
    k = library.layers
    words = library.Input((16,), dtype="int32")
    x = k.SpatialDropout1D(0.2)(k.Embedding(300, 16)(words))
    x = k.GlobalMaxPooling1D()(k.Conv1D(24, 2, padding="same", activation="tanh")(x))
    encoder = library.Model(words, x, name="encoder")
    premise, hypothesis = library.Input((16,), dtype="int32"), library.Input((16,), dtype="int32")
    u, v = encoder(premise), encoder(hypothesis)
    x = k.concatenate([u, v, k.subtract([u, v]), k.multiply([u, v])])
    x = k.BatchNormalization()(k.Dense(24, activation="relu")(x))
    return library.Model([premise, hypothesis], k.Dense(3, activation="softmax")(x))


def weighed_words(library: Any, draw: random.Random) -> Any:
    """Words weighed by a small network before they are summed."""
    k = library.layers
    given = library.Input((24,), dtype="int32")
    x = k.Embedding(400, 16)(given)
    x = k.Conv1D(16, 3, padding="same", activation="relu")(x)
    scores = k.Dense(1)(k.Dense(12, activation="tanh")(x))
    weights = k.Softmax(axis=1)(scores)
    x = k.Flatten()(k.Dot(axes=1)([weights, x]))
    return library.Model(given, k.Dense(draw.choice((2, 5)), activation="softmax")(x))


def attended_pair(library: Any, draw: random.Random) -> Any:
    """A query's words and a document's words by the layer for dot-product attention."""
    k = library.layers
    query, value = library.Input((10,), dtype="int32"), library.Input((20,), dtype="int32")
    embedding = k.Embedding(300, 16)
    convolution = k.Conv1D(filters=16, kernel_size=4, padding="same")
    q, v = convolution(embedding(query)), convolution(embedding(value))
    layer = k.AdditiveAttention() if draw.random() < 0.3 else k.Attention()
    x = k.Concatenate()([k.GlobalAveragePooling1D()(q), k.GlobalAveragePooling1D()(layer([q, v]))])
    return library.Model([query, value], k.Dense(1, activation="sigmoid")(x))


def languages(library: Any, draw: random.Random) -> Any:
    """The language of a text from counts of its characters."""
    k = library.layers
    model = library.Sequential([library.Input((draw.choice((120, 180)),))])
    for units in (96, 48, 24):
        model.add(k.Dense(units, kernel_initializer="glorot_uniform", activation="sigmoid"))
        model.add(k.Dropout(0.5))
    model.add(k.Dense(8, kernel_initializer="glorot_uniform", activation="softmax"))
    return model


def airline(library: Any, draw: random.Random) -> Any:
    """Passengers of the next month by the simplest recurrent layer."""
    k = library.layers
    return library.Sequential(
        [library.Input(batch_shape=(1, 12, 1)), k.SimpleRNN(draw.choice((8, 12))), k.Dense(1)]
    )


def battery(library: Any, draw: random.Random) -> Any:
    """The charge of a battery: convolutions before one gated layer."""
    k = library.layers
    given = library.Input(batch_shape=(1, 20, 4))
    x = k.Conv1D(12, 3, padding="causal", activation="selu")(given)
    x = k.GRU(12, return_sequences=False)(x)
    return library.Model(given, k.Dense(1)(k.Dense(8, activation="selu")(x)))


def power(library: Any, draw: random.Random) -> Any:
    """Readings of a sensor to a state, by one LSTM and dense layers."""
    k = library.layers
    return library.Sequential(
        [
            library.Input(batch_shape=(1, 16, 3)),
            k.LSTM(16),
            k.Dropout(0.2),
            k.Dense(12, activation="relu"),
            k.Dense(3, activation="softmax"),
        ]
    )


THIRD_SEQUENCES: dict[str, tuple[str, Builder]] = {
    "t-airline": ("recurrent", airline),
    "t-appliances": ("sequences", appliances),
    "t-attended-pair": ("text", attended_pair),
    "t-battery": ("recurrent", battery),
    "t-clips": ("sequences", clips),
    "t-decomposed": ("sequences", decomposed),
    "t-languages": ("text", languages),
    "t-magic-wand": ("sequences", magic_wand),
    "t-micro-speech": ("sequences", micro_speech),
    "t-mixed-series": ("sequences", mixed_series),
    "t-power": ("recurrent", power),
    "t-pulses": ("sequences", pulses),
    "t-raw-waves": ("sequences", raw_waves),
    "t-sarcasm": ("text", sarcasm),
    "t-sentence-pair": ("text", sentence_pair),
    "t-sine": ("tables", sine),
    "t-sound-events": ("sequences", sound_events),
    "t-speech-features": ("sequences", speech_features),
    "t-street-sounds": ("sequences", street_sounds),
    "t-three-heads": ("sequences", three_heads),
    "t-vowels": ("sequences", vowels),
    "t-weighed-words": ("text", weighed_words),
}
"""The class of each kind of network, and what builds it."""
