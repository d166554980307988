"""More small image networks of the third set: several inputs or outputs, and blocks of papers.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def plates(library: Any, draw: random.Random) -> Any:
    """Characters of a plate: one classifier for each place after one body."""
    k = library.layers
    given = library.Input((32, 80, 1))
    x = given
    for filters in (8, 16, 24):
        x = k.BatchNormalization()(k.Conv2D(filters, (3, 3), padding="same", activation="relu")(x))
        x = k.MaxPooling2D((2, 2), padding="same")(x)
    x = k.Flatten()(x)
    outs = []
    for place in range(draw.choice((4, 5))):
        y = k.Dropout(0.5)(k.Dense(16, activation="relu")(x))
        outs.append(k.Dense(36, activation="sigmoid", name=f"char_{place}")(y))
    return library.Model(given, outs)


def lesions(library: Any, draw: random.Random) -> Any:
    """A picture and facts of the patient, joined before the answer."""
    k = library.layers
    image, facts = library.Input((40, 40, 3), name="image"), library.Input((9,), name="metadata")
    x = k.Conv2D(12, 3, activation="relu")(image)
    x = k.MaxPool2D()(x)
    x = k.Conv2D(20, 3, activation="relu")(x)
    x = k.GlobalMaxPooling2D()(k.MaxPool2D()(x))
    y = k.BatchNormalization()(k.Dense(16, activation="relu")(facts))
    z = k.Concatenate(axis=1)([x, k.Dropout(0.3)(y)])
    z = k.Dense(24, activation=draw.choice(("relu", "swish")))(z)
    return library.Model([image, facts], k.Dense(7, activation="softmax")(z))


def two_views(library: Any, draw: random.Random) -> Any:
    """A front and a side view, each with its own convolutions."""
    k = library.layers

    def tower(name: str) -> tuple[Any, Any]:
        given = library.Input((36, 36, 1), name=name)
        x = k.Conv2D(8, 5, strides=2, activation="relu", name=f"{name}_conv1")(given)
        x = k.MaxPooling2D(name=f"{name}_pool")(x)
        x = k.Conv2D(16, 3, activation="relu", name=f"{name}_conv2")(x)
        return given, k.Flatten(name=f"{name}_flat")(x)

    (front, one), (side, two) = tower("front"), tower("side")
    x = k.concatenate([one, two]) if draw.random() < 0.5 else k.average([one, two])
    x = k.Dropout(0.25)(k.Dense(24, activation="relu")(x))
    return library.Model(inputs=[front, side], outputs=k.Dense(4, activation="softmax")(x))


def x_rays(library: Any, draw: random.Random) -> Any:
    """Pneumonia in X-rays by separable convolutions, a competition's usual network."""
    k = library.layers
    given = library.Input(shape=(56, 56, 3))
    x = k.Conv2D(8, (3, 3), activation="relu", padding="same")(given)
    x = k.Conv2D(8, (3, 3), activation="relu", padding="same")(x)
    x = k.MaxPooling2D(pool_size=(2, 2))(x)
    for filters in (12, 16, 24):
        x = k.SeparableConv2D(filters, (3, 3), activation="relu", padding="same")(x)
        x = k.SeparableConv2D(filters, (3, 3), activation="relu", padding="same")(x)
        x = k.BatchNormalization()(x)
        x = k.MaxPooling2D(pool_size=(2, 2))(x)
    x = k.Dropout(rate=0.2)(x)
    x = k.Flatten()(x)
    for units, rate in ((64, 0.7), (32, 0.5), (16, 0.3)):
        x = k.Dropout(rate=rate)(k.Dense(units, activation="relu")(x))
    return library.Model(given, k.Dense(1, activation="sigmoid")(x))


def rep_vgg(library: Any, draw: random.Random) -> Any:
    """Three branches that could be one convolution, not yet merged (Ding, 2021)."""
    k = library.layers

    def block(x: Any, filters: int, strides: int) -> Any:
        one = k.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        two = k.Conv2D(filters, 1, strides=strides, padding="same", use_bias=False)(x)
        parts = [k.BatchNormalization()(one), k.BatchNormalization()(two)]
        if strides == 1 and x.shape[-1] == filters:
            parts.append(k.BatchNormalization()(x))
        return k.ReLU()(k.Add()(parts))

    given = library.Input((32, 32, 3))
    x = block(given, 12, 2)
    for filters, strides in ((12, 1), (20, 2), (20, 1))[: draw.randint(2, 3) + 1]:
        x = block(x, filters, strides)
    return library.Model(given, k.Dense(10)(k.GlobalAveragePooling2D()(x)))


def go(library: Any, draw: random.Random) -> Any:
    """A board to moves and a value (Silver, 2017)."""
    k, size = library.layers, draw.choice((6, 9))
    decay = library.regularizers.l2(1e-4)
    given = library.Input((size, size, 4), name="board")
    x = k.Conv2D(16, 3, padding="same", kernel_regularizer=decay)(given)
    x = k.Activation("relu")(k.BatchNormalization(axis=3)(x))
    for _ in range(2):
        y = k.Conv2D(16, 3, padding="same", kernel_regularizer=decay)(x)
        y = k.Activation("relu")(k.BatchNormalization(axis=3)(y))
        y = k.BatchNormalization(axis=3)(k.Conv2D(16, 3, padding="same", kernel_regularizer=decay)(y))
        x = k.Activation("relu")(k.Add()([x, y]))
    policy = k.Activation("relu")(k.BatchNormalization(axis=3)(k.Conv2D(2, 1)(x)))
    policy = k.Dense(size * size + 1, activation="softmax", name="pi")(k.Flatten()(policy))
    value = k.Activation("relu")(k.BatchNormalization(axis=3)(k.Conv2D(1, 1)(x)))
    value = k.Dense(16, activation="relu")(k.Flatten()(value))
    return library.Model(given, [policy, k.Dense(1, activation="tanh", name="v")(value)])


THIRD_PICTURES: dict[str, tuple[str, Builder]] = {
    "t-go": ("images", go),
    "t-lesions": ("images", lesions),
    "t-plates": ("images", plates),
    "t-rep-vgg": ("images", rep_vgg),
    "t-two-views": ("images", two_views),
    "t-x-rays": ("images", x_rays),
}
"""The class of each kind of network, and what builds it."""
