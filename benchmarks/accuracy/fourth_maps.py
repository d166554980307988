"""Segmentation, detection, key points and depth in the fourth set, as phones and cameras have them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import math
import random
from typing import Any

from benchmarks.accuracy.fourth_functions import functions
from benchmarks.accuracy.third_images import Builder


def _unit(library: Any, x: Any, filters: int, size: int = 3, strides: int = 1, act: str = "relu") -> Any:
    """Return a convolution with normalization and an activation."""
    k = library.layers
    x = k.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
    return k.Activation(act)(k.BatchNormalization()(x))


def portrait_net(library: Any, draw: random.Random) -> Any:
    """A U-Net with two convolutions for each step, transposed convolutions and one mask."""
    k = library.layers

    def double(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = k.Conv2D(filters, (3, 3), padding="same", kernel_initializer="he_normal")(x)
            x = k.Activation("relu")(k.BatchNormalization()(x))
        return x

    base = draw.choice((6, 8))
    image = k.Input((64, 64, 3))
    first = double(image, base)
    second = double(k.MaxPooling2D((2, 2))(first), base * 2)
    x = double(k.MaxPooling2D((2, 2))(second), base * 4)
    for filters, skip in ((base * 2, second), (base, first)):
        x = k.Conv2DTranspose(filters, (2, 2), strides=(2, 2), padding="same")(x)
        x = double(k.concatenate([x, skip]), filters)
    return library.Model(image, k.Conv2D(1, (1, 1), activation="sigmoid")(x), name="portrait")


def gated_skips(library: Any, draw: random.Random) -> Any:
    """An attention U-Net: skips are gated by what comes from below, and maps grow by bilinear resizing."""
    k = library.layers
    image = library.Input((48, 48, 1))
    skips, x = [], image
    for filters in (8, 16):
        x = _unit(library, x, filters)
        skips.append(x)
        x = k.MaxPooling2D()(x)
    x = k.Dropout(0.3)(_unit(library, x, 24))
    for filters, skip in zip((16, 8), reversed(skips), strict=True):
        x = k.UpSampling2D(size=2, interpolation=draw.choice(("bilinear", "nearest")))(x)
        gate = k.add([k.Conv2D(filters // 2, 1)(skip), k.Conv2D(filters // 2, 1)(x)])
        gate = k.Conv2D(1, 1, activation="sigmoid")(k.Activation("relu")(gate))
        x = _unit(library, k.concatenate([k.multiply([skip, gate]), x]), filters)
    return library.Model(image, k.Conv2D(4, 1, activation="softmax")(x))


def lite_atrous(library: Any, draw: random.Random) -> Any:
    """LR-ASPP: one branch at full reach gates the other, and a skip adds detail."""
    k = library.layers
    image = library.Input((64, 64, 3))
    x = _unit(library, image, 8, strides=2)
    low = x = _unit(library, x, 16, strides=2)
    x = _unit(library, x, 24, strides=2)
    x = k.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x)
    one = _unit(library, x, 16, 1)
    two = k.AveragePooling2D(8)(x)
    two = k.Conv2D(16, 1, activation="sigmoid")(two)
    two = k.UpSampling2D(8, interpolation="bilinear")(two)
    x = k.UpSampling2D(2, interpolation="bilinear")(one * two)
    classes = draw.choice((5, 19))
    x = k.Conv2D(classes, 1)(low) + k.Conv2D(classes, 1)(x)
    return library.Model(image, k.UpSampling2D(4, interpolation="bilinear")(x))


def two_paths(library: Any, draw: random.Random) -> Any:
    """BiSeNet: a path with detail and one with context that refines itself by its own mean."""
    k = library.layers
    image = k.Input((64, 64, 3))
    detail = image
    for filters in (8, 12, 16):
        detail = _unit(library, detail, filters, strides=2)
    context = k.SeparableConv2D(16, 3, strides=4, padding="same")(image)
    context = k.MaxPooling2D(2)(_unit(library, context, 16))
    mean = k.GlobalAveragePooling2D(keepdims=True)(context)
    gate = k.Activation("sigmoid")(k.BatchNormalization()(k.Conv2D(16, 1, use_bias=False)(mean)))
    context = k.Multiply()([context, gate])
    x = _unit(library, k.Concatenate()([detail, context]), draw.choice((16, 20)), 1)
    x = k.Conv2D(6, 1)(k.Dropout(0.1)(x))
    return library.Model(image, [x, k.Conv2D(6, 1, name="auxiliary")(context)])


def shared_pyramid(library: Any, draw: random.Random) -> Any:
    """RetinaNet: a pyramid of maps, and one head for classes and one for boxes that all maps share."""
    k = library.layers
    anchors, classes = 3, draw.choice((4, 8))

    def head(outputs: int, prior: float) -> Any:
        bias = library.initializers.Constant(prior)
        parts = [library.Input(shape=(None, None, 16))]
        parts += [k.Conv2D(16, 3, padding="same", activation="relu") for _ in range(2)]
        return library.Sequential([*parts, k.Conv2D(outputs, 3, padding="same", bias_initializer=bias)])

    boxes, scores = head(anchors * 4, 0.0), head(anchors * classes, -math.log(99.0))
    image = library.Input((64, 64, 3))
    maps, x = [], image
    for filters in (8, 16, 24, 32):
        x = _unit(library, x, filters, strides=2)
        maps.append(k.Conv2D(16, 1, padding="same")(x))
    for place in (2, 1):
        maps[place] = maps[place] + k.UpSampling2D(2)(maps[place + 1])
    flat = [
        k.Concatenate(axis=-1)([k.Reshape((-1, 4))(boxes(one)), k.Reshape((-1, classes))(scores(one))])
        for one in maps[1:]
    ]
    return library.Model(image, k.Concatenate(axis=1)(flat), name="RetinaNet")


def tiny_yolo(library: Any, draw: random.Random) -> Any:
    """YOLOv3 tiny: leaky convolutions, a pooling without stride, and two scales."""
    k = library.layers

    def leaky(x: Any, filters: int, size: int = 3) -> Any:
        x = k.Conv2D(filters, size, padding="same", use_bias=False)(x)
        return k.LeakyReLU(0.1)(k.BatchNormalization()(x))

    image = library.Input((96, 96, 3))
    x = image
    for filters in (4, 8, 12, 16):
        x = k.MaxPooling2D(2, 2, "same")(leaky(x, filters))
    route = leaky(x, 24)
    x = k.MaxPooling2D(2, 1, "same")(leaky(k.MaxPooling2D(2, 2, "same")(route), 32))
    x = leaky(leaky(x, 48), 24, 1)
    classes = draw.choice((3, 20))
    coarse = k.Conv2D(3 * (classes + 5), 1, name="coarse")(leaky(x, 32))
    x = k.Concatenate()([k.UpSampling2D(2)(leaky(x, 16, 1)), route])
    fine = k.Conv2D(3 * (classes + 5), 1, name="fine")(leaky(x, 24))
    return library.Model(
        image, [k.Reshape((3, 3, 3, classes + 5))(coarse), k.Reshape((6, 6, 3, classes + 5))(fine)]
    )


def without_anchors(library: Any, draw: random.Random) -> Any:
    """A head as YOLOv8 has it: SiLU, split bottlenecks, boxes as the mean of a distribution of distances."""
    k, f = library.layers, functions(library)

    def silu(x: Any, filters: int, size: int = 3, strides: int = 1) -> Any:
        return _unit(library, x, filters, size, strides, "swish")

    def split_block(x: Any, filters: int) -> Any:
        x = silu(x, filters, 1)
        one, two = f.split(x, 2, axis=-1)
        y = silu(silu(two, filters // 2), filters // 2) + two
        return silu(k.Concatenate()([one, two, y]), filters, 1)

    image = library.Input((64, 64, 3))
    x = silu(silu(image, 8, strides=2), 16, strides=2)
    mid = split_block(x, 16)
    low = split_block(silu(mid, 24, strides=2), 24)
    pool = k.MaxPooling2D(5, 1, "same")(low)
    low = silu(k.Concatenate()([low, pool, k.MaxPooling2D(5, 1, "same")(pool)]), 24, 1)
    mid = split_block(k.Concatenate()([k.UpSampling2D(2)(low), mid]), 16)
    bins, outputs = draw.choice((8, 16)), []
    for one, side in ((mid, 16), (low, 8)):
        box = k.Conv2D(4 * bins, 1)(silu(one, 16))
        box = f.softmax(k.Reshape((side * side, 4, bins))(box), axis=-1)
        steps = k.Dense(1, use_bias=False, kernel_initializer="ones")(box)
        score = k.Conv2D(5, 1, activation="sigmoid")(silu(one, 16))
        box = k.Reshape((side * side, 4))(steps)
        outputs.append(k.Concatenate()([box, k.Reshape((side * side, 5))(score)]))
    return library.Model(image, k.Concatenate(axis=1)(outputs))


def objects_as_points(library: Any, draw: random.Random) -> Any:
    """CenterNet: transposed convolutions up, and heads for centers, sizes and offsets."""
    k = library.layers
    image = library.Input(shape=(96, 96, 3), name="image")
    x = image
    for filters in (8, 16, 24, 32):
        x = _unit(library, x, filters, strides=2)
    for filters in (24, 16):
        x = k.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = k.ReLU()(k.BatchNormalization()(x))
    outputs = {}
    for name, channels in (("hm", draw.choice((1, 6))), ("wh", 2), ("reg", 2)):
        y = k.Conv2D(24, 3, padding="same", activation="relu", name=f"{name}_conv")(x)
        bias = library.initializers.Constant(-2.19 if name == "hm" else 0.0)
        act = "sigmoid" if name == "hm" else None
        outputs[name] = k.Conv2D(channels, 1, bias_initializer=bias, activation=act, name=name)(y)
    return library.Model(image, list(outputs.values()), name="centernet")


def fast_faces(library: Any, draw: random.Random) -> Any:
    """BlazeFace: 5x5 depthwise blocks whose shortcut is pooled and padded with channels of zeros."""
    k, f = library.layers, functions(library)

    def block(x: Any, filters: int, strides: int = 1) -> Any:
        y = k.DepthwiseConv2D(5, strides=strides, padding="same")(x)
        y = k.Conv2D(filters, 1)(y)
        x = k.MaxPooling2D(strides)(x) if strides > 1 else x
        if filters > x.shape[-1]:
            x = f.pad(x, [[0, 0], [0, 0], [0, 0], [0, filters - x.shape[-1]]])
        return k.ReLU()(k.Add()([y, x]))

    image = library.Input((64, 64, 3))
    x = k.Conv2D(12, 5, strides=2, padding="same", activation="relu")(image)
    for filters, strides in ((12, 1), (16, 1), (20, 2), (24, 1), (28, 2)):
        x = block(x, filters, strides)
    y = block(x, 36, 2)
    scores = [k.Reshape((-1, 1))(k.Conv2D(n, 1)(one)) for n, one in ((2, x), (6, y))]
    boxes = [k.Reshape((-1, 16))(k.Conv2D(n * 16, 1)(one)) for n, one in ((2, x), (6, y))]
    score = k.Concatenate(axis=1)(scores)
    return library.Model(image, [k.Concatenate(axis=1)(boxes), score], name=draw.choice((None, "faces")))


def soft_key_points(library: Any, draw: random.Random) -> Any:
    """Key points as the expected place under a softmax over each map."""
    k, f = library.layers, functions(library)
    points = draw.choice((6, 10))
    image = library.Input((64, 64, 1))
    x = image
    for filters in (8, 16, 24):
        x = _unit(library, x, filters, strides=2 if filters > 8 else 1)
    x = k.UpSampling2D(2, interpolation="bilinear")(x)
    maps = k.Conv2D(points, 1)(x)
    flat = f.softmax(f.transpose(k.Reshape((32 * 32, points))(maps), (0, 2, 1)), axis=-1)
    flat = k.Reshape((points, 32, 32))(flat)
    down = k.Dense(1, use_bias=False)(f.sum(flat, axis=3))
    across = k.Dense(1, use_bias=False)(f.sum(flat, axis=2))
    return library.Model(image, k.Concatenate(axis=-1)([across, down]))


def body_points(library: Any, draw: random.Random) -> Any:
    """A single-pose head: inverted residuals, a small pyramid and four separable heads."""
    k = library.layers
    image = library.Input((96, 96, 3))
    x = k.Rescaling(1 / 127.5, -1)(image)
    maps = []
    for filters in (8, 12, 16, 24):
        y = _unit(library, x, filters * 2, 1)
        y = k.ReLU(6.0)(k.BatchNormalization()(k.DepthwiseConv2D(3, 2, "same", use_bias=False)(y)))
        x = k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(y))
        maps.append(x)
    x = maps[-1]
    for one in (maps[2], maps[1]):
        x = k.UpSampling2D(2, interpolation="bilinear")(x)
        x = k.Add()([k.Conv2D(16, 1)(x), k.Conv2D(16, 1)(one)])
        x = k.ReLU()(k.SeparableConv2D(16, 3, padding="same")(x))
    points = draw.choice((8, 17))
    outputs = [
        k.Conv2D(many, 1, name=name)(k.SeparableConv2D(16, 3, padding="same", activation="relu")(x))
        for name, many in (("center", 1), ("heat", points), ("regress", 2 * points), ("offset", 2 * points))
    ]
    return library.Model(image, outputs)


def fast_depth(library: Any, draw: random.Random) -> Any:
    """FastDepth: 5x5 depthwise convolutions up with added skips; the depth is positive."""
    k = library.layers
    image = library.Input((64, 64, 3))
    x, skips = image, []
    for filters in (8, 16, 24, 32):
        x = _unit(library, x, filters, strides=2)
        skips.append(x)
    for filters, skip in ((24, skips[2]), (16, skips[1]), (8, skips[0])):
        x = k.ReLU()(k.BatchNormalization()(k.DepthwiseConv2D(5, padding="same", use_bias=False)(x)))
        x = k.UpSampling2D(2)(_unit(library, x, filters, 1))
        x = k.add([x, skip])
    x = k.UpSampling2D(2)(_unit(library, x, 8))
    return library.Model(image, k.Conv2D(1, 1, activation=draw.choice(("relu", "softplus")))(x))


def lanes(library: Any, draw: random.Random) -> Any:
    """Lane detection by rows: a convolutional body, a dense layer, and classes for each row and lane."""
    k = library.layers
    image = k.Input((48, 80, 3))
    x = image
    for filters in (8, 16, 24, 16):
        x = _unit(library, x, filters, strides=2)
    x = k.Flatten()(k.Conv2D(8, 1)(x))
    x = k.Dense(draw.choice((64, 96)), activation="relu")(x)
    return library.Model(image, k.Softmax(axis=1)(k.Reshape((21, 8, 2))(k.Dense(21 * 8 * 2)(x))))


def parallel_scales(library: Any, draw: random.Random) -> Any:
    """HRNet: two resolutions side by side that exchange maps, and are joined at the end."""
    k = library.layers
    image = library.Input((48, 48, 3))
    high = _unit(library, image, 12, strides=2)
    low = _unit(library, high, 20, strides=2)
    for _ in range(2):
        y = k.BatchNormalization()(k.Conv2D(12, 3, padding="same")(_unit(library, high, 12)))
        high = k.ReLU()(k.Add()([high, y]))
        y = k.BatchNormalization()(k.Conv2D(20, 3, padding="same")(_unit(library, low, 20)))
        low = k.ReLU()(k.Add()([low, y]))
        up = k.UpSampling2D(2, interpolation="nearest")(_unit(library, low, 12, 1, act="linear"))
        down = k.BatchNormalization()(k.Conv2D(20, 3, strides=2, padding="same", use_bias=False)(high))
        high, low = k.ReLU()(k.Add()([high, up])), k.ReLU()(k.Add()([low, down]))
    x = k.Concatenate()([high, k.UpSampling2D(2, interpolation="bilinear")(low)])
    return library.Model(image, k.Conv2D(draw.choice((4, 13)), 1)(x))


FOURTH_MAPS: dict[str, tuple[str, Builder]] = {
    "q-portrait-net": ("maps", portrait_net),
    "q-gated-skips": ("maps", gated_skips),
    "q-lite-atrous": ("maps", lite_atrous),
    "q-two-paths": ("maps", two_paths),
    "q-shared-pyramid": ("maps", shared_pyramid),
    "q-tiny-yolo": ("maps", tiny_yolo),
    "q-without-anchors": ("maps", without_anchors),
    "q-objects-as-points": ("maps", objects_as_points),
    "q-fast-faces": ("maps", fast_faces),
    "q-soft-key-points": ("maps", soft_key_points),
    "q-body-points": ("maps", body_points),
    "q-fast-depth": ("maps", fast_depth),
    "q-lanes": ("maps", lanes),
    "q-parallel-scales": ("maps", parallel_scales),
}
"""The class of each kind of network, and what builds it."""
