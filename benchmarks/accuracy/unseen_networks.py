"""Build networks that nobody tuned `plan` for: seeded, of many kinds, in Keras 2 and Keras 3, and converts
them with TensorFlow.

usage: python benchmarks/accuracy/unseen_networks.py KERAS FOLDER [PART] [--seeds BASE]
       python benchmarks/accuracy/unseen_networks.py FOLDER --store

A network is saved without weights; its weights come from numpy only (`fill`), so a test makes it again
without TensorFlow and holds the predictions against the sizes that TensorFlow's files had: ``--store`` writes
``unseen_bases.tar.xz`` and ``unseen_sizes.csv``.
"""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent
BASES = "unseen_bases.tar.xz"
sys.path.insert(0, str(FOLDER.parents[1]))

from benchmarks.accuracy.plan_networks import pruned  # noqa: E402

SPARSITIES = (0.2, 0.35, 0.5, 0.8, 0.95)
PATTERNS = ("unstructured", "4x1", "16x1")
DENSE = 1000
"""Networks with seeds from here on have no pruned weights."""
Builder = Callable[[Any, random.Random, str], Any]


@dataclass(frozen=True)
class Network:
    """A network: its kind, the version of Keras, and the seed of what is drawn."""

    kind: str
    keras: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.keras}-{self.seed}"

    @property
    def sparsity(self) -> float:
        if self.seed >= DENSE:
            return 0.0
        return SPARSITIES[(self.seed + self.keras) % len(SPARSITIES)]

    @property
    def pattern(self) -> str:
        return PATTERNS[self.seed % len(PATTERNS)]

    @property
    def is_fresh(self) -> bool:
        """Return whether biases are zero and normalizations do nothing, as before training."""
        return self.seed % 5 == 4


def networks(base: int = 0) -> Iterator[Network]:
    """Yield a network of every kind, version and seed."""
    for kind, (_, seeds) in KINDS.items():
        for keras in (2, 3):
            for seed in range(base, base + seeds):
                yield Network(kind, keras, seed)


def named(name: str) -> Network:
    """Return the network of a name."""
    kind, keras, seed = name.rsplit("-", 2)
    return Network(kind, int(keras), int(seed))


