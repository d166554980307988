"""Follow the channels of a TFLite model from operator to operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass, field, replace
from modelinspect.core.tensors import ElementKind, RawPayload, SparsePayload, Stream
from modelinspect.encodings.flatbuffers.walker import root_table, walk_flatbuffer
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.formats.tflite.labels import MODEL
from modelinspect.formats.tflite.model import Model, Operator, SubGraph, read_model
from modelinspect.formats.tflite.schema import schema
from modelinspect.networks.channels.builder import Builder, UnfollowedError
from modelinspect.networks.channels.functions import TFLITE, same
from modelinspect.networks.channels.wires import INPUTS, OUTPUTS, Reals, Wire, unknown

_SAME = 0
_FEW = 64


def follow_tflite(builder: Builder) -> bool:
    """Follow the channels of every subgraph; return whether there is one.

    Raises `FormatError`, `UnmeasurableError`.
    """
    payloads = [tensor.payload for tensor in builder.artifact.tensors]
    streams = {payload.stream for payload in payloads if isinstance(payload, RawPayload | SparsePayload)}
    if len(streams) != 1:  # a bundle of several models, or weights in files beside it
        return False
    model = _read(builder, streams.pop())
    starts: dict[int, TensorId] = {}
    for index, payload in enumerate(payloads):
        if isinstance(payload, RawPayload) and payload.spans:
            starts[payload.spans[0].offset] = TensorId(index)
        elif isinstance(payload, SparsePayload):
            starts[payload.values.offset] = TensorId(index)
    for graph in model.subgraphs:
        _Graph(builder, model, graph, starts).run()
    return bool(model.subgraphs)


def _read(builder: Builder, stream: Stream) -> Model:
    source = builder.reading.files.open_stream(stream)
    troubles: list[FormatError] = []
    limits = builder.reading.limits
    if (
        not builder.artifact.diagnostic_count
    ):  # parsing walked the same bytes, and nothing was wrong with them
        sound = read_model(root_table(source, schema("model")), troubles.append)
        if troubles:
            raise troubles[0]
        return sound
    walk = Walk(source, ByteMapBuilder(source.name, source.size, limits), limits, troubles.append)
    document = walk_flatbuffer(walk, schema("model"), MODEL)
    model = read_model(document.root, troubles.append) if document.sound else None
    if troubles or model is None:
        raise troubles[0] if troubles else FormatError("its structures overlap", source.name, 0)
    return model


@dataclass(slots=True)
class _Graph:
    """A subgraph whose channels are followed; ``moved`` are constants that an operator unpacks."""

    builder: Builder
    model: Model
    graph: SubGraph
    starts: Mapping[int, TensorId]
    made: dict[int, Wire] = field(default_factory=dict)
    moved: dict[int, TensorId] = field(default_factory=dict)

    def run(self) -> None:
        for index in self.graph.inputs:
            shape = self.shape(index)
            if shape and shape[-1] > 0:
                self.made[index] = self.builder.wires.new(shape[-1], len(shape))
                self.builder.wires.stop([self.made[index]], INPUTS)
        for operator in self.graph.operators:
            self._apply(operator)
        self.builder.wires.stop([self.wire(index) for index in self.graph.outputs], OUTPUTS)

    def shape(self, index: int) -> tuple[int, ...]:
        row = self.graph.tensors[index] if 0 <= index < len(self.graph.tensors) else None
        return row.shape if row is not None else ()

    def wire(self, index: int) -> Wire:
        return self.made.get(index) or unknown()

    def constant(self, index: int) -> TensorId | None:
        """Return the stored tensor that is meant, also where an operator unpacks it."""
        if index in self.moved:
            return self.moved[index]
        row = self.graph.tensors[index] if 0 <= index < len(self.graph.tensors) else None
        buffer = self.model.buffer(row.buffer) if row is not None else None
        return self.starts.get(buffer.offset) if buffer is not None else None

    def _apply(self, operator: Operator) -> None:
        name = operator.code.name
        first = operator.inputs[0] if operator.inputs else -1
        if name in ("DEQUANTIZE", "DENSIFY") and (stored := self.constant(first)) is not None:
            self.moved.update(dict.fromkeys(operator.outputs, stored))
            return
        given = [self.made[index] for index in operator.inputs if index in self.made]
        if name in ("GATHER", "EMBEDDING_LOOKUP") and any(
            self.constant(index) is not None for index in operator.inputs[:2]
        ):
            self.builder.wires.stop(given, "they choose rows")
            self._look_up(operator)
            return
        if name in ("SHAPE", "RANK") or not given:
            return
        rule = _RULES.get(name)
        try:
            if rule is None or len(operator.outputs) != 1 or operator.code.custom:
                raise UnfollowedError
            made = self._activated(operator, rule(_Use(self, operator)))
            self.builder.wires.spend(len(made.fixed))
            self.made[operator.outputs[0]] = replace(made, maker=self._maker(operator))
        except (
            UnfollowedError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # numbers can be anything
            more = f" {error}" if isinstance(error, UnfollowedError) and str(error) else ""
            self.builder.wires.stop(given, f"{name} takes them{more}")

    def _maker(self, operator: Operator) -> TensorId | None:
        """Return the kernel of an operator that has nothing but a kernel and a bias."""
        plain = operator.code.name in ("FULLY_CONNECTED", "CONV_2D") and len(operator.inputs) > 2
        if not plain or self.constant(operator.inputs[2]) is None:
            return None
        kernel = self.constant(operator.inputs[1])
        for reader in self.builder.wires.readers[-1:]:
            reader.plain = reader.kernel == kernel and reader.bias
        return kernel

    def _look_up(self, operator: Operator) -> None:
        """Let a table make channels: one for each of its columns."""
        tables = [found for index in operator.inputs[:2] if (found := self.constant(index)) is not None]
        shapes = [self.builder.artifact.tensors[table].shape for table in tables]
        after = self.shape(operator.outputs[0]) if len(operator.outputs) == 1 else ()
        if [len(shape) for shape in shapes] == [2] and after and shapes[0][1] == after[-1]:
            self.made[operator.outputs[0]] = self.builder.make(tables[0], 1, None, len(after))

    def _activated(self, operator: Operator, wire: Wire) -> Wire:
        options = operator.table.table("builtin_options")
        if options is None or "fused_activation_function" not in options.type.by_name:
            return wire
        fused = schema("model").enum_name(
            "ActivationFunctionType", options.value("fused_activation_function")
        )
        function = TFLITE.get(fused)
        if function is None:
            self.builder.wires.stop([wire], f"{fused} takes them")
            return unknown()
        return wire if function is same else self.builder.mapped(wire, function)


@dataclass(frozen=True, slots=True)
class _Use:
    """One operator."""

    graph: _Graph
    operator: Operator

    @property
    def builder(self) -> Builder:
        return self.graph.builder

    @property
    def name(self) -> str:
        """What reasons call it: the kernel's name, or the operator's."""
        kernel = self.constant(1)
        return self.operator.code.name if kernel is None else self.builder.artifact.tensors[kernel].name

    @property
    def given(self) -> Wire:
        return self.wire(0)

    def wire(self, place: int) -> Wire:
        """Return what an input is; raise where its channels are not followed."""
        wire = self.graph.wire(self.operator.inputs[place])
        if wire.ids is None:
            raise UnfollowedError
        return wire

    def constant(self, place: int) -> TensorId | None:
        return self.graph.constant(self.operator.inputs[place]) if place < len(self.operator.inputs) else None

    def kernel(self, place: int = 1) -> TensorId:
        """Return the weights; raise where they are computed or stored in another shape."""
        found = self.constant(place)
        if found is None or self.builder.artifact.tensors[found].shape != self.graph.shape(
            self.operator.inputs[place]
        ):
            raise UnfollowedError
        return found

    def shape(self, tensor: TensorId) -> tuple[int, ...]:
        return self.builder.artifact.tensors[tensor].shape

    @property
    def before(self) -> tuple[int, ...]:
        return self.graph.shape(self.operator.inputs[0])

    @property
    def after(self) -> tuple[int, ...]:
        return self.graph.shape(self.operator.outputs[0])

    def option(self, name: str) -> int:
        options = self.operator.table.table("builtin_options")
        return int(options.value(name)) if options is not None and name in options.type.by_name else 0

    def takes(self, bias: TensorId | None) -> bool:
        """Return whether a constant can go into the bias: rounded integers take none."""
        return bias is not None and self.builder.artifact.tensors[bias].dtype.kind is ElementKind.FLOAT

    def numbers(self, place: int) -> list[int]:
        """Return a short constant of whole numbers."""
        found = self.constant(place)
        tensor = self.builder.artifact.tensors[found] if found is not None else None
        if tensor is None or tensor.dtype.kind is not ElementKind.INT or tensor.element_count > _FEW:
            raise UnfollowedError
        payload = tensor.payload
        if not isinstance(payload, RawPayload) or len(payload.spans) != 1:
            raise UnfollowedError
        source = self.builder.reading.files.open_stream(payload.stream)
        data = source.read_at(payload.spans[0].offset, payload.spans[0].size)
        return [int(value) for value in np.frombuffer(data, f"<i{tensor.dtype.bits // 8}")]


_Rule = Callable[[_Use], Wire]


def _dense(use: _Use) -> Wire:
    kernel, bias = use.kernel(), use.constant(2)
    use.builder.read(use.name, use.given, kernel, 1, bias=use.takes(bias), folds=True, spreads=use.given.flat)
    return use.builder.make(kernel, 0, bias, len(use.after))


def _convolution(use: _Use) -> Wire:
    kernel, bias = use.kernel(), use.constant(2)
    shape = use.shape(kernel)
    if shape[-1] != use.before[-1]:
        raise UnfollowedError("in groups")
    folds = use.option("padding") != _SAME or max(shape[1:-1]) == 1
    use.builder.read(
        use.name, use.given, kernel, len(shape) - 1, bias=use.takes(bias), folds=folds, spreads=False
    )
    return use.builder.make(kernel, 0, bias, len(shape))


def _transposed(use: _Use) -> Wire:
    kernel, bias = use.kernel(), use.constant(3)
    rank = len(use.shape(kernel))
    use.builder.read(
        use.name, use.wire(2), kernel, rank - 1, bias=use.takes(bias), folds=False, spreads=False
    )
    return use.builder.make(kernel, 0, bias, rank)


def _depthwise(use: _Use) -> Wire:
    kernel = use.kernel()
    padded = use.option("padding") == _SAME and max(use.shape(kernel)[:-1]) > 1
    return use.builder.depthwise(use.name, use.given, kernel, -1, use.constant(2), padded=padded)


def _shaped(use: _Use) -> Wire:
    """Give an array another shape: with as long a last axis it has the same channels."""
    before, after = use.before, use.after
    given = use.given
    if before and after and given.ids is not None:
        if after[-1] == len(given.ids):
            return replace(given, flat=False, rank=len(after))
        if len(after) == 2 and after[1] % len(given.ids) == 0:
            return replace(given, flat=True, rank=2)
    raise UnfollowedError("in another shape")


def _reduced(use: _Use) -> Wire:
    rank = len(use.before)
    axes = {axis % rank for axis in use.numbers(1)}
    if axes != set(range(1, rank - 1)):
        raise UnfollowedError
    return use.builder.pooled(use.given, len(use.after))


def _padded(use: _Use) -> Wire:
    if use.before[-1] != use.after[-1] or use.given.flat:
        raise UnfollowedError
    return use.builder.padded(use.given)


def _moved(use: _Use) -> Wire:
    if use.before[-1:] != use.after[-1:] or use.given.flat:
        raise UnfollowedError
    return use.given


def _tiled(use: _Use) -> Wire:
    if use.numbers(1)[-1] != 1:
        raise UnfollowedError
    return _moved(use)


def _permuted(use: _Use) -> Wire:
    order = use.numbers(1)
    if order[0] != 0 or order[-1] != len(order) - 1:
        raise UnfollowedError
    return _moved(use)


def _joined(use: _Use) -> Wire:
    wires = [use.wire(place) for place in range(len(use.operator.inputs))]
    axis = use.option("axis")
    return (
        use.builder.joined(wires)
        if axis % len(use.after) == len(use.after) - 1
        else use.builder.stacked(wires)
    )


def _element_wise(combine: Callable[[Reals, Reals], Reals], *, zero_wins: bool = False) -> _Rule:
    """Combine two arrays, or one with a constant of one element for each channel or for all."""

    def rule(use: _Use) -> Wire:
        stored = [use.constant(place) for place in (0, 1)]
        if stored == [None, None]:
            made = use.builder.wires.merge([use.wire(0), use.wire(1)], combine, zero_wins=zero_wins)
            if made is None:
                raise UnfollowedError("beside channels that are not followed")
            return made
        place = 0 if stored[0] is None else 1
        constant = stored[1 - place]
        if constant is None:
            raise UnfollowedError
        turned = combine if not place else lambda one, other: combine(other, one)
        if use.builder.artifact.tensors[constant].element_count == 1:
            value = use.builder.values(constant, 1)
            return use.builder.mapped(use.wire(place), lambda values: turned(values, value))
        return use.builder.scaled(use.wire(place), [constant], lambda values, read: turned(values, read[0]))

    return rule


def _slope(use: _Use) -> Wire:
    if max(use.shape(use.kernel())[:-1], default=1) != 1:
        raise UnfollowedError
    return use.builder.scaled(
        use.given, [use.kernel()], lambda values, _: np.where(values >= 0, values, np.nan)
    )


def _function(use: _Use, function: Callable[[Reals], Reals]) -> Wire:
    return use.builder.mapped(use.given, function)


def _each(names: str, rule: _Rule) -> dict[str, _Rule]:
    return dict.fromkeys(names.split(), rule)


_RULES: Mapping[str, _Rule] = {
    **{name: partial(_function, function=function) for name, function in TFLITE.items()},
    **_each("AVERAGE_POOL_2D MAX_POOL_2D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR MIRROR_PAD", _moved),
    **_each("MEAN REDUCE_MAX", _reduced),
    **_each("PAD SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", _padded),
    **_each("RESHAPE SQUEEZE EXPAND_DIMS", _shaped),
    "ADD": _element_wise(np.add),
    "CONCATENATION": _joined,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAXIMUM": _element_wise(np.maximum),
    "MINIMUM": _element_wise(np.minimum),
    "MUL": _element_wise(np.multiply, zero_wins=True),
    "PRELU": _slope,
    "SUB": _element_wise(np.subtract),
    "TILE": _tiled,
    "TRANSPOSE": _permuted,
    "TRANSPOSE_CONV": _transposed,
}
"""What each operator does to channels; those that are not here end the way."""
