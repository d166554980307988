"""Models of the third set that are saved as SavedModels only: subclassed models, functional models with
custom layers or functions, and modules of TensorFlow.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model that
was called once, without trained weights, or a ``tf.Module`` whose ``__call__`` has a signature.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.third_images import Builder


def _called(model: Any, *shape: int, dtype: str = "float32") -> Any:
    """Call a model once, which makes its variables and its signature."""
    model(np.zeros((2, *shape), dtype))
    return model


def u_net(library: Any, draw: random.Random) -> Any:
    """Lists of chains down and up, called in loops with skips."""
    k, filters = library.layers, draw.choice(((6, 8), (4, 8)))

    class Net(library.Model):
        def __init__(self) -> None:
            super().__init__(name="unet")
            self.down = [
                k.Conv2D(many, 4, strides=2, padding="same", use_bias=False, name=f"down_{place}")
                for place, many in enumerate(filters)
            ]
            self.norms = [k.BatchNormalization(name=f"norm_{place}") for place in range(len(filters))]
            self.up = k.Conv2DTranspose(filters[0], 4, strides=2, padding="same", name="up")
            self.last = k.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh", name="last")
            self.leaky, self.join = k.LeakyReLU(0.2, name="leaky"), k.Concatenate(name="join")

        def call(self, x: Any, training: bool = False) -> Any:
            held = []
            for layer, norm in zip(self.down, self.norms, strict=True):
                x = self.leaky(norm(layer(x), training=training))
                held.append(x)
            return self.last(self.join([self.up(x), held[0]]))

    return _called(Net(), 24, 24, 1)


def shortcut(library: Any, draw: random.Random) -> Any:
    """Residual blocks as custom layers in a functional model."""
    k = library.layers

    class Block(k.Layer):
        def __init__(self, filters: int, strides: int, name: str) -> None:
            super().__init__(name=name)
            self.one = k.Conv2D(filters, 3, strides=strides, padding="same", activation="relu", name="one")
            self.two = k.Conv2D(filters, 3, padding="same", name="two")
            self.short = k.Conv2D(filters, 1, strides=strides, name="short") if strides > 1 else None

        def call(self, x: Any) -> Any:
            y = self.two(self.one(x))
            return k.ReLU()(y + (x if self.short is None else self.short(x)))

    given = library.Input((24, 24, 3))
    x = k.Conv2D(6, 3, padding="same", name="stem")(given)
    x = Block(8, 2, "block_a")(x)
    x = Block(8, 1, "block_b")(x) if draw.random() < 0.5 else Block(12, 2, "block_b")(x)
    return library.Model(given, k.Dense(4, name="head")(k.GlobalAveragePooling2D(name="pool")(x)))


def dueling(library: Any, draw: random.Random) -> Any:
    """Values of actions from a state's value and advantages, whose mean is taken away (Wang, 2016)."""
    k, units = library.layers, draw.choice((24, 32))

    class Net(library.Model):
        def __init__(self) -> None:
            super().__init__(name="duel")
            self.one = k.Dense(units, activation="relu", name="one")
            self.two = k.Dense(units, activation="relu", name="two")
            self.value, self.advantage = k.Dense(1, name="value"), k.Dense(5, name="advantage")

        def call(self, x: Any) -> Any:
            import tensorflow as tf

            x = self.two(self.one(x))
            advantage = self.advantage(x)
            return self.value(x) + advantage - tf.reduce_mean(advantage, axis=1, keepdims=True)

    return _called(Net(), 8)


def recommender(library: Any, draw: random.Random) -> Any:
    """Users and books by embeddings with biases, from one tensor of pairs."""
    k, size = library.layers, draw.choice((8, 12))

    class Net(library.Model):
        def __init__(self) -> None:
            super().__init__(name="recommender")
            self.user, self.book = k.Embedding(90, size, name="user"), k.Embedding(120, size, name="book")
            self.user_bias, self.book_bias = (k.Embedding(90, 1, name="ub"), k.Embedding(120, 1, name="bb"))

        def call(self, pairs: Any) -> Any:
            import tensorflow as tf

            user, book = self.user(pairs[:, 0]), self.book(pairs[:, 1])
            product = tf.reduce_sum(user * book, axis=1, keepdims=True)
            return tf.nn.sigmoid(product + self.user_bias(pairs[:, 0]) + self.book_bias(pairs[:, 1]))

    return _called(Net(), 2, dtype="int32")


