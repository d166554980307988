"""Small networks of tables, recommendations and control, and transformers of the third set, wired as
tutorials and published code wire them.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.third_images import Builder


def diabetes(library: Any, draw: random.Random) -> Any:
    """Eight numbers to one answer, the first network of many courses."""
    k = library.layers
    model = library.Sequential()
    model.add(library.Input(shape=(8,)))
    model.add(k.Dense(12, activation="relu"))
    model.add(k.Dense(8, activation="relu"))
    model.add(k.Dense(1, activation="sigmoid"))
    return model


def iris(library: Any, draw: random.Random) -> Any:
    """Four numbers to three classes."""
    k = library.layers
    hidden = [k.Dense(draw.choice((8, 10, 16)), activation=draw.choice(("relu", "tanh"))) for _ in range(2)]
    return library.Sequential([library.Input((4,)), *hidden, k.Dense(3, activation="softmax")])


def houses(library: Any, draw: random.Random) -> Any:
    """Prices of houses from numbers that the model normalizes."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((13,)),
            k.Normalization(
                mean=[0.5 * place for place in range(13)], variance=[1.0 + place for place in range(13)]
            ),
            k.Dense(64, activation="relu"),
            k.Dense(64, activation="relu"),
            k.Dense(1),
        ]
    )


def churn(library: Any, draw: random.Random) -> Any:
    """Customers who leave: normalization, activation and dropout after each dense layer."""
    k = library.layers
    given = library.Input((30,))
    x = given
    for units in (64, 32, 16)[: draw.randint(2, 3)]:
        x = k.Dense(units, kernel_initializer="he_uniform", use_bias=draw.random() < 0.5)(x)
        x = k.BatchNormalization()(x)
        x = k.Activation(draw.choice(("relu", "swish")))(x)
        x = k.Dropout(0.3)(x)
    return library.Model(given, k.Dense(1, activation="sigmoid")(x))


def collisions(library: Any, draw: random.Random) -> Any:
    """The tutorial about fitting too closely: ELU, weight decay, dropout, and no last activation."""
    k, decay = library.layers, library.regularizers.l2(0.0001)
    model = library.Sequential([library.Input((28,))])
    for _ in range(4):
        model.add(k.Dense(draw.choice((48, 64)), kernel_regularizer=decay, activation="elu"))
        model.add(k.Dropout(0.5))
    model.add(k.Dense(1))
    return model


