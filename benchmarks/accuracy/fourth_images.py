"""Image classifiers of the fourth set: small versions of bodies that run on phones and microcontrollers.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fourth_functions import functions, is_three
from benchmarks.accuracy.third_images import Builder


def tiny_resnet_v1(library: Any, draw: random.Random) -> Any:
    """The image classifier of MLPerf Tiny: ResNet-8 for 32x32, pooling by the whole map, weight decay."""
    k = library.layers
    width = draw.choice((8, 12, 16))

    def convolution(x: Any, filters: int, size: int = 3, strides: int = 1) -> Any:
        return k.Conv2D(
            filters,
            kernel_size=size,
            strides=strides,
            padding="same",
            kernel_initializer="he_normal",
            kernel_regularizer=library.regularizers.l2(1e-4),
        )(x)

    image = k.Input(shape=(32, 32, 3))
    x = k.Activation("relu")(k.BatchNormalization()(convolution(image, width)))
    for stage in range(3):
        filters, strides = width << stage, 1 if stage == 0 else 2
        y = k.Activation("relu")(k.BatchNormalization()(convolution(x, filters, strides=strides)))
        y = k.BatchNormalization()(convolution(y, filters))
        if stage:
            x = convolution(x, filters, size=1, strides=strides)
        x = k.Activation("relu")(k.add([x, y]))
    x = k.AveragePooling2D(pool_size=8)(x)
    scores = k.Dense(10, activation="softmax", kernel_initializer="he_normal")(k.Flatten()(x))
    return library.Model(inputs=image, outputs=scores)


def preactivated(library: Any, draw: random.Random) -> Any:
    """ResNet v2 with bottlenecks, whose last normalization of a branch starts with factors of zero."""
    k = library.layers
    filters = draw.choice((12, 16))
    image = library.Input((48, 48, 3), name="image")
    x = k.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    for stage in range(2):
        for block in range(2):
            name = f"stage{stage}_block{block}"
            strides = 2 if block == 0 and stage else 1
            pre = k.ReLU(name=f"{name}_relu0")(k.BatchNormalization(name=f"{name}_bn0")(x))
            if block == 0:
                x = k.Conv2D(filters * 4, 1, strides=strides, use_bias=False, name=f"{name}_proj")(pre)
            y = k.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv1")(pre)
            y = k.ReLU(name=f"{name}_relu1")(k.BatchNormalization(name=f"{name}_bn1")(y))
            y = k.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv2")(y)
            y = k.BatchNormalization(gamma_initializer="zeros", name=f"{name}_bn2")(y)
            y = k.Conv2D(filters * 4, 1, name=f"{name}_conv3")(k.ReLU(name=f"{name}_relu2")(y))
            x = k.Add(name=f"{name}_add")([x, y])
        filters *= 2
    x = k.ReLU(name="post_relu")(k.BatchNormalization(name="post_bn")(x))
    x = k.GlobalAveragePooling2D(name="avg_pool")(x)
    return library.Model(image, k.Dense(draw.choice((10, 100)), name="logits")(x), name="resnet_v2")


def wake_words_vision(library: Any, draw: random.Random) -> Any:
    """The person detector of MLPerf Tiny: MobileNet v1 with a quarter of the filters, written as a loop."""
    k = library.layers
    model = library.Sequential(name="vww")
    model.add(k.Input(shape=(96, 96, draw.choice((1, 3)))))
    model.add(k.Conv2D(8, 3, strides=2, padding="same", use_bias=False))
    model.add(k.BatchNormalization())
    model.add(k.ReLU())
    for filters, strides in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        model.add(k.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False))
        model.add(k.BatchNormalization())
        model.add(k.ReLU())
        model.add(k.Conv2D(filters, 1, padding="same", use_bias=False))
        model.add(k.BatchNormalization())
        model.add(k.ReLU())
    model.add(k.AveragePooling2D(pool_size=6))
    model.add(k.Flatten())
    model.add(k.Dense(2, activation="softmax"))
    return model


def inverted(library: Any, draw: random.Random) -> Any:
    """Inverted residuals as MobileNet v2 has them, with explicit padding before strides."""
    k = library.layers
    image = k.Input((64, 64, 3))
    x = k.ZeroPadding2D(((0, 1), (0, 1)), name="Conv1_pad")(image)
    x = k.Conv2D(8, 3, strides=2, padding="valid", use_bias=False, name="Conv1")(x)
    x = k.ReLU(6.0, name="Conv1_relu")(k.BatchNormalization(epsilon=1e-3, momentum=0.999, name="bn_Conv1")(x))
    before = 8
    for number, (filters, strides) in enumerate(((8, 1), (12, 2), (12, 1), (16, 2), (16, 1))):
        y = k.Conv2D(before * draw.choice((4, 6)), 1, use_bias=False, name=f"expand_{number}")(x)
        y = k.ReLU(6.0)(k.BatchNormalization(epsilon=1e-3, momentum=0.999)(y))
        if strides == 2:
            y = k.ZeroPadding2D(((0, 1), (0, 1)))(y)
        padding = "same" if strides == 1 else "valid"
        y = k.DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False)(y)
        y = k.ReLU(6.0)(k.BatchNormalization(epsilon=1e-3, momentum=0.999)(y))
        y = k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False, name=f"project_{number}")(y))
        x = k.Add()([x, y]) if strides == 1 and before == filters else y
        before = filters
    x = k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(64, 1, use_bias=False)(x)))
    x = k.GlobalAveragePooling2D(keepdims=True)(x)
    x = k.Conv2D(12, 1, activation="softmax")(k.Dropout(0.2)(x))
    return library.Model(image, k.Reshape((12,))(x))


def searched(library: Any, draw: random.Random) -> Any:
    """Blocks of MobileNet v3: hard swish of ReLU6, and squeezing by pointwise convolutions."""
    k = library.layers

    def hard_sigmoid(x: Any) -> Any:
        return k.Rescaling(1.0 / 6.0)(k.ReLU(6.0)(x + 3.0))

    def hard_swish(x: Any) -> Any:
        return k.Multiply()([x, hard_sigmoid(x)])

    image = library.Input(shape=(64, 64, 3))
    x = k.Rescaling(1.0 / 127.5, offset=-1.0)(image)
    x = hard_swish(k.BatchNormalization()(k.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)))
    for filters, size, strides, squeezed in ((12, 3, 2, True), (12, 3, 1, False), (16, 5, 2, True)):
        act = k.ReLU() if filters < 16 else hard_swish
        short = x
        x = act(k.BatchNormalization()(k.Conv2D(3 * filters, 1, use_bias=False)(x)))
        x = k.DepthwiseConv2D(size, strides=strides, padding="same", use_bias=False)(x)
        x = act(k.BatchNormalization()(x))
        if squeezed:
            s = k.GlobalAveragePooling2D(keepdims=True)(x)
            s = k.Conv2D(draw.choice((8, 16)), 1, activation="relu")(s)
            x = k.Multiply()([x, hard_sigmoid(k.Conv2D(3 * filters, 1)(s))])
        x = k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(x))
        if strides == 1:
            x = k.Add()([short, x])
    x = hard_swish(k.BatchNormalization()(k.Conv2D(48, 1, use_bias=False)(x)))
    x = k.GlobalAveragePooling2D()(x)
    x = hard_swish(k.Dense(64)(x))
    return library.Model(image, k.Dense(9)(k.Dropout(0.2)(x)))


def shuffled(library: Any, draw: random.Random) -> Any:
    """ShuffleNet v2: half of the channels pass, the rest is convolved, and a reshape shuffles them."""
    k, f = library.layers, functions(library)

    def shuffle(x: Any) -> Any:
        high, wide, channels = x.shape[1:]
        x = f.reshape(x, (-1, high, wide, 2, channels // 2))
        return f.reshape(f.transpose(x, (0, 1, 2, 4, 3)), (-1, high, wide, channels))

    def branch(x: Any, filters: int, strides: int) -> Any:
        x = k.Conv2D(filters, 1, use_bias=False, activation=None)(x)
        x = k.Activation("relu")(k.BatchNormalization()(x))
        x = k.BatchNormalization()(k.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x))
        return k.Activation("relu")(k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(x)))

    image = k.Input(shape=(48, 48, 3))
    x = k.Conv2D(12, 3, strides=2, padding="same", activation="relu")(image)
    x = k.MaxPooling2D(3, strides=2, padding="same")(x)
    half = draw.choice((12, 16))
    for _ in range(2):
        left = k.BatchNormalization()(k.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x))
        left = k.Activation("relu")(k.BatchNormalization()(k.Conv2D(half, 1, use_bias=False)(left)))
        x = shuffle(k.Concatenate()([left, branch(x, half, 2)]))
        for _ in range(2):
            kept, changed = x[..., :half], x[..., half:]
            x = shuffle(k.Concatenate()([kept, branch(changed, half, 1)]))
        half *= 2
    return library.Model(image, k.Dense(20, activation="softmax")(k.GlobalAveragePooling2D()(x)))


def ghosts(library: Any, draw: random.Random) -> Any:
    """GhostNet bottlenecks: half of each map is computed from the other half by cheap depthwise filters."""
    k = library.layers

    def ghost(x: Any, filters: int, act: bool) -> Any:
        x = k.BatchNormalization()(k.Conv2D(filters // 2, 1, use_bias=False)(x))
        x = k.ReLU()(x) if act else x
        y = k.BatchNormalization()(k.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        return k.concatenate([x, k.ReLU()(y) if act else y])

    image = library.Input((56, 56, 3))
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, 2, "same", use_bias=False)(image)))
    for filters, strides in ((8, 1), (12, 2), (12, 1), (20, 2)):
        y = ghost(x, draw.choice((24, 32)), True)
        if strides == 2:
            y = k.BatchNormalization()(k.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(y))
            x = k.BatchNormalization()(k.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x))
            x = k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(x))
        x = k.add([ghost(y, filters, False), x])
    x = k.GlobalAveragePooling2D()(k.ReLU()(k.BatchNormalization()(k.Conv2D(48, 1, use_bias=False)(x))))
    return library.Model(image, k.Dense(6, activation="softmax")(x))


def next_convolutions(library: Any, draw: random.Random) -> Any:
    """ConvNeXt: a patch as stem, layer normalization, dense layers over channels, GELU."""
    k = library.layers
    width = draw.choice((12, 16))
    image = library.Input((64, 64, 3))
    x = k.LayerNormalization(epsilon=1e-6, name="stem_norm")(
        k.Conv2D(width, 4, strides=4, name="stem")(image)
    )
    for stage, depth in enumerate((1, 2)):
        if stage:
            x = k.LayerNormalization(epsilon=1e-6)(x)
            x = k.Conv2D(width * 2, 2, strides=2, name=f"downsample_{stage}")(x)
            width *= 2
        for _ in range(depth):
            y = k.DepthwiseConv2D(7, padding="same")(x)
            y = k.LayerNormalization(epsilon=1e-6)(y)
            y = k.Dense(width)(k.Activation("gelu")(k.Dense(4 * width)(y)))
            x = x + y
    x = k.LayerNormalization(epsilon=1e-6)(k.GlobalAveragePooling2D()(x))
    return library.Model(image, k.Dense(15, name="head")(x))


def deployed(library: Any, draw: random.Random) -> Any:
    """RepVGG after its branches are merged: a plain stack of convolutions with biases."""
    k = library.layers
    stages = draw.choice((((1, 16), (2, 24), (2, 32)), ((1, 12), (2, 16), (3, 24))))
    layers = [k.InputLayer((64, 64, 3)) if not is_three(library) else k.InputLayer(shape=(64, 64, 3))]
    for number, (depth, filters) in enumerate(stages):
        for block in range(depth):
            layers.append(
                k.Conv2D(
                    filters,
                    3,
                    strides=2 if block == 0 else 1,
                    padding="same",
                    activation="relu",
                    name=f"stage{number}.{block}.rbr_reparam" if not is_three(library) else None,
                )
            )
    return library.Sequential([*layers, k.GlobalAveragePooling2D(), k.Dense(30, name="linear")])


def one_shot(library: Any, draw: random.Random) -> Any:
    """VoVNet: all maps of a block are joined once at its end, then squeezed by an effective gate."""
    k = library.layers
    image = library.Input((48, 48, 3))
    x = k.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
    for filters in (12, draw.choice((16, 20))):
        held = [x]
        for _ in range(3):
            held.append(k.Conv2D(filters, 3, padding="same", use_bias=False)(held[-1]))
            held[-1] = k.ReLU()(k.BatchNormalization()(held[-1]))
        y = k.ReLU()(k.BatchNormalization()(k.Conv2D(32, 1, use_bias=False)(k.Concatenate()(held))))
        gate = k.Reshape((1, 1, 32))(k.GlobalAveragePooling2D()(y))
        gate = k.Activation("hard_sigmoid")(k.Conv2D(32, 1)(gate))
        y = k.Multiply()([y, gate])
        x = k.MaxPooling2D(3, 2)(y)
    return library.Model(image, k.Dense(11, activation="softmax")(k.Flatten()(x)))


def selective(library: Any, draw: random.Random) -> Any:
    """Selective kernels: two branches with different reach, mixed by a softmax over both."""
    k, f = library.layers, functions(library)
    image = library.Input((40, 40, 3))
    x = k.Conv2D(16, 5, strides=2, padding="same", activation="relu")(image)
    for _ in range(2):
        near = k.ReLU()(k.BatchNormalization()(k.Conv2D(16, 3, padding="same")(x)))
        far = k.Conv2D(16, 3, padding="same", dilation_rate=draw.choice((2, 3)))(x)
        far = k.ReLU()(k.BatchNormalization()(far))
        s = k.Dense(8, activation="relu")(k.GlobalAveragePooling2D()(near + far))
        weights = f.softmax(f.stack([k.Dense(16)(s), k.Dense(16)(s)], axis=1), axis=1)
        one = k.Reshape((1, 1, 16))(weights[:, 0])
        two = k.Reshape((1, 1, 16))(weights[:, 1])
        x = k.MaxPooling2D()(near * one + far * two)
    return library.Model(image, k.Dense(5)(k.GlobalMaxPooling2D()(x)))


def unnormalized(library: Any, draw: random.Random) -> Any:
    """A network without normalization: branches are scaled by constants, activations by a gain."""
    k, f = library.layers, functions(library)
    gain, alpha = 1.7, draw.choice((0.2, 0.25))
    image = library.Input((32, 32, 3))
    x = k.Conv2D(16, 3, strides=2, padding="same")(image)
    for beta in (1.0, 0.98, 0.95):
        y = f.multiply(f.relu(x), gain * beta) if draw.random() < 0.5 else k.ReLU()(x) * (gain * beta)
        y = k.Conv2D(8, 1)(y)
        y = k.Conv2D(8, 3, padding="same")(k.ReLU()(y) * gain)
        y = k.Conv2D(16, 1, bias_initializer="zeros")(k.ReLU()(y) * gain)
        x = x + y * alpha
    return library.Model(image, k.Dense(10)(k.Dropout(0.25)(k.GlobalAveragePooling2D()(k.ReLU()(x)))))


def exits(library: Any, draw: random.Random) -> Any:
    """BranchyNet: classifiers after each stage, and the mean of their scores."""
    k = library.layers
    image = library.Input((32, 32, 3))
    x, scores = image, []
    for number, filters in enumerate((12, 16, draw.choice((24, 32)))):
        x = k.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = k.MaxPooling2D(2, name=f"pool_{number}")(x)
        x = k.BatchNormalization(name=f"norm_{number}")(x)
        y = k.GlobalAveragePooling2D(name=f"exit_pool_{number}")(x)
        scores.append(k.Dense(10, activation="softmax", name=f"exit_{number}")(y))
    return library.Model(image, [*scores, k.Average(name="mean")(scores)])


def mixed_kernels(library: Any, draw: random.Random) -> Any:
    """MixNet: groups of channels have depthwise kernels of different size."""
    k = library.layers
    image = library.Input(shape=(48, 48, 3))
    x = k.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(image)
    x = k.Activation("swish")(k.BatchNormalization()(x))
    for filters in (24, 36):
        x = k.Activation("swish")(k.BatchNormalization()(k.Conv2D(filters, 1, use_bias=False)(x)))
        third = filters // 3
        parts = [x[:, :, :, i * third : (i + 1) * third] for i in range(3)]
        parts = [
            k.DepthwiseConv2D(size, strides=2, padding="same", use_bias=False)(part)
            for size, part in zip((3, 5, draw.choice((7, 9))), parts, strict=True)
        ]
        x = k.Activation("swish")(k.BatchNormalization()(k.Concatenate()(parts)))
    x = k.GlobalAveragePooling2D()(x)
    return library.Model(image, k.Dense(8, activation="softmax")(x))


def hierarchic(library: Any, draw: random.Random) -> Any:
    """Res2Net: slices of a bottleneck take in the sum with the slice before."""
    k = library.layers
    width = draw.choice((6, 8))
    image = library.Input((40, 40, 3))
    x = k.MaxPooling2D(2)(k.Conv2D(4 * width, 3, padding="same", activation="relu")(image))
    for _ in range(2):
        y = k.ReLU()(k.BatchNormalization()(k.Conv2D(4 * width, 1)(x)))
        parts = [y[..., i * width : (i + 1) * width] for i in range(4)]
        held = [parts[0]]
        for part in parts[1:]:
            part = part if len(held) == 1 else k.Add()([part, held[-1]])
            held.append(k.ReLU()(k.BatchNormalization()(k.Conv2D(width, 3, padding="same")(part))))
        y = k.BatchNormalization(gamma_initializer="zeros")(k.Conv2D(4 * width, 1)(k.Concatenate()(held)))
        x = k.ReLU()(k.Add()([x, y]))
    return library.Model(image, k.Dense(7, activation="softmax")(k.GlobalAveragePooling2D()(x)))


def cross_stages(library: Any, draw: random.Random) -> Any:
    """CSPNet: half of the filters skip the residual blocks; leaky activations."""
    k = library.layers

    def unit(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        x = k.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
        return k.LeakyReLU(0.1)(k.BatchNormalization()(x))

    image = library.Input((64, 64, 3))
    x = unit(image, 8, 3)
    for filters in (16, draw.choice((24, 32))):
        x = unit(x, filters, 3, 2)
        route = unit(x, filters // 2, 1)
        x = unit(x, filters // 2, 1)
        x = k.Add()([x, unit(unit(x, filters // 4, 1), filters // 2, 3)])
        x = unit(k.Concatenate()([unit(x, filters // 2, 1), route]), filters, 1)
    return library.Model(image, k.Dense(12)(k.GlobalAveragePooling2D()(x)))


FOURTH_IMAGES: dict[str, tuple[str, Builder]] = {
    "q-tiny-resnet-v1": ("images", tiny_resnet_v1),
    "q-preactivated": ("images", preactivated),
    "q-wake-words-vision": ("images", wake_words_vision),
    "q-inverted": ("images", inverted),
    "q-searched": ("images", searched),
    "q-shuffled": ("images", shuffled),
    "q-ghosts": ("images", ghosts),
    "q-next-convolutions": ("images", next_convolutions),
    "q-deployed": ("images", deployed),
    "q-one-shot": ("images", one_shot),
    "q-selective": ("images", selective),
    "q-unnormalized": ("images", unnormalized),
    "q-exits": ("images", exits),
    "q-mixed-kernels": ("images", mixed_kernels),
    "q-hierarchic": ("images", hierarchic),
    "q-cross-stages": ("images", cross_stages),
}
"""The class of each kind of network, and what builds it."""
