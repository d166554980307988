"""Small networks of the third set that answer with maps or boxes: segmentation, restoration, generation and
detection.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def nuclei(library: Any, draw: random.Random) -> Any:
    """The U-Net of a competition: scaled inside, ELU, dropout between convolutions, transposed ones up."""
    k = library.layers
    more = {"activation": "elu", "kernel_initializer": "he_normal", "padding": "same"}

    def twice(x: Any, filters: int, rate: float) -> Any:
        x = k.Dropout(rate)(k.Conv2D(filters, (3, 3), **more)(x))
        return k.Conv2D(filters, (3, 3), **more)(x)

    given = library.Input((48, 48, 3))
    x, held = k.Rescaling(1 / 255)(given), []
    for filters in (8, 12, 16)[: draw.randint(2, 3)]:
        x = twice(x, filters, 0.1)
        held.append(x)
        x = k.MaxPooling2D((2, 2))(x)
    x = twice(x, 24, 0.3)
    for skip in reversed(held):
        x = k.Conv2DTranspose(skip.shape[-1], (2, 2), strides=(2, 2), padding="same")(x)
        x = twice(k.concatenate([x, skip]), skip.shape[-1], 0.2)
    return library.Model(inputs=[given], outputs=[k.Conv2D(1, (1, 1), activation="sigmoid")(x)])


def link_net(library: Any, draw: random.Random) -> Any:
    """Skips that are added, with narrow decoders (Chaurasia, 2017)."""
    k = library.layers

    def normalized(x: Any) -> Any:
        return k.Activation("relu")(k.BatchNormalization()(x))

    def encoder(x: Any, filters: int) -> Any:
        y = normalized(k.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x))
        y = k.BatchNormalization()(k.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        short = k.BatchNormalization()(k.Conv2D(filters, 1, strides=2, use_bias=False)(x))
        return k.Activation("relu")(k.add([y, short]))

    def decoder(x: Any, filters: int) -> Any:
        inner = x.shape[-1] // 4
        y = normalized(k.Conv2D(inner, 1, use_bias=False)(x))
        y = normalized(k.Conv2DTranspose(inner, 3, strides=2, padding="same", use_bias=False)(y))
        return normalized(k.Conv2D(filters, 1, use_bias=False)(y))

    given = library.Input((48, 48, 3))
    x = normalized(k.Conv2D(8, 7, strides=2, padding="same", use_bias=False)(given))
    x = k.MaxPooling2D(3, strides=2, padding="same")(x)
    one = encoder(x, 12)
    two = encoder(one, 16)
    y = k.add([decoder(two, 12), one])
    y = k.add([decoder(y, 8), x])
    y = normalized(k.Conv2DTranspose(8, 3, strides=2, padding="same")(y))
    return library.Model(given, k.Conv2DTranspose(draw.choice((1, 4)), 2, strides=2, padding="same")(y))


def seg_net(library: Any, draw: random.Random) -> Any:
    """An encoder and its mirror without skips, as one chain (Badrinarayanan, 2015)."""
    k = library.layers
    model = library.Sequential([library.Input((32, 40, 3))])
    for filters in (8, 12, 16):
        model.add(k.Conv2D(filters, (3, 3), padding="same"))
        model.add(k.BatchNormalization())
        model.add(k.Activation("relu"))
        model.add(k.MaxPooling2D(pool_size=(2, 2)))
    for filters in (16, 12, 8):
        model.add(k.UpSampling2D(size=(2, 2)))
        model.add(k.ZeroPadding2D(padding=(1, 1)))
        model.add(k.Conv2D(filters, (3, 3), padding="valid"))
        model.add(k.BatchNormalization())
    model.add(k.Conv2D(6, (1, 1), padding="valid"))
    model.add(k.Reshape((32 * 40, 6)))
    model.add(k.Activation("softmax"))
    return model


def e_net(library: Any, draw: random.Random) -> Any:
    """Bottlenecks with parametric activations and asymmetric kernels (Paszke, 2016)."""
    k = library.layers

    def activated(x: Any) -> Any:
        return k.PReLU(shared_axes=[1, 2])(k.BatchNormalization(momentum=0.1)(x))

    def bottleneck(x: Any, way: str) -> Any:
        depth = x.shape[-1]
        y = activated(k.Conv2D(depth // 4, 1, use_bias=False)(x))
        if way == "asymmetric":
            y = k.Conv2D(depth // 4, (5, 1), padding="same", use_bias=False)(y)
            y = k.Conv2D(depth // 4, (1, 5), padding="same")(y)
        else:
            y = k.Conv2D(depth // 4, 3, padding="same", dilation_rate=2 if way == "dilated" else 1)(y)
        y = k.BatchNormalization()(k.Conv2D(depth, 1, use_bias=False)(activated(y)))
        return k.PReLU(shared_axes=[1, 2])(k.Add()([k.SpatialDropout2D(0.1)(y), x]))

    given = library.Input((48, 48, 3))
    x = k.concatenate([k.Conv2D(13, 3, strides=2, padding="same")(given), k.MaxPooling2D()(given)])
    x = activated(x)
    x = k.Conv2D(24, 2, strides=2, use_bias=False)(x)
    for way in ("plain", "dilated", "asymmetric", "dilated")[: draw.randint(2, 4)]:
        x = bottleneck(x, way)
    x = k.ReLU()(k.Conv2DTranspose(16, 3, strides=2, padding="same")(x))
    return library.Model(given, k.Conv2DTranspose(5, 2, strides=2, padding="same")(x))


def fully_convolutional(library: Any, draw: random.Random) -> Any:
    """Scores of three depths, added while they grow (Long, 2015)."""
    k, classes = library.layers, draw.choice((2, 5))
    given = library.Input((48, 48, 3))
    x, held = given, []
    for filters in (8, 12, 16, 24):
        x = k.Conv2D(filters, 3, activation="relu", padding="same")(x)
        x = k.MaxPooling2D((2, 2), strides=(2, 2))(x)
        held.append(x)
    x = k.Conv2D(32, 3, activation="relu", padding="same")(x)
    x = k.Dropout(0.5)(k.Conv2D(32, 1, activation="relu")(x))
    x = k.Conv2DTranspose(classes, 4, strides=2, padding="same", use_bias=False)(k.Conv2D(classes, 1)(x))
    x = k.Add()([x, k.Conv2D(classes, 1)(held[2])])
    x = k.Conv2DTranspose(classes, 4, strides=2, use_bias=False)(x)
    x = k.Add()([k.Cropping2D(1)(x), k.Conv2D(classes, 1)(held[1])])
    x = k.Conv2DTranspose(classes, 8, strides=4, padding="same", use_bias=False)(x)
    return library.Model(given, k.Activation("softmax")(x))


def fast_scnn(library: Any, draw: random.Random) -> Any:
    """Two resolutions that are joined after one learns to downsample (Poudel, 2019)."""
    k = library.layers

    def separable(x: Any, filters: int, strides: int) -> Any:
        x = k.SeparableConv2D(filters, 3, strides=strides, padding="same")(x)
        return k.Activation("relu")(k.BatchNormalization()(x))

    given = library.Input((64, 64, 3))
    x = k.Conv2D(8, 3, strides=2, padding="same")(given)
    x = k.Activation("relu")(k.BatchNormalization()(x))
    fine = separable(separable(x, 12, 2), 16, 2)
    y = k.Conv2D(48, 1, padding="same")(fine)
    y = k.Activation("relu")(k.BatchNormalization()(y))
    y = k.DepthwiseConv2D(3, strides=2, padding="same")(y)
    y = k.Activation("relu")(k.BatchNormalization()(y))
    y = k.BatchNormalization()(k.Conv2D(16, 1)(y))
    y = k.UpSampling2D((2, 2), interpolation=draw.choice(("nearest", "bilinear")))(y)
    y = k.DepthwiseConv2D(3, padding="same", dilation_rate=2)(y)
    x = k.add([k.Conv2D(16, 1)(y), k.Conv2D(16, 1)(fine)])
    x = k.Dropout(0.3)(separable(k.Activation("relu")(x), 16, 1))
    x = k.UpSampling2D((8, 8), interpolation="bilinear")(k.Conv2D(4, 1)(x))
    return library.Model(given, k.Activation("softmax")(x))


def portrait(library: Any, draw: random.Random) -> Any:
    """A person's outline by depthwise blocks and resizing layers."""
    k = library.layers
    given = library.Input((64, 48, 3))
    x, held = given, []
    for filters in (8, 16, 24):
        x = k.Conv2D(filters, 3, strides=2, padding="same", activation="relu6")(x)
        y = k.DepthwiseConv2D(3, padding="same")(x)
        x = k.ReLU(6.0)(k.BatchNormalization()(k.Add()([x, y])))
        held.append(x)
    for skip in held[1::-1]:
        x = k.Resizing(skip.shape[1], skip.shape[2], interpolation="bilinear")(x)
        x = k.Concatenate()([x, skip])
        x = k.SeparableConv2D(skip.shape[-1], 3, padding="same", activation="relu")(x)
    x = k.Conv2DTranspose(1, draw.choice((2, 4)), strides=2, padding="same", name="mask")(x)
    return library.Model(given, k.Activation("sigmoid")(x))


