"""Take a float model apart and rewrite it as the converter would: in float16, with int8 weights; `sparse.py`
encodes what is sparse.

Sources: tensorflow/compiler/mlir/lite: flatbuffer_export.cc (names), tools/versioning/op_version.cc
(versions), tools/optimize (1,024 elements).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from modelinspect.conversion.operators import (
    CONV,
    DENSIFY,
    DEPTHWISE,
    DEQUANTIZE,
    FLOAT16,
    FLOAT32,
    FULLY_CONNECTED,
    GATHER,
    INT8,
    SEQUENCE_LSTM,
    TRANSPOSE_CONV,
)
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.names import REDUCED_PRECISION
from modelinspect.core.records import dataclass, field
from modelinspect.measure.kept import Kept

MIN_ELEMENTS = 1_024
TENSORFLOW = "2.21.0"

_WEIGHTS = {CONV: (1,), DEPTHWISE: (1,), FULLY_CONNECTED: (1,), TRANSPOSE_CONV: (1,)}
_HYBRID_VERSIONS = {CONV: 5, DEPTHWISE: 6, FULLY_CONNECTED: 12, GATHER: 2, TRANSPOSE_CONV: 1}
_PER_CHANNEL = {CONV: 0, DEPTHWISE: 3, FULLY_CONNECTED: 0, TRANSPOSE_CONV: 0}


class Weights(StrEnum):
    """What the weights of a form are stored as."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "dynamic-int8"
    FULL_INT8 = "int8"
    INT16X8 = "int16x8"


@dataclass(frozen=True, slots=True)
class SparseTensor:
    """A tensor that the converter would encode: its bytes dense and sparse, and the zeros from which on
    sparse is smaller.

    ``lost`` are its inputs that are in no block: the converter drops their weights. ``is_hybrid`` says that
    these are int8 weights of a fully connected operator, whose input stays float32.
    """

    name: str
    dense: int
    sparse: int
    sparsity: float
    break_even: float
    block: int
    inputs: int
    lost: int
    is_hybrid: bool


@dataclass(slots=True)
class Operation:
    """An operator: its code, its version, and its node."""

    code: int
    version: int
    node: Node
    custom: bytes | None = None


@dataclass(slots=True)
class Graph:
    """A subgraph taken apart: its node, tensors and operators; ``is_ordered`` means that the tensors are in
    their final order.
    """

    node: Node
    tensors: list[Node]
    operators: list[Operation]
    outputs: frozenset[int]
    dropped: set[int] = field(default_factory=set)
    is_ordered: bool = False


@dataclass(slots=True)
class Model:
    """A model taken apart; ``kept`` describes the kernels by the index of their buffer.

    ``has_empty`` means that a sparse kernel of which nothing is kept has been stored; ``spare`` counts
    buffers that no tensor has any more. ``codes`` are operator codes that keep the first places, used or not.
    """

    root: Node
    graphs: list[Graph]
    buffers: list[Node]
    kept: Mapping[int, Kept]
    sparse: list[SparseTensor] = field(default_factory=list)
    has_empty: bool = False
    spare: int = 0
    codes: tuple[tuple[int, bytes | None], ...] = ()

    def add_buffer(self) -> int:
        """Add an empty buffer and return its index."""
        self.buffers.append(Node("Buffer"))
        return len(self.buffers) - 1

    def size_of(self, tensor: Node) -> int:
        """Return the bytes that a tensor's buffer holds; 0 where it is computed."""
        index = tensor.number("buffer")
        return self.buffers[index].vector("data").size if 0 <= index < len(self.buffers) else 0


def numbers(*values: int) -> Vector:
    """Return a vector of whole numbers of 4 bytes."""
    return Vector(len(values), 4, -1, values)


def take_apart(root: Node, kept: Mapping[int, Kept]) -> Model:
    """Return the parts of a model, which may be changed: the tree stays as it is."""
    codes = root.lists.get("operator_codes", [])
    graphs: list[Graph] = []
    for node in root.lists.get("subgraphs", []):
        operators = []
        for each in node.lists.get("operators", []):
            code = codes[each.number("opcode_index")]
            number = max(code.number("builtin_code"), code.number("deprecated_builtin_code"))
            custom = code.values.get("custom_code")
            operators.append(
                Operation(
                    number,
                    code.number("version", 1),
                    each.copy(),
                    custom if isinstance(custom, bytes) else None,
                )
            )
        tensors = [tensor.copy() for tensor in node.lists.get("tensors", [])]
        graphs.append(Graph(node.copy(), tensors, operators, frozenset(node.vector("outputs").values)))
    return Model(root.copy(), graphs, [buffer.copy() for buffer in root.lists.get("buffers", [])], kept)


