"""Networks of the sixth set that are SavedModels only: custom layers and subclassed models of the code
examples and tutorials, and modules of TensorFlow.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model that
was called once, or a ``tf.Module`` whose ``__call__`` has a signature.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds


def video_tubelets(library: Any, draw: random.Random) -> Any:
    """ViViT: patches of space and time by a convolution, an embedding for each place, and attention."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((16, 24))

    class TubeletEmbedding(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.projection = k.Conv3D(width, kernel_size=(4, 8, 8), strides=(4, 8, 8), padding="valid")
            self.flatten = k.Reshape(target_shape=(-1, width))

        def call(self, videos: Any) -> Any:
            return self.flatten(self.projection(videos))

    class PositionalEncoder(k.Layer):
        def build(self, shape: Any) -> None:
            self.position_embedding = k.Embedding(input_dim=shape[1], output_dim=width)
            self.positions = np.arange(shape[1])
            super().build(shape)

        def call(self, tokens: Any) -> Any:
            return tokens + self.position_embedding(tf.constant(self.positions))

    video = library.Input(shape=(8, 32, 32, 1))
    x = PositionalEncoder()(TubeletEmbedding()(video))
    y = k.LayerNormalization(epsilon=1e-6)(x)
    x = k.Add()([k.MultiHeadAttention(num_heads=2, key_dim=width // 2, dropout=0.1)(y, y), x])
    y = k.LayerNormalization(epsilon=1e-6)(x)
    dense = library.Sequential([k.Dense(2 * width, activation="gelu"), k.Dense(width, activation="gelu")])
    x = k.GlobalAveragePooling1D()(k.LayerNormalization(epsilon=1e-6)(k.Add()([dense(y), x])))
    return library.Model(video, k.Dense(11, activation="softmax")(x))


def video_factored(library: Any, draw: random.Random) -> Any:
    """The tutorial about videos: convolutions over space and then over time, as a custom layer."""
    k, width = library.layers, draw.choice((6, 8))

    class Conv2Plus1D(k.Layer):
        def __init__(self, filters: int, size: tuple[int, int, int]) -> None:
            super().__init__()
            space = k.Conv3D(filters, (1, size[1], size[2]), padding="same")
            self.seq = library.Sequential([space, k.Conv3D(filters, (size[0], 1, 1), padding="same")])

        def call(self, x: Any) -> Any:
            return self.seq(x)

    class ResidualMain(k.Layer):
        def __init__(self, filters: int) -> None:
            super().__init__()
            layers = [Conv2Plus1D(filters, (3, 3, 3)), k.LayerNormalization(), k.ReLU()]
            layers += [Conv2Plus1D(filters, (3, 3, 3)), k.LayerNormalization()]
            self.seq = library.Sequential(layers)

        def call(self, x: Any) -> Any:
            return self.seq(x)

    video = library.Input(shape=(6, 24, 24, 3))
    x = k.ReLU()(k.BatchNormalization()(Conv2Plus1D(width, (3, 5, 5))(video)))
    x = k.add([x, ResidualMain(width)(x)])
    x = k.Flatten()(k.GlobalAveragePooling3D()(x))
    return library.Model(video, k.Dense(10)(x))


def word_vectors(library: Any, draw: random.Random) -> Any:
    """Word2Vec: the products of a word's vector with those of several others."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((32, 48))

    class Word2Vec(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.target_embedding = k.Embedding(400, width, name="w2v_embedding")
            self.context_embedding = k.Embedding(400, width)

        def call(self, pair: Any) -> Any:
            word = self.target_embedding(pair[:, 0])
            return tf.einsum("be,bce->bc", word, self.context_embedding(pair[:, 1:]))

    return _called(Word2Vec(), 6, dtype="int32")


def fed_back_forecast(library: Any, draw: random.Random) -> Any:
    """The tutorial about series: an LSTM whose forecasts are its next inputs."""
    import tensorflow as tf

    k, units = library.layers, draw.choice((16, 24))

    class FeedBack(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.lstm_cell = k.LSTMCell(units)
            self.lstm_rnn = k.RNN(self.lstm_cell, return_state=True, unroll=True)
            self.dense = k.Dense(5)

        def call(self, inputs: Any) -> Any:
            x, *state = self.lstm_rnn(inputs)
            found = [self.dense(x)]
            for _ in range(1, 4):
                x, state = self.lstm_cell(found[-1], states=state)
                found.append(self.dense(x))
            return tf.transpose(tf.stack(found), [1, 0, 2])

    return _called(FeedBack(), 8, 5)


def switched_experts(library: Any, draw: random.Random) -> Any:
    """The Switch Transformer: a router sends each word to the expert with the highest score."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((24, 32))

    class Switch(k.Layer):
        def __init__(self, experts: int) -> None:
            super().__init__()
            self.route = k.Dense(experts)
            self.experts = [
                library.Sequential([k.Dense(2 * width, activation="relu"), k.Dense(width)])
                for _ in range(experts)
            ]

        def call(self, words: Any) -> Any:
            scores = tf.nn.softmax(self.route(words), axis=-1)
            chosen = tf.one_hot(tf.argmax(scores, axis=-1), len(self.experts))
            every = tf.stack([expert(words) for expert in self.experts], axis=-2)
            return tf.reduce_sum(every * (scores * chosen)[..., None], axis=-2)

    class Embedding(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.token_emb, self.pos_emb = k.Embedding(500, width), k.Embedding(20, width)

        def call(self, x: Any) -> Any:
            return self.token_emb(x) + self.pos_emb(tf.range(start=0, limit=20, delta=1))

    words = library.Input(shape=(20,), dtype="int32")
    x = Embedding()(words)
    x = k.LayerNormalization(epsilon=1e-6)(x + k.MultiHeadAttention(2, width)(x, x))
    x = k.GlobalAveragePooling1D()(k.LayerNormalization(epsilon=1e-6)(x + Switch(4)(x)))
    x = k.Dense(16, activation="relu")(k.Dropout(0.25)(x))
    return library.Model(words, k.Dense(2, activation="softmax")(x))


def caption_decoder(library: Any, draw: random.Random) -> Any:
    """Captions of images: words and places embedded, causal attention, and attention to the image."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((24, 32))

    class Decoder(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = k.Embedding(400, width), k.Embedding(14, width)
            self.attention_1, self.attention_2 = (k.MultiHeadAttention(2, width) for _ in range(2))
            self.norms = [k.LayerNormalization() for _ in range(3)]
            self.ffn_1, self.ffn_2 = k.Dense(2 * width, activation="relu"), k.Dense(width)
            self.out = k.Dense(400, activation="softmax")

        def call(self, words: Any, image: Any) -> Any:
            x = self.tokens(words) * tf.sqrt(float(width)) + self.places(tf.range(14))
            steps = tf.shape(x)[1]
            mask = tf.cast(tf.range(steps)[:, None] >= tf.range(steps)[None], "int32")[None]
            x = self.norms[0](x + self.attention_1(query=x, value=x, key=x, attention_mask=mask))
            x = self.norms[1](x + self.attention_2(query=x, value=image, key=image))
            return self.out(self.norms[2](x + self.ffn_2(self.ffn_1(x))))

    words, image = library.Input((14,), dtype="int32", batch_size=1), library.Input((9, width), batch_size=1)
    return library.Model([words, image], Decoder()(words, image))


def antirectifier(library: Any, draw: random.Random) -> Any:
    """A custom layer that centers, normalizes, and keeps positive and negative parts beside each other."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((48, 64))

    class Antirectifier(k.Layer):
        def build(self, shape: Any) -> None:
            options = {"initializer": "he_normal", "name": "kernel"}
            self.kernel = self.add_weight(shape=(2 * shape[-1], shape[-1]), **options)

        def call(self, inputs: Any) -> Any:
            x = tf.math.l2_normalize(inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True), axis=-1)
            return tf.matmul(
                tf.concat([tf.nn.relu(x), tf.nn.relu(-x)], axis=-1), tf.convert_to_tensor(self.kernel)
            )

    layers = [k.Dense(width), Antirectifier(), k.Dense(width), Antirectifier(), k.Dropout(0.5), k.Dense(10)]
    return library.Sequential([library.Input((196,)), *layers])


def layered_encoder(library: Any, draw: random.Random) -> Any:
    """The encoder of the tutorial about transformers: classes for attention and for dense layers."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((24, 32))
    angles = np.arange(16)[:, None] / 10000 ** (np.arange(width // 2)[None] / (width // 2))
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).astype("float32")

    class SelfAttention(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.mha, self.layernorm = k.MultiHeadAttention(2, width, dropout=0.1), k.LayerNormalization()

        def call(self, x: Any) -> Any:
            return self.layernorm(x + self.mha(query=x, value=x, key=x))

    class FeedForward(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            layers = [k.Dense(2 * width, activation="relu"), k.Dense(width), k.Dropout(0.1)]
            self.seq, self.layer_norm = library.Sequential(layers), k.LayerNormalization()

        def call(self, x: Any) -> Any:
            return self.layer_norm(x + self.seq(x))

    class Encoder(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.final_layer = k.Embedding(500, width), k.Dense(30)
            self.enc_layers = [SelfAttention(), FeedForward(), SelfAttention(), FeedForward()]

        def call(self, words: Any) -> Any:
            x = self.embedding(words) * tf.math.sqrt(tf.cast(width, tf.float32)) + waves[None]
            for layer in self.enc_layers:
                x = layer(x)
            return self.final_layer(x)

    return _called(Encoder(), 16, dtype="int32")


def core_perceptron(library: Any, draw: random.Random) -> Any:
    """A module as the guides to TensorFlow's core write it: numbers are scaled, and the class is returned."""
    import tensorflow as tf

    width = draw.choice((48, 64)) if library else 48

    class Mlp(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="mlp")
            start = tf.random_normal_initializer(stddev=0.1)
            sizes = ((200, width), (width, width), (width, 10))
            self.w = [tf.Variable(start(size), name="w") for size in sizes]
            self.b = [tf.Variable(tf.zeros(size[1:]), name="b") for size in sizes]

        @tf.function(input_signature=[tf.TensorSpec((None, 200), tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            x = (x - 33.3) / 78.6
            for w, b in zip(self.w[:-1], self.b[:-1], strict=True):
                x = tf.nn.relu(tf.add(tf.matmul(x, w), b))
            scores = tf.nn.softmax(tf.matmul(x, self.w[-1]) + self.b[-1])
            return {"probabilities": scores, "class": tf.argmax(scores, axis=1)}

    return Mlp()


def fast_grnn(library: Any, draw: random.Random) -> Any:
    """A module with FastGRNN's cell of low rank, unrolled over the frames of a sound."""
    import tensorflow as tf

    units = draw.choice((24, 32)) if library else 24

    class FastGrnn(tf.Module):
        def __init__(self) -> None:
            super().__init__(name="fast_grnn")
            start, sizes = (
                tf.random_normal_initializer(stddev=0.1),
                ((16, 12), (12, units), (units, 12), (12, units)),
            )
            self.factors = [tf.Variable(start(size), name="w") for size in sizes]
            self.gate, self.update = (tf.Variable(tf.ones((1, units)), name=name) for name in ("b_g", "b_h"))
            self.last = tf.Variable(start((units, 6)), name="head/kernel")

        @tf.function(input_signature=[tf.TensorSpec((1, 8, 16), name="frames")])
        def __call__(self, frames: Any) -> Any:
            state = tf.zeros((1, units))
            for x in tf.unstack(frames, axis=1):
                both = x @ self.factors[0] @ self.factors[1] + state @ self.factors[2] @ self.factors[3]
                gate = tf.sigmoid(both + self.gate)
                state = (0.9 * (1.0 - gate) + 0.05) * tf.tanh(both + self.update) + gate * state
            return tf.nn.softmax(state @ self.last)

    return FastGrnn()


def _called(model: Any, *shape: int, dtype: str = "float32") -> Any:
    """Call a model once, which makes its variables and its signature."""
    model(np.zeros((1, *shape), dtype))
    return model


SIXTH_MODULES = {
    **kinds("exported", video_tubelets, video_factored, word_vectors, start="w-"),
    **kinds("exported", fed_back_forecast, switched_experts, caption_decoder, start="w-"),
    **kinds("exported", antirectifier, layered_encoder, start="w-"),
    **kinds("exported", core_perceptron, fast_grnn, start="w-"),
}
"""The class of each kind of network, and what builds it."""
