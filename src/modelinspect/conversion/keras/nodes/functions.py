"""Functions of tensors in functional models: operations of `keras.ops`, which have no scope of their own, and
functions of TensorFlow that Keras 2 keeps as layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import Rule, UnknownLayerError
from modelinspect.conversion.keras.nodes.normalizations import LEAST, unit
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import FLOAT32, GELU, INT32
from modelinspect.formats.keras.config import LayerConfig

Argument = object
_Writer = Callable[[Trace, "Arguments"], Item]
_TENSOR, _SLICE, _ELLIPSIS = "__keras_tensor__", "__slice__", "__ellipsis__"
_NO_TENSOR = "_CONSTANT_VALUE"
_MOST_NESTING = 8


class Arguments:
    """What a function is called with: tensors, numbers, lists and slices, by name and in order."""

    def __init__(self, positional: Sequence[Argument], named: Mapping[str, Argument]) -> None:
        self._positional = list(positional)
        self._named = dict(named)

    def get(self, place: int, *names: str, default: Argument = None) -> Argument:
        """Return an argument by its place or its name."""
        if place < len(self._positional):
            return self._positional[place]
        return next((self._named[name] for name in names if name in self._named), default)

    def tensor(self, place: int, *names: str) -> Value:
        """Return an argument that is a tensor. Raises `UnknownLayerError`."""
        found = self.get(place, *names)
        if not isinstance(found, Value):
            raise UnknownLayerError("of constants only")
        return found

    def integers(self, place: int, *names: str) -> list[int] | None:
        """Return an argument that is one whole number or several, None where it is not given."""
        found = self.get(place, *names)
        if found is None:
            return None
        many = found if isinstance(found, list | tuple) else [found]
        numbers = [each for each in many if isinstance(each, int) and not isinstance(each, bool)]
        if len(numbers) != len(many):
            raise UnknownLayerError("of other settings")
        return numbers


def _arguments(t: Trace) -> Arguments:
    """Return the arguments of a call, with the settings of the function among those that have a name."""
    values = iter(t.call.inputs)
    node, settings = t.call.node, dict(t.call.settings) if t.is_keras3 else {}
    if isinstance(node, Mapping):
        positional, named = node.get("args"), node.get("kwargs")
        first = _parsed(positional, values, 0)
        rest = _parsed(named, values, 0)
    else:
        first, rest = _of_keras2(node, values)
    if not isinstance(first, list) or not isinstance(rest, Mapping):
        raise UnknownLayerError("of other arguments")
    return Arguments(first, {**settings, **rest})


def _parsed(item: object, values: Iterator[Value], depth: int) -> Argument:
    """Return an argument of Keras 3 with its tensors in place of their references."""
    if depth > _MOST_NESTING:
        raise UnknownLayerError("of other arguments")
    if isinstance(item, list | tuple):
        return [_parsed(each, values, depth + 1) for each in item]
    if not isinstance(item, Mapping):
        return item
    name = item.get("class_name")
    if name == _TENSOR:
        return _next(values)
    if name == _ELLIPSIS:
        return Ellipsis
    if name == _SLICE:
        config = item.get("config")
        bounds = [config.get(key) for key in ("start", "stop", "step")] if isinstance(config, Mapping) else []
        return _sliced(bounds)
    if isinstance(name, str):
        raise UnknownLayerError("of other arguments")
    return {str(key): _parsed(each, values, depth + 1) for key, each in item.items()}


def _next(values: Iterator[Value]) -> Value:
    found = next(values, None)
    if found is None:
        raise UnknownLayerError("of other arguments")
    return found


def _sliced(bounds: Sequence[object]) -> slice:
    numbers = [bound if isinstance(bound, int) else None for bound in bounds]
    if len(numbers) != 3 or any(
        number is None and bound is not None for number, bound in zip(numbers, bounds, strict=True)
    ):
        raise UnknownLayerError("of other arguments")
    return slice(*numbers)


def _of_keras2(node: object, values: Iterator[Value]) -> tuple[Argument, Argument]:
    """Return the first argument and those with names of a call in Keras 2.

    It is ["name", 0, 0, {...}], or a list of these.
    """
    whole = node[0] if isinstance(node, list) and len(node) == 1 else node
    if not isinstance(whole, list) or not whole:
        raise UnknownLayerError("of other arguments")
    if isinstance(whole[0], list):
        many = [_referred(each, values) for each in whole]
        last = whole[-1]
        named = last[3] if isinstance(last, list) and len(last) > 3 else {}
        return [many], named
    first = _referred(whole, values)
    named = whole[3] if len(whole) > 3 and isinstance(whole[3], Mapping) else {}
    return [first], {str(name): _within(item, values, 0) for name, item in named.items()}


def _referred(item: object, values: Iterator[Value]) -> Argument:
    if not isinstance(item, list) or len(item) < 3:
        raise UnknownLayerError("of other arguments")
    return item[2] if item[0] == _NO_TENSOR else _next(values)


def _within(item: object, values: Iterator[Value], depth: int) -> Argument:
    """Return an argument of Keras 2 with its tensors in place of their references."""
    if depth > _MOST_NESTING:
        raise UnknownLayerError("of other arguments")
    if isinstance(item, Mapping):
        if item.get("class_name") == _ELLIPSIS:
            return Ellipsis
        if set(item) == {"start", "stop", "step"}:
            return _sliced([item["start"], item["stop"], item["step"]])
        raise UnknownLayerError("of other arguments")
    if not isinstance(item, list):
        return item
    if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int) and isinstance(item[2], int):
        return _next(values)
    return [_within(each, values, depth + 1) for each in item]


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


def _binary(op: str, keras3: str, keras2: str = "", constant: str | None = None) -> _Writer:
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
            items = [_operand(t, values[0], t.call.scopes.unique("Const")), *values[1:]]
        else:
            items = [values[0], _operand(t, values[1], f"{scope}/y")]
        return t.outside(op, items, name)

    return writer


def _unary(op: str, name: str = "") -> _Writer:
    return lambda t, given: t.node(
        op, [given.tensor(0, "x", "features", "input", "logits", "input_tensor")], name or op
    )


def _softmax(t: Trace, given: Arguments) -> Item:
    """Apply a softmax along the last axis."""
    x = given.tensor(0, "x", "logits")
    if given.integers(1, "axis") not in (None, [-1], [len(x.shape) - 1]):
        raise UnknownLayerError("along another axis")
    return t.node("Softmax", [x], "Softmax")


def _silu(t: Trace, given: Arguments) -> Item:
    """Multiply with a sigmoid; a factor of one is computed away."""
    x = given.tensor(0, "x", "features")
    if given.get(1, "beta", default=1.0) != 1.0:
        raise UnknownLayerError("of other settings")
    _place(t, "mul")
    return t.node("Mul", [x, t.node("Sigmoid", [x], "Sigmoid")], "mul")


def _gelu(t: Trace, given: Arguments) -> Item:
    """Apply a GELU, which the converter knows by its parts."""
    x = given.tensor(0, "x", "features")
    scope, parts = _place(t, "Gelu"), ("mul_2", "mul/x", "mul", "Neg", "Cast/x", "mul_1", "Erfc")
    approximate = given.get(1, "approximate", default=t.is_keras3) is True
    if approximate:
        parts = _APPROXIMATED
    made = t.call.op(GELU, [x], x.shape, "", {"approximate": True} if approximate else None)
    made.location = tuple(f"{scope}/{part}" for part in parts)
    return made


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


def _reduced(op: str) -> _Writer:
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


def _joined(t: Trace, given: Arguments) -> Item:
    """Join tensors along an axis."""
    values, axes = given.get(0, "xs", "values"), given.integers(1, "axis")
    if not isinstance(values, list) or not all(isinstance(value, Value) for value in values):
        raise UnknownLayerError("of constants")
    if axes is None or len(axes) != 1:
        raise UnknownLayerError("along another axis")
    name = _place(t, "concat")
    axis = _held(t, axes[0], f"{name}/axis", INT32)
    return t.outside("ConcatV2", [*values, axis], name)


def _stacked(t: Trace, given: Arguments) -> Item:
    """Join tensors along an axis that is new."""
    values, axes = given.get(0, "x", "xs", "values"), given.integers(1, "axis") or [0]
    if not isinstance(values, list) or not all(isinstance(value, Value) for value in values):
        raise UnknownLayerError("of constants")
    return t.node("Pack", values, "stack", axis=axes[0])


def _expanded(t: Trace, given: Arguments) -> Item:
    """Add an axis of length 1."""
    x, axes = given.tensor(0, "x", "input"), given.integers(1, "axis")
    if axes is None or len(axes) != 1:
        raise UnknownLayerError("along another axis")
    name = _place(t, "ExpandDims")
    return t.outside("ExpandDims", [x, _held(t, axes[0], f"{name}/dim", INT32)], name)


def _squeezed(t: Trace, given: Arguments) -> Item:
    """Drop axes of length 1."""
    x, axes = given.tensor(0, "x", "input"), given.integers(1, "axis")
    if not axes:
        raise UnknownLayerError("along all axes")
    return t.node("Squeeze", [x], "Squeeze", squeeze_dims=axes)


def _reshaped(t: Trace, given: Arguments) -> Item:
    """Give another shape."""
    x, shape = given.tensor(0, "x", "tensor"), given.integers(1, "newshape", "shape")
    if not shape:
        raise UnknownLayerError("of a computed shape")
    name = _place(t, "Reshape")
    return t.outside("Reshape", [x, _held(t, shape, f"{name}/shape", INT32)], name)


def _transposed(t: Trace, given: Arguments) -> Item:
    """Exchange axes."""
    x, order = given.tensor(0, "x", "a"), given.integers(1, "axes", "perm")
    if not order:
        raise UnknownLayerError("of another order of axes")
    name = _place(t, "transpose")
    return t.outside("Transpose", [x, _held(t, order, f"{name}/perm", INT32)], name)


def _multiplied(t: Trace, given: Arguments) -> Item:
    """Multiply matrices."""
    first, second = given.tensor(0, "x1", "a"), given.tensor(1, "x2", "b")
    if min(len(first.shape), len(second.shape)) < 3:
        raise UnknownLayerError("of samples with each other")
    turned = {
        f"adj_{side}": given.get(9, f"transpose_{key}") is True for side, key in (("x", "a"), ("y", "b"))
    }
    return t.node("BatchMatMulV2", [first, second], "MatMul", **turned)


def _clipped(t: Trace, given: Arguments) -> Item:
    """Limit to two numbers."""
    x = given.tensor(0, "x", "t")
    least, most = given.get(1, "x_min", "clip_value_min"), given.get(2, "x_max", "clip_value_max")
    name = _place(t, "clip_by_value")
    upper = t.outside("Minimum", [x, _operand(t, most, f"{name}/Minimum/y")], f"{name}/Minimum")
    return t.outside("Maximum", [upper, _operand(t, least, f"{name}/y")], name)


def _normalized(t: Trace, given: Arguments) -> Item:
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


def _normalized_by_root(t: Trace, given: Arguments) -> Item:
    """Divide by the root of the sum of squares along the last axis, as Keras 2 does: it becomes one
    operator.
    """
    x = given.tensor(0, "x")
    if given.integers(1, "axis") not in ([-1], [len(x.shape) - 1]):
        raise UnknownLayerError("along another axis")
    if given.get(2, "epsilon", default=LEAST) != LEAST:
        raise UnknownLayerError("of other settings")
    return unit(t, x, -1, "", LEAST)


def _padded(t: Trace, given: Arguments) -> Item:
    """Add zeros around each axis."""
    x = given.tensor(0, "x", "tensor")
    sides = given.get(1, "pad_width", "paddings")
    plain = str(given.get(2, "mode", default="constant")).lower() == "constant"
    value = given.get(3, "constant_values")
    if not plain or value not in (None, 0, 0.0) or not _are_sides(sides, len(x.shape)):
        raise UnknownLayerError("of other settings")
    if t.is_keras3:
        return t.node("Pad", [x, _held(t, sides, _place(t, "Const"), INT32)], "Pad")
    name = _place(t, "Pad")
    return t.outside("Pad", [x, _held(t, sides, f"{name}/paddings", INT32)], name)


def _are_sides(sides: Argument, rank: int) -> bool:
    return (
        isinstance(sides, list)
        and len(sides) == rank
        and all(isinstance(side, list) and len(side) == 2 for side in sides)
        and all(isinstance(number, int) and number >= 0 for side in sides for number in side)
    )


def _item(t: Trace, given: Arguments) -> Item:
    """Take a part by numbers and slices."""
    x, key = given.tensor(0, "x", "tensor"), given.get(1, "key", "slice_spec")
    parts = key if isinstance(key, list) else [key]
    begin, end, step, masks = (
        [],
        [],
        [],
        {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "shrink_axis_mask": 0},
    )
    for place, part in enumerate(parts):
        bit = 1 << place
        if part is Ellipsis:
            numbers, flags = (0, 0, 1), ("ellipsis_mask",)
        elif isinstance(part, slice):
            numbers = (part.start or 0, part.stop or 0, part.step or 1)
            flags = tuple(
                name for name, bound in (("begin_mask", part.start), ("end_mask", part.stop)) if bound is None
            )
        elif isinstance(part, int) and not isinstance(part, bool):
            numbers, flags = (part, part + 1, 1), ("shrink_axis_mask",)
        else:
            raise UnknownLayerError("of other arguments")
        if part == -1:
            numbers, flags = (-1, 0, 1), ("shrink_axis_mask", "end_mask")
        for many, number in zip((begin, end, step), numbers, strict=True):
            many.append(number)
        for name in flags:
            masks[name] |= bit
    name = _place(t, "strided_slice")
    bounds = [
        _held(t, numbers, f"{name}/{label}", INT32)
        for numbers, label in zip((begin, end, step), ("stack", "stack_1", "stack_2"), strict=True)
    ]
    return t.outside("StridedSlice", [x, *bounds], name, **masks)


def _rule(writer: _Writer) -> Rule:
    return traced(lambda t: writer(t, _arguments(t)))


_OPERATIONS: Mapping[str, Rule] = {
    name: _rule(writer)
    for name, writer in {
        "Absolute": _unary("Abs"),
        "Abs": _unary("Abs"),
        "Add": _binary("AddV2", "Add"),
        "Clip": _clipped,
        "Concatenate": _joined,
        "Cos": _unary("Cos"),
        "Divide": _binary("RealDiv", "truediv"),
        "Elu": _unary("Elu"),
        "Exp": _unary("Exp"),
        "ExpandDims": _expanded,
        "Gelu": _gelu,
        "GetItem": _item,
        "Log": _unary("Log"),
        "LogSoftmax": _unary("LogSoftmax"),
        "Matmul": _multiplied,
        "Max": _reduced("Max"),
        "Maximum": _binary("Maximum", "Maximum"),
        "Mean": _reduced("Mean"),
        "Min": _reduced("Min"),
        "Minimum": _binary("Minimum", "Minimum"),
        "Multiply": _binary("Mul", "Mul"),
        "Negative": _unary("Neg"),
        "Normalize": _normalized,
        "Pad": _padded,
        "Power": _binary("Pow", "Pow"),
        "Relu": _unary("Relu"),
        "Relu6": _unary("Relu6"),
        "Reshape": _reshaped,
        "Rsqrt": _unary("Rsqrt"),
        "Selu": _unary("Selu"),
        "Sigmoid": _unary("Sigmoid"),
        "Silu": _silu,
        "Sin": _unary("Sin"),
        "Softmax": _softmax,
        "Softplus": _unary("Softplus"),
        "Softsign": _unary("Softsign"),
        "Sqrt": _unary("Sqrt"),
        "Square": _unary("Square"),
        "Squeeze": _squeezed,
        "Stack": _stacked,
        "Subtract": _binary("Sub", "Sub"),
        "Sum": _reduced("Sum"),
        "Tanh": _unary("Tanh"),
        "Transpose": _transposed,
        "TrueDivide": _binary("RealDiv", "truediv"),
    }.items()
}
_TF_FUNCTIONS: Mapping[str, Rule] = {
    f"tf.{name}": _rule(writer)
    for name, writer in {
        "__operators__.add": _binary("AddV2", "", "AddV2", constant=""),
        "__operators__.getitem": _item,
        "abs": _unary("Abs"),
        "clip_by_value": _clipped,
        "compat.v1.pad": _padded,
        "compat.v1.squeeze": _squeezed,
        "compat.v1.transpose": _transposed,
        "concat": _joined,
        "exp": _unary("Exp"),
        "expand_dims": _expanded,
        "linalg.matmul": _multiplied,
        "math.abs": _unary("Abs"),
        "math.add": _binary("AddV2", "", "Add"),
        "math.cos": _unary("Cos"),
        "math.divide": _binary("RealDiv", "", "truediv"),
        "math.exp": _unary("Exp"),
        "math.l2_normalize": _normalized_by_root,
        "math.log": _unary("Log"),
        "math.maximum": _binary("Maximum", "", "Maximum"),
        "math.minimum": _binary("Minimum", "", "Minimum"),
        "math.multiply": _binary("Mul", "", "Mul"),
        "math.negative": _unary("Neg"),
        "math.pow": _binary("Pow", "", "Pow"),
        "math.reduce_max": _reduced("Max"),
        "math.reduce_mean": _reduced("Mean"),
        "math.reduce_min": _reduced("Min"),
        "math.reduce_sum": _reduced("Sum"),
        "math.rsqrt": _unary("Rsqrt"),
        "math.sigmoid": _unary("Sigmoid"),
        "math.sin": _unary("Sin"),
        "math.sqrt": _unary("Sqrt"),
        "math.square": _unary("Square"),
        "math.subtract": _binary("Sub", "", "Sub"),
        "math.tanh": _unary("Tanh"),
        "math.truediv": _binary("RealDiv", "", "truediv"),
        "matmul": _multiplied,
        "nn.elu": _unary("Elu"),
        "nn.gelu": _gelu,
        "nn.log_softmax": _unary("LogSoftmax"),
        "nn.relu": _unary("Relu"),
        "nn.relu6": _unary("Relu6"),
        "nn.selu": _unary("Selu"),
        "nn.sigmoid": _unary("Sigmoid"),
        "nn.silu": _silu,
        "nn.softmax": _softmax,
        "nn.softplus": _unary("Softplus"),
        "nn.softsign": _unary("Softsign"),
        "nn.swish": _silu,
        "nn.tanh": _unary("Tanh"),
        "pad": _padded,
        "reshape": _reshaped,
        "sigmoid": _unary("Sigmoid"),
        "sqrt": _unary("Sqrt"),
        "square": _unary("Square"),
        "squeeze": _squeezed,
        "stack": _stacked,
        "tanh": _unary("Tanh"),
        "transpose": _transposed,
    }.items()
}
FUNCTIONS: Mapping[str, Rule] = {**_OPERATIONS, **_TF_FUNCTIONS}
"""The rules of functions, by the names that `function_of` gives."""


def is_operation(layer: LayerConfig) -> bool:
    """Return whether a node of a functional model of Keras 3 is an operation of `keras.ops` and no layer."""
    return ".ops." in f"{layer.module}."


def function_of(layer: LayerConfig) -> str | None:
    """Return the name of the function that a node of a functional model is, None where it is a layer."""
    kind = layer.class_name.rpartition(">")[2]
    if is_operation(layer):
        return kind
    if kind == "SlicingOpLambda":
        return "tf.__operators__.getitem"
    function = layer.settings.get("function")
    return f"tf.{function}" if kind == "TFOpLambda" and isinstance(function, str) else None
