"""Networks of the third set that begin with a body of keras.applications, as transfer learning has them:
cut at a layer, called inside another model, or with heads on several of its maps.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def _mobile(library: Any, side: int, **more: Any) -> Any:
    return library.applications.MobileNetV2(
        input_shape=(side, side, 3), alpha=0.35, include_top=False, weights=None, **more
    )


def transfer(library: Any, draw: random.Random) -> Any:
    """The tutorial of transfer learning: augmentation, scaling by operators, a frozen body, a dense layer."""
    k = library.layers
    body = _mobile(library, 96)
    body.trainable = False
    given = library.Input(shape=(96, 96, 3))
    x = library.Sequential([k.RandomFlip("horizontal"), k.RandomRotation(0.2)])(given)
    x = library.applications.mobilenet_v2.preprocess_input(x)
    x = body(x, training=False)
    x = k.Dropout(0.2)(k.GlobalAveragePooling2D()(x))
    last = draw.choice((None, "sigmoid"))
    return library.Model(given, k.Dense(1, activation=last)(x))


def centroids(library: Any, draw: random.Random) -> Any:
    """Centers of objects on a coarse grid: a body that is cut early and two pointwise convolutions."""
    k = library.layers
    body = _mobile(library, 96)
    cut = body.get_layer("block_6_expand_relu").output
    x = k.Conv2D(filters=32, kernel_size=1, strides=1, activation="relu", name="head")(cut)
    logits = k.Conv2D(filters=draw.choice((2, 4)), kernel_size=1, strides=1, activation=None, name="logits")(
        x
    )
    return library.Model(inputs=body.input, outputs=logits)


def masks(library: Any, draw: random.Random) -> Any:
    """Whether a face has a mask: MobileNet, mean pooling and a dense head on the same graph."""
    k = library.layers
    body = library.applications.MobileNet(
        input_tensor=library.Input(shape=(64, 64, 3)), alpha=0.25, include_top=False, weights=None
    )
    x = k.AveragePooling2D(pool_size=(2, 2))(body.output)
    x = k.Flatten(name="flatten")(x)
    x = k.Dropout(0.5)(k.Dense(draw.choice((48, 64)), activation="relu")(x))
    return library.Model(inputs=body.input, outputs=k.Dense(2, activation="softmax")(x))


def pets_u_net(library: Any, draw: random.Random) -> Any:
    """A U-Net whose way down is a body with several outputs, called as one model."""
    k = library.layers
    body = _mobile(library, 64)
    names = ("block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu")
    down = library.Model(inputs=body.input, outputs=[body.get_layer(name).output for name in names])
    given = library.Input(shape=(64, 64, 3))
    *skips, x = down(given)
    for filters, skip in zip((24, 16), reversed(skips), strict=True):
        up = library.Sequential([k.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False)])
        up.add(k.BatchNormalization())
        if draw.random() < 0.5:
            up.add(k.Dropout(0.5))
        up.add(k.ReLU())
        x = k.Concatenate()([up(x), skip])
    return library.Model(given, k.Conv2DTranspose(filters=3, kernel_size=3, strides=2, padding="same")(x))


def features(library: Any, draw: random.Random) -> Any:
    """The first two blocks of VGG-16 and a small head."""
    k = library.layers
    body = library.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    x = body.get_layer("block2_pool").output
    x = k.GlobalAveragePooling2D()(x)
    x = k.BatchNormalization()(x) if draw.random() < 0.5 else x
    return library.Model(body.input, k.Dense(5, activation="softmax")(k.Dense(32, activation="relu")(x)))


THIRD_APPLICATIONS: dict[str, tuple[str, Builder]] = {
    "t-app-centroids": ("applications", centroids),
    "t-app-features": ("applications", features),
    "t-app-masks": ("applications", masks),
    "t-app-pets-u-net": ("applications", pets_u_net),
    "t-app-transfer": ("applications", transfer),
}
"""The class of each kind of network, and what builds it."""
