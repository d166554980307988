"""Segmentation, detection, key points and pictures in the fifth set.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import math
import random
from typing import Any

from benchmarks.accuracy.fifth_parts import kinds, unit, wise
from benchmarks.accuracy.fourth_functions import functions


def deep_lab_v3_plus(library: Any, draw: random.Random) -> Any:
    """DeepLabv3+ of the Keras examples: dilated branches, the mean of the image, and a low level skip."""
    k = library.layers

    def block(x: Any, size: int = 3, rate: int = 1, use_bias: bool = False) -> Any:
        he = library.initializers.HeNormal()
        x = k.Conv2D(
            12, kernel_size=size, dilation_rate=rate, padding="same", use_bias=use_bias, kernel_initializer=he
        )(x)
        return k.ReLU()(k.BatchNormalization()(x))

    image = library.Input(shape=(64, 64, 3))
    low = unit(library, unit(library, image, 8, 3, 2), 16, 3, 2)
    deep = unit(library, unit(library, low, 24, 3, 2), 24)
    x = block(k.AveragePooling2D(pool_size=(8, 8))(deep), size=1, use_bias=True)
    x = k.UpSampling2D(size=(8, 8), interpolation="bilinear")(x)
    x = k.Concatenate(axis=-1)([x, block(deep, 1), *(block(deep, rate=rate) for rate in (2, 4))])
    x = k.UpSampling2D(size=(2, 2), interpolation="bilinear")(block(x, size=1))
    x = block(block(k.Concatenate(axis=-1)([x, block(low, size=1)])))
    x = k.UpSampling2D(size=(4, 4), interpolation="bilinear")(x)
    return library.Model(inputs=image, outputs=k.Conv2D(draw.choice((4, 20)), 1, padding="same")(x))


def recurrent_u_net(library: Any, draw: random.Random) -> Any:
    """R2U-Net: one convolution and its normalization are applied to the same map again and again."""
    k = library.layers

    def again(x: Any, filters: int) -> Any:
        conv, norm = k.Conv2D(filters, 3, padding="same"), k.BatchNormalization()
        start = k.Conv2D(filters, 1, padding="same")(x)
        y = k.Activation("relu")(norm(conv(start)))
        for _ in range(draw.choice((1, 2))):
            y = k.Activation("relu")(norm(conv(k.add([start, y]))))
        return k.add([start, y])

    image = library.Input((32, 32, 3))
    one = again(image, 8)
    x = k.Conv2DTranspose(8, 3, strides=2, padding="same")(again(k.MaxPooling2D()(one), 12))
    return library.Model(image, k.Conv2D(2, 1, activation="softmax")(again(k.concatenate([one, x]), 8)))


def nested_u(library: Any, draw: random.Random) -> Any:
    """U2-Net: a small U as a block, with dilation at its bottom, and masks from two scales fused."""
    k = library.layers

    def block(x: Any, inside: int, filters: int) -> Any:
        start = unit(library, x, filters)
        one = unit(library, start, inside)
        two = unit(library, k.MaxPool2D(2, padding="same")(one), inside)
        deep = unit(library, two, inside, dilation_rate=2)
        y = unit(library, k.Concatenate()([deep, two]), inside)
        y = k.Concatenate()([k.UpSampling2D(2, interpolation="bilinear")(y), one])
        return k.Add()([unit(library, y, filters), start])

    image = library.Input((48, 48, 3))
    one = block(image, 4, 12)
    two = block(k.MaxPool2D(2)(one), 6, draw.choice((12, 16)))
    x = block(k.Concatenate()([k.UpSampling2D(2, interpolation="bilinear")(two), one]), 4, 12)
    side = [k.Conv2D(1, 3, padding="same")(x), k.Conv2D(1, 3, padding="same")(two)]
    side[1] = k.UpSampling2D(2, interpolation="bilinear")(side[1])
    fused = k.Conv2D(1, 1)(k.Concatenate()(side))
    return library.Model(image, [k.Activation("sigmoid")(one) for one in (fused, *side)])


def ssd_lite(library: Any, draw: random.Random) -> Any:
    """SSDLite: separable heads on three maps, with different numbers of anchors."""
    k = library.layers
    classes = draw.choice((2, 21))
    image = library.Input((96, 96, 3), name="serving_input")
    x, maps = unit(library, image, 8, 3, 2, "relu6"), []
    for filters in (16, 24, 32, 40):
        x = unit(library, wise(library, x, 3, 2, "relu6"), filters, 1, act="relu6")
        maps.append(x)
    boxes, scores = [], []
    for number, one in enumerate(maps[1:]):
        anchors = (3, 6, 6)[number]
        y = k.Conv2D(anchors * 4, 1, name=f"box_{number}")(wise(library, one, act="relu6"))
        boxes.append(k.Reshape((-1, 4))(y))
        y = k.Conv2D(anchors * classes, 1, name=f"class_{number}")(wise(library, one, act="relu6"))
        scores.append(k.Reshape((-1, classes))(y))
    joined = k.Concatenate(axis=1, name="scores")(scores)
    return library.Model(image, [k.Concatenate(axis=1, name="boxes")(boxes), k.Softmax(axis=-1)(joined)])


def focus_detector(library: Any, draw: random.Random) -> Any:
    """YOLOv5: every second pixel becomes a channel, C3 blocks, pooling in a row, and a path back down."""
    k = library.layers

    def c3(x: Any, filters: int, add: bool) -> Any:
        y = unit(library, x, filters // 2, 1, act="silu")
        z = unit(library, unit(library, y, filters // 2, 1, act="silu"), filters // 2, act="silu")
        z = k.Add()([y, z]) if add else z
        side = unit(library, x, filters // 2, 1, act="silu")
        return unit(library, k.Concatenate()([z, side]), filters, 1, act="silu")

    image = library.Input((64, 64, 3))
    x = k.Concatenate()([image[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)])
    x = c3(unit(library, unit(library, x, 8, act="silu"), 16, 3, 2, "silu"), 16, True)
    deep = unit(library, unit(library, x, 24, 3, 2, "silu"), 12, 1, act="silu")
    pools = [deep]
    for _ in range(2):
        pools.append(k.MaxPooling2D(5, 1, padding="same")(pools[-1]))
    deep = unit(library, k.Concatenate()(pools), 16, 1, act="silu")
    fine = c3(k.Concatenate()([k.UpSampling2D()(deep), x]), 16, False)
    coarse = c3(k.Concatenate()([unit(library, fine, 16, 3, 2, "silu"), deep]), 24, False)
    outputs = 3 * (5 + draw.choice((1, 4)))
    return library.Model(image, [k.Conv2D(outputs, 1)(fine), k.Conv2D(outputs, 1)(coarse)])


def body_pose(library: Any, draw: random.Random) -> Any:
    """BlazePose: a branch of heat maps, and one of coordinates that reads the same maps."""
    k = library.layers
    joints = draw.choice((17, 33))

    def blaze(x: Any, filters: int, strides: int = 1) -> Any:
        y = k.Conv2D(filters, 1)(k.DepthwiseConv2D(5, strides=strides, padding="same")(x))
        x = k.Conv2D(filters, 1)(k.MaxPooling2D(2)(x)) if strides == 2 else x
        return k.ReLU()(k.Add()([x, y]))

    image = library.Input((64, 64, 3))
    one = blaze(k.Conv2D(12, 3, 2, "same", activation="relu")(image), 12)
    two = blaze(one, 16, 2)
    three = blaze(blaze(two, 24, 2), 24)
    y = k.UpSampling2D(2, interpolation="bilinear")(k.Conv2D(12, 1, activation="relu")(three))
    y = k.Add()([y, k.Conv2D(12, 1, activation="relu")(two)])
    heat = k.Conv2D(joints, 3, padding="same", activation="sigmoid", name="heatmap")(y)
    x = blaze(k.Concatenate()([three, k.AveragePooling2D(2)(y)]), 36, 2)
    x = k.Conv2D(3 * joints, 4, padding="valid", name="coordinates")(x)
    return library.Model(image, [heat, k.Reshape((joints, 3), name="joints")(x)])


def hand_landmarks(library: Any, draw: random.Random) -> Any:
    """Points of a hand with a score and whether it is the left one, from one vector."""
    k = library.layers
    image = library.Input((56, 56, 3), name="input_1")
    x = k.Conv2D(12, 3, strides=2, padding="same", activation="relu6")(image)
    for filters, strides in ((12, 1), (16, 2), (24, 2), (24, 1)):
        y = k.DepthwiseConv2D(3, strides=strides, padding="same", activation="relu6")(x)
        y = k.Conv2D(filters, 1)(y)
        x = k.Add()([x, y]) if x.shape == y.shape else y
    x = k.GlobalAveragePooling2D(name="features")(x)
    points = k.Dense(63, name="landmarks")(k.Dropout(draw.choice((0.1, 0.2)))(x))
    flag, side = (k.Dense(1, activation="sigmoid", name=name)(x) for name in ("handflag", "handedness"))
    return library.Model(image, {"points": points, "flag": flag, "side": side})


def self_points(library: Any, draw: random.Random) -> Any:
    """SuperPoint: cells of corners with a bin for none, and unit vectors that describe each cell."""
    k, f = library.layers, functions(library)
    image = library.Input((48, 64, 1))
    x = image
    for filters in (8, 12, draw.choice((16, 24))):
        x = k.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = k.MaxPooling2D(2)(k.Conv2D(filters, 3, padding="same", activation="relu")(x))
    cells = k.Conv2D(65, 1)(k.Conv2D(24, 3, padding="same", activation="relu")(x))
    cells = f.softmax(cells, axis=-1)[..., :-1]
    cells = f.transpose(f.reshape(cells, (-1, 6, 8, 8, 8)), (0, 1, 3, 2, 4))
    vectors = k.Conv2D(32, 1)(k.Conv2D(24, 3, padding="same", activation="relu")(x))
    vectors = vectors / f.sqrt(f.sum(f.square(vectors), axis=-1, keepdims=True) + 1e-8)
    return library.Model(image, [f.reshape(cells, (-1, 48, 64)), vectors])


def scene_text(library: Any, draw: random.Random) -> Any:
    """EAST: merged maps, a score, distances to the four sides and an angle, each scaled."""
    k = library.layers
    image = library.Input((64, 64, 3), name="input_image")
    downs, x = [], image
    for filters in (8, 12, 16, 24):
        x = unit(library, x, filters, 3, 2)
        downs.append(x)
    for number, filters in enumerate((16, 12, 8)):
        x = k.Concatenate()([k.UpSampling2D(2, interpolation="bilinear")(x), downs[2 - number]])
        x = unit(library, unit(library, x, filters, 1), filters)
    score = k.Conv2D(1, 1, activation="sigmoid", name="pred_score_map")(x)
    sides = k.Rescaling(draw.choice((64.0, 512.0)))(k.Conv2D(4, 1, activation="sigmoid")(x))
    angle = (k.Conv2D(1, 1, activation="sigmoid", name="rbox")(x) - 0.5) * (math.pi / 2)
    return library.Model(image, [score, k.Concatenate(name="pred_geo_map")([sides, angle])])


def soft_binary(library: Any, draw: random.Random) -> Any:
    """DBNet: a probability and a threshold for each pixel, and a steep logistic step between them."""
    k = library.layers
    image = library.Input((64, 64, 3))
    one = unit(library, unit(library, image, 8, 3, 2), 16, 3, 2)
    two = unit(library, one, 24, 3, 2)
    merged = k.Conv2D(16, 1)(one) + k.UpSampling2D(2)(k.Conv2D(16, 1)(two))
    parts = [k.Conv2D(8, 3, padding="same")(merged)]
    parts.append(k.UpSampling2D(2)(k.Conv2D(8, 3, padding="same")(two)))
    fused, maps = k.Concatenate()(parts), []
    for _ in range(2):
        y = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, padding="same", use_bias=False)(fused)))
        y = k.ReLU()(k.BatchNormalization()(k.Conv2DTranspose(8, 2, strides=2)(y)))
        maps.append(k.Conv2DTranspose(1, 2, strides=2, activation="sigmoid")(y))
    step = k.Activation("sigmoid")((maps[0] - maps[1]) * draw.choice((20.0, 50.0)))
    return library.Model(image, [*maps, step])


def optical_flow(library: Any, draw: random.Random) -> Any:
    """FlowNet: two frames, flows at three scales, each grown and joined with the maps of the next."""
    k = library.layers
    one, two = library.Input((48, 64, 3), name="frame_1"), library.Input((48, 64, 3), name="frame_2")
    downs, x = [], k.Concatenate()([one, two])
    for filters, size in ((8, 7), (12, 5), (16, 3), (24, 3)):
        x = k.LeakyReLU(0.1)(k.Conv2D(filters, size, strides=2, padding="same")(x))
        downs.append(x)
    flows = [k.Conv2D(2, 3, padding="same", use_bias=False)(x)]
    for number, filters in enumerate((16, 12)):
        grown = k.Conv2DTranspose(2, 4, strides=2, padding="same", use_bias=False)(flows[-1])
        x = k.LeakyReLU(0.1)(k.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x))
        x = k.Concatenate()([downs[2 - number], x, grown])
        flows.append(k.Conv2D(2, 3, padding="same", use_bias=False)(x))
    return library.Model([one, two], flows[: draw.choice((2, 3))])


def fast_resolution(library: Any, draw: random.Random) -> Any:
    """FSRCNN: shrink, map, expand with parametric activations, and one wide transposed convolution."""
    k = library.layers
    image = library.Input((None, None, 1) if draw.random() < 0.5 else (24, 24, 1))
    x = k.PReLU(shared_axes=[1, 2])(k.Conv2D(32, 5, padding="same", name="feature_extraction")(image))
    x = k.PReLU(shared_axes=[1, 2])(k.Conv2D(8, 1, padding="same", name="shrinking")(x))
    for number in range(3):
        x = k.PReLU(shared_axes=[1, 2])(k.Conv2D(8, 3, padding="same", name=f"mapping_{number}")(x))
    x = k.PReLU(shared_axes=[1, 2])(k.Conv2D(32, 1, padding="same", name="expanding")(x))
    return library.Model(image, k.Conv2DTranspose(1, 9, strides=(3, 3), padding="same")(x))


def free_of_activations(library: Any, draw: random.Random) -> Any:
    """NAFNet: halves of the channels are multiplied in place of an activation; the image is added last."""
    k, f = library.layers, functions(library)
    width = draw.choice((12, 16))
    image = library.Input((32, 32, 3))
    x = k.Conv2D(width, 3, padding="same")(image)
    for _ in range(2):
        y = k.Conv2D(2 * width, 1)(k.LayerNormalization(epsilon=1e-6)(x))
        one, two = f.split(k.DepthwiseConv2D(3, padding="same")(y), 2, axis=-1)
        y = one * two
        y = y * k.Conv2D(width, 1)(k.GlobalAveragePooling2D(keepdims=True)(y))
        x = x + k.Conv2D(width, 1)(y)
        one, two = f.split(k.Conv2D(2 * width, 1)(k.LayerNormalization(epsilon=1e-6)(x)), 2, axis=-1)
        x = x + k.Conv2D(width, 1)(one * two)
    return library.Model(image, image + k.Conv2D(3, 3, padding="same")(x))


FIFTH_MAPS = {
    **kinds("maps", deep_lab_v3_plus, recurrent_u_net, nested_u, ssd_lite, focus_detector),
    **kinds("maps", body_pose, hand_landmarks, self_points, scene_text, soft_binary),
    **kinds("maps", optical_flow, fast_resolution, free_of_activations),
}
"""The class of each kind of network, and what builds it."""
