"""Networks with attention, and networks of tables after published architectures, of our own code, each in a
small size.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.accuracy.public_images import Builder


def _feed(library: Any, x: Any, width: int, inner: int, activation: str = "relu") -> Any:
    return library.layers.Dense(width)(library.layers.Dense(inner, activation=activation)(x))


def pre_norm(library: Any, draw: random.Random) -> Any:
    """An encoder that normalizes before each part (Xiong, 2020)."""
    layers = library.layers
    given = layers.Input((12, 16))
    x = given
    for _ in range(draw.randint(1, 2)):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=8)(y, y)])
        x = layers.Add()([x, _feed(library, layers.LayerNormalization()(x), 16, 32)])
    return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))


def post_norm(library: Any, draw: random.Random) -> Any:
    """An encoder that normalizes after each part (Vaswani, 2017)."""
    layers = library.layers
    given = layers.Input((14,), dtype="int32")
    x = layers.Embedding(150, 16)(given)
    y = layers.MultiHeadAttention(num_heads=draw.choice((1, 4)), key_dim=4)(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, y]))
    x = layers.LayerNormalization(epsilon=1e-6)(
        layers.Add()([x, _feed(library, x, 16, 24, draw.choice(("relu", "gelu")))])
    )
    return library.Model(given, layers.Dense(2, activation="softmax")(layers.GlobalMaxPooling1D()(x)))


def decoder(library: Any, draw: random.Random) -> Any:
    """Words that see only earlier ones (Radford, 2018)."""
    layers = library.layers
    given = layers.Input((12,), dtype="int32")
    x = layers.Embedding(120, 16)(given)
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(num_heads=2, key_dim=8)(y, y, use_causal_mask=True)
    x = layers.Add()([x, y])
    x = layers.Add()([x, _feed(library, layers.LayerNormalization()(x), 16, 32, "gelu")])
    return library.Model(given, layers.Dense(120)(layers.LayerNormalization()(x)))


def crossed(library: Any, draw: random.Random) -> Any:
    """A sequence that attends to another one."""
    layers = library.layers
    source, target = layers.Input((10, 12), name="source"), layers.Input((6, 16), name="target")
    x = layers.MultiHeadAttention(num_heads=2, key_dim=8)(target, source)
    x = layers.LayerNormalization()(layers.Add()([x, target]))
    if draw.random() < 0.5:
        x = layers.Add()([x, _feed(library, x, 16, 20)])
    return library.Model([source, target], layers.Dense(5)(x))


def image_mixer(library: Any, draw: random.Random) -> Any:
    """Patches of images, mixed by dense layers (Tolstikhin, 2021)."""
    layers = library.layers
    given = layers.Input((24, 24, 3))
    x = layers.Reshape((9, 16))(layers.Conv2D(16, 8, strides=8)(given))
    for _ in range(draw.randint(1, 2)):
        y = layers.Permute((2, 1))(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([x, layers.Permute((2, 1))(_feed(library, y, 9, 12, "gelu"))])
        x = layers.Add()([x, _feed(library, layers.LayerNormalization(epsilon=1e-6)(x), 16, 32, "gelu")])
    return library.Model(given, layers.Dense(4)(layers.GlobalAveragePooling1D()(x)))


def gated_mixer(library: Any, draw: random.Random) -> Any:
    """Dense layers with a gate over the steps (Liu, 2021)."""
    layers = library.layers
    given = layers.Input((12, 16))
    y = layers.LayerNormalization()(given)
    u, v = layers.Dense(16, activation="gelu")(y), layers.Dense(16, activation="gelu")(y)
    v = layers.Permute((2, 1))(layers.Dense(12)(layers.Permute((2, 1))(layers.LayerNormalization()(v))))
    x = layers.Add()([given, layers.Dense(16)(layers.Multiply()([u, v]))])
    return library.Model(given, layers.Dense(draw.choice((1, 3)))(layers.GlobalAveragePooling1D()(x)))


def conformer(library: Any, draw: random.Random) -> Any:
    """Attention and convolutions of speech (Gulati, 2020)."""
    layers = library.layers
    given = layers.Input((16, 12))
    x = layers.Add()([given, _feed(library, layers.LayerNormalization()(given), 12, 24, "swish")])
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=6)(y, y)])
    y = layers.LayerNormalization()(x)
    y = layers.Multiply()([layers.Conv1D(12, 1)(y), layers.Conv1D(12, 1, activation="sigmoid")(y)])
    y = layers.DepthwiseConv1D(5, padding="same")(y)
    y = layers.Activation("swish")(layers.BatchNormalization()(y))
    x = layers.Add()([x, layers.Conv1D(12, 1)(y)])
    return library.Model(given, layers.Dense(10, activation="softmax")(layers.LayerNormalization()(x)))


def table_transformer(library: Any, draw: random.Random) -> Any:
    """Categories attend to each other (Huang, 2020)."""
    layers = library.layers
    categories, numbers = layers.Input((4,), dtype="int32"), layers.Input((5,))
    x = layers.Embedding(80, 8)(categories)
    y = layers.MultiHeadAttention(num_heads=2, key_dim=4)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    x = layers.Concatenate()([layers.Flatten()(x), layers.LayerNormalization()(numbers)])
    x = layers.Dense(16, activation=draw.choice(("relu", "selu")))(x)
    return library.Model([categories, numbers], layers.Dense(1, activation="sigmoid")(x))


def pooled_set(library: Any, draw: random.Random) -> Any:
    """Sets without an order (Zaheer, 2017)."""
    layers = library.layers
    given = layers.Input((10, 3))
    x = layers.Dense(16, activation=draw.choice(("relu", "elu")))(given)
    x = layers.Dense(16, activation="relu")(x)
    x = draw.choice((layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D))()(x)
    return library.Model(given, layers.Dense(2)(layers.Dense(12, activation="relu")(x)))


def simple_attention(library: Any, draw: random.Random) -> Any:
    """Products of queries and keys without weights, beside convolutions."""
    layers = library.layers
    given = layers.Input((16,), dtype="int32")
    x = layers.Embedding(100, 12)(given)
    query = layers.Conv1D(12, 3, padding="same")(x)
    value = layers.Conv1D(12, 3, padding="same")(x)
    x = layers.Attention(use_scale=draw.random() < 0.5)([query, value])
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(query), layers.GlobalAveragePooling1D()(x)])
    return library.Model(given, layers.Dense(3)(x))


def neural_filter(library: Any, draw: random.Random) -> Any:
    """Products beside dense layers of users and items (He, 2017)."""
    layers = library.layers
    user, item = (layers.Input((1,), dtype="int32", name=name) for name in ("user", "item"))
    flat = layers.Flatten
    product = layers.Multiply()(
        [flat()(layers.Embedding(120, 8)(user)), flat()(layers.Embedding(150, 8)(item))]
    )
    x = layers.Concatenate()([flat()(layers.Embedding(120, 6)(user)), flat()(layers.Embedding(150, 6)(item))])
    for units in (16, 8):
        x = layers.Dense(units, activation="relu")(x)
    x = layers.Concatenate()([product, x])
    return library.Model([user, item], layers.Dense(1, activation="sigmoid")(x))


def recommendation(library: Any, draw: random.Random) -> Any:
    """Products of all pairs of embeddings (Naumov, 2019)."""
    layers = library.layers
    numbers = layers.Input((6,), name="numbers")
    bottom = layers.Dense(8, activation="relu")(layers.Dense(12, activation="relu")(numbers))
    inputs, vectors = [numbers], [bottom]
    for place in range(draw.randint(2, 3)):
        given = layers.Input((1,), dtype="int32", name=f"c{place}")
        inputs.append(given)
        vectors.append(layers.Reshape((8,))(layers.Embedding(60 + 20 * place, 8)(given)))
    pairs = [layers.Dot(axes=1)([vectors[i], vectors[j]]) for i in range(len(vectors)) for j in range(i)]
    x = layers.Dense(16, activation="relu")(layers.Concatenate()([bottom, *pairs]))
    return library.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def cross_network(library: Any, draw: random.Random) -> Any:
    """Features multiplied with what is learned of them (Wang, 2021)."""
    layers = library.layers
    given = layers.Input((draw.choice((10, 14)),))
    x = given
    for _ in range(draw.randint(2, 3)):
        x = layers.Add()([x, layers.Multiply()([given, layers.Dense(given.shape[-1])(x)])])
    deep = layers.Dense(16, activation="relu")(layers.Dense(24, activation="relu")(given))
    return library.Model(given, layers.Dense(1, activation="sigmoid")(layers.Concatenate()([x, deep])))


def experts(library: Any, draw: random.Random) -> Any:
    """Experts, weighed by a gate for each task (Ma, 2018)."""
    layers = library.layers
    given = layers.Input((12,))
    many = [layers.Reshape((1, 8))(layers.Dense(8, activation="relu")(given)) for _ in range(3)]
    stacked = layers.Concatenate(axis=1)(many)
    outs = []
    for task in range(draw.randint(1, 2)):
        gate = layers.Dense(3, activation="softmax")(given)
        mixed = layers.Dot(axes=1)([gate, stacked])
        outs.append(layers.Dense(1, activation="sigmoid", name=f"task_{task}")(mixed))
    return library.Model(given, outs)


def self_normalizing(library: Any, draw: random.Random) -> Any:
    """SELU with its dropout (Klambauer, 2017)."""
    layers = library.layers
    parts = [layers.Input((20,))]
    for units in (24, 16):
        parts += [layers.Dense(units, activation="selu", kernel_initializer="lecun_normal")]
        parts += [layers.AlphaDropout(0.1)]
    return library.Sequential([*parts, layers.Dense(3, activation=draw.choice((None, "softmax")))])


def table_residual(library: Any, draw: random.Random) -> Any:
    """Residual blocks of dense layers (Gorishniy, 2021)."""
    layers = library.layers
    given = layers.Input((16,))
    x = layers.Dense(20)(given)
    for _ in range(draw.randint(1, 3)):
        y = layers.Dense(28, activation="relu")(layers.BatchNormalization()(x))
        x = layers.Add()([x, layers.Dense(20)(layers.Dropout(0.1)(y))])
    return library.Model(given, layers.Dense(1)(layers.ReLU()(layers.BatchNormalization()(x))))


def backcast(library: Any, draw: random.Random) -> Any:
    """Blocks that take away what they explain (Oreshkin, 2020)."""
    layers = library.layers
    given = layers.Input((24,))
    x, forecasts = given, []
    for _ in range(draw.randint(2, 3)):
        h = layers.Dense(16, activation="relu")(layers.Dense(16, activation="relu")(x))
        x = layers.Subtract()([x, layers.Dense(24)(h)])
        forecasts.append(layers.Dense(6)(h))
    return library.Model(given, layers.Add()(forecasts))


def gated_residual(library: Any, draw: random.Random) -> Any:
    """Gated residual networks of a forecaster (Lim, 2021)."""
    layers = library.layers
    given = layers.Input((8, 6))
    x = layers.Dense(12)(given)
    for _ in range(2):
        h = layers.Dense(12)(layers.Dense(12, activation="elu")(x))
        h = layers.Multiply()([layers.Dense(12)(h), layers.Dense(12, activation="sigmoid")(h)])
        x = layers.LayerNormalization()(layers.Add()([x, h]))
    out = layers.Flatten()(x) if draw.random() < 0.5 else layers.GlobalAveragePooling1D()(x)
    return library.Model(given, layers.Dense(3)(out))


def policy(library: Any, draw: random.Random) -> Any:
    """Actions and a value from one body (Mnih, 2016)."""
    layers = library.layers
    given = layers.Input((draw.choice((4, 8)),), name="observation")
    x = layers.Dense(24, activation=draw.choice(("relu", "tanh")))(given)
    x = layers.Dense(24, activation="tanh")(x)
    actions = layers.Dense(3, activation="softmax", name="actions")(x)
    return library.Model(given, [actions, layers.Dense(1, name="value")(x)])


def reconstruction(library: Any, draw: random.Random) -> Any:
    """An autoencoder of a machine's sounds, as in MLPerf Tiny's anomaly detection."""
    layers = library.layers
    parts = [layers.Input((draw.choice((64, 128)),))]
    for units in (32, 32, 8, 32, 32):
        parts += [layers.Dense(units), layers.BatchNormalization(), layers.Activation("relu")]
    return library.Sequential([*parts, layers.Dense(parts[0].shape[-1])])


PUBLIC_TABLES: dict[str, tuple[str, Builder]] = {
    "p-backcast": ("tables", backcast),
    "p-conformer": ("attention", conformer),
    "p-cross": ("tables", cross_network),
    "p-crossed": ("attention", crossed),
    "p-decoder": ("attention", decoder),
    "p-experts": ("tables", experts),
    "p-gated-mixer": ("attention", gated_mixer),
    "p-gated-residual": ("tables", gated_residual),
    "p-image-mixer": ("attention", image_mixer),
    "p-neural-filter": ("tables", neural_filter),
    "p-policy": ("tables", policy),
    "p-pooled-set": ("tables", pooled_set),
    "p-post-norm": ("attention", post_norm),
    "p-pre-norm": ("attention", pre_norm),
    "p-recommendation": ("tables", recommendation),
    "p-reconstruction": ("tables", reconstruction),
    "p-self-normalizing": ("tables", self_normalizing),
    "p-simple-attention": ("attention", simple_attention),
    "p-table-residual": ("tables", table_residual),
    "p-table-transformer": ("attention", table_transformer),
}
"""The class of each kind of network, and what builds it."""
