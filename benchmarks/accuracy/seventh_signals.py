"""Networks of the seventh set that read sounds, biosignals, series, words and other sequences.

A kind of network is named after its builder, which takes the library (tf_keras or keras) and
a source of random numbers, and returns a model without trained weights. What is recurrent has a
batch of one, as the converter's guide asks.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fourth_functions import functions


def mel_gan_generator(library: Any, draw: random.Random) -> Any:
    """MelGAN of keras.io: stacks of three dilations after each transposed convolution, steep factors."""
    k, f = library.layers, draw.choice((16, 24))
    mel = library.Input((12, 40))
    x = k.LeakyReLU()(k.Conv1D(4 * f, 7, padding="same")(mel))
    for filters, factor in ((2 * f, 8), (f, 4), (f // 2, 2)):
        x = k.LeakyReLU(0.2)(k.Conv1DTranspose(filters, 2 * factor, factor, padding="same")(x))
        for rate in (1, 3, 9):
            y = k.LeakyReLU()(k.Conv1D(filters, 3, dilation_rate=rate, padding="same")(x))
            y = k.LeakyReLU()(k.Conv1D(filters, 3, dilation_rate=1, padding="same")(y))
            x = k.Add()([y, x])
    return library.Model(mel, k.Conv1D(1, 7, padding="same", activation="tanh")(x))


def sound_classification_app(library: Any, draw: random.Random) -> Any:
    """Vectors of frames to classes: a dense layer for each, their largest and mean values, an answer."""
    k, f = library.layers, functions(library)
    frames = library.Input((10, 128), name="embedding_frames")
    x = k.Dropout(0.2)(k.Dense(draw.choice((48, 64)), activation="relu")(frames))
    x = f.concatenate([f.max(x, axis=1), f.mean(x, axis=1)], axis=-1)
    return library.Model(frames, k.Dense(5, activation="softmax", name="scores")(x))


def anomaly_vibration(library: Any, draw: random.Random) -> Any:
    """Vibration on three axes, encoded to a short vector and decoded: strides down, enlarged up."""
    k, f = library.layers, draw.choice((8, 12))
    x = wave = library.Input((128, 3), batch_size=1)
    for number in range(3):
        x = k.Conv1D(f << number, 7, strides=2, padding="same", activation="relu")(x)
    x = k.Dense(16, name="code")(k.Flatten()(x))
    x = k.Reshape((16, 4 * f))(k.Dense(64 * f, activation="relu")(x))
    for number in (2, 1, 0):
        x = k.Conv1D(f << number, 7, padding="same", activation="relu")(k.UpSampling1D(2)(x))
    return library.Model(wave, k.Conv1D(3, 7, padding="same")(x))


def glucose(library: Any, draw: random.Random) -> Any:
    """Glucose of the next hour: causal dilated convolutions, the last step, facts about the person."""
    k, f = library.layers, draw.choice((16, 24))
    steps, person = library.Input((36, 4), name="cgm"), library.Input((5,), name="static")
    x = k.Conv1D(f, 1)(steps)
    for rate in (1, 2, 4, 8):
        y = k.Conv1D(f, 2, padding="causal", dilation_rate=rate)(x)
        y = k.SpatialDropout1D(0.1)(k.Activation("relu")(k.LayerNormalization()(y)))
        x = k.Add()([x, y])
    x = k.Concatenate()([x[:, -1, :], k.Dense(8, activation="relu")(person)])
    x = k.Dense(32, activation="relu")(x)
    return library.Model([steps, person], [k.Dense(1, name=f"in_{minutes}")(x) for minutes in (30, 60)])


def ecg_net_ribeiro(library: Any, draw: random.Random) -> Any:
    """Twelve leads: residual units whose shortcuts are pooled and that hand two tensors on."""
    k, f = library.layers, draw.choice((8, 12))
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    signal = library.Input(shape=(512, 12), name="signal")
    x = k.Activation("relu")(k.BatchNormalization()(k.Conv1D(f, 16, **options)(signal)))
    short = x
    for filters in (2 * f, 3 * f, 4 * f):
        short = k.Conv1D(filters, 1, **options)(k.MaxPooling1D(4, strides=4, padding="same")(short))
        x = k.Activation("relu")(k.BatchNormalization()(k.Conv1D(filters, 16, **options)(x)))
        x = k.Conv1D(filters, 16, strides=4, **options)(k.Dropout(0.2)(x))
        short = x = k.Add()([x, short])
        x = k.Dropout(0.2)(k.Activation("relu")(k.BatchNormalization()(x)))
    return library.Model(signal, k.Dense(6, activation="sigmoid", name="diagnosis")(k.Flatten()(x)))


def ppg_heart_rate(library: Any, draw: random.Random) -> Any:
    """Heart rate: the same convolutions read this window and the last one, and one attends to the other."""
    k, f = library.layers, draw.choice((16, 24))
    now, last = library.Input((128, 4), name="current"), library.Input((128, 4), name="previous")
    wave = library.Input((128, 4))
    x = wave
    for filters in (f // 2, f, 2 * f):
        for _ in range(2):
            x = k.Conv1D(filters, 5, dilation_rate=2, padding="causal", activation="relu")(x)
        x = k.Dropout(0.5)(k.AveragePooling1D(4)(x))
    body = library.Model(wave, x)
    one, two = body(now), body(last)
    x = k.MultiHeadAttention(num_heads=4, key_dim=f // 2)(query=one, value=two)
    x = k.LayerNormalization()(k.Add()([one, x]))
    x = k.Dense(32, activation="relu")(k.Flatten()(x))
    return library.Model([now, last], k.Dense(1)(k.Dropout(0.125)(x)))


def crepe_tiny_pitch(library: Any, draw: random.Random) -> Any:
    """SPICE: an encoder of a spectrum's bins by convolutions with pooling, the pitch and how sure it is."""
    k, f = library.layers, draw.choice((16, 24))
    x = bins = library.Input((128,), name="cqt")
    x = k.Reshape((128, 1))(x)
    for filters in (f, f, 2 * f, 2 * f, 4 * f):
        x = k.Conv1D(filters, 3, padding="same", use_bias=False)(x)
        x = k.Activation("relu")(k.BatchNormalization(momentum=0.9)(x))
        x = k.MaxPooling1D(3, strides=2, padding="same")(x)
    x = k.Dense(48, activation="relu")(k.Flatten()(x))
    sure = k.Dense(1, activation="sigmoid", name="uncertainty")(k.Dense(24, activation="relu")(x))
    return library.Model(bins, [k.Dense(1, name="pitch")(x), sure])


