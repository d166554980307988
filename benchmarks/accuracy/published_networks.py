"""Architectures of published models, as shapes and as functions that build them with tf_keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Network = dict[str, tuple[tuple[int, ...], bool]]
"""The shape of each layer's kernel, and whether it is pruned."""
Tensors = dict[str, tuple[tuple[int, ...], str]]

_MOBILENET = (
    (32, 64),
    (64, 128),
    (128, 128),
    (128, 256),
    (256, 256),
    (256, 512),
    *[(512, 512)] * 5,
    (512, 1024),
    (1024, 1024),
)
"""Channels into and out of each depthwise separable block of MobileNet v1."""


def mobilenet_kernels() -> Network:
    """Return MobileNet v1 as Zhu and Gupta count it: no batch normalization, no bias, 1,001 classes."""
    network: Network = {"conv": ((3, 3, 3, 32), False)}
    for index, (before, after) in enumerate(_MOBILENET, 1):
        network[f"depthwise_{index}"] = ((3, 3, before, 1), False)
        network[f"pointwise_{index}"] = ((1, 1, before, after), True)
    return network | {"fc": ((1024, 1001), True)}


LENETS: dict[str, tuple[dict[str, tuple[tuple[int, ...], float, int]], dict[str, Any]]] = {
    "LeNet-300-100": (
        {"ip1": ((784, 300), 0.08, 6), "ip2": ((300, 100), 0.09, 6), "ip3": ((100, 10), 0.26, 6)},
        {"published_kilobytes": 1_070, "published_non_zero": "22 K", "published_ratio": 40},
    ),
    "LeNet-5": (
        {
            "conv1": ((5, 5, 1, 20), 0.66, 8),
            "conv2": ((5, 5, 20, 50), 0.12, 8),
            "ip1": ((800, 500), 0.08, 5),
            "ip2": ((500, 10), 0.19, 5),
        },
        {"published_kilobytes": 1_720, "published_non_zero": "36 K", "published_ratio": 39},
    ),
}
"""Each layer's kernel, the share of it that is kept, and the bits of its codebook; and what the paper
prints.
"""


def _gemma3() -> tuple[Tensors, Tensors]:
    """Return the tensors of Gemma 3 1B in float32 and with int4 kernels, two to a byte along the first
    axis.
    """
    floats: Tensors = {"token_embedding/vars/0": ((262_144, 1_152), "f4")}
    packed: Tensors = dict(floats)
    kernels = {
        "attention/query_dense": (1_152, 4, 256),
        "attention/key_dense": (1_152, 1, 256),
        "attention/value_dense": (1_152, 1, 256),
        "attention/output_dense": (4, 256, 1_152),
        "gating_ffw": (1_152, 6_912),
        "gating_ffw_2": (1_152, 6_912),
        "ffw_linear": (6_912, 1_152),
    }
    norms = {
        "pre_attention_norm": 1_152,
        "post_attention_norm": 1_152,
        "pre_ffw_norm": 1_152,
        "post_ffw_norm": 1_152,
    }
    norms |= {"attention/query_norm": 256, "attention/key_norm": 256}
    for layer in range(26):
        for name, shape in kernels.items():
            _put(
                floats,
                packed,
                f"layers/gemma3_decoder_block_{layer}/{name}",
                shape,
                2 if name.endswith("output_dense") else 1,
            )
        for name, width in norms.items():
            for tensors in (floats, packed):
                tensors[f"layers/gemma3_decoder_block_{layer}/{name}/vars/0"] = ((width,), "f4")
    for tensors in (floats, packed):
        tensors["final_normalization/vars/0"] = ((1_152,), "f4")
    return floats, packed


def _put(floats: Tensors, packed: Tensors, name: str, shape: tuple[int, ...], inputs: int) -> None:
    """Add a kernel whose first axes are its inputs, packed with a scale for each output."""
    floats[f"{name}/vars/0"] = (shape, "f4")
    rows = (shape[0] + 1) // 2
    packed[f"{name}/vars/0"] = ((rows, *shape[1:]), "i1")
    packed[f"{name}/vars/scale"] = (shape[inputs:], "f4")


