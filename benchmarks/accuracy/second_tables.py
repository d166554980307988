"""Small networks of tables, recommendations and agents, and networks with attention, wired as tutorials and
published code wire them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.second_images import Builder


def fraud(library: Any, draw: random.Random) -> Any:
    """Fraud among payments: wide dense layers with dropout."""
    k, width = library.layers, draw.choice((48, 64))
    return library.Sequential(
        [
            library.Input(shape=(30,)),
            k.Dense(width, activation="relu"),
            k.Dense(width, activation="relu"),
            k.Dropout(0.3),
            k.Dense(width, activation="relu"),
            k.Dropout(0.3),
            k.Dense(1, activation="sigmoid"),
        ]
    )


def fuel(library: Any, draw: random.Random) -> Any:
    """Regression with a normalization layer inside."""
    k = library.layers
    mean = [draw.uniform(-2, 5) for _ in range(9)]
    variance = [draw.uniform(0.2, 4) for _ in range(9)]
    return library.Sequential(
        [
            library.Input((9,)),
            k.Normalization(axis=-1, mean=mean, variance=variance),
            k.Dense(draw.choice((32, 64)), activation="relu"),
            k.Dense(32, activation="relu"),
            k.Dense(1),
        ]
    )


def matched_movies(library: Any, draw: random.Random) -> Any:
    """Movies and users with a bias each, added to their product."""
    k, width = library.layers, draw.choice((8, 16))
    user, movie = (library.Input((1,), name=name, dtype="int32") for name in ("user", "movie"))
    u = k.Flatten()(k.Embedding(220, width, embeddings_initializer="he_normal")(user))
    m = k.Flatten()(k.Embedding(310, width, embeddings_initializer="he_normal")(movie))
    product = k.Dot(axes=1)([u, m])
    parts = [product, k.Flatten()(k.Embedding(220, 1)(user)), k.Flatten()(k.Embedding(310, 1)(movie))]
    return library.Model([user, movie], k.Activation("sigmoid")(k.Add()(parts)))


def two_towers(library: Any, draw: random.Random) -> Any:
    """A tower of the query and one of the candidate, each a chain."""
    k = library.layers
    width = draw.choice((16, 24))
    query, candidate = (library.Input((1,), name=name, dtype="int32") for name in ("query", "candidate"))
    age = library.Input((3,), name="context")

    def tower(name: str, size: int) -> Any:
        return library.Sequential(
            [
                library.Input((1,), dtype="int32"),
                k.Embedding(size, 16),
                k.Flatten(),
                k.Dense(width, activation="relu"),
                k.Dense(width),
            ],
            name=name,
        )

    one = k.Dense(width)(k.Concatenate()([tower("user", 150)(query), age]))
    two = tower("item", 260)(candidate)
    score = k.Dot(axes=-1, normalize=draw.random() < 0.5)([one, two])
    return library.Model([query, age, candidate], score)


def behaviour(library: Any, draw: random.Random) -> Any:
    """Sequences of what a user did, and one candidate, by pooling over the same table (Covington, 2016)."""
    k = library.layers
    watched = library.Input((10,), dtype="int32", name="watched")
    candidate = library.Input((1,), dtype="int32", name="candidate")
    table = k.Embedding(200, 12, name="items")
    history = k.GlobalAveragePooling1D()(table(watched))
    now = k.Reshape((12,))(table(candidate))
    x = k.Concatenate()([history, now, k.Multiply()([history, now])])
    for units in (32, 16):
        x = k.PReLU()(k.Dense(units)(x)) if draw.random() < 0.5 else k.Dense(units, activation="relu")(x)
    return library.Model([watched, candidate], k.Dense(1, activation="sigmoid")(x))


def factorized(library: Any, draw: random.Random) -> Any:
    """Squares of sums and sums of squares of embedded fields (Guo, 2017)."""
    k, fields = library.layers, draw.choice((3, 4))
    given = library.Input((fields,), dtype="int32")
    numbers = library.Input((6,))
    vectors = k.Embedding(120, 8)(given)
    total = k.GlobalAveragePooling1D()(vectors)
    squares = k.GlobalAveragePooling1D()(k.Multiply()([vectors, vectors]))
    second = k.Subtract()([k.Multiply()([total, total]), squares])
    deep = k.Concatenate()([k.Flatten()(vectors), numbers])
    for units in (24, 12):
        deep = k.Dropout(0.2)(k.Dense(units, activation="relu")(deep))
    x = k.Concatenate()([second, deep, k.Dense(1)(numbers)])
    return library.Model([given, numbers], k.Dense(1, activation="sigmoid")(x))


def autorec(library: Any, draw: random.Random) -> Any:
    """Ratings made again from ratings (Sedhain, 2015)."""
    k = library.layers
    given = library.Input((draw.choice((90, 140)),), name="ratings")
    x = k.Dense(24, activation="sigmoid", kernel_regularizer="l2")(k.Dropout(0.1)(given))
    return library.Model(given, k.Dense(given.shape[-1], activation=draw.choice((None, "relu")))(x))


def highway(library: Any, draw: random.Random) -> Any:
    """Gates that let their input pass (Srivastava, 2015)."""
    k, width = library.layers, draw.choice((16, 24))
    given = library.Input((width,))
    x = given
    for _ in range(draw.randint(2, 3)):
        gate = k.Dense(width, activation="sigmoid", bias_initializer=library.initializers.Constant(-2.0))(x)
        value = k.Dense(width, activation="relu")(x)
        kept = k.Subtract()([x, k.Multiply()([gate, x])])
        x = k.Add()([k.Multiply()([gate, value]), kept])
    return library.Model(given, k.Dense(2, activation="softmax")(x))


def actor(library: Any, draw: random.Random) -> Any:
    """A continuous policy with a bound, as for deterministic gradients (Lillicrap, 2016)."""
    k = library.layers
    given = library.Input(shape=(draw.choice((3, 17)),))
    x = k.Dense(32, activation="relu")(given)
    x = k.LayerNormalization()(k.Dense(32, activation="relu")(x))
    out = k.Dense(draw.choice((1, 6)), activation="tanh")(x)
    return library.Model(given, k.Rescaling(2.0)(out))


def critic(library: Any, draw: random.Random) -> Any:
    """The value of an action in a state: two branches, joined."""
    k = library.layers
    state, action = library.Input((5,)), library.Input((draw.choice((1, 3)),))
    one = k.Dense(16, activation="relu")(k.Dense(12, activation="relu")(state))
    two = k.Dense(16, activation="relu")(action)
    x = k.Concatenate()([one, two])
    for _ in range(2):
        x = k.Dense(32, activation="relu")(x)
    return library.Model([state, action], k.Dense(1)(x))


def breakout(library: Any, draw: random.Random) -> Any:
    """Values of actions from frames whose channels come first and are moved."""
    k = library.layers
    given = library.Input(shape=(4, 44, 44))
    x = k.Permute((2, 3, 1))(given)
    x = k.Conv2D(8, 8, strides=4, activation="relu")(x)
    x = k.Conv2D(12, 4, strides=2, activation="relu")(x)
    x = k.Conv2D(12, 3, strides=1, activation="relu")(x) if draw.random() < 0.5 else x
    x = k.Dense(32, activation="relu")(k.Flatten()(x))
    return library.Model(given, k.Dense(4, activation="linear")(x))


def generator_of_rows(library: Any, draw: random.Random) -> Any:
    """Rows of a table from noise, several heads of which one is a choice (Xu, 2019)."""
    k = library.layers
    noise, label = library.Input((16,)), library.Input((3,))
    x = k.concatenate([noise, label])
    for units in (24, 32):
        y = k.ReLU()(k.BatchNormalization(momentum=0.9)(k.Dense(units)(x)))
        x = k.concatenate([x, y])
    heads = [k.Dense(4, activation="tanh")(x), k.Dense(3, activation="softmax")(x)]
    return library.Model([noise, label], k.concatenate(heads))


def image_transformer(library: Any, draw: random.Random) -> Any:
    """Patches of an image with learned positions, and dense layers after attention (Dosovitskiy, 2021)."""
    k, width = library.layers, draw.choice((16, 24))
    given = library.Input((24, 24, 3))
    x = k.Conv2D(width, 6, strides=6, padding="valid")(given)
    x = k.Reshape((-1, width))(x)
    places = k.Embedding(16, width)
    steps = library.Input((16,), dtype="int32", name="places")
    x = k.Add()([x, places(steps)])
    for _ in range(draw.randint(1, 2)):
        y = k.LayerNormalization(epsilon=1e-6)(x)
        y = k.MultiHeadAttention(num_heads=4, key_dim=width, dropout=0.1)(y, y)
        skip = k.Add()([y, x])
        y = k.LayerNormalization(epsilon=1e-6)(skip)
        for units in (2 * width, width):
            y = k.Dropout(0.1)(k.Dense(units, activation=library.activations.gelu)(y))
        x = k.Add()([y, skip])
    x = k.Dropout(0.5)(k.Flatten()(k.LayerNormalization(epsilon=1e-6)(x)))
    return library.Model([given, steps], k.Dense(10)(k.Dense(32, activation="gelu")(x)))


def series_transformer(library: Any, draw: random.Random) -> Any:
    """Attention over a series, with convolutions as its dense layers."""
    k = library.layers
    given = library.Input(shape=(draw.choice((40, 64)), 1))
    x = given
    for _ in range(draw.randint(1, 3)):
        y = k.MultiHeadAttention(key_dim=16, num_heads=2, dropout=0.25)(x, x)
        y = k.LayerNormalization(epsilon=1e-6)(k.Dropout(0.25)(y))
        skip = k.Add()([y, x])
        y = k.Conv1D(filters=4, kernel_size=1, activation="relu")(skip)
        y = k.Conv1D(filters=x.shape[-1], kernel_size=1)(k.Dropout(0.25)(y))
        x = k.Add()([k.LayerNormalization(epsilon=1e-6)(y), skip])
    x = k.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = k.Dropout(0.4)(k.Dense(24, activation="relu")(x))
    return library.Model(given, k.Dense(2, activation="softmax")(x))


def translation(library: Any, draw: random.Random) -> Any:
    """An encoder and a decoder that reads it, with causal attention (Vaswani, 2017)."""
    k, width = library.layers, draw.choice((16, 24))
    source = library.Input((10,), dtype="int64", name="encoder_inputs")
    target = library.Input((10,), dtype="int64", name="decoder_inputs")
    x = k.Embedding(120, width)(source)
    y = k.MultiHeadAttention(num_heads=2, key_dim=width)(query=x, value=x, key=x)
    x = k.LayerNormalization()(k.Add()([x, y]))
    y = library.Sequential([library.Input((10, width)), k.Dense(32, activation="relu"), k.Dense(width)])(x)
    encoded = k.LayerNormalization()(k.Add()([x, y]))
    z = k.Embedding(140, width)(target)
    y = k.MultiHeadAttention(num_heads=2, key_dim=width)(query=z, value=z, key=z, use_causal_mask=True)
    z = k.LayerNormalization()(k.Add()([z, y]))
    y = k.MultiHeadAttention(num_heads=2, key_dim=width)(query=z, value=encoded, key=encoded)
    z = k.LayerNormalization()(k.Add()([z, y]))
    return library.Model([source, target], k.Dense(140, activation="softmax")(k.Dropout(0.5)(z)))


def mobile_vit(library: Any, draw: random.Random) -> Any:
    """Convolutions that unfold into patches for attention and fold again (Mehta, 2022)."""
    k, width = library.layers, draw.choice((12, 16))
    given = library.Input((32, 32, 3))
    x = k.Conv2D(8, 3, strides=2, padding="same", activation="swish")(k.Rescaling(1.0 / 255)(given))
    x = k.Conv2D(width, 3, strides=2, padding="same", activation="swish")(x)
    local = k.Conv2D(width, 3, padding="same", activation="swish")(x)
    local = k.Conv2D(width, 1, padding="same", activation="swish")(local)
    y = k.Reshape((4, 16, width))(local)
    before = k.LayerNormalization(epsilon=1e-6)(y)
    y = k.Add()([k.MultiHeadAttention(num_heads=2, key_dim=width, dropout=0.1)(before, before), y])
    z = k.Dense(width)(k.Dense(2 * width, activation="swish")(k.LayerNormalization(epsilon=1e-6)(y)))
    y = k.Reshape((8, 8, width))(k.Add()([z, y]))
    y = k.Conv2D(width, 1, padding="same", activation="swish")(y)
    x = k.Conv2D(width, 3, padding="same", activation="swish")(k.Concatenate(axis=-1)([x, y]))
    return library.Model(given, k.Dense(5, activation="softmax")(k.GlobalAvgPool2D()(x)))


def pooled_bags(library: Any, draw: random.Random) -> Any:
    """A bag of images, weighed by attention that is gated (Ilse, 2018)."""
    k, many = library.layers, 3
    inputs = [library.Input((20, 20)) for _ in range(many)]
    one, two = k.Dense(24, activation="relu"), k.Dense(12, activation="relu")
    value, gate = k.Dense(12, activation="tanh"), k.Dense(12, activation="sigmoid")
    score = k.Dense(1, use_bias=False)
    vectors, scores = [], []
    for given in inputs:
        vectors.append(two(one(k.Flatten()(given))))
        mixed = value(vectors[-1])
        if draw.random() < 0.5:
            mixed = k.multiply([mixed, gate(vectors[-1])])
        scores.append(score(mixed))
    weights = k.Softmax()(k.concatenate(scores))
    flat = k.Flatten()(
        k.Dot(axes=1)([k.Reshape((many, 1))(weights), k.Reshape((many, 12))(k.concatenate(vectors))])
    )
    return library.Model(inputs, k.Dense(2, activation="softmax")(flat))


def set_transformer(library: Any, draw: random.Random) -> Any:
    """Sets that attend, pooled by a maximum (Lee, 2019)."""
    k, width = library.layers, 16
    given = library.Input((draw.choice((8, 20)), 4))
    x = k.Dense(width)(given)
    for _ in range(2):
        y = k.Add()([x, k.MultiHeadAttention(num_heads=draw.choice((1, 2)), key_dim=8)(x, x)])
        y = k.LayerNormalization()(y)
        x = k.LayerNormalization()(k.Add()([y, k.Dense(width, activation="relu")(y)]))
    x = k.GlobalMaxPooling1D()(x)
    return library.Model(given, k.Dense(6)(k.Dropout(0.5)(x)))


def entities(library: Any, draw: random.Random) -> Any:
    """Names in a sentence by one block of attention."""
    k = library.layers
    words = library.Input((16,), dtype="int64")
    places = library.Input((16,), dtype="int64")
    x = k.Add()([k.Embedding(300, 16)(words), k.Embedding(16, 16)(places)])
    y = k.Dropout(0.1)(k.MultiHeadAttention(2, 16)(x, x))
    x = k.LayerNormalization(epsilon=1e-6)(k.Add()([x, y]))
    y = k.Dense(16)(k.Dense(32, activation="relu")(x))
    x = k.LayerNormalization(epsilon=1e-6)(k.Add()([x, k.Dropout(0.1)(y)]))
    x = k.Dropout(0.1)(k.Dense(32, activation="relu")(k.Dropout(0.1)(x)))
    return library.Model([words, places], k.Dense(draw.choice((5, 9)), activation="softmax")(x))


def non_local(library: Any, draw: random.Random) -> Any:
    """Each place of an image read by all others (Wang, 2018)."""
    k = library.layers
    given = library.Input((16, 16, 8))
    x = k.Conv2D(16, 3, strides=2, padding="same", activation="relu")(given)
    theta, phi, g = (k.Reshape((64, 8))(k.Conv2D(8, 1, use_bias=False)(x)) for _ in range(3))
    scores = k.Activation("softmax")(k.Dot(axes=2)([theta, phi]))
    y = k.Reshape((8, 8, 8))(k.Dot(axes=(2, 1))([scores, g]))
    y = k.Conv2D(16, 1, use_bias=False)(y)
    x = k.Add()([x, k.BatchNormalization()(y) if draw.random() < 0.5 else y])
    return library.Model(given, k.Dense(4, activation="softmax")(k.GlobalAveragePooling2D()(x)))


SECOND_TABLES: dict[str, tuple[str, Builder]] = {
    "s-actor": ("tables", actor),
    "s-autorec": ("tables", autorec),
    "s-behaviour": ("tables", behaviour),
    "s-breakout": ("images", breakout),
    "s-critic": ("tables", critic),
    "s-entities": ("attention", entities),
    "s-factorized": ("tables", factorized),
    "s-fraud": ("tables", fraud),
    "s-fuel": ("tables", fuel),
    "s-highway": ("tables", highway),
    "s-image-transformer": ("attention", image_transformer),
    "s-matched-movies": ("tables", matched_movies),
    "s-mobile-vit": ("attention", mobile_vit),
    "s-non-local": ("attention", non_local),
    "s-pooled-bags": ("attention", pooled_bags),
    "s-rows": ("tables", generator_of_rows),
    "s-series-transformer": ("attention", series_transformer),
    "s-set-transformer": ("attention", set_transformer),
    "s-translation": ("attention", translation),
    "s-two-towers": ("tables", two_towers),
}
"""The class of each kind of network, and what builds it."""