def musicnn(library: Any, draw: random.Random) -> Any:
    """Musicnn: tall kernels for timbre, long ones for rhythm, residual convolutions, two poolings."""
    k, f, bands = library.layers, functions(library), 48
    filters = draw.choice((8, 12))
    sound = library.Input((60, bands), name="mel")
    x = k.BatchNormalization(name="bn_input")(f.expand_dims(sound, 3))
    found = []
    for size in ((7, bands * 9 // 10), (7, bands * 4 // 10), (31, 1), (15, 1)):
        y = k.ZeroPadding2D((3, 0))(x) if size[1] > 1 else x
        y = k.Conv2D(filters, size, padding="valid" if size[1] > 1 else "same", activation="relu")(y)
        found.append(f.max(k.BatchNormalization()(y), axis=2))
    start = k.Concatenate(axis=2)(found)
    parts = [start]
    for _ in range(3):
        y = k.Conv1D(2 * filters, 7, padding="same", activation="relu")(parts[-1])
        y = k.BatchNormalization()(y)
        parts.append(k.Add()([y, parts[-1]]) if len(parts) > 1 else y)
    x = k.Concatenate(axis=2)(parts)
    x = k.Concatenate()([f.max(x, axis=1), f.mean(x, axis=1)])
    x = k.Dense(48, activation="relu")(k.Dropout(0.5)(k.BatchNormalization()(x)))
    return library.Model(sound, k.Dense(20, activation="sigmoid")(k.Dropout(0.5)(k.BatchNormalization()(x))))


def mcdcnn(library: Any, draw: random.Random) -> Any:
    """MCDCNN: each channel of a series has a separate input and convolutions before a dense layer."""
    k, channels = library.layers, draw.choice((3, 4))
    inputs, ends = [], []
    for _ in range(channels):
        x = channel = library.Input((96, 1))
        for _ in range(2):
            x = k.MaxPooling1D(pool_size=2)(k.Conv1D(8, 5, activation="relu", padding="valid")(x))
        inputs.append(channel)
        ends.append(k.Flatten()(x))
    x = k.Dense(units=64, activation="relu")(k.concatenate(ends, axis=-1))
    return library.Model(inputs, k.Dense(5, activation="softmax")(x))


def time_cnn(library: Any, draw: random.Random) -> Any:
    """Time-CNN: two convolutions with sigmoids, each followed by means of three steps, and sigmoids again."""
    k = library.layers
    x = series = library.Input((draw.choice((96, 120)), 2))
    for filters in (6, 12):
        x = k.Conv1D(filters=filters, kernel_size=7, padding="valid", activation="sigmoid")(x)
        x = k.AveragePooling1D(pool_size=3)(x)
    return library.Model(series, k.Dense(units=4, activation="sigmoid")(k.Flatten()(x)))


def time_series_residual(library: Any, draw: random.Random) -> Any:
    """The change of each feature by an LSTM and a dense layer that starts at zero, added to the input."""
    k = library.layers
    steps = library.Input((12, 9), batch_size=1)
    x = k.LSTM(draw.choice((16, 24)), return_sequences=True)(steps)
    return library.Model(steps, k.Add()([steps, k.Dense(9, kernel_initializer="zeros")(x)]))


def model_garden_deep_speech(library: Any, draw: random.Random) -> Any:
    """Deep Speech 2: padded convolutions of large kernels, normalized GRUs in both directions, letters."""
    k, units = library.layers, draw.choice((12, 16))
    sound = library.Input((40, 32, 1), batch_size=1)
    x = k.Conv2D(8, (21, 11), strides=(2, 2), use_bias=False)(k.ZeroPadding2D((10, 5))(sound))
    x = k.ReLU(6.0)(k.BatchNormalization(epsilon=1e-5, momentum=0.997)(x))
    x = k.Conv2D(8, (11, 11), strides=(2, 1), use_bias=False)(k.ZeroPadding2D((5, 5))(x))
    x = k.ReLU(6.0)(k.BatchNormalization(epsilon=1e-5, momentum=0.997)(x))
    x = k.Reshape((x.shape[1] * x.shape[2], 8))(x)[:, ::16, :]
    for number in range(2):
        x = k.BatchNormalization(epsilon=1e-5, momentum=0.997)(x) if number else x
        x = k.Bidirectional(k.GRU(units, return_sequences=True))(x)
    x = k.Dense(29, use_bias=True)(k.BatchNormalization(epsilon=1e-5)(x))
    return library.Model(sound, k.Softmax()(x))


def geron_shakespeare(library: Any, draw: random.Random) -> Any:
    """The next character of a text: an embedding, a GRU, and a softmax for each step."""
    k = library.layers
    layers = [k.Embedding(input_dim=39, output_dim=16), k.GRU(draw.choice((24, 32)), return_sequences=True)]
    return library.Sequential(
        [library.Input((30,), batch_size=1, dtype="int32"), *layers, k.Dense(39, activation="softmax")]
    )


def openvaccine_gru(library: Any, draw: random.Random) -> Any:
    """OpenVaccine: three codes of each base share a table, GRUs both ways, the first steps scored."""
    k, f, units = library.layers, functions(library), draw.choice((12, 16))
    bases = library.Input((40, 3), batch_size=1, dtype="int32")
    x = f.reshape(k.Embedding(input_dim=14, output_dim=20)(bases), (-1, 40, 60))
    x = k.SpatialDropout1D(0.2)(x)
    for _ in range(2):
        x = k.Bidirectional(
            k.GRU(units, dropout=0.4, return_sequences=True, kernel_initializer="orthogonal")
        )(x)
    return library.Model(bases, k.Dense(5, activation="linear")(x[:, :26]))


def kws_streaming_mha(library: Any, draw: random.Random) -> Any:
    """Key words by recurrent layers: the middle frame asks, two heads weigh all frames."""
    k, f, units = library.layers, functions(library), draw.choice((12, 16))
    sound = library.Input((32, 20), batch_size=1)
    x = f.expand_dims(sound, -1)
    for filters, strides in ((10, 2), (1, 1)):
        x = k.Conv2D(filters, (5, 1), strides=strides, activation="relu", padding="same")(x)
        x = k.BatchNormalization()(x)
    x = k.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    for _ in range(2):
        x = k.Bidirectional(k.GRU(units, return_sequences=True))(x)
    middle, heads = x[:, x.shape[1] // 2, :], []
    for _ in range(2):
        weights = k.Softmax(name=f"weights_{len(heads)}")(k.Dot(axes=[1, 2])([k.Dense(2 * units)(middle), x]))
        heads.append(k.Dot(axes=[1, 1])([weights, x]))
    x = k.Dense(32, activation="relu")(k.Concatenate()(heads))
    return library.Model(sound, k.Dense(12)(k.Dropout(0.1)(x)))


def gru4rec(library: Any, draw: random.Random) -> Any:
    """GRU4Rec: one click as a vector of ones, a GRU that keeps its state between calls, scores of items."""
    k, items = library.layers, draw.choice((200, 300))
    click = library.Input((1, items), batch_size=1)
    x = k.GRU(32, stateful=True, name="gru")(click)
    return library.Model(click, k.Dense(items, activation="softmax")(k.Dropout(0.25)(x)))


def lstnet(library: Any, draw: random.Random) -> Any:
    """LSTNet whole: a GRU over all steps, another over every sixth step, and a linear part."""
    k, f, units, series = library.layers, functions(library), draw.choice((12, 16)), 6
    steps = library.Input((29, series), batch_size=1)
    x = k.Conv2D(12, (6, series), activation="relu")(k.Reshape((29, series, 1))(steps))
    x = k.Reshape((24, 12))(k.Dropout(0.2)(x))
    last = k.Dropout(0.2)(k.GRU(units, activation="relu")(x))
    # the converter's batch is one, so the six phases become the batch of the second GRU
    phases = f.transpose(f.reshape(x, (4, 6, 12)), (1, 0, 2))
    skip = f.reshape(k.GRU(5, activation="relu")(phases), (1, 30))
    both = k.Dense(series)(k.concatenate([last, skip], axis=1))
    line = f.reshape(f.transpose(steps[:, -8:, :], (0, 2, 1)), (-1, 8))
    return library.Model(steps, k.Add()([both, f.reshape(k.Dense(1)(line), (-1, series))]))


def cnn_lstm_sales(library: Any, draw: random.Random) -> Any:
    """Power of the next week: convolutions read, the flat maps are repeated, an LSTM writes seven days."""
    k = library.layers
    model = library.Sequential([library.Input((14, 8), batch_size=1)])
    for _ in range(2):
        model.add(k.Conv1D(filters=16, kernel_size=3, activation="relu"))
    for layer in (k.MaxPooling1D(pool_size=2), k.Flatten(), k.RepeatVector(7)):
        model.add(layer)
    model.add(k.LSTM(draw.choice((24, 32)), activation="relu", return_sequences=True))
    model.add(k.TimeDistributed(k.Dense(20, activation="relu")))
    model.add(k.TimeDistributed(k.Dense(1)))
    return model


def deep_ar_gaussian(library: Any, draw: random.Random) -> Any:
    """A series is scaled by its mean, two GRUs read it, and the spread is scaled back with the mean."""
    k, f, units = library.layers, functions(library), draw.choice((16, 24))
    past = library.Input((24, 1), batch_size=1, name="past_target")
    features = library.Input((24, 5), batch_size=1, name="time_feat")
    scale = f.mean(f.abs(past), axis=1, keepdims=True) + 1e-3
    x = k.Concatenate()([past / scale, features])
    for _ in range(2):
        x = k.GRU(units, return_sequences=True, dropout=0.1)(x)
    mean = k.Dense(1)(x) * scale
    spread = k.Dense(1, activation="softplus")(x) * scale
    return library.Model([past, features], [mean, spread])


def face_blend_shapes(library: Any, draw: random.Random) -> Any:
    """Blend shapes: points less their mean, tokens of them, mixed over points and over channels."""
    k, f, width = library.layers, functions(library), draw.choice((24, 32))
    points = library.Input((96, 2), batch_size=1, name="landmarks")
    x = points - f.mean(points, axis=1, keepdims=True)
    x = x / f.sqrt(f.mean(f.square(x), axis=[1, 2], keepdims=True))
    x = k.Permute((2, 1))(k.Dense(width)(k.Permute((2, 1))(k.Dense(width)(x))))
    for _ in range(2):
        y = k.Permute((2, 1))(k.LayerNormalization(epsilon=1e-6)(x))
        y = k.Permute((2, 1))(k.Dense(width)(k.Dense(2 * width, activation="relu")(y)))
        x = k.Add()([x, y])
        y = k.Dense(width)(k.Dense(2 * width, activation="relu")(k.LayerNormalization(epsilon=1e-6)(x)))
        x = k.Add()([x, y])
    x = k.Dense(52, activation="sigmoid")(x[:, 0, :])
    return library.Model(points, k.Reshape((52,))(x))


def riiid_saint(library: Any, draw: random.Random) -> Any:
    """Knowledge tracing: exercises are encoded, answers decoded, both causal, scores of every exercise."""
    k, width, steps = library.layers, draw.choice((24, 32)), 20
    exercise, part, answer = (
        library.Input((steps,), dtype="int32", name=name) for name in ("exercise", "part", "response")
    )
    place = np.arange(steps, dtype="int32")[None]
    places = k.Embedding(steps, width, name="positions")
    x = k.Embedding(600, width)(exercise) + k.Embedding(8, width)(part) + places(place)
    y = k.Embedding(3, width)(answer) + places(place)

    def attend(query: Any, value: Any) -> Any:
        heads = k.MultiHeadAttention(2, width // 2, dropout=0.1)
        return k.LayerNormalization()(k.Add()([query, heads(query, value, use_causal_mask=True)]))

    def dense(x: Any) -> Any:
        y = k.Dropout(0.1)(k.Dense(width)(k.Dense(2 * width, activation="relu")(x)))
        return k.LayerNormalization()(k.Add()([x, y]))

    x = dense(attend(x, x))
    y = dense(attend(attend(y, y), x))
    return library.Model([exercise, part, answer], k.Dense(1, activation="sigmoid")(y))


def bst(library: Any, draw: random.Random) -> Any:
    """DeepCTR's BST: items and categories of a history, the candidate last, waves for places, attention."""
    k, f, width = library.layers, functions(library), draw.choice((8, 12))
    history = [library.Input((8,), dtype="int32", name=f"hist_{name}") for name in ("item_id", "cate_id")]
    target = [library.Input((1,), dtype="int32", name=name) for name in ("item_id", "cate_id")]
    age = library.Input((1,), name="pay_score")
    tables = [k.Embedding(size, width) for size in (500, 40)]
    x = k.Concatenate()([table(one) for table, one in zip(tables, history, strict=True)])
    y = k.Concatenate()([table(one) for table, one in zip(tables, target, strict=True)])
    x = k.Concatenate(axis=1)([x, y])
    angles = np.arange(9)[:, None] / 10000 ** (np.arange(width)[None] / width)
    x = x + np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")
    z = k.LayerNormalization(epsilon=1e-9)(x + k.MultiHeadAttention(4, width // 2, use_bias=False)(x, x))
    x = k.LayerNormalization(epsilon=1e-9)(z + k.Dense(2 * width)(k.Dense(8 * width, activation="relu")(z)))
    x = k.Concatenate()([k.Flatten()(x), k.Flatten()(y), age])
    for units in (48, 24):
        x = k.Dense(units, activation="relu")(x)
    x = f.sigmoid(k.Dense(1, use_bias=False)(x))
    return library.Model([*history, *target, age], x)


def model_maker_text_average(library: Any, draw: random.Random) -> Any:
    """The average of word vectors: an embedding, its mean, a dense layer of the same width, a softmax."""
    k, width = library.layers, draw.choice((16, 24))
    layers = [k.Embedding(1000, width), k.GlobalAveragePooling1D(), k.Dense(width, activation="relu")]
    words = library.Input((64,), dtype="int32", name="input_ids")
    return library.Sequential([words, *layers, k.Dropout(0.2), k.Dense(3, activation="softmax")])
