"""Sounds, sensors and forecasts in the fourth set, as microcontrollers and services have them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fourth_functions import functions
from benchmarks.accuracy.third_images import Builder


def key_words(library: Any, draw: random.Random) -> Any:
    """DS-CNN, the key word spotter of MLPerf Tiny: 49 frames of 10 coefficients."""
    k = library.layers
    decay = library.regularizers.l2(1e-4)
    filters = draw.choice((32, 64))
    frames = k.Input(shape=(49, 10, 1))
    x = k.Conv2D(filters, (10, 4), strides=(2, 2), padding="same", kernel_regularizer=decay)(frames)
    x = k.Dropout(rate=0.2)(k.Activation("relu")(k.BatchNormalization()(x)))
    for _ in range(4):
        x = k.DepthwiseConv2D(3, padding="same", depthwise_regularizer=decay)(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
        x = k.Conv2D(filters, (1, 1), padding="same", kernel_regularizer=decay)(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
    x = k.AveragePooling2D(pool_size=(25, 5))(k.Dropout(rate=0.4)(x))
    return library.Model(frames, k.Dense(12, activation="softmax")(k.Flatten()(x)))


def temporal_residual(library: Any, draw: random.Random) -> Any:
    """TC-ResNet: coefficients are channels, kernels have nine steps, in maps of height one."""
    k = library.layers
    frames = library.Input((98, 40))
    x = k.Reshape((98, 1, 40))(frames)
    x = k.Conv2D(16, (3, 1), padding="same", use_bias=False)(x)
    for filters in (24, draw.choice((32, 36))):
        y = k.Conv2D(filters, (9, 1), strides=(2, 1), padding="same", use_bias=False)(x)
        y = k.ReLU()(k.BatchNormalization()(y))
        y = k.BatchNormalization()(k.Conv2D(filters, (9, 1), padding="same", use_bias=False)(y))
        x = k.Conv2D(filters, 1, strides=(2, 1), use_bias=False)(x)
        x = k.ReLU()(k.Add()([y, k.ReLU()(k.BatchNormalization()(x))]))
    x = k.Dropout(0.5)(k.AveragePooling2D((25, 1))(x))
    x = k.Conv2D(12, 1, use_bias=False)(x)
    return library.Model(frames, k.Softmax()(k.Flatten()(x)))


def broadcast_residual(library: Any, draw: random.Random) -> Any:
    """BC-ResNet: a branch is averaged over frequencies, convolved over time and added to all frequencies."""
    k, f = library.layers, functions(library)
    frames = library.Input((40, 48, 1))
    x = k.Conv2D(16, 5, strides=(2, 1), padding="same", activation="relu")(frames)
    for dilation in (1, 2):
        y = k.BatchNormalization()(k.DepthwiseConv2D((3, 1), padding="same", use_bias=False)(x))
        mean = f.mean(y, axis=1, keepdims=True)
        z = k.DepthwiseConv2D((1, 3), padding="same", dilation_rate=(1, dilation), use_bias=False)(mean)
        z = k.Conv2D(16, 1, use_bias=False)(k.Activation("swish")(k.BatchNormalization()(z)))
        x = k.ReLU()(x + y + k.SpatialDropout2D(0.1)(z))
    x = f.mean(k.Conv2D(draw.choice((24, 32)), 1)(x), axis=[1, 2])
    return library.Model(frames, k.Dense(10)(x))


def match_box(library: Any, draw: random.Random) -> Any:
    """MatchboxNet: repeated separable 1-D convolutions of long reach."""
    k = library.layers
    sound = library.Input((100, 32))
    x = k.ReLU()(k.BatchNormalization()(k.SeparableConv1D(32, 11, padding="same", use_bias=False)(sound)))
    for size in (13, draw.choice((15, 17))):
        short = k.BatchNormalization()(k.Conv1D(24, 1, use_bias=False)(x))
        x = k.BatchNormalization()(k.SeparableConv1D(24, size, padding="same", use_bias=False)(x))
        x = k.Dropout(0.1)(k.ReLU()(x))
        x = k.BatchNormalization()(k.SeparableConv1D(24, size, padding="same", use_bias=False)(x))
        x = k.ReLU()(k.Add()([x, short]))
    x = k.SeparableConv1D(32, 29, padding="same", dilation_rate=2, use_bias=False)(x)
    x = k.GlobalAveragePooling1D()(k.ReLU()(k.BatchNormalization()(x)))
    return library.Model(sound, k.Dense(30, activation="softmax")(x))


def wake_word(library: Any, draw: random.Random) -> Any:
    """A wake word from stacked features: a flat dense network in two outputs."""
    k = library.layers
    model = library.Sequential(name="wake_word")
    model.add(library.Input((16, 96)))
    model.add(k.Flatten())
    for units in (draw.choice((32, 48)), 32):
        model.add(k.Dense(units))
        model.add(k.LayerNormalization())
        model.add(k.Activation("relu"))
    model.add(k.Dense(1, activation="sigmoid"))
    return model


def gestures(library: Any, draw: random.Random) -> Any:
    """Gestures of an accelerometer: 1-D convolutions, dropout and pooling."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((128, draw.choice((3, 6)))),
            k.Conv1D(16, kernel_size=8, activation="relu"),
            k.Conv1D(24, kernel_size=4, activation="relu", padding="causal"),
            k.Dropout(0.5),
            k.MaxPooling1D(pool_size=2),
            k.Conv1D(24, 3, strides=2, activation="relu", kernel_initializer="he_uniform"),
            k.Flatten(),
            k.Dense(48, activation="relu"),
            k.Dense(6, activation="softmax"),
        ]
    )


