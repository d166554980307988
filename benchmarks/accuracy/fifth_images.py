"""Image classifiers of the fifth set, and bodies of `keras.applications` with heads.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds, pooled, unit, wise
from benchmarks.accuracy.fourth_functions import functions


def mobile_one(library: Any, draw: random.Random) -> Any:
    """MobileOne as it is deployed: depthwise and pointwise convolutions with biases, and gates at the end."""
    k = library.layers
    image = library.Input((64, 64, 3), name="image")
    x = k.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="stage0_reparam")(image)
    for number, (filters, strides) in enumerate(((16, 2), (16, 1), (24, 2), (draw.choice((32, 40)), 1))):
        x = k.DepthwiseConv2D(3, strides=strides, padding="same", name=f"{number}_depthwise_reparam")(x)
        if number > 1:
            gate = k.Conv2D(8, 1, activation="relu")(k.GlobalAveragePooling2D(keepdims=True)(x))
            x = k.Multiply()([x, k.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate)])
        x = k.Conv2D(filters, 1, activation="relu", name=f"{number}_pointwise_reparam")(k.ReLU()(x))
    return pooled(library, image, x, 20, None)


def mobile_one_branches(library: Any, draw: random.Random) -> Any:
    """MobileOne as it is trained: sums of several normalized branches over one tensor."""
    k = library.layers
    image = library.Input((48, 48, 3))
    x = unit(library, image, 16, 3, 2)
    for strides in (1, 2, 1):
        parts = [wise(library, x, 3, strides, None) for _ in range(draw.choice((1, 2)))]
        parts += [wise(library, x, 1, strides, None), *([k.BatchNormalization()(x)] if strides == 1 else [])]
        x = k.ReLU()(k.Add()(parts))
        x = k.ReLU()(k.Add()([unit(library, x, 16, 1, act=None), k.BatchNormalization()(x)]))
    return pooled(library, image, x, 10)


def efficient_former(library: Any, draw: random.Random) -> Any:
    """EfficientFormer: pooling less the input mixes places, and attention comes in the last stage only."""
    k = library.layers
    width = draw.choice((24, 32))
    image = library.Input((64, 64, 3))
    x = unit(library, unit(library, image, 12, 3, 2), width, 3, 2)
    for _ in range(2):
        mixed = k.Subtract()([k.AveragePooling2D(3, strides=1, padding="same")(x), x])
        x = k.Add()([x, k.DepthwiseConv2D(1, use_bias=False)(mixed)])
        y = unit(library, x, 2 * width, 1, act="gelu")
        x = k.Add()([x, unit(library, y, width, 1, act=None)])
    x = k.Reshape((64, 2 * width))(unit(library, x, 2 * width, 3, 2, None))
    y = k.LayerNormalization()(x)
    x = k.Add()([x, k.MultiHeadAttention(4, 8)(y, y)])
    x = k.Add()([x, k.Dense(2 * width)(k.Dense(96, activation="gelu")(k.LayerNormalization()(x)))])
    x = k.GlobalAveragePooling1D()(k.LayerNormalization()(x))
    return library.Model(image, k.Average()([k.Dense(10, name="head")(x), k.Dense(10, name="teacher")(x)]))


def ghost_v2(library: Any, draw: random.Random) -> Any:
    """GhostNetV2: long depthwise rows and columns on a smaller map gate the cheap features."""
    k = library.layers
    image = library.Input((64, 64, 3))
    x = unit(library, image, 16, 3, 2)
    for filters in (24, draw.choice((32, 40))):
        y = unit(library, x, filters // 2, 1)
        y = k.Concatenate()([y, wise(library, y, 3)])
        gate = unit(library, k.AveragePooling2D(2)(x), filters, 1, act=None)
        for size in ((1, 5), (5, 1)):
            gate = k.DepthwiseConv2D(size, padding="same", use_bias=False)(gate)
            gate = k.BatchNormalization()(gate)
        gate = k.UpSampling2D(2)(k.Activation("sigmoid")(gate))
        x = k.MaxPooling2D(2)(k.Multiply()([y, gate]))
    return pooled(library, image, x, 15)


def squeeze_next(library: Any, draw: random.Random) -> Any:
    """SqueezeNext: two squeezes, a row, a column and an expansion, with an added shortcut."""
    k = library.layers
    image = library.Input((64, 64, 3))
    x = k.MaxPooling2D(3, 2)(unit(library, image, 16, 5, 2))
    for filters in (16, draw.choice((24, 32))):
        y = unit(library, unit(library, x, filters // 2, 1), filters // 4, 1)
        y = unit(library, unit(library, y, filters // 2, (1, 3)), filters // 2, (3, 1))
        x = x if x.shape[-1] == filters else unit(library, x, filters, 1)
        x = k.ReLU()(k.Add()([unit(library, y, filters, 1), x]))
    return pooled(library, image, unit(library, x, 32, 1), 10, None)


def pixel_stem(library: Any, draw: random.Random) -> Any:
    """TResNet: pixels become channels first, and a fixed kernel blurs before each stride."""
    k, f = library.layers, functions(library)
    blur = np.outer([1, 2, 1], [1, 2, 1]).astype("float32") / 16
    image = library.Input((64, 64, 3))
    x = f.transpose(f.reshape(image, (-1, 16, 4, 16, 4, 3)), (0, 1, 3, 2, 4, 5))
    x = unit(library, f.reshape(x, (-1, 16, 16, 48)), 24, act="leaky_relu")
    for filters in (24, draw.choice((32, 40))):
        y = unit(library, x, filters, act="leaky_relu")
        fixed = library.initializers.Constant(np.repeat(blur[:, :, None, None], filters, 2).tolist())
        y = k.DepthwiseConv2D(3, 2, "same", use_bias=False, depthwise_initializer=fixed, trainable=False)(y)
        short = unit(library, k.AveragePooling2D(2)(x), filters, 1, act=None)
        x = k.LeakyReLU(0.01)(k.Add()([unit(library, y, filters, act=None), short]))
    return pooled(library, image, x, 12)


def coordinate_attention(library: Any, draw: random.Random) -> Any:
    """Inverted residuals with coordinate attention: means of rows and columns are gated together."""
    k, f = library.layers, functions(library)
    image = library.Input((48, 48, 3))
    x = unit(library, image, 12, 3, 2, "relu6")
    for _ in range(2):
        y = wise(library, unit(library, x, draw.choice((36, 48)), 1, act="relu6"), act="relu6")
        rows, columns = f.mean(y, axis=2, keepdims=True), f.mean(y, axis=1, keepdims=True)
        both = k.Concatenate(axis=1)([rows, f.transpose(columns, (0, 2, 1, 3))])
        both = unit(library, both, 8, 1, act="hard_sigmoid")
        one, two = f.split(both, 2, axis=1)
        one = k.Conv2D(y.shape[-1], 1, activation="sigmoid")(one)
        two = k.Conv2D(y.shape[-1], 1, activation="sigmoid")(f.transpose(two, (0, 2, 1, 3)))
        x = k.Add()([x, unit(library, y * one * two, 12, 1, act=None)])
    return pooled(library, image, unit(library, x, 32, 1, act="relu6"), 7)


def channel_steps(library: Any, draw: random.Random) -> Any:
    """ECA-Net: a convolution of one dimension along the channels' means gives the gates."""
    k = library.layers
    image = library.Input((40, 40, 3))
    x = unit(library, image, 16)
    for filters in (16, draw.choice((24, 32))):
        y = unit(library, unit(library, x, filters, 3, 2), filters, 3, act=None)
        gate = k.Reshape((filters, 1))(k.GlobalAveragePooling2D()(y))
        gate = k.Conv1D(1, 3, padding="same", use_bias=False, activation="sigmoid")(gate)
        y = k.Multiply()([y, k.Reshape((1, 1, filters))(gate)])
        x = k.ReLU()(k.Add()([y, unit(library, x, filters, 1, 2, None)]))
    return pooled(library, image, x, 100)


