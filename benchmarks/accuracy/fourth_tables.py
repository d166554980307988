"""Recommenders, ranking, tables, control and sets of points in the fourth set.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.fourth_functions import functions
from benchmarks.accuracy.third_images import Builder


def wide_and_deep(library: Any, draw: random.Random) -> Any:
    """A linear part over crossed features and a deep part over embeddings and numbers."""
    k = library.layers
    crossed = library.Input((200,), name="crossed")
    numbers = library.Input((13,), name="numbers")
    names = ("occupation", "education", "country")
    words = [library.Input((1,), dtype="int32", name=name) for name in names]
    sizes = (draw.choice((20, 40)), 16, 100)
    deep = [k.Flatten()(k.Embedding(size, 8)(word)) for word, size in zip(words, sizes, strict=True)]
    deep = k.concatenate([*deep, k.BatchNormalization()(numbers)])
    for units in (64, 32):
        deep = k.Dropout(0.1)(k.Dense(units, activation="relu")(deep))
    wide = k.Dense(1, use_bias=False)(crossed)
    score = k.Activation("sigmoid")(k.add([wide, k.Dense(1)(deep)]))
    return library.Model([crossed, numbers, *words], score)


def deep_factors(library: Any, draw: random.Random) -> Any:
    """DeepFM: one table for all fields, pairs by the square of the sum less the sum of squares."""
    k, f = library.layers, functions(library)
    fields, width = draw.choice((10, 16)), 8
    ids = library.Input((fields,), dtype="int32", name="ids")
    vectors = k.Embedding(1000, width, name="factors")(ids)
    linear = f.sum(k.Embedding(1000, 1, name="linear")(ids), axis=1)
    pairs = f.square(f.sum(vectors, axis=1)) - f.sum(f.square(vectors), axis=1)
    pairs = 0.5 * f.sum(pairs, axis=1, keepdims=True)
    x = k.Flatten()(vectors)
    for units in (48, 24):
        x = k.Dense(units, activation="relu", kernel_regularizer="l2")(x)
    return library.Model(ids, k.Activation("sigmoid")(linear + pairs + k.Dense(1)(x)), name="DeepFM")


def low_rank_crosses(library: Any, draw: random.Random) -> Any:
    """DCN v2: crosses of low rank beside a deep stack, joined at the end."""
    k = library.layers
    numbers = library.Input((26,))
    ids = library.Input((4,), dtype="int64")
    start = k.Concatenate()([numbers, k.Flatten()(k.Embedding(300, 6)(ids))])
    x = start
    for _ in range(draw.choice((2, 3))):
        y = k.Dense(50)(k.Dense(12, use_bias=False)(x))
        x = k.Add()([k.Multiply()([start, y]), x])
    deep = k.Dense(64, activation="relu")(start)
    deep = k.Dense(32, activation="relu")(deep)
    return library.Model([numbers, ids], k.Dense(1, activation="sigmoid")(k.Concatenate()([x, deep])))


def dots_of_fields(library: Any, draw: random.Random) -> Any:
    """DLRM: dot products between all pairs of vectors, beside dense features."""
    k, f = library.layers, functions(library)
    width, fields = 16, draw.choice((5, 7))
    numbers = library.Input((13,), name="features")
    ids = [library.Input((), dtype="int32", name=f"sparse_{place}") for place in range(fields)]
    bottom = numbers
    for units in (32, width):
        bottom = k.Dense(units, activation="relu")(bottom)
    vectors = [bottom, *(k.Embedding(150 + 30 * place, width)(one) for place, one in enumerate(ids))]
    x = f.stack(vectors, axis=1)
    products = k.Flatten()(f.matmul(x, f.transpose(x, (0, 2, 1))))
    top = k.Concatenate(axis=1)([bottom, products])
    for units in (48, 24):
        top = k.Dense(units, activation="relu")(top)
    return library.Model([numbers, *ids], k.Dense(1, activation="sigmoid")(top))


def neural_filtering(library: Any, draw: random.Random) -> Any:
    """NeuMF: a product of two vectors and a stack over two others, for a user and an item."""
    k = library.layers
    user = k.Input(shape=(1,), dtype="int32", name="user_input")
    item = k.Input(shape=(1,), dtype="int32", name="item_input")
    users, items, width = draw.choice((600, 943)), 1000, 8
    flat = k.Flatten()
    one = k.Embedding(users, width, name="mf_user", embeddings_regularizer="l2")
    two = k.Embedding(items, width, name="mf_item", embeddings_regularizer="l2")
    factors = k.Multiply()([flat(one(user)), flat(two(item))])
    x = k.Concatenate()(
        [k.Flatten()(k.Embedding(users, 16)(user)), k.Flatten()(k.Embedding(items, 16)(item))]
    )
    for number, units in enumerate((32, 16, 8)):
        x = k.Dense(units, activation="relu", name=f"layer{number}")(x)
    score = k.Dense(1, activation="sigmoid", kernel_initializer="lecun_uniform", name="prediction")
    return library.Model([user, item], score(k.Concatenate()([factors, x])))


def two_towers(library: Any, draw: random.Random) -> Any:
    """A tower for a query and one for a candidate; unit vectors and their cosine."""
    k = library.layers
    width = draw.choice((16, 32))
    query = library.Input((20,), dtype="int32", name="history")
    context = library.Input((6,), name="context")
    candidate = library.Input((1,), dtype="int32", name="candidate")
    table = k.Embedding(800, 16, name="items")
    x = k.Concatenate()([k.GlobalAveragePooling1D()(table(query)), context])
    towers = []
    for name, one in (("query", x), ("candidate", k.Flatten()(table(candidate)))):
        one = k.Dense(48, activation="relu", name=f"{name}_hidden")(one)
        towers.append(k.Dense(width, name=f"{name}_vector")(one))
    return library.Model([query, context, candidate], k.Dot(axes=1, normalize=True)(towers))


def many_gates(library: Any, draw: random.Random) -> Any:
    """MMoE: experts that tasks mix by gates."""
    k, f = library.layers, functions(library)
    features = library.Input((40,))
    experts = [k.Dense(16, activation="relu", name=f"expert_{n}")(features) for n in range(4)]
    experts = f.stack(experts, axis=1)
    outputs = []
    for task in range(draw.choice((2, 3))):
        gate = k.Dense(4, activation="softmax", use_bias=False, name=f"gate_{task}")(features)
        mixed = f.sum(f.expand_dims(gate, -1) * experts, axis=1)
        tower = k.Dense(8, activation="relu", name=f"tower_{task}")(mixed)
        outputs.append(k.Dense(1, activation="sigmoid", name=f"task_{task}")(tower))
    return library.Model(features, outputs)


def routed_experts(library: Any, draw: random.Random) -> Any:
    """A mixture of experts as one batch matmul: kernels of all experts are a tensor of rank three."""
    k = library.layers
    features = library.Input((32,))
    many = draw.choice((4, 6))
    x = k.Dense(many * 24, activation="relu")(k.LayerNormalization()(features))
    x = k.Reshape((many, 24))(x)
    x = k.EinsumDense("bed,edf->bef", output_shape=(many, 16), bias_axes="ef", activation="gelu")(x)
    gate = k.Reshape((many, 1))(k.Dense(many, activation="softmax")(features))
    x = k.Reshape((16,))(k.Dot(axes=1)([gate, x]))
    return library.Model(features, k.Dense(1)(x))


def interest(library: Any, draw: random.Random) -> Any:
    """DIN: what a user clicked is weighed by how it compares with the candidate."""
    k = library.layers
    clicks = library.Input((15,), dtype="int32", name="clicks")
    target = library.Input((1,), dtype="int32", name="target")
    table = k.Embedding(500, 12)
    past, item = table(clicks), table(target)
    repeated = k.Concatenate(axis=1)([item] * 15) if draw.random() < 0.5 else k.UpSampling1D(15)(item)
    x = k.Concatenate()([past, repeated, k.Subtract()([past, repeated]), k.Multiply()([past, repeated])])
    x = k.Dense(1)(k.Dense(16, activation="sigmoid")(k.Dense(36, activation="sigmoid")(x)))
    user = k.Flatten()(k.Dot(axes=(1, 1))([x, past]))
    x = k.BatchNormalization()(k.Concatenate()([user, k.Flatten()(item)]))
    x = k.PReLU()(k.Dense(40)(x))
    return library.Model([clicks, target], k.Dense(1, activation="sigmoid")(x))


def house_prices(library: Any, draw: random.Random) -> Any:
    """Numbers with a normalization whose statistics are given, and categories by embeddings."""
    k = library.layers
    numbers = library.Input((8,), name="numbers")
    zone = library.Input((1,), dtype="int32", name="zone")
    mean = [3.9, 28.6, 5.4, 1.1, 1425.5, 3.1, 35.6, -119.6]
    variance = [3.6, 158.0, 6.1, 0.2, 1282470.0, 107.9, 4.6, 4.0]
    x = k.Normalization(axis=-1, mean=mean, variance=variance)(numbers)
    x = k.Concatenate()([x, k.Flatten()(k.Embedding(draw.choice((12, 25)), 4)(zone))])
    for _ in range(2):
        x = k.Dense(64, activation="relu")(x)
    return library.Model([numbers, zone], k.Dense(1)(x))


def residual_table(library: Any, draw: random.Random) -> Any:
    """A residual network for tables: normalization, two dense layers and dropout in each block."""
    k = library.layers
    given = library.Input((28,), name="features")
    x = k.Dense(48, name="first")(given)
    for number in range(draw.choice((2, 3))):
        y = k.BatchNormalization(name=f"block{number}_norm")(x)
        y = k.Dropout(0.2)(k.Dense(64, activation="relu", name=f"block{number}_in")(y))
        x = k.Add()([x, k.Dense(48, name=f"block{number}_out")(y)])
    x = k.ReLU()(k.BatchNormalization()(x))
    return library.Model(given, k.Dense(3, activation="softmax")(x))


def attended_features(library: Any, draw: random.Random) -> Any:
    """TabNet in short: a mask selects features in each step, gated linear units process them."""
    k, f = library.layers, functions(library)
    given = library.Input((24,))
    features = k.BatchNormalization()(given)
    shared = k.Dense(32, use_bias=False)
    state, total, prior = k.Dense(8)(features), None, None
    for _ in range(draw.choice((2, 3))):
        mask = k.BatchNormalization()(k.Dense(24, use_bias=False)(state))
        mask = k.Softmax()(mask if prior is None else k.Multiply()([mask, prior]))
        prior = 1.3 - mask if prior is None else prior * (1.3 - mask)
        x = k.BatchNormalization()(shared(k.Multiply()([features, mask])))
        x = x[:, :16] * f.sigmoid(x[:, 16:])
        state, decision = x[:, :8], k.ReLU()(x[:, 8:])
        total = decision if total is None else total + decision
    return library.Model(given, k.Dense(2)(total))


def feature_tokens(library: Any, draw: random.Random) -> Any:
    """An FT-transformer: each number is a token by a separate kernel; the mean of tokens is classified."""
    k = library.layers
    numbers = library.Input((10,))
    x = k.Reshape((10, 1))(numbers)
    x = k.EinsumDense("bnk,nke->bne", output_shape=(10, 16), bias_axes="ne")(x)
    for _ in range(2):
        y = k.LayerNormalization(epsilon=1e-5)(x)
        x = x + k.MultiHeadAttention(draw.choice((2, 4)), 8)(y, y, y)
        y = k.LayerNormalization(epsilon=1e-5)(x)
        x = x + k.Dense(16)(k.Dropout(0.1)(k.Dense(32, activation="relu")(y)))
    return library.Model(numbers, k.Dense(1)(k.LayerNormalization()(k.GlobalAveragePooling1D()(x))))


def soft_actor(library: Any, draw: random.Random) -> Any:
    """The policy of soft actor-critic: mean and bounded logarithm of the spread of each action."""
    k, f = library.layers, functions(library)
    state = library.Input((17,), name="observation")
    x = state
    for _ in range(2):
        x = k.Dense(draw.choice((64, 96)), activation="relu")(x)
    mean = k.Dense(6)(x)
    spread = f.clip(k.Dense(6)(x), -20.0, 2.0)
    return library.Model(state, [f.tanh(mean), f.exp(spread)])


def value_distribution(library: Any, draw: random.Random) -> Any:
    """A distributional critic for small frames: a dueling head with atoms for each action."""
    k, f = library.layers, functions(library)
    frames = library.Input((42, 42, 4))
    x = k.Rescaling(1 / 255)(frames)
    x = k.Conv2D(16, 8, strides=4, activation="relu")(x)
    x = k.Conv2D(24, 4, strides=2, activation="relu")(x)
    x = k.Flatten()(x)
    actions, atoms = 4, draw.choice((21, 51))
    value = k.Reshape((1, atoms))(k.Dense(atoms)(k.Dense(64, activation="relu")(x)))
    gain = k.Reshape((actions, atoms))(k.Dense(actions * atoms)(k.Dense(64, activation="relu")(x)))
    scores = value + gain - f.mean(gain, axis=1, keepdims=True)
    return library.Model(frames, k.Softmax(axis=-1)(scores))


def mixed_densities(library: Any, draw: random.Random) -> Any:
    """A mixture density network: weights, means and spreads of normal distributions."""
    k = library.layers
    given = library.Input((5,))
    x = k.Dense(48, activation="tanh")(given)
    x = k.Dense(48, activation="tanh")(x)
    many = draw.choice((3, 5))
    weights = k.Dense(many, activation="softmax", name="weights")(x)
    means = k.Dense(many * 2, name="means")(x)
    spreads = k.Dense(many * 2, activation="softplus", name="spreads")(x)
    return library.Model(given, [weights, k.Reshape((many, 2))(means), k.Reshape((many, 2))(spreads)])


def graph_convolutions(library: Any, draw: random.Random) -> Any:
    """A graph convolutional network of dense adjacency: two products with it, and mean over nodes."""
    k, f = library.layers, functions(library)
    nodes = library.Input((20, 12), name="nodes")
    links = library.Input((20, 20), name="links")
    x = nodes
    for units in (24, 24):
        x = k.ReLU()(f.matmul(links, k.Dense(units, use_bias=False)(x)))
        x = k.BatchNormalization()(x) if draw.random() < 0.5 else k.Dropout(0.2)(x)
    x = f.mean(x, axis=1)
    return library.Model([nodes, links], k.Dense(2, activation="softmax")(k.Dense(16, activation="relu")(x)))


def graph_attention(library: Any, draw: random.Random) -> Any:
    """Graph attention: scores of pairs by two sums, masked with a large negative number."""
    k, f = library.layers, functions(library)
    nodes = library.Input((16, 8))
    links = library.Input((16, 16))
    heads = []
    for _ in range(draw.choice((2, 3))):
        x = k.Dense(12, use_bias=False)(nodes)
        scores = k.Dense(1)(x) + f.transpose(k.Dense(1)(x), (0, 2, 1))
        scores = k.LeakyReLU(0.2)(scores) + (1.0 - links) * -1e9
        heads.append(f.matmul(f.softmax(scores, axis=-1), x))
    x = k.ELU()(k.Concatenate()(heads))
    return library.Model([nodes, links], k.Dense(7, activation="softmax")(x))


def points(library: Any, draw: random.Random) -> Any:
    """PointNet: a small network predicts a matrix that turns the points; maximum over all points."""
    k = library.layers
    cloud = library.Input((64, 3))

    def conv(x: Any, filters: int) -> Any:
        x = k.Conv1D(filters, kernel_size=1, padding="valid")(x)
        return k.Activation("relu")(k.BatchNormalization(momentum=0.0)(x))

    x = k.GlobalMaxPooling1D()(conv(conv(cloud, 16), 32))
    x = k.Dense(9, kernel_initializer="zeros", bias_initializer="ones")(k.Dense(24, activation="relu")(x))
    turned = k.Dot(axes=(2, 1))([cloud, k.Reshape((3, 3))(x)])
    x = k.GlobalMaxPooling1D()(conv(conv(turned, 24), draw.choice((48, 64))))
    x = k.Dropout(0.3)(k.Dense(32, activation="relu")(x))
    return library.Model(cloud, k.Dense(10, activation="softmax")(x))


FOURTH_TABLES: dict[str, tuple[str, Builder]] = {
    "q-wide-and-deep": ("tables", wide_and_deep),
    "q-deep-factors": ("tables", deep_factors),
    "q-low-rank-crosses": ("tables", low_rank_crosses),
    "q-dots-of-fields": ("tables", dots_of_fields),
    "q-neural-filtering": ("tables", neural_filtering),
    "q-two-towers": ("tables", two_towers),
    "q-many-gates": ("tables", many_gates),
    "q-routed-experts": ("tables", routed_experts),
    "q-interest": ("tables", interest),
    "q-house-prices": ("tables", house_prices),
    "q-residual-table": ("tables", residual_table),
    "q-attended-features": ("tables", attended_features),
    "q-feature-tokens": ("attention", feature_tokens),
    "q-soft-actor": ("tables", soft_actor),
    "q-value-distribution": ("tables", value_distribution),
    "q-mixed-densities": ("tables", mixed_densities),
    "q-graph-convolutions": ("tables", graph_convolutions),
    "q-graph-attention": ("tables", graph_attention),
    "q-points": ("tables", points),
}
"""The class of each kind of network, and what builds it."""