def put_together(model: Model) -> Node:
    """Return the tree: operator codes are numbered as operators first use them, and share the highest
    version.
    """
    order: dict[tuple[int, bytes | None], int] = {key: place for place, key in enumerate(model.codes)}
    versions: dict[tuple[int, bytes | None], int] = {}
    names: dict[bytes, int] | None = {} if _is_halved(model) else None
    for graph in model.graphs:
        for operation in graph.operators:
            key = (operation.code, operation.custom)
            operation.node.values["opcode_index"] = order.setdefault(key, len(order))
            versions[key] = max(versions.get(key, 1), operation.version)
        graph.node.lists["tensors"] = [
            tensor for tensor in _in_order(model, graph, names) if id(tensor) not in graph.dropped
        ]
        graph.node.lists["operators"] = [operation.node for operation in graph.operators]
    root = model.root
    root.lists["operator_codes"] = [_code(key, versions[key]) for key in order]
    root.lists["subgraphs"] = [graph.node for graph in model.graphs]
    root.lists["buffers"] = model.buffers
    return root


def buffers_in_order(model: Model) -> list[Node]:
    """Return the buffers as the tensors have them, which moves paddings; then those that no tensor has.

    Their numbers are others then.
    """
    order: dict[int, None] = {0: None}
    last = {entry.number("buffer") for entry in model.root.lists.get("metadata", [])}
    for graph in model.graphs:
        order.update(dict.fromkeys(tensor.number("buffer") for tensor in graph.node.lists["tensors"]))
    rest = [index for index in range(len(model.buffers)) if index not in last and index not in order]
    spare = [index for index in rest if not model.buffers[index].vector("data").size][: model.spare]
    order.update(dict.fromkeys(index for index in rest if index not in spare))
    order.update(dict.fromkeys(entry.number("buffer") for entry in model.root.lists.get("metadata", [])))
    return [model.buffers[index] for index in order if 0 <= index < len(model.buffers)]


def _is_halved(model: Model) -> bool:
    """Return whether constants are stored in float16."""
    return any(
        tensor.number("type") == FLOAT16 and model.size_of(tensor)
        for graph in model.graphs
        for tensor in graph.tensors
    )


def _in_order(model: Model, graph: Graph, names: dict[bytes, int] | None) -> list[Node]:
    """Return tensors in the order in which the converter writes them, which moves paddings: quantized
    constants after the others.

    Where anything is sparse, the model was read and written again, and constants are before their first use.
    ``names`` counts those that were given so far, where they are given again.
    """
    if graph.is_ordered:
        return graph.tensors
    constants = [model.size_of(tensor) > 0 or "sparsity" in tensor.nodes for tensor in graph.tensors]
    if names is not None:
        return _in_half_order(graph, constants, names)
    if not any("sparsity" in tensor.nodes for tensor in graph.tensors):
        quantized = [
            is_constant and tensor.number("type") == INT8
            for is_constant, tensor in zip(constants, graph.tensors, strict=True)
        ]
        last = max((index for index, is_constant in enumerate(constants) if is_constant), default=-1) + 1
        head = [tensor for tensor, later in zip(graph.tensors[:last], quantized, strict=False) if not later]
        return (
            head
            + [tensor for tensor, later in zip(graph.tensors, quantized, strict=True) if later]
            + graph.tensors[last:]
        )
    order: dict[int, None] = dict.fromkeys(graph.node.vector("inputs").values)
    for number, operation in enumerate(graph.operators):
        inputs = operation.node.vector("inputs").values
        if operation.code == DENSIFY and number + 1 < len(
            graph.operators
        ):  # its user's constants were there before it
            order.update(
                dict.fromkeys(
                    i
                    for i in graph.operators[number + 1].node.vector("inputs").values
                    if i >= 0 and constants[i]
                )
            )
        order.update(
            dict.fromkeys(
                i for i in inputs if i >= 0 and constants[i] and "sparsity" not in graph.tensors[i].nodes
            )
        )
        order.update(dict.fromkeys(i for i in inputs if i >= 0 and constants[i]))
        order.update(dict.fromkeys(operation.node.vector("outputs").values))
    order.update(dict.fromkeys(range(len(graph.tensors))))
    return [graph.tensors[index] for index in order if 0 <= index < len(graph.tensors)]