def generator(library: Any, draw: random.Random) -> Any:
    """A small language model: words and places, attention that only sees what is before."""
    k, width, length = library.layers, 16, 12

    class Places(k.Layer):
        def __init__(self) -> None:
            super().__init__(name="places")
            self.words = k.Embedding(150, width, name="words")
            self.steps = k.Embedding(length, width, name="steps")

        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return self.words(x) + self.steps(tf.range(0, length, 1))

    given = library.Input((length,), dtype="int32")
    x = Places()(given)
    y = k.MultiHeadAttention(num_heads=2, key_dim=8, name="attention")(x, x, use_causal_mask=True)
    x = k.LayerNormalization(epsilon=1e-6, name="norm_1")(k.Add(name="add_1")([x, y]))
    y = k.Dense(width, name="outer")(k.Dense(24, activation="relu", name="inner")(x))
    x = k.LayerNormalization(epsilon=1e-6, name="norm_2")(k.Add(name="add_2")([x, y]))
    return library.Model(given, k.Dense(150, name="words_out")(x) if draw.random() < 0.5 else x)


def class_token(library: Any, draw: random.Random) -> Any:
    """Patches by a strided convolution, with a learned place for each and a token for the class."""
    k, width = library.layers, 16

    class Encoder(k.Layer):
        def build(self, shape: Any) -> None:
            self.token = self.add_weight(shape=(1, 1, width), initializer="zeros", name="token")
            self.place = self.add_weight(shape=(1, 17, width), initializer="zeros", name="place")

        def call(self, x: Any) -> Any:
            import tensorflow as tf

            token = tf.tile(self.token, [tf.shape(x)[0], 1, 1])
            return tf.concat([token, x], axis=1) + self.place

    given = library.Input((32, 32, 3))
    x = k.Reshape((16, width), name="flat")(k.Conv2D(width, 8, strides=8, name="patches")(given))
    x = Encoder(name="encoder")(x)
    for place in range(draw.randint(1, 2)):
        y = k.LayerNormalization(name=f"ln_a{place}")(x)
        y = k.MultiHeadAttention(num_heads=2, key_dim=8, name=f"mha{place}")(y, y)
        x = k.Add(name=f"add_a{place}")([x, y])
        y = k.Dense(24, activation="gelu", name=f"mlp{place}")(k.LayerNormalization(name=f"ln_b{place}")(x))
        x = k.Add(name=f"add_b{place}")([x, k.Dense(width, name=f"out{place}")(y)])
    x = k.Cropping1D((0, 16), name="first")(k.LayerNormalization(name="ln")(x))
    return library.Model(given, k.Dense(5, name="head")(k.Flatten(name="flatten")(x)))


def pixel_shuffle(library: Any, draw: random.Random) -> Any:
    """Super-resolution by a function that makes pixels of channels."""
    k, factor = library.layers, draw.choice((2, 3))

    class Shuffle(k.Layer):
        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.nn.depth_to_space(x, factor)

    given = library.Input((16, 16, 1))
    x = k.Conv2D(16, 5, padding="same", activation="relu", name="one")(given)
    x = k.Conv2D(8, 3, padding="same", activation="relu", name="two")(x)
    x = k.Conv2D(factor * factor, 3, padding="same", name="three")(x)
    return library.Model(given, Shuffle(name="shuffle")(x))


def reflected(library: Any, draw: random.Random) -> Any:
    """A picture's style: padding by reflection and normalization of each channel, both custom layers."""
    k = library.layers

    class Reflect(k.Layer):
        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")

    class Instance(k.Layer):
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")
            self.offset = self.add_weight(shape=(shape[-1],), initializer="zeros", name="offset")

        def call(self, x: Any) -> Any:
            import tensorflow as tf

            mean, variance = tf.nn.moments(x, axes=[1, 2], keepdims=True)
            return self.scale * (x - mean) * tf.math.rsqrt(variance + 1e-5) + self.offset

    given = library.Input((24, 24, 3))
    x = given
    for place, filters in enumerate((8, 8, 12)[: draw.randint(2, 3)]):
        x = k.Conv2D(filters, 3, name=f"conv_{place}")(Reflect(name=f"pad_{place}")(x))
        x = k.ReLU(name=f"relu_{place}")(Instance(name=f"norm_{place}")(x))
    return library.Model(given, k.Conv2D(3, 1, activation="tanh", name="out")(x))


def unit_vectors(library: Any, draw: random.Random) -> Any:
    """Vectors of faces by a function that gives them the length one."""
    k = library.layers

    class Unit(k.Layer):
        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.math.l2_normalize(x, axis=1)

    given = library.Input((32, 32, 1))
    x = k.Conv2D(8, 3, padding="same", activation="relu", name="one")(given)
    x = k.MaxPooling2D(name="pool_1")(x)
    x = k.Conv2D(12, 3, padding="same", activation="relu", name="two")(x)
    x = (
        k.GlobalAveragePooling2D(name="pool")(x)
        if draw.random() < 0.5
        else k.GlobalMaxPooling2D(name="pool")(x)
    )
    return library.Model(given, Unit(name="unit")(k.Dense(16, activation=None, name="vector")(x)))