def toy_cars(library: Any, draw: random.Random) -> Any:
    """The anomaly detector of MLPerf Tiny: a dense autoencoder with normalizations."""
    k = library.layers
    given = library.Input(shape=(640,))
    x = given
    for units in (64, 64, draw.choice((8, 4)), 64, 64):
        x = k.Activation("relu")(k.BatchNormalization()(k.Dense(units)(x)))
    return library.Model(inputs=given, outputs=k.Dense(640)(x))


def sensor_anomalies(library: Any, draw: random.Random) -> Any:
    """A convolutional autoencoder of series with transposed convolutions, and its mean error as an output."""
    k, f = library.layers, functions(library)
    series = library.Input((96, 2))
    x = k.Conv1D(24, 7, padding="same", strides=2, activation="relu")(series)
    x = k.Conv1D(16, 7, padding="same", strides=2, activation="relu")(k.Dropout(0.2)(x))
    x = k.Conv1DTranspose(16, 7, padding="same", strides=2, activation="relu")(x)
    x = k.Conv1DTranspose(24, 7, padding="same", strides=2, activation="relu")(k.Dropout(0.2)(x))
    x = k.Conv1DTranspose(2, 7, padding="same")(x)
    error = f.mean(f.abs(x - series) if draw.random() < 0.5 else f.square(x - series), axis=[1, 2])
    return library.Model(series, [x, error])


def heart_beats(library: Any, draw: random.Random) -> Any:
    """A residual network for ECG with pooled shortcuts and preactivation."""
    k = library.layers
    signal = library.Input((256, 1), name="ecg")
    x = k.Conv1D(12, 16, padding="same", kernel_initializer="he_normal")(signal)
    x = k.Activation("relu")(k.BatchNormalization()(x))
    for number in range(3):
        step = 2 if number % 2 else draw.choice((2, 4))
        short = k.MaxPooling1D(step, padding="same")(x)
        y = k.Conv1D(12, 16, strides=step, padding="same")(k.Activation("relu")(k.BatchNormalization()(x)))
        y = k.Dropout(0.2)(k.Activation("relu")(k.BatchNormalization()(y)))
        x = k.Add()([short, k.Conv1D(12, 16, padding="same")(y)])
    x = k.Activation("relu")(k.BatchNormalization()(x))
    return library.Model(signal, k.TimeDistributed(k.Dense(4, activation="softmax"))(x))