def depth(library: Any, draw: random.Random) -> Any:
    """Depth from one picture: leaky blocks, bilinear sizes, skips beside them."""
    k = library.layers
    slope = {"negative_slope": 0.2} if library.__name__ == "keras" else {"alpha": 0.2}
    given = library.Input((48, 64, 3))
    x, held = given, []
    for filters in (8, 16, 24):
        y = k.Conv2D(filters, 3, padding="same")(x)
        z = k.LeakyReLU(**slope)(k.BatchNormalization()(y))
        z = k.Conv2D(filters, 3, padding="same")(z)
        z = k.LeakyReLU(**slope)(k.BatchNormalization()(z))
        z = k.Add()([z, y])
        held.append(z)
        x = k.MaxPool2D(2)(z)
    x = k.LeakyReLU(**slope)(k.Conv2D(24, 3, padding="same")(x))
    for skip in reversed(held[-draw.randint(2, 3) :]):
        x = k.UpSampling2D(size=(2, 2), interpolation="bilinear")(x)
        x = k.Concatenate()([x, skip])
        for _ in range(2):
            x = k.Conv2D(skip.shape[-1], 3, padding="same")(x)
            x = k.BatchNormalization()(k.LeakyReLU(**slope)(x))
    return library.Model(given, k.Conv2D(1, 1, activation="tanh")(x))