def fill(path: Path, network: Network) -> None:
    """Write a network's weights into the file that Keras saved."""
    with h5py.File(path, "r+") as file:

        def one(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size:
                item[...] = weight(network, name, item.shape)

        file["model_weights"].visititems(one)


def weight(network: Network, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the values of a variable: matrices and 4-D kernels are pruned, also in blocks where they divide
    the inputs.
    """
    last = name.split("/")[-1].split(":")[0]
    draw = np.random.default_rng(zlib.crc32(f"{network.kind}/{network.seed}/{name}".encode()))
    values = draw.standard_normal(shape).astype(np.float32) * np.float32(0.1)
    if len(shape) < 2:
        trained = {"moving_variance": np.abs(values) + np.float32(0.5), "gamma": values + np.float32(1)}
        if not network.is_fresh:
            return trained.get(last, values)
        return np.ones(shape, np.float32) if last in trained else np.zeros(shape, np.float32)
    if len(shape) not in (2, 4):
        return pruned(values.reshape(-1, shape[-1]), network.sparsity, "unstructured").reshape(shape)
    length = int(network.pattern.split("x")[0]) if "x" in network.pattern else 1
    in_blocks = len(shape) == 2 and shape[0] % length == 0
    return pruned(values, network.sparsity, network.pattern if in_blocks else "unstructured")


def build(network: Network, library: Any) -> Any:
    """Return the network, not trained; ``library`` is tf_keras or keras."""
    draw = random.Random(f"{network.kind}/{network.seed}")
    library.backend.clear_session()
    return KINDS[network.kind][0](library, draw, network.kind)


def _sequential(library: Any, parts: list[Any], draw: random.Random, kind: str) -> Any:
    name = draw.choice((None, kind, "my_model"))
    return library.Sequential(parts, name=name) if name else library.Sequential(parts)


def _chained(library: Any, parts: list[Any], draw: random.Random, kind: str) -> Any:
    """Chain layers, as a Sequential or as a functional model."""
    if draw.random() < 0.5:
        return _sequential(library, parts, draw, kind)
    tensor = parts[0]
    for layer in parts[1:]:
        tensor = layer(tensor)
    return library.Model(parts[0], tensor)


def mlp(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [layers.Input((draw.choice((7, 16, 33, 64, 100, 784)),))]
    for _ in range(draw.randint(1, 5)):
        units = draw.choice((5, 16, 24, 37, 64, 96, 128, 200))
        act = draw.choice(("relu", "relu", "relu", "tanh", "sigmoid", None, "elu", "selu", "relu6"))
        parts.append(layers.Dense(units, activation=act, use_bias=draw.random() < 0.85))
        extra = draw.random()
        if extra < 0.2:
            parts.append(layers.Dropout(0.3))
        elif extra < 0.4:
            parts.append(layers.BatchNormalization())
        elif extra < 0.5:
            parts.append(layers.LeakyReLU())
        elif extra < 0.6:
            parts.append(layers.ReLU())
    parts.append(
        layers.Dense(draw.choice((1, 2, 10, 31)), activation=draw.choice(("softmax", "sigmoid", None)))
    )
    return _chained(library, parts, draw, kind)


def cnn(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    side = draw.choice((16, 20, 28, 32))
    parts = [layers.Input((side, side, draw.choice((1, 3))))]
    for _ in range(draw.randint(1, 3)):
        filters = draw.choice((4, 8, 12, 17, 24, 32))
        padding = draw.choice(("same", "valid"))
        if draw.random() < 0.5:
            strides = draw.choice((1, 1, 2))
            parts.append(
                layers.Conv2D(
                    filters,
                    draw.choice((1, 3, 3, 5)),
                    strides=strides,
                    padding=padding,
                    activation=draw.choice(("relu", "relu", "tanh", None)),
                )
            )
        else:
            parts.append(layers.Conv2D(filters, 3, padding="same", use_bias=draw.random() < 0.5))
            parts.append(layers.BatchNormalization())
            parts.append(
                draw.choice((layers.ReLU(), layers.Activation("relu"), layers.ReLU(6.0), layers.LeakyReLU()))
            )
        extra = draw.random()
        if extra < 0.4:
            parts.append(layers.MaxPooling2D(2))
        elif extra < 0.55:
            parts.append(layers.AveragePooling2D(2, padding="same"))
        elif extra < 0.65:
            parts.append(layers.Dropout(0.2))
    parts.append(
        draw.choice((layers.Flatten(), layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D()))
    )
    if draw.random() < 0.6:
        parts.append(layers.Dense(draw.choice((20, 64, 100)), activation="relu"))
        parts.append(layers.Dropout(0.5))
    parts.append(layers.Dense(draw.choice((2, 10)), activation=draw.choice(("softmax", None))))
    return _chained(library, parts, draw, kind)


def cnn1d(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [layers.Input((draw.choice((40, 64, 128)), draw.choice((1, 3, 9))))]
    for _ in range(draw.randint(1, 3)):
        parts.append(
            layers.Conv1D(
                draw.choice((8, 16, 40)),
                draw.choice((3, 5)),
                strides=draw.choice((1, 2)),
                padding=draw.choice(("same", "valid")),
                activation=draw.choice(("relu", None)),
            )
        )
        extra = draw.random()
        if extra < 0.4:
            parts.append(layers.MaxPooling1D(2))
        elif extra < 0.7:
            parts.append(layers.BatchNormalization())
    parts.append(
        draw.choice((layers.Flatten(), layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D()))
    )
    parts.append(layers.Dense(draw.choice((2, 10)), activation="softmax"))
    return _chained(library, parts, draw, kind)


def separable(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [
        layers.Input((32, 32, 3)),
        layers.Conv2D(draw.choice((8, 16)), 3, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(draw.choice((None, 6.0))),
    ]
    for _ in range(draw.randint(1, 3)):
        which = draw.random()
        if which < 0.4:
            parts.append(
                layers.DepthwiseConv2D(
                    3, padding=draw.choice(("same", "valid")), use_bias=draw.random() < 0.5
                )
            )
            if draw.random() < 0.5:
                parts.append(layers.BatchNormalization())
            parts.append(layers.ReLU(draw.choice((None, 6.0))))
            parts.append(layers.Conv2D(draw.choice((16, 24, 40)), 1, activation=draw.choice((None, "relu"))))
        else:
            parts.append(
                layers.SeparableConv2D(
                    draw.choice((16, 24, 48)),
                    3,
                    strides=draw.choice((1, 2)),
                    padding="same",
                    activation=draw.choice(("relu", None)),
                )
            )
            if draw.random() < 0.5:
                parts.append(layers.BatchNormalization())
    parts += [layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]
    return _chained(library, parts, draw, kind)


def small_layers(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [layers.Input((8,))]
    parts += [
        layers.Dense(draw.choice((6, 8, 11)), activation=draw.choice(("relu", "tanh")))
        for _ in range(draw.randint(12, 24))
    ]
    return _chained(library, parts, draw, kind)


def resnet(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    given = layers.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(given)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    depth = 16
    for filters in draw.choice(((16, 32), (16, 24, 32), (16,))):
        short = x
        strides = 1 if filters == depth else 2
        bias = draw.random() < 0.5
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=bias)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(filters, 3, padding="same", use_bias=bias)(x)
        x = layers.BatchNormalization()(x)
        if filters != depth:
            short = layers.Conv2D(filters, 1, strides=strides, padding="same")(short)
        x = layers.Add()([x, short])
        x = layers.ReLU()(x)
        depth = filters
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(
        given, layers.Dense(10, activation="softmax")(x), name=draw.choice(("resnet", "tiny_resnet"))
    )


def inception(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    given = layers.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(given)
    for _ in range(draw.randint(1, 2)):
        a = layers.Conv2D(8, 1, padding="same", activation="relu")(x)
        b = layers.Conv2D(12, 3, padding="same", activation="relu")(x)
        c = layers.MaxPooling2D(3, strides=1, padding="same")(x)
        x = layers.Concatenate()([a, b, c])
    x = draw.choice((layers.Flatten, layers.GlobalAveragePooling2D))()(x)
    x = layers.Dense(32, activation="relu")(x)
    return library.Model(given, layers.Dense(5, activation="softmax")(x))


def squeeze(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    given = layers.Input((16, 16, 3))
    x = layers.ZeroPadding2D(1)(given)
    x = layers.Conv2D(24, 3, activation="relu")(x)
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Dense(6, activation="relu")(gate)
    gate = layers.Dense(24, activation="sigmoid")(gate)
    gate = layers.Reshape((1, 1, 24))(gate)
    x = layers.Multiply()([x, gate])
    x = layers.GlobalAveragePooling2D()(x)
    return library.Model(given, layers.Dense(draw.choice((10, 100)))(x))


def autoencoder(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [
        layers.Input((28, 28, 1)),
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
    ]
    if draw.random() < 0.5:
        parts += [
            layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation=draw.choice(("relu", None))),
        ]
    else:
        parts += [
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2, interpolation=draw.choice(("nearest", "bilinear"))),
        ]
    parts.append(layers.Conv2D(1, 3, padding="same", activation="sigmoid"))
    return _chained(library, parts, draw, kind)


def dense_autoencoder(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [
        layers.Input((28, 28)),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(draw.choice((8, 16)), activation="relu"),
        layers.Dense(64, activation="relu"),
        layers.Dense(784, activation="sigmoid"),
        layers.Reshape((28, 28)),
    ]
    return _chained(library, parts, draw, kind)


def text(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    parts = [
        layers.Input((draw.choice((20, 50)),)),
        layers.Embedding(draw.choice((200, 1000, 3000)), draw.choice((8, 16, 32))),
    ]
    which = draw.random()
    if which < 0.4:
        parts.append(layers.GlobalAveragePooling1D())
    elif which < 0.6:
        parts.append(layers.Flatten())
    else:
        parts += [layers.Conv1D(32, 5, activation="relu"), layers.GlobalMaxPooling1D()]
    if draw.random() < 0.6:
        parts += [layers.Dense(24, activation="relu"), layers.Dropout(0.2)]
    parts.append(layers.Dense(draw.choice((1, 4)), activation="sigmoid"))
    return _chained(library, parts, draw, kind)


def recurrent(library: Any, draw: random.Random, kind: str) -> Any:
    """Layers that run over steps; where the batch is not fixed, `convert` fixes it."""
    layers = library.layers
    batch = draw.choice((None, None, 1, 2))
    parts = [
        layers.Input(batch_shape=(batch, draw.choice((12, 20)))),
        layers.Embedding(draw.choice((200, 500)), 16),
    ]
    if draw.random() < 0.6:
        parts = [layers.Input(batch_shape=(batch, draw.choice((16, 24)), draw.choice((4, 9, 12))))]
        if draw.random() < 0.3:
            parts += [layers.Conv1D(draw.choice((8, 16)), 3, activation="relu"), layers.MaxPooling1D(2)]
    cell = draw.choice((layers.LSTM, layers.LSTM, layers.GRU, layers.GRU, layers.SimpleRNN))
    if draw.random() < 0.4:
        parts.append(cell(draw.choice((16, 32)), return_sequences=True))
    last = cell(draw.choice((12, 16, 32, 48)), return_sequences=draw.random() < 0.3)
    parts.append(layers.Bidirectional(last) if draw.random() < 0.35 else last)
    if last.return_sequences:
        parts.append(
            draw.choice((layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D(), layers.Flatten()))
        )
    if draw.random() < 0.4:
        parts.append(layers.Dense(24, activation="relu"))
    parts.append(layers.Dense(3, activation="softmax"))
    return _chained(library, parts, draw, kind)


def dilated(library: Any, draw: random.Random, kind: str) -> Any:
    """Convolutions whose kernels are spread, of images and of sequences, also without a look ahead."""
    layers = library.layers
    batch = draw.choice((None, None, None, 1))
    if draw.random() < 0.4:
        parts = [layers.Input(batch_shape=(batch, draw.choice((48, 61)), draw.choice((3, 8))))]
        padding = draw.choice(("causal", "causal", "same", "valid"))
        for rate in draw.choice(((1, 2, 4), (2, 3), (1, 2))):
            filters, act = draw.choice((8, 16, 24)), draw.choice(("relu", None))
            parts.append(layers.Conv1D(filters, 3, dilation_rate=rate, padding=padding, activation=act))
        parts.append(
            draw.choice((layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D(), layers.Flatten()))
        )
        return _chained(library, [*parts, layers.Dense(5, activation="softmax")], draw, kind)
    side = draw.choice((17, 24, 32))
    parts = [
        layers.Input(batch_shape=(batch, side, side, 3)),
        layers.Conv2D(12, 3, padding="same", activation="relu"),
    ]
    for _ in range(draw.randint(1, 3)):
        rate, padding = draw.choice((2, 2, 3, (1, 2))), draw.choice(("same", "same", "valid"))
        bias, which = draw.random() < 0.5, draw.random()
        if which < 0.6:
            parts.append(
                layers.Conv2D(
                    draw.choice((8, 12, 20)),
                    draw.choice((3, 3, 5)),
                    dilation_rate=rate,
                    padding=padding,
                    use_bias=bias,
                )
            )
        elif which < 0.8:
            parts.append(layers.DepthwiseConv2D(3, dilation_rate=rate, padding=padding, use_bias=bias))
        else:
            parts.append(layers.SeparableConv2D(16, 3, dilation_rate=rate, padding=padding, use_bias=bias))
        if draw.random() < 0.6:
            parts.append(layers.BatchNormalization())
        parts.append(draw.choice((layers.ReLU(), layers.Activation("relu"), layers.ReLU(6.0))))
    parts += [layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]
    return _chained(library, parts, draw, kind)


def sequences(library: Any, draw: random.Random, kind: str) -> Any:
    """Sequences that are padded, cut, repeated, and looked at step by step."""
    layers = library.layers
    if draw.random() < 0.5:
        parts = [
            layers.Input((draw.choice((12, 30)),)),
            layers.Dense(draw.choice((6, 12)), activation="relu"),
        ]
        parts.append(layers.RepeatVector(draw.choice((6, 10))))
    else:
        parts = [
            layers.Input((draw.choice((20, 33)), draw.choice((4, 7)))),
            layers.ZeroPadding1D(draw.choice((1, 2, (0, 3)))),
        ]
    parts.append(
        layers.Conv1D(
            draw.choice((8, 16)),
            3,
            padding=draw.choice(("same", "causal")),
            activation=draw.choice(("relu", None)),
        )
    )
    parts.append(layers.Cropping1D(draw.choice((1, (0, 2), (2, 1)))))
    if library.__name__ == "tf_keras" and draw.random() < 0.6:
        parts.append(layers.TimeDistributed(layers.Dense(9, activation=draw.choice(("relu", None)))))
    parts.append(
        draw.choice((layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D(), layers.Flatten()))
    )
    return _chained(library, [*parts, layers.Dense(4, activation="softmax")], draw, kind)


def normalized(library: Any, draw: random.Random, kind: str) -> Any:
    """Layers normalized within a sample: of images, as in ConvNeXt, and of vectors."""
    layers = library.layers
    if draw.random() < 0.4:
        parts = [layers.Input((draw.choice((16, 40)),))]
        for _ in range(draw.randint(1, 3)):
            parts.append(layers.Dense(draw.choice((24, 32, 64)), activation=draw.choice((None, "relu"))))
            parts.append(layers.LayerNormalization(epsilon=draw.choice((1e-3, 1e-6))))
            parts.append(layers.Activation(draw.choice(("relu", "gelu", "tanh"))))
        return _chained(library, [*parts, layers.Dense(10, activation="softmax")], draw, kind)
    side = draw.choice((16, 24))
    given = layers.Input((side, side, 3))
    x = layers.Conv2D(16, 4, strides=4)(given)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    for _ in range(draw.randint(1, 2)):
        more = layers.DepthwiseConv2D(3, padding="same")(x)
        more = layers.LayerNormalization(epsilon=1e-6)(more)
        more = layers.Conv2D(32, 1, activation=draw.choice(("gelu", "relu")))(more)
        more = layers.Conv2D(16, 1)(more)
        x = layers.Add()([x, more])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x) if draw.random() < 0.5 else x
    return library.Model(given, layers.Dense(7, activation="softmax")(x))


def attention(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    given = layers.Input((16,))
    x = layers.Embedding(400, 32)(given)
    for _ in range(draw.randint(1, 2)):
        told = layers.MultiHeadAttention(num_heads=2, key_dim=16)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, told]))
        more = layers.Dense(64, activation=draw.choice(("relu", "gelu")))(x)
        more = layers.Dense(32)(more)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, more]))
    x = layers.GlobalAveragePooling1D()(x)
    return library.Model(given, layers.Dense(4, activation="softmax")(x))


def many_ways(library: Any, draw: random.Random, kind: str) -> Any:
    """Several inputs, several outputs, a layer used twice."""
    layers = library.layers
    first, second = layers.Input((12,), name="first"), layers.Input((20,), name="second")
    a, b = layers.Dense(16, activation="relu")(first), layers.Dense(16, activation="relu")(second)
    if draw.random() < 0.5:
        shared = layers.Dense(16, activation="tanh", name="shared")
        a, b = shared(a), shared(b)
    x = draw.choice(
        (layers.Concatenate, layers.Add, layers.Multiply, layers.Subtract, layers.Maximum, layers.Average)
    )()([a, b])
    outputs = [
        layers.Dense(1, activation="sigmoid", name="yes")(x),
        layers.Dense(5, activation="softmax", name="which")(x),
    ]
    return library.Model([first, second], outputs if draw.random() < 0.6 else outputs[0])


def mobilenet_v2(library: Any, draw: random.Random, kind: str) -> Any:
    return library.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=draw.choice((2, 10))
    )


def mobilenet(library: Any, draw: random.Random, kind: str) -> Any:
    return library.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, weights=None, classes=10)


def transfer(library: Any, draw: random.Random, kind: str) -> Any:
    """A model within a model, after a rescaling, as for transfer learning."""
    layers = library.layers
    base = library.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, include_top=False
    )
    given = layers.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(given)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return library.Model(given, layers.Dense(3, activation="softmax")(x))


def unet(library: Any, draw: random.Random, kind: str) -> Any:
    layers = library.layers
    given = layers.Input((32, 32, 3))
    x = given
    kept = []
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        kept.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(24, 3, padding="same", activation="relu")(x)
    for filters, one in zip((16, 8), reversed(kept), strict=True):
        x = (
            layers.UpSampling2D()(x)
            if draw.random() < 0.5
            else layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        )
        x = layers.Concatenate()([x, one])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return library.Model(given, layers.Conv2D(2, 1, activation="softmax")(x))


def plain(library: Any, draw: random.Random, kind: str) -> Any:
    """Layers with parameters that are less usual."""
    layers = library.layers
    side = draw.choice((15, 24, 33))
    parts = [layers.Input((side, side, 4))]
    for _ in range(draw.randint(2, 5)):
        which = draw.randrange(13)
        if which == 0:
            parts.append(
                layers.Conv2D(
                    12, 3, dilation_rate=2, padding=draw.choice(("same", "valid")), activation="relu"
                )
            )
        elif which == 1:
            parts.append(
                layers.Conv2D(8, (1, 3), strides=(1, 2), activation=draw.choice(("swish", "gelu", "sigmoid")))
            )
        elif which == 2:
            parts.append(
                layers.Conv2DTranspose(
                    6, 3, strides=2, padding=draw.choice(("same", "valid")), use_bias=draw.random() < 0.5
                )
            )
        elif which == 3:
            parts.append(layers.PReLU(shared_axes=draw.choice(([1, 2], None))))
        elif which == 4:
            parts.append(layers.Cropping2D(1))
        elif which == 5:
            parts.append(layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"))
        elif which == 6:
            parts.append(layers.BatchNormalization(scale=draw.random() < 0.5, center=draw.random() < 0.5))
        elif which == 7:
            parts.append(
                layers.DepthwiseConv2D(3, depth_multiplier=2, strides=draw.choice((1, 2)), padding="same")
            )
        elif which == 8:
            parts.append(layers.SeparableConv2D(10, 3, depth_multiplier=draw.choice((1, 2)), use_bias=False))
        elif which == 9:
            parts.append(
                layers.Activation(
                    draw.choice(("softplus", "hard_sigmoid", "softsign", "exponential", "gelu", "swish"))
                )
            )
        elif which == 10:
            parts.append(layers.LayerNormalization())
        elif which == 11:
            parts.append(layers.ZeroPadding2D(((0, 1), (2, 1))))
        else:
            parts.append(layers.SpatialDropout2D(0.1))
    parts.append(
        draw.choice(
            (layers.Flatten(), layers.GlobalAveragePooling2D(keepdims=True), layers.Permute((3, 1, 2)))
        )
    )
    if draw.random() < 0.7:
        parts.append(layers.Dense(20, activation=draw.choice(("softplus", "gelu", "swish", "relu"))))
    parts.append(layers.Dense(4))
    return _chained(library, parts, draw, kind)


KINDS: dict[str, tuple[Builder, int]] = {
    "mlp": (mlp, 8),
    "cnn": (cnn, 10),
    "cnn1d": (cnn1d, 4),
    "separable": (separable, 5),
    "small-layers": (small_layers, 2),
    "resnet": (resnet, 3),
    "inception": (inception, 2),
    "squeeze": (squeeze, 2),
    "autoencoder": (autoencoder, 4),
    "dense-autoencoder": (dense_autoencoder, 2),
    "text": (text, 5),
    "recurrent": (recurrent, 8),
    "dilated": (dilated, 5),
    "normalized": (normalized, 4),
    "sequences": (sequences, 4),
    "attention": (attention, 2),
    "many-ways": (many_ways, 4),
    "mobilenet": (mobilenet, 1),
    "mobilenet-v2": (mobilenet_v2, 2),
    "transfer": (transfer, 1),
    "unet": (unet, 2),
    "plain": (plain, 12),
}

FORMS = {
    "float32": ((), False),
    "float16": (("DEFAULT",), True),
    "dynamic-int8": (("DEFAULT",), False),
    "float32-sparse": (("EXPERIMENTAL_SPARSITY",), False),
    "dynamic-int8-sparse": (("DEFAULT", "EXPERIMENTAL_SPARSITY"), False),
}
"""The optimizations of each form, and whether floats are halved."""


def convert(network: Network, library: Any, target: Path) -> None:
    """Save a network, fill it, load it and convert it; a form that the converter refuses is not there."""
    import tensorflow as tf

    target.mkdir(parents=True, exist_ok=True)
    path = target / "model.h5"
    made = build(network, library)
    made.save(str(path), **({"include_optimizer": False} if network.keras == 2 else {}))
    fill(path, network)
    model = library.models.load_model(str(path), compile=False)
    model = with_batch(model, library) if network.kind == "recurrent" else model
    for form, (optimizations, halved) in FORMS.items():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [getattr(tf.lite.Optimize, name) for name in optimizations]
        if halved:
            converter.target_spec.supported_types = [tf.float16]
        try:
            (target / f"{form}.tflite").write_bytes(converter.convert())
        except Exception as error:  # noqa: BLE001  # of many kinds, all of them a refusal
            print(network.name, form, str(error)[:100].replace("\n", " "))
            break
    (target / "done").touch()


def with_batch(model: Any, library: Any) -> Any:
    """Return a model with a batch of one where it has none, without which the converter refuses loops."""
    if all(each.shape[0] is not None for each in model.inputs):
        return model
    given = [library.Input(each.shape[1:], 1, dtype=each.dtype, name=each.name) for each in model.inputs]
    fixed = library.models.clone_model(model, input_tensors=given if len(given) > 1 else given[0])
    fixed.set_weights(model.get_weights())
    return fixed


def bases() -> dict[str, bytes]:
    """Return the files of all networks, with zeros for weights, by network."""
    with tarfile.open(FOLDER / BASES) as archive:
        return {
            member.name.removesuffix(".h5"): file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def store(folder: Path) -> None:
    """Write the files of networks without their weights, and the sizes of their forms; 0 where the converter
    refused.

    Networks that were stored and are not in the folder stay.
    """
    scratch = folder / "base.h5"
    done = sorted(path.parent for path in folder.glob("*/done"))
    names = {target.name for target in done}
    with (FOLDER / "unseen_sizes.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (row["network"], row["form"], int(row["size"]))
            for row in csv.DictReader(file)
            if row["network"] not in names
        ]
    held = {name: data for name, data in bases().items() if name not in names}
    for target in done:
        shutil.copy(target / "model.h5", scratch)
        with h5py.File(scratch, "r+") as file:
            file["model_weights"].visititems(_clear)
        held[target.name] = scratch.read_bytes()
        for form in FORMS:
            path = target / f"{form}.tflite"
            rows.append((target.name, form, path.stat().st_size if path.is_file() else 0))
    with tarfile.open(FOLDER / BASES, "w:xz", preset=9) as archive:
        for name, data in sorted(held.items()):
            member = tarfile.TarInfo(f"{name}.h5")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    scratch.unlink(missing_ok=True)
    with (FOLDER / "unseen_sizes.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [("network", "form", "size"), *sorted(rows, key=lambda row: row[0])]
        )


def _clear(_: str, item: object) -> None:
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size:
        item[...] = 0


def main() -> None:
    if "--store" in sys.argv:
        store(Path(sys.argv[1]))
        return
    keras, folder = int(sys.argv[1]), Path(sys.argv[2])
    if keras == 2:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tf_keras as library
    else:
        import keras as library
    part = sys.argv[3] if len(sys.argv) > 3 and not sys.argv[3].startswith("--") else ""
    base = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 0
    for network in networks(base):
        if network.keras == keras and part in network.name and not (folder / network.name / "done").exists():
            convert(network, library, folder / network.name)
            print(network.name, flush=True)


if __name__ == "__main__":
    main()
