"""Rewrites a float model as the converter would: in float16, with int8 weights, with sparse weights.

Sources: tensorflow/compiler/mlir/lite: transforms/dense_to_sparse_pass.cc (threshold, blocks, DENSIFY), flatbuffer_export.cc (width of
indices, names), tools/versioning/op_version.cc (versions), tools/optimize (1,024 elements).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from modelinspect.analyses.plan.tflite.tree import Node, Vector
from modelinspect.measure.kept import FLOAT_BLOCK, INT8_BLOCK, Kept

FLOAT32, FLOAT16, INT32, INT8 = 0, 1, 2, 9
"""TensorType in schema.fbs."""
CONV, DEPTHWISE, DEQUANTIZE, FULLY_CONNECTED, GATHER, LSTM, SEQUENCE_LSTM, TRANSPOSE_CONV, DENSIFY = 3, 4, 6, 9, 36, 16, 44, 67, 124
"""BuiltinOperator in schema.fbs."""
MIN_SPARSITY = np.float32(0.3)
BLOCK_RATIO, INT8_BLOCK_RATIO = 0.9, 0.8
MIN_ELEMENTS = 1_024
TENSORFLOW = "2.21.0"

SPARSE_OPERATORS = (CONV, DEPTHWISE, FULLY_CONNECTED, TRANSPOSE_CONV)
_WEIGHTS = {CONV: (1,), DEPTHWISE: (1,), FULLY_CONNECTED: (1,), TRANSPOSE_CONV: (1,), LSTM: range(1, 12), SEQUENCE_LSTM: range(1, 12)}
_HYBRID_VERSIONS = {CONV: 5, DEPTHWISE: 6, FULLY_CONNECTED: 12, GATHER: 2, SEQUENCE_LSTM: 3, LSTM: 4, TRANSPOSE_CONV: 1}
_PER_CHANNEL = {CONV: 0, DEPTHWISE: 3, FULLY_CONNECTED: 0, TRANSPOSE_CONV: 0}


class Weights(StrEnum):
    """What the weights of a form are stored as."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "dynamic-int8"


@dataclass(frozen=True, slots=True)
class SparseTensor:
    """A tensor that the converter would encode: its bytes dense and sparse, and the zeros from which on sparse is smaller.

    ``lost`` are its inputs that are in no block: the converter drops their weights.
    """

    name: str
    dense: int
    sparse: int
    sparsity: float
    break_even: float
    block: int
    inputs: int
    lost: int


@dataclass(slots=True)
class Operation:
    """An operator: its code, its version, and its node."""

    code: int
    version: int
    node: Node
    custom: bytes | None = None


@dataclass(slots=True)
class Graph:
    """A subgraph taken apart: its node, tensors and operators."""

    node: Node
    tensors: list[Node]
    operators: list[Operation]
    outputs: frozenset[int]


@dataclass(slots=True)
class Model:
    """A model taken apart; ``kept`` tells of the kernels by the index of their buffer.

    ``has_empty`` tells that a sparse kernel of which nothing is kept has been stored.
    """

    root: Node
    graphs: list[Graph]
    buffers: list[Node]
    kept: Mapping[int, Kept]
    sparse: list[SparseTensor] = field(default_factory=list)
    has_empty: bool = False

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
            operators.append(Operation(number, code.number("version", 1), each.copy(), custom if isinstance(custom, bytes) else None))
        tensors = [tensor.copy() for tensor in node.lists.get("tensors", [])]
        graphs.append(Graph(node.copy(), tensors, operators, frozenset(node.vector("outputs").values)))
    return Model(root.copy(), graphs, [buffer.copy() for buffer in root.lists.get("buffers", [])], kept)


def put_together(model: Model) -> Node:
    """Return the tree: operator codes are numbered as operators first use them, and share the highest version."""
    order: dict[tuple[int, bytes | None], int] = {}
    versions: dict[tuple[int, bytes | None], int] = {}
    for graph in model.graphs:
        for operation in graph.operators:
            key = (operation.code, operation.custom)
            operation.node.values["opcode_index"] = order.setdefault(key, len(order))
            versions[key] = max(versions.get(key, 1), operation.version)
        graph.node.lists["tensors"] = _in_order(model, graph)
        graph.node.lists["operators"] = [operation.node for operation in graph.operators]
    root = model.root
    root.lists["operator_codes"] = [_code(key, versions[key]) for key in order]
    root.lists["subgraphs"] = [graph.node for graph in model.graphs]
    root.lists["buffers"] = model.buffers
    return root


