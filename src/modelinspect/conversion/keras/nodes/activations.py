"""The nodes of each activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import Call, Parameter, UnknownLayerError
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import FLOAT32, GELU, HARD_SWISH, INT32, PRELU


class Writer(Protocol):
    """What writes the nodes of one call of a layer, and applies activations itself: `Trace`."""

    call: Call

    @property
    def given(self) -> Value:
        """The first input."""

    @property
    def is_keras3(self) -> bool:
        """Return whether Keras 3 writes the nodes."""

    def pick(self, keras2: str, keras3: str) -> str:
        """Return the name that the version of Keras uses."""

    def constant(self, values: object, name: str, kind: int) -> Held:
        """Return a constant of the graph."""

    def read(self, parameter: Parameter, name: str) -> Held:
        """Return what reads a variable."""

    def node(
        self, op: str, inputs: Sequence[Item], name: str, **settings: int | float | str | Sequence[int]
    ) -> Item:
        """Write a node and return what it makes."""

    def whole(self, code: int, inputs: Sequence[Item], names: Sequence[str]) -> Value:
        """Add an operator that stands for nodes."""


_FLOAT = 1
"""The number of float32 in DataType."""


def activate(t: Writer, value: Item, setting: object) -> Item:
    """Apply the activation that a setting names. Raises `UnknownLayerError`."""
    if isinstance(setting, Mapping):  # its own activation with settings
        setting = setting.get("class_name") if not setting.get("config") else setting.get("config")
    if setting in (None, "linear"):
        return value
    rule = _ACTIVATIONS.get(setting) if isinstance(setting, str) else None
    if rule is None:
        raise UnknownLayerError(
            f"activation {setting!r}" if isinstance(setting, str) else "a custom activation"
        )
    return rule(t, value)


def _single(op: str) -> Callable[[Writer, Item], Item]:
    return lambda t, value: t.node(op, [value], op)


def _swish(t: Writer, value: Item) -> Item:
    return t.node("Mul", [value, t.node("Sigmoid", [value], "Sigmoid")], "mul_1")


def _leaky(t: Writer, value: Item, alpha: float) -> Item:
    """Apply a ReLU that lets some of what is negative through."""
    return t.node("LeakyRelu", [value], "LeakyRelu", alpha=alpha)


def _gelu(t: Writer, value: Item) -> Item:
    """Apply a GELU, which the converter knows by its parts."""
    parts = ("mul_2", "mul/x", "mul", "Neg", "Cast/x", "mul_1", "Erfc")
    return t.whole(GELU, [value], [f"Gelu/{part}" for part in parts])


def _hard_sigmoid(t: Writer, value: Item) -> Item:
    """Scale, move and clip; Keras 3 clips at 6 before it scales."""
    if t.is_keras3:
        moved = t.node("AddV2", [value, t.constant(3.0, "Const", FLOAT32)], "add")
        limited = t.node("Relu6", [moved], "Relu6")
        return t.node("RealDiv", [limited, t.constant(6.0, "Const_1", FLOAT32)], "truediv")
    scaled = t.node("Mul", [value, t.constant(0.2, "Const", FLOAT32)], "Mul")
    moved = t.node("AddV2", [scaled, t.constant(0.5, "Const_1", FLOAT32)], "Add")
    return _clipped(t, moved, 1.0, ("clip_by_value/Minimum/y", "clip_by_value/y"))


def _clipped(t: Writer, value: Item, limit: float, names: tuple[str, str]) -> Item:
    """Limit what is above a number and below zero."""
    below = t.node("Minimum", [value, t.constant(limit, names[0], FLOAT32)], "clip_by_value/Minimum")
    return t.node("Maximum", [below, t.constant(0.0, names[1], FLOAT32)], "clip_by_value")


def _hard_swish(t: Writer, value: Item) -> Item:
    """Apply a hard swish, which the converter knows by its parts."""
    return t.whole(HARD_SWISH, [value], ("mul", "Const", "Relu6", "add", "truediv", "Const_1"))


def _mish(t: Writer, value: Item) -> Item:
    gate = t.node("Tanh", [t.node("Softplus", [value], "Softplus")], "Tanh")
    return t.node("Mul", [value, gate], "mul")


_ACTIVATIONS: dict[str, Callable[[Writer, Item], Item]] = {
    "elu": _single("Elu"),
    "gelu": _gelu,
    "exponential": _single("Exp"),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_swish,
    "hard_swish": _hard_swish,
    "leaky_relu": lambda t, value: _leaky(t, value, 0.2),
    "log_softmax": _single("LogSoftmax"),
    "mish": _mish,
    "relu": _single("Relu"),
    "relu6": _single("Relu6"),
    "selu": _single("Selu"),
    "sigmoid": _single("Sigmoid"),
    "silu": _swish,
    "softmax": _single("Softmax"),
    "softplus": _single("Softplus"),
    "softsign": _single("Softsign"),
    "swish": _swish,
    "tanh": _single("Tanh"),
}


def leaky(t: Writer) -> Item:
    """Write a layer that lets some of what is negative through."""
    return _leaky(t, t.given, t.call.real("negative_slope", t.call.real("alpha", 0.3)))


def relu(t: Writer) -> Item:
    """Write a ReLU layer: limited, leaky, or plain. Raises `UnknownLayerError`."""
    limit, slope = t.call.settings.get("max_value"), t.call.real("negative_slope", 0.0)
    threshold = t.call.real("threshold", 0.0)
    if not isinstance(limit, int | float | None) or (slope and (threshold or limit is not None)):
        raise UnknownLayerError("unsupported ReLU limits")
    if slope:
        return _leaky(t, t.given, slope)
    if threshold or limit not in (None, 6):
        return _limited(t, limit, threshold)
    return activate(t, t.given, "relu" if limit is None else "relu6")


def thresholded(t: Writer) -> Item:
    """Write a ReLU layer that begins at a threshold."""
    return _limited(t, None, t.call.real("theta", 1.0))


def _limited(t: Writer, limit: float | None, threshold: float) -> Item:
    """Apply a ReLU that begins at a threshold, ends at a limit, or both."""
    value: Item = t.given
    if not threshold:
        value = t.node("Relu", [value], "Relu")
    else:
        least = t.constant(threshold, t.pick("Greater/y", "Cast/x"), FLOAT32)
        above = t.node("Greater", [value, least], "Greater")
        if t.is_keras3:
            value = t.node("SelectV2", [above, value, t.constant(0.0, "Const", FLOAT32)], "SelectV2")
        else:
            value = t.node("Mul", [value, t.node("Cast", [above], "Cast", DstT=_FLOAT)], "mul")
    if limit is None:
        return value
    names = ("Cast_2/x", "Cast_1/x") if threshold else ("Cast_1/x", "Cast/x")
    return _clipped(t, value, limit, names if t.is_keras3 else ("Const", "Const_1"))


def elu(t: Writer) -> Item:
    """Write an ELU layer, whose negative part can be scaled."""
    slope, made = t.call.real("alpha", 1.0), t.node("Elu", [t.given], "Elu")
    if slope == 1.0:
        return made
    scaled = t.node("Mul", [made, t.constant(slope, "mul/x", FLOAT32)], "mul")
    positive = t.node("Greater", [t.given, t.constant(0.0, "Greater/y", FLOAT32)], "Greater")
    return t.node("SelectV2", [positive, made, scaled], "SelectV2")


def prelu(t: Writer) -> Item:
    """Write a PReLU layer, which the converter knows by its parts."""
    slope = t.read(t.call.need("alpha"), "")
    return t.whole(PRELU, [t.given, slope], ("add", "Relu", "Neg_1", "Relu_1", "mul"))


def softmax(t: Writer) -> Item:
    """Write a softmax layer; along another axis than the last, that is exchanged with the last, and back."""
    axis, rank = t.call.settings.get("axis", -1), len(t.given.shape)
    if axis in (-1, rank - 1):
        return activate(t, t.given, "softmax")
    if not isinstance(axis, int):
        raise UnknownLayerError("a softmax of several axes")
    return softmax_along(t, t.given, axis)


def softmax_along(t: Writer, given: Value, axis: int) -> Item:
    """Write a softmax along another axis than the last. Raises `UnknownLayerError`."""
    rank = len(given.shape)
    if not -rank <= axis < rank:
        raise UnknownLayerError("a softmax along an axis that is not there")
    order = np.arange(rank, dtype=np.int32)
    order[axis], order[-1] = order[-1], order[axis]
    turned, back = (Held((rank,), INT32, t.call.at(name), None, order) for name in ("concat", "concat_1"))
    made = t.node("Softmax", [t.node("Transpose", [given, turned], "transpose")], "Softmax")
    return t.node("Transpose", [made, back], "transpose_1")
