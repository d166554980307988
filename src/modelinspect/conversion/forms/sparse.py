"""Encode what is sparse in a model as the converter would, whatever it costs.

Sources: tensorflow/compiler/mlir/lite: transforms/dense_to_sparse_pass.cc (threshold, blocks, DENSIFY),
flatbuffer_export.cc (width of indices, names).
"""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.forms.rewrite import (
    Graph,
    Model,
    Operation,
    SparseTensor,
    add_metadata,
    make_operation,
    numbers,
)
from modelinspect.conversion.operators import (
    CONV,
    DENSIFY,
    DEPTHWISE,
    DEQUANTIZE,
    FLOAT16,
    FLOAT32,
    FULLY_CONNECTED,
    INT8,
    TRANSPOSE_CONV,
)
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.names import REDUCED_PRECISION
from modelinspect.measure.kept import FLOAT_BLOCK, INT8_BLOCK, Kept

MIN_SPARSITY = np.float32(0.3)
BLOCK_RATIO, INT8_BLOCK_RATIO = 0.9, 0.8
SPARSE_OPERATORS = (CONV, DEPTHWISE, FULLY_CONNECTED, TRANSPOSE_CONV)


def to_sparse(model: Model) -> None:
    """Encode every matrix and 4-D kernel with 30 % zeros or more, whatever it costs, and expand it again
    where no kernel takes it.

    The converter reads the model and writes it again, also where nothing is encoded.
    """
    names: set[str] = set()
    for graph in model.graphs:
        done: set[int] = set()
        for each in list(graph.operators):
            ends = each.node.vector("inputs").values, each.node.vector("outputs").values
            if each.code in SPARSE_OPERATORS and len(ends[0]) > 1 and ends[1]:
                _encode(model, graph, each, done, names)
    for graph in model.graphs:
        _name_outputs(graph)
        _store_zeros(model, graph)
        _drop_unused(model, graph)
    model.is_reread = True
    if any(name.text("name") == REDUCED_PRECISION for name in model.root.lists.get("metadata", [])):
        add_metadata(model, REDUCED_PRECISION.encode(), 11)


def _name_outputs(graph: Graph) -> None:
    """Give what an operator makes the names of all that it makes, and a number: so they are read again."""
    for operation in graph.operators:
        outputs = [graph.tensors[index] for index in operation.node.vector("outputs").values]
        if len(outputs) > 1:
            name = ";".join(tensor.text("name") for tensor in outputs)
            for number, tensor in enumerate(outputs):
                tensor.set(name=f"{name}{number or ''}".encode())


def _store_zeros(model: Model, graph: Graph) -> None:
    """Store what each variable starts with."""
    for tensor in graph.tensors:
        if tensor.values.get("is_variable") and "zeros" in tensor.values:
            size = 4 * int(np.prod(tensor.vector("shape").values, dtype=np.int64))
            model.store(tensor.number("zeros"), size)


def _drop_unused(model: Model, graph: Graph) -> None:
    """Drop constants that no operator takes."""
    used = {
        index for operation in graph.operators for index in operation.node.vector("inputs").values
    } | graph.outputs
    for index, tensor in enumerate(graph.tensors):
        if index in used or not model.size_of(tensor):
            continue
        graph.dropped.add(id(tensor))
        model.spare += 1
        others = (each for one in model.graphs for each in one.tensors if each is not tensor)
        if all(each.number("buffer") != tensor.number("buffer") for each in others):
            model.clear(tensor.number("buffer"))
        tensor.set(buffer=0)