def buffers_in_order(model: Model) -> list[Node]:
    """Return the buffers as the tensors have them, which moves paddings; then those that no tensor has. Their numbers are others then."""
    order: dict[int, None] = {0: None}
    last = {entry.number("buffer") for entry in model.root.lists.get("metadata", [])}
    for graph in model.graphs:
        order.update(dict.fromkeys(tensor.number("buffer") for tensor in graph.node.lists["tensors"]))
    order.update(dict.fromkeys(index for index in range(len(model.buffers)) if index not in last))
    order.update(dict.fromkeys(entry.number("buffer") for entry in model.root.lists.get("metadata", [])))
    return [model.buffers[index] for index in order if 0 <= index < len(model.buffers)]


def _in_order(model: Model, graph: Graph) -> list[Node]:
    """Return tensors in the order in which the converter writes them, which moves paddings: quantized constants after the others.

    Where anything is sparse, the model was read and written once more, and constants stand before their first use.
    """
    constants = [model.size_of(tensor) > 0 or "sparsity" in tensor.nodes for tensor in graph.tensors]
    if any(tensor.number("type") == FLOAT16 for tensor, is_constant in zip(graph.tensors, constants, strict=True) if is_constant):
        return _in_half_order(graph, constants)
    if not any("sparsity" in tensor.nodes for tensor in graph.tensors):
        quantized = [is_constant and tensor.number("type") == INT8 for is_constant, tensor in zip(constants, graph.tensors, strict=True)]
        last = max((index for index, is_constant in enumerate(constants) if is_constant), default=-1) + 1
        head = [tensor for tensor, later in zip(graph.tensors[:last], quantized, strict=False) if not later]
        return head + [tensor for tensor, later in zip(graph.tensors, quantized, strict=True) if later] + graph.tensors[last:]
    order: dict[int, None] = dict.fromkeys(graph.node.vector("inputs").values)
    for number, operation in enumerate(graph.operators):
        inputs = operation.node.vector("inputs").values
        if operation.code == DENSIFY and number + 1 < len(graph.operators):  # its user's constants were there before it
            order.update(dict.fromkeys(i for i in graph.operators[number + 1].node.vector("inputs").values if i >= 0 and constants[i]))
        order.update(dict.fromkeys(i for i in inputs if i >= 0 and constants[i] and "sparsity" not in graph.tensors[i].nodes))
        order.update(dict.fromkeys(i for i in inputs if i >= 0 and constants[i]))
        order.update(dict.fromkeys(operation.node.vector("outputs").values))
    order.update(dict.fromkeys(range(len(graph.tensors))))
    return [graph.tensors[index] for index in order if 0 <= index < len(graph.tensors)]


def _in_half_order(graph: Graph, constants: list[bool]) -> list[Node]:
    """Return tensors with the constants from the last on, what they are dequantized to, and what is computed."""
    widened = {index for each in graph.operators if each.code == DEQUANTIZE for index in each.node.vector("outputs").values}
    first = set(graph.node.vector("inputs").values)
    groups: tuple[list[Node], ...] = ([], [], [], [])
    for index, tensor in enumerate(graph.tensors):
        groups[0 if index in first else 1 if constants[index] else 2 if index in widened else 3].append(tensor)
    order = [*groups[0], *reversed(groups[1]), *groups[2], *groups[3]]
    _name_again(order, groups[2])
    return order


def _name_again(order: list[Node], widened: list[Node]) -> None:
    """Give names their numbers once more, where it is known what they are without."""
    if any("base" not in tensor.values for tensor in order):
        return
    taken: dict[bytes, int] = {}
    made = {id(tensor) for tensor in widened}
    unnamed = 0
    for tensor in order:
        base = tensor.values["base"]
        if not isinstance(base, bytes) or not base:
            continue
        if base == b"arith.constant" and id(tensor) in made:
            tensor.values["name"] = f"tfl.dequantize{unnamed or ''}".encode()
            unnamed += 1
            continue
        count = taken.get(base, 0)
        taken[base] = count + 1
        tensor.values["name"] = base + (str(count).encode() if count else b"")


def _code(key: tuple[int, bytes | None], version: int) -> Node:
    code, custom = key
    node = Node("OperatorCode", {"deprecated_builtin_code": min(code, 127), "builtin_code": code, "version": version})
    if custom is not None:
        node.values["custom_code"] = custom
    return node


def to_float16(model: Model) -> None:
    """Store every float constant in 2 bytes, and dequantize it before its use."""
    shared: set[int] = set()
    for graph in model.graphs:
        used = {index for operation in graph.operators for index in operation.node.vector("inputs").values}
        added: list[Operation] = []
        unnamed = 0
        for index, tensor in enumerate(list(graph.tensors)):
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
            tensor.values["type"] = FLOAT16
            graph.tensors.append(output)
            place = len(graph.tensors) - 1
            _redirect(graph, index, place)
            added.append(_operation(DEQUANTIZE, 3, index, place))
        graph.operators[:0] = added
    _share_zeros(model)
    _add_metadata(model, b"reduced_precision_support", 11)


