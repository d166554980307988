"""Texts and recurrent networks in the fourth set: classifiers, taggers, language models and forecasts.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fourth_functions import functions
from benchmarks.accuracy.third_images import Builder


def reviews(library: Any, draw: random.Random) -> Any:
    """Sentences by parallel convolutions of three, four and five words."""
    k = library.layers
    words = library.Input(shape=(60,), dtype="int32")
    x = k.SpatialDropout1D(0.2)(k.Embedding(1500, draw.choice((16, 24)))(words))
    pooled = []
    for size in (3, 4, 5):
        y = k.Conv1D(24, size, activation="relu", kernel_regularizer=library.regularizers.l2(0.01))(x)
        pooled.append(k.GlobalMaxPooling1D()(y))
    x = k.Dropout(0.5)(k.concatenate(pooled, axis=1))
    return library.Model(words, k.Dense(1, activation="sigmoid")(x))


def bag_of_bigrams(library: Any, draw: random.Random) -> Any:
    """The text tutorial: an embedding, dropout, mean pooling and one score."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((100,)),
            k.Embedding(draw.choice((2000, 3001)), 16),
            k.Dropout(0.2),
            k.GlobalAveragePooling1D(),
            k.Dropout(0.2),
            k.Dense(1),
        ]
    )


def deep_pyramids(library: Any, draw: random.Random) -> Any:
    """DPCNN: preactivated pairs of convolutions, halving the length each time."""
    k = library.layers
    words = library.Input((64,), dtype="int32")
    x = k.Embedding(1000, 24)(words)
    x = k.Conv1D(24, 3, padding="same")(x)
    for _ in range(draw.choice((2, 3))):
        y = x
        for _ in range(2):
            y = k.Conv1D(24, 3, padding="same")(k.ReLU()(y))
        x = k.MaxPooling1D(3, strides=2, padding="same")(k.add([x, y]))
    return library.Model(words, k.Dense(4, activation="softmax")(k.Flatten()(x)))


def characters(library: Any, draw: random.Random) -> Any:
    """Characters as orthogonal vectors from a frozen table, and three pooled convolutions."""
    k = library.layers
    letters = library.Input((128,), dtype="int64")
    x = k.Embedding(70, 70, embeddings_initializer="orthogonal", trainable=False)(letters)
    for filters, size, pool in ((24, 7, 3), (24, 3, 3), (24, 3, None)):
        x = k.ReLU()(k.Conv1D(filters, size)(x))
        x = k.MaxPooling1D(pool)(x) if pool else x
    x = k.Flatten()(x)
    x = k.AlphaDropout(0.5)(k.Dense(draw.choice((48, 64)), activation="relu")(x))
    return library.Model(letters, k.Dense(4, activation="softmax")(x))


