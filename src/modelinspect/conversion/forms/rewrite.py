"""Take a float model apart into rows that can be rewritten, and put it together in the converter's order.

Sources: tensorflow/compiler/mlir/lite: flatbuffer_export.cc (names), tools/versioning/op_version.cc
(versions), tools/optimize (1,024 elements).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from modelinspect.conversion.operators import (
    CONV,
    DENSIFY,
    DEPTHWISE,
    DEQUANTIZE,
    FLOAT16,
    FULLY_CONNECTED,
    GATHER,
    INT8,
    TRANSPOSE_CONV,
)
from modelinspect.conversion.releases import NEWEST, Release
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.records import dataclass, field
from modelinspect.measure.kept import Kept

MIN_ELEMENTS = 1_024
UNNAMED = b"arith.constant"
"""What the converter calls constants that no node of the model names; a number follows."""

WEIGHTS = {CONV: (1,), DEPTHWISE: (1,), FULLY_CONNECTED: (1,), TRANSPOSE_CONV: (1,)}
HYBRID_VERSIONS = {CONV: 5, DEPTHWISE: 6, FULLY_CONNECTED: 12, GATHER: 2, TRANSPOSE_CONV: 1}
PER_CHANNEL = {CONV: 0, DEPTHWISE: 3, FULLY_CONNECTED: 0, TRANSPOSE_CONV: 0}
QUANTIZED_CONSTANT = b"tfl.pseudo_qconst"
"""What the converter calls quantized constants that have no other name."""
DEQUANTIZED = b"tfl.dequantize"
"""What the converter calls a constant that is dequantized before it is taken."""


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
    ``is_reread`` means that the converter reads the file and writes it again, as it does to make it sparse.
    ``copied`` are buffers with the elements of another, which is quantized otherwise.
    """

    root: Node
    graphs: list[Graph]
    buffers: list[Node]
    kept: Mapping[int, Kept]
    sparse: list[SparseTensor] = field(default_factory=list)
    has_empty: bool = False
    is_reread: bool = False
    spare: int = 0
    codes: tuple[tuple[int, bytes | None], ...] = ()
    release: Release = NEWEST
    copied: dict[int, int] = field(default_factory=dict)

    def add_buffer(self) -> int:
        """Add an empty buffer and return its index."""
        self.buffers.append(Node("Buffer"))
        return len(self.buffers) - 1

    def size_of(self, tensor: Node) -> int:
        """Return the bytes that a tensor's buffer holds; 0 where it is computed."""
        index = tensor.number("buffer")
        return self.buffers[index].vector("data").size if 0 <= index < len(self.buffers) else 0

    def store(self, index: int, size: int) -> None:
        """Let a buffer hold so many bytes; other models may share the one that is there."""
        self.buffers[index] = Node("Buffer", {"data": Vector(size, 1)})

    def clear(self, index: int) -> None:
        """Let a buffer hold nothing."""
        self.buffers[index] = Node("Buffer")


def numbers(*values: int) -> Vector:
    """Return a vector of whole numbers of 4 bytes."""
    return Vector(len(values), 4, -1, values)


def take_apart(root: Node, kept: Mapping[int, Kept], release: Release = NEWEST) -> Model:
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
    return Model(root.copy(), graphs, list(root.lists.get("buffers", ())), kept, release=release)


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
            index = order.setdefault(key, len(order))
            if operation.node.number("opcode_index") != index:
                operation.node.set(opcode_index=index)
            versions[key] = max(versions.get(key, 1), operation.version)
        tensors = _in_order(model, graph, names)
        if graph.dropped:
            tensors = [tensor for tensor in tensors if id(tensor) not in graph.dropped]
        graph.node.set_list("tensors", tensors)
        graph.node.set_list("operators", [operation.node for operation in graph.operators])
    root = model.root
    root.set_list("operator_codes", [_code(key, versions[key]) for key in order])
    root.set_list("subgraphs", [graph.node for graph in model.graphs])
    root.set_list("buffers", model.buffers)
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
    """Return tensors in the order in which the converter writes them, which moves paddings.

    Where the model was read and written again, constants are before their first use.
    ``names`` counts those that were given so far, where they are given again.
    """
    if graph.is_ordered:
        return graph.tensors
    constants = [model.size_of(tensor) > 0 or "sparsity" in tensor.nodes for tensor in graph.tensors]
    if names is not None:
        return _in_half_order(graph, constants, names)
    if not model.is_reread:
        return _in_folded_order(graph, constants)
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


def _in_folded_order(graph: Graph, constants: list[bool]) -> list[Node]:
    """Return tensors as they are after the converter folded constants beside quantized ones.

    Folding keeps the constants that the function begins with. It moves every later one to the beginning, so
    these are in reverse then. Quantized constants are not folded: the first of them ends the beginning.
    """
    last = max((index for index, is_constant in enumerate(constants) if is_constant), default=-1) + 1
    others: list[Node] = []
    kept: list[Node] = []
    moved: list[Node] = []
    quantized: list[Node] = []
    for tensor, is_constant in zip(graph.tensors[:last], constants, strict=False):
        if not is_constant and not kept and not quantized:  # later ones are constants without elements
            others.append(tensor)
        elif tensor.number("type") == INT8:
            quantized.append(tensor)
        else:
            (moved if quantized else kept).append(tensor)
    return [*others, *reversed(moved), *kept, *quantized, *graph.tensors[last:]]


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
        if base == UNNAMED and id(tensor) in made:
            base = DEQUANTIZED
        count = taken.get(base, 0)
        taken[base] = count + 1
        tensor.set(name=base + (str(count).encode() if count else b""))


def name_again(tensors: Sequence[Node], base: bytes) -> None:
    """Give tensors one name and numbers, in their order."""
    for number, tensor in enumerate(tensors):
        tensor.set(base=base, name=base + (str(number).encode() if number else b""))


def _code(key: tuple[int, bytes | None], version: int) -> Node:
    code, custom = key
    node = Node(
        "OperatorCode", {"deprecated_builtin_code": min(code, 127), "builtin_code": code, "version": version}
    )
    if custom is not None:
        node.set(custom_code=custom)
    return node


def make_operation(code: int, version: int, source: int, target: int) -> Operation:
    """Return an operator that makes one tensor of another."""
    return Operation(code, version, Node("Operator", {"inputs": numbers(source), "outputs": numbers(target)}))


def add_metadata(model: Model, name: bytes, size: int) -> None:
    """Add an entry before the last, which describes the conversion."""
    buffer = model.add_buffer()
    model.store(buffer, size)
    entries = list(model.root.lists.get("metadata", ()))
    entries.insert(max(len(entries) - 1, 0), Node("Metadata", {"name": name, "buffer": buffer}))
    model.root.set_list("metadata", entries)
