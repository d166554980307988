"""Small image classifiers and regressions of the third set, wired as tutorials, papers and competition
code wire them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Builder = Callable[[Any, random.Random], Any]


def le_net(library: Any, draw: random.Random) -> Any:
    """LeNet-5 with hyperbolic tangents and mean pooling (LeCun, 1998)."""
    k = library.layers
    model = library.Sequential(name="lenet5")
    model.add(library.Input(shape=draw.choice(((32, 32, 1), (28, 28, 1)))))
    model.add(k.Conv2D(6, 5, activation="tanh"))
    model.add(k.AveragePooling2D(2))
    model.add(k.Conv2D(16, 5, activation="tanh"))
    model.add(k.AveragePooling2D(2))
    model.add(k.Flatten())
    model.add(k.Dense(120, activation="tanh"))
    model.add(k.Dense(84, activation="tanh"))
    model.add(k.Dense(10, activation="softmax"))
    return model


def alex_net(library: Any, draw: random.Random) -> Any:
    """A narrow AlexNet: a large first stride, pooling that overlaps, weight decay."""
    k = library.layers
    decay = library.regularizers.l2(5e-4)
    model = library.Sequential([library.Input(shape=(67, 67, 3))])
    model.add(k.Conv2D(16, 11, strides=4, activation="relu", kernel_regularizer=decay))
    model.add(k.BatchNormalization())
    model.add(k.MaxPooling2D(3, strides=2))
    model.add(k.Conv2D(24, 5, padding="same", activation="relu", kernel_regularizer=decay))
    model.add(k.BatchNormalization())
    model.add(k.MaxPooling2D(3, strides=2))
    for filters in (32, draw.choice((24, 32)), 24):
        model.add(k.Conv2D(filters, 3, padding="same", activation="relu", kernel_regularizer=decay))
    model.add(k.Flatten())
    model.add(k.Dense(64, activation="relu"))
    model.add(k.Dropout(0.5))
    model.add(k.Dense(17, activation="softmax"))
    return model


def network_in_network(library: Any, draw: random.Random) -> Any:
    """Pointwise convolutions after each wide one, and a map for each class (Lin, 2013)."""
    k = library.layers
    given = library.Input((32, 32, 3))
    x = given
    for width, filters, pool in ((5, 24, k.MaxPooling2D), (5, 24, k.AveragePooling2D)):
        x = k.Conv2D(filters, width, padding="same", activation="relu")(x)
        x = k.Conv2D(filters - 4, 1, activation="relu")(x)
        x = k.Conv2D(filters - 8, 1, activation="relu")(x)
        x = k.Dropout(0.5)(pool(3, strides=2, padding="same")(x))
    x = k.Conv2D(24, 3, padding="same", activation="relu")(x)
    x = k.Conv2D(10, 1, activation="relu")(x)
    x = k.GlobalAveragePooling2D()(x)
    return library.Model(given, k.Activation("softmax")(x))


def all_convolutional(library: Any, draw: random.Random) -> Any:
    """Strides in place of pooling (Springenberg, 2014)."""
    k, filters = library.layers, draw.choice((16, 20))
    given = library.Input((32, 32, 3))
    x = k.Dropout(0.2)(given)
    for strides, wide in ((1, 1), (1, 1), (2, 1), (1, 2), (1, 2), (2, 2)):
        x = k.Conv2D(filters * wide, 3, strides=strides, padding="same")(x)
        x = k.Activation("relu")(x)
    x = k.Conv2D(filters * 2, 3, padding="valid", activation="relu")(x)
    x = k.Conv2D(10, 1, padding="valid")(x)
    return library.Model(given, k.Softmax()(k.GlobalAveragePooling2D()(x)))


def elu_stack(library: Any, draw: random.Random) -> Any:
    """Pairs of convolutions with ELU and normalization, as competition notebooks have them for CIFAR-10."""
    k = library.layers
    model = library.Sequential([library.Input(shape=(32, 32, 3))])
    for filters, rate in ((16, 0.2), (24, 0.3), (32, 0.4)):
        for _ in range(2):
            model.add(
                k.Conv2D(filters, (3, 3), padding="same", kernel_regularizer=library.regularizers.l2(1e-4))
            )
            model.add(k.Activation("elu"))
            model.add(k.BatchNormalization())
        model.add(k.MaxPooling2D(pool_size=(2, 2)))
        model.add(k.Dropout(rate))
    model.add(k.Flatten())
    model.add(k.Dense(10, activation="softmax"))
    return model


def steering(library: Any, draw: random.Random) -> Any:
    """A steering angle from a picture of the road, cropped and scaled inside (Bojarski, 2016)."""
    k, activation = library.layers, draw.choice(("elu", "relu"))
    return library.Sequential(
        [
            library.Input(shape=(80, 100, 3)),
            k.Cropping2D(cropping=((14, 0), (0, 0))),
            k.Rescaling(1.0 / 127.5, offset=-1.0),
            k.Conv2D(12, (5, 5), strides=(2, 2), activation=activation),
            k.Conv2D(18, (5, 5), strides=(2, 2), activation=activation),
            k.Conv2D(24, (5, 5), strides=(2, 2), activation=activation),
            k.Conv2D(24, (3, 3), activation=activation),
            k.Dropout(0.5),
            k.Flatten(),
            k.Dense(50, activation=activation),
            k.Dense(10, activation=activation),
            k.Dense(1),
        ]
    )


def flowers(library: Any, draw: random.Random) -> Any:
    """The tutorial with flowers: augmentation in the model, then three convolutions."""
    k = library.layers
    augmentation = library.Sequential(
        [
            k.RandomFlip("horizontal"),
            k.RandomRotation(0.1),
            k.RandomZoom(0.1),
        ]
    )
    return library.Sequential(
        [
            library.Input(shape=(60, 60, 3)),
            augmentation,
            k.Rescaling(1.0 / 255),
            k.Conv2D(16, 3, padding="same", activation="relu"),
            k.MaxPooling2D(),
            k.Conv2D(24, 3, padding="same", activation="relu"),
            k.MaxPooling2D(),
            k.Conv2D(32, 3, padding="same", activation="relu"),
            k.MaxPooling2D(),
            k.Dropout(0.2),
            k.Flatten(),
            k.Dense(32, activation="relu"),
            k.Dense(5, name="outputs"),
        ]
    )


def clothes(library: Any, draw: random.Random) -> Any:
    """Even kernels with padding and two poolings, for pictures of clothes."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((28, 28, 1)),
            k.Conv2D(filters=32, kernel_size=2, padding="same", activation="relu"),
            k.MaxPooling2D(pool_size=2),
            k.Dropout(0.3),
            k.Conv2D(filters=16, kernel_size=2, padding="same", activation="relu"),
            k.MaxPooling2D(pool_size=2),
            k.Dropout(0.3),
            k.Flatten(),
            k.Dense(draw.choice((48, 64)), activation="relu"),
            k.Dense(10, activation="softmax"),
        ]
    )