def perceptron_module(library: Any, draw: random.Random) -> Any:
    """Dense layers as modules with variables."""
    import tensorflow as tf

    class Dense(tf.Module):
        def __init__(self, given: int, units: int, name: str) -> None:
            super().__init__(name=name)
            self.w = tf.Variable(tf.zeros([given, units]), name=f"{name}_w")
            self.b = tf.Variable(tf.zeros([units]), name=f"{name}_b")

        def __call__(self, x: Any) -> Any:
            return tf.matmul(x, self.w) + self.b

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = Dense(20, 32, "one"), Dense(32, 16, "two"), Dense(16, 3, "out")

        @tf.function(input_signature=[tf.TensorSpec([None, 20], tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            return tf.nn.softmax(self.out(tf.nn.relu(self.two(tf.nn.relu(self.one(x))))))

    return Net()


def convolution_module(library: Any, draw: random.Random) -> Any:
    """Convolutions by TensorFlow's functions, for a microcontroller's image."""
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            shapes = {
                "k1": [3, 3, 1, 8],
                "b1": [8],
                "k2": [3, 3, 8, 12],
                "b2": [12],
                "w": [12 * 49, 10],
                "b": [10],
            }
            self.v = {name: tf.Variable(tf.zeros(shape), name=name) for name, shape in shapes.items()}

        @tf.function(input_signature=[tf.TensorSpec([1, 28, 28, 1], tf.float32, name="image")])
        def __call__(self, x: Any) -> Any:
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, self.v["k1"], 1, "SAME"), self.v["b1"]))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = tf.nn.relu(tf.nn.conv2d(x, self.v["k2"], 1, "SAME") + self.v["b2"])
            x = tf.reshape(tf.nn.avg_pool2d(x, 2, 2, "SAME"), [-1, 12 * 49])
            return tf.matmul(x, self.v["w"]) + self.v["b"]

    return Net()


def wrapped_module(library: Any, draw: random.Random) -> Any:
    """A Keras model between what prepares bytes and what reads the answer, exported as one module."""
    import tensorflow as tf

    k = library.layers
    inner = library.Sequential(
        [
            library.Input((28, 28, 1)),
            k.Conv2D(8, 3, activation="relu", name="one"),
            k.MaxPooling2D(name="pool"),
            k.Flatten(name="flatten"),
            k.Dense(10, name="logits"),
        ],
        name="inner",
    )

    class Export(tf.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        @property
        def weights(self) -> Any:
            return self.model.weights

        @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.uint8, name="bytes")])
        def __call__(self, x: Any) -> Any:
            scores = tf.nn.softmax(self.model(tf.cast(x, tf.float32) / 255.0))
            return {"label": tf.argmax(scores, axis=-1), "scores": scores}

    return Export(inner)


def similar_module(library: Any, draw: random.Random) -> Any:
    """The items most like a vector: a matrix of items, and the places of the largest products."""
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.items = tf.Variable(tf.zeros([120, 16]), name="items")
            self.w = tf.Variable(tf.zeros([10, 16]), name="query")

        @tf.function(input_signature=[tf.TensorSpec([1, 10], tf.float32, name="features")])
        def __call__(self, x: Any) -> Any:
            query = tf.tanh(tf.matmul(x, self.w))
            values, places = tf.math.top_k(tf.matmul(query, self.items, transpose_b=True), k=5)
            return {"scores": values, "items": places}

    return Net()


THIRD_MODULES: dict[str, tuple[str, Builder]] = {
    "t-module-class-token": ("exported", class_token),
    "t-module-convolution": ("exported", convolution_module),
    "t-module-dueling": ("exported", dueling),
    "t-module-generator": ("exported", generator),
    "t-module-perceptron": ("exported", perceptron_module),
    "t-module-pixel-shuffle": ("exported", pixel_shuffle),
    "t-module-recommender": ("exported", recommender),
    "t-module-reflected": ("exported", reflected),
    "t-module-shortcut": ("exported", shortcut),
    "t-module-similar": ("exported", similar_module),
    "t-module-u-net": ("exported", u_net),
    "t-module-unit-vectors": ("exported", unit_vectors),
    "t-module-wrapped": ("exported", wrapped_module),
}
"""The class of each kind of network, and what builds it."""
ONLY: dict[str, tuple[int, ...]] = {
    "t-module-convolution": (3,),
    "t-module-perceptron": (2,),
    "t-module-similar": (3,),
    "t-module-wrapped": (2,),
}
"""Modules of TensorFlow, which are drawn once: the versions of Keras whose runs make them. What wraps a model
of Keras 3 is left out: the converter leaves its weights outside of the file.
"""