def stores(library: Any, draw: random.Random) -> Any:
    """Sales of stores: an embedding for each category, as large as half of its values (Guo, 2016)."""
    k = library.layers
    inputs, parts = [], []
    for name, many in (("store", 110), ("hour", 24), ("month", 12), ("day", 31), ("state", 12)):
        given = library.Input((1,), name=name)
        inputs.append(given)
        size = min(10, (many + 1) // 2)
        parts.append(k.Reshape((size,))(k.Embedding(many, size, name=f"{name}_embedding")(given)))
    promo = library.Input((1,), name="promo")
    parts.append(k.Dense(1)(promo))
    x = k.Concatenate()(parts)
    for units in (64, 32):
        x = k.Activation("relu")(k.Dense(units, kernel_initializer="uniform")(x))
    return library.Model([*inputs, promo], k.Activation("sigmoid")(k.Dense(1)(x)))


def factorization_machine(library: Any, draw: random.Random) -> Any:
    """Products of all pairs of embeddings beside a deep part (Guo, 2017)."""
    k, fields, size = library.layers, draw.choice((3, 4)), 8
    given = [library.Input((1,), dtype="int32", name=f"c{place}") for place in range(fields)]
    vectors = [k.Flatten()(k.Embedding(60, size)(one)) for one in given]
    line = k.Add()([k.Flatten()(k.Embedding(60, 1)(one)) for one in given])
    pairs = [
        k.Dot(axes=1)([vectors[one], vectors[two]]) for one in range(fields) for two in range(one + 1, fields)
    ]
    deep = k.Concatenate()(vectors)
    for units in (32, 16):
        deep = k.Dropout(0.2)(k.Dense(units, activation="relu")(deep))
    total = k.Add()([line, k.Add()(pairs), k.Dense(1)(deep)])
    return library.Model(given, k.Activation("sigmoid")(total))


def click_rate(library: Any, draw: random.Random) -> Any:
    """Numbers and categories to one width, products by a matrix, then dense layers (Naumov, 2019)."""
    k, size = library.layers, draw.choice((8, 16))
    numbers = library.Input((13,), name="dense_features")
    given = [library.Input((1,), dtype="int64", name=f"sparse_{place}") for place in range(3)]
    bottom = k.Dense(size, activation="relu")(k.Dense(32, activation="relu")(numbers))
    rows = [k.Reshape((1, size))(bottom)]
    rows += [k.Embedding(80, size)(one) for one in given]
    stack = k.Concatenate(axis=1)(rows)
    products = k.Flatten()(k.Dot(axes=2)([stack, stack]))
    x = k.Concatenate()([bottom, products])
    x = k.Dense(16, activation="relu")(k.Dense(32, activation="relu")(x))
    return library.Model([numbers, *given], k.Dense(1, activation="sigmoid")(x))


def candidates(library: Any, draw: random.Random) -> Any:
    """What a person watched and searched, as means, to the next film of all (Covington, 2016)."""
    k = library.layers
    watched = library.Input((20,), dtype="int32", name="watched")
    searched = library.Input((8,), dtype="int32", name="searched")
    age = library.Input((1,), name="age")
    parts = [
        k.GlobalAveragePooling1D()(k.Embedding(300, 16, name="watch_emb")(watched)),
        k.GlobalAveragePooling1D()(k.Embedding(200, 12)(searched)),
        age,
        k.Multiply()([age, age]),
    ]
    x = k.Concatenate()(parts)
    for units in (48, 24):
        x = k.BatchNormalization()(k.Dense(units, activation="relu")(x))
    return library.Model([watched, searched, age], k.Dense(300, activation="softmax")(x))


def biased_factors(library: Any, draw: random.Random) -> Any:
    """Users and films by the product of their vectors, with biases and a scaled answer."""
    k, size = library.layers, draw.choice((8, 24))
    user, film = library.Input((1,), name="user"), library.Input((1,), name="movie")
    decay = library.regularizers.l2(1e-6)
    u = k.Flatten()(k.Embedding(150, size, embeddings_regularizer=decay)(user))
    f = k.Flatten()(k.Embedding(250, size, embeddings_regularizer=decay)(film))
    biases = [k.Flatten()(k.Embedding(150, 1)(user)), k.Flatten()(k.Embedding(250, 1)(film))]
    x = k.Add()([k.Dot(axes=1, normalize=draw.random() < 0.3)([u, f]), *biases])
    return library.Model([user, film], k.Rescaling(4.5, offset=0.5)(k.Activation("sigmoid")(x)))


def categories(library: Any, draw: random.Random) -> Any:
    """Codes as vectors of ones by a layer, beside numbers that are normalized."""
    k = library.layers
    numbers = library.Input((5,), name="numbers")
    code = library.Input((1,), dtype="int32", name="code")
    one = k.Normalization(mean=0.3, variance=2.0)(numbers)
    two = k.CategoryEncoding(num_tokens=9, output_mode=draw.choice(("one_hot", "multi_hot")))(code)
    x = k.Dense(24, activation="relu")(k.concatenate([one, two]))
    return library.Model([numbers, code], k.Dense(1)(k.Dropout(0.5)(x)))


def gates(library: Any, draw: random.Random) -> Any:
    """Steps of attention to columns, with gated units (Arik, 2019)."""
    k = library.layers
    given = library.Input((20,))
    columns = k.BatchNormalization()(given)

    def gated(x: Any) -> Any:
        one = k.BatchNormalization()(k.Dense(12, use_bias=False)(x))
        two = k.BatchNormalization()(k.Dense(12, use_bias=False)(x))
        return k.Multiply()([one, k.Activation("sigmoid")(two)])

    h, outs = gated(columns), []
    for _ in range(draw.choice((2, 3))):
        mask = k.Softmax()(k.BatchNormalization()(k.Dense(20, use_bias=False)(h)))
        h = gated(k.Multiply()([columns, mask]))
        outs.append(k.ReLU()(h))
    return library.Model(given, k.Dense(2)(k.Add()(outs)))


def quantiles(library: Any, draw: random.Random) -> Any:
    """Three quantiles, each by its own last layer, joined."""
    k = library.layers
    given = library.Input((10,))
    x = k.LeakyReLU(0.1)(k.Dense(32)(given))
    x = k.LeakyReLU(0.1)(k.Dense(24)(x))
    outs = [k.Dense(1, name=f"q{many}")(x) for many in (10, 50, 90)]
    return library.Model(given, k.Concatenate()(outs) if draw.random() < 0.5 else outs)


def ensemble(library: Any, draw: random.Random) -> Any:
    """Three small networks, each a model, and the mean of what they say."""
    k = library.layers
    given = library.Input((12,))

    def member(place: int) -> Any:
        one = library.Sequential(
            [
                library.Input((12,)),
                k.Dense(24, activation=("relu", "tanh", "selu")[place]),
                k.Dense(16, activation="relu"),
                k.Dense(4, activation="softmax"),
            ],
            name=f"member_{place}",
        )
        return one(given)

    return library.Model(given, k.Average()([member(place) for place in range(draw.choice((2, 3)))]))


def proximal(library: Any, draw: random.Random) -> Any:
    """A policy and a value from one body of hyperbolic tangents."""
    k = library.layers
    given = library.Input((8,), name="observation")
    x = k.Dense(32, activation="tanh")(given)
    x = k.Dense(32, activation="tanh")(x)
    policy = k.Dense(4, activation="softmax" if draw.random() < 0.5 else None, name="logits")(x)
    return library.Model(given, [policy, k.Dense(1, name="value")(x)])


def radiance(library: Any, draw: random.Random) -> Any:
    """A place to a color and a density, with the input joined again in the middle (Mildenhall, 2020)."""
    k = library.layers
    given = library.Input((39,))
    x = given
    for place in range(6):
        x = k.Dense(32, activation="relu")(x)
        if place == draw.choice((2, 3)):
            x = k.concatenate([x, given], axis=-1)
    return library.Model(given, k.Dense(4)(x))


def hand_signs(library: Any, draw: random.Random) -> Any:
    """Signs of a hand from the places of its joints."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((21 * 2,)),
            k.Dropout(0.2),
            k.Dense(20, activation="relu"),
            k.Dropout(0.4),
            k.Dense(10, activation="relu"),
            k.Dense(draw.choice((3, 8)), activation="softmax"),
        ]
    )


def compact(library: Any, draw: random.Random) -> Any:
    """A transformer over a convolution's maps, pooled by attention (Hassani, 2021)."""
    k, width = library.layers, 24
    given = library.Input((32, 32, 3))
    x = k.Conv2D(16, 3, padding="same", use_bias=False, activation="relu")(given)
    x = k.MaxPooling2D(3, strides=2, padding="same")(x)
    x = k.Conv2D(width, 3, padding="same", use_bias=False, activation="relu")(x)
    x = k.MaxPooling2D(3, strides=4, padding="same")(x)
    x = k.Reshape((x.shape[1] * x.shape[2], width))(x)
    for _ in range(draw.randint(1, 2)):
        y = k.LayerNormalization(epsilon=1e-5)(x)
        y = k.MultiHeadAttention(num_heads=2, key_dim=width, dropout=0.1)(y, y)
        x = k.Add()([x, y])
        y = k.LayerNormalization(epsilon=1e-5)(x)
        y = k.Dense(width)(k.Dropout(0.1)(k.Dense(32, activation="gelu")(y)))
        x = k.Add()([y, x])
    x = k.LayerNormalization(epsilon=1e-5)(x)
    weights = k.Softmax(axis=1)(k.Dense(1)(x))
    x = k.Flatten()(k.Dot(axes=1)([weights, x]))
    return library.Model(given, k.Dense(10)(x))


def pooled_former(library: Any, draw: random.Random) -> Any:
    """Means of neighbors in place of attention (Yu, 2022)."""
    k, width = library.layers, draw.choice((16, 24))
    given = library.Input((32, 32, 3))
    x = k.Conv2D(width, 7, strides=4, padding="same")(given)
    for _ in range(draw.randint(2, 3)):
        y = k.GroupNormalization(groups=1)(x) if draw.random() < 0.5 else k.LayerNormalization()(x)
        y = k.Subtract()([k.AveragePooling2D(3, strides=1, padding="same")(y), y])
        x = k.Add()([x, y])
        y = k.Conv2D(width * 2, 1, activation="gelu")(k.LayerNormalization()(x))
        x = k.Add()([x, k.Conv2D(width, 1)(y)])
    x = k.GlobalAveragePooling2D()(k.LayerNormalization(epsilon=1e-6)(x))
    return library.Model(given, k.Dense(10)(x))


def queries(library: Any, draw: random.Random) -> Any:
    """Places of a map as words, and two answers for each (after Carion, 2020, without a decoder)."""
    k, width = library.layers, 16
    given = library.Input((48, 48, 3))
    x = given
    for filters in (8, 12, width):
        x = k.ReLU()(
            k.BatchNormalization()(k.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x))
        )
    x = k.Reshape((36, width))(x)
    y = k.MultiHeadAttention(num_heads=4, key_dim=width // 4)(x, x, x)
    x = k.LayerNormalization()(k.add([x, k.Dropout(0.1)(y)]))
    y = k.Dense(width)(k.Dense(32, activation="relu")(x))
    x = k.LayerNormalization()(k.add([x, y]))
    boxes = k.Dense(4, activation="sigmoid")(k.Dense(width, activation="relu")(x))
    return library.Model(given, {"boxes": boxes, "classes": k.Dense(draw.choice((3, 6)))(x)})


def external(library: Any, draw: random.Random) -> Any:
    """Attention to a memory that is two dense layers (Guo, 2021)."""
    k, width = library.layers, 24
    given = library.Input((32, 32, 3))
    x = k.Conv2D(width, 4, strides=4, padding="valid")(given)
    x = k.Reshape((64, width))(x)
    for _ in range(2):
        y = k.Dense(width)(k.LayerNormalization(epsilon=1e-6)(x))
        y = k.Softmax(axis=1)(k.Dense(12)(y))
        y = k.Dropout(0.2)(k.Dense(width)(y))
        x = k.add([x, y])
        y = k.Dense(32, activation="gelu")(k.LayerNormalization(epsilon=1e-6)(x))
        x = k.add([x, k.Dense(width)(y)])
    return library.Model(given, k.Dense(10, activation="softmax")(k.GlobalAveragePooling1D()(x)))


def speech_former(library: Any, draw: random.Random) -> Any:
    """Convolutions that halve the time before attention, for speech (after Dong, 2018)."""
    k, width = library.layers, 16
    given = library.Input((40, 20))
    x = given
    for _ in range(2):
        x = k.Conv1D(width, 11, strides=2, padding="same", activation="relu")(x)
    for _ in range(draw.randint(1, 2)):
        y = k.MultiHeadAttention(num_heads=2, key_dim=width)(x, x)
        x = k.LayerNormalization(epsilon=1e-6)(k.Add()([x, k.Dropout(0.1)(y)]))
        y = library.Sequential([k.Dense(32, activation="relu"), k.Dense(width)])(x)
        x = k.LayerNormalization(epsilon=1e-6)(k.Add()([x, k.Dropout(0.1)(y)]))
    return library.Model(given, k.Dense(30)(x))


THIRD_TABLES: dict[str, tuple[str, Builder]] = {
    "t-biased-factors": ("tables", biased_factors),
    "t-candidates": ("tables", candidates),
    "t-categories": ("tables", categories),
    "t-churn": ("tables", churn),
    "t-click-rate": ("tables", click_rate),
    "t-collisions": ("tables", collisions),
    "t-compact": ("attention", compact),
    "t-diabetes": ("tables", diabetes),
    "t-ensemble": ("tables", ensemble),
    "t-external": ("attention", external),
    "t-factorization-machine": ("tables", factorization_machine),
    "t-gates": ("tables", gates),
    "t-hand-signs": ("tables", hand_signs),
    "t-houses": ("tables", houses),
    "t-iris": ("tables", iris),
    "t-pooled-former": ("attention", pooled_former),
    "t-proximal": ("tables", proximal),
    "t-quantiles": ("tables", quantiles),
    "t-queries": ("attention", queries),
    "t-radiance": ("tables", radiance),
    "t-speech-former": ("attention", speech_former),
    "t-stores": ("tables", stores),
}
"""The class of each kind of network, and what builds it."""
