"""Networks of the sixth set after public notebooks of competitions and exercises of courses.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fifth_parts import kinds
from benchmarks.accuracy.fourth_functions import functions


def digits_of_competition(library: Any, draw: random.Random) -> Any:
    """Digits: every convolution is normalized, a kernel of five with a stride takes the place of pooling."""
    k, width = library.layers, draw.choice((8, 12))
    model = library.Sequential([library.Input(shape=(28, 28, 1))])
    for filters in (width, 2 * width):
        for size, options in ((3, {}), (3, {}), (5, {"strides": 2, "padding": "same"})):
            model.add(k.Conv2D(filters, kernel_size=size, activation="relu", **options))
            model.add(k.BatchNormalization())
        model.add(k.Dropout(0.4))
    model.add(k.Conv2D(4 * width, kernel_size=4, activation="relu"))
    for layer in (k.BatchNormalization(), k.Flatten(), k.Dropout(0.4), k.Dense(10, activation="softmax")):
        model.add(layer)
    return model


def face_emotions(library: Any, draw: random.Random) -> Any:
    """Emotions of faces: four convolutions with normalization, pooling and dropout, two dense layers."""
    k = library.layers
    model = library.Sequential([library.Input((48, 48, 1))])
    for filters, size in ((12, 3), (16, 5), (24, 3), (draw.choice((24, 32)), 3)):
        model.add(k.Conv2D(filters, (size, size), padding="same"))
        for layer in (k.BatchNormalization(), k.Activation("relu"), k.MaxPooling2D((2, 2)), k.Dropout(0.25)):
            model.add(layer)
    model.add(k.Flatten())
    for units in (64, 48):
        for layer in (k.Dense(units), k.BatchNormalization(), k.Activation("relu"), k.Dropout(0.25)):
            model.add(layer)
    model.add(k.Dense(7, activation="softmax"))
    return model


def traffic_signs(library: Any, draw: random.Random) -> Any:
    """Traffic signs: pairs of convolutions with large kernels, pooling and dropout."""
    k, width = library.layers, draw.choice((12, 16))
    model = library.Sequential([library.Input((30, 30, 3))])
    for filters, size in ((width, (5, 5)), (2 * width, (3, 3))):
        model.add(k.Conv2D(filters=filters, kernel_size=size, activation="relu"))
        model.add(k.Conv2D(filters=filters, kernel_size=size, activation="relu"))
        model.add(k.MaxPooling2D(pool_size=(2, 2)))
        model.add(k.Dropout(rate=0.25))
    for layer in (
        k.Flatten(),
        k.Dense(64, activation="relu"),
        k.Dropout(0.5),
        k.Dense(43, activation="softmax"),
    ):
        model.add(layer)
    return model


def plant_disease(library: Any, draw: random.Random) -> Any:
    """Diseases of plants by a small VGG: normalization after the activation, pooling of three and of two."""
    k, width = library.layers, draw.choice((8, 12))
    model = library.Sequential([library.Input((64, 64, 3))])
    for filters, times, pool in ((width, 1, 3), (2 * width, 2, 2), (4 * width, 2, 2)):
        for _ in range(times):
            model.add(k.Conv2D(filters, (3, 3), padding="same"))
            model.add(k.Activation("relu"))
            model.add(k.BatchNormalization(axis=-1))
        model.add(k.MaxPooling2D(pool_size=(pool, pool)))
        model.add(k.Dropout(0.25))
    for layer in (k.Flatten(), k.Dense(64), k.Activation("relu"), k.BatchNormalization(), k.Dropout(0.5)):
        model.add(layer)
    model.add(k.Dense(15))
    model.add(k.Activation("softmax"))
    return model


def residual_exercise(library: Any, draw: random.Random) -> Any:
    """The exercise that builds ResNet50 of convolutional and identity blocks, cut after two stages."""
    k, f = library.layers, draw.choice((8, 12))

    def block(x: Any, filters: tuple[int, int, int], strides: int = 0) -> Any:
        short, start = x, library.initializers.GlorotUniform(seed=0)
        steps = (
            (filters[0], 1, strides or 1, "valid"),
            (filters[1], 3, 1, "same"),
            (filters[2], 1, 1, "valid"),
        )
        for number, (width, size, stride, padding) in enumerate(steps):
            x = k.Conv2D(width, size, strides=stride, padding=padding, kernel_initializer=start)(x)
            x = k.BatchNormalization(axis=3)(x)
            x = k.Activation("relu")(x) if number < 2 else x
        if strides:
            short = k.BatchNormalization(axis=3)(k.Conv2D(filters[2], 1, strides=strides)(short))
        return k.Activation("relu")(k.Add()([x, short]))

    image = library.Input((64, 64, 3))
    x = k.Conv2D(f, (7, 7), strides=(2, 2))(k.ZeroPadding2D((3, 3))(image))
    x = k.MaxPooling2D((3, 3), strides=(2, 2))(k.Activation("relu")(k.BatchNormalization(axis=3)(x)))
    x = block(block(x, (f, f, 4 * f), 1), (f, f, 4 * f))
    x = block(block(x, (2 * f, 2 * f, 6 * f), 2), (2 * f, 2 * f, 6 * f))
    x = k.Flatten()(k.AveragePooling2D((2, 2))(x))
    return library.Model(inputs=image, outputs=k.Dense(6, activation="softmax")(x))


def brain_tumors(library: Any, draw: random.Random) -> Any:
    """Tumors by EfficientNetB1 up to its second block, with dense layers that are regularized."""
    k = library.layers
    body = library.applications.EfficientNetB1(input_shape=(64, 64, 3), include_top=False, weights=None)
    x = k.GlobalAveragePooling2D()(body.get_layer("block2b_add").output)
    x = k.Dense(draw.choice((48, 64)), activation="relu", kernel_regularizer=library.regularizers.L2(0.01))(x)
    x = k.Dropout(0.4)(k.BatchNormalization()(x))
    return library.Model(body.input, k.Dense(4, activation="softmax")(x))


def vgg_u_net(library: Any, draw: random.Random) -> Any:
    """A U-Net whose way down is VGG16's first two blocks, and whose way up is normalized."""
    k, width = library.layers, draw.choice((16, 24))
    body = library.applications.VGG16(input_shape=(64, 64, 3), include_top=False, weights=None)
    x = k.Conv2D(width, 3, padding="same", activation="relu")(body.get_layer("block2_pool").output)
    for name in ("block2_conv2", "block1_conv2"):
        x = k.Conv2DTranspose(width, (2, 2), strides=2, padding="same")(x)
        x = k.Concatenate()([x, body.get_layer(name).output])
        for _ in range(2):
            x = k.Activation("relu")(k.BatchNormalization()(k.Conv2D(width, 3, padding="same")(x)))
    return library.Model(body.input, k.Conv2D(1, 1, padding="same", activation="sigmoid")(x))


