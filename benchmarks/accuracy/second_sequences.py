"""Small networks of sounds, series and text, wired as tutorials and published code wire them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.second_images import Builder


def engine(library: Any, draw: random.Random) -> Any:
    """The tutorial that classifies a motor's series with convolutions."""
    k = library.layers
    given = library.Input((draw.choice((100, 150)), 1))
    x = given
    for _ in range(3):
        x = k.ReLU()(k.BatchNormalization()(k.Conv1D(filters=24, kernel_size=3, padding="same")(x)))
    return library.Model(given, k.Dense(2, activation="softmax")(k.GlobalAveragePooling1D()(x)))


def ecg_autoencoder(library: Any, draw: random.Random) -> Any:
    """Anomalies in heart beats, by a dense autoencoder of two nested chains."""
    k, width = library.layers, draw.choice((120, 140))
    given = library.Input((width,))
    encoder = library.Sequential(
        [library.Input((width,)), *(k.Dense(units, activation="relu") for units in (32, 16, 8))],
        name="encoder",
    )
    decoder = library.Sequential(
        [
            library.Input((8,)),
            k.Dense(16, activation="relu"),
            k.Dense(32, activation="relu"),
            k.Dense(width, activation="sigmoid"),
        ],
        name="decoder",
    )
    return library.Model(given, decoder(encoder(given)))


