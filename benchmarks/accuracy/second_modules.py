"""Subclassed models, whose wiring is Python: they are saved as SavedModels only.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model that
was called once, without trained weights.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.second_images import Builder


def _called(model: Any, *shape: int, dtype: str = "float32") -> Any:
    """Call a model once, which makes its variables and its signature."""
    model(np.zeros((2, *shape), dtype))
    return model


def quickstart(library: Any, draw: random.Random) -> Any:
    """The expert's first tutorial."""
    k, filters = library.layers, draw.choice((16, 24))

    class MyModel(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = k.Conv2D(filters, 3, activation="relu")
            self.flatten = k.Flatten()
            self.d1 = k.Dense(32, activation="relu")
            self.d2 = k.Dense(10)

        def call(self, x: Any) -> Any:
            x = self.conv1(x)
            x = self.flatten(x)
            x = self.d1(x)
            return self.d2(x)

    return _called(MyModel(), 28, 28, 1)


def residual(library: Any, draw: random.Random) -> Any:
    """Blocks that are models in a model, as in guides to subclassing."""
    k = library.layers

    class Block(library.Model):
        def __init__(self, filters: int, width: int, name: str) -> None:
            super().__init__(name=name)
            self.first = k.Conv2D(filters, 1, name="first")
            self.one = k.BatchNormalization(name="one")
            self.second = k.Conv2D(filters, width, padding="same", name="second")
            self.two = k.BatchNormalization(name="two")
            self.relu = k.ReLU(name="relu")

        def call(self, inputs: Any, training: bool = False) -> Any:
            x = self.relu(self.one(self.first(inputs), training=training))
            x = self.two(self.second(x), training=training)
            return self.relu(x + inputs)

    class Net(library.Model):
        def __init__(self, blocks: int) -> None:
            super().__init__(name="net")
            self.stem = k.Conv2D(12, 3, strides=2, padding="same", name="stem")
            self.blocks = [Block(12, 3, f"block_{place}") for place in range(blocks)]
            self.pool = k.GlobalAveragePooling2D(name="pool")
            self.head = k.Dense(7, activation="softmax", name="head")

        def call(self, inputs: Any, training: bool = False) -> Any:
            x = self.stem(inputs)
            for block in self.blocks:
                x = block(x, training=training)
            return self.head(self.pool(x))

    return _called(Net(draw.randint(1, 3)), 32, 32, 3)


def autoencoder(library: Any, draw: random.Random) -> Any:
    """The autoencoder of the tutorial: two chains, called one after the other."""
    k, latent = library.layers, draw.choice((8, 32))

    class Autoencoder(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = library.Sequential([k.Flatten(), k.Dense(latent, activation="relu")])
            self.decoder = library.Sequential(
                [k.Dense(784, activation="sigmoid"), k.Reshape((28, 28))],
            )

        def call(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    return _called(Autoencoder(), 28, 28)


def denoising(library: Any, draw: random.Random) -> Any:
    """The convolutional autoencoder of the same tutorial."""
    k = library.layers

    class Denoise(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = library.Sequential(
                [
                    k.Conv2D(16, (3, 3), activation="relu", padding="same", strides=2),
                    k.Conv2D(8, (3, 3), activation="relu", padding="same", strides=2),
                ]
            )
            self.decoder = library.Sequential(
                [
                    k.Conv2DTranspose(8, kernel_size=3, strides=2, activation="relu", padding="same"),
                    k.Conv2DTranspose(16, kernel_size=3, strides=2, activation="relu", padding="same"),
                    k.Conv2D(1, kernel_size=(3, 3), activation="sigmoid", padding="same"),
                ]
            )

        def call(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    return _called(Denoise(), 28, 28, 1)


def transformer_block(library: Any, draw: random.Random) -> Any:
    """Text by a custom layer of attention and a custom layer of places."""
    k, width = library.layers, 16

    class Places(k.Layer):
        def __init__(self) -> None:
            super().__init__(name="places")
            self.words = k.Embedding(200, width, name="words")
            self.steps = k.Embedding(20, width, name="steps")

        def call(self, x: Any) -> Any:
            return self.words(x) + self.steps(np.arange(20))

    class Block(k.Layer):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.attention = k.MultiHeadAttention(num_heads=2, key_dim=width, name="attention")
            self.inner = k.Dense(24, activation="relu", name="inner")
            self.outer = k.Dense(width, name="outer")
            self.one = k.LayerNormalization(epsilon=1e-6, name="one")
            self.two = k.LayerNormalization(epsilon=1e-6, name="two")

        def call(self, x: Any) -> Any:
            x = self.one(x + self.attention(x, x))
            return self.two(x + self.outer(self.inner(x)))

    class Classifier(library.Model):
        def __init__(self) -> None:
            super().__init__(name="classifier")
            self.places, self.block = Places(), Block()
            self.pool = k.GlobalAveragePooling1D(name="pool")
            self.head = k.Dense(2, activation=draw.choice(("softmax", None)), name="head")

        def call(self, x: Any) -> Any:
            return self.head(self.pool(self.block(self.places(x))))

    return _called(Classifier(), 20, dtype="int32")


def linear_layers(library: Any, draw: random.Random) -> Any:
    """Layers with their own weights, as in the guide to making layers."""
    k = library.layers
    sizes = draw.choice(((32, 32, 1), (24, 48, 4)))

    class Linear(k.Layer):
        def __init__(self, units: int, name: str) -> None:
            super().__init__(name=name)
            self.units = units

        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[-1], self.units), initializer="zeros", name="w")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.matmul(x, self.w) + self.b

    class Block(library.Model):
        def __init__(self) -> None:
            super().__init__(name="mlp_block")
            self.parts = [Linear(units, f"linear_{place}") for place, units in enumerate(sizes)]
            self.relu = k.ReLU(name="relu")

        def call(self, x: Any) -> Any:
            for part in self.parts[:-1]:
                x = self.relu(part(x))
            return self.parts[-1](x)

    return _called(Block(), 64)


def variational(library: Any, draw: random.Random) -> Any:
    """Means, and decoded means: two outputs of an autoencoder, as a dictionary."""
    k, latent = library.layers, draw.choice((2, 4))

    class Coder(library.Model):
        def __init__(self) -> None:
            super().__init__(name="coder")
            self.one = k.Dense(32, activation="relu", name="one")
            self.mean = k.Dense(latent, name="mean")
            self.spread = k.Dense(latent, name="spread")
            self.two = k.Dense(32, activation="relu", name="two")
            self.out = k.Dense(40, activation="sigmoid", name="out")

        def call(self, x: Any) -> Any:
            h = self.one(x)
            mean = self.mean(h)
            return {"decoded": self.out(self.two(mean)), "mean": mean, "spread": self.spread(h)}

    return _called(Coder(), 40)


SECOND_MODULES: dict[str, tuple[str, Builder]] = {
    "s-module-autoencoder": ("subclassed", autoencoder),
    "s-module-denoising": ("subclassed", denoising),
    "s-module-linear": ("subclassed", linear_layers),
    "s-module-quickstart": ("subclassed", quickstart),
    "s-module-residual": ("subclassed", residual),
    "s-module-transformer": ("subclassed", transformer_block),
    "s-module-variational": ("subclassed", variational),
}
"""The class of each kind of network, and what builds it."""
