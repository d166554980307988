"""Small image networks, wired as tutorials and published code wire them: classifiers, segmentation,
restoration, detection and embeddings.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Builder = Callable[[Any, random.Random], Any]


def digits(library: Any, draw: random.Random) -> Any:
    """The first tutorial's convolutional network for digits."""
    k = library.layers
    return library.Sequential(
        [
            library.Input(shape=(28, 28, 1)),
            k.Conv2D(draw.choice((16, 32)), kernel_size=(3, 3), activation="relu"),
            k.MaxPooling2D(pool_size=(2, 2)),
            k.Conv2D(draw.choice((24, 40)), kernel_size=(3, 3), activation="relu"),
            k.MaxPooling2D(pool_size=(2, 2)),
            k.Flatten(),
            k.Dropout(0.5),
            k.Dense(10, activation="softmax"),
        ]
    )


def cats_and_dogs(library: Any, draw: random.Random) -> Any:
    """A small Xception from scratch, for two classes of photographs."""
    k = library.layers
    inputs = library.Input(shape=(draw.choice((60, 64)),) * 2 + (3,))
    x = k.Rescaling(1.0 / 255)(inputs)
    x = k.Conv2D(16, 3, strides=2, padding="same")(x)
    x = k.Activation("relu")(k.BatchNormalization()(x))
    previous = x
    for size in draw.choice(((24, 32), (20, 28, 36))):
        for _ in range(2):
            x = k.Activation("relu")(x)
            x = k.SeparableConv2D(size, 3, padding="same")(x)
            x = k.BatchNormalization()(x)
        x = k.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = k.Conv2D(size, 1, strides=2, padding="same")(previous)
        x = k.add([x, residual])
        previous = x
    x = k.Activation("relu")(k.BatchNormalization()(k.SeparableConv2D(48, 3, padding="same")(x)))
    x = k.Dropout(0.25)(k.GlobalAveragePooling2D()(x))
    return library.Model(inputs, k.Dense(1, activation=None)(x))


def pets(library: Any, draw: random.Random) -> Any:
    """Segmentation of pets: a separable body down, transposed convolutions up, residuals in both."""
    k = library.layers
    inputs = library.Input(shape=(32, 32, 3))
    x = k.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = k.Activation("relu")(k.BatchNormalization()(x))
    previous = x
    for filters in (12, 20):
        x = k.Activation("relu")(x)
        x = k.BatchNormalization()(k.SeparableConv2D(filters, 3, padding="same")(x))
        x = k.Activation("relu")(x)
        x = k.BatchNormalization()(k.SeparableConv2D(filters, 3, padding="same")(x))
        x = k.MaxPooling2D(3, strides=2, padding="same")(x)
        x = k.add([x, k.Conv2D(filters, 1, strides=2, padding="same")(previous)])
        previous = x
    for filters in (20, 12, 8):
        x = k.BatchNormalization()(k.Conv2DTranspose(filters, 3, padding="same")(k.Activation("relu")(x)))
        x = k.BatchNormalization()(k.Conv2DTranspose(filters, 3, padding="same")(k.Activation("relu")(x)))
        x = k.UpSampling2D(2)(x)
        residual = k.Conv2D(filters, 1, padding="same")(k.UpSampling2D(2)(previous))
        x = k.add([x, residual])
        previous = x
    return library.Model(inputs, k.Conv2D(draw.choice((2, 3)), 3, activation="softmax", padding="same")(x))


def pixel_shuffle(library: Any, draw: random.Random) -> Any:
    """Super-resolution whose channels become pixels by reshaping (Shi, 2016)."""
    k, side, factor = library.layers, draw.choice((12, 16)), draw.choice((2, 3))
    inputs = library.Input(shape=(side, side, 1))
    x = k.Conv2D(24, 5, padding="same", activation="relu", kernel_initializer="orthogonal")(inputs)
    x = k.Conv2D(24, 3, padding="same", activation="relu", kernel_initializer="orthogonal")(x)
    x = k.Conv2D(12, 3, padding="same", activation="relu")(x)
    x = k.Conv2D(factor * factor, 3, padding="same")(x)
    x = k.Permute((1, 3, 2, 4))(k.Reshape((side, side, factor, factor))(x))
    return library.Model(inputs, k.Reshape((side * factor, side * factor, 1))(x))


