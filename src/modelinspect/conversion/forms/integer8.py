"""Rewrite a float model with int8 activations and weights.

An operator without an int8 kernel stays float32, between DEQUANTIZE and QUANTIZE. Source:
tensorflow/compiler/mlir/lite/quantization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from modelinspect.conversion.forms.integer_kernels import KERNELS
from modelinspect.conversion.forms.integer_parts import Decided, Names, Parts, quantized_bytes, rule_of
from modelinspect.conversion.forms.integer_scales import ScaleFlow, Step
from modelinspect.conversion.forms.rewrite import DEQUANTIZED, Operation, make_operation, numbers
from modelinspect.conversion.operators import DEQUANTIZE, FILL, INT8, INT32, QUANTIZE
from modelinspect.conversion.tree import Node
from modelinspect.core.records import dataclass, field
from modelinspect.measure.blocks import UnmeasurableError

MOST_WEIGHTS = 1 << 20
"""Of larger kernels that several operators take, channels of zeros are not looked for."""
MOST_NAMES = 1 << 26
"""Bytes that the names of what one operator makes may take together."""
_TENSOR = 128
"""Bytes of a tensor with its name."""
_NOTHING = 5e-7
"""Weights of smaller magnitude have the scale of zeros."""
QUANTIZED = b"tfl.quantize"
"""What the quantizer calls tensors that it makes where there was a range."""


def quantize_int8(parts: Parts, *, is_sparse: bool) -> Decided:
    """Quantize every operator that has an int8 kernel; return what the samples decide.

    Where it is to be sparse, tensors stay in an order in which they can be encoded.

    Raises `UnmeasurableError` where it is not known how an operator is quantized.
    """
    quantizer = _Int8(parts, len(parts.graph.tensors))
    quantizer.run(is_sparse=is_sparse)
    return Decided(0, quantizer.doubt)


@dataclass(slots=True)
class _Int8:
    """Quantizes one graph to int8.

    ``quantized`` are tensors that are no longer floats, ``whole`` and ``real`` the tensors of each value as
    integers and as floats, where they are not its own; ``before`` those that are made before any constant is
    quantized, ``order`` the quantized constants as they are made, ``rest`` what is computed. ``bases`` are
    what names begin with, ``named`` the tensors that operators take or make.
    """

    parts: Parts
    given: int
    quantized: set[int] = field(default_factory=set)
    whole: dict[int, int] = field(default_factory=dict)
    real: dict[int, int] = field(default_factory=dict)
    before: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    rest: list[int] = field(default_factory=list)
    operators: list[Operation] = field(default_factory=list)
    bases: dict[int, bytes] = field(default_factory=dict)
    again: dict[tuple[int, int], int] = field(default_factory=dict)
    copies: dict[tuple[int, int], int] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)
    flow: ScaleFlow = field(default_factory=lambda: ScaleFlow((), (), frozenset()))
    doubt: int = 0

    def run(self, *, is_sparse: bool) -> None:
        parts, graph = self.parts, self.parts.graph
        inputs, outputs = graph.node.vector("inputs").values, graph.node.vector("outputs").values
        steps = [self._step(operation) for operation in graph.operators]
        constants = frozenset(index for index in range(self.given) if parts.size(index))
        flow = self.flow = ScaleFlow(steps, inputs, constants)
        flow.run()
        scaled = flow.ranged | flow.passed
        self.quantized = {
            number
            for number, step in enumerate(steps)
            if step.is_quantizable
            and (step.inputs or step.outputs)
            and all(index in scaled for index in (*step.inputs, *step.outputs) if index not in constants)
        }
        self.named = {
            index
            for operation in graph.operators
            for end in ("inputs", "outputs")
            for index in operation.node.vector(end).values
        }
        self._fuse_names()
        for index in reversed([each for each in inputs if each in flow.passed]):
            self._value(index, inputs, outputs)
        self.before, self.rest = self.rest, []
        early, self.operators = self.operators, []
        for index in (each for each in inputs if each in flow.ranged):
            self._value(index, inputs, outputs)
        uses = self._uses(steps, constants)
        for number in sorted(self.quantized):
            self._constants(number, uses)
        for number, operation in enumerate(graph.operators):
            self._operator(number, operation, constants)
            for index in operation.node.vector("outputs").values:
                self.rest.append(index)
                if index in steps[number].outputs:
                    self._value(index, inputs, outputs)
        graph.operators = early + self.operators
        self._finish(constants)
        graph.is_ordered = not is_sparse

    def _fuse_names(self) -> None:
        """Give what an operator makes the names of all that it makes: so it is read again."""
        for operation in self.parts.graph.operators:
            outputs = operation.node.vector("outputs").values
            if len(outputs) > 1:
                names = b";".join(_name(self.parts.tensor(index)) for index in outputs)
                if len(names) * len(outputs) > MOST_NAMES:
                    raise UnmeasurableError("an operator makes so many tensors that their names are too long")
                self.bases.update(dict.fromkeys(outputs, names))

    def _uses(self, steps: Sequence[Step], constants: frozenset[int]) -> dict[int, list[_Use]]:
        """Return where operators take each constant of floats."""
        found: dict[int, list[_Use]] = {}
        for number, (step, operation) in enumerate(zip(steps, self.parts.graph.operators, strict=True)):
            _, bias, _ = KERNELS.get(step.code, (-1, -1, 0))
            for place, index in enumerate(operation.node.vector("inputs").values):
                if index in constants and index in step.inputs:
                    found.setdefault(index, []).append(_Use(number, place, step.is_same or place == bias))
        return found

    def _step(self, operation: Operation) -> Step:
        """Return which floats an operator takes and makes.

        Raises `UnmeasurableError` for one of which nothing is known.
        """
        inputs = operation.node.vector("inputs").values
        step = Step(
            operation.code,
            self.parts.floats(inputs),
            self.parts.floats(operation.node.vector("outputs").values),
            sum(index >= 0 for index in inputs),
        )
        if step.inputs or step.outputs:
            rule_of(operation)
        return step

    def _operator(self, number: int, operation: Operation, constants: frozenset[int]) -> None:
        """Give an operator the integers or the floats of what it takes."""
        inputs = operation.node.vector("inputs").values
        is_whole = number in self.quantized
        taken = []
        for place, index in enumerate(inputs):
            if index in constants:
                taken.append(self.copies.get((number, place), index))
            elif is_whole:
                taken.append(self.again.get((number, index), self.whole.get(index, index)))
            else:
                taken.append(self.real.get(index, index))
        operation.node.set(inputs=numbers(*taken))
        if is_whole:
            version = rule_of(operation).int8
            operation.version = max(operation.version, version or 1)
        self.operators.append(operation)

    def _value(self, index: int, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Make what else is needed of a value: its integers, its floats, and its integers at other scales."""
        flow = self.flow
        users = flow.users.get(index, [])
        is_made_whole = index not in inputs and flow.makers.get(index) in self.quantized
        wants_whole = any(number in self.quantized for number in users)
        if not is_made_whole and not (wants_whole and index in flow.ranged | flow.passed):
            return
        is_ranged = index in flow.ranged
        own = _name(self.parts.tensor(index))
        base = self.bases.get(index, own)
        whole = index
        if is_made_whole:
            self._to_whole(index)
        else:
            whole = self._copy(index, QUANTIZE, 1, QUANTIZED if is_ranged or index in inputs else base)
        self.whole[index] = whole
        if index in flow.again:
            name = QUANTIZED if index in inputs else base
            self._requantize(index, flow.again[index], users, name, is_output=index in outputs)
        if is_made_whole and (index in outputs or any(number not in self.quantized for number in users)):
            node = self.parts.as_float(index)
            self.real[index] = self._copy(
                self.whole[index], DEQUANTIZE, 2, DEQUANTIZED if is_ranged else base, node
            )
            if index in outputs:
                self.bases.pop(self.real[index])
                self.parts.tensor(self.real[index]).set(name=own)
                self.bases[index] = base

    def _to_whole(self, index: int) -> None:
        tensor = self.parts.tensor(index)
        tensor.set(type=INT8)
        tensor.set_node("quantization", self.parts.parameters())

    def _requantize(
        self, index: int, groups: Sequence[list[int]], users: Sequence[int], base: bytes, *, is_output: bool
    ) -> None:
        """Quantize a value again for those that take it at another scale; for all where it is replaced."""
        source = self.whole[index]
        replaces = len(users) + is_output <= len(groups)
        for group in groups:
            taking = [number for number in group if number in self.quantized]
            if group and not taking:
                continue
            made = self._copy(source, QUANTIZE, 1, base)
            if not group or replaces:
                self.whole[index], replaces = made, False
            else:
                self.again.update(((number, index), made) for number in taking)

    def _copy(self, index: int, code: int, version: int, base: bytes, node: Node | None = None) -> int:
        """Add a tensor that is made of another by quantizing it, and the operator that does so."""
        tensor = self.parts.tensor(index).copy() if node is None else node
        tensor.set(buffer=self.parts.model.add_buffer())
        tensor.drop("base")
        made = self.parts.add(tensor)
        if node is None:
            self._to_whole(made)
        self.bases[made] = base
        self.rest.append(made)
        self.operators.append(make_operation(code, version, index, made))
        return made

    def _constants(self, number: int, uses: Mapping[int, list[_Use]]) -> None:
        """Quantize the constants that one operator takes, unless that is done.

        A constant whose scale comes from others has a copy for each operator; the copies are made together.
        """
        for place, index in enumerate(self.parts.graph.operators[number].node.vector("inputs").values):
            if index not in uses or (number, place) in self.copies:
                continue
            mine = next(use for use in uses[index] if (use.number, use.place) == (number, place))
            group = [
                use for use in uses[index] if use.number in self.quantized and use.is_passed == mine.is_passed
            ]
            keys = [(use.number, use.place) for use in uses[index]]
            keeps = all(key[0] in self.quantized and key not in self.copies for key in keys)
            if mine.is_passed or self._is_adjusted(index, group):
                made_of = {use: index if keeps and use is group[0] else self._again(index) for use in group}
                self._doubt_copies(index, group, mine)
                for use in reversed(group):
                    self.copies[use.number, use.place] = made_of[use]
                    self._store(made_of[use], use)
                    self.parts.contents.setdefault(made_of[use], self._origin(index, use))
                continue
            made = index if keeps else self._again(index)
            self.copies.update(((use.number, use.place), made) for use in group)
            self._store(made, mine)

    def _is_adjusted(self, index: int, group: Sequence[_Use]) -> bool:
        """Return whether a kernel that several operators take has a channel of zeros with a bias.

        Its scale is so small that the bias would not fit, so each operator gets a kernel with another scale.
        """
        operation = self.parts.graph.operators[group[0].number]
        kernel, bias, axis = KERNELS.get(operation.code, (-1, -1, 0))
        shape = self.parts.tensor(index).vector("shape").values
        if len(group) < 2 or group[0].place != kernel or axis >= len(shape):
            return False
        inputs = operation.node.vector("inputs").values
        held = inputs[bias] if bias < len(inputs) else -1
        weights = self.parts.elements_of(index, MOST_WEIGHTS)
        added = self.parts.elements_of(held) if held >= 0 else None
        if weights is None or added is None or weights.size != prod(shape) or added.size != shape[axis]:
            return False
        others = tuple(number for number in range(len(shape)) if number != axis)
        is_nothing = (np.abs(weights.reshape(shape)) < _NOTHING).all(axis=others)
        return bool((is_nothing & (added != 0)).any())

    def _origin(self, index: int, use: _Use) -> object:
        """Return what is the same of equal copies of a constant: what its scale comes from."""
        if not use.is_passed:
            return "kernel", index
        step, inputs = (
            self.flow.steps[use.number],
            self.parts.graph.operators[use.number].node.vector("inputs"),
        )
        kernel, bias, _ = KERNELS.get(step.code, (-1, -1, 0))
        ends = [each for each in (*step.inputs, *step.outputs) if each not in self.flow.constants]
        scale = self.flow.scale_of(ends[0], use.number) if ends else use.number
        return index, scale, inputs.values[kernel] if use.place == bias else -1

    def _doubt_copies(self, index: int, group: Sequence[_Use], mine: _Use) -> None:
        """Count what may be stored once: whether copies of a constant are equal depends on the samples.

        Those of a bias that is not zero differ where what its operators take has other scales.
        """
        shape = self.parts.tensor(index).vector("shape").values
        code = self.parts.graph.operators[mine.number].code
        if not mine.is_passed:
            self.doubt += (len(group) - 1) * (12 * max(shape, default=0) + _TENSOR)
        elif code != FILL and mine.place != KERNELS.get(code, (-1, -1, 0))[1]:
            count = len({self._origin(index, use) for use in group})
            self.doubt += (count - 1) * (prod(shape) + _TENSOR)

    def _again(self, index: int) -> int:
        """Add a copy of a constant."""
        made = self.parts.add(self.parts.tensor(index).copy())
        self.bases[made] = _name(self.parts.tensor(index))
        return made

    def _store(self, index: int, use: _Use) -> None:
        """Store a constant as integers, for one operator."""
        operation = self.parts.graph.operators[use.number]
        kernel, bias, axis = KERNELS.get(operation.code, (-1, -1, 0))
        values = self.parts.elements_of(index)
        if use.place == kernel:
            shape = self.parts.tensor(index).vector("shape").values
            count = self.parts.channels(operation.code, shape, axis)
            kept = self.parts.model.kept.get(self.parts.tensor(index).number("buffer"))
            self.parts.store(index, INT8, 1, self.parts.parameters(count, axis))
            if (values is not None and not values.any()) or (kept is not None and not kept.float32):
                self.parts.contents[index] = bytes(prod(shape))
        elif use.place == bias:
            source = operation.node.vector("inputs").values[kernel]
            shape = self.parts.tensor(source).vector("shape").values
            count = self.parts.channels(operation.code, shape, axis) if self.parts.size(source) else 1
            self.parts.store(index, INT32, 4, self.parts.parameters(count))
            if values is not None and not values.any():
                self.parts.contents[index] = bytes(4 * values.size)
        else:
            self.parts.store(index, INT8, 1, self.parts.parameters())
            is_own = not use.is_passed or operation.code == FILL  # whose output has the constant's range
            if values is not None and is_own:
                self.parts.contents[index] = quantized_bytes(values, width=1)
        self.order.append(index)

    def _finish(self, constants: frozenset[int]) -> None:
        """Put tensors in the order of the quantizer, which names them in that order.

        Inputs are first, then constants that stay as they are, quantized ones from the last on, and what is
        computed.
        """
        graph, parts = self.parts.graph, self.parts
        inputs, outputs = graph.node.vector("inputs").values, graph.node.vector("outputs").values
        stored = set(self.order)
        used = dict.fromkeys(
            index
            for operation in graph.operators
            for index in operation.node.vector("inputs").values
            if index in constants and index not in stored
        )
        order = dict.fromkeys((*inputs, *used, *self.before, *reversed(self.order)))
        unused = [index for index in range(self.given) if index not in self.named]
        order.update(dict.fromkeys((*unused, *self.rest)))
        for operation in graph.operators:  # what no operator makes, in damaged models
            for end in ("inputs", "outputs"):
                order.update(
                    dict.fromkeys(index for index in operation.node.vector(end).values if index >= 0)
                )
        places = {index: place for place, index in enumerate(order)}
        for index in used:
            values = parts.elements_of(index)
            parts.contents[index] = None if values is None else values.tobytes()
        parts.share_buffers()
        ends = (*inputs, *(self.real.get(index, index) for index in outputs))
        names = Names(_name(parts.tensor(index)) for index in ends)
        parts.forget_names(self.bases, used, self.order)
        for index in (each for each in order if each not in ends):
            tensor = parts.tensor(index)
            tensor.set(name=names.give(self.bases.get(index) or _name(tensor)))
        for operation in graph.operators:
            for end in ("inputs", "outputs"):
                indices = operation.node.vector(end).values
                operation.node.set(**{end: numbers(*(places.get(index, index) for index in indices))})
        moved = {index: places.get(self.real.get(index, index), index) for index in (*inputs, *outputs)}
        parts.sign(moved)
        for end, indices in (("inputs", inputs), ("outputs", outputs)):
            graph.node.set(**{end: numbers(*(moved[index] for index in indices))})
        graph.outputs = frozenset(moved[index] for index in outputs)
        graph.tensors = [graph.tensors[index] for index in order]
        parts.count_buffers(len(graph.tensors))


@dataclass(frozen=True, slots=True)
class _Use:
    """Where an operator takes a constant; ``is_passed``: its scale comes from the operator's other ends."""

    number: int
    place: int
    is_passed: bool


def _name(tensor: Node) -> bytes:
    name = tensor.values.get("name")
    return name if isinstance(name, bytes) else b""