def encoder(library: Any, draw: random.Random) -> Any:
    """A small encoder like BERT: two embeddings, fixed waves for places, and a pooled first token."""
    k = library.layers
    width, heads = 32, draw.choice((2, 4))
    words = library.Input((24,), dtype="int32", name="input_word_ids")
    kinds = library.Input((24,), dtype="int32", name="input_type_ids")
    places = np.sin(np.arange(24)[:, None] / 10000 ** (np.arange(width)[None] / width)).astype("float32")
    x = k.Embedding(800, width, name="word")(words) + k.Embedding(10, width, name="type")(kinds)
    x = x + places
    x = k.Dropout(0.1)(k.LayerNormalization(epsilon=1e-12, name="embeddings_norm")(x))
    for number in range(2):
        y = k.MultiHeadAttention(heads, width // heads, dropout=0.1, name=f"attention_{number}")(x, x)
        x = k.LayerNormalization(epsilon=1e-12)(x + k.Dropout(0.1)(y))
        y = k.Dense(width)(k.Dense(64, activation="gelu")(x))
        x = k.LayerNormalization(epsilon=1e-12)(x + k.Dropout(0.1)(y))
    first = k.Dense(width, activation="tanh", name="pooler")(x[:, 0])
    return library.Model([words, kinds], k.Dense(3, name="classifier")(first))


def next_words(library: Any, draw: random.Random) -> Any:
    """A language model with causal attention, and normalization before each block."""
    k = library.layers
    words = library.Input((32,), dtype="int32")
    x = k.Embedding(300, 32)(words)
    for _ in range(draw.choice((1, 2))):
        y = k.LayerNormalization()(x)
        x = k.Add()([x, k.MultiHeadAttention(4, 8, use_bias=False)(y, y, use_causal_mask=True)])
        y = k.LayerNormalization()(x)
        x = k.Add()([x, k.Dense(32)(k.Dense(96, activation="gelu")(y))])
    return library.Model(words, k.Dense(300, use_bias=False)(k.LayerNormalization()(x)))


def heads_by_hand(library: Any, draw: random.Random) -> Any:
    """Attention by reshapes, transposes and matrix products, with one dense layer for all three inputs."""
    k, f = library.layers, functions(library)
    steps, heads, size = 16, draw.choice((2, 4)), 8
    width = heads * size
    tokens = library.Input((steps, 20))
    x = k.Dense(width)(tokens)
    for _ in range(2):
        joined = k.Dense(3 * width, use_bias=False)(k.LayerNormalization(epsilon=1e-6)(x))
        joined = f.transpose(f.reshape(joined, (-1, steps, 3, heads, size)), (2, 0, 3, 1, 4))
        q, key, v = joined[0], joined[1], joined[2]
        scores = f.matmul(q, f.transpose(key, (0, 1, 3, 2))) * (1 / math.sqrt(size))
        y = f.matmul(f.softmax(scores, axis=-1), v)
        y = f.reshape(f.transpose(y, (0, 2, 1, 3)), (-1, steps, width))
        x = x + k.Dense(width)(y)
        x = x + k.Dense(width)(k.Dense(2 * width, activation="relu")(k.LayerNormalization(epsilon=1e-6)(x)))
    return library.Model(tokens, k.Dense(5)(f.mean(x, axis=1)))


def gated_units(library: Any, draw: random.Random) -> Any:
    """gMLP: a gate over the sequence in place of attention."""
    k, f = library.layers, functions(library)
    words = library.Input((30,), dtype="int32")
    x = k.Embedding(400, 24)(words)
    for _ in range(draw.choice((2, 3))):
        y = k.Dense(48, activation="gelu")(k.LayerNormalization()(x))
        one, two = f.split(y, 2, axis=-1)
        two = f.transpose(k.LayerNormalization()(two), (0, 2, 1))
        two = f.transpose(k.Dense(30, bias_initializer="ones")(two), (0, 2, 1))
        x = x + k.Dense(24)(one * two)
    return library.Model(words, k.Dense(2, activation="softmax")(k.GlobalMaxPooling1D()(x)))


def repeated_layer(library: Any, draw: random.Random) -> Any:
    """ALBERT: a narrow table, a projection, and one block that is applied several times."""
    k = library.layers
    width = 24
    block_input = library.Input((20, width))
    y = k.MultiHeadAttention(2, 12)(block_input, block_input)
    y = k.LayerNormalization()(k.Add()([block_input, y]))
    z = k.Dense(width)(k.Dense(48, activation="relu")(y))
    block = library.Model(block_input, k.LayerNormalization()(k.Add()([y, z])), name="block")
    words = library.Input((20,), dtype="int32")
    x = k.Dense(width)(k.Embedding(900, 10)(words))
    for _ in range(draw.choice((2, 3))):
        x = block(x)
    return library.Model(words, k.Dense(6)(k.GlobalAveragePooling1D()(x)))


def similar_questions(library: Any, draw: random.Random) -> Any:
    """Two questions through the same convolutions; difference and product are classified."""
    k, f = library.layers, functions(library)
    one, two = (library.Input((25,), dtype="int32", name=name) for name in ("one", "two"))
    table, conv = k.Embedding(1000, 20), k.Conv1D(32, 3, padding="same", activation="relu")
    pool, dense = k.GlobalMaxPooling1D(), k.Dense(24, activation="tanh")
    left, right = (dense(pool(conv(table(text)))) for text in (one, two))
    x = k.Concatenate()([f.abs(left - right), left * right])
    x = k.Dropout(0.3)(k.BatchNormalization()(x))
    return library.Model(
        [one, two], k.Dense(1, activation="sigmoid")(k.Dense(draw.choice((16, 24)), activation="relu")(x))
    )


def intents_and_slots(library: Any, draw: random.Random) -> Any:
    """One body for the intent of a sentence and a label for each word."""
    k = library.layers
    words = library.Input((20,), dtype="int32", name="words")
    x = k.Embedding(500, 24)(words)
    x = k.Conv1D(32, 5, padding="same", activation="relu")(x)
    x = k.SeparableConv1D(draw.choice((32, 40)), 3, padding="same", activation="relu")(x)
    slots = k.TimeDistributed(k.Dense(12, activation="softmax"), name="slots")(x)
    intent = k.Dense(7, activation="softmax", name="intent")(k.GlobalAveragePooling1D()(x))
    return library.Model(words, [intent, slots])


def stacked_forecast(library: Any, draw: random.Random) -> Any:
    """A forecast of energy use by two layers of LSTM with dropout."""
    k = library.layers
    model = library.Sequential([library.Input((24, draw.choice((1, 5))), batch_size=1)])
    model.add(k.LSTM(32, return_sequences=True))
    model.add(k.Dropout(0.2))
    model.add(k.LSTM(24))
    model.add(k.Dense(12))
    return model


def both_ways_text(library: Any, draw: random.Random) -> Any:
    """Sentiment by an LSTM in both directions."""
    k = library.layers
    words = library.Input((30,), batch_size=1, dtype="int32")
    x = k.Embedding(800, 16)(words)
    x = k.Bidirectional(k.LSTM(draw.choice((16, 24))))(x)
    return library.Model(words, k.Dense(1)(k.Dense(16, activation="relu")(x)))


def gated_forecast(library: Any, draw: random.Random) -> Any:
    """A GRU over prices after a convolution, and a dense layer."""
    k = library.layers
    series = library.Input((40, 5), batch_size=1)
    x = k.Conv1D(16, 5, strides=2, activation="relu")(series)
    x = k.GRU(draw.choice((24, 32)), reset_after=True)(x)
    return library.Model(series, k.Dense(1)(k.Dropout(0.1)(x)))


def repeated_state(library: Any, draw: random.Random) -> Any:
    """An autoencoder of series: the last state is repeated and unrolled by a second LSTM."""
    k = library.layers
    return library.Sequential(
        [
            library.Input((16, 4), batch_size=1),
            k.LSTM(24),
            k.RepeatVector(16),
            k.LSTM(draw.choice((24, 32)), return_sequences=True),
            k.TimeDistributed(k.Dense(4)),
        ]
    )


def activities(library: Any, draw: random.Random) -> Any:
    """DeepConvLSTM: convolutions over sensors, then an LSTM over steps."""
    k = library.layers
    sensors = library.Input((32, 9, 1), batch_size=1)
    x = k.Conv2D(12, (5, 1), activation="relu")(sensors)
    x = k.Conv2D(12, (5, 1), activation="relu")(x)
    x = k.Reshape((24, 9 * 12))(x)
    x = k.LSTM(draw.choice((16, 24)), return_sequences=draw.random() < 0.5)(x)
    x = k.GlobalAveragePooling1D()(x) if len(x.shape) == 3 else x
    return library.Model(sensors, k.Dense(6, activation="softmax")(x))


FOURTH_TEXTS: dict[str, tuple[str, Builder]] = {
    "q-reviews": ("text", reviews),
    "q-bag-of-bigrams": ("text", bag_of_bigrams),
    "q-deep-pyramids": ("text", deep_pyramids),
    "q-characters": ("text", characters),
    "q-encoder": ("attention", encoder),
    "q-next-words": ("attention", next_words),
    "q-heads-by-hand": ("attention", heads_by_hand),
    "q-gated-units": ("text", gated_units),
    "q-repeated-layer": ("attention", repeated_layer),
    "q-similar-questions": ("text", similar_questions),
    "q-intents-and-slots": ("text", intents_and_slots),
    "q-stacked-forecast": ("recurrent", stacked_forecast),
    "q-both-ways-text": ("recurrent", both_ways_text),
    "q-gated-forecast": ("recurrent", gated_forecast),
    "q-repeated-state": ("recurrent", repeated_state),
    "q-activities": ("recurrent", activities),
}
"""The class of each kind of network, and what builds it."""
