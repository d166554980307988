"""Further small networks around layers and functions that other people's models use.

`layer_networks.py` converts and records them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Layers = Callable[[Any], Any]
"""What makes a layer, given the library's ``layers``."""


def chain(shape: tuple[int, ...], *makers: Layers, batch: int | None = None) -> Layers:
    """Return what builds a model of layers one after the other."""

    def build(library: Any) -> Any:
        given = library.layers.Input(shape, batch)
        x = given
        for maker in makers:
            x = maker(library.layers)(x)
        return library.Model(given, x)

    return build


def in_order(shape: tuple[int, ...], *makers: Layers) -> Layers:
    """Return what builds a `Sequential` model of one sample."""

    def build(library: Any) -> Any:
        layers = [maker(library.layers) for maker in makers]
        return library.Sequential([library.layers.Input(shape, 1), *layers])

    return build


def wired(shapes: tuple[tuple[int, ...], ...], wire: Callable[..., Any]) -> Layers:
    """Return what builds a model of several inputs, or whose layers take more than one."""

    def build(library: Any) -> Any:
        given = [library.layers.Input(shape) for shape in shapes]
        return library.Model(given if len(given) > 1 else given[0], wire(library.layers, *given))

    return build


_IMAGE, _SIGNAL, _WORDS = (12, 12, 4), (20, 6), (9,)
_UP: tuple[Layers, ...] = (
    lambda k: k.Conv2D(4, 3, padding="same", activation="relu"),
    lambda k: k.UpSampling2D(),
)


def _last(k: Any) -> Any:
    return k.Conv2D(2, 1)


def _masked(width: int = 8) -> Layers:
    return lambda k: k.Embedding(50, width, mask_zero=True)


def _unet(k: Any, a: Any) -> Any:
    """An encoder and a decoder that repeats pixels, with connections between them."""
    first = k.Conv2D(4, 3, padding="same", activation="relu")(a)
    second = k.Conv2D(6, 3, padding="same", activation="relu")(k.MaxPooling2D()(first))
    x = k.Conv2D(8, 3, padding="same", activation="relu")(k.MaxPooling2D()(second))
    for skip, filters in ((second, 6), (first, 4)):
        x = k.Conv2D(filters, 2, padding="same", activation="relu")(k.UpSampling2D()(x))
        x = k.Conv2D(filters, 3, padding="same", activation="relu")(k.Concatenate()([skip, x]))
    return k.Conv2D(1, 1, activation="sigmoid")(x)


def _excited(k: Any, a: Any) -> Any:
    """Channels that are weighed, after pixels were repeated."""
    x = k.Conv2D(4, 3, padding="same")(k.UpSampling2D()(k.Conv2D(4, 3, padding="same")(a)))
    gate = k.Dense(4, activation="sigmoid")(k.Dense(2, activation="relu")(k.GlobalAveragePooling2D()(x)))
    return k.Conv2D(2, 1)(k.Multiply()([x, k.Reshape((1, 1, 4))(gate)]))


def _skip_up(k: Any, a: Any) -> Any:
    x = k.Conv2D(4, 3, padding="same", activation="relu")(a)
    return _last(k)(k.Add()([k.UpSampling2D()(k.MaxPooling2D()(x)), x]))


def _twin(library: Any) -> Any:
    """Two texts through one model."""
    layers = library.layers
    given = layers.Input(_WORDS)
    inner = library.Model(given, layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(given)))
    first, second = layers.Input(_WORDS), layers.Input(_WORDS)
    x = layers.Concatenate()([inner(first), inner(second)])
    return library.Model([first, second], layers.Dense(1, activation="sigmoid")(x))


def _of_tensors(shape: tuple[int, ...], keras2: Callable[..., Any], keras3: Callable[..., Any]) -> Layers:
    """Return what builds a model with functions of tensors between two dense layers."""

    def build(library: Any) -> Any:
        layers = library.layers
        given = layers.Input(shape)
        x = layers.Dense(8)(given)
        if library.__name__ == "keras":
            x = keras3(library.ops, x, given)
        else:
            import tensorflow as tf

            x = keras2(tf, x, given)
        return library.Model(given, layers.Dense(2)(x))

    return build


def _both(shape: tuple[int, ...], function: Callable[..., Any]) -> Layers:
    """Return what builds a model with functions that TensorFlow and `keras.ops` name alike."""
    return _of_tensors(shape, function, function)


def _scaled_input(library: Any) -> Any:
    """An image that functions scale before a convolution."""
    given = library.layers.Input((12, 12, 3))
    x = library.layers.Conv2D(4, 3, activation="relu")(given / 127.5 - 1.0)
    return library.Model(given, library.layers.Dense(2)(library.layers.GlobalAveragePooling2D()(x)))


