"""Networks of the seventh set that read rows of numbers and codes.

A kind of network is named after its builder, which takes the library (tf_keras or keras) and
a source of random numbers, and returns a model without trained weights.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

from benchmarks.accuracy.fourth_functions import functions


def text_extraction_head(library: Any, draw: random.Random) -> Any:
    """Where an answer starts and ends: two dense layers without biases over the vectors of an encoder."""
    k = library.layers
    words = library.Input((48, draw.choice((64, 96))), name="sequence_output")
    ends = []
    for name in ("start_logit", "end_logit"):
        x = k.Flatten()(k.Dense(1, name=name, use_bias=False)(words))
        ends.append(k.Activation("softmax")(x))
    return library.Model(words, ends)


def overfit_and_underfit(library: Any, draw: random.Random) -> Any:
    """The large model of the tutorial about fitting: wide layers with ELU, without decay or dropout."""
    k, width = library.layers, draw.choice((96, 128))
    hidden = [k.Dense(width, activation="elu") for _ in range(4)]
    return library.Sequential([library.Input((28,)), *hidden, k.Dense(1)])


def imbalanced_data(library: Any, draw: random.Random) -> Any:
    """The tutorial about rare classes: one hidden layer, and a bias that starts at the classes' ratio."""
    k, start = library.layers, library.initializers.Constant(-6.36)
    layers = [k.Dense(draw.choice((16, 24)), activation="relu"), k.Dropout(0.5)]
    return library.Sequential(
        [library.Input((29,)), *layers, k.Dense(1, activation="sigmoid", bias_initializer=start)]
    )


def model_garden_ncf(library: Any, draw: random.Random) -> Any:
    """Neural collaborative filtering: one table for each side, which is cut into the two parts' vectors."""
    k, factors, width = library.layers, 8, draw.choice((16, 24))
    user = library.Input((1,), dtype="int32", name="user_id")
    item = library.Input((1,), dtype="int32", name="item_id")
    one = k.Embedding(400, factors + width, embeddings_initializer="glorot_uniform")(user)
    two = k.Embedding(700, factors + width, embeddings_initializer="glorot_uniform")(item)
    product = k.Multiply()([one[:, 0, :factors], two[:, 0, :factors]])
    x = k.concatenate([one[:, 0, factors:], two[:, 0, factors:]])
    for units in (32, 16, 8):
        x = k.Dense(units, activation="relu", kernel_regularizer=library.regularizers.L2(0.0))(x)
    x = k.Dense(1, kernel_initializer="lecun_uniform", name="rating")(k.concatenate([product, x]))
    return library.Model([user, item], k.concatenate([x * 0.0, x], axis=-1, name="logits"))


def hello_world_sine(library: Any, draw: random.Random) -> Any:
    """The sine of a number with three hidden layers, a fixed batch and hyperbolic tangents."""
    k, units = library.layers, draw.choice((16, 20))
    x = number = library.Input((1,), batch_size=1)
    for _ in range(3):
        x = k.Dense(units, activation="tanh")(x)
    return library.Model(number, k.Dense(1)(x))


def chollet_reuters(library: Any, draw: random.Random) -> Any:
    """Newswires in Chollet's book: words as a vector of ones, two layers of 64, 46 topics."""
    k = library.layers
    dense = [k.Dense(64, activation="relu"), k.Dense(draw.choice((4, 64)), activation="relu")]
    return library.Sequential([library.Input((2000,)), *dense, k.Dense(46, activation="softmax")])


def geron_stacked_autoencoder(library: Any, draw: random.Random) -> Any:
    """Clothes by an autoencoder of two chains, the decoder's last layer with sigmoids and a shape."""
    k, width = library.layers, draw.choice((48, 64))
    encoder = [library.Input((28, 28)), k.Flatten(), k.Dense(width, activation="relu")]
    encoder.append(k.Dense(16, activation="relu"))
    decoder = [library.Input((16,)), k.Dense(width, activation="relu")]
    decoder += [k.Dense(28 * 28, activation="sigmoid"), k.Reshape([28, 28])]
    chains = [library.Sequential(encoder), library.Sequential(decoder)]
    return library.Sequential([library.Input((28, 28)), *chains])