def _in_half_order(graph: Graph, constants: list[bool], names: dict[bytes, int]) -> list[Node]:
    """Return tensors with the constants from the last on, what they are dequantized to, and what is
    computed.
    """
    widened = {
        index
        for each in graph.operators
        if each.code == DEQUANTIZE
        for index in each.node.vector("outputs").values
    }
    first = set(graph.node.vector("inputs").values)
    groups: tuple[list[Node], ...] = ([], [], [], [])
    for index, tensor in enumerate(graph.tensors):
        groups[0 if index in first else 1 if constants[index] else 2 if index in widened else 3].append(
            tensor
        )
    order = [*groups[0], *reversed(groups[1]), *groups[2], *groups[3]]
    _name_again(order, groups[2], names)
    return order


def _name_again(order: list[Node], widened: list[Node], taken: dict[bytes, int]) -> None:
    """Give names their numbers again, where it is known what they are without."""
    if any("base" not in tensor.values for tensor in order):
        return
    made = {id(tensor) for tensor in widened}
    for tensor in order:
        base = tensor.values["base"]
        if not isinstance(base, bytes) or not base:
            continue
        if base == b"arith.constant" and id(tensor) in made:
            base = b"tfl.dequantize"
        count = taken.get(base, 0)
        taken[base] = count + 1
        tensor.values["name"] = base + (str(count).encode() if count else b"")


def _code(key: tuple[int, bytes | None], version: int) -> Node:
    code, custom = key
    node = Node(
        "OperatorCode", {"deprecated_builtin_code": min(code, 127), "builtin_code": code, "version": version}
    )
    if custom is not None:
        node.values["custom_code"] = custom
    return node