def conditional(library: Any, draw: random.Random) -> Any:
    """A generator that takes the class as an embedding."""
    k = library.layers
    label, noise = library.Input((1,), dtype="int32"), library.Input((24,))
    x = k.Reshape((7, 7, 1))(k.Dense(49)(k.Embedding(10, 12)(label)))
    y = k.LeakyReLU(0.2)(k.Dense(16 * 7 * 7)(noise))
    y = k.Concatenate()([k.Reshape((7, 7, 16))(y), x])
    for _ in range(2):
        y = k.LeakyReLU(0.2)(k.Conv2DTranspose(12, (4, 4), strides=(2, 2), padding="same")(y))
        if draw.random() < 0.4:
            y = k.BatchNormalization()(y)
    out = k.Conv2D(1, (7, 7), activation="tanh", padding="same")(y)
    return library.Model([noise, label], out)


def translated(library: Any, draw: random.Random) -> Any:
    """A picture of one style to another: strides, residual blocks, transposed convolutions."""
    k = library.layers
    start = library.initializers.RandomNormal(mean=0.0, stddev=0.02)
    more = {"padding": "same", "kernel_initializer": start}
    given = library.Input((32, 32, 3))
    x = k.Activation("relu")(k.Conv2D(8, 7, **more)(given))
    for filters in (12, 16):
        x = k.Activation("relu")(k.GroupNormalization(groups=4)(k.Conv2D(filters, 3, strides=2, **more)(x)))
    for _ in range(draw.randint(1, 3)):
        y = k.Activation("relu")(k.Conv2D(16, 3, **more)(x))
        x = k.Concatenate()([k.Conv2D(4, 3, **more)(y), x]) if draw.random() < 0.3 else k.Add()([x, y])
        x = k.Conv2D(16, 1)(x) if x.shape[-1] != 16 else x
    for filters in (12, 8):
        x = k.Activation("relu")(k.Conv2DTranspose(filters, 3, strides=2, **more)(x))
    return library.Model(given, k.Activation("tanh")(k.Conv2D(3, 7, **more)(x)))


