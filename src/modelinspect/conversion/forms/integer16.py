"""Rewrite a float model with int16 activations and int8 weights.

Source: tensorflow/lite/tools/optimize (quantize_model.cc, operator_property.cc), which also stores the
smallest and the largest value of each tensor, and refuses a model with an operator that has no int16 kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.conversion.forms.integer_kernels import KERNELS, Scales
from modelinspect.conversion.forms.integer_parts import Decided, Parts, quantized_bytes, refused, rule_of
from modelinspect.conversion.forms.rewrite import Operation, make_operation, numbers
from modelinspect.conversion.operators import (
    ADD,
    CONV,
    DEQUANTIZE,
    FULLY_CONNECTED,
    INT8,
    INT64,
    MAXIMUM,
    MINIMUM,
    QUANTIZE,
    SPLIT,
    SUB,
    TRANSPOSE_CONV,
    codes,
)
from modelinspect.conversion.tree import Node
from modelinspect.core.records import dataclass, field

(PADV2,) = codes("BuiltinOperator", "PADV2")
_PARTS = frozenset(
    codes("BuiltinOperator", "AVERAGE_POOL_2D GATHER GATHER_ND REDUCE_MIN RESIZE_BILINEAR SUM")
)
"""Operators that pass on a scale, and seldom the value with the largest magnitude."""
_SLICES = frozenset(codes("BuiltinOperator", "SLICE SPLIT SPLIT_V STRIDED_SLICE UNPACK"))
"""Operators that divide a tensor: only all of its pieces together have the range of its scale."""
_LARGEST = frozenset(codes("BuiltinOperator", "MAX_POOL_2D REDUCE_MAX"))
"""Operators that pass on the largest value."""
_POSITIVE = frozenset(codes("BuiltinOperator", "ABS EXP RELU RELU6"))
_JOIN = 128
"""Bytes of an operator that quantizes a tensor again, with the tensor that it makes but for its name."""
_RECTIFIED = codes("ActivationFunctionType", "RELU RELU6")
_FIXED = -1
"""The scale of every range that needs no calibration."""


def quantize_int16(parts: Parts) -> Decided:
    """Quantize every operator; return what the samples decide.

    Raises `UnmeasurableError` where the converter refuses an operator, or it is not known what it does.
    """
    quantizer = _Int16(parts)
    quantizer.run()
    return Decided(quantizer.expected, quantizer.doubt)


@dataclass(slots=True)
class _Int16:
    """Quantizes one graph to int16.

    ``scales`` says for each tensor whose scale it has, ``before`` what goes before an operator, ``partial``
    which tensors have less than the range of their scale, ``positive`` which have no negative elements,
    ``pieces`` which others were divided into.
    """

    parts: Parts
    quantized: set[int] = field(default_factory=set)
    scales: dict[int, int] = field(default_factory=dict)
    before: dict[int, list[Operation]] = field(default_factory=dict)
    partial: set[int] = field(default_factory=set)
    positive: set[int] = field(default_factory=set)
    pieces: set[int] = field(default_factory=set)
    options: dict[tuple[int, int], Node] = field(default_factory=dict)
    expected: int = 0
    doubt: int = 0

    def run(self) -> None:
        parts, graph = self.parts, self.parts.graph
        for operation in graph.operators:
            rule = rule_of(operation)
            if rule.int16 is None:
                raise refused(operation.code)
        plain, count = self._plain(), len(graph.tensors)
        parts.model.codes = tuple(dict.fromkeys((each.code, each.custom) for each in graph.operators))
        for index in graph.node.vector("inputs").values:
            if parts.is_float(index):
                self._range(index, index)
        for operation in graph.operators:
            operation.version = max(operation.version, rule_of(operation).int16 or 1)
            self._constants(operation, plain)
            self._set_options(operation)
            self._outputs(operation)
        for operation in reversed(list(graph.operators)):
            if rule_of(operation).scales & Scales.JOINED:
                self._join(operation)
        graph.operators = [
            each
            for operation in graph.operators
            for each in (*reversed(self.before.get(id(operation), [])), operation)
        ]
        for index in range(len(graph.tensors)):
            if parts.size(index) and index not in self.quantized:
                values = parts.elements_of(index)
                parts.contents[index] = None if values is None else values.tobytes()
        parts.share_buffers()
        self._append(*(self._ends(name) for name in ("inputs", "outputs")))
        parts.count_buffers(count)

    def _plain(self) -> set[int]:
        """Return the constants that only operators of any number of inputs take: no ranges are stored."""
        found: dict[int, bool] = {}
        for operation in self.parts.graph.operators:
            is_joined = bool(rule_of(operation).scales & Scales.JOINED)
            for index in operation.node.vector("inputs").values:
                if index >= 0 and self.parts.size(index):
                    found[index] = found.get(index, True) and is_joined
        return {index for index, is_plain in found.items() if is_plain}

    def _constants(self, operation: Operation, plain: set[int]) -> None:
        """Quantize the constants that one operator takes."""
        parts = self.parts
        inputs = operation.node.vector("inputs").values
        kernel, bias, axis = KERNELS.get(operation.code, (-1, -1, 0))
        channels = 1
        if 0 <= kernel < len(inputs) and parts.size(inputs[kernel]):
            shape = parts.tensor(inputs[kernel]).vector("shape").values
            channels = parts.channels(operation.code, shape, axis)
        for place, index in enumerate(inputs):
            if not parts.is_float(index) or not parts.size(index) or (operation.code, place) == (PADV2, 2):
                continue
            values = parts.elements_of(index)
            if place == kernel:
                parts.store(index, INT8, 1, parts.parameters(channels, axis, ranges=True))
            elif place == bias:
                parts.store(index, parts.kind.biases, parts.kind.width, parts.parameters(channels))
                if values is not None and not values.any():
                    parts.contents[index] = bytes(parts.kind.width * values.size)
            else:
                ranges = index not in plain
                parts.store(index, parts.kind.activations, 2, parts.parameters(ranges=ranges))
                if values is not None:
                    parts.contents[index] = quantized_bytes(values, width=2)
            self.quantized.add(index)
            self.scales[index] = index

    def _outputs(self, operation: Operation) -> None:
        """Quantize what one operator makes."""
        parts, rule = self.parts, rule_of(operation)
        inputs, outputs = operation.node.vector("inputs").values, operation.node.vector("outputs").values
        first = inputs[1 if operation.code == SPLIT and len(inputs) > 1 else 0] if inputs else -1
        for index in outputs:
            if not parts.is_float(index):
                continue
            if rule.scales & Scales.FIXED:
                self._range(index, _FIXED)
            elif rule.scales & Scales.PASSED and first in self.scales:
                self._range(index, self.scales[first], first)
                if first in self.pieces or operation.code in _SLICES:
                    self.pieces.add(index)
                keeps = operation.code not in _PARTS and (
                    operation.code not in _LARGEST or first in self.positive
                )
                if first in self.partial or not keeps:
                    self.partial.add(index)
            else:
                self._range(index, index)
            options = operation.node.nodes.get("builtin_options")
            activation = 0 if options is None else options.number("fused_activation_function")
            is_passed = bool(rule.scales & Scales.PASSED) and first in self.positive
            is_passed |= bool(rule.scales & Scales.JOINED) and self.positive.issuperset(inputs)
            if operation.code in _POSITIVE or activation in _RECTIFIED or is_passed:
                self.positive.add(index)

    def _range(self, index: int, scale: int, source: int = -1) -> None:
        """Make a computed tensor one of integers."""
        tensor = self.parts.tensor(index)
        tensor.set(type=self.parts.kind.activations)
        ranges = scale != _FIXED
        if source >= 0:
            ranges = self.parts.tensor(source).nodes["quantization"].vector("min").count > 0
        tensor.set_node("quantization", self.parts.parameters(ranges=ranges))
        self.scales[index] = scale

    def _is_whole(self, index: int, operation: Operation) -> bool:
        """Return whether what an operator joins is likely to hold the largest magnitude of its scale, and to
        pass it on.
        """
        if self.parts.size(index):
            return True
        if index in self.partial or operation.code == MINIMUM:
            return False
        if operation.code == MAXIMUM and index not in self.positive:
            return False
        inputs = operation.node.vector("inputs").values
        return index not in self.pieces or len({self.scales.get(each) for each in inputs}) == 1

    def _join(self, operation: Operation) -> None:
        """Bring what an operator joins to one scale: that of the input with the largest range, so all the
        others are quantized again.

        Which input that is depends on the samples: here it is the first whose range comes from them, and not
        from a tensor that it is a part of.
        """
        inputs = list(operation.node.vector("inputs").values)
        taken = [place for place, index in enumerate(inputs) if index in self.scales]
        whole = [inputs[place] for place in taken if self._is_whole(inputs[place], operation)]
        known = [self.scales[index] for index in whole if self.scales[index] != _FIXED]
        limits = [scale for scale in known if self.parts.size(scale)]
        computed = [scale for scale in known if not self.parts.size(scale)]
        largest = next(iter(computed + limits), None)
        if len(whole) < len(taken):  # the largest value may be in one of these, and no input has that range
            one = _JOIN + max(len(self.parts.tensor(inputs[place]).text("name")) for place in taken)
            is_cut = any(inputs[place] in self.pieces and inputs[place] not in whole for place in taken)
            if is_cut:  # what was cut off may have been the largest or not: either is as likely
                self.expected += one // 8 * 4
            self.doubt += one // 2 if is_cut else one
        for place in taken:
            if self.scales[inputs[place]] == largest:
                continue
            again = self.parts.tensor(inputs[place]).copy()
            again.set(name=(again.text("name") + "_requantized").encode(), buffer=0)
            again.drop("has_rank")
            again.set_node("quantization", self.parts.parameters())
            made = self.parts.add(again)
            before = make_operation(QUANTIZE, 2, inputs[place], made)
            self.before.setdefault(id(operation), []).append(before)
            inputs[place] = made
        operation.node.set(inputs=numbers(*inputs))

    def _set_options(self, operation: Operation) -> None:
        """Say which type biases have, and that scales are not powers of two."""
        options = operation.node.nodes.get("builtin_options")
        if options is None:
            return
        more: dict[str, int | bool] = {}
        if operation.code in (CONV, FULLY_CONNECTED, TRANSPOSE_CONV):
            more["quantized_bias_type"] = INT64
        elif operation.code in (ADD, SUB):
            more["pot_scale_int16"] = False
        key = operation.code, id(options)  # the float model keeps the node, so the number stays its own
        changed = self.options.get(key)
        if changed is None:
            changed = self.options[key] = options.copy()
            changed.set(**more)
        operation.node.set_node("builtin_options", changed)

    def _ends(self, name: str) -> list[tuple[int, Node]]:
        """Return the float tensor at each quantized input or output."""
        indices = self.parts.graph.node.vector(name).values
        return [(index, self.parts.as_float(index)) for index in indices if index in self.scales]

    def _append(self, entries: Sequence[tuple[int, Node]], exits: Sequence[tuple[int, Node]]) -> None:
        """Put the float inputs and outputs after all tensors, without a buffer."""
        tensors, operators = self.parts.graph.tensors, self.parts.graph.operators
        for index, outer in (*entries, *exits):
            inner = self.parts.tensor(index)
            inner.set(name=(inner.text("name") + "_int16").encode())
            outer.set(buffer=0)
            outer.nodes = {}
            outer.shape = None
            outer.drop("has_rank")
            tensors.append(outer)
        first = len(tensors) - len(entries) - len(exits)
        for tensor in tensors:
            if not tensor.vector("shape").count:  # empty vectors are left out
                tensor.drop("shape")
        operators[:0] = [
            make_operation(QUANTIZE, 1, first + place, index) for place, (index, _) in enumerate(entries)
        ]
        self.parts.sign({index: first + place for place, (index, _) in enumerate((*entries, *exits))})
        first += len(entries)
        operators += [
            make_operation(DEQUANTIZE, 2, index, first + place) for place, (index, _) in enumerate(exits)
        ]
        if self.parts.model.release.has_debug_index:
            for operation in (*operators[: len(entries)], *operators[len(operators) - len(exits) :]):
                operation.node.set(debug_metadata_index=0)
        self.parts.graph.is_ordered = True
