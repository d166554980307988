"""Normalizations within a sample, and by constants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import Rule, UnknownLayerError, items, known
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import Array, fused
from modelinspect.conversion.operators import FLOAT32, L2_NORMALIZATION

LEAST = 1e-12
"""The smallest sum of squares that is divided by."""


def _last_axis(t: Trace) -> None:
    """Raise `UnknownLayerError` for a normalization of other axes than the last."""
    axis = items(t.call.settings.get("axis")) or [t.call.settings.get("axis", -1)]
    if axis not in ([-1], [len(t.given.shape) - 1]):
        raise UnknownLayerError("a normalization of another axis")


def _groups(t: Trace) -> Item:
    """Normalize groups of channels by their own mean and variance."""
    call, shape = t.call, known(t.given.shape)
    channels, groups = shape[-1], call.number("groups", 32)
    groups = channels if groups == -1 else groups
    _last_axis(t)
    if not t.is_keras3 or len(shape) < 3 or groups < 1 or channels % groups:
        raise UnknownLayerError("a normalization of other groups")
    inner, each = shape[1:-1], channels // groups
    x = t.reshape(t.given, (-1, *inner, groups, each), "Reshape")
    axes = [*range(1, len(inner) + 1), len(inner) + 2]
    wide = (*(1,) * (len(inner) + 1), groups, each)
    mean = t.reduce("Mean", x, axes, keep=True, name="moments/mean")
    negative = t.node("Neg", [mean], "Neg")
    squares = t.node("SquaredDifference", [x, mean], "moments/SquaredDifference")
    variance = t.reduce("Mean", squares, axes, keep=True, name="moments/variance")
    names = iter(("Reshape_1", "Reshape_2"))
    scales = []
    for key, flag in (("gamma", "scale"), ("beta", "center")):
        name = next(names) if call.flag(flag, default=True) else ""
        scales.append(t.reshape(t.read(call.need(key), name), wide, name) if name else None)
    gamma, beta = scales
    epsilon = t.constant(call.real("epsilon", 1e-3), "add/y", FLOAT32)
    factor = t.node("Rsqrt", [t.node("AddV2", [variance, epsilon], "add")], "Rsqrt")
    if gamma is not None:
        factor = t.node("Mul", [factor, gamma], "mul")
    moved = t.node("Mul", [negative, factor], "mul")
    if beta is not None:
        moved = t.node("AddV2", [moved, beta], "add")
    made = t.node("AddV2", [t.node("Mul", [x, factor], "mul"), moved], "add")
    told = t.node("Shape", [t.given], "Shape_1")
    parts = [
        t.constant([n], f"strided_slice_1/{part}")
        for n, part in ((0, "stack"), (1, "stack_1"), (1, "stack_2"))
    ]
    batch = t.node("StridedSlice", [told, *parts], "strided_slice_1", shrink_axis_mask=1)
    name = f"Reshape_{1 + sum(scale is not None for scale in scales)}"
    lengths = [t.constant(length, f"{name}/shape/{place}") for place, length in enumerate(shape[1:], 1)]
    target = t.node("Pack", [batch, *lengths], f"{name}/shape")
    return t.node("Reshape", [made, target], name, _shape=list(shape))


def _root_mean_square(t: Trace) -> Item:
    """Divide by the root of the mean of squares."""
    _last_axis(t)
    mean = t.reduce("Mean", t.node("Square", [t.given], "Square"), [-1], keep=True)
    epsilon = t.constant(t.call.real("epsilon", 1e-6), "add/y", FLOAT32)
    factor = t.node("Rsqrt", [t.node("AddV2", [mean, epsilon], "add")], "Rsqrt")
    scaled = t.node("Mul", [t.given, factor], "Mul")
    scale = t.read(t.call.need("scale"), "Mul_1")
    return t.node("Mul", [scaled, scale], "Mul")


def _unit(t: Trace) -> Item:
    """Divide by the root of the sum of squares."""
    _last_axis(t)
    return unit(t, t.given, -1, "", LEAST)


def unit(t: Trace, x: Item, axis: int, suffix: str, least: float) -> Item:
    """Divide a tensor by the root of the sum of its squares along the last axis.

    Of what Keras 2 writes the converter makes one operator.
    """
    if not t.is_keras3:
        name = f"l2_normalize{suffix}"
        parts = ("/Square", "/Sum/reduction_indices", "/Sum", "/Maximum/y", "/Maximum", "/Rsqrt")
        made = t.whole(L2_NORMALIZATION, x, (name, *(f"{name}{part}" for part in parts)))
        if least != LEAST:  # of two at once, which have their constants in common
            shared = (f"{name}{parts[1]}", f"{name}{parts[3]}")
            made.location = fused(tuple("" if one.endswith(shared) else one for one in made.location))
        return made
    square = t.node("Square", [x], "Square")
    total = t.reduce("Sum", square, axis, keep=True, name=f"Sum{suffix}")
    root = t.node("Rsqrt", [total], "Rsqrt")
    most = t.constant(np.float32(1 / np.sqrt(least)), f"Const{suffix}", FLOAT32)
    return t.node("Mul", [x, t.node("Minimum", [root, most], "Minimum")], "mul")


def _fixed(t: Trace) -> Item:
    """Subtract a mean and divide by a deviation that are known before."""
    shape = t.given.shape
    axis = t.call.settings.get("axis", -1)
    if axis not in (-1, len(shape) - 1, None) and axis not in ([-1], [len(shape) - 1]):
        raise UnknownLayerError("a normalization of another axis")
    if t.call.flag("invert", default=False):
        raise UnknownLayerError("the inverse of a normalization")
    mean, variance = (_statistic(t, name) for name in ("mean", "variance"))
    wide = (*(1,) * (len(shape) - 1), mean.size)
    names = ("Const", "Const_1") if t.is_keras3 else ("Const_1", "Const")
    first, second = (
        t.constant(array.reshape(wide), name, FLOAT32, inside=False)
        for array, name in zip((mean, variance), names, strict=True)
    )
    least = t.constant(1e-7, t.pick("Maximum/y", "Const"), FLOAT32)
    deviation = t.node("Maximum", [t.node("Sqrt", [second], "Sqrt"), least], "Maximum")
    moved = t.node("Sub", [t.given, first], t.pick("sub", "Sub"))
    return t.node("RealDiv", [moved, deviation], "truediv")


def _statistic(t: Trace, name: str) -> Array:
    """Return a mean or a variance: of the settings, or the variable that adapting left."""
    setting = t.call.settings.get(name)
    many = setting if isinstance(setting, int | float) else items(setting)
    if many is None:
        found = t.call.parameter(name)
        if found is None or found.values is None:
            raise UnknownLayerError(f"no {name}")
        return found.values
    while isinstance(many, list) and len(many) == 1 and isinstance(many[0], list):
        many = many[0]
    return np.asarray(many, np.float32).reshape(-1)


def _scaled(t: Trace) -> Item:
    """Multiply and add numbers, also another one for each channel."""
    made: Item = t.given
    for key, name, op in (("scale", "Cast/x", "Mul"), ("offset", "Cast_1/x", "AddV2")):
        value = t.call.settings.get(key, 0.0)
        numbers = items(value) if isinstance(value, list | tuple | Mapping) else value
        if not isinstance(numbers, int | float | list):
            raise UnknownLayerError("a rescaling of another kind")
        constant: Held = t.constant(np.asarray(numbers, np.float32), name, FLOAT32)
        made = t.node(op, [made, constant], "mul" if op == "Mul" else "add")
    return made


TRACED_NORMALIZATIONS: Mapping[str, Rule] = {
    "GroupNormalization": traced(_groups),
    "Normalization": traced(_fixed),
    "RMSNormalization": traced(_root_mean_square),
    "UnitNormalization": traced(_unit),
}
"""The rules of normalizations that are written as nodes."""
rescaled = traced(_scaled)
"""The rule of a rescaling of each channel."""