MORE: dict[str, Layers] = {
    "tensors-of-input": _scaled_input,
    "tensors-scale-twice": _both((10,), lambda f, x, a: x / 127.5 - 1.0),
    "up-pool": chain(_IMAGE, *_UP, lambda k: k.MaxPooling2D(), _last),
    "up-average-pool": chain(_IMAGE, *_UP, lambda k: k.AveragePooling2D(), _last),
    "up-flatten": chain(
        _IMAGE, *_UP, lambda k: k.Conv2D(2, 3, strides=2), lambda k: k.Flatten(), lambda k: k.Dense(2)
    ),
    "up-average": chain(_IMAGE, *_UP, lambda k: k.GlobalAveragePooling2D(), lambda k: k.Dense(2)),
    "up-maximum": chain(_IMAGE, *_UP, lambda k: k.GlobalMaxPooling2D(), lambda k: k.Dense(2)),
    "up-twice": chain(_IMAGE, *_UP, *_UP, _last),
    "up-depthwise": chain(
        _IMAGE, *_UP, lambda k: k.DepthwiseConv2D(3, padding="same", activation="relu"), _last
    ),
    "up-separable": chain(_IMAGE, *_UP, lambda k: k.SeparableConv2D(4, 3, padding="same"), _last),
    "up-padded": chain(_IMAGE, *_UP, lambda k: k.ZeroPadding2D(), lambda k: k.Conv2D(2, 3)),
    "up-cropped": chain(_IMAGE, *_UP, lambda k: k.Cropping2D(2), lambda k: k.Conv2D(2, 3)),
    "up-transposed": chain(_IMAGE, *_UP, lambda k: k.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "up-bilinear": chain(_IMAGE, *_UP, lambda k: k.UpSampling2D(interpolation="bilinear"), _last),
    "up-normalized": chain(
        _IMAGE,
        *_UP,
        lambda k: k.Conv2D(4, 3, padding="same", use_bias=False),
        lambda k: k.BatchNormalization(),
        lambda k: k.ReLU(),
        _last,
    ),
    "up-prelu": chain(_IMAGE, *_UP, lambda k: k.Conv2D(4, 3), lambda k: k.PReLU(shared_axes=[1, 2]), _last),
    "up-reshape": chain(
        _IMAGE, *_UP, lambda k: k.Conv2D(2, 1), lambda k: k.Reshape((576, 2)), lambda k: k.Softmax()
    ),
    "up-unet": wired((_IMAGE,), _unet),
    "up-excited": wired((_IMAGE,), _excited),
    "up-skip": wired((_IMAGE,), _skip_up),
    "up-sequence": chain(
        _SIGNAL,
        lambda k: k.Conv1D(4, 3, padding="same"),
        lambda k: k.UpSampling1D(),
        lambda k: k.Conv1D(3, 3),
    ),
    "up-sequence-twice": chain(
        _SIGNAL,
        lambda k: k.Conv1D(4, 3, padding="same"),
        lambda k: k.UpSampling1D(),
        lambda k: k.Conv1D(4, 3, padding="same"),
        lambda k: k.UpSampling1D(3),
        lambda k: k.Conv1D(3, 3),
    ),
    "up-volume": chain(
        (2, 4, 4, 2),
        lambda k: k.Conv3D(3, 2, padding="same"),
        lambda k: k.UpSampling3D(),
        lambda k: k.Conv3D(2, 2),
    ),
    "dot-rows": wired(
        ((5,), (5,)), lambda k, a, b: k.Dot(1)([k.Dense(3)(a), k.Reshape((3, 4))(k.Dense(12)(b))])
    ),
    "dot-first": wired(((8, 6), (8, 5)), lambda k, a, b: k.Dot(1)([k.Dense(6)(a), b])),
    "dot-mixed": wired(((8, 6), (6, 5)), lambda k, a, b: k.Dot((2, 1))([k.Dense(6)(a), b])),
    "dot-weights": wired(((8, 6),), lambda k, a: k.Dot(1)([k.Softmax(axis=1)(k.Dense(1)(a)), a])),
    "repeated-lstm": chain(
        _SIGNAL,
        lambda k: k.LSTM(6),
        lambda k: k.RepeatVector(20),
        lambda k: k.LSTM(6, return_sequences=True),
        lambda k: k.TimeDistributed(k.Dense(6)),
    ),
    "repeated-gru": chain(
        _SIGNAL,
        lambda k: k.GRU(6),
        lambda k: k.RepeatVector(20),
        lambda k: k.GRU(6, return_sequences=True),
        lambda k: k.Dense(6),
    ),
    "repeated-dense": chain(
        (10,), lambda k: k.Dense(6), lambda k: k.RepeatVector(5), lambda k: k.Conv1D(3, 2)
    ),
    "twin-texts": _twin,
    "groups-sequence": chain(
        _SIGNAL, lambda k: k.Conv1D(8, 3), lambda k: k.GroupNormalization(2), lambda k: k.ReLU()
    ),
    "groups-instance": chain(
        _IMAGE, lambda k: k.Conv2D(8, 3), lambda k: k.GroupNormalization(-1), lambda k: k.Conv2D(2, 1)
    ),
    "groups-plain": chain(
        _IMAGE,
        lambda k: k.Conv2D(8, 3),
        lambda k: k.GroupNormalization(2, scale=False, center=False),
        lambda k: k.Conv2D(2, 1),
    ),
    "groups-twice": chain(
        _IMAGE,
        lambda k: k.Conv2D(8, 3),
        lambda k: k.GroupNormalization(4),
        lambda k: k.ReLU(),
        lambda k: k.Conv2D(8, 3),
        lambda k: k.GroupNormalization(4),
        lambda k: k.ReLU(),
        _last,
    ),
    "masked-gru": chain(_WORDS, _masked(), lambda k: k.GRU(5), lambda k: k.Dense(3)),
    "masked-stacked": chain(
        _WORDS,
        _masked(),
        lambda k: k.LSTM(5, return_sequences=True),
        lambda k: k.LSTM(4),
        lambda k: k.Dense(3),
    ),
    "masks-lstm": chain(
        _WORDS, _masked(), lambda k: k.LSTM(5, return_sequences=True), lambda k: k.LSTM(4), batch=1
    ),
    "masks-mean": in_order(_WORDS, _masked(), lambda k: k.GlobalAveragePooling1D(), lambda k: k.Dense(3)),
    "masks-lstm-chain": in_order(_WORDS, _masked(), lambda k: k.LSTM(5), lambda k: k.Dense(3)),
    "masks-gru-chain": in_order(
        _WORDS,
        _masked(),
        lambda k: k.Dropout(0.2),
        lambda k: k.GRU(5, return_sequences=True),
        lambda k: k.GRU(4),
    ),
    "masks-both-ways": in_order(
        _WORDS,
        _masked(),
        lambda k: k.Bidirectional(k.LSTM(5, return_sequences=True)),
        lambda k: k.Bidirectional(k.GRU(4)),
        lambda k: k.Dense(3),
    ),
    "masks-steps-lstm": in_order(
        _SIGNAL, lambda k: k.Masking(), lambda k: k.LSTM(5), lambda k: k.Dense(3, activation="softmax")
    ),
    "masks-steps-rnn": chain(
        _SIGNAL, lambda k: k.Masking(-1.0), lambda k: k.SimpleRNN(5), lambda k: k.Dense(3), batch=1
    ),
    "masks-steps-gru": in_order(_SIGNAL, lambda k: k.Masking(), lambda k: k.GRU(5), lambda k: k.Dense(3)),
    "masked-both-ways": chain(_WORDS, _masked(), lambda k: k.Bidirectional(k.LSTM(5)), lambda k: k.Dense(3)),
    "masked-convolution": chain(
        _WORDS, _masked(), lambda k: k.Conv1D(5, 3), lambda k: k.GlobalMaxPooling1D(), lambda k: k.Dense(3)
    ),
    "masked-tagger": chain(
        _WORDS,
        _masked(),
        lambda k: k.Bidirectional(k.LSTM(5, return_sequences=True)),
        lambda k: k.TimeDistributed(k.Dense(3, activation="softmax")),
    ),
    "masked-dropout": chain(
        _WORDS,
        _masked(),
        lambda k: k.SpatialDropout1D(0.2),
        lambda k: k.GlobalAveragePooling1D(),
        lambda k: k.Dense(3),
    ),
    "glu-sequence": chain(_SIGNAL, lambda k: k.Conv1D(8, 3, activation="glu"), lambda k: k.Dense(4)),
    "query-groups": wired(((8, 6),), lambda k, a: k.GroupQueryAttention(4, 4, 2, use_bias=False)(a, a)),
    "locally-connected2d": chain(
        (6, 6, 2), lambda k: k.LocallyConnected2D(3, 3), lambda k: k.Flatten(), lambda k: k.Dense(2)
    ),
    "tensors-scale": _both((10,), lambda f, x, a: (x / 127.5 - 1.0) * 0.5),
    "tensors-gate": _of_tensors((10,), lambda f, x, a: x * f.nn.sigmoid(x), lambda f, x, a: x * f.sigmoid(x)),
    "tensors-one-minus": _both((10,), lambda f, x, a: 1.0 - x),
    "tensors-negative": _both((10,), lambda f, x, a: -x),
    "tensors-abs": _both((10,), lambda f, x, a: f.abs(x)),
    "tensors-power": _both((10,), lambda f, x, a: x**2),
    "tensors-first": _both(_SIGNAL, lambda f, x, a: x[:, 0]),
    "tensors-last": _both(_SIGNAL, lambda f, x, a: x[:, -1, :]),
    "tensors-part": _both(_SIGNAL, lambda f, x, a: x[:, 2:10, :]),
    "tensors-channels": _both(_SIGNAL, lambda f, x, a: x[..., :4]),
    "tensors-mean": _of_tensors(
        _SIGNAL, lambda f, x, a: f.reduce_mean(x, axis=1), lambda f, x, a: f.mean(x, axis=1)
    ),
    "tensors-sum": _of_tensors(
        _SIGNAL,
        lambda f, x, a: f.reduce_sum(x, axis=-1, keepdims=True),
        lambda f, x, a: f.sum(x, axis=-1, keepdims=True),
    ),
    "tensors-max": _of_tensors(
        _SIGNAL, lambda f, x, a: f.reduce_max(x, axis=1), lambda f, x, a: f.max(x, axis=1)
    ),
    "tensors-relu": _of_tensors((10,), lambda f, x, a: f.nn.relu(x), lambda f, x, a: f.relu(x)),
    "tensors-relu6": _of_tensors(
        (10,), lambda f, x, a: x * f.nn.relu6(x + 3.0) / 6.0, lambda f, x, a: x * f.relu6(x + 3.0) / 6.0
    ),
    "tensors-softmax": _of_tensors((10,), lambda f, x, a: f.nn.softmax(x), lambda f, x, a: f.softmax(x)),
    "tensors-tanh": _both((10,), lambda f, x, a: f.tanh(x)),
    "tensors-exp": _both((10,), lambda f, x, a: f.exp(x)),
    "tensors-concat": _of_tensors(
        _SIGNAL, lambda f, x, a: f.concat([x, a], -1), lambda f, x, a: f.concatenate([x, a], -1)
    ),
    "tensors-stack": _both((10,), lambda f, x, a: f.stack([x, x * 2.0], axis=1)),
    "tensors-expand": _both((10,), lambda f, x, a: f.expand_dims(x, 1)),
    "tensors-squeeze": _both((1, 10), lambda f, x, a: f.squeeze(x, 1)),
    "tensors-reshape": _both(_SIGNAL, lambda f, x, a: f.reshape(x, (-1, 160))),
    "tensors-transpose": _of_tensors(
        _SIGNAL, lambda f, x, a: f.transpose(x, [0, 2, 1]), lambda f, x, a: f.transpose(x, (0, 2, 1))
    ),
    "tensors-matmul": _of_tensors(
        _SIGNAL,
        lambda f, x, a: f.matmul(x, a, transpose_b=False, transpose_a=True),
        lambda f, x, a: f.matmul(f.transpose(x, (0, 2, 1)), a),
    ),
    "tensors-maximum": _of_tensors(
        (10,), lambda f, x, a: f.maximum(x, x * 0.1), lambda f, x, a: f.maximum(x, x * 0.1)
    ),
    "tensors-clip": _of_tensors(
        (10,), lambda f, x, a: f.clip_by_value(x, 0.0, 1.0), lambda f, x, a: f.clip(x, 0.0, 1.0)
    ),
    "tensors-norm": _of_tensors(
        (10,), lambda f, x, a: f.nn.l2_normalize(x, axis=-1), lambda f, x, a: f.normalize(x, axis=-1)
    ),
    "tensors-add": _of_tensors((8,), lambda f, x, a: f.add(x, a), lambda f, x, a: f.add(x, a)),
    "tensors-multiply": _of_tensors((8,), lambda f, x, a: f.multiply(x, a), lambda f, x, a: f.multiply(x, a)),
    "tensors-gelu": _of_tensors((10,), lambda f, x, a: f.nn.gelu(x), lambda f, x, a: f.gelu(x)),
    "tensors-silu": _of_tensors((10,), lambda f, x, a: f.nn.silu(x), lambda f, x, a: f.silu(x)),
    "tensors-pad": _both(_SIGNAL, lambda f, x, a: f.pad(x, [[0, 0], [2, 0], [0, 0]])),
}
"""The networks by name."""