def enhanced(library: Any, draw: random.Random) -> Any:
    """Super-resolution by scaled residual blocks without normalization (Lim, 2017)."""
    k, filters = library.layers, draw.choice((12, 16))
    inputs = library.Input(shape=(None, None, 3) if draw.random() < 0.3 else (20, 20, 3))
    first = k.Conv2D(filters, 3, padding="same")(k.Rescaling(1 / 255.0)(inputs))
    x = first
    for _ in range(draw.randint(2, 4)):
        y = k.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = k.Add()([x, k.Rescaling(0.1)(k.Conv2D(filters, 3, padding="same")(y))])
    x = k.Add()([first, k.Conv2D(filters, 3, padding="same")(x)])
    x = k.Conv2DTranspose(filters, 4, strides=2, padding="same")(x)
    return library.Model(inputs, k.Rescaling(255.0)(k.Conv2D(3, 3, padding="same")(x)))


def denoiser(library: Any, draw: random.Random) -> Any:
    """Noise that is subtracted from an image (Zhang, 2017)."""
    k = library.layers
    inputs = library.Input(shape=(draw.choice((24, 40)),) * 2 + (draw.choice((1, 3)),))
    x = k.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    for _ in range(draw.randint(2, 4)):
        x = k.ReLU()(k.BatchNormalization()(k.Conv2D(16, 3, padding="same", use_bias=False)(x)))
    noise = k.Conv2D(inputs.shape[-1], 3, padding="same")(x)
    return library.Model(inputs, k.Subtract()([inputs, noise]))


def low_light(library: Any, draw: random.Random) -> Any:
    """Curves that brighten dark photographs (Guo, 2020)."""
    k = library.layers
    inputs = library.Input(shape=(32, 32, 3))
    one, held = {"padding": "same", "activation": "relu"}, []
    x = inputs
    for _ in range(4):
        x = k.Conv2D(8, (3, 3), strides=(1, 1), **one)(x)
        held.append(x)
    x = k.Conv2D(8, 3, **one)(k.Concatenate(axis=-1)([held[3], held[2]]))
    x = k.Conv2D(8, 3, **one)(k.Concatenate(axis=-1)([x, held[1]]))
    x = k.Concatenate(axis=-1)([x, held[0]])
    return library.Model(inputs, k.Conv2D(24, 3, activation="tanh", padding="same")(x))


def conv_mixer(library: Any, draw: random.Random) -> Any:
    """Depthwise and pointwise convolutions over patches (Trockman, 2022)."""
    k, filters = library.layers, draw.choice((16, 32))

    def activated(x: Any) -> Any:
        return k.BatchNormalization()(k.Activation("gelu")(x))

    inputs = library.Input((32, 32, 3))
    x = k.Rescaling(scale=1.0 / 255)(inputs)
    x = activated(k.Conv2D(filters, kernel_size=4, strides=4)(x))
    for _ in range(draw.randint(2, 3)):
        y = k.DepthwiseConv2D(kernel_size=5, padding="same")(x)
        x = k.Add()([activated(y), x])
        x = activated(k.Conv2D(filters, kernel_size=1)(x))
    return library.Model(inputs, k.Dense(10, activation="softmax")(k.GlobalAvgPool2D()(x)))


def keypoints(library: Any, draw: random.Random) -> Any:
    """Positions of joints by separable convolutions to one pixel."""
    k = library.layers
    inputs = library.Input((28, 28, 3))
    x = k.Conv2D(16, 3, strides=2, activation="relu")(inputs)
    x = k.BatchNormalization()(x)
    x = k.Conv2D(24, 3, strides=2, activation="relu")(x)
    x = k.Dropout(0.3)(x)
    x = k.SeparableConv2D(24, kernel_size=5, strides=1, activation="relu")(x)
    return library.Model(inputs, k.SeparableConv2D(draw.choice((16, 24)), kernel_size=2, strides=1)(x))