def flat_digits(library: Any, draw: random.Random) -> Any:
    """The first tutorial: pixels in a row, one hidden layer."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((28, 28)),
            k.Flatten(),
            k.Dense(draw.choice((64, 128)), activation="relu"),
            k.Dropout(0.2),
            k.Dense(10),
            *([k.Softmax()] if draw.random() < 0.5 else []),
        ]
    )


def landmarks(library: Any, draw: random.Random) -> Any:
    """Thirty coordinates of a face, by leaky convolutions without biases."""
    k = library.layers
    model = library.Sequential([library.Input(shape=(48, 48, 1))])
    for filters in (8, 12, 16, 24):
        for _ in range(2):
            model.add(k.Conv2D(filters, (3, 3), padding="same", use_bias=False))
            model.add(k.LeakyReLU(0.1))
            model.add(k.BatchNormalization())
        model.add(k.MaxPooling2D(pool_size=(2, 2)))
    model.add(k.Flatten())
    model.add(k.Dense(64, activation="relu"))
    model.add(k.Dropout(0.1))
    model.add(k.Dense(30))
    return model


def age_and_gender(library: Any, draw: random.Random) -> Any:
    """Two answers from one body of convolutions, each with its own dense layers."""
    k = library.layers
    given = library.Input((64, 64, draw.choice((1, 3))))
    x = given
    for filters in (8, 16, 24, 32):
        x = k.Conv2D(filters, kernel_size=(3, 3), activation="relu")(x)
        x = k.MaxPooling2D(pool_size=(2, 2))(x)
    x = k.Flatten()(x)
    one = k.Dropout(0.3)(k.Dense(48, activation="relu")(x))
    two = k.Dropout(0.3)(k.Dense(48, activation="relu")(x))
    gender = k.Dense(1, activation="sigmoid", name="gender_out")(one)
    age = k.Dense(1, activation="relu", name="age_out")(two)
    return library.Model(inputs=[given], outputs=[gender, age])


def emotions(library: Any, draw: random.Random) -> Any:
    """Emotions of faces by residual modules of separable convolutions (Arriaga, 2017)."""
    k, decay = library.layers, library.regularizers.l2(0.01)
    given = library.Input((48, 48, 1))
    x = given
    for _ in range(2):
        x = k.Conv2D(8, (3, 3), strides=(1, 1), kernel_regularizer=decay, use_bias=False)(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
    for filters in (12, 20, 32)[: draw.randint(2, 3)]:
        side = k.Conv2D(filters, (1, 1), strides=(2, 2), padding="same", use_bias=False)(x)
        side = k.BatchNormalization()(side)
        x = k.SeparableConv2D(filters, (3, 3), padding="same", use_bias=False)(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
        x = k.BatchNormalization()(k.SeparableConv2D(filters, (3, 3), padding="same", use_bias=False)(x))
        x = k.add([k.MaxPooling2D((3, 3), strides=(2, 2), padding="same")(x), side])
    x = k.Conv2D(7, (3, 3), padding="same")(x)
    x = k.GlobalAveragePooling2D()(x)
    return library.Model(given, k.Activation("softmax", name="predictions")(x))


def wide_residual(library: Any, draw: random.Random) -> Any:
    """Wide residual blocks with dropout inside (Zagoruyko, 2016)."""
    k = library.layers

    def block(x: Any, filters: int, strides: int) -> Any:
        y = k.ReLU()(k.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
        short = x
        if strides > 1 or x.shape[-1] != filters:
            short = k.Conv2D(filters, 1, strides=strides, padding="same", use_bias=False)(y)
        y = k.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(y)
        y = k.Dropout(0.3)(k.ReLU()(k.BatchNormalization(momentum=0.9, epsilon=1e-5)(y)))
        return k.Add()([k.Conv2D(filters, 3, padding="same", use_bias=False)(y), short])

    given = library.Input((32, 32, 3))
    x = k.Conv2D(8, 3, padding="same", use_bias=False)(given)
    for filters, strides in ((16, 1), (24, 2), (32, 2)):
        x = block(x, filters, strides)
        if draw.random() < 0.4:
            x = block(x, filters, 1)
    x = k.ReLU()(k.BatchNormalization()(x))
    x = k.Flatten()(k.AveragePooling2D(8)(x))
    return library.Model(given, k.Dense(10, activation="softmax")(x))


def attended_maps(library: Any, draw: random.Random) -> Any:
    """Attention to channels by two poolings and one pair of dense layers (Woo, 2018)."""
    k = library.layers

    def channels(x: Any) -> Any:
        depth = x.shape[-1]
        one, two = k.Dense(depth // 4, activation="relu"), k.Dense(depth)
        mean = k.Reshape((1, 1, depth))(k.GlobalAveragePooling2D()(x))
        most = k.Reshape((1, 1, depth))(k.GlobalMaxPooling2D()(x))
        both = k.Add()([two(one(mean)), two(one(most))])
        return k.Multiply()([x, k.Activation("sigmoid")(both)])

    given = library.Input((40, 40, 3))
    x = given
    for filters in (12, 20, 28)[: draw.randint(2, 3)]:
        x = k.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = channels(k.ReLU()(k.BatchNormalization()(x)))
        where = k.Conv2D(1, 7, padding="same", activation="sigmoid", use_bias=False)(x)
        x = k.Multiply()([x, where])
    x = k.GlobalAveragePooling2D()(x)
    return library.Model(given, k.Dense(6, activation="softmax")(k.Dropout(0.4)(x)))


def lite(library: Any, draw: random.Random) -> Any:
    """Inverted residuals with ReLU6 and a fixed stem, as networks for phones have them."""
    k = library.layers

    def block(x: Any, filters: int, strides: int, wider: int, width: int, name: str) -> Any:
        y, depth = x, x.shape[-1]
        if wider > 1:
            y = k.Conv2D(depth * wider, 1, use_bias=False, name=name + "expand")(x)
            y = k.ReLU(6.0, name=name + "expand_relu")(k.BatchNormalization(name=name + "expand_bn")(y))
        if strides == 2:
            y = k.ZeroPadding2D(((width // 2 - 1, width // 2), (width // 2 - 1, width // 2)))(y)
        y = k.DepthwiseConv2D(
            width,
            strides=strides,
            padding="same" if strides == 1 else "valid",
            use_bias=False,
            name=name + "dw",
        )(y)
        y = k.ReLU(6.0, name=name + "dw_relu")(k.BatchNormalization(name=name + "dw_bn")(y))
        y = k.Conv2D(filters, 1, use_bias=False, name=name + "project")(y)
        y = k.BatchNormalization(name=name + "project_bn")(y)
        return k.Add(name=name + "add")([x, y]) if strides == 1 and filters == depth else y

    given = library.Input((48, 48, 3), name="image")
    x = k.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(given)
    x = k.ReLU(6.0)(k.BatchNormalization(name="stem_bn")(x))
    rows = ((8, 1, 1, 3), (12, 2, 4, 3), (12, 1, 4, 3), (20, 2, 4, draw.choice((3, 5))), (20, 1, 4, 5))
    for place, (filters, strides, wider, width) in enumerate(rows):
        x = block(x, filters, strides, wider, width, f"block{place}_")
    x = k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(64, 1, use_bias=False)(x)))
    x = k.Dropout(0.2)(k.GlobalAveragePooling2D(name="pool")(x))
    return library.Model(given, k.Dense(12, activation="softmax", name="probs")(x))


THIRD_IMAGES: dict[str, tuple[str, Builder]] = {
    "t-age-and-gender": ("images", age_and_gender),
    "t-alex-net": ("images", alex_net),
    "t-all-convolutional": ("images", all_convolutional),
    "t-attended-maps": ("images", attended_maps),
    "t-clothes": ("images", clothes),
    "t-elu-stack": ("images", elu_stack),
    "t-emotions": ("images", emotions),
    "t-flat-digits": ("images", flat_digits),
    "t-flowers": ("images", flowers),
    "t-landmarks": ("images", landmarks),
    "t-le-net": ("images", le_net),
    "t-lite": ("images", lite),
    "t-network-in-network": ("images", network_in_network),
    "t-steering": ("images", steering),
    "t-wide-residual": ("images", wide_residual),
}
"""The class of each kind of network, and what builds it."""
