"""Graphs drawn at random from a grammar of blocks, and the networks of keras.applications at a small size."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fresh_kinds import Builder


def drawn_image(library: Any, draw: random.Random) -> Any:
    """A body of blocks that are chosen, nested and joined at random."""
    layers = library.layers
    given = layers.Input((draw.choice((24, 32)),) * 2 + (3,))
    x = layers.Conv2D(draw.choice((8, 12)), 3, strides=draw.choice((1, 2)), padding="same")(given)
    for _ in range(draw.randint(2, 4)):
        x = draw.choice(_BLOCKS)(library, draw, x)
    x = draw.choice((layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten))()(x)
    return library.Model(
        given, layers.Dense(draw.choice((3, 10)), activation=draw.choice(("softmax", None)))(x)
    )


def drawn_vector(library: Any, draw: random.Random) -> Any:
    """Dense layers in a graph: every layer may read any earlier one."""
    layers = library.layers
    given = layers.Input((draw.choice((9, 21)),))
    width, held = draw.choice((12, 16)), [layers.Dense(16)(given)]
    width = held[0].shape[-1]
    for _ in range(draw.randint(3, 6)):
        which, x = draw.random(), draw.choice(held)
        if which < 0.4:
            held.append(layers.Dense(width, activation=draw.choice(_ACTIVATIONS))(x))
        elif which < 0.6:
            held.append(draw.choice((layers.BatchNormalization, layers.LayerNormalization))()(x))
        elif which < 0.8:
            merge = draw.choice(
                (layers.Add, layers.Multiply, layers.Subtract, layers.Maximum, layers.Average)
            )
            held.append(merge()([x, held[-1]]) if x is not held[-1] else layers.ReLU()(x))
        else:
            held.append(layers.Activation(draw.choice(_ACTIVATIONS))(x))
    return library.Model(given, layers.Dense(2)(layers.Concatenate()([held[-1], draw.choice(held[:-1])])))


def drawn_sequence(library: Any, draw: random.Random) -> Any:
    """Layers over the steps of a sequence, in parallel and one after the other."""
    layers = library.layers
    given = layers.Input((draw.choice((24, 36)), draw.choice((4, 8))))
    x = given
    for _ in range(draw.randint(2, 3)):
        filters = draw.choice((8, 12))
        if draw.random() < 0.4:
            widths = draw.sample((1, 3, 5, 7), 2)
            x = layers.Concatenate()([layers.Conv1D(filters, width, padding="same")(x) for width in widths])
        else:
            x = layers.Conv1D(
                filters, 3, padding=draw.choice(("same", "causal")), dilation_rate=draw.choice((1, 1, 2))
            )(x)
        x = draw.choice(
            (
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.LayerNormalization(),
                layers.Dropout(0.1),
            )
        )(x)
        x = draw.choice((layers.MaxPooling1D(2), layers.AveragePooling1D(2), layers.Activation("tanh")))(x)
    x = draw.choice((layers.GlobalAveragePooling1D, layers.GlobalMaxPooling1D, layers.Flatten))()(x)
    return library.Model(given, layers.Dense(3, activation="softmax")(x))


def unusual(library: Any, draw: random.Random) -> Any:
    """One layer that is seldom used, between usual ones."""
    layers = library.layers
    if draw.random() < 0.5:
        given = layers.Input((20, 8))
        names = [
            "Conv1DTranspose",
            "SeparableConv1D",
            "DepthwiseConv1D",
            "UnitNormalization",
            "Attention",
            "AdditiveAttention",
            "EinsumDense",
        ]
        name = draw.choice(names)
        match name:
            case "Conv1DTranspose" | "SeparableConv1D":
                x = getattr(layers, name)(12, 3, padding="same")(given)
            case "DepthwiseConv1D":
                x = layers.DepthwiseConv1D(3, padding="same")(given)
            case "UnitNormalization":
                x = layers.UnitNormalization()(given)
            case "EinsumDense":
                x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 12), bias_axes="d")(given)
            case _:
                x = getattr(layers, name)()([given, layers.Dense(8)(given)])
        return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling1D()(layers.ReLU()(x))))
    given = layers.Input((16, 16, 8))
    match draw.choice(
        ("groups", "group-normalization", "hard", "prelu", "elu", "softmax", "transposed", "distributed")
    ):
        case "groups":
            x = layers.Conv2D(16, 3, groups=draw.choice((2, 4)), padding="same")(given)
        case "group-normalization":
            x = layers.GroupNormalization(groups=4)(given)
        case "hard":
            x = layers.Conv2D(8, 3, activation="hard_sigmoid")(given)
        case "prelu":
            x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 3)(given))
        case "elu":
            x = layers.ELU()(layers.Conv2D(8, 3, dilation_rate=2)(given))
        case "softmax":
            x = layers.Softmax()(layers.Conv2D(8, 1)(given))
        case "transposed":
            x = layers.BatchNormalization()(layers.Conv2DTranspose(8, 3, strides=2, padding="valid")(given))
        case _:
            x = layers.TimeDistributed(layers.Dense(6))(layers.Reshape((64, 32))(given))
            return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))
    return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))


def _plain(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    x = layers.Conv2D(
        draw.choice((8, 16)), draw.choice((1, 3)), padding="same", use_bias=draw.random() < 0.5
    )(x)
    x = layers.BatchNormalization()(x) if draw.random() < 0.6 else x
    return layers.Activation(draw.choice(_ACTIVATIONS))(x)


def _parallel(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    rates = draw.sample((1, 2, 3), 2)
    branches = [
        layers.Conv2D(6, 3, padding="same", dilation_rate=rate, activation="relu")(x) for rate in rates
    ]
    return layers.Concatenate()([*branches, layers.MaxPooling2D(3, strides=1, padding="same")(x)])


def _squeezed(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    depth = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation=draw.choice(("relu", "swish")))(gate)
    return layers.Multiply()(
        [x, layers.Conv2D(depth, 1, activation=draw.choice(("sigmoid", "hard_sigmoid")))(gate)]
    )


def _inverted(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    depth = x.shape[-1]
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(2 * depth, 1, use_bias=False)(x)))
    y = layers.ReLU(6.0)(
        layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y))
    )
    return layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(depth, 1, use_bias=False)(y))])


def _shrunk(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    if x.shape[1] < 6:
        return x
    down = draw.choice(
        (
            layers.MaxPooling2D(),
            layers.AveragePooling2D(),
            layers.Conv2D(12, 3, strides=2),
            layers.ZeroPadding2D(1),
        )
    )
    return down(x)


def _inside(library: Any, draw: random.Random, x: Any) -> Any:
    layers = library.layers
    inner = library.Sequential(
        [layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    )
    return inner(x)


_UNUSUAL = (
    "Conv1DTranspose",
    "SeparableConv1D",
    "DepthwiseConv1D",
    "UnitNormalization",
    "Attention",
    "AdditiveAttention",
    "EinsumDense",
)
_ACTIVATIONS = ("relu", "relu", "tanh", "sigmoid", "elu", "swish")
_BLOCKS = (_plain, _parallel, _squeezed, _inverted, _shrunk, _inside)


def _named(name: str, **settings: Any) -> Builder:
    def build(library: Any, draw: random.Random) -> Any:
        more = {"weights": None, "classes": draw.choice((3, 10)), "input_shape": (32, 32, 3), **settings}
        return getattr(library.applications, name)(**more)

    return build


def _dense_net(library: Any, draw: random.Random) -> Any:
    blocks = draw.choice(([2, 2, 1, 1], [1, 2, 2, 1]))
    return library.applications.densenet.DenseNet(blocks, weights=None, classes=10, input_shape=(32, 32, 3))


def _efficient_net(library: Any, draw: random.Random) -> Any:
    if library.__name__ == "tf_keras":
        from tf_keras.src.applications.efficientnet import EfficientNet
    else:
        from keras.src.applications.efficientnet import EfficientNet
    return EfficientNet(
        0.25, 0.4, 32, weights=None, classes=draw.choice((3, 10)), input_shape=(32, 32, 3), model_name="small"
    )


def _conv_next(library: Any, draw: random.Random) -> Any:
    if library.__name__ == "tf_keras":
        from tf_keras.src.applications.convnext import ConvNeXt
    else:
        from keras.src.applications.convnext import ConvNeXt
    more = {} if library.__name__ == "tf_keras" else {"name": "small"}
    return ConvNeXt([1, 1, 2, 1], [8, 16, 24, 32], weights=None, classes=10, input_shape=(32, 32, 3), **more)


def _reg_net(library: Any, draw: random.Random) -> Any:
    if library.__name__ != "tf_keras":
        return _named("MobileNet", alpha=0.25)(library, draw)
    from tf_keras.src.applications.regnet import RegNet

    return RegNet(
        [1, 1, 2, 1],
        [8, 16, 24, 32],
        8,
        draw.choice((0.0, 0.25)),
        1,
        weights=None,
        classes=10,
        input_shape=(32, 32, 3),
    )


def _res_net(library: Any, draw: random.Random) -> Any:
    if library.__name__ == "tf_keras":
        from tf_keras.src.applications import resnet
    else:
        from keras.src.applications import resnet
    stack = getattr(resnet, "stack1" if library.__name__ == "tf_keras" else "stack_residual_blocks_v1")

    def body(x: Any) -> Any:
        x = stack(x, 8, 2, name="conv2", stride1=1)
        return stack(x, 12, 2, name="conv3")

    return resnet.ResNet(
        body,
        False,
        True,
        weights=None,
        classes=10,
        input_shape=(32, 32, 3),
        **({"model_name": "small"} if library.__name__ == "tf_keras" else {"name": "small"}),
    )


GRAPHS: dict[str, tuple[str, Builder]] = {
    "app-convnext": ("applications", _conv_next),
    "app-densenet": ("applications", _dense_net),
    "app-efficientnet": ("applications", _efficient_net),
    "app-mobilenet": ("applications", _named("MobileNet", alpha=0.25)),
    "app-mobilenet-v2": ("applications", _named("MobileNetV2", alpha=0.35)),
    "app-mobilenet-v3": ("applications", _named("MobileNetV3Small", alpha=0.35, minimalistic=False)),
    "app-regnet": ("applications", _reg_net),
    "app-resnet": ("applications", _res_net),
    "drawn-image": ("images", drawn_image),
    "drawn-sequence": ("sequences", drawn_sequence),
    "drawn-vector": ("tables", drawn_vector),
    "unusual": ("unusual", unusual),
}
"""The class of each kind, and what builds it."""
