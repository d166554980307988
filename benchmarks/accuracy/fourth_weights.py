"""Weights of the fourth set and of later ones: as after a few steps of training, drawn, or as initialized.
Half of the networks are pruned.

What a layer initializes with zeros, such as the factors of the last normalization in a residual branch, stays
zero in some networks.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.plan_networks import pruned
from benchmarks.accuracy.unseen_networks import Network

SPARSITIES = (0.5, 0.8, 0.9)
"""Which part of the weights of a pruned network is zero."""
WAYS = ("trained", "drawn", "trained", "drawn", "drawn", "trained", "initialized")
"""How networks get their weights, in turns."""
KERNELS = ("kernel", "pointwise_kernel", "recurrent_kernel", "embeddings", "w", "table")
"""Names of variables that are pruned. As with the pruning toolkit of TensorFlow, kernels of depthwise
convolutions and vectors are not.
"""


def turn_of(network: Network) -> int:
    """Return a number that decides how a network's weights are made, the same in every run."""
    return zlib.crc32(network.name.encode())


def is_pruned(network: Network) -> bool:
    """Return whether a network has pruned weights."""
    return turn_of(network) % 2 == 0


def sparsity_of(network: Network) -> float:
    """Return which part of a pruned kernel is zero."""
    return SPARSITIES[turn_of(network) // 2 % len(SPARSITIES)] if is_pruned(network) else 0.0


def pattern_of(network: Network) -> str:
    """Return how zeros are placed: a third of the pruned networks has blocks of four inputs."""
    return ("unstructured", "4x1", "unstructured")[turn_of(network) // 6 % 3]


def assign(model: Any, network: Network) -> None:
    """Give a model or a module its weights."""
    turn = turn_of(network)
    draw = np.random.default_rng(turn)
    way = WAYS[turn // 18 % len(WAYS)]
    variables = list(model.weights if hasattr(model, "weights") else model.variables)
    if way == "trained" and getattr(model, "inputs", None):
        _train(model, draw)
    for variable in variables:
        values = np.asarray(variable.numpy())
        if values.dtype.kind != "f" or not values.size:
            continue
        if way == "drawn":
            values = _drawn(_role(variable), values, draw, keeps_zeros=turn % 5 < 2)
        if _role(variable) in KERNELS and values.ndim >= 2 and is_pruned(network):
            values = _pruned(values, network)
        variable.assign(values.astype(np.float32))


def _role(variable: Any) -> str:
    """Return the last part of a variable's name, such as ``kernel``."""
    name = getattr(variable, "path", None) or variable.name
    return str(name).split(":")[0].split("/")[-1]


def _drawn(role: str, values: NDArray[Any], draw: np.random.Generator, keeps_zeros: bool) -> NDArray[Any]:
    """Return values of the size that training gives: a kernel keeps the scale of its initializer."""
    noise = draw.standard_normal(values.shape)
    if role == "moving_variance":
        return np.abs(noise) * 0.4 + 0.3
    if values.ndim >= 2 and values.std() > 0:
        return noise * values.std()
    if keeps_zeros and role == "gamma" and not values.any():
        return values
    return values + noise * 0.08


def _pruned(values: NDArray[Any], network: Network) -> NDArray[Any]:
    pattern = pattern_of(network)
    if values.ndim in (2, 4):
        in_blocks = values.ndim == 2 and values.shape[0] % 4 == 0
        return pruned(values, sparsity_of(network), pattern if in_blocks else "unstructured")
    flat = values.reshape(-1, values.shape[-1])
    return pruned(flat, sparsity_of(network), "unstructured").reshape(values.shape)


def _train(model: Any, draw: np.random.Generator) -> None:
    """Take two steps of gradient descent on random data, which also moves statistics of normalizations."""
    import tensorflow as tf

    variables = [
        variable.value if hasattr(variable, "path") else variable for variable in model.trainable_variables
    ]
    for _ in range(2):
        inputs = [_sample(tensor, draw) for tensor in model.inputs]
        with tf.GradientTape() as tape:
            results = tf.nest.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=True))
            loss = tf.add_n(
                [
                    tf.reduce_mean(tf.square(result - draw.uniform(0, 1, result.shape).astype(np.float32)))
                    for result in results
                ]
            )
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            if gradient is None:
                continue
            step = tf.convert_to_tensor(gradient)
            length = float(tf.norm(step))
            if np.isfinite(length):
                variable.assign_sub(step * (0.1 / max(length, 1.0)))


def _sample(tensor: Any, draw: np.random.Generator) -> NDArray[Any]:
    """Return two examples for an input; axes of unknown length get 32."""
    import tensorflow as tf

    shape = [2, *(32 if length is None else length for length in tensor.shape[1:])]
    if tensor.shape[0] is not None:
        shape[0] = tensor.shape[0]
    dtype = tf.as_dtype(tensor.dtype)
    if dtype.is_integer:
        return draw.integers(0, 9, shape).astype(dtype.as_numpy_dtype)
    return draw.standard_normal(shape).astype(np.float32)
