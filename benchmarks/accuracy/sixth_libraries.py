"""Networks of the sixth set after libraries of models: of Keras and TensorFlow, for segmentation, and for
reinforcement learning.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds, unit
from benchmarks.accuracy.fourth_functions import functions


def padded_resnet18(library: Any, draw: random.Random) -> Any:
    """ResNet18 as a hub of models has it: borders of zeros before each stride, and small epsilons."""
    k, f = library.layers, draw.choice((8, 12))

    def convolved(x: Any, filters: int, size: int, strides: int, act: bool = True) -> Any:
        x = k.ZeroPadding2D(size // 2)(x) if strides > 1 and size > 1 else x
        padding = "valid" if strides > 1 else "same"
        x = k.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x)
        x = k.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)
        return k.Activation("relu")(x) if act else x

    image = library.Input((64, 64, 3))
    x = k.MaxPooling2D(3, strides=2)(k.ZeroPadding2D(1)(convolved(image, f, 7, 2)))
    for stage in range(3):
        for block in range(2):
            strides = 2 if stage and not block else 1
            y = convolved(convolved(x, f << stage, 3, strides), f << stage, 3, 1, act=False)
            x = convolved(x, f << stage, 1, strides, act=False) if strides == 2 else x
            x = k.Activation("relu")(k.Add()([x, y]))
    x = k.Dense(20, name="predictions")(k.GlobalAveragePooling2D()(x))
    return library.Model(image, x, name="res_net_image_classifier")


def seg_former(library: Any, draw: random.Random) -> Any:
    """SegFormer: overlapping patches, attention to fewer keys, maps of all stages projected and joined."""
    k, f, width = library.layers, functions(library), draw.choice((16, 24))
    x = image = library.Input((64, 64, 3))
    stages = []
    for channels, size, strides, reduced in ((width, 7, 4, 4), (2 * width, 3, 2, 2)):
        x = k.Conv2D(channels, size, strides=strides, padding="same")(x)
        side = x.shape[1]
        x = k.LayerNormalization()(k.Reshape((side * side, channels))(x))
        y = k.LayerNormalization(epsilon=1e-6)(x)
        few = k.Conv2D(channels, reduced, strides=reduced)(k.Reshape((side, side, channels))(y))
        few = k.LayerNormalization()(f.reshape(few, (-1, (side // reduced) ** 2, channels)))
        x = x + k.MultiHeadAttention(2, channels // 2)(y, few)
        y = k.Reshape((side, side, 2 * channels))(
            k.Dense(2 * channels)(k.LayerNormalization(epsilon=1e-6)(x))
        )
        y = k.Activation("gelu")(k.DepthwiseConv2D(3, padding="same")(y))
        x = k.Reshape((side, side, channels))(x) + k.Dense(channels)(y)
        stages.append(k.Resizing(16, 16, interpolation="bilinear")(k.Dense(16)(k.LayerNormalization()(x))))
    x = unit(library, k.Concatenate(axis=-1)(stages[::-1]), 16, 1)
    return library.Model(image, k.Resizing(64, 64)(k.Conv2D(5, 1, activation="softmax")(k.Dropout(0.1)(x))))


def feature_pyramid_masks(library: Any, draw: random.Random) -> Any:
    """FPN for segmentation: a pyramid that is added, two convolutions at each level, joined at one size."""
    k, wide = library.layers, draw.choice((12, 16))
    x = image = library.Input((64, 64, 3), batch_size=1)
    found, levels, pyramid = [], [], None
    for filters in (12, 16, 24):
        x = unit(library, unit(library, x, filters, 3, 2), filters)
        found.append(x)
    for x in found[::-1]:
        x = k.Conv2D(2 * wide, (1, 1), padding="same", kernel_initializer="he_uniform")(x)
        pyramid = x if pyramid is None else k.Add()([k.UpSampling2D((2, 2))(pyramid), x])
        levels.append(unit(library, unit(library, pyramid, wide), wide))
    joined = [k.UpSampling2D(4, interpolation="nearest")(levels[0]), k.UpSampling2D(2)(levels[1]), levels[2]]
    x = unit(library, k.SpatialDropout2D(0.2)(k.Concatenate(axis=3)(joined)), wide)
    x = k.Conv2D(3, (3, 3), padding="same", use_bias=True)(
        k.UpSampling2D((2, 2), interpolation="bilinear")(x)
    )
    return library.Model(image, k.Activation("softmax", name="softmax")(x))


def mask_head(library: Any, draw: random.Random) -> Any:
    """The masks of Mask R-CNN: convolutions applied to each of several regions."""
    k, each, width = library.layers, library.layers.TimeDistributed, draw.choice((16, 24))
    x = regions = library.Input((4, 14, 14, width), name="roi_align_mask")
    for number in (1, 2):
        x = each(k.Conv2D(width, (3, 3), padding="same"), name=f"mrcnn_mask_conv{number}")(x)
        x = k.Activation("relu")(each(k.BatchNormalization(), name=f"mrcnn_mask_bn{number}")(x))
    x = each(k.Conv2DTranspose(width, (2, 2), strides=2, activation="relu"), name="mrcnn_mask_deconv")(x)
    return library.Model(regions, each(k.Conv2D(3, (1, 1), activation="sigmoid"), name="mrcnn_mask")(x))


def whisper_encoder(library: Any, draw: random.Random) -> Any:
    """The encoder of Whisper: two convolutions with GELU, waves for places, and attention."""
    k, width, steps = library.layers, draw.choice((24, 32)), 40
    angles = np.outer(np.arange(steps), np.exp(-np.arange(width // 2) * np.log(10000) / (width // 2 - 1)))
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")
    sound = library.Input((2 * steps, 80), name="encoder_features")
    x = k.Conv1D(width, kernel_size=3, strides=1, padding="same")(sound)
    x = k.ZeroPadding1D(1)(k.Activation("gelu")(x))
    x = k.Activation("gelu")(k.Conv1D(width, kernel_size=3, strides=2, padding="valid")(x))
    x = k.Dropout(0.1)(x + waves)
    for _ in range(2):
        y = k.LayerNormalization(epsilon=1e-5)(x)
        x = k.Add()([x, k.MultiHeadAttention(num_heads=2, key_dim=width // 2)(y, y)])
        y = k.Dense(2 * width, activation="gelu")(k.LayerNormalization(epsilon=1e-5)(x))
        x = k.Add()([x, k.Dropout(0.1)(k.Dense(width)(y))])
    return library.Model(sound, k.LayerNormalization(epsilon=1e-5)(x))


def clip_towers(library: Any, draw: random.Random) -> Any:
    """CLIP: an image by patches and a text by causal attention, projected and compared."""
    k, width = library.layers, draw.choice((24, 32))

    def block(x: Any, causal: bool) -> Any:
        y = k.LayerNormalization(epsilon=1e-5)(x)
        x = k.Add()([x, k.MultiHeadAttention(2, width // 2)(y, y, use_causal_mask=causal)])
        y = k.Dense(2 * width)(k.LayerNormalization(epsilon=1e-5)(x))
        y = k.Multiply()([y, k.Activation("sigmoid")(k.Rescaling(1.702)(y))])
        return k.Add()([x, k.Dense(width)(y)])

    image, text = (
        library.Input((32, 32, 3), name="images"),
        library.Input((12,), dtype="int32", name="token_ids"),
    )
    x = k.Reshape((16, width))(k.Conv2D(width, 8, strides=8, use_bias=False)(image))
    x = k.GlobalAveragePooling1D()(block(block(k.LayerNormalization()(x), False), False))
    y = block(block(k.Embedding(500, width)(text), True), True)
    y = k.LayerNormalization(epsilon=1e-5)(y)[:, -1, :]
    one = k.Dense(16, use_bias=False, name="vision_projection")(x)
    two = k.Dense(16, use_bias=False, name="text_projection")(y)
    return library.Model([image, text], [one, two, k.Dot(axes=1, normalize=True)([one, two])])


def impala_policy(library: Any, draw: random.Random) -> Any:
    """IMPALA: three stages of a convolution, pooling and two residual blocks; actions and a value."""
    k, f = library.layers, draw.choice((8, 12))
    frames = library.Input((48, 48, 4), name="observations")
    x = frames / 255.0
    for filters in (f, 2 * f, 2 * f):
        x = k.MaxPooling2D(pool_size=3, strides=2, padding="same")(k.Conv2D(filters, 3, padding="same")(x))
        for _ in range(2):
            y = k.Conv2D(filters, 3, padding="same")(k.ReLU()(x))
            x = k.Add()([k.Conv2D(filters, 3, padding="same")(k.ReLU()(y)), x])
    x = k.Dense(48, activation="relu")(k.Flatten()(k.ReLU()(x)))
    return library.Model(frames, [k.Dense(15, name="pi")(x), k.Dense(1, name="vf")(x)])


def nature_policy(library: Any, draw: random.Random) -> Any:
    """PPO for Atari: three convolutions with orthogonal kernels, actions and a value."""
    k, start = library.layers, library.initializers.Orthogonal
    frames = library.Input((84, 84, 4))
    x = k.Rescaling(1.0 / 255.0)(frames)
    for filters, size, strides in ((16, 8, 4), (24, 4, 2), (draw.choice((16, 24)), 3, 1)):
        x = k.Conv2D(filters, size, strides, activation="relu", kernel_initializer=start(2**0.5))(x)
    x = k.Dense(64, activation="relu", kernel_initializer=start(2**0.5))(k.Flatten()(x))
    actions = k.Dense(6, activation="softmax", kernel_initializer=start(0.01), name="action_probs")(x)
    return library.Model(frames, [actions, k.Dense(1, kernel_initializer=start(1.0), name="value")(x)])


SIXTH_LIBRARIES = {
    **kinds("images", padded_resnet18, impala_policy, nature_policy, start="w-"),
    **kinds("maps", seg_former, feature_pyramid_masks, mask_head, start="w-"),
    **kinds("attention", whisper_encoder, clip_towers, start="w-"),
}
"""The class of each kind of network, and what builds it."""
