"""Texts in the fifth set: encoders, decoders, pairs of texts, and recurrent networks.

Each builder takes the library (tf_keras or keras) and a source of random numbers, and returns a model without
trained weights.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from benchmarks.accuracy.fifth_parts import kinds
from benchmarks.accuracy.fourth_functions import functions


def masked_encoder(library: Any, draw: random.Random) -> Any:
    """BERT-tiny with three inputs: its mask becomes large negative scores, and heads are split by hand."""
    k, f = library.layers, functions(library)
    steps, width, heads = 16, 32, draw.choice((2, 4))
    names = ("input_ids", "attention_mask", "token_type_ids")
    words, mask, types = (library.Input((steps,), dtype="int32", name=name) for name in names)
    x = k.Embedding(600, width, name="word_embeddings")(words) + k.Embedding(10, width)(types)
    x = k.Dropout(0.1)(k.LayerNormalization(epsilon=1e-12)(x))
    shut = (1.0 - f.reshape(k.Rescaling(1.0)(mask), (-1, 1, 1, steps))) * -10000.0

    def split(y: Any) -> Any:
        return f.transpose(f.reshape(y, (-1, steps, heads, width // heads)), (0, 2, 1, 3))

    for number in range(2):
        query, key, value = (split(k.Dense(width, name=f"{name}_{number}")(x)) for name in ("q", "k", "v"))
        scores = f.matmul(query, f.transpose(key, (0, 1, 3, 2))) / math.sqrt(width / heads) + shut
        y = f.transpose(f.matmul(k.Dropout(0.1)(f.softmax(scores, axis=-1)), value), (0, 2, 1, 3))
        x = k.LayerNormalization(epsilon=1e-12)(x + k.Dense(width)(f.reshape(y, (-1, steps, width))))
        y = k.Dense(width)(k.Dense(64, activation="gelu")(x))
        x = k.LayerNormalization(epsilon=1e-12)(x + y)
    pooled = k.Dense(width, activation="tanh", name="pooler")(x[:, 0, :])
    return library.Model([words, mask, types], [k.Dense(2)(pooled), x])


def answer_spans(library: Any, draw: random.Random) -> Any:
    """ELECTRA with a narrow table that is projected, and the start and end of an answer."""
    k, f = library.layers, functions(library)
    words = library.Input((24,), dtype="int32", name="question_and_text")
    x = k.Dense(32, name="embeddings_project")(k.LayerNormalization()(k.Embedding(700, 12)(words)))
    for number in range(draw.choice((1, 2))):
        y = k.MultiHeadAttention(4, 8, name=f"layer_{number}_attention")(x, x)
        x = k.LayerNormalization()(k.Add()([x, y]))
        y = k.Dense(32)(k.Activation("gelu")(k.Dense(96)(x)))
        x = k.LayerNormalization()(k.Add()([x, y]))
    start, end = f.split(k.Dense(2, name="qa_outputs")(x), 2, axis=-1)
    return library.Model(words, [f.softmax(f.squeeze(one, -1), axis=-1) for one in (start, end)])


def encoder_and_decoder(library: Any, draw: random.Random) -> Any:
    """T5 in short: root mean squares in place of means, no biases, and a decoder that reads the encoder."""
    k, f = library.layers, functions(library)
    width = draw.choice((24, 32))

    def norm(x: Any) -> Any:
        return x * f.rsqrt(f.mean(f.square(x), axis=-1, keepdims=True) + 1e-6)

    def forward(x: Any) -> Any:
        y = k.Dense(2 * width, activation="relu", use_bias=False)(norm(x))
        return x + k.Dense(width, use_bias=False)(y)

    given, target = (library.Input((14,), dtype="int32", name=name) for name in ("inputs", "targets"))
    table = k.Embedding(400, width, name="shared")
    x, y = table(given), table(target)
    z = norm(x)
    encoded = norm(forward(x + k.MultiHeadAttention(2, width // 2, use_bias=False)(z, z)))
    z = norm(y)
    y = y + k.MultiHeadAttention(2, width // 2, use_bias=False)(z, z, use_causal_mask=True)
    y = forward(y + k.MultiHeadAttention(2, width // 2, use_bias=False)(norm(y), encoded))
    return library.Model([given, target], k.Dense(400, use_bias=False, name="lm_head")(norm(y)))


def fourier_words(library: Any, draw: random.Random) -> Any:
    """FNet by constant matrices: cosines and sines over words and channels in place of attention."""
    k, f = library.layers, functions(library)
    steps, width = 16, draw.choice((24, 32))
    turns = [2 * np.pi * np.outer(np.arange(n), np.arange(n)) / n for n in (steps, width)]
    words = library.Input((steps,), dtype="int32")
    x = k.Embedding(500, width)(words)
    for _ in range(2):
        rows = [f.transpose(x, (0, 2, 1)) @ wave(turns[0]).astype("float32") for wave in (np.cos, np.sin)]
        real, other = (f.transpose(one, (0, 2, 1)) for one in rows)
        y = real @ np.cos(turns[1]).astype("float32") - other @ np.sin(turns[1]).astype("float32")
        x = k.LayerNormalization()(x + y)
        x = k.LayerNormalization()(x + k.Dense(width)(k.Dense(64, activation="gelu")(x)))
    return library.Model(words, k.Dense(3, activation="softmax")(k.GlobalAveragePooling1D()(x)))


def linear_attention(library: Any, draw: random.Random) -> Any:
    """Attention without a softmax: ELU plus one of queries and keys, products in the cheap order."""
    k, f = library.layers, functions(library)
    words = library.Input((40,), dtype="int32")
    x = k.Embedding(500, 24)(words)
    for _ in range(draw.choice((1, 2))):
        y = k.LayerNormalization()(x)
        query, key = (k.Dense(24, activation="elu")(y) + 1.0 for _ in range(2))
        held = f.matmul(f.transpose(key, (0, 2, 1)), k.Dense(24)(y))
        total = f.sum(query * f.sum(key, axis=1, keepdims=True), axis=-1, keepdims=True)
        x = x + k.Dense(24)(f.matmul(query, held) / (total + 1e-6))
        x = x + k.Dense(24)(k.Dense(48, activation="relu")(k.LayerNormalization()(x)))
    return library.Model(words, k.Dense(2)(k.GlobalMaxPooling1D()(x)))


def matched_texts(library: Any, draw: random.Random) -> Any:
    """MatchPyramid: similarities of all pairs of words are a picture that is convolved."""
    k = library.layers
    query, page = library.Input((12,), dtype="int32"), library.Input((30,), dtype="int32")
    table = k.Embedding(800, draw.choice((16, 24)), name="embedding")
    x = k.Dot(axes=[2, 2], normalize=draw.random() < 0.5)([table(query), table(page)])
    x = k.Reshape((12, 30, 1))(x)
    x = k.Conv2D(8, (3, 3), padding="same", activation="relu")(x)
    x = k.MaxPooling2D((3, 3))(x)
    x = k.Dense(16, activation="relu")(k.Dropout(0.2)(k.Flatten()(x)))
    return library.Model([query, page], k.Dense(1, activation="sigmoid")(x))


def kernels_of_similarity(library: Any, draw: random.Random) -> Any:
    """K-NRM: similarities of words are counted softly by bells around several values."""
    k, f = library.layers, functions(library)
    query, page = library.Input((8,), dtype="int32"), library.Input((24,), dtype="int32")
    table = k.Embedding(900, 20)
    scores, counts = k.Dot(axes=-1, normalize=True)([table(query), table(page)]), []
    for number in range(draw.choice((5, 7))):
        bell = f.exp(f.square(scores - (number / 3.0 - 1.0)) / -0.02)
        counts.append(f.sum(f.log(f.sum(bell, axis=2) + 1.0), axis=1))
    return library.Model([query, page], k.Dense(1, activation="tanh")(f.stack(counts, axis=1)))


def aligned_sentences(library: Any, draw: random.Random) -> Any:
    """ESIM with convolutions: two sentences attend to each other; differences and products are compared."""
    k = library.layers
    one, two = (library.Input((16,), dtype="int32", name=name) for name in ("premise", "hypothesis"))
    table, conv = k.Embedding(700, 16), k.Conv1D(24, 3, padding="same", activation="relu")
    left, right = conv(table(one)), conv(table(two))
    scores = k.Dot(axes=-1)([left, right])
    to_right = k.Dot(axes=(2, 1))([k.Softmax(axis=2)(scores), right])
    to_left = k.Dot(axes=(1, 1))([k.Softmax(axis=1)(scores), left])
    compare, found = k.Conv1D(draw.choice((16, 24)), 1, activation="relu"), []
    for own, other in ((left, to_right), (right, to_left)):
        parts = [own, other, k.Subtract()([own, other]), k.Multiply()([own, other])]
        y = compare(k.Concatenate()(parts))
        found += [k.GlobalAveragePooling1D()(y), k.GlobalMaxPooling1D()(y)]
    x = k.Dense(24, activation="relu")(k.BatchNormalization()(k.Concatenate()(found)))
    return library.Model([one, two], k.Dense(3, activation="softmax")(x))


def text_lines(library: Any, draw: random.Random) -> Any:
    """Lines of text without recurrence: maps become steps, gated convolutions read them, classes for CTC."""
    k, f = library.layers, functions(library)
    line = library.Input((32, 128, 1), name="image")
    x = line
    for filters, pool in ((8, (2, 2)), (16, (2, 2)), (24, (2, 1)), (24, (4, 1))):
        x = k.LeakyReLU(0.01)(k.BatchNormalization()(k.Conv2D(filters, 3, padding="same")(x)))
        x = k.MaxPooling2D(pool_size=pool)(x)
    x = k.Reshape((32, 24))(x)
    for _ in range(draw.choice((1, 2))):
        x = k.Dropout(0.2)(x * f.sigmoid(k.Conv1D(24, 3, padding="same")(x)))
    return library.Model(line, k.Dense(64, activation="softmax", name="ctc")(x))


def captured_letters(library: Any, draw: random.Random) -> Any:
    """CRNN: maps of an image become steps of two layers in both directions."""
    k = library.layers
    image = library.Input((64, 24, 1), batch_size=1, name="image")
    x = k.MaxPooling2D((2, 2))(k.Conv2D(8, 3, padding="same", activation="relu", name="Conv1")(image))
    x = k.MaxPooling2D((4, 2))(k.Conv2D(12, 3, padding="same", activation="relu", name="Conv2")(x))
    x = k.Dense(16, activation="relu")(k.Reshape(target_shape=(8, 6 * 12))(x))
    x = k.Bidirectional(k.GRU(12, return_sequences=True))(x)
    x = k.Bidirectional(k.GRU(8, return_sequences=True), merge_mode=draw.choice(("sum", "concat")))(x)
    return library.Model(image, k.Dense(20, activation="softmax")(x))


def toxic_comments(library: Any, draw: random.Random) -> Any:
    """Comments by an LSTM in both directions, pooled by the mean and the maximum beside each other."""
    k = library.layers
    words = library.Input((24,), batch_size=1, dtype="int32")
    x = k.SpatialDropout1D(0.3)(k.Embedding(600, 16)(words))
    x = k.Bidirectional(k.LSTM(draw.choice((10, 12)), return_sequences=True))(x)
    both = k.concatenate([k.GlobalAveragePooling1D()(x), k.GlobalMaxPooling1D()(x)])
    both = k.add([both, k.Dense(both.shape[-1], activation="relu")(both)])
    return library.Model(words, k.Dense(6, activation="sigmoid")(both))


def letters_to_letters(library: Any, draw: random.Random) -> Any:
    """The example that translates letters: the state of one LSTM starts another."""
    k = library.layers
    given = library.Input((12, 20), batch_size=1)
    target = library.Input((10, 24), batch_size=1)
    units = draw.choice((12, 16))
    _, state_h, state_c = k.LSTM(units, return_state=True)(given)
    x, _, _ = k.LSTM(units, return_sequences=True, return_state=True)(
        target, initial_state=[state_h, state_c]
    )
    return library.Model([given, target], k.Dense(24, activation="softmax")(x))


FIFTH_TEXTS = {
    **kinds("attention", masked_encoder, answer_spans, encoder_and_decoder, linear_attention),
    **kinds("text", fourier_words, matched_texts, kernels_of_similarity, aligned_sentences, text_lines),
    **kinds("recurrent", captured_letters, toxic_comments, letters_to_letters),
}
"""The class of each kind of network, and what builds it."""
