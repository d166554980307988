"""Networks of keras.applications at a small size, with options and in models that the first set does not
have.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

from benchmarks.accuracy.second_images import Builder


def _module(library: Any, name: str) -> Any:
    """Return the module that builds an architecture at any size."""
    return import_module(f"{library.__name__}.src.applications.{name}")


def _by_name(library: Any, name: str) -> dict[str, str]:
    return {"name" if library.__name__ == "keras" else "model_name": name}


def res_net_v2(library: Any, draw: random.Random) -> Any:
    """ResNetV2 with pooling in place of a classifier."""
    module = _module(library, "resnet")
    stack = module.stack2 if library.__name__ == "tf_keras" else module.stack_residual_blocks_v2

    def body(x: Any) -> Any:
        x = stack(x, 6, 2, name="conv2")
        return stack(x, 8, 2, stride1=1, name="conv3")

    return module.ResNet(
        body,
        True,
        True,
        include_top=False,
        weights=None,
        input_shape=(40, 40, 3),
        pooling=draw.choice(("avg", "max")),
        **_by_name(library, "resnetv2"),
    )


def efficient_net_v2(library: Any, draw: random.Random) -> Any:
    """EfficientNetV2 of few blocks, with fused ones and with excitation."""
    keys = ("kernel_size", "num_repeat", "input_filters", "output_filters", "expand_ratio")
    keys += ("se_ratio", "strides", "conv_type")
    rows = [(3, 1, 8, 8, 1, 0, 1, 1), (3, 2, 8, 16, 4, 0, 2, 1), (3, 2, 16, 24, 4, 0.25, 2, 0)]
    return _module(library, "efficientnet_v2").EfficientNetV2(
        1.0,
        1.0,
        64,
        blocks_args=[dict(zip(keys, row, strict=True)) for row in rows[: draw.randint(2, 3)]],
        include_top=False,
        weights=None,
        input_shape=(64, 64, 3),
        pooling="avg",
        include_preprocessing=draw.random() < 0.5,
        **_by_name(library, "small"),
    )


def mobile_net_v3(library: Any, draw: random.Random) -> Any:
    """MobileNetV3Large at its smallest, minimalistic, without a top."""
    return library.applications.MobileNetV3Large(
        input_shape=(64, 64, 3),
        alpha=0.25,
        minimalistic=draw.random() < 0.5,
        include_top=False,
        weights=None,
        pooling="max",
        include_preprocessing=False,
    )


def nas_net(library: Any, draw: random.Random) -> Any:
    """NASNet of one block in each of three cells."""
    return _module(library, "nasnet").NASNet(
        input_shape=(32, 32, 3),
        penultimate_filters=96,
        num_blocks=1,
        stem_block_filters=8,
        skip_reduction=draw.random() < 0.5,
        filter_multiplier=2,
        include_top=True,
        weights=None,
        classes=5,
        default_size=32,
    )


def res_net_rs(library: Any, draw: random.Random) -> Any:
    """ResNet-RS of two groups (Keras 2); a ResNet of two bottleneck blocks in Keras 3."""
    if library.__name__ == "tf_keras":
        blocks = [{"input_filters": 8, "num_repeats": 1}, {"input_filters": 12, "num_repeats": 2}]
        return _module(library, "resnet_rs").ResNetRS(
            depth=50,
            input_shape=(40, 40, 3),
            block_args=blocks,
            weights=None,
            classes=draw.choice((4, 7)),
            include_preprocessing=draw.random() < 0.5,
        )
    module = _module(library, "resnet")

    def body(x: Any) -> Any:
        x = module.residual_block_v1(x, 8, name="one")
        return module.residual_block_v1(x, 12, kernel_size=5, stride=2, name="two")

    return module.ResNet(body, False, False, weights=None, classes=4, input_shape=(40, 40, 3), name="resnet")


def dense_features(library: Any, draw: random.Random) -> Any:
    """DenseNet whose maps are the output."""
    return _module(library, "densenet").DenseNet(
        draw.choice(([1, 2, 1, 1], [2, 1, 1, 1])),
        include_top=False,
        weights=None,
        input_shape=(48, 40, 3),
    )


def fine_tuned(library: Any, draw: random.Random) -> Any:
    """The tutorial of transfer: augmentation, preprocessing and a frozen body in one model."""
    k = library.layers
    body = library.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=0.35, include_top=False, weights=None
    )
    body.trainable = False
    given = library.Input(shape=(64, 64, 3))
    augmentation = library.Sequential([k.RandomFlip("horizontal"), k.RandomRotation(0.2)])
    x = k.Rescaling(1.0 / 127.5, offset=-1)(augmentation(given))
    x = k.GlobalAveragePooling2D()(body(x, training=False))
    x = k.Dropout(0.2)(x)
    return library.Model(given, k.Dense(draw.choice((1, 5)), activation="sigmoid")(x))


def segmented(library: Any, draw: random.Random) -> Any:
    """The tutorial of segmentation: skips from inside MobileNetV2, with blocks that scale up."""
    k = library.layers
    body = library.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=0.35, include_top=False, weights=None
    )
    names = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "block_6_project")
    down = library.Model(inputs=body.input, outputs=[body.get_layer(name).output for name in names])
    given = library.Input(shape=(64, 64, 3))
    *skips, x = down(given)
    for filters, skip in zip((24, 16, 12), reversed(skips), strict=True):
        if skip.shape[1] != x.shape[1]:
            x = library.Sequential(
                [
                    k.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False),
                    k.BatchNormalization(),
                    k.ReLU(),
                ]
            )(x)
        x = k.Concatenate()([x, skip])
    return library.Model(given, k.Conv2DTranspose(3, 3, strides=2, padding="same")(x))


def two_bodies(library: Any, draw: random.Random) -> Any:
    """The maps of two bodies of different kinds, joined for one classifier."""
    k = library.layers
    given = library.Input((64, 64, 3))
    one = library.applications.MobileNet(
        input_shape=(64, 64, 3),
        alpha=0.25,
        include_top=False,
        weights=None,
        pooling="avg",
    )
    two = _module(library, "convnext").ConvNeXt(
        [1, 1, 1, 1],
        [8, 12, 16, 24],
        include_top=False,
        weights=None,
        input_shape=(64, 64, 3),
        pooling="max",
        include_preprocessing=False,
        **_by_name(library, "small"),
    )
    x = k.Concatenate()([one(given), two(given)])
    return library.Model(given, k.Dense(3, activation="softmax")(k.Dense(16, activation="relu")(x)))


SECOND_APPLICATIONS: dict[str, tuple[str, Builder]] = {
    "s-app-densenet": ("applications", dense_features),
    "s-app-efficientnet-v2": ("applications", efficient_net_v2),
    "s-app-fine-tuned": ("applications", fine_tuned),
    "s-app-mobilenet-v3": ("applications", mobile_net_v3),
    "s-app-nasnet": ("applications", nas_net),
    "s-app-resnet-rs": ("applications", res_net_rs),
    "s-app-resnet-v2": ("applications", res_net_v2),
    "s-app-segmented": ("applications", segmented),
    "s-app-two-bodies": ("applications", two_bodies),
}
"""The class of each kind of network, and what builds it."""
