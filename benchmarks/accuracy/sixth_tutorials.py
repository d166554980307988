"""Networks of the sixth set after the tutorials of TensorFlow and of its toolkit for model optimization.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fifth_parts import kinds


def cifar_cnn(library: Any, draw: random.Random) -> Any:
    """The tutorial about convolutional networks: three convolutions, two poolings, two dense layers."""
    k, width = library.layers, draw.choice((16, 24))
    model = library.Sequential([library.Input(shape=(32, 32, 3))])
    model.add(k.Conv2D(width, (3, 3), activation="relu"))
    model.add(k.MaxPooling2D((2, 2)))
    model.add(k.Conv2D(2 * width, (3, 3), activation="relu"))
    model.add(k.MaxPooling2D((2, 2)))
    model.add(k.Conv2D(2 * width, (3, 3), activation="relu"))
    model.add(k.Flatten())
    model.add(k.Dense(2 * width, activation="relu"))
    model.add(k.Dense(10))
    return model


def fashion_probabilities(library: Any, draw: random.Random) -> Any:
    """The tutorial about clothes: the trained model is in another one that adds a softmax."""
    k, pixels = library.layers, library.Input(shape=(28, 28))
    dense = [k.Dense(draw.choice((64, 128)), activation="relu"), k.Dense(10)]
    model = library.Sequential([pixels, k.Flatten(), *dense])
    return library.Sequential([library.Input(shape=(28, 28)), model, k.Softmax()])


def pruned_digits(library: Any, draw: random.Random) -> Any:
    """The network of the guides to pruning and quantization: one convolution of twelve filters."""
    k = library.layers
    image = [library.Input(shape=(28, 28)), k.Reshape(target_shape=(28, 28, 1))]
    layers = [k.Conv2D(filters=12, kernel_size=(3, 3), activation=draw.choice(("relu", None)))]
    if layers[0].activation is not library.activations.relu:
        layers += [k.BatchNormalization(), k.ReLU()]
    return library.Sequential([*image, *layers, k.MaxPooling2D(pool_size=(2, 2)), k.Flatten(), k.Dense(10)])


def pix2pix_generator(library: Any, draw: random.Random) -> Any:
    """The generator of pix2pix: strides down, transposed convolutions up, and what is down is joined."""
    k, f = library.layers, draw.choice((8, 12))
    options = {"strides": 2, "padding": "same", "use_bias": False}

    def down(filters: int, size: int, is_normalized: bool = True) -> Any:
        model = library.Sequential([k.Conv2D(filters, size, **options)])
        if is_normalized:
            model.add(k.BatchNormalization())
        model.add(k.LeakyReLU())
        return model

    def up(filters: int, size: int, drops: bool = False) -> Any:
        model = library.Sequential([k.Conv2DTranspose(filters, size, **options), k.BatchNormalization()])
        if drops:
            model.add(k.Dropout(0.5))
        model.add(k.ReLU())
        return model

    image, skips = library.Input(shape=[64, 64, 3]), []
    x = image
    for layer in (down(f, 4, False), down(2 * f, 4), down(3 * f, 4), down(3 * f, 4), down(3 * f, 4)):
        x = layer(x)
        skips.append(x)
    for layer, skip in zip(
        (up(3 * f, 4, True), up(3 * f, 4), up(2 * f, 4), up(f, 4)), skips[-2::-1], strict=True
    ):
        x = k.Concatenate()([layer(x), skip])
    return library.Model(image, k.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x))


def next_notes(library: Any, draw: random.Random) -> Any:
    """Music by an LSTM over notes: a pitch, a step and a duration."""
    k = library.layers
    notes = library.Input((25, 3), batch_size=1)
    x = k.LSTM(draw.choice((16, 24)))(notes)
    heads = {"pitch": k.Dense(128, name="pitch"), "step": k.Dense(1, name="step")}
    heads["duration"] = k.Dense(1, name="duration")
    return library.Model(notes, [head(x) for head in heads.values()])


def titanic_table(library: Any, draw: random.Random) -> Any:
    """A table: numbers that are joined and normalized beside codes as vectors of ones, then two layers."""
    k = library.layers
    numbers = [library.Input((1,), name=name) for name in ("age", "n_siblings_spouses", "parch", "fare")]
    codes = [library.Input((width,), name=name) for name, width in (("pclass", 4), ("deck", 9), ("sex", 3))]
    scaled = k.Normalization(mean=[29.6, 0.5, 0.4, 34.4], variance=[156.0, 1.3, 0.6, 2900.0])
    x = k.Concatenate()([scaled(k.Concatenate()(numbers)), *codes])
    body = library.Sequential([library.Input((20,)), k.Dense(draw.choice((32, 64))), k.Dense(1)])
    return library.Model([*numbers, *codes], body(x))


def window_of_steps(library: Any, draw: random.Random) -> Any:
    """Several hours of weather to the next one: all steps in a row, dense layers, and an axis of time."""
    k = library.layers
    hours = [library.Input((draw.choice((6, 12)), 19)), k.Flatten()]
    dense = [k.Dense(units=32, activation="relu"), k.Dense(units=32, activation="relu"), k.Dense(units=1)]
    return library.Sequential([*hours, *dense, k.Reshape([1, -1])])


SIXTH_TUTORIALS = {
    **kinds("images", cifar_cnn, fashion_probabilities, pruned_digits, start="w-"),
    **kinds("maps", pix2pix_generator, start="w-"),
    **kinds("recurrent", next_notes, start="w-"),
    **kinds("tables", titanic_table, window_of_steps, start="w-"),
}
"""The class of each kind of network, and what builds it."""