def _encode(model: Model, graph: Graph, taker: Operation, done: set[int], names: set[str]) -> None:
    user, place = taker, 1
    index = taker.node.vector("inputs").values[1]
    maker = next(
        (
            each
            for each in graph.operators
            if each.code == DEQUANTIZE
            and index in each.node.vector("outputs").values
            and each.node.vector("inputs").values
        ),
        None,
    )
    if maker is not None:
        user, place, index = maker, 0, maker.node.vector("inputs").values[0]
    if index < 0 or index in done:
        return
    tensor = graph.tensors[index]
    kept = model.kept.get(tensor.number("buffer"))
    shape = tensor.vector("shape").values
    if kept is None or not model.size_of(tensor) or len(shape) not in (2, 4):
        return
    choice = _choose(tensor.number("type"), kept, blocks=taker.code == FULLY_CONNECTED)
    if choice is None:
        return
    done.add(index)
    block, count = choice
    width = {FLOAT32: 4, FLOAT16: 2}.get(tensor.number("type"), 1)
    parameters, size = sparsity(shape, count, block)
    given = graph.tensors[taker.node.vector("inputs").values[0]]
    is_hybrid = (
        taker.code == FULLY_CONNECTED and tensor.number("type") == INT8 and given.number("type") == FLOAT32
    )
    model.sparse.append(_told(tensor, kept, width, block, count * width + size, shape, is_hybrid=is_hybrid))
    model.store(tensor.number("buffer"), count * width)
    if not count and model.has_empty:  # equal buffers are stored once, and nothing equals nothing
        model.clear(tensor.number("buffer"))
    model.has_empty |= not count
    tensor.set_node("sparsity", parameters)
    output = graph.tensors[user.node.vector("outputs").values[0]]
    name = output.text("name")
    fixed = user.node.vector("outputs").values[0] in graph.outputs
    if fixed:
        names.add(name)
    tensor.set(name=_unique(name, names))
    dense = tensor.copy()
    if block == 1:
        dense.set(name=_unique(name, names))
    if not fixed:
        output.set(name=_unique(name, names))
    if block > 1:
        if user is taker and tensor.number("type") == FLOAT32:
            taker.version = max(taker.version, 8)
        return
    dense.drop("sparsity")
    dense.set(buffer=model.add_buffer())
    graph.tensors.append(dense)
    graph.operators.insert(
        graph.operators.index(user), make_operation(DENSIFY, 1, index, len(graph.tensors) - 1)
    )
    for each in graph.operators:
        inputs = each.node.vector("inputs").values
        if each.code != DENSIFY and index in inputs and (each is not user or inputs[place] == index):
            replaced = [len(graph.tensors) - 1 if value == index else value for value in inputs]
            each.node.set(inputs=numbers(*replaced))


def _unique(name: str, names: set[str]) -> bytes:
    """Return a name that none had so far, with a number where it needs one."""
    made, count = name, 0
    while made in names:
        count += 1
        made = f"{name}{count}"
    names.add(made)
    return made.encode()


def _choose(kind: int, kept: Kept, *, blocks: bool) -> tuple[int, int] | None:
    """Return the length of the blocks (1: single elements) and how many values are kept; None where a kernel
    stays dense.
    """
    count = {FLOAT32: kept.float32, FLOAT16: kept.float16}.get(kind, kept.int8)
    random = np.float32((kept.elements - count) / kept.elements)
    if random < MIN_SPARSITY:
        return None
    length = INT8_BLOCK if kind == INT8 else FLOAT_BLOCK
    whole = {FLOAT32: kept.blocks_4, FLOAT16: kept.half_blocks_4}.get(kind, kept.int8_blocks_16)
    if blocks and whole is not None:
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
    compressed = Node(
        "DimensionMetadata", dict(values), {"array_segments": segments, "array_indices": indices}
    )
    axes = [*dense, compressed, *([Node("DimensionMetadata", {"dense_size": block})] if block > 1 else [])]
    vectors: dict[str, Vector] = {
        "traversal_order": Vector(len(axes), 4),
        "block_map": Vector(1 if block > 1 else 0, 4),
    }
    node = Node("SparsityParameters", {**vectors}, {}, {"dim_metadata": axes})
    return node, segments.vector("values").size + indices.vector("values").size


def _index(count: int, largest: int) -> tuple[Node, int]:
    """Return a vector as narrow as its largest number allows, and its type in the union."""
    for name, width, most, number in (("Uint8Vector", 1, 0xFF, 3), ("Uint16Vector", 2, 0xFFFF, 2)):
        if largest <= most:
            return Node(name, {"values": Vector(count, width)}), number
    return Node("Int32Vector", {"values": Vector(count, 4)}), 1


def _told(
    tensor: Node, kept: Kept, width: int, block: int, size: int, shape: tuple[int, ...], *, is_hybrid: bool
) -> SparseTensor:
    """Describe a tensor: sparse pays as soon as values, indices and segments are less than the dense
    elements.
    """
    entries = max(kept.elements // max(block, 1), 1)
    index = 1 if shape[-1] // block <= 0x100 else 2 if shape[-1] // block <= 0x10000 else 4
    rows = kept.elements // max(shape[-1], 1)
    segment = 1 if entries <= 0xFF else 2 if entries <= 0xFFFF else 4
    per_entry = width * block + index
    budget = kept.elements * width - (rows + 1) * segment
    even = 1 - max(min(budget / (per_entry * entries), 1.0), 0.0)
    count = {4: kept.float32, 2: kept.float16}.get(width, kept.int8)
    return SparseTensor(
        tensor.text("name"),
        kept.elements * width,
        size,
        1 - count / kept.elements,
        even,
        block,
        shape[-1],
        shape[-1] % block,
        is_hybrid,
    )