def geron_hashing_autoencoder(library: Any, draw: random.Random) -> Any:
    """Semantic hashing: noise before sixteen sigmoids, a decoder, and the rounded code as second output."""
    k = library.layers
    image = library.Input((28, 28))
    x = k.Dense(draw.choice((48, 64)), activation="relu")(k.Flatten()(image))
    code = k.Dense(16, activation="sigmoid", name="code")(k.GaussianNoise(1.0)(x))
    x = k.Dense(784, activation="sigmoid")(k.Dense(48, activation="relu")(code))
    f = functions(library)
    bits = f.where(code > 0.5, 1.0, 0.0)
    return library.Model(image, [k.Reshape([28, 28])(x), bits])


def ubiquant_mlp(library: Any, draw: random.Random) -> Any:
    """Ubiquant: a table of investments with dense layers beside those of the features, then joined ones."""
    k, width = library.layers, draw.choice((32, 48))
    asset, features = library.Input((1,), dtype="int32"), library.Input((120,))
    x = k.Reshape((-1,))(k.Embedding(500, 16)(asset))
    for _ in range(2):
        x = k.Dense(width, activation="swish")(x)
    y = features
    for _ in range(3):
        y = k.Dense(2 * width, activation="swish")(y)
    x = k.Concatenate(axis=1)([x, y])
    for units in (2 * width, width, 16):
        decay = library.regularizers.L2(0.01)
        x = k.Dense(units, activation="swish", kernel_regularizer=decay)(x)
    return library.Model([asset, features], k.Dense(1)(x))


def ddpg_actor_critic(library: Any, draw: random.Random) -> Any:
    """DDPG: what the actor does, scaled to its bound, is judged by the critic in the same model."""
    k, width = library.layers, draw.choice((48, 64))
    state = library.Input((3,), name="state")
    x = state
    for _ in range(2):
        x = k.Dense(width, activation="relu")(x)
    start = library.initializers.RandomUniform(minval=-0.003, maxval=0.003)
    action = k.Dense(1, activation="tanh", kernel_initializer=start)(x) * 2.0
    x = k.Dense(32, activation="relu")(k.Dense(16, activation="relu")(state))
    x = k.Concatenate()([x, k.Dense(32, activation="relu")(action)])
    for _ in range(2):
        x = k.Dense(width, activation="relu")(x)
    return library.Model(state, [action, k.Dense(1)(x)])


def _fields(library: Any, width: int, least: int) -> tuple[list[Any], Any, list[Any], Any]:
    """Return the inputs of codes and of numbers, a vector for each code, and the linear part of DeepCTR."""
    k, sizes = library.layers, (120, 40, 300, least, 60)
    codes = [library.Input((1,), dtype="int32", name=f"C{number}") for number in range(len(sizes))]
    numbers = library.Input((6,), name="dense_feature")
    vectors = [k.Embedding(size, width)(code) for size, code in zip(sizes, codes, strict=True)]
    lines = [k.Embedding(size, 1)(code) for size, code in zip(sizes, codes, strict=True)]
    line = k.Add()([k.Flatten()(k.Add()(lines)), k.Dense(1, use_bias=False)(numbers)])
    return codes, numbers, vectors, line


def nfm(library: Any, draw: random.Random) -> Any:
    """NFM: half of the squared sum less the sum of squares is a vector, which dense layers read."""
    k, f = library.layers, functions(library)
    codes, numbers, vectors, line = _fields(library, draw.choice((8, 12)), 8)
    fields = k.Concatenate(axis=1)(vectors)
    pairs = f.square(f.sum(fields, axis=1, keepdims=True)) - f.sum(fields * fields, axis=1, keepdims=True)
    x = k.Concatenate()([k.Flatten()(k.Dropout(0.2)(0.5 * pairs)), numbers])
    for _ in range(2):
        x = k.Dense(48, activation="relu")(x)
    x = k.Add()([line, k.Dense(1, use_bias=False)(x)])
    return library.Model([*codes, numbers], k.Activation("sigmoid")(x))


def pnn(library: Any, draw: random.Random) -> Any:
    """PNN: the inner products of all pairs of fields beside the vectors and numbers."""
    k, f = library.layers, functions(library)
    # the steps of training draw codes up to eight
    codes, numbers, vectors, _ = _fields(library, draw.choice((6, 8)), 12)
    left, right = zip(*combinations(vectors, 2), strict=True)
    inner = f.sum(k.Concatenate(axis=1)(list(left)) * k.Concatenate(axis=1)(list(right)), axis=-1)
    x = k.Concatenate()([k.Flatten()(k.Concatenate()(vectors)), inner, numbers])
    for units in (64, 32):
        x = k.Dropout(0.1)(k.BatchNormalization()(k.Dense(units, activation="relu")(x)))
    return library.Model([*codes, numbers], k.Dense(1, activation="sigmoid", use_bias=False)(x))
