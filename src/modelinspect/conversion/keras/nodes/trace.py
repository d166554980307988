"""Write the nodes of one layer as tracing does; the rules of graphs make operators of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from modelinspect.conversion.graph.lowering import Lowering
from modelinspect.conversion.graph.node import Elements, Held, Item, UnknownNodeError
from modelinspect.conversion.graph.patterns import Found
from modelinspect.conversion.graph.reader import Step
from modelinspect.conversion.keras.call import Call, Parameter, Rule, Shape, UnknownLayerError, known
from modelinspect.conversion.keras.nodes.activations import activate
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import BOOL, FLOAT32, INT32, INT64, recalled
from modelinspect.core.records import dataclass
from modelinspect.encodings.protobuf import message_class

_DTYPES = {FLOAT32: np.float32, INT32: np.int32, INT64: np.int64, BOOL: np.bool_}
TYPES = {FLOAT32: 1, INT32: 3, INT64: 9, BOOL: 10}
"""Element types as DataType numbers them."""
Setting = int | float | bool | str | Sequence[int]


@dataclass(slots=True)
class Trace:
    """One call of a layer while it is traced."""

    call: Call
    lowering: Lowering

    @property
    def given(self) -> Value:
        """The first input."""
        return self.call.given

    @property
    def is_keras3(self) -> bool:
        """Return whether Keras 3 writes the nodes."""
        return self.call.keras == 3

    def pick(self, keras2: str, keras3: str) -> str:
        """Return the name that the version of Keras uses."""
        return keras3 if self.is_keras3 else keras2

    def constant(self, values: object, name: str, kind: int = INT32, *, inside: bool = True) -> Held:
        """Return a constant of the graph; ``inside`` means within the layer's scope."""
        array: Elements = np.asarray(values, _DTYPES[kind])
        location = self.call.at(name) if inside else (name,)
        held = Held(array.shape, kind, location, None, array, is_written=True)
        self.lowering.written.append(held)
        return held

    def read(self, parameter: Parameter, name: str) -> Held:
        """Return what reads a variable; ``name`` is that of the node that takes it."""
        return Held(parameter.shape, FLOAT32, self.call.at(f"{name}/ReadVariableOp"), parameter.tensor)

    def node(self, op: str, inputs: Sequence[Item], name: str, **settings: Setting) -> Item:
        """Write a node and return what it makes; a name that is taken gets a number."""
        return self._lower(op, inputs, self.call.scopes.unique(self.call.at(name)[0]), settings)

    def outside(self, op: str, inputs: Sequence[Item], name: str, **settings: Setting) -> Item:
        """Write a node of a function that gives its nodes other names."""
        return self._lower(op, inputs, name, settings)

    def value(self, op: str, inputs: Sequence[Item], name: str, **settings: Setting) -> Value:
        """Write a node that makes what is computed. Raises `UnknownNodeError`."""
        return self.finished(self.node(op, inputs, name, **settings))

    def finished(self, item: Item) -> Value:
        """Return what is computed, which must be no constant. Raises `UnknownNodeError`."""
        if not isinstance(item, Value):
            raise UnknownNodeError("computes with constants only")
        return item

    def _lower(self, op: str, inputs: Sequence[Item], location: str, settings: dict[str, Setting]) -> Item:
        attributes = {key: _attribute(key, setting) for key, setting in settings.items()}
        if _SHAPE in attributes:
            attributes["_output_shapes"] = _shapes(settings[_SHAPE])
            del attributes[_SHAPE]
        return self.lowering.lower(Step(location, op, (), attributes), list(inputs))

    def expand(self, item: Item, axis: int, name: str) -> Item:
        """Add an axis of length 1."""
        return self.node("ExpandDims", [item, self.constant(axis, f"{name}/dim")], name)

    def layout(self, rank: int) -> Shape:
        """Return the shape of what has axes of a rank between the batch and the channels.

        The converter need not know the lengths of these axes, after a repetition. Raises `UnknownLayerError`.
        """
        shape = self.given.shape
        self.recalled_shape()
        if len(shape) != rank + 2 or self.call.text("data_format", "channels_last") != "channels_last":
            raise UnknownLayerError("of another layout")
        return shape

    def recalled_shape(self) -> Shape:
        """Return the shape of the first input as TensorFlow knows it. Raises `UnknownLayerError`."""
        shape = self.given.shape
        return known((*shape[:1], *(length if length == -1 else recalled(length) for length in shape[1:])))

    def padding(self) -> str:
        """Return the padding as nodes name it. Raises `UnknownLayerError`."""
        padding = self.call.text("padding", "valid")
        if padding not in ("same", "valid"):
            raise UnknownLayerError("an unsupported padding mode")
        return padding.upper()

    def slice(
        self, item: Item, begin: Sequence[int], end: Sequence[int], name: str, **masks: Setting
    ) -> Item:
        """Take a slice whose steps are 1."""
        parts = zip(("stack", "stack_1", "stack_2"), (begin, end, [1] * len(begin)), strict=True)
        constants = [self.constant(part, f"{name}/{label}") for label, part in parts]
        return self.node("StridedSlice", [item, *constants], name, **masks)

    def whole_shape(self, shape: Shape, written: Sequence[int] = ()) -> Item:
        """Reshape the first input to a shape that is put together from its batch and known lengths.

        ``written`` is how the lengths are written, where one of them is -1.
        """
        name = "Reshape"
        if self.is_keras3 and shape[0] > 0:
            return self.reshape(self.given, shape, name)
        told = self.node("Shape", [self.given], "Shape")
        batch = self.slice(told, [0], [1], "strided_slice", shrink_axis_mask=1)
        lengths = [
            self.constant(each, f"{name}/shape/{place}") for place, each in enumerate(written or shape[1:], 1)
        ]
        target = self.node("Pack", [batch, *lengths], f"{name}/shape")
        return self.node("Reshape", [self.given, target], name, _shape=list(shape))

    def reshape(self, item: Item, shape: Shape, name: str) -> Item:
        """Give another shape."""
        return self.node("Reshape", [item, self.constant(list(shape), f"{name}/shape")], name)

    def transpose(self, item: Item, order: Sequence[int], name: str) -> Item:
        """Exchange axes."""
        return self.node("Transpose", [item, self.constant(list(order), f"{name}/perm")], name)

    def reduce(self, op: str, item: Item, axes: int | Sequence[int], *, keep: bool, name: str = "") -> Item:
        """Take the mean, the sum or the like along axes."""
        label = name or op
        return self.node(op, [item, self.constant(axes, f"{label}/reduction_indices")], label, keep_dims=keep)

    def whole(self, code: int, inputs: Sequence[Item], names: Sequence[str]) -> Value:
        """Add an operator that stands for nodes with these names."""
        location = self.call.scopes.unique(self.call.at(names[0])[0])
        found = Found(code, (), self.call.at(*names))
        return self.lowering.whole(found, Step(location, "", (), {}), list(inputs))

    def add_bias(self, item: Item) -> Item:
        """Add the bias of a convolution."""
        if not self.call.flag("use_bias", default=True):
            return item
        bias = self.call.need("bias")
        if not self.is_keras3:
            return self.node("BiasAdd", [item, self.read(bias, "BiasAdd")], "BiasAdd")
        rank, count = len(item.shape), prod(bias.shape)
        wide = self.reshape(self.read(bias, "Reshape"), (*(1,) * (rank - 1), count), "Reshape")
        if count == 1:
            return self.node("AddV2", [item, wide], "Add")
        return self.node("BiasAdd", [item, self.node("Squeeze", [wide], "Squeeze")], "BiasAdd")

    def add_numbers(self, item: Item, numbers: Parameter, scope: str = "") -> Item:
        """Add a variable as `keras.ops.add` does: one whose only axis above 1 is the last is a bias.

        Raises `UnknownLayerError`.
        """
        lengths = [length for length in numbers.shape if length > 1]
        if len(lengths) != 1 or len(item.shape) < 2 or lengths[0] not in (item.shape[1], item.shape[-1]):
            return self.node("AddV2", [item, self.read(numbers, f"{scope}Add")], f"{scope}Add")
        if lengths[0] != item.shape[-1]:
            raise UnknownLayerError("a bias along another axis than the last")
        if len(numbers.shape) == 1:
            return self.node("BiasAdd", [item, self.read(numbers, f"{scope}BiasAdd")], f"{scope}BiasAdd")
        flat = self.node("Squeeze", [self.read(numbers, f"{scope}Squeeze")], f"{scope}Squeeze")
        return self.node("BiasAdd", [item, flat], f"{scope}BiasAdd")

    def finish(self, item: Item) -> Item:
        """Apply the activation of the layer's settings."""
        return activate(self, item, self.call.settings.get("activation"))


def traced(writer: Callable[[Trace], Item]) -> Rule:
    """Return the rule of a layer that writes nodes."""

    def rule(call: Call) -> Value:
        item = writer(Trace(call, call.lowering))
        if not isinstance(item, Value):
            raise UnknownLayerError("of constants only")
        return item

    return rule


_SHAPE = "_shape"
"""The setting that tells the shape of what a node makes where its inputs do not."""


def _shapes(lengths: Setting) -> Any:
    """Return the attribute that tells the shape of what a node makes."""
    made: Any = message_class("AttrValue")()
    shape = made.list.shape.add()
    for length in lengths if isinstance(lengths, Sequence) and not isinstance(lengths, str) else ():
        shape.dim.add().size = length
    return made


def _attribute(key: str, setting: Setting) -> Any:
    """Return the AttrValue of a setting."""
    made: Any = message_class("AttrValue")()
    if key in ("DstT", "out_type"):
        made.type = setting
    elif isinstance(setting, bool):
        made.b = setting
    elif isinstance(setting, int):
        made.i = setting
    elif isinstance(setting, float):
        made.f = setting
    elif isinstance(setting, str):
        made.s = setting.encode()
    else:
        made.list.i.extend(setting)
    return made
