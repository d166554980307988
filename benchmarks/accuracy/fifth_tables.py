"""Recommenders, tables, control, graphs and points in the fifth set.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds
from benchmarks.accuracy.fourth_functions import functions


def _fields(library: Any, many: int, width: int) -> tuple[list[Any], list[Any]]:
    """Return inputs of categories, and the vector of each from its own table."""
    k = library.layers
    inputs = [library.Input((1,), dtype="int32", name=f"C{number + 1}") for number in range(many)]
    sizes = (40, 120, 300, 17, 64, 90)
    return inputs, [k.Embedding(sizes[n % 6], width, name=f"emb_{n}")(one) for n, one in enumerate(inputs)]


def excited_fields(library: Any, draw: random.Random) -> Any:
    """FiBiNET: fields are weighed by their means, and pairs are products with a matrix between."""
    k = library.layers
    inputs, vectors = _fields(library, 4, 8)
    x = k.Concatenate(axis=1)(vectors)
    gate = k.GlobalAveragePooling1D(data_format="channels_first")(x)
    gate = k.Dense(4, activation="relu", use_bias=False)(k.Dense(2, activation="relu", use_bias=False)(gate))
    weighed = k.Multiply()([x, k.Reshape((4, 1))(gate)])
    pairs = []
    for source in (x, weighed):
        turned = k.Dense(8, use_bias=False)(source)
        pairs += [turned[:, i] * source[:, j] for i in range(3) for j in range(i + 1, 4)]
    y = k.Dropout(0.2)(k.Dense(draw.choice((24, 32)), activation="relu")(k.Concatenate()(pairs)))
    return library.Model(inputs, k.Dense(1, activation="sigmoid")(y))


def attended_fields(library: Any, draw: random.Random) -> Any:
    """AutoInt: fields attend to each other, with a residual projection and ReLU, beside a linear part."""
    k = library.layers
    inputs, vectors = _fields(library, 5, 12)
    x = k.Concatenate(axis=1)(vectors)
    for _ in range(draw.choice((1, 2))):
        y = k.MultiHeadAttention(num_heads=2, key_dim=6, use_bias=False)(x, x)
        x = k.Activation("relu")(k.add([y, k.Dense(12, use_bias=False)(x)]))
    linear = k.add([k.Flatten()(k.Embedding(300, 1)(one)) for one in inputs])
    return library.Model(inputs, k.Activation("sigmoid")(k.add([k.Dense(1)(k.Flatten()(x)), linear])))


def compressed_crosses(library: Any, draw: random.Random) -> Any:
    """xDeepFM: outer products of fields are compressed by convolutions, layer after layer."""
    k, f = library.layers, functions(library)
    inputs, vectors = _fields(library, 4, 8)
    start = f.transpose(k.Concatenate(axis=1)(vectors), (0, 2, 1))
    x, sums = start, []
    for maps in (6, draw.choice((6, 8))):
        outer = f.expand_dims(x, 3) * f.expand_dims(start, 2)
        x = k.Conv1D(maps, 1, activation="relu")(f.reshape(outer, (-1, 8, x.shape[2] * 4)))
        sums.append(f.sum(x, axis=1))
    deep = k.Dense(24, activation="relu")(k.Flatten()(start))
    return library.Model(inputs, k.Dense(1, activation="sigmoid")(k.Concatenate()([*sums, deep])))


def next_items(library: Any, draw: random.Random) -> Any:
    """SASRec: causal attention over what was bought, scored with candidates."""
    k, f = library.layers, functions(library)
    bought, wanted = library.Input((20,), dtype="int32"), library.Input((10,), dtype="int32")
    table = k.Embedding(500, 24, name="item_embedding")
    x = table(bought) * float(np.sqrt(24))
    for _ in range(draw.choice((1, 2))):
        y = k.LayerNormalization(epsilon=1e-8)(x)
        x = y + k.MultiHeadAttention(1, 24)(y, x, use_causal_mask=True)
        y = k.LayerNormalization(epsilon=1e-8)(x)
        x = y + k.Conv1D(24, 1)(k.Conv1D(24, 1, activation="relu")(y))
    last = k.LayerNormalization(epsilon=1e-8)(x)[:, -1:, :]
    return library.Model([bought, wanted], f.sum(table(wanted) * last, axis=-1))


def clicks_and_sales(library: Any, draw: random.Random) -> Any:
    """ESMM: two towers over the same tables; the rate of sales is the product of both."""
    k = library.layers
    inputs, vectors = _fields(library, 3, draw.choice((8, 12)))
    numbers = library.Input((6,), name="dense_features")
    x = k.Concatenate()([*(k.Flatten()(one) for one in vectors), k.BatchNormalization()(numbers)])
    rates = []
    for name in ("ctr", "cvr"):
        y = x
        for units in (32, 16):
            y = k.Activation("relu")(k.BatchNormalization()(k.Dense(units)(y)))
        rates.append(k.Dense(1, activation="sigmoid", name=name)(y))
    return library.Model([*inputs, numbers], [rates[0], k.Multiply(name="ctcvr")(rates)])


def layered_extraction(library: Any, draw: random.Random) -> Any:
    """PLE: experts of each task and shared ones, mixed by gates in two layers."""
    k = library.layers
    given = library.Input((24,))
    states = [given, given, given]
    for level in range(2):
        experts = [[k.Dense(16, activation="relu")(x) for _ in range(draw.choice((1, 2)))] for x in states]
        new = []
        for task in range(3 if level == 0 else 2):
            some = [one for part in experts for one in part] if task == 2 else experts[task] + experts[2]
            gate = k.Reshape((1, len(some)))(k.Dense(len(some), activation="softmax")(states[task]))
            stacked = k.Concatenate(axis=1)([k.Reshape((1, 16))(one) for one in some])
            new.append(k.Flatten()(k.Dot(axes=(2, 1))([gate, stacked])))
        states = new
    return library.Model(given, [k.Dense(1, name="finish")(states[0]), k.Dense(1, name="like")(states[1])])


def periodic_numbers(library: Any, draw: random.Random) -> Any:
    """Numbers as cosines and sines of several frequencies, each with its dense layer, then a perceptron."""
    k, f = library.layers, functions(library)
    numbers = library.Input((6,))
    waves = np.random.default_rng(draw.choice((1, 2))).normal(size=(6, 5)).astype("float32")
    angles = f.expand_dims(numbers, 2) * waves * 6.2832
    x = k.Dense(8, activation="relu")(f.concatenate([f.cos(angles), f.sin(angles)], axis=-1))
    x = k.Flatten()(x)
    for units in (48, 32):
        x = k.Dropout(0.1)(k.Dense(units, activation="relu")(x))
    return library.Model(numbers, k.Dense(3)(x))


def soft_trees(library: Any, draw: random.Random) -> Any:
    """NODE: trees that pick features by a softmax, compare them with thresholds, and weigh their leaves."""
    k, f = library.layers, functions(library)
    given, trees = library.Input((10,)), draw.choice((8, 12))
    x, found = k.BatchNormalization()(given), []
    for _ in range(2):
        left = [k.Dense(trees, activation="sigmoid")(x) for _ in range(3)]
        leaves = f.expand_dims(left[0], 2)
        leaves = f.concatenate([leaves, 1.0 - leaves], axis=2)
        for one in left[1:]:
            one = f.expand_dims(one, 2)
            leaves = f.concatenate([leaves * one, leaves * (1.0 - one)], axis=2)
        found.append(f.sum(k.Dense(4, use_bias=False)(leaves), axis=1))
        x = k.Concatenate()([x, found[-1]])
    return library.Model(given, k.Average()(found))


def decisions(library: Any, draw: random.Random) -> Any:
    """A decision transformer: returns, states and actions are stacked into one sequence of tokens."""
    k, f = library.layers, functions(library)
    steps, width = 8, draw.choice((24, 32))
    parts = [
        library.Input((steps, n), name=name) for n, name in ((1, "returns"), (11, "states"), (3, "actions"))
    ]
    tokens = [k.Dense(width, name=f"embed_{number}")(part) for number, part in enumerate(parts)]
    x = k.LayerNormalization()(f.reshape(f.stack(tokens, axis=2), (-1, 3 * steps, width)))
    y = k.LayerNormalization()(x)
    x = x + k.MultiHeadAttention(2, width // 2)(y, y, use_causal_mask=True)
    x = x + k.Dense(width)(k.Dense(2 * width, activation="gelu")(k.LayerNormalization()(x)))
    x = f.reshape(k.LayerNormalization()(x), (-1, steps, 3, width))
    return library.Model(parts, k.Dense(3, activation="tanh")(x[:, :, 1]))


def twin_critics(library: Any, draw: random.Random) -> Any:
    """TD3: two critics of a state and an action, and the smaller of their values."""
    k, f = library.layers, functions(library)
    state, action = library.Input((17,), name="state"), library.Input((6,), name="action")
    values = []
    for name in ("q1", "q2"):
        x = k.Concatenate()([state, action])
        for number in range(2):
            x = k.Dense(draw.choice((48, 64)), activation="relu", name=f"{name}_fc{number}")(x)
            x = k.LayerNormalization()(x) if number == 0 else x
        values.append(k.Dense(1, name=f"{name}_out")(x))
    return library.Model([state, action], [*values, f.minimum(values[0], values[1])])


def sampled_neighbours(library: Any, draw: random.Random) -> Any:
    """GraphSAGE and GIN layers over a dense adjacency: means of neighbours, then sums."""
    k, f = library.layers, functions(library)
    nodes, links = library.Input((18, 10), name="nodes"), library.Input((18, 18), name="links")
    degree = f.maximum(f.sum(links, axis=-1, keepdims=True), 1.0)
    x = k.Dense(20, activation="relu")(k.Concatenate()([nodes, f.matmul(links, nodes) / degree]))
    for _ in range(draw.choice((1, 2))):
        y = x * 1.1 + k.Dot(axes=(2, 1))([links, x])
        x = k.Dense(20, activation="relu")(k.BatchNormalization()(k.Dense(20, activation="relu")(y)))
    return library.Model([nodes, links], k.Dense(4)(k.Concatenate()([f.sum(x, axis=1), f.max(x, axis=1)])))


def filtered_atoms(library: Any, draw: random.Random) -> Any:
    """SchNet: distances of atoms as bells, which make the filters of continuous convolutions."""
    k, f = library.layers, functions(library)
    kinds_, places = library.Input((12,), dtype="int32", name="atoms"), library.Input((12, 3), name="places")
    apart = f.expand_dims(places, 1) - f.expand_dims(places, 2)
    apart = f.sqrt(f.sum(f.square(apart), axis=-1, keepdims=True) + 1e-6)
    bells = f.exp(-f.square(apart - np.linspace(0, 5, 12, dtype="float32")) * 4.0)
    x = k.Embedding(20, 16)(kinds_)
    for _ in range(draw.choice((1, 2))):
        filters = k.Dense(16, activation="softplus")(k.Dense(16, activation="softplus")(bells))
        y = f.sum(f.expand_dims(k.Dense(16, use_bias=False)(x), 1) * filters, axis=2)
        x = x + k.Dense(16)(k.Dense(16, activation="softplus")(y))
    return library.Model([kinds_, places], f.sum(k.Dense(1)(k.Dense(8, activation="softplus")(x)), axis=1))


def operators_of_functions(library: Any, draw: random.Random) -> Any:
    """DeepONet: a branch reads a function, a trunk of sines reads places, and their product is the answer."""
    k, f = library.layers, functions(library)
    function, places = library.Input((40,), name="u"), library.Input((25, 2), name="y")
    x = k.Dense(24, activation="tanh")(k.Dense(32, activation="tanh")(function))
    y = f.sin(k.Dense(draw.choice((24, 32)))(places) * 30.0)
    y = k.Dense(24)(f.sin(k.Dense(24)(y)))
    return library.Model([function, places], f.sum(f.expand_dims(x, 1) * y, axis=-1))


FIFTH_TABLES = {
    **kinds("tables", excited_fields, compressed_crosses, clicks_and_sales, layered_extraction, soft_trees),
    **kinds("tables", periodic_numbers, twin_critics, sampled_neighbours, filtered_atoms),
    **kinds("tables", operators_of_functions),
    **kinds("attention", attended_fields, next_items, decisions),
}
"""The class of each kind of network, and what builds it."""