def supervised_autoencoder(library: Any, draw: random.Random) -> Any:
    """Market data: an autoencoder with noise, a classifier of what it makes, and a perceptron over both."""
    k, columns, width = library.layers, 130, draw.choice((32, 48))
    row = library.Input(shape=(columns,))
    x = k.BatchNormalization()(row)
    code = k.Dense(width)(k.GaussianNoise(0.035)(x))
    code = k.Activation("swish")(k.BatchNormalization()(code))
    decoded = k.Dense(columns, name="decoder")(k.Dropout(0.038)(code))
    y = k.Activation("swish")(k.BatchNormalization()(k.Dense(width)(decoded)))
    early = k.Dense(5, activation="sigmoid", name="ae_action")(k.Dropout(0.42)(y))
    x = k.Dropout(0.1)(k.BatchNormalization()(k.Concatenate()([x, code])))
    for units in (64, 48, 32):
        x = k.Dropout(0.4)(k.Activation("swish")(k.BatchNormalization()(k.Dense(units)(x))))
    return library.Model(row, [decoded, early, k.Dense(5, activation="sigmoid", name="action")(x)])


def stock_volatility(library: Any, draw: random.Random) -> Any:
    """The volatility of stocks: an embedding of the stock beside numbers, and layers with swish."""
    k = library.layers
    stock, numbers = library.Input((1,), name="stock_id"), library.Input((60,), name="num_data")
    x = k.Flatten()(k.Embedding(127, 24, name="stock_embedding")(stock))
    x = k.Concatenate()([x, numbers])
    for units in (64, 48, draw.choice((24, 32))):
        x = k.Dense(units, activation="swish")(x)
    return library.Model([stock, numbers], k.Dense(1, activation="linear", name="prediction")(x))


