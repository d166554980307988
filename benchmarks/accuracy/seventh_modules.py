"""Networks of the seventh set that are SavedModels only, after examples, tutorials and books.

A kind of network is named after its builder, which takes the library (tf_keras or keras) and
a source of random numbers, and returns a model that was called once.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np


def patch_convnet(library: Any, draw: random.Random) -> Any:
    """PatchConvNet: a stem, a trunk with squeezing and learned scales, and a query that pools all places."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((16, 24))

    class SqueezeExcite(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            ends = [k.Dense(width // 2, activation="relu"), k.Dense(width, activation="sigmoid")]
            self.mlp = library.Sequential([k.GlobalAveragePooling2D(keepdims=True), *ends])

        def call(self, x: Any) -> Any:
            return k.multiply([self.mlp(x), x])

    class Trunk(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            steps = [k.LayerNormalization(epsilon=1e-6), k.Conv2D(width, 1, activation="gelu")]
            steps += [k.DepthwiseConv2D(3, padding="same", activation="gelu"), SqueezeExcite()]
            self.steps = [*steps, k.Conv2D(width, 1)]

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(width,), initializer="ones", name="layer_scale")
            super().build(shape)

        def call(self, x: Any) -> Any:
            y = x
            for step in self.steps:
                y = step(y)
            return x + y * self.scale

    class PatchConvNet(library.Model):
        def __init__(self) -> None:
            super().__init__()
            options = {"strides": 2, "padding": "same", "use_bias": False, "activation": "gelu"}
            self.stem = [k.Rescaling(1 / 255.0), k.Conv2D(width // 2, 3, **options)]
            self.stem.append(k.Conv2D(width, 3, **options))
            self.trunks = [Trunk() for _ in range(2)]
            self.norm = k.LayerNormalization(epsilon=1e-6)
            self.attention = k.MultiHeadAttention(num_heads=1, key_dim=width)
            self.head = k.Dense(10, activation="softmax")

        def build(self, shape: Any) -> None:
            self.query = self.add_weight(shape=(1, 1, width), name="class_token")
            super().build(shape)

        def call(self, images: Any) -> Any:
            x = images
            for layer in (*self.stem, *self.trunks):
                x = layer(x)
            x = self.norm(tf.reshape(x, [-1, 64, width]))
            query = tf.repeat(tf.convert_to_tensor(self.query), tf.shape(x)[0], axis=0)
            pooled, scores = self.attention(query, x, return_attention_scores=True)
            return self.head(pooled[:, 0]), scores[:, 0, 0]

    return called(PatchConvNet(), 32, 32, 3)


def video_transformer(library: Any, draw: random.Random) -> Any:
    """Videos by attention over the vectors of frames: places are added, the largest of each feature kept."""
    import tensorflow as tf

    k, width, steps = library.layers, draw.choice((32, 48)), 12

    class PositionalEmbedding(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.position_embeddings = k.Embedding(input_dim=steps, output_dim=width)

        def call(self, frames: Any) -> Any:
            length = tf.shape(frames)[1]
            return frames + self.position_embeddings(tf.range(start=0, limit=length, delta=1))

    class TransformerEncoder(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.attention = k.MultiHeadAttention(num_heads=1, key_dim=width, dropout=0.3)
            self.dense_proj = library.Sequential([k.Dense(8, activation="gelu"), k.Dense(width)])
            self.layernorm_1, self.layernorm_2 = k.LayerNormalization(), k.LayerNormalization()

        def call(self, x: Any) -> Any:
            x = self.layernorm_1(x + self.attention(x, x))
            return self.layernorm_2(x + self.dense_proj(x))

    frames = library.Input((steps, width))
    x = TransformerEncoder()(PositionalEmbedding()(frames))
    x = k.Dropout(0.5)(k.GlobalMaxPooling1D()(x))
    return library.Model(frames, k.Dense(5, activation="softmax")(x))


def decision_forest(library: Any, draw: random.Random) -> Any:
    """A neural decision forest: trees read some features, and the paths to the leaves are multiplied out."""
    import tensorflow as tf

    k, depth, features = library.layers, draw.choice((3, 4)), 24
    choice = np.random.default_rng(draw.randrange(1000))

    class NeuralDecisionTree(library.Model):
        def __init__(self) -> None:
            super().__init__()
            taken = choice.choice(np.arange(features), features // 2, replace=False)
            self.used_features_mask = tf.constant(np.eye(features, dtype="float32")[taken])
            self.decision_fn = k.Dense(2**depth, activation="sigmoid", name="decision")
            self.pi = self.add_weight(shape=(2**depth, 4), initializer="random_normal", name="pi")

        def call(self, rows: Any) -> Any:
            rows = tf.matmul(rows, self.used_features_mask, transpose_b=True)
            decisions = tf.expand_dims(self.decision_fn(rows), axis=2)
            decisions = tf.concat([decisions, 1 - decisions], axis=2)
            paths = tf.ones((tf.shape(rows)[0], 1, 1))
            first = 1
            for level in range(depth):
                paths = tf.tile(tf.reshape(paths, [-1, 2**level, 1]), (1, 1, 2))
                paths = paths * decisions[:, first : first + 2**level, :]
                first += 2**level
            paths = tf.reshape(paths, [-1, 2**depth])
            return tf.matmul(paths, tf.nn.softmax(tf.convert_to_tensor(self.pi)))

    class NeuralDecisionForest(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.ensemble = k.BatchNormalization(), [NeuralDecisionTree() for _ in range(5)]

        def call(self, rows: Any) -> Any:
            rows = self.norm(rows)
            return tf.add_n([tree(rows) for tree in self.ensemble]) / 5.0

    return called(NeuralDecisionForest(), features)


def pixel_cnn(library: Any, draw: random.Random) -> Any:
    """PixelCNN: kernels are multiplied with masks that hide the pixels to come, in residual blocks."""
    k, f = library.layers, draw.choice((12, 16))

    class PixelConvLayer(k.Layer):
        def __init__(self, mask_type: str, **options: Any) -> None:
            super().__init__()
            self.mask_type, self.conv = mask_type, k.Conv2D(**options)

        def build(self, shape: Any) -> None:
            self.conv.build(shape)
            rows, columns, *depths = (int(size) for size in self.conv.kernel.shape)
            self.mask = np.zeros((rows, columns, *depths), "float32")
            self.mask[: rows // 2] = 1.0
            self.mask[rows // 2, : columns // 2] = 1.0
            if self.mask_type == "B":
                self.mask[rows // 2, columns // 2] = 1.0
            super().build(shape)

        def call(self, images: Any) -> Any:
            import tensorflow as tf

            kernel = tf.convert_to_tensor(self.conv.kernel) * self.mask
            x = tf.nn.conv2d(images, kernel, 1, "SAME") + tf.convert_to_tensor(self.conv.bias)
            return tf.nn.relu(x)

    class ResidualBlock(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = k.Conv2D(f, kernel_size=1, activation="relu")
            self.pixel_conv = PixelConvLayer("B", filters=f // 2, kernel_size=3, padding="same")
            self.conv2 = k.Conv2D(f, kernel_size=1, activation="relu")

        def call(self, x: Any) -> Any:
            return k.add([x, self.conv2(self.pixel_conv(self.conv1(x)))])

    image = library.Input((28, 28, 1))
    x = PixelConvLayer("A", filters=f, kernel_size=7, padding="same")(image)
    for _ in range(3):
        x = ResidualBlock()(x)
    x = PixelConvLayer("B", filters=f, kernel_size=1, padding="valid")(x)
    return library.Model(image, k.Conv2D(1, 1, activation="sigmoid", padding="valid")(x))


def anomaly_autoencoder(library: Any, draw: random.Random) -> Any:
    """The tutorial about heart beats: an encoder and a decoder of dense layers, and the error they leave."""
    import tensorflow as tf

    k, width = library.layers, draw.choice((24, 32))

    class AnomalyDetector(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = library.Sequential([k.Dense(n, activation="relu") for n in (width, 16, 8)])
            decoder = [k.Dense(n, activation="relu") for n in (16, width)]
            self.decoder = library.Sequential([*decoder, k.Dense(140, activation="sigmoid")])

        def call(self, x: Any) -> Any:
            decoded = self.decoder(self.encoder(x))
            return {"decoded": decoded, "loss": tf.reduce_mean(tf.abs(decoded - x), axis=-1)}

    return called(AnomalyDetector(), 140)


def nmt_attention(library: Any, draw: random.Random) -> Any:
    """Translation with attention: a GRU in both directions, unrolled, and attention of a few words to it."""
    k, units = library.layers, draw.choice((16, 24))

    class CrossAttention(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.mha = k.MultiHeadAttention(key_dim=units, num_heads=1)
            self.layernorm, self.add = k.LayerNormalization(), k.Add()

        def call(self, x: Any, context: Any) -> Any:
            return self.layernorm(self.add([x, self.mha(query=x, value=context)]))

    class Encoder(k.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = k.Embedding(300, units)
            gru = k.GRU(units, return_sequences=True, unroll=True)
            self.rnn = k.Bidirectional(gru, merge_mode="sum")

        def call(self, words: Any) -> Any:
            return self.rnn(self.embedding(words))

    source = library.Input((8,), dtype="int32", name="context")
    target = library.Input((4,), dtype="int32", name="target")
    x = k.Embedding(250, units)(target)
    x = CrossAttention()(x, context=Encoder()(source))
    return library.Model([source, target], k.Dense(250)(x))


def foster_cvae(library: Any, draw: random.Random) -> Any:
    """A conditional variational autoencoder of faces: the label joins the image as maps and the code."""
    import tensorflow as tf

    k, f = library.layers, draw.choice((8, 12))

    class ConditionalVae(library.Model):
        def __init__(self) -> None:
            super().__init__()
            options = {"kernel_size": 3, "strides": 2, "padding": "same"}
            self.down = [[k.Conv2D(f * n, **options), k.BatchNormalization(), k.LeakyReLU()] for n in (1, 2)]
            self.z_mean, self.z_log_var = k.Dense(16, name="z_mean"), k.Dense(16, name="z_log_var")
            self.dense = k.Dense(64 * f)
            self.up = [
                [k.Conv2DTranspose(f * n, **options), k.BatchNormalization(), k.LeakyReLU()] for n in (2, 1)
            ]
            self.last = k.Conv2DTranspose(3, 3, padding="same", activation="sigmoid")

        def call(self, inputs: Any) -> Any:
            image, label = inputs[..., :3], inputs[:, 0, 0, 3:]
            x = tf.concat([image, tf.tile(label[:, None, None], [1, 32, 32, 1])], axis=-1)
            for layer in (layer for block in self.down for layer in block):
                x = layer(x)
            x = tf.reshape(x, [-1, 8 * 8 * 2 * f])
            mean, spread = self.z_mean(x), self.z_log_var(x)
            x = mean + tf.exp(0.5 * spread) * 0.1
            x = tf.reshape(self.dense(tf.concat([x, label], axis=-1)), [-1, 8, 8, f])
            for layer in (layer for block in self.up for layer in block):
                x = layer(x)
            return mean, spread, self.last(x)

    return called(ConditionalVae(), 32, 32, 5)


def called(model: Any, *shape: int, dtype: str = "float32") -> Any:
    """Call a model once, which makes its variables and its signature."""
    model(np.zeros((1, *shape), dtype))
    return model
