"""Networks of the sixth set after projects for small devices and repositories of sounds and biosignals.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fifth_parts import kinds, pooled, unit, wise
from benchmarks.accuracy.fourth_functions import functions


def impulse_audio_1d(library: Any, draw: random.Random) -> Any:
    """Edge Impulse: sounds as a row of features that becomes steps, two convolutions with pooling."""
    k = library.layers
    model = library.Sequential([library.Input(shape=(650,), name="x_input"), k.Reshape((50, 13))])
    for filters in (8, draw.choice((16, 24))):
        model.add(k.Conv1D(filters, kernel_size=3, padding="same", activation="relu"))
        model.add(k.MaxPooling1D(pool_size=2, strides=2, padding="same"))
        model.add(k.Dropout(0.25))
    model.add(k.Flatten())
    model.add(k.Dense(3, activation="softmax", name="y_pred"))
    return model


def impulse_audio_2d(library: Any, draw: random.Random) -> Any:
    """Edge Impulse: sounds as a row of features that becomes a map."""
    k = library.layers
    model = library.Sequential([library.Input(shape=(1960,)), k.Reshape((49, 40, 1))])
    for filters in (8, draw.choice((16, 24))):
        constraint = library.constraints.MaxNorm(1)
        model.add(
            k.Conv2D(filters, kernel_size=3, padding="same", activation="relu", kernel_constraint=constraint)
        )
        model.add(k.MaxPooling2D(pool_size=2, strides=2, padding="same"))
    for layer in (k.Dropout(0.25), k.Flatten(), k.Dense(4, activation="softmax", name="y_pred")):
        model.add(layer)
    return model


def impulse_transfer(library: Any, draw: random.Random) -> Any:
    """Edge Impulse: the smallest MobileNetV2, cut late, and a narrow dense layer at each place."""
    k = library.layers
    body = library.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None
    )
    cut = library.Model(inputs=body.inputs, outputs=body.get_layer("block_13_expand_relu").output)
    model = library.Sequential([library.Input(shape=(96, 96, 3), name="x_input"), cut])
    model.add(k.Reshape((-1, cut.output.shape[3])))
    model.add(k.Dense(draw.choice((8, 16)), activation="relu"))
    for layer in (k.Dropout(0.1), k.Flatten(), k.Dense(2, activation="softmax")):
        model.add(layer)
    return model


def impulse_motion(library: Any, draw: random.Random) -> Any:
    """Edge Impulse: spectral features of motion, two small dense layers."""
    k = library.layers
    dense = [k.Dense(units, activation="relu") for units in (20, draw.choice((10, 12)))]
    last = k.Dense(4, activation="softmax", name="y_pred")
    return library.Sequential([library.Input((33,)), *dense, last])


def arduino_gestures(library: Any, draw: random.Random) -> Any:
    """Gestures by an Arduino: all readings in a row, and three dense layers."""
    k = library.layers
    dense = [k.Dense(50, activation="relu"), k.Dense(15, activation="relu")]
    return library.Sequential(
        [library.Input((714,)), *dense, k.Dense(draw.choice((2, 3)), activation="softmax")]
    )


def tall_kernel_words(library: Any, draw: random.Random) -> Any:
    """Key words for Cortex-M: two convolutions with tall kernels, a linear layer and a dense one."""
    k = library.layers
    sound = library.Input((490,))
    x = k.Reshape((49, 10, 1))(sound)
    for filters, strides in ((draw.choice((20, 28)), 1), (24, (2, 1))):
        x = k.BatchNormalization()(k.Conv2D(filters, (10, 4), strides=strides, padding="valid")(x))
        x = k.Dropout(0.2)(k.Activation("relu")(x))
    x = k.Dense(16)(k.Flatten()(x))
    x = k.Activation("relu")(k.BatchNormalization()(k.Dense(64)(x)))
    return library.Model(sound, k.Dense(12, activation="softmax")(k.Dropout(0.2)(x)))


def dense_words(library: Any, draw: random.Random) -> Any:
    """Key words for Cortex-M: three dense layers of the same width."""
    k, width = library.layers, draw.choice((48, 64))
    dense = [k.Dense(width, activation="relu") for _ in range(3)]
    return library.Sequential(
        [library.Input((49, 10, 1)), k.Flatten(), *dense, k.Dense(12, activation="softmax")]
    )


def meter_digits(library: Any, draw: random.Random) -> Any:
    """Digits of a water meter: the image is normalized first, three convolutions with pooling."""
    k, width = library.layers, draw.choice((16, 24))
    model = library.Sequential([library.Input(shape=(32, 20, 3)), k.BatchNormalization()])
    for filters in (width, 2 * width, width):
        model.add(k.Conv2D(filters, (3, 3), padding="same", activation="relu"))
        model.add(k.MaxPooling2D(pool_size=(2, 2)))
    model.add(k.Flatten())
    model.add(k.Dense(64, activation="relu"))
    model.add(k.Dense(11, activation="softmax"))
    return model


def mcu_net(library: Any, draw: random.Random) -> Any:
    """MCUNet: inverted residuals whose depthwise kernels have three, five and seven rows."""
    k = library.layers
    image = library.Input((64, 64, 3))
    x = unit(library, image, 16, 3, 2, "relu6")
    x = unit(library, wise(library, x, act="relu6"), 8, 1, act=None)
    last = (draw.choice((5, 7)), 5, 24, 1)
    for size, grown, filters, strides in ((7, 3, 16, 2), (3, 6, 16, 1), (5, 4, 24, 2), last):
        y = unit(library, x, grown * x.shape[-1], 1, act="relu6")
        y = unit(library, wise(library, y, size, strides, "relu6"), filters, 1, act=None)
        x = k.Add()([x, y]) if strides == 1 else y
    return pooled(library, image, x, 2, None)


def open_wake_word(library: Any, draw: random.Random) -> Any:
    """A wake word from frames of an embedding: dense layers with layer normalization."""
    k, width = library.layers, draw.choice((32, 64))
    frames = library.Input((16, 96))
    x = k.ReLU()(k.LayerNormalization()(k.Dense(width)(k.Flatten()(frames))))
    for _ in range(2):
        x = k.ReLU()(k.LayerNormalization()(k.Dense(width)(x)))
    return library.Model(frames, k.Dense(1, activation="sigmoid")(x))


def precise_wake_word(library: Any, draw: random.Random) -> Any:
    """A wake word by one GRU with a linear activation and one dense unit."""
    k = library.layers
    units = draw.choice((16, 20))
    gru = k.GRU(units, activation="linear", dropout=0.2, name="net")
    return library.Sequential([library.Input((29, 13), batch_size=1), gru, k.Dense(1, activation="sigmoid")])


def activity_cnn_lstm(library: Any, draw: random.Random) -> Any:
    """Activities by a phone: convolutions over each part of a window, and an LSTM over the parts."""
    k, each = library.layers, library.layers.TimeDistributed
    model = library.Sequential([library.Input((4, 32, 9), batch_size=1)])
    model.add(each(k.Conv1D(16, 3, activation="relu")))
    model.add(each(k.Conv1D(16, 3, activation="relu")))
    for layer in (k.Dropout(0.5), k.MaxPooling1D(pool_size=2), k.Flatten()):
        model.add(each(layer))
    model.add(k.LSTM(draw.choice((16, 24))))
    for layer in (k.Dropout(0.5), k.Dense(32, activation="relu"), k.Dense(6, activation="softmax")):
        model.add(layer)
    return model


def urban_sounds(library: Any, draw: random.Random) -> Any:
    """Sounds of cities: kernels of five, pooling taller than wide, and a dense layer (Salamon, 2017)."""
    k, width = library.layers, draw.choice((12, 16))
    x = sound = library.Input((64, 64, 1))
    for filters, pool in ((width, (4, 2)), (2 * width, (4, 2)), (2 * width, None)):
        x = k.Activation("relu")(k.Conv2D(filters, (5, 5), padding="valid" if pool else "same")(x))
        x = k.MaxPooling2D(pool, strides=pool)(x) if pool else x
    x = k.Dropout(0.5)(k.Flatten()(x))
    x = k.Dropout(0.5)(k.Dense(32, activation="relu", kernel_regularizer=library.regularizers.L2(0.001))(x))
    return library.Model(sound, k.Dense(10, activation="softmax")(x))


def arrhythmia(library: Any, draw: random.Random) -> Any:
    """Heart beats: five residual blocks, each with pooling of five (Kachuee, 2018)."""
    k, width = library.layers, draw.choice((16, 24))
    beat = library.Input(shape=(187, 1))
    x = k.Conv1D(filters=width, kernel_size=5, strides=1)(beat)
    for _ in range(5):
        y = k.Conv1D(width, 5, padding="same")(x)
        y = k.Conv1D(width, 5, padding="same")(k.Activation("relu")(y))
        x = k.MaxPooling1D(pool_size=5, strides=2)(k.Activation("relu")(k.Add()([y, x])))
    x = k.Activation("relu")(k.Dense(32)(k.Flatten()(x)))
    return library.Model(beat, k.Softmax()(k.Dense(5)(k.Dense(32)(x))))


def u_time(library: Any, draw: random.Random) -> Any:
    """Sleep stages by a U-Net over time with dilated convolutions (Perslev, 2019)."""
    k, base = library.layers, draw.choice((6, 8))

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = k.Conv1D(filters, 5, padding="same", activation="relu", dilation_rate=2)(x)
            x = k.BatchNormalization()(x)
        return x

    x = wave = library.Input((640, 1))
    skips = []
    for number, pool in enumerate((8, 4, 2)):
        x = block(x, base << number)
        skips.append(x)
        x = k.MaxPooling1D(pool)(x)
    x = block(x, base << 3)
    for number, pool in ((2, 2), (1, 4), (0, 8)):
        x = k.Conv1D(base << number, pool, padding="same", activation="relu")(k.UpSampling1D(pool)(x))
        x = block(k.Concatenate()([skips[number], k.BatchNormalization()(x)]), base << number)
    x = k.AveragePooling1D(64)(k.Conv1D(5, 1, activation="tanh")(x))
    return library.Model(wave, k.Conv1D(5, 1, activation="softmax")(x))


def shallow_brain_waves(library: Any, draw: random.Random) -> Any:
    """Brain waves: filters over time and electrodes, squared, averaged, logarithm (Schirrmeister, 2017)."""
    k, f, norm = library.layers, functions(library), library.constraints.MaxNorm
    waves = library.Input((16, 128, 1))
    x = k.Conv2D(draw.choice((20, 40)), (1, 13), kernel_constraint=norm(2.0, axis=(0, 1, 2)))(waves)
    filters = x.shape[-1]
    x = k.Conv2D(filters, (16, 1), use_bias=False, kernel_constraint=norm(2.0, axis=(0, 1, 2)))(x)
    x = f.square(k.BatchNormalization(epsilon=1e-05, momentum=0.9)(x))
    x = k.AveragePooling2D(pool_size=(1, 35), strides=(1, 7))(x)
    x = k.Dropout(0.5)(f.log(f.clip(x, 1e-7, 10000.0)))
    x = k.Dense(4, kernel_constraint=norm(0.5))(k.Flatten()(x))
    return library.Model(waves, k.Activation("softmax")(x))


def deep_brain_waves(library: Any, draw: random.Random) -> Any:
    """Brain waves: four blocks of convolutions over time, normalized, with ELU and pooling."""
    k, norm = library.layers, library.constraints.MaxNorm
    waves = library.Input((16, 128, 1))
    x = k.Conv2D(12, (1, 5), kernel_constraint=norm(2.0, axis=(0, 1, 2)))(waves)
    for filters, size in ((12, (16, 1)), (16, (1, 5)), (24, (1, 5)), (draw.choice((32, 48)), (1, 5))):
        x = k.Conv2D(filters, size, kernel_constraint=norm(2.0, axis=(0, 1, 2)))(x)
        x = k.Activation("elu")(k.BatchNormalization(epsilon=1e-05, momentum=0.9)(x))
        x = k.Dropout(0.5)(k.MaxPooling2D(pool_size=(1, 2), strides=(1, 2))(x))
    x = k.Dense(4, kernel_constraint=norm(0.5))(k.Flatten()(x))
    return library.Model(waves, k.Activation("softmax")(x))


SIXTH_DEVICES = {
    **kinds("images", impulse_audio_2d, tall_kernel_words, meter_digits, mcu_net, urban_sounds, start="w-"),
    **kinds("applications", impulse_transfer, start="w-"),
    **kinds("sequences", impulse_audio_1d, arrhythmia, u_time, shallow_brain_waves, start="w-"),
    **kinds("sequences", deep_brain_waves, start="w-"),
    **kinds("tables", impulse_motion, arduino_gestures, dense_words, open_wake_word, start="w-"),
    **kinds("recurrent", precise_wake_word, activity_cnn_lstm, start="w-"),
}
"""The class of each kind of network, and what builds it."""