def big_transfer(library: Any, draw: random.Random) -> Any:
    """BiT: a residual network whose normalizations are of groups of channels."""
    k = library.layers
    image = library.Input((48, 48, 3))
    x = k.MaxPooling2D(3, 2, "same")(k.Conv2D(16, 7, strides=2, padding="same", use_bias=False)(image))
    for filters in (8, draw.choice((12, 16))):
        y = k.ReLU()(k.GroupNormalization(4)(x))
        short = k.Conv2D(4 * filters, 1, use_bias=False)(y)
        y = k.ReLU()(k.GroupNormalization(4)(k.Conv2D(filters, 1, use_bias=False)(y)))
        y = k.ReLU()(k.GroupNormalization(4)(k.Conv2D(filters, 3, padding="same", use_bias=False)(y)))
        x = k.Add()([k.Conv2D(4 * filters, 1, use_bias=False)(y), short])
    return pooled(library, image, k.ReLU()(k.GroupNormalization(4)(x)), 10)


def mobile_vit_v2(library: Any, draw: random.Random) -> Any:
    """MobileViTv2: one score for each place weighs a context that all places share."""
    k, f = library.layers, functions(library)
    width = draw.choice((24, 32))
    image = library.Input((64, 64, 3))
    x = unit(library, unit(library, image, 12, 3, 2, "silu"), 16, 3, 2, "silu")
    y = k.Conv2D(width, 1, use_bias=False)(wise(library, x, 3, act="silu"))
    y = k.Reshape((256, width))(y)
    for _ in range(2):
        z = k.LayerNormalization()(y)
        joined = k.Dense(1 + 2 * width)(z)
        scores, keys, values = joined[..., :1], joined[..., 1 : 1 + width], joined[..., 1 + width :]
        context = f.sum(keys * f.softmax(scores, axis=1), axis=1, keepdims=True)
        y = y + k.Dense(width)(k.ReLU()(values) * context)
        y = y + k.Dense(width)(k.Dense(2 * width, activation="silu")(k.LayerNormalization()(y)))
    y = k.Reshape((16, 16, width))(k.LayerNormalization()(y))
    return pooled(library, image, unit(library, y, 32, 1, act=None), 10, None)