def filled(library: Any, draw: random.Random) -> Any:
    """A hole in a picture, marked by a mask, and the picture put together again."""
    k = library.layers
    image, mask = library.Input((32, 32, 3), name="image"), library.Input((32, 32, 1), name="mask")
    x = k.Concatenate()([image, mask])
    x = k.Conv2D(12, 5, strides=2, padding="same", activation="elu")(x)
    x = k.Conv2D(20, 3, strides=2, padding="same", activation="elu")(x)
    for rate in (2, 4)[: draw.randint(1, 2)]:
        x = k.Conv2D(20, 3, padding="same", dilation_rate=rate, activation="elu")(x)
    x = k.Conv2D(12, 3, padding="same", activation="elu")(k.UpSampling2D()(x))
    x = k.Conv2D(3, 3, padding="same", activation="sigmoid")(k.UpSampling2D()(x))
    painted = k.Multiply()([x, mask])
    return library.Model(
        [image, mask], k.Add()([painted, k.Subtract()([image, k.Multiply()([image, mask])])])
    )


def compressed(library: Any, draw: random.Random) -> Any:
    """Anomalies in pictures: an encoder and a decoder as models in a model, through a dense code."""
    k = library.layers
    given = library.Input((28, 28, 1))
    x = given
    for filters in (12, 20):
        x = k.Conv2D(filters, 3, strides=2, padding="same")(x)
        x = k.BatchNormalization(axis=-1)(k.LeakyReLU(0.2)(x))
    side = x.shape[1:]
    latent = k.Dense(draw.choice((8, 16)))(k.Flatten()(x))
    encoder = library.Model(given, latent, name="encoder")
    code = library.Input((latent.shape[-1],))
    x = k.Reshape(tuple(side))(k.Dense(side[0] * side[1] * side[2])(code))
    for filters in (20, 12):
        x = k.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
        x = k.BatchNormalization(axis=-1)(k.LeakyReLU(0.2)(x))
    x = k.Activation("sigmoid")(k.Conv2DTranspose(1, 3, padding="same")(x))
    decoder = library.Model(code, x, name="decoder")
    return library.Model(given, decoder(encoder(given)), name="autoencoder")


def centers(library: Any, draw: random.Random) -> Any:
    """Centers of objects, offsets and sizes: three heads on one map (Zhou, 2019)."""
    k = library.layers
    given = library.Input((64, 64, 3))
    x = given
    for filters in (8, 16, 24, 32):
        x = k.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = k.ReLU()(k.BatchNormalization()(x))
    for filters in (24, 16):
        x = k.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = k.ReLU()(k.BatchNormalization()(x))
    heads = []
    for name, depth_, last in (
        ("heatmap", draw.choice((1, 3)), "sigmoid"),
        ("wh", 2, None),
        ("reg", 2, None),
    ):
        y = k.Conv2D(16, 3, padding="same", activation="relu")(x)
        heads.append(k.Conv2D(depth_, 1, activation=last, name=name)(y))
    return library.Model(given, heads)


