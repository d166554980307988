"""Networks of images after published architectures, of our own code, each in a small size.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights. `public_sequences.py` and `public_tables.py` have the other kinds of networks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Builder = Callable[[Any, random.Random], Any]


def normalized(library: Any, x: Any, activation: str | None = "relu") -> Any:
    """Normalize, and activate."""
    x = library.layers.BatchNormalization()(x)
    return library.layers.Activation(activation)(x) if activation else x


def convolved(library: Any, x: Any, filters: int, width: int = 3, strides: int = 1, **more: Any) -> Any:
    """Apply a convolution without a bias, a normalization and an activation."""
    activation = more.pop("activation", "relu")
    x = library.layers.Conv2D(filters, width, strides=strides, padding="same", use_bias=False, **more)(x)
    return normalized(library, x, activation)


def excited(library: Any, x: Any, inner: int, by_reshape: bool = True, last: str = "sigmoid") -> Any:
    """Weigh channels by what their means say (squeeze and excitation)."""
    layers, depth = library.layers, x.shape[-1]
    gate = layers.GlobalAveragePooling2D()(x)
    if by_reshape:
        gate = layers.Reshape((1, 1, depth))(gate)
        gate = layers.Conv2D(inner, 1, activation="relu")(gate)
        gate = layers.Conv2D(depth, 1, activation=last)(gate)
    else:
        gate = layers.Dense(inner, activation="relu")(gate)
        gate = layers.Reshape((1, 1, depth))(layers.Dense(depth, activation=last)(gate))
    return layers.Multiply()([x, gate])


def classified(library: Any, draw: random.Random, given: Any, x: Any) -> Any:
    """End a network with a classifier."""
    layers = library.layers
    x = draw.choice((layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D))()(x)
    x = layers.Dropout(0.2)(x) if draw.random() < 0.5 else x
    return library.Model(given, layers.Dense(draw.choice((2, 10)), activation="softmax")(x))


def _image(library: Any, draw: random.Random, sides: tuple[int, ...] = (32,), channels: int = 3) -> Any:
    side = draw.choice(sides)
    return library.layers.Input((side, side, channels))


def res_next(library: Any, draw: random.Random) -> Any:
    """Residual blocks of convolutions in groups (Xie, 2017)."""
    layers, groups = library.layers, draw.choice((2, 4))
    given = _image(library, draw)
    x = convolved(library, given, 16, strides=2)
    for filters, strides in ((16, 1), (32, 2)):
        y = convolved(library, x, filters, 1)
        y = convolved(library, y, filters, 3, strides, groups=groups)
        y = convolved(library, y, 2 * filters, 1, activation=None)
        short = convolved(library, x, 2 * filters, 1, strides, activation=None)
        x = layers.Activation("relu")(layers.Add()([short, y]))
    return classified(library, draw, given, x)


def conv_next(library: Any, draw: random.Random) -> Any:
    """Depthwise convolutions of 7, layer normalization and dense layers (Liu, 2022)."""
    layers = library.layers
    given = _image(library, draw)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(12, 4, strides=4)(given))
    for _ in range(draw.randint(1, 2)):
        y = layers.DepthwiseConv2D(7, padding="same")(x)
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Dense(12)(layers.Activation("gelu")(layers.Dense(48)(y)))
        x = layers.Add()([x, y])
    x = layers.Conv2D(24, 2, strides=2)(layers.LayerNormalization(epsilon=1e-6)(x))
    x = layers.LayerNormalization(epsilon=1e-6)(layers.GlobalAveragePooling2D()(x))
    return library.Model(given, layers.Dense(5)(x))


def reg_net(library: Any, draw: random.Random) -> Any:
    """Blocks of grouped convolutions with excitation (Radosavovic, 2020)."""
    layers = library.layers
    given = _image(library, draw)
    x = convolved(library, given, 8, 3, 2)
    for filters in (16, 24):
        y = convolved(library, x, filters, 1)
        y = convolved(library, y, filters, 3, 2, groups=filters // 8)
        y = excited(library, y, 4, by_reshape=draw.random() < 0.5)
        y = convolved(library, y, filters, 1, activation=None)
        short = convolved(library, x, filters, 1, 2, activation=None)
        x = layers.ReLU()(layers.Add()([y, short]))
    return classified(library, draw, given, x)


def mb_conv(library: Any, draw: random.Random) -> Any:
    """Inverted bottlenecks with excitation and swish (Tan, 2019)."""
    layers = library.layers
    given = _image(library, draw)
    x = layers.Rescaling(1 / 255.0)(given) if draw.random() < 0.5 else given
    x = convolved(library, x, 8, 3, 2, activation="swish")
    for filters, strides in ((8, 1), (12, 2)):
        y = convolved(library, x, 24, 1, activation="swish")
        y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
        y = excited(library, normalized(library, y, "swish"), 4)
        y = convolved(library, y, filters, 1, activation=None)
        x = layers.Add()([x, layers.Dropout(0.2)(y)]) if strides == 1 else y
    x = convolved(library, x, 32, 1, activation="swish")
    return classified(library, draw, given, x)


def shuffle_net(library: Any, draw: random.Random) -> Any:
    """Shuffled channels, depthwise convolutions (Ma, 2018)."""
    layers = library.layers
    given = _image(library, draw)
    x = convolved(library, given, 16, 3, 2)
    for _ in range(draw.randint(1, 2)):
        y = convolved(library, x, 16, 1)
        y = normalized(library, layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y), None)
        y = convolved(library, y, 16, 1)
        x = layers.Concatenate()([x, y])
        side, depth = x.shape[1], x.shape[-1]
        x = layers.Reshape((side, side, 2, depth // 2))(x)
        x = layers.Reshape((side, side, depth))(layers.Permute((1, 2, 4, 3))(x))
        x = convolved(library, x, 16, 1)
    return classified(library, draw, given, x)


def gated_u_net(library: Any, draw: random.Random) -> Any:
    """Segmentation where gates weigh the skips (Oktay, 2018)."""
    layers = library.layers
    given = _image(library, draw, channels=1)
    first = convolved(library, given, 8)
    second = convolved(library, layers.MaxPooling2D()(first), 12)
    x = convolved(library, layers.MaxPooling2D()(second), 16)
    for skip, filters in ((second, 12), (first, 8)):
        x = layers.UpSampling2D(2, interpolation=draw.choice(("nearest", "bilinear")))(x)
        gate = layers.Add()([layers.Conv2D(4, 1)(x), layers.Conv2D(4, 1)(skip)])
        gate = layers.Conv2D(1, 1, activation="sigmoid")(layers.Activation("relu")(gate))
        x = convolved(library, layers.Concatenate()([x, layers.Multiply()([skip, gate])]), filters)
    return library.Model(given, layers.Conv2D(draw.choice((1, 3)), 1, activation="sigmoid")(x))


def nested_u_net(library: Any, draw: random.Random) -> Any:
    """Segmentation whose skips are convolved too (Zhou, 2018)."""
    layers = library.layers
    given = _image(library, draw)
    a = layers.Conv2D(6, 3, padding="same", activation="relu")(given)
    b = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(a))
    c = layers.Conv2D(10, 3, padding="same", activation="relu")(layers.MaxPooling2D()(b))
    up = layers.Conv2DTranspose
    a1 = layers.Concatenate()([a, up(6, 2, strides=2, padding="same")(b)])
    a1 = layers.Conv2D(6, 3, padding="same", activation="relu")(a1)
    b1 = layers.Concatenate()([b, up(8, 2, strides=2, padding="same")(c)])
    b1 = layers.Conv2D(8, 3, padding="same", activation="relu")(b1)
    a2 = layers.Concatenate()([a, a1, up(6, 2, strides=2, padding="same")(b1)])
    a2 = layers.Conv2D(6, 3, padding="same", activation="relu")(a2)
    outs = [layers.Conv2D(1, 1, activation="sigmoid")(one) for one in (a1, a2)]
    return library.Model(given, outs if draw.random() < 0.5 else layers.Average()(outs))


def deep_lab(library: Any, draw: random.Random) -> Any:
    """Dilated convolutions in parallel over a body (Chen, 2017)."""
    layers = library.layers
    given = _image(library, draw)
    x = convolved(library, convolved(library, given, 8, 3, 2), 16, 3, 2)
    side = x.shape[1]
    branches = [convolved(library, x, 8, 1)]
    branches += [convolved(library, x, 8, 3, dilation_rate=rate) for rate in draw.sample((2, 3, 4), 2)]
    pooled = convolved(library, layers.AveragePooling2D(side)(x), 8, 1)
    branches.append(layers.UpSampling2D(side, interpolation="bilinear")(pooled))
    x = convolved(library, layers.Concatenate()(branches), 16, 1)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    return library.Model(given, layers.Conv2D(4, 1, activation=draw.choice((None, "softmax")))(x))


def single_shot(library: Any, draw: random.Random) -> Any:
    """Boxes and classes of anchors at several scales (Liu, 2016)."""
    layers = library.layers
    given = _image(library, draw, (64,))
    x = convolved(library, convolved(library, given, 8, 3, 2), 12, 3, 2)
    boxes, classes = [], []
    for anchors in (4, 6):
        x = convolved(library, x, 16, 3, 2)
        box = layers.Conv2D(anchors * 4, 3, padding="same")(x)
        kind = layers.Conv2D(anchors * 3, 3, padding="same")(x)
        boxes.append(layers.Reshape((-1, 4))(box))
        classes.append(layers.Reshape((-1, 3))(kind))
    scores = layers.Activation("softmax")(layers.Concatenate(axis=1)(classes))
    return library.Model(given, [layers.Concatenate(axis=1)(boxes), scores])


def pyramid(library: Any, draw: random.Random) -> Any:
    """A pyramid of features with a head that all levels share (Lin, 2017)."""
    layers = library.layers
    given = _image(library, draw, (48, 64))
    x, levels = convolved(library, given, 8, 3, 2), []
    for filters in (12, 16, 24):
        x = convolved(library, x, filters, 3, 2)
        levels.append(x)
    top = layers.Conv2D(12, 1)(levels[-1])
    outs = [top]
    for level in reversed(levels[:-1]):
        top = layers.Add()([layers.UpSampling2D(2)(top), layers.Conv2D(12, 1)(level)])
        outs.append(layers.Conv2D(12, 3, padding="same")(top))
    head = layers.Conv2D(6, 3, padding="same", activation="sigmoid", name="head")
    return library.Model(given, [head(one) for one in outs])


def vgg(library: Any, draw: random.Random) -> Any:
    """Convolutions of 3 in a chain, dense layers at the end (Simonyan, 2014)."""
    layers = library.layers
    parts = [layers.Input((32, 32, 3))]
    for filters in (8, 16, 24):
        for _ in range(draw.randint(1, 2)):
            parts.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        parts.append(layers.MaxPooling2D(2, strides=2))
    parts += [layers.Flatten(), layers.Dense(48, activation="relu"), layers.Dropout(0.5)]
    return library.Sequential([*parts, layers.Dense(10, activation="softmax")])


def dense_net(library: Any, draw: random.Random) -> Any:
    """Every layer reads all earlier ones (Huang, 2017)."""
    layers = library.layers
    given = _image(library, draw)
    x = layers.Conv2D(12, 3, padding="same", use_bias=False)(given)
    for place in range(2):
        for _ in range(draw.randint(2, 3)):
            y = layers.Conv2D(16, 1, use_bias=False)(normalized(library, x))
            y = layers.Conv2D(6, 3, padding="same", use_bias=False)(normalized(library, y))
            x = layers.Concatenate()([x, y])
        if place == 0:
            x = layers.AveragePooling2D(2)(layers.Conv2D(12, 1, use_bias=False)(normalized(library, x)))
    return classified(library, draw, given, normalized(library, x))


def inception(library: Any, draw: random.Random) -> Any:
    """Branches whose kernels are factored into rows and columns (Szegedy, 2016)."""
    layers = library.layers
    given = _image(library, draw)
    x = convolved(library, given, 12, 3, 2)
    for width in draw.choice(((5,), (3, 7), (7,))):
        one = convolved(library, x, 6, 1)
        two = convolved(library, x, 6, 1)
        two = convolved(library, two, 6, (1, width))
        two = convolved(library, two, 8, (width, 1))
        three = layers.AveragePooling2D(3, strides=1, padding="same")(x)
        x = layers.Concatenate()([one, two, convolved(library, three, 6, 1)])
    return classified(library, draw, given, x)


def fire(library: Any, draw: random.Random) -> Any:
    """Squeezed, then expanded (Iandola, 2016)."""
    layers = library.layers
    given = _image(library, draw)
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(given)
    for inner in (6, 8):
        s = layers.Conv2D(inner, 1, activation="relu")(x)
        x = layers.Concatenate()(
            [
                layers.Conv2D(2 * inner, 1, activation="relu")(s),
                layers.Conv2D(2 * inner, 3, padding="same", activation="relu")(s),
            ]
        )
        x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(10, 1, activation="relu")(layers.Dropout(0.5)(x))
    return library.Model(given, layers.Activation("softmax")(layers.GlobalAveragePooling2D()(x)))


def xception(library: Any, draw: random.Random) -> Any:
    """Separable convolutions with residuals (Chollet, 2017)."""
    layers = library.layers
    given = _image(library, draw)
    x = convolved(library, given, 8, 3, 2)
    for filters in (12, 16)[: draw.randint(1, 2)]:
        y = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(layers.ReLU()(x))
        y = normalized(library, y)
        y = normalized(library, layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(y), None)
        y = layers.MaxPooling2D(3, strides=2, padding="same")(y)
        x = layers.Add()([y, convolved(library, x, filters, 1, 2, activation=None)])
    return classified(library, draw, given, x)


def ghost(library: Any, draw: random.Random) -> Any:
    """Half of the maps are made of the other half (Han, 2020)."""
    layers = library.layers
    given = _image(library, draw)
    x = convolved(library, given, 8, 3, 2)
    for filters in (8, 12):
        primary = convolved(library, x, filters, 1)
        cheap = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(primary)
        x = layers.Concatenate()([primary, normalized(library, cheap)])
        x = excited(library, x, 4, by_reshape=False, last=draw.choice(("sigmoid", "hard_sigmoid")))
    return classified(library, draw, given, x)


def discriminator(library: Any, draw: random.Random) -> Any:
    """The judge of generated images (Radford, 2015)."""
    layers = library.layers
    parts = [layers.Input((28, 28, 1))]
    for filters in (12, 24):
        parts.append(layers.Conv2D(filters, 5, strides=2, padding="same"))
        parts += [layers.LeakyReLU(0.2), layers.Dropout(0.3)]
        parts += [layers.BatchNormalization()] if draw.random() < 0.4 else []
    return library.Sequential([*parts, layers.Flatten(), layers.Dense(1)])


def autoencoder(library: Any, draw: random.Random) -> Any:
    """Convolutions down and up again, by nearest neighbours or by strides."""
    layers = library.layers
    given = layers.Input((28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(given)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D(2, padding="same")(x)
    for filters in (4, 8):
        if draw.random() < 0.5:
            x = layers.UpSampling2D(2)(layers.Conv2D(filters, 3, activation="relu", padding="same")(x))
        else:
            x = layers.Conv2DTranspose(filters, 3, strides=2, activation="relu", padding="same")(x)
    return library.Model(given, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x))


def pose(library: Any, draw: random.Random) -> Any:
    """Maps of joints by transposed convolutions over a body (Xiao, 2018)."""
    layers = library.layers
    given = layers.Input((48, 32, 3))
    x = given
    for filters in (8, 12, 16):
        x = convolved(library, x, filters, 3, 2)
    for _ in range(draw.randint(1, 2)):
        x = layers.Conv2DTranspose(12, 4, strides=2, padding="same", use_bias=False)(x)
        x = normalized(library, x)
    return library.Model(given, layers.Conv2D(draw.choice((5, 17)), 1)(x))


def hourglass(library: Any, draw: random.Random) -> Any:
    """Down and up with sums, twice, with outputs between (Newell, 2016)."""
    layers = library.layers
    given = _image(library, draw)
    x, outs = convolved(library, given, 8, 3, 2), []
    for _ in range(2):
        low = convolved(library, layers.MaxPooling2D()(x), 8)
        low = convolved(library, convolved(library, layers.MaxPooling2D()(low), 8), 8)
        up = layers.UpSampling2D(4)(low)
        y = convolved(library, layers.Add()([convolved(library, x, 8), up]), 8, 1)
        outs.append(layers.Conv2D(4, 1)(y))
        x = layers.Add()([x, layers.Conv2D(8, 1)(outs[-1]), layers.Conv2D(8, 1)(y)])
    return library.Model(given, outs)


PUBLIC_IMAGES: dict[str, tuple[str, Builder]] = {
    "p-autoencoder": ("images", autoencoder),
    "p-convnext": ("images", conv_next),
    "p-deeplab": ("images", deep_lab),
    "p-densenet": ("images", dense_net),
    "p-discriminator": ("images", discriminator),
    "p-fire": ("images", fire),
    "p-gated-unet": ("images", gated_u_net),
    "p-ghost": ("images", ghost),
    "p-hourglass": ("images", hourglass),
    "p-inception": ("images", inception),
    "p-mbconv": ("images", mb_conv),
    "p-nested-unet": ("images", nested_u_net),
    "p-pose": ("images", pose),
    "p-pyramid": ("images", pyramid),
    "p-regnet": ("images", reg_net),
    "p-resnext": ("images", res_next),
    "p-shufflenet": ("images", shuffle_net),
    "p-ssd": ("images", single_shot),
    "p-vgg": ("images", vgg),
    "p-xception": ("images", xception),
}
"""The class of each kind of network, and what builds it."""
