"""Rewrite a float model as the full-integer quantizers would: int8 throughout, or int16 activations with int8
weights.

Sizes do not depend on the calibration: every computed tensor gets one scale and one zero point, every kernel
one for each output channel, every bias those of its kernel. Sources:
tensorflow/compiler/mlir/lite/quantization (int8), tensorflow/lite/tools/optimize (quantize_model.cc,
operator_property.cc: int16, which also stores the smallest and the largest value of each tensor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from modelinspect.conversion.forms.integer_kernels import (
    FIXED_RANGE,
    KERNELS,
    KINDS,
    READS_SHAPE,
    SAME_SCALE,
    VERSIONS,
    Kind,
)
from modelinspect.conversion.forms.rewrite import Graph, Model, Operation, Weights, make_operation, numbers
from modelinspect.conversion.operators import (
    ADD,
    CONV,
    DEPTHWISE,
    DEQUANTIZE,
    FLOAT32,
    FULLY_CONNECTED,
    INT8,
    INT64,
    QUANTIZE,
    SUB,
    TRANSPOSE_CONV,
)
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.records import dataclass, field
from modelinspect.measure.blocks import UnmeasurableError

MOST_TENSORS = 100_000


def to_integer(model: Model, weights: Weights, *, sparse: bool = False) -> None:
    """Quantize every float operator of a model; where it is to be ``sparse``, its tensors stay in an order in
    which they can be encoded.

    Raises `UnmeasurableError` where it is not known how one is quantized.
    """
    if len(model.graphs) != 1:
        raise UnmeasurableError("it has loops, and it is not known how those are quantized")
    graph = model.graphs[0]
    if len(graph.tensors) > MOST_TENSORS:
        raise UnmeasurableError(f"it has more than {MOST_TENSORS:,} tensors")
    if not KINDS[weights].keeps_ranges and _share_kernels(model, graph):
        raise UnmeasurableError("layers share a kernel, and it is not known when their biases are copied")
    _Quantizer(model, graph, KINDS[weights], set(), set(), is_sparse=sparse).run()


def _share_kernels(model: Model, graph: Graph) -> bool:
    """Return whether several products or convolutions take the same kernel."""
    taken: set[int] = set()
    for operation in graph.operators:
        if operation.code not in (CONV, DEPTHWISE, FULLY_CONNECTED):
            continue
        inputs = [index for index in operation.node.vector("inputs").values[1:2] if index >= 0]
        held = [index for index in inputs if model.size_of(graph.tensors[index])]
        if not taken.isdisjoint(held):
            return True
        taken.update(held)
    return False


@dataclass(slots=True)
class _Quantizer:
    """Quantizes one graph.

    ``quantized`` are its constants by index, ``ranged`` the computed tensors that are no longer floats,
    ``inserted`` the operators that go before others. Equal ``parameters`` and ``options`` are one node.
    """

    model: Model
    graph: Graph
    kind: Kind
    quantized: set[int]
    ranged: set[int]
    copies: dict[int, int] = field(default_factory=dict)
    inserted: list[tuple[Operation, Operation]] = field(default_factory=list)
    is_sparse: bool = False
    parameters: dict[tuple[int, int, bool], Node] = field(default_factory=dict)
    options: dict[tuple[int, int], Node] = field(default_factory=dict)

    def run(self) -> None:
        order: list[int] = []
        for operation in self.graph.operators:
            if self._is_float(operation):
                order += self._operation(operation)
            elif (
                self.kind.keeps_ranges and operation.code in VERSIONS
            ):  # the version is that of the code, whatever it works on
                operation.version = max(operation.version, VERSIONS[operation.code][1])
        for operation, before in self.inserted:
            self.graph.operators.insert(self.graph.operators.index(operation), before)
        borders = self._enter(), self._leave()
        if self.is_sparse:
            self._surround(*borders)
        elif self.kind.keeps_ranges:
            self._append(*borders)
        else:
            self._arrange(order, *borders)

    def _is_float(self, operation: Operation) -> bool:
        """Return whether an operator makes floats.

        Raises `UnmeasurableError` for one without a full-integer kernel.
        """
        outputs = operation.node.vector("outputs").values
        inputs = operation.node.vector("inputs").values
        makes = any(self._type(index) == FLOAT32 for index in outputs)
        takes = any(index >= 0 and self._type(index) == FLOAT32 and not self._size(index) for index in inputs)
        if makes and operation.code not in VERSIONS:
            raise UnmeasurableError(f"not known how operator {operation.code} is quantized")
        if (
            takes
            and not makes
            and operation.code not in READS_SHAPE
            and any(index in self.ranged for index in inputs)
        ):
            raise UnmeasurableError(f"operator {operation.code} makes whole numbers of what is quantized")
        return makes

    def _operation(self, operation: Operation) -> list[int]:
        """Quantize one operator; return its constants that became integers, in the order in which that
        happens.
        """
        inputs = operation.node.vector("inputs").values
        versions = VERSIONS[operation.code]
        operation.version = max(operation.version, versions[self.kind.keeps_ranges])
        kernel, bias, axis = KERNELS.get(operation.code, (-1, -1, 0))
        changed = []
        channels = 1
        for place, index in enumerate(inputs):
            if index >= 0 and place == bias and index in self.quantized and not self.kind.keeps_ranges:
                index = self._again(operation, place)
            elif index < 0 or not self._size(index) or self._type(index) != FLOAT32:
                continue
            shape = self._tensor(index).vector("shape").values
            if place == kernel:
                channels = shape[axis] if axis < len(shape) else 1
                self._store(index, INT8, 1, channels, axis, ranges=True)
            elif place == bias:
                self._store(index, self.kind.biases, self.kind.width, channels, 0, ranges=False)
            else:
                self._store(
                    index, self.kind.activations, 2 if self.kind.keeps_ranges else 1, 1, 0, ranges=True
                )
            changed.append(index)
        self._set_options(operation)
        if operation.code in SAME_SCALE and self.kind.keeps_ranges:
            self._requantize(operation)
            inputs = operation.node.vector("inputs").values
        fixed = operation.code in FIXED_RANGE
        for index in (*inputs, *operation.node.vector("outputs").values):
            if index >= 0 and self._type(index) == FLOAT32 and not self._size(index):
                is_output = index in operation.node.vector("outputs").values
                self._range(index, ranges=not (fixed and is_output))
        return changed

    def _requantize(self, operation: Operation) -> None:
        """Bring what an operator joins to one scale: that of the input with the largest range, so all the
        others are quantized again.
        """
        inputs = list(operation.node.vector("inputs").values)
        computed = [place for place, index in enumerate(inputs) if index >= 0 and not self._size(index)]
        for place in computed[1:]:
            outer = self._tensor(inputs[place])
            self._range(inputs[place], ranges=True)
            again = outer.copy()
            again.set(name=(outer.text("name") + "_requantized").encode(), buffer=0)
            again.drop("has_rank")
            self.graph.tensors.append(again)
            made = len(self.graph.tensors) - 1
            self.ranged.add(made)
            self.inserted.append((operation, make_operation(QUANTIZE, 2, inputs[place], made)))
            inputs[place] = made
        operation.node.set(inputs=numbers(*inputs))

    def _set_options(self, operation: Operation) -> None:
        """Say which type biases have, and that scales are not powers of two, where activations are int16."""
        options = operation.node.nodes.get("builtin_options")
        if options is None or not self.kind.keeps_ranges:
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

    def _store(self, index: int, kind: int, width: int, channels: int, axis: int, *, ranges: bool) -> None:
        """Store a constant as integers."""
        tensor = self._tensor(index)
        self.quantized.add(index)
        count = prod(tensor.vector("shape").values)
        tensor.set(type=kind)
        tensor.set_node("quantization", self._parameters(channels, axis, ranges=ranges))
        self.model.store(tensor.number("buffer"), count * width)

    def _again(self, operation: Operation, place: int) -> int:
        """Give an operator its own tensor of a bias that several have: each has the scales of its kernel.

        Return its index.
        """
        inputs = operation.node.vector("inputs").values
        tensor = self._tensor(inputs[place]).copy()
        count = self.copies.get(inputs[place], 0) + 1
        self.copies[inputs[place]] = count
        self.model.add_buffer()  # its own is there, and empty
        tensor.set(name=(tensor.text("name") + str(count)).encode())
        tensor.set(type=FLOAT32)
        self.graph.tensors.append(tensor)
        index = len(self.graph.tensors) - 1
        operation.node.set(
            inputs=numbers(*(index if number == place else each for number, each in enumerate(inputs)))
        )
        return index

    def _range(self, index: int, *, ranges: bool) -> None:
        """Make a computed tensor one of integers."""
        tensor = self._tensor(index)
        self.ranged.add(index)
        tensor.set(type=self.kind.activations)
        tensor.set_node("quantization", self._parameters(1, 0, ranges=ranges))

    def _parameters(self, count: int, axis: int, *, ranges: bool) -> Node:
        key = count, axis, ranges
        if key in self.parameters:
            return self.parameters[key]
        node = Node("QuantizationParameters", {"scale": Vector(count, 4), "zero_point": Vector(count, 8)})
        if ranges and self.kind.keeps_ranges:
            node.set(min=Vector(count, 4), max=Vector(count, 4))
        if axis:
            node.set(quantized_dimension=axis)
        self.parameters[key] = node
        return node

    def _enter(self) -> list[tuple[int, Node]]:
        """Return the float tensor before each quantized input."""
        inputs = self.graph.node.vector("inputs").values
        return [(index, self._float(index)) for index in inputs if index in self.ranged]

    def _leave(self) -> list[tuple[int, Node]]:
        """Return the float tensor after each quantized output."""
        outputs = self.graph.node.vector("outputs").values
        return [(index, self._float(index)) for index in outputs if index in self.ranged]

    def _float(self, index: int) -> Node:
        tensor = self._tensor(index).copy()
        tensor.set(type=FLOAT32)
        tensor.nodes = {"quantization": Node("QuantizationParameters")}
        tensor.shape = None
        return tensor

    def _append(self, entries: Sequence[tuple[int, Node]], exits: Sequence[tuple[int, Node]]) -> None:
        """Put the float inputs and outputs after all tensors, without a buffer, as quantize_model.cc does."""
        tensors, operators = self.graph.tensors, self.graph.operators
        for index, outer in (*entries, *exits):
            inner = self._tensor(index)
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
        self.model.codes = tuple(dict.fromkeys((operation.code, operation.custom) for operation in operators))
        operators[:0] = [
            make_operation(QUANTIZE, 1, first + place, index) for place, (index, _) in enumerate(entries)
        ]
        places = {index: first + place for place, (index, _) in enumerate((*entries, *exits))}
        self._sign(places)
        first += len(entries)
        operators += [
            make_operation(DEQUANTIZE, 2, index, first + place) for place, (index, _) in enumerate(exits)
        ]
        self.graph.is_ordered = True

    def _sign(self, places: Mapping[int, int]) -> None:
        """Let the signatures name other tensors; other forms share the signatures, so they are copied."""
        signatures = [signature.copy() for signature in self.model.root.lists.get("signature_defs", [])]
        for signature in signatures:
            for key in ("inputs", "outputs"):
                ends = [end.copy() for end in signature.lists.get(key, ())]
                signature.set_list(key, ends)
                for end in ends:
                    index = end.number("tensor_index")
                    end.set(tensor_index=places.get(index, index))
        if signatures:
            self.model.root.set_list("signature_defs", signatures)

    def _surround(self, entries: Sequence[tuple[int, Node]], exits: Sequence[tuple[int, Node]]) -> None:
        """Put the float inputs and outputs after all tensors, and quantize between: the encoder reads the
        model again, and writes its own order.
        """
        graph, tensors, operators = self.graph, self.graph.tensors, self.graph.operators
        places: dict[int, int] = {}
        for place, (index, outer) in enumerate(entries):
            tensors[index].set(name=f"tfl.quantize{place or ''}".encode(), buffer=self.model.add_buffer())
            tensors[index].drop("base")
            places[index] = len(tensors)
            tensors.append(outer)
            operators.insert(place, make_operation(QUANTIZE, 1, places[index], index))
        for index, outer in exits:
            inner = tensors[index]
            inner.set(name=(inner.text("name") + "1").encode())
            outer.set(buffer=self.model.add_buffer())
            places[index] = len(tensors)
            tensors.append(outer)
            operators.append(make_operation(DEQUANTIZE, 2, index, places[index]))
        for name in ("inputs", "outputs"):
            ends = graph.node.vector(name).values
            graph.node.set(**{name: numbers(*(places.get(index, index) for index in ends))})
        graph.outputs = frozenset(graph.node.vector("outputs").values)

    def _arrange(
        self, order: Sequence[int], entries: Sequence[tuple[int, Node]], exits: Sequence[tuple[int, Node]]
    ) -> None:
        """Put tensors in the order of the quantizer: floats of inputs, other constants by first use,
        quantized ones from the last on.
        """
        graph, tensors = self.graph, self.graph.tensors
        constants = {index for index in range(len(tensors)) if self._size(index)}
        used = dict.fromkeys(
            index
            for operation in graph.operators
            for index in operation.node.vector("inputs").values
            if index in constants and index not in self.quantized
        )
        inputs = graph.node.vector("inputs").values
        outer = dict(entries)
        head = [outer.get(index, tensors[index]) for index in inputs]
        head += [tensors[index] for index in used]
        head += [tensors[index] for index in reversed(list(dict.fromkeys(order)))]
        for place, (index, _) in enumerate(entries):
            tensors[index].set(name=f"tfl.quantize{place or ''}".encode(), buffer=self.model.add_buffer())
            tensors[index].drop("base")
            head.append(tensors[index])
        for index, node in exits:
            node.set(buffer=self.model.add_buffer())
            inner = tensors[index]
            inner.set(name=(inner.text("name") + "1").encode())
        left = {id(node) for node in head}
        after = {id(tensors[index]): node for index, node in exits}
        rest = []
        for index, tensor in enumerate(tensors):
            if id(tensor) not in left and index not in constants:
                rest.append(tensor)
        rest += [after[id(tensors[index])] for index, _ in exits]
        operators = graph.operators
        operators[:0] = [make_operation(QUANTIZE, 1, index, index) for index, _ in entries]
        operators += [make_operation(DEQUANTIZE, 2, index, index) for index, _ in exits]
        unused = [tensors[index] for index in sorted(constants - set(used) - self.quantized)]
        graph.tensors = [*head, *unused, *rest]
        graph.is_ordered = True
        graph.node.set(inputs=numbers(*range(len(inputs))))

    def _tensor(self, index: int) -> Node:
        if not 0 <= index < len(self.graph.tensors):
            raise UnmeasurableError(f"an operator names tensor {index}, which is not there")
        return self.graph.tensors[index]

    def _type(self, index: int) -> int:
        return self._tensor(index).number("type")

    def _size(self, index: int) -> int:
        return self.model.size_of(self._tensor(index))
