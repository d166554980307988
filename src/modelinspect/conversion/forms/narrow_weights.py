"""Store the weights of a float model in float16 or int8, as the converter would."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelinspect.conversion.forms.elements import Elements
from modelinspect.conversion.forms.rewrite import (
    DEQUANTIZED,
    HYBRID_VERSIONS,
    MIN_ELEMENTS,
    PER_CHANNEL,
    QUANTIZED_CONSTANT,
    UNNAMED,
    WEIGHTS,
    Graph,
    Model,
    Operation,
    add_metadata,
    make_operation,
    name_again,
    numbers,
)
from modelinspect.conversion.operators import (
    DEQUANTIZE,
    FLOAT16,
    FLOAT32,
    FULLY_CONNECTED,
    GATHER,
    INT8,
    SEQUENCE_LSTM,
)
from modelinspect.conversion.releases import ConstantNames
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.names import REDUCED_PRECISION
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError

MOST_ROUNDED = 4_096
"""Constants of more elements are not compared with others once they are rounded."""


def to_float16(model: Model, elements: Mapping[int, Elements] | None = None) -> None:
    """Store every float constant in 2 bytes, and dequantize it before its use; ``elements`` gives those of
    constants by their buffers: short ones that are equal once they are rounded are one.
    """
    shared: set[int] = set()
    rounded: dict[object, int] = {}
    for graph in model.graphs:
        takers = _takers(graph)
        added: list[Operation] = []
        variables: set[int] = set()
        unnamed = 0
        for index, tensor in enumerate(list(graph.tensors)):
            if tensor.values.get("is_variable", False):  # what starts as zeros becomes zeros that are stored
                tensor.drop("is_variable")
                size = 4 * int(np.prod(tensor.vector("shape").values, dtype=np.int64))
                tensor.set(buffer=tensor.number("zeros"))
                model.store(tensor.number("buffer"), size)
                variables.add(index)
            size = model.size_of(tensor)
            if tensor.number("type") != FLOAT32 or not size or index not in takers:
                continue
            buffer = tensor.number("buffer")
            if buffer not in shared:
                shared.add(buffer)
                model.store(buffer, size // 2)
            name = tensor.text("name")
            if name.encode().startswith(UNNAMED):
                name = f"{DEQUANTIZED.decode()}{unnamed or ''}"
                unnamed += 1
            else:
                name += "1"
            output = tensor.copy()
            output.set(name=name.encode(), buffer=model.add_buffer())
            if index in variables:
                output.set(is_variable=True, buffer=0)
            tensor.set(type=FLOAT16)
            graph.tensors.append(output)
            place = len(graph.tensors) - 1
            _redirect(takers[index], index, place)
            same = index
            if len(model.graphs) == 1 and index not in variables:
                same = rounded.setdefault(_rounded(tensor, (elements or {}).get(buffer), index), index)
            if same != index:
                _join(model, graph, graph.tensors[same], tensor)
            added.append(make_operation(DEQUANTIZE, 3, same, place))
        graph.operators[:0] = added
    _share_zeros(model)
    if model.release.constants is not ConstantNames.USERS:
        for graph in model.graphs:
            for tensor in graph.tensors:
                if model.size_of(tensor) and "base" in tensor.values:
                    tensor.set(base=UNNAMED)
    add_metadata(model, REDUCED_PRECISION.encode(), 11)


def _rounded(tensor: Node, read: Elements | None, index: int) -> object:
    """Return what short constants have in common that are equal in float16, else what is its own."""
    shape = tensor.vector("shape").values
    if read is None or int(np.prod(shape, dtype=np.int64)) > MOST_ROUNDED:
        return index
    try:
        with np.errstate(over="ignore"):
            return shape, read(shape).astype(np.float16).tobytes()
    except (FormatError, UnmeasurableError):
        return index


def _join(model: Model, graph: Graph, kept: Node, other: Node) -> None:
    """Let one constant stand for another that equals it: it has a name only if both had the same."""
    if kept.values.get("base") != other.values.get("base"):
        kept.set(base=UNNAMED)
    graph.dropped.add(id(other))
    model.clear(other.number("buffer"))
    model.spare += 1


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
        model.clear(tensor.number("zeros"))
    held: dict[int, int] = {}
    for tensor, size in zip(tensors, sizes, strict=True):
        index = held.setdefault(size, tensor.number("zeros"))
        tensor.set(buffer=index)
        model.store(index, size)


def to_int8(model: Model, *, sparse: bool = False) -> None:
    """Store the weights of operators that have hybrid kernels in 1 byte, with a scale and a zero point for
    each output channel; ``sparse`` means that kernels become sparse afterwards.
    """
    for graph in model.graphs:
        _part_tables(model, graph)
        for operation in list(graph.operators):
            if operation.code == GATHER:
                _gather_int8(model, graph, operation)
                continue
            if operation.code == SEQUENCE_LSTM:
                _lstm_int8(model, graph, operation)
                continue
            inputs = operation.node.vector("inputs").values
            done = False
            for place in WEIGHTS.get(operation.code, ()):
                if place < len(inputs) and inputs[place] >= 0:
                    axis = PER_CHANNEL.get(operation.code)
                    if operation.code == FULLY_CONNECTED and not model.release.has_channels:
                        axis = None
                    done |= _quantize(model, graph.tensors[inputs[place]], axis)
            if not done:
                continue
            operation.version = max(operation.version, HYBRID_VERSIONS[operation.code])
            options = operation.node.nodes.get("builtin_options")
            if options is not None and operation.code == FULLY_CONNECTED:
                changed = options.copy()
                operation.node.set_node("builtin_options", changed)
                changed.set(asymmetric_quantize_inputs=True)
    if not sparse:  # each sparse kernel is stored by itself
        _share_empty(model)
    if model.release.constants is not ConstantNames.USERS:
        _forget_moved(model)


def _part_tables(model: Model, graph: Graph) -> None:
    """Give the matrix products that take a table of one gathering a copy of it: its scales are those of the
    channels, and the table that is gathered has one.
    """
    takers: dict[int, list[Operation]] = {}
    for operation in graph.operators:
        for index in operation.node.vector("inputs").values:
            takers.setdefault(index, []).append(operation)
    for index, taking in takers.items():
        products = [each for each in taking if each.code == FULLY_CONNECTED]
        if len(products) != len(taking) - 1 or not products or not model.release.has_channels:
            continue
        if any(each.node.vector("inputs").values[1] != index for each in products):
            continue
        rest = next(each for each in taking if each.code != FULLY_CONNECTED)
        held = graph.tensors[index]
        if rest.code != GATHER or held.number("type") != FLOAT32 or model.size_of(held) < 4 * MIN_ELEMENTS:
            continue
        copy, buffer = held.copy(), model.add_buffer()
        copy.set(buffer=buffer)
        model.store(buffer, model.size_of(held))
        model.copied[buffer] = held.number("buffer")
        graph.tensors.append(copy)
        for each in products:
            _take_instead(each, index, len(graph.tensors) - 1)
        for tensor in (held, copy):
            if tensor.values.get("base") == UNNAMED:
                tensor.set(base=QUANTIZED_CONSTANT)


def _share_empty(model: Model) -> None:
    """Store int8 kernels of zeros once for each size, whatever their shapes are."""
    held: dict[int, int] = {}
    for graph in model.graphs:
        for tensor in graph.tensors:
            own = tensor.number("buffer")
            kept = model.kept.get(own)
            if tensor.number("type") != INT8 or kept is None or kept.float32:
                continue
            index = held.setdefault(model.size_of(tensor), own)
            if index != own:
                model.clear(own)
                tensor.set(buffer=index)


def _forget_moved(model: Model) -> None:
    """Take the names of constants that are moved to the start, because quantized ones are before them."""
    unnamed: list[Node] = []
    quantized: list[Node] = []
    for graph in model.graphs:
        is_after = False
        for tensor in graph.tensors:
            if not model.size_of(tensor):
                continue
            has_name = tensor.values.get("base") != UNNAMED
            if tensor.number("type") == INT8:
                is_after = True
                quantized += [] if has_name else [tensor]
            elif is_after or not has_name:
                unnamed.append(tensor)
    bases = {tensor.values.get("base") for tensor in unnamed} - {UNNAMED, b"", None}
    name_again(unnamed, UNNAMED)
    name_again(quantized, QUANTIZED_CONSTANT)
    for base in bases:  # the name is free for what else has it
        same = [each for graph in model.graphs for each in graph.tensors if each.values.get("base") == base]
        if isinstance(base, bytes):
            name_again(same, base)


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
            tensor.set(base=QUANTIZED_CONSTANT)
    for base in (UNNAMED, QUANTIZED_CONSTANT):
        same = (tensor for one in model.graphs for tensor in one.tensors if tensor.values.get("base") == base)
        for number, tensor in enumerate(same):
            tensor.set(name=base + (str(number).encode() if number else b""))


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
        quantization.set(quantized_dimension=axis)
    tensor.set(type=INT8)
    tensor.set_node("quantization", quantization)
    model.store(tensor.number("buffer"), size // 4)
    return True


def _gather_int8(model: Model, graph: Graph, operation: Operation) -> None:
    """Gather int8 elements and dequantize what was gathered."""
    inputs, outputs = operation.node.vector("inputs").values, operation.node.vector("outputs").values
    if not inputs or not outputs or not _quantize(model, graph.tensors[inputs[0]], None):
        return
    takers = sum(inputs[0] in each.node.vector("inputs").values for each in graph.operators)
    if takers > 1:
        _dequantize_before(model, graph, operation, inputs[0])
        return
    operation.version = max(operation.version, 2)
    output = graph.tensors[outputs[0]]
    gathered = output.copy()
    gathered.set(type=INT8, buffer=model.add_buffer())
    gathered.set_node("quantization", graph.tensors[inputs[0]].nodes["quantization"])
    output.set(name=(graph.tensors[inputs[0]].text("name") + "1").encode())
    graph.tensors.append(gathered)
    place = len(graph.tensors) - 1
    operation.node.set(outputs=numbers(place))
    graph.operators.insert(
        graph.operators.index(operation) + 1, make_operation(DEQUANTIZE, 2, place, outputs[0])
    )


def _dequantize_before(model: Model, graph: Graph, operation: Operation, table: int) -> None:
    """Dequantize a table that several operators take, before the first of them."""
    held = graph.tensors[table]
    whole = held.copy()
    whole.set(type=FLOAT32, name=DEQUANTIZED, buffer=model.add_buffer())
    whole.set_node("quantization", Node("QuantizationParameters"))
    held.set(name=QUANTIZED_CONSTANT)
    graph.tensors.append(whole)
    place = len(graph.tensors) - 1
    _redirect(graph.operators, table, place)
    graph.operators.insert(graph.operators.index(operation), make_operation(DEQUANTIZE, 2, table, place))


def _takers(graph: Graph) -> dict[int, list[Operation]]:
    """Return the operators that take each tensor, by its index."""
    found: dict[int, list[Operation]] = {}
    for operation in graph.operators:
        for index in dict.fromkeys(operation.node.vector("inputs").values):
            found.setdefault(index, []).append(operation)
    return found


def _redirect(operations: list[Operation], old: int, new: int) -> None:
    for operation in operations:
        _take_instead(operation, old, new)


def _take_instead(operation: Operation, old: int, new: int) -> None:
    inputs = operation.node.vector("inputs").values
    if old in inputs:
        operation.node.set(inputs=numbers(*(new if index == old else index for index in inputs)))