def person(library: Any, draw: random.Random) -> Any:
    """Whether a person is seen: MobileNet of a quarter's width, as microcontrollers run it."""
    k = library.layers
    inputs = library.Input(shape=(48, 48, draw.choice((1, 3))))
    x = k.Conv2D(8, 3, strides=2, padding="same", kernel_regularizer=library.regularizers.l2(1e-4))(inputs)
    x = k.Activation("relu")(k.BatchNormalization()(x))
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1))[: draw.randint(3, 5)]:
        x = k.DepthwiseConv2D(3, strides=strides, padding="same")(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
        x = k.Conv2D(filters, 1, padding="same")(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
    x = k.Flatten()(k.AveragePooling2D(pool_size=x.shape[1:3])(x))
    return library.Model(inputs, k.Dense(2, activation="softmax")(x))


def tiny_resnet(library: Any, draw: random.Random) -> Any:
    """The residual network of three stacks that small boards classify CIFAR-10 with."""
    k, filters = library.layers, draw.choice((8, 16))
    inputs = library.Input(shape=(32, 32, 3))
    more = {"padding": "same", "kernel_initializer": "he_normal"}
    x = k.Activation("relu")(k.BatchNormalization()(k.Conv2D(filters, 3, strides=1, **more)(inputs)))
    for stack in range(3):
        strides = 1 if stack == 0 else 2
        y = k.Conv2D(filters, 3, strides=strides, **more)(x)
        y = k.Activation("relu")(k.BatchNormalization()(y))
        y = k.BatchNormalization()(k.Conv2D(filters, 3, strides=1, **more)(y))
        if stack:
            x = k.Conv2D(filters, 1, strides=strides, **more)(x)
        x = k.Activation("relu")(library.layers.add([x, y]))
        filters *= 2
    x = k.Flatten()(k.AveragePooling2D(pool_size=8)(x))
    return library.Model(inputs, k.Dense(10, activation="softmax", kernel_initializer="he_normal")(x))


def residual_u_net(library: Any, draw: random.Random) -> Any:
    """Segmentation of residual blocks that are normalized first (Zhang, 2018)."""
    k = library.layers

    def block(x: Any, filters: int, strides: int) -> Any:
        y = k.Activation("relu")(k.BatchNormalization()(x))
        y = k.Conv2D(filters, 3, padding="same", strides=strides)(y)
        y = k.Activation("relu")(k.BatchNormalization()(y))
        y = k.Conv2D(filters, 3, padding="same")(y)
        return k.Add()([k.Conv2D(filters, 1, strides=strides, padding="same")(x), y])

    inputs = library.Input((32, 32, draw.choice((1, 3))))
    x = k.Conv2D(8, 3, padding="same")(inputs)
    one = k.Add()([k.Conv2D(8, 1, padding="same")(inputs), x])
    two, held = block(one, 12, 2), [one]
    held.append(two)
    x = block(two, 16, 2)
    for filters, skip in ((12, held[1]), (8, held[0])):
        x = k.Concatenate()([k.UpSampling2D((2, 2))(x), skip])
        x = block(x, filters, 1)
    return library.Model(inputs, k.Conv2D(1, 1, padding="same", activation="sigmoid")(x))


def biomedical(library: Any, draw: random.Random) -> Any:
    """The original U-Net without padding, whose skips are cropped (Ronneberger, 2015)."""
    k = library.layers
    inputs = library.Input((44, 44, 1))
    one = k.Conv2D(8, 3, activation="relu")(k.Conv2D(8, 3, activation="relu")(inputs))
    x = k.MaxPooling2D(2)(one)
    two = k.Conv2D(12, 3, activation="relu")(k.Conv2D(12, 3, activation="relu")(x))
    x = k.MaxPooling2D(2)(two)
    x = k.Dropout(0.5)(k.Conv2D(16, 3, activation="relu")(x))
    for filters, skip in ((12, two), (8, one)):
        x = k.Conv2DTranspose(filters, 2, strides=2)(x)
        less = skip.shape[1] - x.shape[1]
        skip = k.Cropping2D(((less // 2, less - less // 2),) * 2)(skip)
        x = k.concatenate([skip, x], axis=3)
        x = k.Conv2D(filters, 3, activation="relu")(x)
    return library.Model(inputs, k.Conv2D(draw.choice((1, 2)), 1, activation="sigmoid")(x))


def pooled_pyramid(library: Any, draw: random.Random) -> Any:
    """Means of several regions beside the maps they come from (Zhao, 2017)."""
    k = library.layers
    inputs = library.Input((48, 48, 3))
    x = k.Conv2D(12, 3, strides=2, padding="same", activation="relu")(inputs)
    x = k.Conv2D(24, 3, strides=2, padding="same", activation="relu")(x)
    parts = [x]
    for size in draw.choice(((12, 6), (12, 4, 2), (6, 3))):
        y = k.AveragePooling2D(size)(x)
        y = k.ReLU()(k.BatchNormalization()(k.Conv2D(6, 1, use_bias=False)(y)))
        parts.append(k.UpSampling2D(size, interpolation="bilinear")(y))
    x = k.Conv2D(16, 3, padding="same", activation="relu")(k.Concatenate()(parts))
    return library.Model(inputs, k.UpSampling2D(4, interpolation="bilinear")(k.Conv2D(5, 1)(x)))


def triplet(library: Any, draw: random.Random) -> Any:
    """One embedding network for an anchor, one like it and one unlike it."""
    k = library.layers
    given = library.Input((24, 24, 3))
    x = k.MaxPooling2D()(k.Conv2D(12, 5, activation="relu")(given))
    x = k.Conv2D(16, 3, activation="relu")(x)
    x = k.BatchNormalization()(k.Dense(32, activation="relu")(k.Flatten()(x)))
    embedding = library.Model(given, k.Dense(16)(x), name="Embedding")
    anchor, positive, negative = (
        library.Input(name=name, shape=(24, 24, 3)) for name in ("anchor", "positive", "negative")
    )
    a, p, n = embedding(anchor), embedding(positive), embedding(negative)
    if draw.random() < 0.5:
        return library.Model([anchor, positive, negative], [a, p, n])
    return library.Model([anchor, positive, negative], [k.Subtract()([a, p]), k.Subtract()([a, n])])


def student(library: Any, draw: random.Random) -> Any:
    """The smaller network of knowledge distillation."""
    k = library.layers
    slope = {"negative_slope": 0.2} if library.__name__ == "keras" else {"alpha": 0.2}
    return library.Sequential(
        [
            library.Input(shape=(28, 28, 1)),
            k.Conv2D(16, (3, 3), strides=(2, 2), padding="same"),
            k.LeakyReLU(**slope),
            k.MaxPooling2D(pool_size=(2, 2), strides=(1, 1), padding="same"),
            k.Conv2D(draw.choice((24, 32)), (3, 3), strides=(2, 2), padding="same"),
            k.Flatten(),
            k.Dense(10),
        ],
        name="student",
    )


def colorizer(library: Any, draw: random.Random) -> Any:
    """Colors of grey images: features of the whole image beside those of each place (Iizuka, 2016)."""
    k = library.layers
    inputs = library.Input((32, 32, 1))
    x = k.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = k.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    whole = k.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    whole = k.RepeatVector(64)(k.Dense(16, activation="relu")(k.Flatten()(whole)))
    x = k.concatenate([x, k.Reshape((8, 8, 16))(whole)], axis=3)
    x = k.Conv2D(16, 1, activation="relu")(x)
    for filters in (12, 8)[: draw.randint(1, 2)]:
        x = k.UpSampling2D((2, 2))(k.Conv2D(filters, 3, activation="relu", padding="same")(x))
    return library.Model(inputs, k.Conv2D(2, 3, activation="tanh", padding="same")(x))


def patch_judge(library: Any, draw: random.Random) -> Any:
    """Whether each patch of a pair of images is real (Isola, 2017)."""
    k = library.layers
    start = library.initializers.RandomNormal(stddev=0.02)
    pair = [library.Input((32, 32, 3), name=name) for name in ("input_image", "target_image")]
    x = k.concatenate(pair)
    for filters in (8, 16)[: draw.randint(1, 2)]:
        x = k.Conv2D(filters, 4, strides=2, padding="same", kernel_initializer=start, use_bias=False)(x)
        x = k.LeakyReLU()(k.BatchNormalization()(x))
    x = k.Conv2D(24, 4, strides=1, kernel_initializer=start, use_bias=False)(k.ZeroPadding2D()(x))
    x = k.ZeroPadding2D()(k.LeakyReLU()(k.BatchNormalization()(x)))
    return library.Model(pair, k.Conv2D(1, 4, strides=1, kernel_initializer=start)(x))


def volumes(library: Any, draw: random.Random) -> Any:
    """Scans of volumes classified by convolutions in three dimensions."""
    k = library.layers
    inputs = library.Input((16, 16, 8, 1))
    x = k.Conv3D(filters=8, kernel_size=3, activation="relu")(inputs)
    x = k.BatchNormalization()(k.MaxPool3D(pool_size=2)(x))
    x = k.Conv3D(filters=draw.choice((12, 16)), kernel_size=3, padding="same", activation="relu")(x)
    x = k.GlobalAveragePooling3D()(x)
    x = k.Dropout(0.3)(k.Dense(units=24, activation="relu")(x))
    return library.Model(inputs, k.Dense(units=1, activation="sigmoid")(x))


def yolo(library: Any, draw: random.Random) -> Any:
    """A grid of boxes from a small body, with a branch that is passed by (Redmon, 2017)."""
    k = library.layers

    def block(x: Any, filters: int, width: int) -> Any:
        x = k.Conv2D(filters, width, padding="same", use_bias=False)(x)
        return k.LeakyReLU(0.1)(k.BatchNormalization()(x))

    inputs = library.Input((32, 32, 3))
    x = k.MaxPooling2D(2)(block(inputs, 8, 3))
    x = k.MaxPooling2D(2)(block(x, 12, 3))
    passed = block(x, 16, 3)
    x = block(block(k.MaxPooling2D(2)(passed), 24, 3), 12, 1)
    side = x.shape[1]
    # Pixels of the finer map become channels of the coarser one.
    y = k.Reshape((side, 2, side, 2, 4))(block(passed, 4, 1))
    y = k.Reshape((side, side, 16))(k.Permute((1, 3, 2, 4, 5))(y))
    x = block(k.Concatenate()([y, x]), 24, 3)
    anchors = draw.choice((2, 3))
    x = k.Conv2D(anchors * 8, 1, padding="same")(x)
    return library.Model(inputs, k.Reshape((side, side, anchors, 8))(x))


SECOND_IMAGES: dict[str, tuple[str, Builder]] = {
    "s-biomedical": ("images", biomedical),
    "s-cats-and-dogs": ("images", cats_and_dogs),
    "s-colorizer": ("images", colorizer),
    "s-conv-mixer": ("images", conv_mixer),
    "s-denoiser": ("images", denoiser),
    "s-digits": ("images", digits),
    "s-enhanced": ("images", enhanced),
    "s-keypoints": ("images", keypoints),
    "s-low-light": ("images", low_light),
    "s-patch-judge": ("images", patch_judge),
    "s-person": ("images", person),
    "s-pets": ("images", pets),
    "s-pixel-shuffle": ("images", pixel_shuffle),
    "s-pooled-pyramid": ("images", pooled_pyramid),
    "s-residual-u-net": ("images", residual_u_net),
    "s-student": ("images", student),
    "s-tiny-resnet": ("images", tiny_resnet),
    "s-triplet": ("images", triplet),
    "s-volumes": ("images", volumes),
    "s-yolo": ("images", yolo),
}
"""The class of each kind of network, and what builds it."""
