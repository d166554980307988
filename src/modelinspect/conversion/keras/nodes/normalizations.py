"""Normalizations within a sample, and by constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import Rule, Shape, UnknownLayerError, items, known
from modelinspect.conversion.keras.nodes.groups import weighed_groups
from modelinspect.conversion.keras.nodes.trace import TYPES, Trace, traced
from modelinspect.conversion.network import Array
from modelinspect.conversion.operators import (
    ADD,
    CONV,
    DEPTHWISE,
    FLOAT32,
    FULLY_CONNECTED,
    TRANSPOSE_CONV,
)

_LEAST_FUSED = 1.001e-5
"""The smallest epsilon with which Keras 2 takes the operator for the normalization of a batch
(layer_normalization.py).
"""
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
    if len(shape) < 3 or groups < 1 or channels % groups:
        raise UnknownLayerError("a normalization of other groups")
    if not t.is_keras3:
        return weighed_groups(t, groups)
    inner, each = shape[1:-1], channels // groups
    x = t.reshape(t.given, (-1, *inner, groups, each), "Reshape")
    axes = [*range(1, len(inner) + 1), len(inner) + 2]
    wide = (*(1,) * (len(inner) + 1), groups, each)
    made = _standardized(t, x, axes, wide, ("Reshape_1", "Reshape_2"))
    told = t.node("Shape", [t.given], "Shape_1")
    batch = t.slice(told, [0], [1], "strided_slice_1", shrink_axis_mask=1)
    name = f"Reshape_{1 + sum(t.call.flag(flag, default=True) for flag in ('scale', 'center'))}"
    lengths = [t.constant(length, f"{name}/shape/{place}") for place, length in enumerate(shape[1:], 1)]
    target = t.node("Pack", [batch, *lengths], f"{name}/shape")
    return t.node("Reshape", [made, target], name, _shape=list(shape))


def _moments(t: Trace, x: Item, axes: Sequence[int]) -> tuple[Item, Item, Item]:
    """Return the mean along axes, what Keras 3 subtracts it with, and the variance."""
    mean = t.reduce("Mean", x, axes, keep=True, name="moments/mean")
    negative = t.node("Neg", [mean], "Neg") if t.is_keras3 else mean
    squares = t.node("SquaredDifference", [x, mean], "moments/SquaredDifference")
    return mean, negative, t.reduce("Mean", squares, axes, keep=True, name="moments/variance")


def _standardized(t: Trace, x: Item, axes: Sequence[int], wide: Shape, names: Sequence[str]) -> Item:
    """Normalize by the mean and variance along axes, scale and move, as Keras 3 does."""
    _, negative, variance = _moments(t, x, axes)
    scales = iter(names)
    gamma, beta = (
        t.reshape(t.read(t.call.need(key), name), wide, name) if name else None
        for key, flag in (("gamma", "scale"), ("beta", "center"))
        for name in (next(scales) if t.call.flag(flag, default=True) else "",)
    )
    epsilon = t.constant(t.call.real("epsilon", 1e-3), "add/y", FLOAT32)
    factor = t.node("Rsqrt", [t.node("AddV2", [variance, epsilon], "add")], "Rsqrt")
    if gamma is not None:
        factor = t.node("Mul", [factor, gamma], "mul")
    moved = t.node("Mul", [negative, factor], "mul")
    if beta is not None:
        moved = t.node("AddV2", [moved, beta], "add")
    return t.node("AddV2", [t.node("Mul", [x, factor], "mul"), moved], "add")


def _sample(t: Trace) -> Item:
    """Normalize the last axis by its own mean and variance."""
    shape, epsilon = known(t.given.shape), t.call.real("epsilon", 1e-3)
    _last_axis(t)
    if len(shape) not in (2, 3, 4):
        raise UnknownLayerError("of another rank")
    wide = (*(1,) * (len(shape) - 1), shape[-1])
    if t.is_keras3:
        return _standardized(t, t.given, [-1], wide, ("Reshape", "Reshape_1"))
    if epsilon >= _LEAST_FUSED:
        return _as_batch(t, shape, epsilon)
    if not (t.call.flag("scale", default=True) and t.call.flag("center", default=True)):
        raise UnknownLayerError("without scale or center")
    mean, _, variance = _moments(t, t.given, [len(shape) - 1])
    return _scaled_by(t, mean, variance, epsilon)


def _scaled_by(t: Trace, mean: Item, variance: Item, epsilon: float, wide: Shape | None = None) -> Item:
    """Normalize, scale and move, as tf.nn.batch_normalization does; ``wide`` is the shape that Keras 3 gives
    all numbers where the layer names the axis.
    """
    gamma: Item | None
    beta: Item | None
    gamma, beta = (
        t.read(t.call.need(key), f"batchnorm/{name}".rstrip("/")) if t.call.flag(flag, default=True) else None
        for key, flag, name in (("gamma", "scale", "mul"), ("beta", "center", ""))
    )
    if wide is not None:
        mean, variance = t.reshape(mean, wide, "Reshape"), t.reshape(variance, wide, "Reshape_1")
        beta = beta if beta is None else t.reshape(beta, wide, "Reshape_2")
        gamma = gamma if gamma is None else t.reshape(gamma, wide, f"Reshape_{2 if beta is None else 3}")
    if gamma is None or beta is None:  # of these networks there were not enough
        t.lowering.operations.add("")
    least = t.constant(epsilon, "batchnorm/add/y", FLOAT32)
    factor = t.node("Rsqrt", [t.node("AddV2", [variance, least], "batchnorm/add")], "batchnorm/Rsqrt")
    if gamma is not None:
        factor = t.node("Mul", [factor, gamma], "batchnorm/mul")
    scaled = t.node("Mul", [t.given, factor], "batchnorm/mul_1")
    if beta is None and t.is_keras3:
        beta = Held(mean.shape, FLOAT32, t.call.at("zeros_like"), None, np.zeros(mean.shape, np.float32))
    if beta is not None:
        rest = t.node("Sub", [beta, t.node("Mul", [mean, factor], "batchnorm/mul_2")], "batchnorm/sub")
    else:
        rest = t.node("Mul", [t.node("Neg", [mean], "batchnorm/Neg"), factor], "batchnorm/mul_2")
    return t.node("AddV2", [scaled, rest], "batchnorm/add_1")


def _as_batch(t: Trace, shape: Shape, epsilon: float) -> Item:
    """Normalize as the normalization of a batch of one, whose channels are the samples; its factors are
    filled again at each run.
    """
    rank, channels = len(shape), shape[-1]
    told = t.node("Shape", [t.given], "Shape")
    front = t.slice(told, [0], [rank - 1], "strided_slice", begin_mask=1)
    count = t.node("Prod", [front, t.constant([0], "Const")], "Prod")
    last = t.slice(told, [rank - 1], [0], "strided_slice_1", end_mask=1)
    length = t.node("Prod", [last, t.constant([0], "Const_1")], "Prod_1")
    ends = [t.constant(1, f"Reshape/shape/{place}") for place in (0, 3)]
    target = t.node("Pack", [ends[0], count, length, ends[1]], "Reshape/shape")
    image = t.node("Reshape", [t.given, target], "Reshape", _shape=[1, -1, channels, 1])
    ones, zeros = (
        t.node(
            "Fill",
            [t.node("Pack", [count], f"{name}/packed"), t.constant(number, f"{name}/Const", FLOAT32)],
            name,
            _shape=[-1],
        )
        for number, name in ((1.0, "ones"), (0.0, "zeros"))
    )
    empty = [t.constant(np.zeros(0), f"Const_{place}", FLOAT32) for place in (2, 3)]
    made = t.node("FusedBatchNormV3", [image, ones, zeros, *empty], "FusedBatchNormV3", epsilon=epsilon)
    output = t.node("Reshape", [made, told], "Reshape_1", _shape=list(shape))
    for key, flag, op, name in (("gamma", "scale", "Mul", "mul"), ("beta", "center", "AddV2", "add")):
        if t.call.flag(flag, default=True):
            output = t.node(op, [output, t.read(t.call.need(key), name)], name)
    return output


def _batch(t: Trace) -> Item:
    """Scale and move the channels by what was learned."""
    _last_axis(t)
    mean, variance = t.call.need("moving_mean"), t.call.need("moving_variance")
    epsilon, shape = t.call.real("epsilon", 1e-3), t.given.shape
    if mean.shape != (shape[-1],):
        raise UnknownLayerError("a normalization of another length")
    statistics = t.read(mean, "batchnorm/mul_2"), t.read(variance, "batchnorm")
    if t.is_keras3 or len(shape) != 4:
        axis = items(t.call.settings.get("axis")) or [t.call.settings.get("axis", -1)]
        wide = (*(1,) * (len(shape) - 1), shape[-1]) if t.is_keras3 and axis != [-1] else None
        if wide is not None and not _follows_product(t):  # hybrid forms of these were off by a few bytes
            t.lowering.operations.add("")
        return _scaled_by(t, *statistics, epsilon, wide)
    parts = [
        t.read(t.call.need(key), "")
        if t.call.flag(flag, default=True)
        else t.constant(np.full(mean.shape, number), name, FLOAT32)
        for key, flag, number, name in (("gamma", "scale", 1, "Const"), ("beta", "center", 0, "Const_1"))
    ]
    name = "FusedBatchNormV3"
    return t.node(name, [t.given, *parts, *statistics], name, epsilon=epsilon, is_training=False)


def _follows_product(t: Trace) -> bool:
    """Return whether a convolution or a dense layer makes the input: it takes in the numbers."""
    maker = t.lowering.makers.get(id(t.given))
    if maker is not None and maker.code == ADD and maker.inputs[1] is not None and maker.inputs[1].constant:
        maker = t.lowering.makers.get(id(maker.inputs[0]))
    return maker is not None and maker.code in (CONV, DEPTHWISE, FULLY_CONNECTED, TRANSPOSE_CONV)


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
    """Divide a tensor by the root of the sum of its squares along the last axis."""
    if not t.is_keras3:
        name = f"l2_normalize{suffix}"
        total = t.reduce("Sum", t.node("Square", [x], f"{name}/Square"), axis, keep=True, name=f"{name}/Sum")
        limit = t.constant(least, f"{name}/Maximum/y", FLOAT32)
        root = t.node("Rsqrt", [t.node("Maximum", [total, limit], f"{name}/Maximum")], f"{name}/Rsqrt")
        return t.node("Mul", [x, root], name)
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
    moved = t.node("Sub", [_as_floats(t), first], t.pick("sub", "Sub"))
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
    made = _as_floats(t)
    names = ("Cast/x", "Cast_1/x") if made is t.given or t.is_keras3 else ("Cast_1/x", "Cast_2/x")
    for key, name, op in zip(("scale", "offset"), names, ("Mul", "AddV2"), strict=True):
        value = t.call.settings.get(key, 0.0)
        numbers = items(value) if isinstance(value, list | tuple | Mapping) else value
        if not isinstance(numbers, int | float | list):
            raise UnknownLayerError("a rescaling of another kind")
        constant: Held = t.constant(np.asarray(numbers, np.float32), name, FLOAT32)
        made = t.node(op, [made, constant], "mul" if op == "Mul" else "add")
    return made


def _as_floats(t: Trace) -> Item:
    """Return the first input as floats; Keras 3 converts whole numbers before it enters the layer's scope."""
    if t.given.kind == FLOAT32:
        return t.given
    if not t.is_keras3:
        return t.node("Cast", [t.given], "Cast", DstT=TYPES[FLOAT32])
    outer = t.call.scope.rpartition("/")[0]
    name = t.call.scopes.unique(f"{outer}/Cast" if outer else "Cast")
    return t.outside("Cast", [t.given], name, DstT=TYPES[FLOAT32])


TRACED_NORMALIZATIONS: Mapping[str, Rule] = {
    "BatchNormalization": traced(_batch),
    "GroupNormalization": traced(_groups),
    "LayerNormalization": traced(_sample),
    "Normalization": traced(_fixed),
    "RMSNormalization": traced(_root_mean_square),
    "Rescaling": traced(_scaled),
    "UnitNormalization": traced(_unit),
}
"""The rules of normalizations that are written as nodes."""
