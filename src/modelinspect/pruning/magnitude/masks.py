"""Compute masks from magnitudes, and apply them.

Masks are computed in numpy: every backend then gives the same mask, and a partition in numpy takes a small
part of the time of a sort in TensorFlow or JAX. They are applied with keras.ops, where the weights are.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from keras import ops

from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.magnitude.kernels import Kernel
from modelinspect.pruning.selection import LAYOUTS, Pattern

Array = Any
"""A numpy array."""
Tensor = Any
"""A tensor of the backend."""


def mask_of(kernel: Kernel, pattern: Pattern, sparsity: float) -> Tensor:
    """Return which elements of a kernel are kept: booleans of its shape, False for the smallest magnitudes.

    Exactly `zeros_wanted` elements (or blocks) are False; of equal magnitudes the first in memory are kept.
    N:M ignores ``sparsity``. Raises `PruningError` where the kernel holds NaN.
    """
    values = np.abs(
        ops.convert_to_numpy(ops.cast(ops.convert_to_tensor(kernel.variable), _wide(kernel.variable.dtype)))
    )
    if np.isnan(values).any():
        raise PruningError(
            f"{kernel.path} holds NaN, so its magnitudes have no order; has the training diverged?"
        )
    return ops.convert_to_tensor(keep_largest(values, kernel.inputs, pattern, sparsity), dtype="bool")


def keep_largest(values: Array, inputs: tuple[int, ...], pattern: Pattern, sparsity: float) -> Array:
    """Return the mask of an array of magnitudes; ``inputs`` are the axes that TFLite stores innermost."""
    if pattern.m_by_n or pattern.layout:
        order = (*(axis for axis in range(values.ndim) if axis not in inputs), *inputs)
        turned = values.transpose(order)
        matrix = turned.reshape(-1, prod(values.shape[axis] for axis in inputs))
        if pattern.m_by_n:
            mask = _groups(matrix, *pattern.m_by_n)
        else:
            mask = _blocks(matrix, (1, LAYOUTS[pattern.layout]), pattern.pooling, sparsity)
        return mask.reshape(turned.shape).transpose(np.argsort(order))
    if pattern.block_size != (1, 1):
        return _blocks(values, pattern.block_size, pattern.pooling, sparsity)
    return _largest(values, sparsity)


def zeros_wanted(count: int, sparsity: float) -> int:
    """Return how many of so many elements (or blocks) are pruned; one is always kept, as in tfmot."""
    return min(round(sparsity * count), max(0, count - 1))


def apply_mask(variable: Any, mask: Tensor) -> None:
    """Write +0.0 where the mask is False; what is kept keeps its bits."""
    value = ops.convert_to_tensor(variable)
    variable.assign(ops.where(mask, value, ops.zeros_like(value)))


def count_zeros(variable: Any) -> int:
    """Return the number of elements that are zero by value."""
    values = ops.convert_to_numpy(variable)
    return int(values.size - np.count_nonzero(values))


def _wide(dtype: str) -> str:
    return dtype if dtype in ("float32", "float64") else "float32"


def _largest(values: Array, sparsity: float) -> Array:
    flat = values.reshape(-1)
    kept = flat.size - zeros_wanted(flat.size, sparsity)
    if kept >= flat.size:
        return np.ones(values.shape, bool)
    smallest_kept = np.partition(flat, flat.size - kept)[flat.size - kept]
    mask = flat > smallest_kept
    ties = np.flatnonzero(flat == smallest_kept)
    mask[ties[: kept - int(mask.sum())]] = True
    return mask.reshape(values.shape)


def _blocks(matrix: Array, block: tuple[int, int], pooling: str, sparsity: float) -> Array:
    """Return True for the elements of the blocks whose average or maximum is largest; blocks at the border
    may be smaller.

    An average is that of rows first and columns then (tfmot's ``factorized_pool``), over the elements that
    exist.
    """
    kept = _largest(_pooled(_pooled(matrix, block[0], pooling).T, block[1], pooling).T, sparsity)
    whole = np.repeat(np.repeat(kept, block[0], axis=0), block[1], axis=1)
    return whole[: matrix.shape[0], : matrix.shape[1]]


def _pooled(matrix: Array, block: int, pooling: str) -> Array:
    """Pool runs of ``block`` rows."""
    if block == 1:
        return matrix
    starts = np.arange(0, matrix.shape[0], block)
    if pooling == "MAX":
        return np.maximum.reduceat(matrix, starts, axis=0)
    sizes = np.minimum(block, matrix.shape[0] - starts).astype(matrix.dtype)
    return np.add.reduceat(matrix, starts, axis=0) / sizes[:, None]


def _groups(matrix: Array, zeros: int, group: int) -> Array:
    """Return False for the ``zeros`` smallest of every ``group`` elements of a row; a shorter last group
    counts as filled with zeros.
    """
    height, width = matrix.shape
    count = -(-width // group)
    padded = np.zeros((height, count * group), matrix.dtype)
    padded[:, :width] = matrix
    order = np.argsort(-padded.reshape(height * count, group), axis=1, kind="stable")
    mask = np.zeros(order.shape, bool)
    np.put_along_axis(mask, order[:, : group - zeros], True, axis=1)
    return mask.reshape(height, count * group)[:, :width]