def brain_signals(library: Any, draw: random.Random) -> Any:
    """EEGNet: depthwise convolutions with a norm constraint over electrodes."""
    k = library.layers
    norm = library.constraints.max_norm
    signal = k.Input(shape=(16, 128, 1))
    x = k.BatchNormalization()(k.Conv2D(8, (1, 32), padding="same", use_bias=False)(signal))
    x = k.DepthwiseConv2D((16, 1), use_bias=False, depth_multiplier=2, depthwise_constraint=norm(1.0))(x)
    x = k.Activation("elu")(k.BatchNormalization()(x))
    x = k.Dropout(0.5)(k.AveragePooling2D((1, 4))(x))
    x = k.SeparableConv2D(draw.choice((16, 24)), (1, 16), use_bias=False, padding="same")(x)
    x = k.Activation("elu")(k.BatchNormalization()(x))
    x = k.Flatten(name="flatten")(k.Dropout(0.5)(k.AveragePooling2D((1, 8))(x)))
    return library.Model(signal, k.Activation("softmax")(k.Dense(4, kernel_constraint=norm(0.25))(x)))


def bearings(library: Any, draw: random.Random) -> Any:
    """Faults of bearings from raw vibration: a first kernel of 64 steps, then short ones."""
    k = library.layers
    layers = [library.Input((1024, 1)), k.BatchNormalization()]
    for filters, size, strides in ((16, 64, 16), (24, 3, 1), (32, 3, 1), (32, 3, 1)):
        layers += [k.Conv1D(filters, size, strides=strides, padding="same"), k.BatchNormalization()]
        layers += [k.Activation("relu"), k.MaxPooling1D(2)]
    layers += [
        k.Flatten(),
        k.Dense(draw.choice((40, 100)), activation="relu"),
        k.Dense(10, activation="softmax"),
    ]
    return library.Sequential(layers)


def raw_audio(library: Any, draw: random.Random) -> Any:
    """WaveNet: causal dilated convolutions with gates, and skips that are added at the end."""
    k = library.layers
    sound = library.Input((160, 1))
    x, skips = k.Conv1D(16, 2, padding="causal")(sound), []
    for level in range(draw.choice((4, 5))):
        y = k.Conv1D(16, 2, padding="causal", dilation_rate=2**level, activation="tanh")(x)
        z = k.Conv1D(16, 2, padding="causal", dilation_rate=2**level, activation="sigmoid")(x)
        z = k.multiply([y, z])
        skips.append(k.Conv1D(24, 1)(z))
        x = k.add([x, k.Conv1D(16, 1)(z)])
    x = k.Activation("relu")(k.add(skips))
    x = k.Conv1D(24, 1, activation="relu")(x)
    return library.Model(sound, k.Conv1D(64, 1, activation="softmax")(x))


def weighted_steps(library: Any, draw: random.Random) -> Any:
    """A temporal convolutional network of fixed length whose last step forecasts several values."""
    k = library.layers
    series = library.Input(shape=(64, 4))
    x = series
    for filters, rate in ((16, 1), (16, 2), (24, 4), (24, 8)):
        short = x if x.shape[-1] == filters else k.Conv1D(filters, 1, padding="same")(x)
        for _ in range(2):
            x = k.Conv1D(filters, 3, dilation_rate=rate, padding="causal", kernel_initializer="he_normal")(x)
            x = k.SpatialDropout1D(0.1)(k.Activation("relu")(k.LayerNormalization()(x)))
        x = k.Activation("relu")(k.Add()([short, x]))
    x = x[:, -1, :] if draw.random() < 0.7 else k.Flatten()(k.Cropping1D((63, 0))(x))
    return library.Model(series, k.Reshape((12, 2))(k.Dense(24)(x)))