def series_anomaly(library: Any, draw: random.Random) -> Any:
    """Anomalies in a series by convolutions and transposed ones."""
    k = library.layers
    return library.Sequential(
        [
            library.Input(shape=(draw.choice((48, 72)), 1)),
            k.Conv1D(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
            k.Dropout(rate=0.2),
            k.Conv1D(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
            k.Conv1DTranspose(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
            k.Dropout(rate=0.2),
            k.Conv1DTranspose(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
            k.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
        ]
    )


def commands(library: Any, draw: random.Random) -> Any:
    """Spoken commands from a spectrogram that is resized and normalized inside."""
    k = library.layers
    return library.Sequential(
        [
            library.Input(shape=(62, 65, 1)),
            k.Resizing(32, 32),
            k.Normalization(mean=0.4, variance=1.7),
            k.Conv2D(16, 3, activation="relu"),
            k.Conv2D(draw.choice((16, 32)), 3, activation="relu"),
            k.MaxPooling2D(),
            k.Dropout(0.25),
            k.Flatten(),
            k.Dense(24, activation="relu"),
            k.Dropout(0.5),
            k.Dense(8),
        ]
    )


def speaker(library: Any, draw: random.Random) -> Any:
    """Speakers by residual blocks over a spectrum, of two and three convolutions."""
    k = library.layers

    def block(x: Any, filters: int, many: int) -> Any:
        short = k.Conv1D(filters, 1, padding="same")(x)
        for _ in range(many - 1):
            x = k.Activation("relu")(k.Conv1D(filters, 3, padding="same")(x))
        x = k.Conv1D(filters, 3, padding="same")(x)
        x = k.Activation("relu")(k.Add()([x, short]))
        return k.MaxPool1D(pool_size=2, strides=2)(x)

    given = library.Input(shape=(96, 1), name="input")
    x = block(block(given, 8, 2), 12, 2)
    x = block(x, 16, 3)
    x = k.AveragePooling1D(pool_size=3, strides=3)(x)
    x = k.Dense(24, activation="relu")(k.Flatten()(x))
    return library.Model(given, k.Dense(5, activation="softmax", name="output")(x))


def deep_speech(library: Any, draw: random.Random) -> Any:
    """Speech to characters: convolutions over time and pitch, then two directions (Amodei, 2016)."""
    k = library.layers
    given = library.Input(batch_shape=(1, 32, 24), name="input")
    x = k.Reshape((32, 24, 1))(given)
    for width, strides in (((11, 9), (2, 2)), ((11, 5), (1, 2))):
        x = k.Conv2D(8, kernel_size=width, strides=strides, padding="same", use_bias=False)(x)
        x = k.ReLU()(k.BatchNormalization()(x))
    x = k.Reshape((x.shape[-3], x.shape[-2] * x.shape[-1]))(x)
    cell = k.GRU(8, activation="tanh", recurrent_activation="sigmoid", return_sequences=True)
    x = k.Bidirectional(cell, name="bidirectional_1", merge_mode=draw.choice(("concat", "sum")))(x)
    x = k.Dropout(0.5)(k.ReLU()(k.Dense(units=16)(x)))
    return library.Model(given, k.Dense(units=29, activation="softmax")(x))


def captcha(library: Any, draw: random.Random) -> Any:
    """Characters of an image for CTC: the model that predicts."""
    k = library.layers
    given = library.Input(batch_shape=(1, 48, 16, 1), name="image")
    x = k.Conv2D(8, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same")(given)
    x = k.MaxPooling2D((2, 2), name="pool1")(x)
    x = k.Conv2D(12, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same")(x)
    x = k.MaxPooling2D((2, 2), name="pool2")(x)
    x = k.Reshape(target_shape=(12, 48), name="reshape")(x)
    x = k.Dropout(0.2)(k.Dense(16, activation="relu", name="dense1")(x))
    x = k.Bidirectional(k.LSTM(12, return_sequences=True, dropout=0.25))(x)
    if draw.random() < 0.5:
        x = k.Bidirectional(k.LSTM(8, return_sequences=True, dropout=0.25))(x)
    return library.Model(given, k.Dense(20, activation="softmax", name="dense2")(x))


def weather(library: Any, draw: random.Random) -> Any:
    """Weather of the next hours by one recurrent layer."""
    k = library.layers
    given = library.Input(batch_shape=(1, draw.choice((24, 30)), 7))
    x = k.LSTM(draw.choice((16, 32)))(given)
    return library.Model(given, k.Dense(1)(x))


def several_hours(library: Any, draw: random.Random) -> Any:
    """Several steps of several features from the last step of a series, by convolutions."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((24, 5)),
            k.Cropping1D((21, 0)),
            k.Conv1D(draw.choice((32, 48)), activation="relu", kernel_size=3),
            k.Dense(12 * 5, kernel_initializer="zeros"),
            k.Reshape([12, 5]),
        ]
    )


def traffic(library: Any, draw: random.Random) -> Any:
    """A convolution beside a gated unit for one series, joined (Lai, 2018)."""
    k = library.layers
    given = library.Input(batch_shape=(1, 24, 6))
    x = k.Reshape((24, 6, 1))(given)
    x = k.Conv2D(10, (4, 6), activation="relu")(x)
    x = k.Reshape((21, 10))(k.Dropout(0.1)(x))
    x = k.GRU(draw.choice((8, 12)))(x)
    line = k.Flatten()(k.Cropping1D((18, 0))(given))
    return library.Model(given, k.Add()([k.Dense(6)(x), k.Dense(6)(line)]))


def wave_chain(library: Any, draw: random.Random) -> Any:
    """Causal convolutions in a chain with rates that double, as a Sequential."""
    k = library.layers
    parts = [library.Input((40, draw.choice((1, 2))))]
    for rate in (1, 2, 4, 8) * draw.randint(1, 2):
        parts.append(
            k.Conv1D(filters=12, kernel_size=2, padding="causal", activation="relu", dilation_rate=rate)
        )
    return library.Sequential([*parts, k.Conv1D(filters=5, kernel_size=1)])


def sleep_stages(library: Any, draw: random.Random) -> Any:
    """Sleep stages by a coarse and a fine branch (Supratak, 2017)."""
    k = library.layers
    given = library.Input((300, 1))
    ends = []
    for width, strides, pool in ((25, 3, 4), (100, 12, 2)):
        x = k.Conv1D(8, width, strides=strides, padding="same", use_bias=False)(given)
        x = k.MaxPooling1D(pool, pool)(k.ReLU()(k.BatchNormalization()(x)))
        x = k.Dropout(0.5)(x)
        for _ in range(draw.randint(1, 2)):
            x = k.ReLU()(k.BatchNormalization()(k.Conv1D(12, 6, padding="same", use_bias=False)(x)))
        ends.append(k.Flatten()(k.MaxPooling1D(2, 2)(x)))
    x = k.Dropout(0.5)(k.concatenate(ends))
    return library.Model(given, k.Dense(5, activation="softmax")(x))


def brain_waves(library: Any, draw: random.Random) -> Any:
    """Waves of the brain by convolutions over time, then over electrodes (Lawhern, 2018)."""
    k, electrodes = library.layers, draw.choice((8, 16))
    given = library.Input((electrodes, 64, 1))
    x = k.Conv2D(4, (1, 32), padding="same", use_bias=False)(given)
    x = k.BatchNormalization()(x)
    x = k.DepthwiseConv2D((electrodes, 1), use_bias=False, depth_multiplier=2)(x)
    x = k.Activation("elu")(k.BatchNormalization()(x))
    x = k.Dropout(0.5)(k.AveragePooling2D((1, 4))(x))
    x = k.SeparableConv2D(8, (1, 16), use_bias=False, padding="same")(x)
    x = k.AveragePooling2D((1, 8))(k.Activation("elu")(k.BatchNormalization()(x)))
    x = k.Flatten(name="flatten")(k.Dropout(0.5)(x))
    return library.Model(given, k.Activation("softmax")(k.Dense(4, name="dense")(x)))


def crepe(library: Any, draw: random.Random) -> Any:
    """The pitch of a sound by tall convolutions (Kim, 2018)."""
    k = library.layers
    given = library.Input(shape=(256,), name="input")
    x = k.Reshape(target_shape=(256, 1, 1), name="input-reshape")(given)
    for filters, width, strides in ((16, 32, (4, 1)), (8, 16, (1, 1)), (8, 16, (1, 1))):
        x = k.Conv2D(filters, (width, 1), strides=strides, padding="same", activation="relu")(x)
        x = k.BatchNormalization()(x)
        x = k.MaxPool2D(pool_size=(2, 1), strides=None, padding="valid")(x)
        x = k.Dropout(0.25)(x)
    x = k.Flatten(name="flatten")(k.Permute((2, 1, 3))(x))
    return library.Model(given, k.Dense(draw.choice((36, 60)), activation="sigmoid", name="classifier")(x))


def frames(library: Any, draw: random.Random) -> Any:
    """The next frame of a film by recurrent convolutions."""
    k = library.layers
    given = library.Input(batch_shape=(1, 4, 12, 12, 1))
    x = k.ConvLSTM2D(4, (3, 3), padding="same", return_sequences=True, activation="relu")(given)
    x = k.BatchNormalization()(x)
    x = k.ConvLSTM2D(4, (1, 1), padding="same", return_sequences=draw.random() < 0.5)(x)
    if len(x.shape) == 5:
        return library.Model(given, k.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(x))
    return library.Model(given, k.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x))


def reviews(library: Any, draw: random.Random) -> Any:
    """Reviews by strided convolutions of embedded words, the tutorial from scratch."""
    k = library.layers
    given = library.Input(shape=(60,), dtype="int64")
    x = k.Dropout(0.5)(k.Embedding(draw.choice((400, 900)), 16)(given))
    x = k.Conv1D(16, 7, padding="valid", activation="relu", strides=3)(x)
    x = k.Conv1D(16, 7, padding="valid", activation="relu", strides=3)(x)
    x = k.Dropout(0.5)(k.Dense(24, activation="relu")(k.GlobalMaxPooling1D()(x)))
    return library.Model(given, k.Dense(1, activation="sigmoid", name="predictions")(x))


def both_directions(library: Any, draw: random.Random) -> Any:
    """Reviews by two recurrent layers in both directions."""
    k = library.layers
    given = library.Input(batch_shape=(1, 24), dtype="int32")
    x = k.Embedding(draw.choice((200, 500)), 12)(given)
    x = k.Bidirectional(k.LSTM(8, return_sequences=True))(x)
    x = k.Bidirectional(k.LSTM(8))(x)
    return library.Model(given, k.Dense(1, activation="sigmoid")(x))


def newsgroups(library: Any, draw: random.Random) -> Any:
    """Newsgroups by convolutions and pooling over given vectors."""
    k = library.layers
    given = library.Input((120,), dtype="int64")
    x = k.Embedding(300, 20, trainable=False)(given)
    x = k.Conv1D(24, 5, activation="relu")(x)
    x = k.MaxPooling1D(5)(x)
    x = k.Conv1D(24, 5, activation="relu")(x)
    x = k.GlobalMaxPooling1D()(k.MaxPooling1D(5)(x))
    x = k.Dropout(0.5)(k.Dense(24, activation="relu")(x))
    return library.Model(given, k.Dense(draw.choice((5, 20)), activation="softmax")(x))


def topics(library: Any, draw: random.Random) -> Any:
    """Several labels for an abstract given as a bag of words."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((draw.choice((150, 300)),)),
            k.Dense(64, activation="relu"),
            k.Dense(32, activation="relu"),
            k.Dense(12, activation="sigmoid"),
        ]
    )


def hierarchy(library: Any, draw: random.Random) -> Any:
    """Sentences of words and documents of sentences, one encoder applied to each (Yang, 2016)."""
    k = library.layers
    sentence = library.Input((12,), dtype="int32")
    x = k.Conv1D(12, 3, activation=draw.choice(("relu", "tanh")))(k.Embedding(200, 10)(sentence))
    encoder = library.Model(sentence, k.GlobalMaxPooling1D()(x), name="sentence")
    given = library.Input((5, 12), dtype="int32")
    x = k.TimeDistributed(encoder)(given)
    x = k.GlobalAveragePooling1D()(k.Conv1D(12, 3, padding="same", activation="relu")(x))
    return library.Model(given, k.Dense(3, activation="softmax")(x))


def next_word(library: Any, draw: random.Random) -> Any:
    """The next word from the vectors of those before it (Bengio, 2003)."""
    k = library.layers
    given = library.Input((4,), dtype="int32")
    vectors = k.Flatten()(k.Embedding(250, 12)(given))
    x = k.Dense(32, activation="tanh")(vectors)
    x = k.Add()([k.Dense(250, use_bias=False)(vectors), k.Dense(250)(x)])
    return library.Model(given, k.Softmax()(x) if draw.random() < 0.5 else k.Activation("softmax")(x))


def tickets(library: Any, draw: random.Random) -> Any:
    """Title, text and tags of a ticket to its priority and department."""
    k = library.layers
    title, body = (library.Input((12,), name="title"), library.Input((30,), name="body"))
    tags = library.Input(shape=(12,), name="tags")
    one = k.GlobalAveragePooling1D()(k.Embedding(200, 12)(title))
    two = k.GlobalMaxPooling1D()(k.Conv1D(16, 3, activation="relu")(k.Embedding(300, 12)(body)))
    x = k.concatenate([one, two, tags])
    priority = k.Dense(1, activation="sigmoid", name="priority")(x)
    department = k.Dense(draw.choice((4, 7)), name="department")(x)
    return library.Model([title, body, tags], [priority, department])


SECOND_SEQUENCES: dict[str, tuple[str, Builder]] = {
    "s-both-directions": ("recurrent", both_directions),
    "s-brain-waves": ("sequences", brain_waves),
    "s-captcha": ("recurrent", captcha),
    "s-commands": ("sequences", commands),
    "s-crepe": ("sequences", crepe),
    "s-deep-speech": ("recurrent", deep_speech),
    "s-ecg-autoencoder": ("sequences", ecg_autoencoder),
    "s-engine": ("sequences", engine),
    "s-frames": ("recurrent", frames),
    "s-hierarchy": ("text", hierarchy),
    "s-newsgroups": ("text", newsgroups),
    "s-next-word": ("text", next_word),
    "s-reviews": ("text", reviews),
    "s-series-anomaly": ("sequences", series_anomaly),
    "s-several-hours": ("sequences", several_hours),
    "s-sleep-stages": ("sequences", sleep_stages),
    "s-speaker": ("sequences", speaker),
    "s-tickets": ("text", tickets),
    "s-topics": ("text", topics),
    "s-traffic": ("recurrent", traffic),
    "s-wave-chain": ("sequences", wave_chain),
    "s-weather": ("recurrent", weather),
}
"""The class of each kind of network, and what builds it."""
