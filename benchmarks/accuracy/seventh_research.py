"""Networks of the seventh set that are SavedModels only, after research code and libraries.

A kind of network is named after its builder, which takes the library (tf_keras or keras) and
a source of random numbers, and returns a model that was called once, or a ``tf.Module`` whose
``__call__`` has a signature.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.accuracy.seventh_modules import called


def rainbow_noisy(library: Any, draw: random.Random) -> Any:
    """A dueling network with noisy layers: kernels are a mean plus a spread times fixed noise, and atoms."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((32, 48))

    class NoisyDense(k.Layer):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.units = units

        def build(self, shape: Any) -> None:
            size = (int(shape[-1]), self.units)
            self.mu = self.add_weight(shape=size, initializer="glorot_uniform", name="kernel")
            self.sigma = self.add_weight(shape=size, initializer="glorot_uniform", name="sigma")
            self.bias = self.add_weight(shape=size[1:], initializer="zeros", name="bias")
            noise = np.random.default_rng(self.units).standard_normal
            self.noise = np.outer(noise(size[0]), noise(size[1])).astype("float32")
            super().build(shape)

        def call(self, x: Any) -> Any:
            kernel = tf.convert_to_tensor(self.mu) + tf.convert_to_tensor(self.sigma) * self.noise
            return tf.matmul(x, kernel) + tf.convert_to_tensor(self.bias)

    class Rainbow(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.body = [k.Dense(width, activation="relu") for _ in range(2)]
            self.value, self.advantage = NoisyDense(21), NoisyDense(4 * 21)

        def call(self, state: Any) -> Any:
            for layer in self.body:
                state = layer(state)
            value = tf.reshape(self.value(state), [-1, 1, 21])
            gains = tf.reshape(self.advantage(state), [-1, 4, 21])
            atoms = tf.nn.softmax(value + gains - tf.reduce_mean(gains, axis=1, keepdims=True), axis=-1)
            return tf.reduce_sum(atoms * np.linspace(-10, 10, 21, dtype="float32"), axis=-1)

    return called(Rainbow(), 8)


def tfrs_dcn(library: Any, draw: random.Random) -> Any:
    """Deep and cross ranking: a dictionary of tables, a cross of low rank, dense layers, one rating."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((8, 12))
    names = ("movie_id", "user_id", "user_zip_code", "bucketized_user_age", "user_occupation")

    class Cross(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = k.Dense(10, use_bias=False), k.Dense(5 * width)

        def call(self, x0: Any, x: Any) -> Any:
            return x0 * self.up(self.down(x)) + x

    class Dcn(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.tables = [
                k.Embedding(size, width, name=name)
                for name, size in zip(names, (300, 200, 90, 8, 22), strict=True)
            ]
            self.crosses = [Cross() for _ in range(2)]
            self.deep = [k.Dense(32, activation="relu") for _ in range(2)]
            self.logit = k.Dense(1)

        def call(self, codes: Any) -> Any:
            columns = tf.unstack(codes, axis=1)
            start = x = tf.concat(
                [table(one) for table, one in zip(self.tables, columns, strict=True)], axis=1
            )
            for cross in self.crosses:
                x = cross(start, x)
            for layer in self.deep:
                x = layer(x)
            return self.logit(x)

    return called(Dcn(), 5, dtype="int32")


def autoformer_decomp(library: Any, draw: random.Random) -> Any:
    """Autoformer: a moving mean over padded ends is the trend, attention and dense layers see the rest."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((16, 24))

    class SeriesDecomp(k.Layer):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size, self.moving_avg = size, k.AveragePooling1D(size, strides=1, padding="valid")

        def call(self, x: Any) -> Any:
            half = (self.size - 1) // 2
            front, back = tf.repeat(x[:, :1], half, axis=1), tf.repeat(x[:, -1:], half, axis=1)
            trend = self.moving_avg(tf.concat([front, x, back], axis=1))
            return x - trend, trend

    class Autoformer(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.attention = k.Conv1D(width, 3, padding="same"), k.MultiHeadAttention(2, width)
            self.first, self.second = SeriesDecomp(25), SeriesDecomp(13)
            self.dense = [k.Conv1D(2 * width, 1, activation="gelu"), k.Conv1D(width, 1)]
            self.project, self.line = k.Dense(4), k.Conv1D(4, 3, padding="same", use_bias=False)

        def call(self, series: Any) -> Any:
            x = self.embed(series)
            x, trend = self.first(x + self.attention(x, x))
            x, more = self.second(x + self.dense[1](self.dense[0](x)))
            return (self.project(x) + self.line(trend + more))[:, -12:, :]

    return called(Autoformer(), 48, 4)


def gnn_message_passing(library: Any, draw: random.Random) -> Any:
    """A module in the manner of Graph Nets: messages of all pairs, masked by the adjacency, update nodes."""
    import tensorflow as tf

    width = draw.choice((16, 24))

    class Mlp(tf.Module):
        def __init__(self, *sizes: int) -> None:
            super().__init__(name="mlp")
            start = tf.random_normal_initializer(stddev=0.2)
            pairs = list(pairwise(sizes))
            self.w = [tf.Variable(start(pair), name="w") for pair in pairs]
            self.b = [tf.Variable(tf.zeros(pair[1:]), name="b") for pair in pairs]

        def __call__(self, x: Any) -> Any:
            for w, b in zip(self.w, self.b, strict=True):
                x = tf.nn.relu(tf.einsum("...i,ij->...j", x, w) + b)
            return x

    class GraphNetwork(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="graph_network")
            self.encode, self.message = Mlp(5, width), Mlp(2 * width, width)
            self.update, self.readout = Mlp(2 * width, width), Mlp(width, width, 3)

        @tf.function(
            input_signature=[
                tf.TensorSpec((1, 10, 5), tf.float32, name="nodes"),
                tf.TensorSpec((1, 10, 10), tf.float32, name="adjacency"),
            ]
        )
        def __call__(self, nodes: Any, adjacency: Any) -> Any:
            x = self.encode(nodes)
            for _ in range(2):
                sender = tf.tile(x[:, None, :, :], [1, 10, 1, 1])
                receiver = tf.tile(x[:, :, None, :], [1, 1, 10, 1])
                messages = self.message(tf.concat([sender, receiver], axis=-1))
                total = tf.reduce_sum(messages * adjacency[..., None], axis=2)
                x = x + self.update(tf.concat([x, total], axis=-1))
            return {"globals": self.readout(tf.reduce_sum(x, axis=1))}

    return GraphNetwork()


def mlp_module_sonnet(library: Any, draw: random.Random) -> Any:
    """Modules in the manner of Sonnet: linear layers and layer normalization written out, a sequence."""
    import tensorflow as tf

    width = draw.choice((32, 48))

    class Linear(tf.Module):
        def __init__(self, size: int, units: int, name: str) -> None:
            super().__init__(name=name)
            start = tf.random.truncated_normal((size, units), stddev=1 / np.sqrt(size))
            self.w, self.b = tf.Variable(start, name="w"), tf.Variable(tf.zeros((units,)), name="b")

        def __call__(self, x: Any) -> Any:
            return tf.add(tf.matmul(x, self.w), self.b)

    class LayerNorm(tf.Module):
        def __init__(self, size: int) -> None:
            super().__init__(name="layer_norm")
            self.scale = tf.Variable(tf.ones((size,)), name="scale")
            self.offset = tf.Variable(tf.zeros((size,)), name="offset")

        def __call__(self, x: Any) -> Any:
            mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
            return tf.nn.batch_normalization(x, mean, variance, self.offset, self.scale, 1e-5)

    class Policy(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="policy")
            self.layers = [Linear(17, width, "first"), LayerNorm(width), tf.tanh]
            self.layers += [Linear(width, width, "second"), tf.nn.elu, Linear(width, 6, "last"), tf.tanh]

        @tf.function(input_signature=[tf.TensorSpec((None, 17), tf.float32, name="observation")])
        def __call__(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    return Policy()


def slot_attention(library: Any, draw: random.Random) -> Any:
    """Slot attention: slots compete for the places of a map, and a GRU's cell updates them three times."""
    import tensorflow as tf

    k, width, slots = library.layers, draw.choice((16, 24)), 4

    class SlotAttention(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.norms = [k.LayerNormalization() for _ in range(3)]
            self.q, self.k, self.v = (k.Dense(width, use_bias=False, name=name) for name in "qkv")
            self.gru = k.GRUCell(width)
            self.mlp = library.Sequential([k.Dense(2 * width, activation="relu"), k.Dense(width)])

        def build(self, shape: Any) -> None:
            self.start = self.add_weight(shape=(1, slots, width), name="slots_mu")
            super().build(shape)

        def call(self, places: Any) -> Any:
            places = self.norms[0](places)
            keys, values = self.k(places), self.v(places)
            state = tf.tile(tf.convert_to_tensor(self.start), [tf.shape(places)[0], 1, 1])
            for _ in range(3):
                query = self.q(self.norms[1](state)) * width**-0.5
                shares = tf.nn.softmax(tf.matmul(keys, query, transpose_b=True), axis=-1) + 1e-8
                shares = shares / tf.reduce_sum(shares, axis=-2, keepdims=True)
                updates = tf.matmul(shares, values, transpose_a=True)
                flat = [tf.reshape(one, [-1, width]) for one in (updates, state)]
                state = tf.reshape(self.gru(flat[0], [flat[1]])[0], [-1, slots, width])
                state = state + self.mlp(self.norms[2](state))
            return state

    image = library.Input((24, 24, 3))
    x = k.Conv2D(width, 5, strides=2, padding="same", activation="relu")(image)
    x = k.Conv2D(width, 5, strides=2, padding="same", activation="relu")(x)
    x = k.Dense(width)(k.Dense(width, activation="relu")(k.LayerNormalization()(k.Reshape((36, width))(x))))
    return library.Model(image, k.Dense(8)(SlotAttention()(x)))


def normalizing_flow(library: Any, draw: random.Random) -> Any:
    """A flow of affine couplings: halves scale and shift each other, and the logarithm of the density."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((32, 48))

    class Coupling(k.Layer):
        def __init__(self, is_swapped: bool) -> None:
            super().__init__()
            self.is_swapped = is_swapped
            self.net = library.Sequential(
                [k.Dense(width, activation="relu"), k.Dense(width, activation="relu"), k.Dense(6)]
            )

        def call(self, x: Any) -> Any:
            one, two = tf.split(x, 2, axis=-1)
            one, two = (two, one) if self.is_swapped else (one, two)
            scale, shift = tf.split(self.net(one), 2, axis=-1)
            scale = tf.tanh(scale)
            two = two * tf.exp(scale) + shift
            both = [two, one] if self.is_swapped else [one, two]
            return tf.concat(both, axis=-1), tf.reduce_sum(scale, axis=-1)

    class Flow(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.couplings = [Coupling(bool(number % 2)) for number in range(4)]

        def call(self, x: Any) -> Any:
            total = 0.0
            for coupling in self.couplings:
                x, scale = coupling(x)
                total += scale
            return total - 0.5 * tf.reduce_sum(tf.square(x) + np.float32(np.log(2 * np.pi)), axis=-1)

    return called(Flow(), 6)


def weight_standardized_resnet(library: Any, draw: random.Random) -> Any:
    """A residual network whose normalization is a custom layer with fixed statistics."""
    import tensorflow as tf

    k, f = library.layers, draw.choice((8, 12))

    class FrozenBatchNorm(k.Layer):
        def build(self, shape: Any) -> None:
            names = {"gamma": "ones", "beta": "zeros", "moving_mean": "zeros", "moving_variance": "ones"}
            for name, start in names.items():
                options = {"initializer": start, "trainable": False, "name": name}
                setattr(self, name, self.add_weight(shape=(int(shape[-1]),), **options))
            super().build(shape)

        def call(self, x: Any) -> Any:
            scale = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(
                tf.convert_to_tensor(self.moving_variance) + 1e-5
            )
            return x * scale + (
                tf.convert_to_tensor(self.beta) - tf.convert_to_tensor(self.moving_mean) * scale
            )

    class Block(k.Layer):
        def __init__(self, filters: int, strides: int) -> None:
            super().__init__()
            options = {"padding": "same", "use_bias": False}
            self.convs = [k.Conv2D(filters, 3, strides=strides, **options), k.Conv2D(filters, 3, **options)]
            self.norms = [FrozenBatchNorm() for _ in range(3)]
            self.short = k.Conv2D(filters, 1, strides=strides, **options)

        def call(self, x: Any) -> Any:
            y = tf.nn.relu(self.norms[0](self.convs[0](x)))
            return tf.nn.relu(self.norms[1](self.convs[1](y)) + self.norms[2](self.short(x)))

    image = library.Input((48, 48, 3))
    x = k.ReLU()(FrozenBatchNorm()(k.Conv2D(f, 7, strides=2, padding="same", use_bias=False)(image)))
    for filters, strides in ((f, 1), (2 * f, 2), (3 * f, 2)):
        x = Block(filters, strides)(x)
    return library.Model(image, k.Dense(10)(k.GlobalAveragePooling2D()(x)))