def _share_zeros(model: Model) -> None:
    """Store zeros once for each size: of whole numbers and of floats they were as many bytes, and are no longer, or are now."""
    tensors = [tensor for graph in model.graphs for tensor in graph.tensors if "zeros" in tensor.values and model.size_of(tensor)]
    sizes = [
        int(np.prod(tensor.vector("shape").values, dtype=np.int64)) * (2 if tensor.number("type") == FLOAT16 else 4) for tensor in tensors
    ]
    for tensor in tensors:
        model.buffers[tensor.number("zeros")].values.pop("data", None)
    held: dict[int, int] = {}
    for tensor, size in zip(tensors, sizes, strict=True):
        index = held.setdefault(size, tensor.number("zeros"))
        tensor.values["buffer"] = index
        model.buffers[index].values["data"] = Vector(size, 1)


def to_int8(model: Model) -> None:
    """Store the weights of operators that have hybrid kernels in 1 byte, with a scale and a zero point for each output channel."""
    for graph in model.graphs:
        for operation in list(graph.operators):
            if operation.code == GATHER:
                _gather_int8(model, graph, operation)
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
            if options is not None and operation.code in (FULLY_CONNECTED, LSTM, SEQUENCE_LSTM):
                operation.node.nodes["builtin_options"] = changed = options.copy()
                changed.values["asymmetric_quantize_inputs"] = True


def _quantize(model: Model, tensor: Node, axis: int | None) -> bool:
    """Quantize a constant of 1,024 elements or more; tell whether it is quantized."""
    if tensor.number("type") == INT8:
        return True
    size = model.size_of(tensor)
    if tensor.number("type") != FLOAT32 or size < 4 * MIN_ELEMENTS:
        return False
    shape = tensor.vector("shape").values
    channels = shape[axis] if axis is not None and axis < len(shape) else 1
    quantization = Node("QuantizationParameters", {"scale": Vector(channels, 4), "zero_point": Vector(channels, 8)})
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
    graph.operators.insert(graph.operators.index(operation) + 1, _operation(DEQUANTIZE, 2, place, outputs[0]))


def to_sparse(model: Model) -> None:
    """Encode every matrix and 4-D kernel with 30 % zeros or more, whatever it costs, and expand it again where no kernel takes it."""
    for graph in model.graphs:
        done: set[int] = set()
        for operation in list(graph.operators):
            if operation.code in SPARSE_OPERATORS and len(operation.node.vector("inputs").values) > 1:
                _encode(model, graph, operation, done)
    if any(name.text("name") == "reduced_precision_support" for name in model.root.lists.get("metadata", [])):
        _add_metadata(model, b"reduced_precision_support", 11)


def _encode(model: Model, graph: Graph, operation: Operation, done: set[int]) -> None:
    user, place = operation, 1
    index = operation.node.vector("inputs").values[1]
    maker = next((each for each in graph.operators if each.code == DEQUANTIZE and index in each.node.vector("outputs").values), None)
    if maker is not None:
        user, place, index = maker, 0, maker.node.vector("inputs").values[0]
    if index < 0 or index in done:
        return
    tensor = graph.tensors[index]
    kept = model.kept.get(tensor.number("buffer"))
    shape = tensor.vector("shape").values
    if kept is None or not model.size_of(tensor) or len(shape) not in (2, 4):
        return
    choice = _choose(tensor.number("type"), kept, shape[-1], blocks=operation.code == FULLY_CONNECTED)
    if choice is None:
        return
    done.add(index)
    block, count = choice
    width = {FLOAT32: 4, FLOAT16: 2}.get(tensor.number("type"), 1)
    parameters, size = sparsity(shape, count, block)
    model.sparse.append(_told(tensor, kept, width, block, count * width + size, shape))
    model.buffers[tensor.number("buffer")].values["data"] = Vector(count * width, 1)
    if not count and model.has_empty:  # equal buffers are stored once, and nothing equals nothing
        model.buffers[tensor.number("buffer")].values.pop("data")
    model.has_empty |= not count
    tensor.nodes["sparsity"] = parameters
    output = graph.tensors[user.node.vector("outputs").values[0]]
    name = output.text("name")
    fixed = user.node.vector("outputs").values[0] in graph.outputs
    tensor.values["name"] = (name + "1" if fixed else name).encode()
    if not fixed:
        output.values["name"] = (name + ("1" if block > 1 else "2")).encode()
    if block > 1:
        if user is operation and tensor.number("type") == FLOAT32:
            operation.version = max(operation.version, 8)
        return
    dense = tensor.copy()
    del dense.nodes["sparsity"]
    dense.values.update(name=(name + ("2" if fixed else "1")).encode(), buffer=model.add_buffer())
    graph.tensors.append(dense)
    graph.operators.insert(graph.operators.index(user), _operation(DENSIFY, 1, index, len(graph.tensors) - 1))
    for each in graph.operators:
        inputs = each.node.vector("inputs").values
        if each.code != DENSIFY and index in inputs and (each is not user or inputs[place] == index):
            replaced = [len(graph.tensors) - 1 if value == index else value for value in inputs]
            each.node.values["inputs"] = numbers(*replaced)


