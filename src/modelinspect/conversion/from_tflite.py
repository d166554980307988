"""Make a float model of a TFLite file: read its tree, and undo what a conversion did to its weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelinspect.conversion.flatbuffer.size import packed_size
from modelinspect.conversion.forms.elements import Elements, elements_of
from modelinspect.conversion.forms.rewrite import Model, put_together, take_apart
from modelinspect.conversion.keras.source import Source
from modelinspect.conversion.operators import DENSIFY, DEQUANTIZE, FLOAT16, FLOAT32, INT8
from modelinspect.conversion.references import check_references
from modelinspect.conversion.tree import Node, read_tree
from modelinspect.core.tensors import Tensor
from modelinspect.formats.tflite.schema import schema
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.kept import Kept, Layout, measure_kept
from modelinspect.networks.subject import Subject

_TRAILER = 4_096


def flat_source(subject: Subject) -> Source:
    """Return the float model of a TFLite file.

    Raises `FormatError`, `UnmeasurableError` where there is none.
    """
    name = subject.artifact.members[0].name
    source = subject.files.open(subject.files.primary or name)
    is_sound = not subject.artifact.diagnostics
    root = read_tree(source, schema("model"), subject.limits, is_sound=is_sound)
    check_references(root)
    if any(buffer.number("offset") > 1 for buffer in root.lists.get("buffers", [])):
        raise UnmeasurableError(
            "its buffers are after the flatbuffer, and the converter would write them so again"
        )
    if _has_integer_activations(root):
        raise UnmeasurableError("its activations are quantized: convert the model that it came from instead")
    tensors = {
        extent.span.offset: tensor for tensor in subject.artifact.tensors for extent in tensor.extents[:1]
    }
    kept = _kept(subject, root, tensors)
    same = packed_size(root, schema("model")) == source.size
    model = take_apart(root, kept)
    changed = _to_float(model)
    doubt = (0 if same else _TRAILER) + 32 * changed
    return Source(put_together(model), kept, (), True, doubt, elements=_elements(subject, root, tensors))


def _elements(subject: Subject, root: Node, tensors: Mapping[int, Tensor]) -> dict[int, Elements]:
    """Return what gives the elements of each constant that a form may store in another way, by the index of
    its buffer.
    """
    buffers = root.lists.get("buffers", [])
    found: dict[int, Elements] = {}
    for graph in root.lists.get("subgraphs", []):
        for node in graph.lists.get("tensors", []):
            index = node.number("buffer")
            tensor = tensors.get(buffers[index].vector("data").start) if 0 <= index < len(buffers) else None
            if (
                tensor is not None
                and tensor.element_count
                and node.number("type") in (FLOAT32, FLOAT16, INT8)
            ):
                found[index] = elements_of(tensor, Layout(1, tensor.element_count), subject.reading)
    return found


def _has_integer_activations(root: Node) -> bool:
    """Return whether tensors that are computed are quantized; those that are dequantized at once do not
    count.
    """
    buffers = root.lists.get("buffers", [])
    for graph in root.lists.get("subgraphs", []):
        for tensor in graph.lists.get("tensors", []):
            index = tensor.number("buffer")
            computed = not (0 <= index < len(buffers) and buffers[index].vector("data").size)
            quantized = tensor.nodes.get("quantization")
            single = quantized is not None and quantized.vector("scale").count == 1
            if (
                computed
                and single
                and tensor.number("type") in (INT8, 3, 7)
                and "sparsity" not in tensor.nodes
            ):
                return True
    return False


def _kept(subject: Subject, root: Node, tensors: dict[int, Tensor]) -> dict[int, Kept]:
    """Measure every kernel, by the index of its buffer."""
    buffers = root.lists.get("buffers", [])
    found: dict[int, Kept] = {}
    for graph in root.lists.get("subgraphs", []):
        for node in graph.lists.get("tensors", []):
            index = node.number("buffer")
            if not 0 <= index < len(buffers) or index in found:
                continue
            tensor = tensors.get(buffers[index].vector("data").start)
            if tensor is None or len(tensor.shape) not in (2, 4) or not tensor.element_count:
                continue
            try:
                found[index] = measure_kept(tensor, subject.reading, layout_of(tensor))
            except UnmeasurableError:
                continue
    return found


def layout_of(tensor: Tensor) -> Layout:
    """Return how a TFLite kernel lies: the channels come first; of a depthwise kernel, whose first length is
    1, last.
    """
    shape = tensor.shape
    if len(shape) == 4 and shape[0] == 1:
        return Layout(shape[1] * shape[2], shape[3], 1)
    return Layout(shape[0], prod(shape[1:]), 0, 1 if len(shape) == 2 else None)


def _to_float(model: Model) -> int:
    """Expand what is sparse, dequantize what is float16 or int8, and leave out the operators that did so;
    return how many tensors.
    """
    changed = 0
    for graph in model.graphs:
        constants = {index for index, tensor in enumerate(graph.tensors) if model.size_of(tensor)}
        for operation in list(graph.operators):
            inputs, outputs = operation.node.vector("inputs").values, operation.node.vector("outputs").values
            if (
                operation.code not in (DENSIFY, DEQUANTIZE)
                or len(inputs) != 1
                or len(outputs) != 1
                or inputs[0] not in constants
            ):
                continue
            old, new = graph.tensors[inputs[0]], graph.tensors[outputs[0]]
            new.set(buffer=old.number("buffer"), type=old.number("type"))
            new.drop("sparsity")
            old.set(name=b"")
            constants.add(outputs[0])
            graph.operators.remove(operation)
            changed += 1
        changed += _widen(model, graph.tensors)
        _drop_unused(graph.tensors, model)
    return changed


def _widen(model: Model, tensors: list[Node]) -> int:
    """Give constants their float32 form; return how many."""
    changed = 0
    for tensor in tensors:
        hybrid = tensor.number("type") == INT8 and "quantization" in tensor.nodes
        if not model.size_of(tensor) or not (
            hybrid or tensor.number("type") == FLOAT16 or "sparsity" in tensor.nodes
        ):
            continue
        tensor.set(type=FLOAT32)
        tensor.drop("sparsity")
        tensor.set_node("quantization", Node("QuantizationParameters"))
        size = 4 * prod(tensor.vector("shape").values)
        model.store(tensor.number("buffer"), size)
        changed += 1
    return changed


def _drop_unused(tensors: list[Node], model: Model) -> None:
    """Make what was expanded weigh as little as it can: a table without a name, whose place others are
    counted from.
    """
    for tensor in tensors:
        if tensor.values.get("name") == b"":
            tensor.empty()
            tensor.set(buffer=0)