def shared_heads(library: Any, draw: random.Random) -> Any:
    """Two heads that every level of a pyramid shares (Lin, 2017)."""
    k, classes, anchors = library.layers, 4, draw.choice((1, 3))
    given = library.Input((64, 64, 3))
    x, levels = k.Conv2D(12, 3, strides=4, padding="same", activation="relu")(given), []
    for filters in (16, 24):
        x = k.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
        levels.append(k.Conv2D(16, 1)(x))
    levels[0] = k.Add()([levels[0], k.UpSampling2D(2)(levels[1])])

    def head(name: str, depth_: int) -> Any:
        parts = [k.Conv2D(16, 3, padding="same", activation="relu") for _ in range(2)]
        return library.Sequential(
            [library.Input((None, None, 16)), *parts, k.Conv2D(depth_, 3, padding="same")], name=name
        )

    which, where = head("classes", anchors * classes), head("boxes", anchors * 4)
    kinds = [k.Reshape((-1, classes))(which(level)) for level in levels]
    boxes = [k.Reshape((-1, 4))(where(level)) for level in levels]
    kinds_ = k.Activation("sigmoid")(k.Concatenate(axis=1)(kinds))
    return library.Model(given, [k.Concatenate(axis=1)(boxes), kinds_])


def faces(library: Any, draw: random.Random) -> Any:
    """Faces by blocks of wide depthwise kernels, boxes of two maps (Bazarevsky, 2019)."""
    k = library.layers

    def block(x: Any, filters: int, strides: int) -> Any:
        y = k.DepthwiseConv2D(5, strides=strides, padding="same")(x)
        y = k.Conv2D(filters, 1)(y)
        short = k.MaxPooling2D(2)(x) if strides == 2 else x
        if filters > x.shape[-1]:
            short = k.Conv2D(filters, 1)(short)
        return k.Activation("relu")(k.Add()([y, short]))

    given = library.Input((64, 64, 3))
    x = k.Conv2D(12, 5, strides=2, padding="same", activation="relu")(given)
    for filters, strides in ((12, 1), (16, 2), (16, 1), (24, 2)):
        x = block(x, filters, strides)
    y = block(x, 24, 2)
    ends = []
    for z, anchors in ((x, 2), (y, 6)):
        score = k.Reshape((-1, 1))(k.Conv2D(anchors, 3, padding="same")(z))
        boxes = k.Reshape((-1, 16))(k.Conv2D(anchors * 16, 3, padding="same")(z))
        ends.append((score, boxes))
    scores = k.Concatenate(axis=1)([score for score, _ in ends])
    return library.Model(given, [scores, k.Concatenate(axis=1)([boxes for _, boxes in ends])])


def counted(library: Any, draw: random.Random) -> Any:
    """How many people: columns of different kernels, joined to a density (Zhang, 2016)."""
    k = library.layers
    given = library.Input((48, 48, 1) if draw.random() < 0.5 else (None, None, 1))
    columns = []
    for widths, filters in (((9, 7), 6), ((7, 5), 8), ((5, 3), 10)):
        x = k.Conv2D(filters, widths[0], padding="same", activation="relu")(given)
        x = k.MaxPooling2D(2)(x)
        x = k.Conv2D(filters * 2, widths[1], padding="same", activation="relu")(x)
        x = k.MaxPooling2D(2)(x)
        columns.append(k.Conv2D(filters, widths[1], padding="same", activation="relu")(x))
    x = k.Concatenate(axis=3)(columns)
    return library.Model(given, k.Conv2D(1, 1, padding="same")(x))


THIRD_MAPS: dict[str, tuple[str, Builder]] = {
    "t-centers": ("maps", centers),
    "t-compressed": ("maps", compressed),
    "t-conditional": ("maps", conditional),
    "t-counted": ("maps", counted),
    "t-depth": ("maps", depth),
    "t-e-net": ("maps", e_net),
    "t-faces": ("maps", faces),
    "t-fast-scnn": ("maps", fast_scnn),
    "t-filled": ("maps", filled),
    "t-fully-convolutional": ("maps", fully_convolutional),
    "t-link-net": ("maps", link_net),
    "t-nuclei": ("maps", nuclei),
    "t-portrait": ("maps", portrait),
    "t-seg-net": ("maps", seg_net),
    "t-shared-heads": ("maps", shared_heads),
    "t-translated": ("maps", translated),
}
"""The class of each kind of network, and what builds it."""