def _choose(kind: int, kept: Kept, inputs: int, *, blocks: bool) -> tuple[int, int] | None:
    """Return the length of the blocks (1: single elements) and how many values are kept; None where a kernel stays dense."""
    count = {FLOAT32: kept.float32, FLOAT16: kept.float16}.get(kind, kept.int8)
    random = np.float32((kept.elements - count) / kept.elements)
    if random < MIN_SPARSITY:
        return None
    length = INT8_BLOCK if kind == INT8 else FLOAT_BLOCK
    whole = {FLOAT32: kept.blocks_4, FLOAT16: kept.half_blocks_4}.get(kind, kept.int8_blocks_16)
    if blocks and whole is not None:
        whole = max(whole, 1) if inputs < length else whole
        found = np.float32((kept.elements - whole * length) / kept.elements)
        if found / random > np.float32(INT8_BLOCK_RATIO if kind == INT8 else BLOCK_RATIO):
            return length, whole * length
    return 1, count


def sparsity(shape: tuple[int, ...], count: int, block: int) -> tuple[Node, int]:
    """Return the index of a sparse tensor, and the bytes of its numbers."""
    last = shape[-1] // block
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    entries = count // block
    segments, segments_type = _index(rows + 1, entries)
    indices, indices_type = _index(entries, max(last - 1, 0))
    dense = [Node("DimensionMetadata", {"dense_size": length}) for length in shape[:-1]]
    values = {"format": 1, "array_segments_type": segments_type, "array_indices_type": indices_type}
    compressed = Node("DimensionMetadata", dict(values), {"array_segments": segments, "array_indices": indices})
    axes = [*dense, compressed, *([Node("DimensionMetadata", {"dense_size": block})] if block > 1 else [])]
    vectors: dict[str, Vector] = {"traversal_order": Vector(len(axes), 4), "block_map": Vector(1 if block > 1 else 0, 4)}
    node = Node("SparsityParameters", {**vectors}, {}, {"dim_metadata": axes})
    return node, segments.vector("values").size + indices.vector("values").size


def _index(count: int, largest: int) -> tuple[Node, int]:
    """Return a vector as narrow as its largest number allows, and its type in the union."""
    for name, width, most, number in (("Uint8Vector", 1, 0xFF, 3), ("Uint16Vector", 2, 0xFFFF, 2)):
        if largest <= most:
            return Node(name, {"values": Vector(count, width)}), number
    return Node("Int32Vector", {"values": Vector(count, 4)}), 1


def _told(tensor: Node, kept: Kept, width: int, block: int, size: int, shape: tuple[int, ...]) -> SparseTensor:
    """Describe a tensor: sparse pays as soon as values, indices and segments are less than the dense elements."""
    entries = max(kept.elements // max(block, 1), 1)
    index = 1 if shape[-1] // block <= 0x100 else 2 if shape[-1] // block <= 0x10000 else 4
    rows = kept.elements // max(shape[-1], 1)
    segment = 1 if entries <= 0xFF else 2 if entries <= 0xFFFF else 4
    per_entry = width * block + index
    budget = kept.elements * width - (rows + 1) * segment
    even = 1 - max(min(budget / (per_entry * entries), 1.0), 0.0)
    count = {4: kept.float32, 2: kept.float16}.get(width, kept.int8)
    return SparseTensor(
        tensor.text("name"), kept.elements * width, size, 1 - count / kept.elements, even, block, shape[-1], shape[-1] % block
    )


def _operation(code: int, version: int, source: int, target: int) -> Operation:
    return Operation(code, version, Node("Operator", {"inputs": numbers(source), "outputs": numbers(target)}))


def _redirect(graph: Graph, old: int, new: int) -> None:
    for operation in graph.operators:
        inputs = operation.node.vector("inputs").values
        if old in inputs:
            operation.node.values["inputs"] = numbers(*(new if index == old else index for index in inputs))


def _add_metadata(model: Model, name: bytes, size: int) -> None:
    """Add an entry before the last, which tells of the conversion."""
    buffer = model.add_buffer()
    model.buffers[buffer].values["data"] = Vector(size, 1)
    entries = model.root.lists.setdefault("metadata", [])
    entries.insert(max(len(entries) - 1, 0), Node("Metadata", {"name": name, "buffer": buffer}))
