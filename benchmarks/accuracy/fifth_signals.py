"""Sounds, sensors and forecasts in the fifth set.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds, pooled, unit
from benchmarks.accuracy.fourth_functions import functions


def tiny_embedding(library: Any, draw: random.Random) -> Any:
    """The `tiny_embedding_conv` of the microcontroller examples: two strided convolutions."""
    k = library.layers
    print_ = library.Input((1960,), name="fingerprint")
    x = k.Reshape((49, 40, 1))(print_)
    x = k.Conv2D(8, (10, 8), strides=(2, 2), padding="same", activation="relu")(x)
    x = k.Dropout(0.5)(k.Conv2D(8, (10, 8), strides=(8, 8), padding="same", activation="relu")(x))
    return library.Model(print_, k.Dense(draw.choice((4, 12)), name="logits")(k.Flatten()(x)))


def filter_ranks(library: Any, draw: random.Random) -> Any:
    """SVDF: each unit is a filter over features and a filter over time, as key words on phones have it."""
    k = library.layers
    frames = library.Input((32, 20))
    x = frames
    for units in (32, draw.choice((24, 32))):
        x = k.Dense(units, use_bias=False)(x)
        x = k.Reshape((x.shape[1], 1, units))(x)
        x = k.DepthwiseConv2D((8, 1), padding="valid", activation="relu")(x)
        x = k.Dense(24)(k.Reshape((x.shape[1], units))(x))
    return library.Model(frames, k.Dense(10, activation="softmax")(k.Flatten()(x)))


def deep_residual_words(library: Any, draw: random.Random) -> Any:
    """Res15: residual convolutions of 3x3 whose dilation grows, with normalizations without factors."""
    k = library.layers
    frames = library.Input((60, 40, 1))
    x = k.AveragePooling2D((2, 2))(k.Conv2D(15, 3, padding="same", use_bias=False, activation="relu")(frames))
    old = x
    for number in range(1, 7):
        rate = 2 ** (number // draw.choice((3,)))
        y = k.Conv2D(15, 3, padding="same", dilation_rate=rate, use_bias=False, activation="relu")(x)
        x = old = k.Add()([y, old]) if number % 2 == 0 else y
        x = k.BatchNormalization(center=False, scale=False)(x)
        old = x if number % 2 == 0 else old
    return pooled(library, frames, x, draw.choice((12, 30)))


def temporal_words(library: Any, draw: random.Random) -> Any:
    """TENet: inverted blocks of one dimension, whose branches have kernels of several lengths."""
    k = library.layers
    frames = library.Input((98, 40))
    x = k.ReLU()(k.BatchNormalization()(k.Conv1D(16, 3, padding="same", use_bias=False)(frames)))
    for strides in (2, 1, 2, 1):
        y = k.ReLU()(k.BatchNormalization()(k.Conv1D(48, 1, use_bias=False)(x)))
        parts = [
            k.BatchNormalization()(k.DepthwiseConv1D(size, strides, padding="same", use_bias=False)(y))
            for size in (3, 5, draw.choice((7, 9)))
        ]
        y = k.BatchNormalization()(k.Conv1D(16, 1, use_bias=False)(k.ReLU()(k.Add()(parts))))
        short = x if strides == 1 else k.BatchNormalization()(k.Conv1D(16, 1, 2, use_bias=False)(x))
        x = k.ReLU()(k.Add()([y, short]))
    return library.Model(frames, k.Dense(12, activation="softmax")(k.GlobalAveragePooling1D()(x)))


def wav_to_letters(library: Any, draw: random.Random) -> Any:
    """wav2letter as MLPerf has it: long kernels over maps of height one, activations clipped at six."""
    k = library.layers
    frames = library.Input((1, 296, 39), batch_size=1)
    x = frames
    for filters, size, strides in ((24, 24, 2), (24, 7, 1), (24, 7, 1), (48, 16, 1), (48, 1, 1)):
        x = k.Conv2D(filters, (1, size), strides=(1, strides), padding="same")(x)
        x = k.ReLU(max_value=draw.choice((6.0, 20.0)))(x)
    return library.Model(frames, k.Softmax()(k.Conv2D(29, 1)(x)))


def dense_residual_speech(library: Any, draw: random.Random) -> Any:
    """Jasper: every block adds the projected outputs of all blocks before."""
    k = library.layers
    frames = library.Input((128, 32))

    def conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        return k.BatchNormalization()(k.Conv1D(filters, size, strides, padding="same", use_bias=False)(x))

    outputs = [k.ReLU()(conv(frames, 24, 11, 2))]
    for filters, size in ((24, 11), (32, 13), (draw.choice((32, 40)), 17)):
        y = k.Dropout(0.2)(k.ReLU()(conv(outputs[-1], filters, size)))
        y = k.Add()([conv(y, filters, size), *(conv(one, filters, 1) for one in outputs)])
        outputs.append(k.Dropout(0.2)(k.ReLU()(y)))
    return library.Model(frames, k.Conv1D(29, 1, activation="softmax")(outputs[-1]))


def sound_classes(library: Any, draw: random.Random) -> Any:
    """YAMNet on a spectrum: a matrix of mel bands, a logarithm, and a separable body with named layers."""
    k, f = library.layers, functions(library)
    bands = np.maximum(0, 1 - np.abs(np.linspace(0, 31, 65)[:, None] - np.arange(32)) / 2).astype("float32")
    spectrum = library.Input((64, 65), name="magnitude")
    x = f.log(f.matmul(spectrum, bands) + 0.001)
    x = k.Reshape((64, 32, 1))(x)
    x = unit(library, x, 8, 3, 2)
    for number, (strides, filters) in enumerate(((1, 16), (2, 24), (1, 24), (2, draw.choice((32, 48))))):
        x = k.DepthwiseConv2D(3, strides, "same", use_bias=False, name=f"layer{number + 2}_depthwise")(x)
        x = k.ReLU()(k.BatchNormalization(center=True, scale=False, epsilon=1e-4)(x))
        x = k.Conv2D(filters, 1, use_bias=False, name=f"layer{number + 2}_pointwise")(x)
        x = k.ReLU()(k.BatchNormalization(center=True, scale=False, epsilon=1e-4)(x))
    return pooled(library, spectrum, x, 50, "sigmoid")


def separated_voices(library: Any, draw: random.Random) -> Any:
    """Conv-TasNet: a learned transform, dilated blocks that make masks, and a transform back."""
    k = library.layers
    sound = library.Input((512, 1))
    coded = k.Conv1D(24, 16, strides=8, padding="same", use_bias=False, activation="relu")(sound)
    x = k.Conv1D(16, 1)(k.LayerNormalization()(coded))
    for rate in (1, 2, 4):
        y = k.LayerNormalization()(k.PReLU(shared_axes=[1])(k.Conv1D(32, 1)(x)))
        y = k.DepthwiseConv1D(3, padding="same", dilation_rate=rate)(y)
        y = k.LayerNormalization()(k.PReLU(shared_axes=[1])(y))
        x = k.Add()([x, k.Conv1D(16, 1)(y)])
    voices = []
    for _ in range(draw.choice((1, 2))):
        mask = k.Conv1D(24, 1, activation="sigmoid")(x)
        masked = k.Multiply()([coded, mask])
        voices.append(k.Conv1DTranspose(1, 16, strides=8, padding="same", use_bias=False)(masked))
    return library.Model(sound, voices)


def radar_gestures(library: Any, draw: random.Random) -> Any:
    """Gestures by radar: one network of maps for each of several frames, then convolutions over time."""
    k = library.layers
    frame = library.Sequential(name="frame_net")
    frame.add(library.Input((24, 24, 2)))
    for filters in (8, 12):
        frame.add(k.Conv2D(filters, 3, padding="same", activation="relu"))
        frame.add(k.MaxPooling2D(2))
    frame.add(k.Flatten())
    frame.add(k.Dense(24, activation="relu"))
    frames = library.Input((draw.choice((5, 8)), 24, 24, 2))
    x = k.TimeDistributed(frame)(frames)
    x = k.Conv1D(32, 3, padding="causal", activation="relu")(x)
    x = k.Conv1D(32, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    return library.Model(frames, k.Dense(6, activation="softmax")(k.GlobalMaxPooling1D()(x)))


def rates_of_series(library: Any, draw: random.Random) -> Any:
    """N-HiTS: stacks that see the series pooled by different rates, and subtract what they explain."""
    k = library.layers
    series = library.Input((48,))
    rest, forecasts = series, []
    for rate in (8, 4, draw.choice((1, 2))):
        x = k.MaxPooling1D(rate, strides=rate, padding="same")(k.Reshape((48, 1))(rest))
        x = k.Dense(32, activation="relu")(k.Flatten()(x))
        x = k.Dense(32, activation="relu")(x)
        knots = k.Reshape((12 // rate if rate < 8 else 2, 1))(k.Dense(12 // rate if rate < 8 else 2)(x))
        grown = k.UpSampling1D(rate if rate < 8 else 6)(knots)
        forecasts.append(k.Flatten()(grown))
        rest = k.Subtract()([rest, k.Dense(48)(x)])
    return library.Model(series, k.Add()(forecasts))


def dense_encoders(library: Any, draw: random.Random) -> Any:
    """TiDE: residual dense blocks encode the past and covariates, and a skip goes from past to future."""
    k = library.layers

    def block(x: Any, hidden: int, units: int) -> Any:
        y = k.Dropout(0.1)(k.Dense(units)(k.Dense(hidden, activation="relu")(x)))
        return k.LayerNormalization()(k.Add()([y, k.Dense(units)(x)]))

    past, future = library.Input((36,), name="past"), library.Input((12, 4), name="covariates")
    small = k.Flatten()(block(future, 16, 2))
    x = block(k.Concatenate()([past, small]), 48, draw.choice((32, 48)))
    x = k.Reshape((12, 4))(block(x, 48, 12 * 4))
    x = block(k.Concatenate()([x, k.Reshape((12, 2))(small)]), 16, 1)
    return library.Model([past, future], k.Add()([k.Flatten()(x), k.Dense(12)(past)]))


def inverted_tokens(library: Any, draw: random.Random) -> Any:
    """iTransformer: each variable is a token, and attention goes between variables."""
    k, f = library.layers, functions(library)
    series = library.Input((48, 7))
    x = k.Dense(32)(f.transpose(series - f.mean(series, axis=1, keepdims=True), (0, 2, 1)))
    for _ in range(draw.choice((1, 2))):
        y = k.MultiHeadAttention(num_heads=4, key_dim=8)(query=x, value=x)
        x = k.LayerNormalization()(x + y)
        y = k.Conv1D(32, 1)(k.Conv1D(64, 1, activation="relu")(x))
        x = k.LayerNormalization()(x + y)
    return library.Model(series, k.Permute((2, 1))(k.Dense(24)(x)))


def folded_periods(library: Any, draw: random.Random) -> Any:
    """TimesNet: the series is folded by two periods, convolved as a map, and unfolded."""
    k = library.layers
    series = library.Input((48, 4))
    x = k.Dense(12)(series)
    for period in (draw.choice((6, 8)), 12):
        y = k.Reshape((48 // period, period, 12))(x)
        parts = [k.Conv2D(12, size, padding="same", activation="gelu")(y) for size in (1, 3, 5)]
        y = k.Reshape((48, 12))(k.Conv2D(12, 1)(k.Average()(parts)))
        x = k.LayerNormalization()(k.Add()([x, y]))
    return library.Model(series, k.Dense(3)(k.Flatten()(x)))


def even_and_odd(library: Any, draw: random.Random) -> Any:
    """SCINet: even and odd steps scale and shift each other by what convolutions say."""
    k, f = library.layers, functions(library)
    series = library.Input((32, 5))

    def conv(x: Any) -> Any:
        x = k.LeakyReLU(0.01)(k.Conv1D(draw.choice((8, 12)), 3, padding="same")(x))
        return k.Conv1D(5, 3, padding="same", activation="tanh")(x)

    even, odd = series[:, ::2, :], series[:, 1::2, :]
    even, odd = even * f.exp(conv(odd)), odd * f.exp(conv(even))
    even, odd = even + conv(odd), odd - conv(even)
    x = f.reshape(f.stack([even, odd], axis=2), (-1, 32, 5)) + series
    return library.Model(series, k.Dense(8)(k.Permute((2, 1))(x)))


def moved_hands(library: Any, draw: random.Random) -> Any:
    """Gestures of a wrist band: convolutions, an LSTM and a dense layer, as a chain."""
    k = library.layers
    model = library.Sequential(name="wrist")
    model.add(library.Input((64, 6), batch_size=1))
    for filters in (12, draw.choice((16, 24))):
        model.add(k.Conv1D(filters, 5, activation="relu"))
        model.add(k.BatchNormalization())
        model.add(k.MaxPooling1D(2))
    model.add(k.LSTM(20))
    model.add(k.Dropout(0.4))
    model.add(k.Dense(8, activation="softmax"))
    return model


def less_noise(library: Any, draw: random.Random) -> Any:
    """RNNoise: three GRUs with shortcuts between them give gains for bands and the presence of a voice."""
    k = library.layers
    features = library.Input((10, 42), batch_size=1, name="main_input")
    x = k.Dense(16, activation="tanh")(features)
    voice = k.GRU(12, return_sequences=True, reset_after=draw.random() < 0.5, name="vad_gru")(x)
    noise = k.GRU(16, activation="relu", return_sequences=True)(k.concatenate([x, voice, features]))
    clean = k.GRU(24, return_sequences=True)(k.concatenate([voice, noise, features]))
    gains = k.Dense(22, activation="sigmoid", name="denoise_output")(clean)
    return library.Model(features, [gains, k.Dense(1, activation="sigmoid", name="vad_output")(voice)])


def likely_futures(library: Any, draw: random.Random) -> Any:
    """DeepAR: an LSTM over values and a category, and the mean and spread of each step."""
    k = library.layers
    values = library.Input((16, 3), batch_size=1)
    store = library.Input((16,), batch_size=1, dtype="int32")
    x = k.Concatenate()([values, k.Embedding(30, 5)(store)])
    x = k.LSTM(draw.choice((16, 20)), return_sequences=True)(x)
    return library.Model([values, store], [k.Dense(1)(x), k.Dense(1, activation="softplus")(x)])


def two_views_of_time(library: Any, draw: random.Random) -> Any:
    """LSTM-FCN: convolutions over time beside an LSTM that is given the turned series."""
    k = library.layers
    series = library.Input((64, 1), batch_size=1)
    x = series
    for filters, size in ((12, 8), (16, 5), (12, 3)):
        x = k.Conv1D(filters, size, padding="same", kernel_initializer="he_uniform")(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
    y = k.Dropout(0.8)(k.LSTM(draw.choice((8, 12)))(k.Permute((2, 1))(series)))
    x = k.concatenate([k.GlobalAveragePooling1D()(x), y])
    return library.Model(series, k.Dense(5, activation="softmax")(x))


FIFTH_SIGNALS = {
    **kinds("sequences", tiny_embedding, filter_ranks, deep_residual_words, temporal_words, wav_to_letters),
    **kinds("sequences", dense_residual_speech, sound_classes, separated_voices),
    **kinds("sequences", radar_gestures, rates_of_series, dense_encoders, folded_periods, even_and_odd),
    **kinds("attention", inverted_tokens),
    **kinds("recurrent", moved_hands, less_noise, likely_futures, two_views_of_time),
}
"""The class of each kind of network, and what builds it."""