def trend_and_rest(library: Any, draw: random.Random) -> Any:
    """DLinear: a moving mean and the rest, each by one dense layer over time."""
    k = library.layers
    series = library.Input((96, 3))
    trend = k.AveragePooling1D(25, strides=1, padding="same")(series)
    rest = k.Subtract()([series, trend])
    steps = draw.choice((24, 48))
    outputs = [k.Permute((2, 1))(k.Dense(steps)(k.Permute((2, 1))(part))) for part in (trend, rest)]
    return library.Model(series, k.Add()(outputs))


def series_mixer(library: Any, draw: random.Random) -> Any:
    """TSMixer: dense layers over time and over channels in turn, after reversible scaling."""
    k, f = library.layers, functions(library)
    series = library.Input((48, 6))
    mean = f.mean(series, axis=1, keepdims=True)
    spread = f.sqrt(f.mean(f.square(series - mean), axis=1, keepdims=True) + 1e-5)
    x = (series - mean) / spread
    for _ in range(2):
        y = f.transpose(k.BatchNormalization()(x), (0, 2, 1))
        y = k.Dropout(0.1)(k.Dense(48, activation="relu")(y))
        x = x + f.transpose(y, (0, 2, 1))
        y = k.Dense(draw.choice((24, 32)), activation="relu")(k.BatchNormalization()(x))
        x = x + k.Dense(6)(y)
    x = f.transpose(k.Dense(12)(f.transpose(x, (0, 2, 1))), (0, 2, 1))
    return library.Model(series, x * spread + mean)


def patches(library: Any, draw: random.Random) -> Any:
    """PatchTST: a strided convolution makes patches, attention mixes them, a dense layer forecasts."""
    k = library.layers
    series = library.Input((128, 1))
    x = k.Conv1D(32, 16, strides=8)(series)
    x = k.Add()([x, k.Dense(32, use_bias=False)(x)])
    for _ in range(2):
        y = k.MultiHeadAttention(num_heads=draw.choice((2, 4)), key_dim=8, dropout=0.1)(x, x)
        x = k.BatchNormalization()(k.Add()([x, y]))
        y = k.Dense(32)(k.Dropout(0.1)(k.Dense(64, activation="gelu")(x)))
        x = k.BatchNormalization()(k.Add()([x, y]))
    return library.Model(series, k.Dense(24)(k.Flatten()(x)))


def embedded_sounds(library: Any, draw: random.Random) -> Any:
    """A VGG-like embedding of spectrograms and a small classifier with a nested model."""
    k = library.layers
    base = library.Sequential(name="embedding")
    base.add(library.Input((96, 64, 1)))
    for filters in (8, 16, 24):
        base.add(k.Conv2D(filters, 3, padding="same", activation="relu"))
        base.add(k.MaxPooling2D(2, strides=2))
    base.add(k.GlobalAveragePooling2D())
    sound = library.Input((96, 64, 1))
    x = k.Dense(draw.choice((64, 100)), activation="relu")(base(sound))
    return library.Model(sound, k.Dense(50, activation="sigmoid")(k.Dropout(0.3)(x)))


FOURTH_SIGNALS: dict[str, tuple[str, Builder]] = {
    "q-key-words": ("sequences", key_words),
    "q-temporal-residual": ("sequences", temporal_residual),
    "q-broadcast-residual": ("sequences", broadcast_residual),
    "q-match-box": ("sequences", match_box),
    "q-wake-word": ("sequences", wake_word),
    "q-gestures": ("sequences", gestures),
    "q-toy-cars": ("sequences", toy_cars),
    "q-sensor-anomalies": ("sequences", sensor_anomalies),
    "q-heart-beats": ("sequences", heart_beats),
    "q-brain-signals": ("sequences", brain_signals),
    "q-bearings": ("sequences", bearings),
    "q-raw-audio": ("sequences", raw_audio),
    "q-weighted-steps": ("sequences", weighted_steps),
    "q-trend-and-rest": ("sequences", trend_and_rest),
    "q-series-mixer": ("sequences", series_mixer),
    "q-patches": ("attention", patches),
    "q-embedded-sounds": ("sequences", embedded_sounds),
}
"""The class of each kind of network, and what builds it."""
