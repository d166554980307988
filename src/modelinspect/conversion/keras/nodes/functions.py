"""Functions of tensors in functional models: operations of `keras.ops`, which have no scope of their own, and
functions of TensorFlow that Keras 2 keeps as layers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import UnknownLayerError
from modelinspect.conversion.keras.nodes.activations import softmax_along
from modelinspect.conversion.keras.nodes.arguments import Argument, Arguments
from modelinspect.conversion.keras.nodes.dense import tensordot
from modelinspect.conversion.keras.nodes.normalizations import LEAST, unit
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import FLOAT32, GELU, INT32

Writer = Callable[[Trace, Arguments], Item]
"""What writes the nodes of a function, given its arguments."""


def _place(t: Trace, name: str) -> str:
    """Take a name within the scope, and return what it becomes."""
    return t.call.scopes.unique(t.call.at(name)[0])


def _held(t: Trace, values: object, name: str, kind: int) -> Held:
    """Return a constant; ``name`` is whole."""
    return t.constant(values, name, kind, inside=False)


def _operand(t: Trace, value: Argument, constant: str) -> Item:
    """Return a tensor, or the constant of a number. Raises `UnknownLayerError`."""
    if isinstance(value, Value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | list):
        raise UnknownLayerError("of other arguments")
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise UnknownLayerError("of other arguments") from None
    return _held(t, array, constant, FLOAT32)


def binary(op: str, keras3: str, keras2: str = "", constant: str | None = None) -> Writer:
    """Return what computes with two, of which one may be a number; ``constant`` is the scope of its name."""

    def writer(t: Trace, given: Arguments) -> Item:
        values = given.get(0, "x1", "x"), given.get(1, "x2", "y")
        if not any(isinstance(value, Value) for value in values):
            raise UnknownLayerError("of constants only")
        if t.is_keras3:
            items = [
                value if isinstance(value, Value) else _operand(t, value, _place(t, "Const"))
                for value in values
            ]
            return t.outside(op, items, _place(t, keras3))
        name = _place(t, keras2)
        scope = name if constant is None else t.call.scope
        if not isinstance(values[0], Value):  # the function is given a constant of the graph around it
            items = [
                _operand(t, values[0], t.call.scopes.unique("Const")),
                _operand(t, values[1], ""),
            ]
        else:
            items = [values[0], _operand(t, values[1], f"{scope}/y")]
        return t.outside(op, items, name)

    return writer


def unary(op: str, name: str = "") -> Writer:
    """Return what computes with each element of one tensor."""
    return lambda t, given: t.node(
        op, [given.tensor(0, "x", "features", "input", "logits", "input_tensor")], name or op
    )


def elu(t: Trace, given: Arguments) -> Item:
    """Apply an ELU whose negative part is not scaled."""
    if given.get(1, "alpha", default=1.0) != 1.0:
        raise UnknownLayerError("of other settings")
    return t.node("Elu", [given.tensor(0, "x", "features")], "Elu")


def softmax(t: Trace, given: Arguments) -> Item:
    """Apply a softmax along an axis."""
    x, axes = given.tensor(0, "x", "logits"), given.integers(1, "axis")
    if axes in (None, [-1], [len(x.shape) - 1]):
        return t.node("Softmax", [x], "Softmax")
    if axes is None or len(axes) != 1:
        raise UnknownLayerError("along several axes")
    return softmax_along(t, x, axes[0])


def not_equal(t: Trace, given: Arguments) -> Item:
    """Compare with a number; a whole one has its own type before it has that of the tensor."""
    x, number = given.tensor(0, "x1"), given.get(1, "x2")
    if isinstance(number, float) and t.is_keras3 and x.kind == FLOAT32:
        constant = t.constant(number, _place(t, "Const"), FLOAT32, inside=False)
        return t.node("NotEqual", [x, constant], "NotEqual")
    if not isinstance(number, int) or isinstance(number, bool) or not t.is_keras3:
        raise UnknownLayerError("of other arguments")
    _place(t, "Const")
    constant = Held((), x.kind, (_place(t, "Cast"),), None, np.array(number))
    return t.node("NotEqual", [x, constant], "NotEqual")


def silu(t: Trace, given: Arguments) -> Item:
    """Multiply with a sigmoid; a factor of one is computed away."""
    x = given.tensor(0, "x", "features")
    if given.get(1, "beta", default=1.0) != 1.0:
        raise UnknownLayerError("of other settings")
    _place(t, "mul")
    return t.node("Mul", [x, t.node("Sigmoid", [x], "Sigmoid")], "mul")


def gelu(t: Trace, given: Arguments) -> Item:
    """Apply a GELU, which the converter knows by its parts."""
    x = given.tensor(0, "x", "features")
    scope = _place(t, "Gelu")
    approximate = given.get(1, "approximate", default=t.is_keras3) is True
    parts = _APPROXIMATED if approximate else _EXACT
    made = t.call.op(GELU, [x], x.shape, "", {"approximate": True} if approximate else None)
    made.location = tuple(f"{scope}/{part}" for part in parts)
    return made


_EXACT = ("mul_2", "mul/x", "mul", "Neg", "Cast/x", "mul_1", "Erfc")
_APPROXIMATED = (
    "mul_3",
    "mul/x",
    "mul",
    "Pow/y",
    "Pow",
    "Cast/x",
    "mul_1",
    "add",
    "mul_2/x",
    "mul_2",
    "Tanh",
    "add_1/x",
    "add_1",
)


def reduced(op: str) -> Writer:
    """Return what takes the mean, the sum or the like along axes."""

    def writer(t: Trace, given: Arguments) -> Item:
        x = given.tensor(0, "x", "input_tensor")
        axes = given.integers(1, "axis")
        if axes is None:
            raise UnknownLayerError("along all axes")
        keep = given.get(2, "keepdims", default=False) is True
        name = _place(t, op)
        setting = given.get(1, "axis")
        written = axes if t.is_keras3 or isinstance(setting, list) else axes[0]
        constant = _held(t, written, f"{name}/reduction_indices", INT32)
        return t.outside(op, [x, constant], name, keep_dims=keep)

    return writer


def joined(t: Trace, given: Arguments) -> Item:
    """Join tensors along an axis."""
    values, axes = given.get(0, "xs", "values"), given.integers(1, "axis")
    if not isinstance(values, list) or not all(isinstance(value, Value) for value in values):
        raise UnknownLayerError("of constants")
    if axes is None or len(axes) != 1:
        raise UnknownLayerError("along another axis")
    name = _place(t, "concat")
    axis = _held(t, axes[0], f"{name}/axis", INT32)
    return t.outside("ConcatV2", [*values, axis], name)


def stacked(t: Trace, given: Arguments) -> Item:
    """Join tensors along an axis that is new."""
    values, axes = given.get(0, "x", "xs", "values"), given.integers(1, "axis") or [0]
    if not isinstance(values, list) or not all(isinstance(value, Value) for value in values):
        raise UnknownLayerError("of constants")
    return t.node("Pack", values, "stack", axis=axes[0])


def expanded(t: Trace, given: Arguments) -> Item:
    """Add an axis of length 1."""
    x, axes = given.tensor(0, "x", "input"), given.integers(1, "axis")
    if axes is None or len(axes) != 1:
        raise UnknownLayerError("along another axis")
    name = _place(t, "ExpandDims")
    return t.outside("ExpandDims", [x, _held(t, axes[0], f"{name}/dim", INT32)], name)


def squeezed(t: Trace, given: Arguments) -> Item:
    """Drop axes of length 1."""
    x, axes = given.tensor(0, "x", "input"), given.integers(1, "axis")
    if not axes:
        raise UnknownLayerError("along all axes")
    return t.node("Squeeze", [x], "Squeeze", squeeze_dims=axes)


def _by_numbers(op: str, name: str, constant: str, other: str, keys: tuple[str, str], problem: str) -> Writer:
    """Return what changes a tensor by whole numbers; ``keys`` are what functions call these."""

    def writer(t: Trace, given: Arguments) -> Item:
        x, numbers = given.tensor(0, "x", other), given.integers(1, *keys)
        if not numbers:
            raise UnknownLayerError(problem)
        place = _place(t, name)
        return t.outside(op, [x, _held(t, numbers, f"{place}/{constant}", INT32)], place)

    return writer


reshaped = _by_numbers("Reshape", "Reshape", "shape", "tensor", ("newshape", "shape"), "of a computed shape")
transposed = _by_numbers("Transpose", "transpose", "perm", "a", ("axes", "perm"), "of another order of axes")


def multiplied(t: Trace, given: Arguments) -> Item:
    """Multiply matrices."""
    first, second = given.tensor(0, "x1", "a"), given.get(1, "x2", "b")
    if isinstance(second, list):
        return _by_matrix(t, given, first, second)
    second = given.tensor(1, "x2", "b")
    if min(len(first.shape), len(second.shape)) < 3:
        raise UnknownLayerError("of samples with each other")
    turned = {
        f"adj_{side}": given.get(9, f"transpose_{key}") is True for side, key in (("x", "a"), ("y", "b"))
    }
    return t.node("BatchMatMulV2", [first, second], "MatMul", **turned)


def _by_matrix(t: Trace, given: Arguments, first: Value, numbers: Argument) -> Item:
    """Multiply by a constant matrix, which Keras 3 sums over the last axis of."""
    turns = any(given.get(9, f"transpose_{side}") is True for side in "ab")
    if t.is_keras3:
        matrix = _operand(t, numbers, _place(t, "Const"))
    else:
        name = _place(t, "MatMul")
        matrix = _operand(t, numbers, f"{name}/b")
    if turns or len(first.shape) < 2 or len(matrix.shape) != 2 or not isinstance(matrix, Held):
        raise UnknownLayerError("of a constant of another rank")
    if t.is_keras3 and len(first.shape) > 2:
        return tensordot(t, first, matrix)
    if t.is_keras3:
        return t.node("MatMul", [first, matrix], "MatMul")
    return t.outside("MatMul" if len(first.shape) == 2 else "BatchMatMulV2", [first, matrix], name)


def clipped(t: Trace, given: Arguments) -> Item:
    """Limit to two numbers."""
    x = given.tensor(0, "x", "t")
    least, most = given.get(1, "x_min", "clip_value_min"), given.get(2, "x_max", "clip_value_max")
    name = _place(t, "clip_by_value")
    upper = t.outside("Minimum", [x, _operand(t, most, f"{name}/Minimum/y")], f"{name}/Minimum")
    return t.outside("Maximum", [upper, _operand(t, least, f"{name}/y")], name)


def normalized(t: Trace, given: Arguments) -> Item:
    """Divide by the root of the sum of squares along the last axis."""
    x = given.tensor(0, "x")
    if given.integers(1, "axis") not in ([-1], [len(x.shape) - 1]) or given.get(2, "order") != 2:
        raise UnknownLayerError("along another axis")
    if given.get(3, "epsilon") is not None:
        raise UnknownLayerError("of other settings")
    square = t.node("Square", [x], "Square")
    name = _place(t, "Sum")
    total = t.outside("Sum", [square, _held(t, -1, f"{name}/reduction_indices", INT32)], name, keep_dims=True)
    root = t.node("Rsqrt", [total], "Rsqrt")
    most = _held(t, np.float32(1e7), _place(t, "Const"), FLOAT32)
    return t.node("Mul", [x, t.node("Minimum", [root, most], "Minimum")], "mul")


def normalized_by_root(t: Trace, given: Arguments) -> Item:
    """Divide by the root of the sum of squares along the last axis, as Keras 2 does: it becomes one
    operator.
    """
    x = given.tensor(0, "x")
    if given.integers(1, "axis") not in ([-1], [len(x.shape) - 1]):
        raise UnknownLayerError("along another axis")
    if given.get(2, "epsilon", default=LEAST) != LEAST:
        raise UnknownLayerError("of other settings")
    return unit(t, x, -1, "", LEAST)


def padded(t: Trace, given: Arguments) -> Item:
    """Add zeros around each axis, or what is inside of it."""
    x = given.tensor(0, "x", "tensor")
    sides = given.get(1, "pad_width", "paddings")
    mode = str(given.get(2, "mode", default="constant")).upper()
    value = given.get(3, "constant_values")
    if (
        mode not in ("CONSTANT", "REFLECT", "SYMMETRIC")
        or value not in (None, 0, 0.0)
        or not _are_sides(sides, len(x.shape))
    ):
        raise UnknownLayerError("of other settings")
    op = "Pad" if mode == "CONSTANT" else "MirrorPad"
    settings = {} if mode == "CONSTANT" else {"mode": mode}
    if t.is_keras3:
        return t.node(op, [x, _held(t, sides, _place(t, "Const"), INT32)], op, **settings)
    name = _place(t, op)
    return t.outside(op, [x, _held(t, sides, f"{name}/paddings", INT32)], name, **settings)


def _are_sides(sides: Argument, rank: int) -> bool:
    return (
        isinstance(sides, list)
        and len(sides) == rank
        and all(isinstance(side, list) and len(side) == 2 for side in sides)
        and all(isinstance(number, int) and number >= 0 for side in sides for number in side)
    )


def part_of(t: Trace, given: Arguments) -> Item:
    """Take a part by numbers and slices."""
    x, key = given.tensor(0, "x", "tensor"), given.get(1, "key", "slice_spec")
    parts = key if isinstance(key, list) else [key]
    bounds: tuple[list[int], list[int], list[int]] = ([], [], [])
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    masks = dict.fromkeys(names, 0)
    for place, part in enumerate(parts):
        numbers, flags = _bounds(part)
        for many, number in zip(bounds, numbers, strict=True):
            many.append(number)
        for name in flags:
            masks[name] |= 1 << place
    name = _place(t, "strided_slice")
    constants = [
        _held(t, many, f"{name}/{label}", INT32)
        for many, label in zip(bounds, ("stack", "stack_1", "stack_2"), strict=True)
    ]
    return t.outside("StridedSlice", [x, *constants], name, **masks)


def _bounds(part: Argument) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Return the begin, the end and the step of a part of one axis, and the masks that it sets."""
    if part is Ellipsis:
        return (0, 0, 1), ("ellipsis_mask",)
    if part is None:
        return (0, 0, 1), ("new_axis_mask",)
    if isinstance(part, slice):
        unset = [
            name for name, bound in (("begin_mask", part.start), ("end_mask", part.stop)) if bound is None
        ]
        return (part.start or 0, part.stop or 0, part.step or 1), tuple(unset)
    if not isinstance(part, int) or isinstance(part, bool):
        raise UnknownLayerError("of other arguments")
    if part == -1:
        return (-1, 0, 1), ("shrink_axis_mask", "end_mask")
    return (part, part + 1, 1), ("shrink_axis_mask",)
