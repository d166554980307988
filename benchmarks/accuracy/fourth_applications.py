"""Networks of the fourth set that are fine-tuned bodies of `keras.applications`: small, cut early, with the
heads and the preprocessing of the code that people publish.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def frozen_small(library: Any, draw: random.Random) -> Any:
    """MobileNetV3Small with its own scaling, frozen and called as a layer."""
    k = library.layers
    body = library.applications.MobileNetV3Small(
        input_shape=(64, 64, 3), alpha=0.35, minimalistic=True, include_top=False, weights=None
    )
    body.trainable = False
    image = library.Input((64, 64, 3))
    x = k.GlobalAveragePooling2D()(body(image, training=False))
    x = k.Dense(draw.choice((16, 32)), activation="relu")(k.Dropout(0.3)(x))
    return library.Model(image, k.Dense(5, activation="softmax")(x))


def swished_small(library: Any, draw: random.Random) -> Any:
    """The first blocks of MobileNetV3Small with hard swish and squeezing, and a linear head."""
    k = library.layers
    body = library.applications.MobileNetV3Small(
        input_shape=(64, 64, 3), include_top=False, weights=None, include_preprocessing=draw.random() < 0.5
    )
    names = [layer.name for layer in body.layers]
    ends = [name for name in names if "expanded_conv" in name and name.lower().endswith("add")]
    x = body.get_layer(ends[1]).output
    return library.Model(body.input, k.Dense(7)(k.Flatten()(k.AveragePooling2D(4)(x))))


def scaled_up(library: Any, draw: random.Random) -> Any:
    """The first stages of EfficientNetB0, with its normalization inside."""
    k = library.layers
    body = library.applications.EfficientNetB0(input_shape=(64, 64, 3), include_top=False, weights=None)
    x = body.get_layer(draw.choice(("block2b_add", "block3a_project_bn"))).output
    x = k.GlobalMaxPooling2D()(x)
    x = k.Dense(8, activation="softmax")(k.Dropout(0.4)(k.BatchNormalization()(x)))
    return library.Model(inputs=body.inputs, outputs=x)


def scaled_up_again(library: Any, draw: random.Random) -> Any:
    """The first stages of EfficientNetV2B0, which have fused blocks, and two heads."""
    k = library.layers
    body = library.applications.EfficientNetV2B0(
        input_shape=(64, 64, 3), include_top=False, weights=None, include_preprocessing=True
    )
    x = k.GlobalAveragePooling2D()(body.get_layer("block2b_add").output)
    kind = k.Dense(draw.choice((4, 10)), activation="softmax", name="kind")(x)
    return library.Model(body.input, [kind, k.Dense(1, activation="sigmoid", name="is_ripe")(x)])


def residual_start(library: Any, draw: random.Random) -> Any:
    """ResNet50 up to its first stage, in a sequential model."""
    k = library.layers
    body = library.applications.ResNet50(input_shape=(56, 56, 3), include_top=False, weights=None)
    body = library.Model(body.input, body.get_layer("conv2_block2_out").output)
    parts = [library.Input((56, 56, 3)), body, k.GlobalAveragePooling2D()]
    parts += [k.Dense(32, activation="relu"), k.Dropout(0.5)] if draw.random() < 0.5 else []
    return library.Sequential([*parts, k.Dense(1, activation="sigmoid")])


def extreme_start(library: Any, draw: random.Random) -> Any:
    """Xception up to a block, with pooling in its body."""
    k = library.layers
    body = library.applications.Xception(
        input_shape=(72, 72, 3), include_top=False, weights=None, pooling=None
    )
    x = body.get_layer(draw.choice(("block2_pool", "block2_sepconv2_bn"))).output
    return library.Model(body.input, k.Dense(6)(k.GlobalAveragePooling2D()(x)))


def dense_start(library: Any, draw: random.Random) -> Any:
    """DenseNet121 up to its first transition, scaled as its preprocessing does."""
    k = library.layers
    body = library.applications.DenseNet121(input_shape=(64, 64, 3), include_top=False, weights=None)
    cut = library.Model(body.input, body.get_layer("pool2_pool").output)
    image = library.Input((64, 64, 3))
    x = k.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])(image / 255.0)
    x = k.GlobalAveragePooling2D()(cut(x))
    return library.Model(image, k.Dense(draw.choice((3, 14)), activation="sigmoid")(x))


def inception_start(library: Any, draw: random.Random) -> Any:
    """InceptionV3 up to its first mixed block."""
    k = library.layers
    body = library.applications.InceptionV3(input_shape=(75, 75, 3), include_top=False, weights=None)
    x = k.GlobalAveragePooling2D()(body.get_layer("mixed0").output)
    return library.Model(body.input, k.Dense(draw.choice((2, 17)), activation="softmax")(x))


def whole_quarter(library: Any, draw: random.Random) -> Any:
    """MobileNet with a quarter of its filters and its own top, for grey images."""
    return library.applications.MobileNet(
        input_shape=(96, 96, 1), alpha=0.25, weights=None, classes=draw.choice((2, 12)), dropout=1e-3
    )


def twin_bodies(library: Any, draw: random.Random) -> Any:
    """Two photos through one body of MobileNetV2, compared by the squares of differences."""
    k = library.layers
    body = library.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    cut = library.Model(body.input, body.get_layer("block_5_add").output, name="features")
    one, two = library.Input((64, 64, 3), name="anchor"), library.Input((64, 64, 3), name="other")
    features = [k.GlobalAveragePooling2D()(cut(image)) for image in (one, two)]
    x = k.Subtract()(features)
    x = k.Concatenate()([k.Multiply()([x, x]), *features]) if draw.random() < 0.5 else k.Multiply()([x, x])
    return library.Model([one, two], k.Dense(1, activation="sigmoid")(x))


def next_start(library: Any, draw: random.Random) -> Any:
    """ConvNeXtTiny up to the end of its first stage; its normalization is in the model."""
    k = library.layers
    body = library.applications.ConvNeXtTiny(
        input_shape=(64, 64, 3), include_top=False, weights=None, include_preprocessing=True
    )
    x = body.get_layer("convnext_tiny_stage_0_block_1_identity").output
    return library.Model(body.input, k.Dense(draw.choice((4, 9)))(k.GlobalAveragePooling2D()(x)))


FOURTH_APPLICATIONS: dict[str, tuple[str, Builder]] = {
    "q-app-frozen-small": ("applications", frozen_small),
    "q-app-swished-small": ("applications", swished_small),
    "q-app-scaled-up": ("applications", scaled_up),
    "q-app-scaled-up-again": ("applications", scaled_up_again),
    "q-app-residual-start": ("applications", residual_start),
    "q-app-extreme-start": ("applications", extreme_start),
    "q-app-dense-start": ("applications", dense_start),
    "q-app-inception-start": ("applications", inception_start),
    "q-app-whole-quarter": ("applications", whole_quarter),
    "q-app-twin-bodies": ("applications", twin_bodies),
    "q-app-next-start": ("applications", next_start),
}
"""The class of each kind of network, and what builds it."""
