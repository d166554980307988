"""Networks of the fourth set that are SavedModels only: subclassed models, functional models with custom
layers or functions of TensorFlow, and modules of TensorFlow.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model that
was called once, or a ``tf.Module`` whose ``__call__`` has a signature.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.third_images import Builder


def _called(model: Any, *shape: int, dtype: str = "float32") -> Any:
    """Call a model once, which makes its variables and its signature."""
    model(np.zeros((1, *shape), dtype))
    return model


def subpixels(library: Any, draw: random.Random) -> Any:
    """ESPCN: depth to space as the last step of a subclassed model."""
    import tensorflow as tf

    k, scale = library.layers, draw.choice((2, 3))

    class Enlarger(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = k.Conv2D(16, 5, padding="same", activation="tanh")
            self.second = k.Conv2D(12, 3, padding="same", activation="tanh")
            self.last = k.Conv2D(scale**2, 3, padding="same")

        def call(self, image: Any) -> Any:
            return tf.nn.depth_to_space(self.last(self.second(self.first(image))), scale)

    return _called(Enlarger(), 32, 32, 1)


def painter(library: Any, draw: random.Random) -> Any:
    """Style transfer with reflected borders and instance normalization as a custom layer with factors."""
    import tensorflow as tf

    k = library.layers

    class Instance(k.Layer):
        def build(self, shape: Any) -> None:
            self.gamma = self.add_weight(name="gamma", shape=(shape[-1],), initializer="ones")
            self.beta = self.add_weight(name="beta", shape=(shape[-1],), initializer="zeros")

        def call(self, x: Any) -> Any:
            mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)
            return (x - mean) / tf.sqrt(variance + 1e-3) * self.gamma + self.beta

    class Border(k.Layer):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.width = width

        def call(self, x: Any) -> Any:
            return tf.pad(x, [[0, 0], [self.width] * 2, [self.width] * 2, [0, 0]], "REFLECT")

    image = library.Input((40, 40, 3))
    x = k.ReLU()(Instance()(k.Conv2D(12, 9)(Border(4)(image))))
    for _ in range(draw.choice((1, 2))):
        y = k.ReLU()(Instance()(k.Conv2D(12, 3)(Border(1)(x))))
        x = k.Add()([x, Instance()(k.Conv2D(12, 3)(Border(1)(y)))])
    return library.Model(image, k.Conv2D(3, 9, activation="sigmoid")(Border(4)(x)))


def root_mean_square(library: Any, draw: random.Random) -> Any:
    """A block of a language model: RMS normalization, rotated positions, gated dense layers."""
    import tensorflow as tf

    k, width, heads, steps = library.layers, 32, draw.choice((2, 4)), 16
    size = width // heads

    class Scale(k.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")

        def call(self, x: Any) -> Any:
            return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-6) * self.scale

    class Rotated(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.joined = k.Dense(3 * width, use_bias=False)
            self.out = k.Dense(width, use_bias=False)
            angles = np.arange(steps)[:, None] / 100.0 ** (np.arange(size // 2)[None] / (size // 2))
            self.cos = np.cos(angles).astype("float32")[None, :, None]
            self.sin = np.sin(angles).astype("float32")[None, :, None]

        def turn(self, x: Any) -> Any:
            one, two = tf.split(x, 2, axis=-1)
            return tf.concat([one * self.cos - two * self.sin, two * self.cos + one * self.sin], -1)

        def call(self, x: Any) -> Any:
            q, key, v = tf.split(tf.reshape(self.joined(x), (-1, steps, 3 * heads, size)), 3, axis=2)
            q, key = self.turn(q), self.turn(key)
            scores = tf.einsum("bqhd,bkhd->bhqk", q, key) * size**-0.5
            scores += np.triu(np.full((steps, steps), -1e9, "float32"), 1)
            y = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), v)
            return self.out(tf.reshape(y, (-1, steps, width)))

    words = library.Input((steps,), dtype="int32")
    x = k.Embedding(256, width)(words)
    for _ in range(2):
        x = k.Add()([x, Rotated()(Scale()(x))])
        y = Scale()(x)
        y = k.Multiply()([k.Dense(64, activation="swish", use_bias=False)(y), k.Dense(64, use_bias=False)(y)])
        x = k.Add()([x, k.Dense(width, use_bias=False)(y)])
    return library.Model(words, k.Dense(256, use_bias=False)(Scale()(x)))


def generalized_pooling(library: Any, draw: random.Random) -> Any:
    """An embedding of images for search: powers, mean and root as pooling, and unit vectors."""
    import tensorflow as tf

    k = library.layers

    class Power(k.Layer):
        def build(self, shape: Any) -> None:
            del shape
            self.p = self.add_weight(name="p", shape=(1,), initializer=library.initializers.Constant(3.0))

        def call(self, x: Any) -> Any:
            x = tf.pow(tf.maximum(x, 1e-6), self.p)
            return tf.pow(tf.reduce_mean(x, [1, 2]), 1.0 / self.p)

    class Unit(k.Layer):
        def call(self, x: Any) -> Any:
            return tf.math.l2_normalize(x, axis=-1)

    image = library.Input((48, 48, 3))
    x = image
    for filters in (12, 20, draw.choice((24, 32))):
        x = k.Activation("relu")(k.BatchNormalization()(k.Conv2D(filters, 3, 2, "same", use_bias=False)(x)))
    return library.Model(image, Unit()(k.Dense(32)(Power()(x))))


def layer_scale(library: Any, draw: random.Random) -> Any:
    """ConvNeXt with factors for each channel and stochastic depth, as custom layers."""
    import tensorflow as tf

    k = library.layers

    class Factors(k.Layer):
        def build(self, shape: Any) -> None:
            self.gamma = self.add_weight(
                name="gamma", shape=(shape[-1],), initializer=library.initializers.Constant(1e-2)
            )

        def call(self, x: Any) -> Any:
            return x * self.gamma

    class Depth(k.Layer):
        def __init__(self, rate: float) -> None:
            super().__init__()
            self.rate = rate

        def call(self, x: Any, training: Any = None) -> Any:
            if training:
                return x * tf.floor(1 - self.rate + tf.random.uniform((tf.shape(x)[0], 1, 1, 1)))
            return x

    width = draw.choice((12, 16))
    image = library.Input((32, 32, 3))
    x = k.LayerNormalization(epsilon=1e-6)(k.Conv2D(width, 4, 4)(image))
    for _ in range(3):
        y = k.LayerNormalization(epsilon=1e-6)(k.DepthwiseConv2D(7, padding="same")(x))
        y = k.Dense(width)(k.Dense(4 * width, activation="gelu")(y))
        x = k.Add()([x, Depth(0.1)(Factors()(y))])
    return library.Model(image, k.Dense(10)(k.LayerNormalization()(k.GlobalAveragePooling2D()(x))))


def nearest_codes(library: Any, draw: random.Random) -> Any:
    """The quantizer of a VQ-VAE: distances to all codes, the nearest index, and its vector."""
    import tensorflow as tf

    k, many = library.layers, draw.choice((32, 64))

    class Codes(k.Layer):
        def build(self, shape: Any) -> None:
            self.table = self.add_weight(name="table", shape=(shape[-1], many), initializer="uniform")

        def call(self, x: Any) -> Any:
            flat = tf.reshape(x, [-1, 8])
            distances = (
                tf.reduce_sum(flat**2, axis=1, keepdims=True)
                + tf.reduce_sum(self.table**2, axis=0)
                - 2 * tf.matmul(flat, self.table)
            )
            picked = tf.one_hot(tf.argmin(distances, axis=1), many)
            return tf.reshape(tf.matmul(picked, self.table, transpose_b=True), [-1, 8, 8, 8])

    image = library.Input((32, 32, 1))
    x = k.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
    x = Codes()(k.Conv2D(8, 3, strides=2, padding="same")(x))
    x = k.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(x)
    return library.Model(image, k.Conv2DTranspose(1, 3, strides=2, padding="same")(x))


def resized_inside(library: Any, draw: random.Random) -> Any:
    """A service that is given images of another size: a cast, a resize, the mean of colours."""
    import tensorflow as tf

    k = library.layers

    class Served(library.Model):
        def __init__(self) -> None:
            super().__init__(name="served")
            self.blocks = []
            for filters in (12, 16, draw.choice((20, 24))):
                self.blocks.append(k.SeparableConv2D(filters, 3, strides=2, padding="same", use_bias=False))
                self.blocks.append(k.BatchNormalization())
                self.blocks.append(k.ReLU())
            self.pool, self.scores = k.GlobalAveragePooling2D(), k.Dense(8)

        def call(self, images: Any) -> Any:
            x = tf.image.resize(tf.cast(images, tf.float32), (32, 32))
            x = (x - tf.constant([123.7, 116.8, 103.9])) / tf.constant([58.4, 57.1, 57.4])
            for block in self.blocks:
                x = block(x)
            scores = tf.nn.softmax(self.scores(self.pool(x)))
            return {"scores": scores, "best": tf.argmax(scores, axis=-1)}

    return _called(Served(), 48, 48, 3)


def best_experts(library: Any, draw: random.Random) -> Any:
    """A mixture of experts that keeps the two best gates, by top-k and a comparison."""
    import tensorflow as tf

    k, many = library.layers, draw.choice((4, 6))

    class Mixture(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.gate = k.Dense(many, use_bias=False, name="gate")
            self.experts = [k.Dense(24, activation="relu", name=f"expert_{n}") for n in range(many)]
            self.last = k.Dense(4, name="last")

        def call(self, x: Any) -> Any:
            scores = self.gate(x)
            least = tf.math.top_k(scores, 2).values[:, -1:]
            weights = tf.nn.softmax(tf.where(scores < least, -1e9, scores))
            held = tf.stack([expert(x) for expert in self.experts], axis=1)
            return self.last(tf.reduce_sum(held * weights[..., None], axis=1))

    return _called(Mixture(), 40)


def decoded_boxes(library: Any, draw: random.Random) -> Any:
    """A detector whose boxes are decoded with anchors in the model."""
    import tensorflow as tf

    k, classes = library.layers, draw.choice((1, 3))
    y, x = np.meshgrid(np.arange(6), np.arange(6), indexing="ij")
    centers = (np.stack([y, x], -1).reshape(1, 36, 2).astype("float32") + 0.5) / 6

    class Decoder(k.Layer):
        def call(self, raw: Any) -> Any:
            place = raw[..., :2] * 0.1 + centers
            half = tf.exp(tf.minimum(raw[..., 2:4], 4.0)) * 0.1
            return tf.concat([place - half, place + half, tf.sigmoid(raw[..., 4:])], axis=-1)

    image = library.Input((48, 48, 3))
    z = image
    for filters in (12, 16, 24):
        z = k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(filters, 3, 2, "same", use_bias=False)(z)))
    raw = k.Reshape((36, 4 + classes))(k.Conv2D(4 + classes, 1)(z))
    return library.Model(image, Decoder()(raw))


def blocks_in_classes(library: Any, draw: random.Random) -> Any:
    """A subclassed residual network whose blocks are models themselves."""
    k = library.layers

    class Block(library.Model):
        def __init__(self, filters: int, strides: int) -> None:
            super().__init__()
            self.one = k.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)
            self.norm_one = k.BatchNormalization()
            self.two = k.Conv2D(filters, 3, padding="same", use_bias=False)
            self.norm_two = k.BatchNormalization(gamma_initializer="zeros")
            self.short = k.Conv2D(filters, 1, strides=strides, use_bias=False) if strides > 1 else None
            self.relu = k.ReLU()

        def call(self, x: Any, training: Any = None) -> Any:
            y = self.relu(self.norm_one(self.one(x), training=training))
            y = self.norm_two(self.two(y), training=training)
            return self.relu(y + (x if self.short is None else self.short(x)))

    class Net(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.stem = k.Conv2D(12, 3, padding="same", activation="relu")
            self.blocks = [Block(12, 1), Block(20, 2), Block(draw.choice((28, 32)), 2)]
            self.pool, self.head = k.GlobalAveragePooling2D(), k.Dense(10)

        def call(self, x: Any, training: Any = None) -> Any:
            x = self.stem(x)
            for block in self.blocks:
                x = block(x, training=training)
            return self.head(self.pool(x))

    return _called(Net(), 32, 32, 3)


def plain_functions(library: Any, draw: random.Random) -> Any:
    """A module with convolutions and matrix products of `tf.nn`, and a signature of a fixed batch."""
    import tensorflow as tf

    del library
    rows = draw.choice((28, 32))

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="net")
            start = tf.random_normal_initializer(stddev=0.1)
            self.one = tf.Variable(start((5, 5, 1, 12)), name="conv1/w")
            self.bias = tf.Variable(tf.zeros(12), name="conv1/b")
            self.two = tf.Variable(start((3, 3, 12, 16)), name="conv2/w")
            self.last = tf.Variable(start((rows // 4 * (rows // 4) * 16, 10)), name="dense/w")

        @tf.function(input_signature=[tf.TensorSpec((1, rows, rows, 1), tf.float32, name="image")])
        def __call__(self, image: Any) -> Any:
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image, self.one, 1, "SAME"), self.bias))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(x, self.two, 1, "SAME")), 2, 2, "VALID")
            return {"scores": tf.nn.softmax(tf.reshape(x, (1, -1)) @ self.last)}

    return Net()


def ranking_module(library: Any, draw: random.Random) -> Any:
    """A module that looks up users and items and scores them with a small perceptron."""
    import tensorflow as tf

    del library
    width = draw.choice((12, 16))

    class Ranker(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="ranker")
            start = tf.random_uniform_initializer(-0.2, 0.2)
            self.users = tf.Variable(start((300, width)), name="users/table")
            self.items = tf.Variable(start((500, width)), name="items/table")
            self.hidden = tf.Variable(start((2 * width, 24)), name="hidden/w")
            self.shift = tf.Variable(start((24,)), name="hidden/b")
            self.score = tf.Variable(start((24, 1)), name="score/w")

        @tf.function(
            input_signature=[
                tf.TensorSpec((None,), tf.int32, name="user"),
                tf.TensorSpec((None,), tf.int32, name="item"),
            ]
        )
        def __call__(self, user: Any, item: Any) -> Any:
            x = tf.concat([tf.gather(self.users, user), tf.nn.embedding_lookup(self.items, item)], axis=1)
            x = tf.nn.leaky_relu(x @ self.hidden + self.shift)
            return {"score": tf.sigmoid(tf.squeeze(x @ self.score, -1))}

    return Ranker()


FOURTH_MODULES: dict[str, tuple[str, Builder]] = {
    "q-module-subpixels": ("exported", subpixels),
    "q-module-painter": ("exported", painter),
    "q-module-root-mean-square": ("exported", root_mean_square),
    "q-module-generalized-pooling": ("exported", generalized_pooling),
    "q-module-layer-scale": ("exported", layer_scale),
    "q-module-nearest-codes": ("exported", nearest_codes),
    "q-module-resized-inside": ("exported", resized_inside),
    "q-module-best-experts": ("exported", best_experts),
    "q-module-decoded-boxes": ("exported", decoded_boxes),
    "q-module-blocks-in-classes": ("exported", blocks_in_classes),
    "q-module-plain-functions": ("exported", plain_functions),
    "q-module-ranking": ("exported", ranking_module),
}
"""The class of each kind of network, and what builds it."""
MODULES_ONLY: dict[str, tuple[int, ...]] = {"q-module-plain-functions": (2,), "q-module-ranking": (3,)}
"""Modules of TensorFlow, which are drawn once: the versions of Keras whose runs make them."""
