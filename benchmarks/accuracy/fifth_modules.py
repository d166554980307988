"""Networks of the fifth set that are SavedModels only: subclassed models, functional models with custom
layers, and modules of TensorFlow.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model that
was called once, or a ``tf.Module`` whose ``__call__`` has a signature.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds, unit


def module_involution(library: Any, draw: random.Random) -> Any:
    """Involution: a kernel for each place is made from its vector, and multiplied with extracted patches."""
    import tensorflow as tf

    k = library.layers

    class Involution(k.Layer):
        def __init__(self, channels: int, groups: int) -> None:
            super().__init__()
            self.channels, self.groups = channels, groups
            self.make = library.Sequential(
                [k.Conv2D(4, 1), k.BatchNormalization(), k.ReLU(), k.Conv2D(9 * groups, 1)]
            )

        def call(self, x: Any) -> Any:
            _, high, wide, _ = x.shape
            kernel = tf.reshape(self.make(x), (-1, high, wide, 9, 1, self.groups))
            patches = tf.image.extract_patches(x, [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME")
            patches = tf.reshape(patches, (-1, high, wide, 9, self.channels // self.groups, self.groups))
            y = tf.reduce_sum(tf.multiply(kernel, patches), axis=3)
            return tf.reshape(y, (-1, high, wide, self.channels))

    image = library.Input((32, 32, 3))
    x = k.MaxPooling2D()(k.ReLU()(Involution(3, 1)(image)))
    x = k.MaxPooling2D()(k.ReLU()(Involution(12, 2)(k.Conv2D(12, 1)(x))))
    return library.Model(image, k.Dense(draw.choice((10, 16)))(k.Flatten()(x)))


def module_shifted_windows(library: Any, draw: random.Random) -> Any:
    """Swin with a shift: maps are rolled attend with a learned bias for each pair of places."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((16, 24))

    class Window(k.Layer):
        def __init__(self, shift: int) -> None:
            super().__init__()
            self.shift, self.norm = shift, k.LayerNormalization(epsilon=1e-5)
            self.joined, self.last = k.Dense(3 * width), k.Dense(width)

        def build(self, shape: Any) -> None:
            self.table = self.add_weight(name="table", shape=(49, 2), initializer="uniform")
            super().build(shape)

        def call(self, x: Any) -> Any:
            y = tf.roll(self.norm(x), [-self.shift, -self.shift], [1, 2]) if self.shift else self.norm(x)
            y = tf.transpose(tf.reshape(y, (-1, 2, 4, 2, 4, width)), (0, 1, 3, 2, 4, 5))
            y = tf.reshape(self.joined(tf.reshape(y, (-1, 16, width))), (-1, 16, 3, 2, width // 2))
            query, key, value = tf.unstack(tf.transpose(y, (2, 0, 3, 1, 4)), 3)
            at = np.stack(np.divmod(np.arange(16), 4))
            at = at[:, :, None] - at[:, None] + 3
            bias = tf.reshape(tf.gather(self.table, (at[0] * 7 + at[1]).reshape(-1)), (16, 16, 2))
            scores = tf.matmul(query * (width / 2) ** -0.5, key, transpose_b=True)
            scores = tf.nn.softmax(scores + tf.transpose(bias, (2, 0, 1))[None])
            y = tf.reshape(tf.transpose(tf.matmul(scores, value), (0, 2, 1, 3)), (-1, 2, 2, 4, 4, width))
            y = tf.reshape(tf.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 8, 8, width))
            return x + self.last(tf.roll(y, [self.shift, self.shift], [1, 2]) if self.shift else y)

    image = library.Input((32, 32, 3))
    x = Window(2)(Window(0)(k.Conv2D(width, 4, 4)(image)))
    return library.Model(image, k.Dense(10)(k.GlobalAveragePooling2D()(x)))


def module_latents(library: Any, draw: random.Random) -> Any:
    """Perceiver: learned vectors read a long input by attention, and then each other."""
    k, width = library.layers, draw.choice((16, 24))

    class Perceiver(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.latents = self.add_weight(name="latents", shape=(1, 8, width), initializer="random_normal")
            self.project, self.norm = k.Dense(width), k.LayerNormalization()
            self.reads, self.thinks = k.MultiHeadAttention(1, width), k.MultiHeadAttention(2, width // 2)
            self.forward = library.Sequential([k.Dense(2 * width, activation="gelu"), k.Dense(width)])
            self.head = k.Dense(6)

        def call(self, pixels: Any) -> Any:
            given = self.project(pixels)
            x = self.latents + self.reads(self.latents + 0.0 * given[:, :1], given)
            for _ in range(2):
                x = x + self.thinks(self.norm(x), self.norm(x))
                x = x + self.forward(x)
            return self.head(library.layers.GlobalAveragePooling1D()(x))

    return _called(Perceiver(), 64, 5)


def module_weighed_pyramid(library: Any, draw: random.Random) -> Any:
    """EfficientDet's BiFPN: maps are fused with learned positive weights, down and up again."""
    import tensorflow as tf

    k, wide = library.layers, draw.choice((12, 16))

    class Fuse(k.Layer):
        def build(self, shapes: Any) -> None:
            self.w = self.add_weight(name="w", shape=(len(shapes),), initializer="ones")

        def call(self, many: Any) -> Any:
            weights = tf.nn.relu(self.w)
            total = tf.add_n([weights[n] * one for n, one in enumerate(many)])
            return total / (tf.reduce_sum(weights) + 1e-4)

    def node(*many: Any) -> Any:
        x = k.Activation("swish")(Fuse()(list(many)))
        return k.BatchNormalization()(k.SeparableConv2D(wide, 3, padding="same")(x))

    image = library.Input((64, 64, 3))
    x, maps = unit(library, image, 8, 3, 2, "swish"), []
    for filters in (12, 16, 24):
        x = unit(library, x, filters, 3, 2, "swish")
        maps.append(unit(library, x, wide, 1, act=None))
    middle = node(maps[1], k.UpSampling2D()(maps[2]))
    fine = node(maps[0], k.UpSampling2D()(middle))
    middle = node(maps[1], middle, k.MaxPooling2D(3, 2, "same")(fine))
    coarse = node(maps[2], k.MaxPooling2D(3, 2, "same")(middle))
    return library.Model(image, [k.Conv2D(9, 3, padding="same")(one) for one in (fine, middle, coarse)])


def module_tied_words(library: Any, draw: random.Random) -> Any:
    """GPT-2 in short: the table of words is also the last layer, places are learned, GELU is written out."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((24, 32))

    class Gpt(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.wte = self.add_weight(name="wte", shape=(300, width), initializer="random_normal")
            self.wpe = self.add_weight(name="wpe", shape=(16, width), initializer="random_normal")
            self.norms = [k.LayerNormalization(epsilon=1e-5, name=f"ln_{n}") for n in range(3)]
            self.joined, self.proj = k.Dense(3 * width, name="c_attn"), k.Dense(width, name="c_proj")
            self.up, self.down = k.Dense(4 * width, name="c_fc"), k.Dense(width, name="c_out")

        def call(self, words: Any) -> Any:
            x = tf.gather(self.wte, tf.cast(words, tf.int32)) + self.wpe[None]
            query, key, value = tf.split(self.joined(self.norms[0](x)), 3, axis=-1)
            scores = tf.matmul(query, key, transpose_b=True) * width**-0.5
            seen = tf.linalg.band_part(tf.ones((16, 16)), -1, 0)
            scores = tf.nn.softmax(scores * seen - 1e10 * (1 - seen))
            x = x + self.proj(tf.matmul(scores, value))
            y = self.up(self.norms[1](x))
            y = 0.5 * y * (1 + tf.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * tf.pow(y, 3))))
            return tf.matmul(self.norms[2](x + self.down(y)), self.wte, transpose_b=True)

    return _called(Gpt(), 16, dtype="int32")


def module_edges_of_points(library: Any, draw: random.Random) -> Any:
    """DGCNN: the nearest points by top-k, gathered differences, and a maximum over the neighbours."""
    import tensorflow as tf

    k, near = library.layers, draw.choice((4, 6))

    class Edges(k.Layer):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.dense = k.Dense(units, use_bias=False)
            self.norm = k.BatchNormalization()

        def call(self, x: Any) -> Any:
            square = tf.reduce_sum(x * x, axis=-1, keepdims=True)
            apart = square - 2 * tf.matmul(x, x, transpose_b=True) + tf.transpose(square, (0, 2, 1))
            index = tf.math.top_k(-apart, near).indices
            others = tf.gather(x, index, batch_dims=1)
            own = tf.tile(x[:, :, None], (1, 1, near, 1))
            y = self.norm(self.dense(tf.concat([own, others - own], axis=-1)))
            return tf.reduce_max(tf.nn.leaky_relu(y, 0.2), axis=2)

    cloud = library.Input((32, 3), batch_size=1)
    one = Edges(16)(cloud)
    x = k.Dense(32)(k.Concatenate()([one, Edges(16)(one)]))
    return library.Model(cloud, k.Dense(8)(k.GlobalMaxPooling1D()(x)))


def module_lambdas(library: Any, draw: random.Random) -> Any:
    """A functional model with lambda layers: scaling, a slice, a mean, unit vectors."""
    import tensorflow as tf

    k, mean, unit_length = library.layers, tf.reduce_mean, tf.math.l2_normalize
    image = library.Input((40, 40, 4))
    x = k.Lambda(lambda t: (t[..., :3] - 127.0) / 128.0, output_shape=(40, 40, 3), name="scale")(image)
    for filters in (8, 12, draw.choice((16, 24))):
        x = k.Conv2D(filters, 3, strides=2, activation="elu")(x)
    x = k.Lambda(lambda t: mean(t, axis=[1, 2]), output_shape=x.shape[-1:])(x)
    x = k.Dense(16)(x)
    return library.Model(image, k.Lambda(lambda t: unit_length(t, axis=1), output_shape=(16,))(x))


def module_sampled_codes(library: Any, draw: random.Random) -> Any:
    """The variational autoencoder of the Keras examples: mean, logarithm of variance and a sample."""
    import tensorflow as tf

    k = library.layers

    class Sampling(k.Layer):
        def call(self, inputs: Any) -> Any:
            mean, spread = inputs
            return mean + tf.exp(0.5 * spread) * tf.random.normal(tf.shape(mean), seed=1)

    image = library.Input(shape=(28, 28, 1))
    x = k.Conv2D(16, 3, activation="relu", strides=2, padding="same")(image)
    x = k.Conv2D(24, 3, activation="relu", strides=2, padding="same")(x)
    x = k.Dense(16, activation="relu")(k.Flatten()(x))
    mean, spread = (k.Dense(draw.choice((2, 4)), name=name)(x) for name in ("z_mean", "z_log_var"))
    if mean.shape != spread.shape:
        spread = k.Dense(mean.shape[-1], name="z_log_var_2")(spread)
    return library.Model(image, [mean, spread, Sampling()([mean, spread])], name="encoder")


def module_standard_weights(library: Any, draw: random.Random) -> Any:
    """Convolutions whose kernels are standardized when they are called, before group normalization."""
    import tensorflow as tf

    k = library.layers

    class Standard(k.Conv2D):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            kernel = tf.convert_to_tensor(self.kernel)
            mean, variance = tf.nn.moments(kernel, axes=[0, 1, 2], keepdims=True)
            kernel = (kernel - mean) * tf.math.rsqrt(variance + 1e-10)
            return tf.nn.conv2d(x, kernel, self.strides, self.padding.upper())

    image = library.Input((32, 32, 3))
    x = image
    for filters in (8, 16, draw.choice((24, 32))):
        x = Standard(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = k.ReLU()(k.GroupNormalization(4)(x))
    return library.Model(image, k.Dense(10)(k.GlobalAveragePooling2D()(x)))


def module_peaks(library: Any, draw: random.Random) -> Any:
    """A detector by centers that returns its best peaks: maps equal to their own maxima, top-k, gathers."""
    import tensorflow as tf

    k, classes = library.layers, draw.choice((1, 3))

    class Detector(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.body = [k.Conv2D(n, 3, strides=2, padding="same", activation="relu") for n in (8, 16)]
            self.heat, self.size = k.Conv2D(classes, 1, activation="sigmoid"), k.Conv2D(2, 1)

        def call(self, x: Any) -> Any:
            for layer in self.body:
                x = layer(x)
            heat, size = self.heat(x), tf.reshape(self.size(x), (-1, 144, 2))
            peak = tf.cast(tf.equal(tf.nn.max_pool2d(heat, 3, 1, "SAME"), heat), tf.float32)
            scores, index = tf.math.top_k(tf.reshape(heat * peak, (-1, 144 * classes)), 5)
            place = index // classes
            return {"scores": scores, "at": place, "size": tf.gather(size, place, batch_dims=1)}

    return _called(Detector(), 48, 48, 3)


def module_streamed_states(library: Any, draw: random.Random) -> Any:
    """A module that takes one step of a GRU: the state comes in and goes out."""
    import tensorflow as tf

    units = draw.choice((24, 32)) if library else 24

    class Step(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="step")
            start = tf.random_normal_initializer(stddev=0.2)
            self.kernel = tf.Variable(start((20, 3 * units)), name="gru/kernel")
            self.recurrent = tf.Variable(start((units, 3 * units)), name="gru/recurrent_kernel")
            self.bias = tf.Variable(start((3 * units,)), name="gru/bias")
            self.last = tf.Variable(start((units, 12)), name="head/kernel")

        @tf.function(
            input_signature=[tf.TensorSpec((1, 20), name="frame"), tf.TensorSpec((1, units), name="state")]
        )
        def __call__(self, frame: Any, state: Any) -> Any:
            given = tf.split(frame @ self.kernel + self.bias, 3, axis=1)
            held = tf.split(state @ self.recurrent, 3, axis=1)
            update, reset = (tf.sigmoid(given[n] + held[n]) for n in (0, 1))
            new = update * state + (1 - update) * tf.tanh(given[2] + reset * held[2])
            return {"scores": tf.nn.log_softmax(new @ self.last), "next": new}

    return Step()


def module_kept_keys(library: Any, draw: random.Random) -> Any:
    """A module that decodes one word with the keys and values of those before it, for two queries a key."""
    import tensorflow as tf

    size = draw.choice((8, 12)) if library else 8

    class Decoder(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="decoder")
            start, width = tf.random_normal_initializer(stddev=0.1), 4 * size
            self.table = tf.Variable(start((200, width)), name="table")
            self.query = tf.Variable(start((width, 4, size)), name="query/kernel")
            self.both = tf.Variable(start((width, 2, 2, size)), name="kv/kernel")
            self.out = tf.Variable(start((4, size, width)), name="out/kernel")

        @tf.function(
            input_signature=[
                tf.TensorSpec((1, 1), tf.int32, name="word"),
                tf.TensorSpec((1, 15, 2, 2, size), name="cache"),
            ]
        )
        def __call__(self, word: Any, cache: Any) -> Any:
            x = tf.nn.embedding_lookup(self.table, word)
            query = tf.reshape(tf.einsum("btd,dhk->bthk", x, self.query), (1, 1, 2, 2, size))
            cache = tf.concat([cache, tf.einsum("btd,dchk->btchk", x, self.both)], axis=1)
            scores = tf.nn.softmax(tf.einsum("bthgk,bshk->bhgts", query, cache[:, :, 0]) * size**-0.5)
            y = tf.reshape(tf.einsum("bhgts,bshk->bthgk", scores, cache[:, :, 1]), (1, 1, 4, size))
            x = x + tf.einsum("bthk,hkd->btd", y, self.out)
            return {"logits": tf.matmul(x[:, 0], self.table, transpose_b=True), "cache": cache[:, 1:]}

    return Decoder()


def module_sound_front(library: Any, draw: random.Random) -> Any:
    """A module from a wave to classes: frames, a window, a Fourier transform by matrices, bands."""
    import tensorflow as tf

    k, bands = library.layers, draw.choice((16, 20))
    turns = 2 * np.pi * np.outer(np.arange(64), np.arange(33)) / 64
    mel = np.maximum(0, 1 - np.abs(np.arange(33)[:, None] - np.linspace(1, 31, bands)) / 2).astype("float32")

    class Front(k.Layer):
        def call(self, wave: Any) -> Any:
            frames = tf.signal.frame(wave, 64, 32) * tf.constant(np.hanning(64).astype("float32"))
            real, other = (tf.matmul(frames, part(turns).astype("float32")) for part in (np.cos, np.sin))
            power = tf.square(real) + tf.square(other)
            return tf.math.log(tf.matmul(power, tf.constant(mel)) + 1e-6)[..., None]

    wave = library.Input((1024,), batch_size=1)
    x = k.BatchNormalization()(Front()(wave))
    for filters in (8, 12):
        x = k.MaxPooling2D()(k.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return library.Model(wave, k.Dense(8, activation="softmax")(k.GlobalAveragePooling2D()(x)))


def _called(model: Any, *shape: int, dtype: str = "float32") -> Any:
    """Call a model once, which makes its variables and its signature."""
    model(np.zeros((1, *shape), dtype))
    return model


FIFTH_MODULES = {
    **kinds("exported", module_involution, module_shifted_windows, module_latents),
    **kinds("exported", module_weighed_pyramid, module_tied_words, module_edges_of_points),
    **kinds("exported", module_lambdas, module_sampled_codes, module_standard_weights),
    **kinds("exported", module_peaks, module_streamed_states, module_kept_keys),
    **kinds("exported", module_sound_front),
}
"""The class of each kind of network, and what builds it."""
MODULES_ONLY: dict[str, tuple[int, ...]] = {"v-module-streamed-states": (2,), "v-module-kept-keys": (3,)}
"""Modules of TensorFlow, which are drawn once: the versions of Keras whose runs make them."""