def partial_convolutions(library: Any, draw: random.Random) -> Any:
    """FasterNet: a quarter of the channels is convolved, and two pointwise layers mix all of them."""
    k = library.layers
    width = draw.choice((16, 24))
    image = library.Input((48, 48, 3))
    x = k.BatchNormalization()(k.Conv2D(width, 4, 4, use_bias=False)(image))
    for _ in range(3):
        part = k.Conv2D(width // 4, 3, padding="same", use_bias=False)(x[..., : width // 4])
        y = unit(library, k.Concatenate()([part, x[..., width // 4 :]]), 2 * width, 1)
        x = k.Add()([x, k.Conv2D(width, 1, use_bias=False)(y)])
    return pooled(library, image, k.Conv2D(48, 1, activation="relu")(x), 8)


def focal(library: Any, draw: random.Random) -> Any:
    """FocalNet: depthwise contexts of growing reach are gated, summed, and multiplied with the query."""
    k, f = library.layers, functions(library)
    width = draw.choice((16, 20))
    image = library.Input((32, 32, 3))
    x = k.LayerNormalization()(k.Conv2D(width, 4, strides=4)(image))
    for _ in range(2):
        joined = k.Dense(2 * width + 3)(k.LayerNormalization()(x))
        query, context, gates = joined[..., :width], joined[..., width : 2 * width], joined[..., 2 * width :]
        total = 0
        for level in range(2):
            context = k.DepthwiseConv2D(3 + 2 * level, padding="same", use_bias=False, activation="gelu")(
                context
            )
            total = total + context * gates[..., level : level + 1]
        mean = k.Activation("gelu")(f.mean(context, axis=(1, 2), keepdims=True))
        total = total + mean * gates[..., 2:]
        x = x + k.Dense(width)(query * k.Conv2D(width, 1)(total))
        x = x + k.Dense(width)(k.Dense(3 * width, activation="gelu")(k.LayerNormalization()(x)))
    return pooled(library, image, k.LayerNormalization()(x), 9)


def pyramidal(library: Any, draw: random.Random) -> Any:
    """PyramidNet: widths grow with each block, and shortcuts are padded with channels of zeros."""
    k, f = library.layers, functions(library)
    image = library.Input((32, 32, 3))
    x, width = k.BatchNormalization()(k.Conv2D(12, 3, padding="same", use_bias=False)(image)), 12
    for strides in (1, 2, 1, 2):
        y = k.Conv2D(width + 4, 3, strides, "same", use_bias=False)(k.BatchNormalization()(x))
        y = k.ReLU()(k.BatchNormalization()(y))
        y = k.BatchNormalization()(k.Conv2D(width + 4, 3, padding="same", use_bias=False)(y))
        x = k.AveragePooling2D(2)(x) if strides == 2 else x
        x, width = y + f.pad(x, [[0, 0], [0, 0], [0, 0], [0, 4]]), width + 4
    return pooled(library, image, k.ReLU()(k.BatchNormalization()(x)), draw.choice((10, 100)))


def maxout(library: Any, draw: random.Random) -> Any:
    """Maxout units: the largest of several linear units, for maps and for dense layers."""
    k, f = library.layers, functions(library)
    image = library.Input((28, 28, 1))
    x = f.max(k.Reshape((14, 14, 12, 2))(k.Conv2D(24, 5, strides=2, padding="same")(image)), axis=-1)
    x = k.Flatten()(k.MaxPooling2D(2)(x))
    units = draw.choice((32, 48))
    x = f.max(k.Reshape((units, 3))(k.Dense(3 * units)(x)), axis=2)
    return library.Model(image, k.Dense(10, activation="softmax")(k.Dropout(0.5)(x)))


def capsules(library: Any, draw: random.Random) -> Any:
    """A capsule network: squashed vectors that vote for classes, routed twice."""
    k, f = library.layers, functions(library)

    def squash(x: Any) -> Any:
        length = f.sum(f.square(x), axis=-1, keepdims=True)
        return x * length / (1.0 + length) / f.sqrt(length + 1e-7)

    image = library.Input((28, 28, 1))
    x = k.Conv2D(16, 9, strides=2, activation="relu")(image)
    x = squash(k.Reshape((36, 8))(k.Conv2D(32, 5, strides=2, padding="valid")(x)[:, :3, :3]))
    many = draw.choice((5, 10))
    votes = k.Reshape((36, many, 6))(k.Dense(many * 6, use_bias=False)(x))
    outputs = squash(f.mean(votes, axis=1, keepdims=True))
    weights = f.softmax(f.sum(votes * outputs, axis=-1, keepdims=True), axis=2)
    outputs = squash(f.sum(weights * votes, axis=1))
    return library.Model(image, f.sqrt(f.sum(f.square(outputs), axis=-1)))


def mobile_face(library: Any, draw: random.Random) -> Any:
    """MobileFaceNet: parametric activations, one depthwise kernel as large as the map, unit vectors."""
    k = library.layers

    def act(x: Any) -> Any:
        return k.PReLU(shared_axes=[1, 2])(k.BatchNormalization()(x))

    face = library.Input((56, 56, 3), name="face")
    x = act(k.Conv2D(16, 3, 2, "same", use_bias=False)(face))
    x = act(k.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    for strides in (2, 1, 2):
        y = act(
            k.DepthwiseConv2D(3, strides, "same", use_bias=False)(act(k.Conv2D(32, 1, use_bias=False)(x)))
        )
        y = k.BatchNormalization()(k.Conv2D(16, 1, use_bias=False)(y))
        x = k.Add()([x, y]) if strides == 1 else y
    x = act(k.Conv2D(48, 1, use_bias=False)(x))
    x = k.BatchNormalization()(k.DepthwiseConv2D(7, use_bias=False)(x))
    x = k.BatchNormalization()(k.Conv2D(draw.choice((32, 64)), 1, use_bias=False)(x))
    return library.Model(face, k.UnitNormalization()(k.Flatten()(x)))


def app_large_searched(library: Any, draw: random.Random) -> Any:
    """MobileNetV3Large up to its first gates, with a dropout and one score."""
    k = library.layers
    body = library.applications.MobileNetV3Large(input_shape=(96, 96, 3), include_top=False, weights=None)
    names = [layer.name for layer in body.layers if layer.name.lower().endswith("add")]
    x = k.GlobalAveragePooling2D()(body.get_layer(names[draw.choice((1, 2))]).output)
    return library.Model(body.input, k.Dense(1, activation="sigmoid")(k.Dropout(0.2)(x)))


def app_style_layers(library: Any, draw: random.Random) -> Any:
    """VGG19's first blocks with three outputs, and Gram matrices of them as style transfer computes them."""
    k = library.layers
    body = library.applications.VGG19(input_shape=(32, 32, 3), include_top=False, weights=None)
    outputs = []
    for name in ("block1_conv1", "block1_conv2", "block2_conv1")[: draw.choice((2, 3))]:
        x = body.get_layer(name).output
        x = k.Reshape((-1, x.shape[-1]))(x)
        outputs.append(k.Dot(axes=(1, 1), name=f"{name}_gram")([x, x]))
    return library.Model(body.input, outputs)


def app_two_scales(library: Any, draw: random.Random) -> Any:
    """MobileNetV2 with heads for boxes at two of its maps."""
    k = library.layers
    body = library.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None
    )
    found = []
    for name in ("block_3_expand_relu", "block_6_expand_relu"):
        x = k.SeparableConv2D(24, 3, padding="same", activation="relu6")(body.get_layer(name).output)
        found.append(k.Reshape((-1, 6))(k.Conv2D(6 * draw.choice((2, 3)), 1)(x)))
    return library.Model(body.input, k.Concatenate(axis=1)(found))


def app_preactivated(library: Any, draw: random.Random) -> Any:
    """ResNet50V2's first stage between its preprocessing and a head with normalization."""
    k = library.layers
    body = library.applications.ResNet50V2(input_shape=(64, 64, 3), include_top=False, weights=None)
    body = library.Model(body.input, body.get_layer("conv2_block2_out").output, name="body")
    image = library.Input((64, 64, 3), dtype="float32")
    x = k.GlobalMaxPooling2D()(body(image / 127.5 - 1.0))
    x = k.BatchNormalization()(k.Dense(draw.choice((32, 64)), activation="relu")(x))
    return library.Model(image, k.Dense(4, activation="softmax")(x))


def app_mixed(library: Any, draw: random.Random) -> Any:
    """InceptionResNetV2's stem, pooled in two ways."""
    k = library.layers
    body = library.applications.InceptionResNetV2(input_shape=(75, 75, 3), include_top=False, weights=None)
    x = body.get_layer("max_pooling2d" if draw.random() < 0.5 else "max_pooling2d_1").output
    x = k.Concatenate()([k.GlobalAveragePooling2D()(x), k.GlobalMaxPooling2D()(x)])
    return library.Model(body.input, k.Dense(5, activation="softmax")(x))


FIFTH_IMAGES = {
    **kinds("images", mobile_one, mobile_one_branches, efficient_former, ghost_v2, squeeze_next, pixel_stem),
    **kinds("images", coordinate_attention, channel_steps, big_transfer, mobile_vit_v2, mobile_face),
    **kinds("images", partial_convolutions, focal, pyramidal, maxout, capsules),
    **kinds(
        "applications", app_large_searched, app_style_layers, app_two_scales, app_preactivated, app_mixed
    ),
}
"""The class of each kind of network, and what builds it."""