def isolated_signs(library: Any, draw: random.Random) -> Any:
    """Signs from points of hands: causal depthwise convolutions with gates, and attention after them."""
    k, f, width = library.layers, functions(library), draw.choice((24, 32))
    x = points = library.Input((48, 60), name="inputs")
    x = k.BatchNormalization(momentum=0.95)(k.Dense(width, use_bias=False, name="stem_conv")(x))
    for _ in range(2):
        y = k.ZeroPadding1D((6, 0))(k.Dense(2 * width, activation="swish")(x))
        y = k.DepthwiseConv1D(7, padding="valid", use_bias=False)(y)
        y = k.BatchNormalization(momentum=0.95)(y)
        gate = k.Conv1D(1, 5, padding="same", use_bias=False)(
            f.expand_dims(k.GlobalAveragePooling1D()(y), -1)
        )
        y = y * f.expand_dims(f.sigmoid(f.squeeze(gate, -1)), 1)
        x = k.Add()([x, k.Dropout(0.2)(k.Dense(width)(y))])
    y = k.BatchNormalization(momentum=0.95)(x)
    x = k.Add()([x, k.MultiHeadAttention(num_heads=2, key_dim=width // 2, dropout=0.2)(y, y)])
    y = k.Dense(2 * width, activation="swish", use_bias=False)(k.BatchNormalization(momentum=0.95)(x))
    x = k.Add()([x, k.Dense(width, use_bias=False)(y)])
    x = k.GlobalAveragePooling1D()(k.Dense(2 * width, name="top_conv")(x))
    return library.Model(points, k.Dense(50, name="classifier")(x))


def ventilator_pressure(library: Any, draw: random.Random) -> Any:
    """The pressure of a ventilator: LSTMs in both directions that narrow, and an answer for each step."""
    k = library.layers
    x = breath = library.Input((40, 25), batch_size=1)
    for units in (16, draw.choice((8, 12)), 8):
        x = k.Bidirectional(k.LSTM(units, return_sequences=True))(x)
    return library.Model(breath, k.Dense(1)(k.Dense(16, activation="selu")(x)))


def stock_prices(library: Any, draw: random.Random) -> Any:
    """Prices of one stock: LSTMs with dropout between them, and one number."""
    k, units = library.layers, draw.choice((16, 24))
    model = library.Sequential([library.Input((60, 1), batch_size=1)])
    for is_last in (False, False, True):
        model.add(k.LSTM(units=units, return_sequences=not is_last))
        model.add(k.Dropout(0.2))
    model.add(k.Dense(units=1))
    return model


def trigger_words(library: Any, draw: random.Random) -> Any:
    """A trigger word: a convolution with a stride, two GRUs, and a score for each step."""
    k, units = library.layers, draw.choice((16, 24))
    sound = library.Input((105, 30), batch_size=1)
    x = k.Conv1D(24, kernel_size=15, strides=4)(sound)
    x = k.Dropout(0.8)(k.Activation("relu")(k.BatchNormalization()(x)))
    for _ in range(2):
        x = k.BatchNormalization()(k.Dropout(0.8)(k.GRU(units, return_sequences=True)(x)))
    return library.Model(sound, k.TimeDistributed(k.Dense(1, activation="sigmoid"))(k.Dropout(0.8)(x)))


SIXTH_NOTEBOOKS = {
    **kinds("images", digits_of_competition, face_emotions, traffic_signs, plant_disease, start="w-"),
    **kinds("images", residual_exercise, start="w-"),
    **kinds("applications", brain_tumors, vgg_u_net, start="w-"),
    **kinds("sequences", isolated_signs, start="w-"),
    **kinds("tables", supervised_autoencoder, stock_volatility, start="w-"),
    **kinds("recurrent", ventilator_pressure, stock_prices, trigger_words, start="w-"),
}
"""The class of each kind of network, and what builds it."""