def to_float16(model: Model) -> None:
    """Store every float constant in 2 bytes, and dequantize it before its use."""
    shared: set[int] = set()
    for graph in model.graphs:
        used = {index for operation in graph.operators for index in operation.node.vector("inputs").values}
        added: list[Operation] = []
        variables: set[int] = set()
        unnamed = 0
        for index, tensor in enumerate(list(graph.tensors)):
            if tensor.values.pop("is_variable", False):  # what starts as zeros becomes zeros that are stored
                size = 4 * int(np.prod(tensor.vector("shape").values, dtype=np.int64))
                tensor.values["buffer"] = tensor.number("zeros")
                model.buffers[tensor.number("buffer")].values["data"] = Vector(size, 1)
                variables.add(index)
            size = model.size_of(tensor)
            if tensor.number("type") != FLOAT32 or not size or index not in used:
                continue
            buffer = tensor.number("buffer")
            if buffer not in shared:
                shared.add(buffer)
                model.buffers[buffer].values["data"] = Vector(size // 2, 1)
            name = tensor.text("name")
            if name.startswith("arith.constant"):
                name = f"tfl.dequantize{unnamed or ''}"
                unnamed += 1
            else:
                name += "1"
            output = tensor.copy()
            output.values.update(name=name.encode(), buffer=model.add_buffer())
            if index in variables:
                output.values.update(is_variable=True, buffer=0)
            tensor.values["type"] = FLOAT16
            graph.tensors.append(output)
            place = len(graph.tensors) - 1
            _redirect(graph, index, place)
            added.append(make_operation(DEQUANTIZE, 3, index, place))
        graph.operators[:0] = added
    _share_zeros(model)
    add_metadata(model, REDUCED_PRECISION.encode(), 11)


def _share_zeros(model: Model) -> None:
    """Store zeros once for each size: of whole numbers and of floats they were as many bytes, and are no
    longer, or are now.
    """
    tensors = [
        tensor
        for graph in model.graphs
        for tensor in graph.tensors
        if "zeros" in tensor.values and model.size_of(tensor)
    ]
    sizes = [
        int(np.prod(tensor.vector("shape").values, dtype=np.int64))
        * (2 if tensor.number("type") == FLOAT16 else 4)
        for tensor in tensors
    ]
    for tensor in tensors:
        model.buffers[tensor.number("zeros")].values.pop("data", None)
    held: dict[int, int] = {}
    for tensor, size in zip(tensors, sizes, strict=True):
        index = held.setdefault(size, tensor.number("zeros"))
        tensor.values["buffer"] = index
        model.buffers[index].values["data"] = Vector(size, 1)


def to_int8(model: Model) -> None:
    """Store the weights of operators that have hybrid kernels in 1 byte, with a scale and a zero point for
    each output channel.
    """
    for graph in model.graphs:
        for operation in list(graph.operators):
            if operation.code == GATHER:
                _gather_int8(model, graph, operation)
                continue
            if operation.code == SEQUENCE_LSTM:
                _lstm_int8(model, graph, operation)
                continue
            inputs = operation.node.vector("inputs").values
            done = False
            for place in _WEIGHTS.get(operation.code, ()):
                if place < len(inputs) and inputs[place] >= 0:
                    done |= _quantize(model, graph.tensors[inputs[place]], _PER_CHANNEL.get(operation.code))
            if not done:
                continue
            operation.version = max(operation.version, _HYBRID_VERSIONS[operation.code])
            options = operation.node.nodes.get("builtin_options")
            if options is not None and operation.code == FULLY_CONNECTED:
                operation.node.nodes["builtin_options"] = changed = options.copy()
                changed.values["asymmetric_quantize_inputs"] = True


def _lstm_int8(model: Model, graph: Graph, operation: Operation) -> None:
    """Quantize the kernels of an LSTM if all of them are large enough; the names of constants get other
    numbers so.
    """
    kernels = [graph.tensors[index] for index in operation.node.vector("inputs").values[1:9] if index >= 0]
    if any(model.size_of(tensor) < 4 * MIN_ELEMENTS for tensor in kernels):
        return
    operation.version = 3
    for tensor in kernels:
        _quantize(model, tensor, None)
        if "base" in tensor.values:
            tensor.values["base"] = b"tfl.pseudo_qconst"
    for base in (b"arith.constant", b"tfl.pseudo_qconst"):
        same = (tensor for one in model.graphs for tensor in one.tensors if tensor.values.get("base") == base)
        for number, tensor in enumerate(same):
            tensor.values["name"] = base + (str(number).encode() if number else b"")


def _quantize(model: Model, tensor: Node, axis: int | None) -> bool:
    """Quantize a constant of 1,024 elements or more; return whether it is quantized."""
    if tensor.number("type") == INT8:
        return "quantization" in tensor.nodes
    size = model.size_of(tensor)
    if tensor.number("type") != FLOAT32 or size < 4 * MIN_ELEMENTS:
        return False
    shape = tensor.vector("shape").values
    channels = shape[axis] if axis is not None and axis < len(shape) else 1
    quantization = Node(
        "QuantizationParameters", {"scale": Vector(channels, 4), "zero_point": Vector(channels, 8)}
    )
    if axis:
        quantization.values["quantized_dimension"] = axis
    tensor.values["type"] = INT8
    tensor.nodes["quantization"] = quantization
    model.buffers[tensor.number("buffer")].values["data"] = Vector(size // 4, 1)
    return True


def _gather_int8(model: Model, graph: Graph, operation: Operation) -> None:
    """Gather int8 elements and dequantize what was gathered."""
    inputs, outputs = operation.node.vector("inputs").values, operation.node.vector("outputs").values
    if not inputs or not outputs or not _quantize(model, graph.tensors[inputs[0]], None):
        return
    operation.version = max(operation.version, 2)
    output = graph.tensors[outputs[0]]
    gathered = output.copy()
    gathered.values.update(type=INT8, buffer=model.add_buffer())
    gathered.nodes["quantization"] = graph.tensors[inputs[0]].nodes["quantization"]
    output.values["name"] = (graph.tensors[inputs[0]].text("name") + "1").encode()
    graph.tensors.append(gathered)
    place = len(graph.tensors) - 1
    operation.node.values["outputs"] = numbers(place)
    graph.operators.insert(
        graph.operators.index(operation) + 1, make_operation(DEQUANTIZE, 2, place, outputs[0])
    )


def make_operation(code: int, version: int, source: int, target: int) -> Operation:
    """Return an operator that makes one tensor of another."""
    return Operation(code, version, Node("Operator", {"inputs": numbers(source), "outputs": numbers(target)}))


def _redirect(graph: Graph, old: int, new: int) -> None:
    for operation in graph.operators:
        inputs = operation.node.vector("inputs").values
        if old in inputs:
            operation.node.values["inputs"] = numbers(*(new if index == old else index for index in inputs))


def add_metadata(model: Model, name: bytes, size: int) -> None:
    """Add an entry before the last, which describes the conversion."""
    buffer = model.add_buffer()
    model.buffers[buffer].values["data"] = Vector(size, 1)
    entries = model.root.lists.setdefault("metadata", [])
    entries.insert(max(len(entries) - 1, 0), Node("Metadata", {"name": name, "buffer": buffer}))
