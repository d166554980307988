"""Functions that the fourth set and later ones call between layers, in both versions of Keras."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def is_three(library: Any) -> bool:
    """Return whether a library is Keras 3."""
    return hasattr(library, "ops")


def functions(library: Any) -> Any:
    """Return `keras.ops`, or the functions of TensorFlow with the same names and arguments."""
    if is_three(library):
        return library.ops
    import tensorflow as tf

    return SimpleNamespace(
        abs=tf.abs,
        add=tf.add,
        clip=tf.clip_by_value,
        concatenate=lambda many, axis=-1: tf.concat(many, axis),
        cos=tf.cos,
        divide=tf.divide,
        einsum=tf.einsum,
        exp=tf.exp,
        expand_dims=lambda x, axis: tf.expand_dims(x, axis),
        log=tf.math.log,
        matmul=tf.matmul,
        max=lambda x, axis=None, keepdims=False: tf.reduce_max(x, axis, keepdims),
        maximum=tf.maximum,
        mean=lambda x, axis=None, keepdims=False: tf.reduce_mean(x, axis, keepdims),
        min=lambda x, axis=None, keepdims=False: tf.reduce_min(x, axis, keepdims),
        minimum=tf.minimum,
        multiply=tf.multiply,
        pad=lambda x, widths, mode="constant": tf.pad(x, widths, mode.upper()),
        relu=tf.nn.relu,
        relu6=tf.nn.relu6,
        reshape=tf.reshape,
        rsqrt=tf.math.rsqrt,
        sigmoid=tf.sigmoid,
        silu=tf.nn.silu,
        sin=tf.sin,
        softmax=lambda x, axis=-1: tf.nn.softmax(x, axis),
        softplus=tf.nn.softplus,
        split=tf.split,
        sqrt=tf.sqrt,
        square=tf.square,
        squeeze=lambda x, axis=None: tf.squeeze(x, axis),
        stack=lambda many, axis=0: tf.stack(many, axis),
        subtract=tf.subtract,
        sum=lambda x, axis=None, keepdims=False: tf.reduce_sum(x, axis, keepdims),
        swapaxes=None,
        tanh=tf.tanh,
        transpose=lambda x, axes=None: tf.transpose(x, axes),
        where=tf.where,
    )