def _distilbert() -> tuple[Tensors, Tensors]:
    """Return the tensors of a DistilBERT classifier in float32 and with int4 kernels where Keras quantizes
    them: attention stays float.
    """
    floats: Tensors = {
        "backbone/embeddings/token/vars/0": ((30_522, 768), "f4"),
        "backbone/embeddings/position/vars/0": ((512, 768), "f4"),
        "backbone/embeddings_layer_norm/vars/0": ((768,), "f4"),
        "backbone/embeddings_layer_norm/vars/1": ((768,), "f4"),
    }
    for layer in range(6):
        at = f"backbone/layers/transformer_layer_{layer}"
        for name, shape in (
            ("query", (768, 12, 64)),
            ("key", (768, 12, 64)),
            ("value", (768, 12, 64)),
            ("output", (12, 64, 768)),
        ):
            floats[f"{at}/self_attention/{name}_dense/vars/0"] = (shape, "f4")
            floats[f"{at}/self_attention/{name}_dense/vars/1"] = (
                shape[1:] if name != "output" else (768,),
                "f4",
            )
        for norm in ("self_attention_layer_norm", "feedforward_layer_norm"):
            floats |= {f"{at}/{norm}/vars/{index}": ((768,), "f4") for index in (0, 1)}
    packed: Tensors = dict(floats)
    dense = {
        f"backbone/layers/transformer_layer_{layer}/feedforward_{name}": shape
        for layer in range(6)
        for name, shape in _FEED.items()
    }
    for name, shape in (dense | {"pooled_dense": (768, 768), "output_dense": (768, 2)}).items():
        _put(floats, packed, name, shape, 1)
        for tensors in (floats, packed):
            tensors[f"{name}/vars/1"] = (shape[1:], "f4")
    return floats, packed


_FEED = {"intermediate_dense": (768, 3_072), "output_dense": (3_072, 768)}
GEMMA3_1B = _gemma3()
DISTILBERT = _distilbert()


def _ds_cnn(keras: Any) -> Any:
    """Return the large depthwise separable network for keyword spotting: 276 filters, 12 words."""
    layers = keras.layers
    inputs = keras.Input((49, 10, 1))
    x = layers.Conv2D(276, (10, 4), (2, 1), padding="same", use_bias=True)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for index in range(5):
        x = layers.DepthwiseConv2D(3, (2, 2) if index == 0 else (1, 1), padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(276, 1)(x)))
    x = layers.AveragePooling2D((x.shape[1], x.shape[2]))(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(layers.Flatten()(x)))


def _resnet8(keras: Any) -> Any:
    """Return the residual network of MLPerf Tiny for 32 x 32 images: three stacks of 16, 32 and 64
    filters.
    """
    layers = keras.layers

    def conv(x: Any, filters: int, size: int, strides: int) -> Any:
        return layers.Conv2D(
            filters, size, strides, padding="same", kernel_regularizer=keras.regularizers.l2(1e-4)
        )(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(conv(inputs, 16, 3, 1)))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.Activation("relu")(layers.BatchNormalization()(conv(x, filters, 3, strides)))
        y = layers.BatchNormalization()(conv(y, filters, 3, 1))
        x = conv(x, filters, 1, strides) if strides == 2 else x
        x = layers.Activation("relu")(layers.add([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def _vww(keras: Any) -> Any:
    """Return the MobileNet of MLPerf Tiny for persons: width 0.25, 96 x 96 pixels, two classes."""
    layers = keras.layers
    inputs = keras.Input((96, 96, 3))
    x = layers.Conv2D(8, 3, 2, padding="same")(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters, strides in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *[(128, 1)] * 5,
        (256, 2),
        (256, 1),
    ):
        x = layers.Activation("relu")(
            layers.BatchNormalization()(layers.DepthwiseConv2D(3, strides, padding="same")(x))
        )
        x = layers.Activation("relu")(
            layers.BatchNormalization()(layers.Conv2D(filters, 1, padding="same")(x))
        )
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def _autoencoder(keras: Any) -> Any:
    """Return the autoencoder of MLPerf Tiny for sounds: 640 inputs, four layers of 128, 8 in the middle."""
    layers = keras.layers
    inputs = x = keras.Input((640,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(640)(x))


TABLES: dict[str, Callable[[Any], Any]] = {
    "DS-CNN-L": _ds_cnn,
    "MobileNet v1 224": lambda keras: keras.applications.MobileNet(weights=None),
    "MobileNet v2 224": lambda keras: keras.applications.MobileNetV2(weights=None),
}
"""Networks of the tables of tfmot."""

_TRAINED = "git/mlcommons+tiny/HEAD/benchmark/training"
TINY: dict[str, tuple[Callable[[Any], Any], int, int, str]] = {
    "pretrainedResnet": (
        _resnet8,
        318_144,
        98_496,
        f"{_TRAINED}/image_classification/trained_models/pretrainedResnet_quant.tflite",
    ),
    "vww_96": (_vww, 866_284, 333_288, f"{_TRAINED}/visual_wake_words/trained_models/vww_96_int8.tflite"),
    "ad01": (
        _autoencoder,
        1_067_648,
        276_976,
        f"{_TRAINED}/anomaly_detection/trained_models/ad01_int8.tflite",
    ),
}
"""Each model of MLPerf Tiny: how it is built, the published float and int8 bytes, and the int8 file in the
corpus.
"""
