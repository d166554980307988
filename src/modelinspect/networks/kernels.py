"""Which axes of a kernel are its inputs and outputs, as its format lays kernels out."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import ElementKind, Role, Tensor
from modelinspect.measure.facts import Measurements

_TFLITE = frozenset((FormatName.TFLITE, FormatName.LITERTLM))
_EMBEDDING = re.compile(r"(?i)emb|\bwte\b|\bwpe\b")


def is_depthwise(artifact: Artifact, tensor: Tensor) -> bool:
    """Return whether a TFLite kernel is of a depthwise convolution, which has one input for each output."""
    uses = artifact.facts.get("tensor_uses")
    found = uses.get(tensor.path) if isinstance(uses, Mapping) else None
    return isinstance(found, tuple) and "DEPTHWISE_CONV_2D" in found


def is_linear(artifact: Artifact, tensor: Tensor) -> bool:
    """Return whether a safetensors kernel has its outputs first, as PyTorch stores the weights of linear
    layers and convolutions.

    The file does not say so: the name does (``weight``), and embeddings, which have the same name, keep their
    rows first.
    """
    if artifact.format is not FormatName.SAFETENSORS or not tensor.name.endswith(".weight"):
        return False
    return not _EMBEDDING.search(tensor.name)


def output_axis(artifact: Artifact, tensor: Tensor) -> int:
    """Return the axis of a kernel's outputs: TFLite and PyTorch have it first, but for depthwise kernels;
    everything else has it last.
    """
    if is_linear(artifact, tensor):
        return 0
    return 0 if artifact.format in _TFLITE and not is_depthwise(artifact, tensor) else -1


def input_axis(artifact: Artifact, tensor: Tensor) -> int:
    """Return the axis of a kernel's inputs, from the end: along it the blocks of sparse kernels lie."""
    if is_linear(artifact, tensor):
        return 1 - len(tensor.shape)
    return -1 if artifact.format in _TFLITE and not is_depthwise(artifact, tensor) else -2


def is_kernel(tensor: Tensor) -> bool:
    """Return whether a tensor may be a kernel, by its type and shape.

    A kernel holds floats, or integers that quantize them. A constant is one only with two axes longer than
    one: a single row of numbers scales or shifts channels.
    """
    if len(tensor.shape) < 2:
        return False
    if tensor.dtype.kind is not ElementKind.FLOAT and tensor.quantization is None:
        is_narrow = (
            tensor.dtype.kind in (ElementKind.INT, ElementKind.UINT)
            and tensor.dtype.bits <= _WIDEST_QUANTIZED
        )
        if not is_narrow or tensor.role is not Role.WEIGHT:
            return False
    if tensor.role is Role.WEIGHT:
        return True
    return sum(length > 1 for length in tensor.shape) > 1


_WIDEST_QUANTIZED = 16
"""Bits of the widest integers to which weights are quantized."""


def frozen_masks(artifact: Artifact, measurements: Measurements | None) -> frozenset[TensorId]:
    """Return the constants that are pruning masks, frozen into a graph by a conversion that did not strip the
    wrappers.

    Such a constant holds floats or booleans and has the shape of a kernel, and a multiplication reads it. It
    has at most two values, and is called a mask or has as many zeros as a kernel of its shape that has more
    values.
    """
    kernels = {
        tensor.shape
        for tensor in artifact.tensors
        if tensor.role in (Role.WEIGHT, Role.CONSTANT) and _is_float(tensor)
    }
    may_be = (
        tensor
        for tensor in artifact.tensors
        if _may_be_mask(tensor) and tensor.shape in kernels and _is_multiplied(artifact, tensor)
    )
    wanted = set(map(id, may_be))
    constants = [
        (TensorId(index), tensor) for index, tensor in enumerate(artifact.tensors) if id(tensor) in wanted
    ]
    if measurements is None:
        return frozenset(index for index, tensor in constants if _is_called_mask(tensor))
    few = [(index, tensor) for index, tensor in constants if (measurements[index].distinct_count or 3) <= 2]
    if not few:
        return frozenset()
    pruned = {
        (tensor.shape, measure.zero_count)
        for tensor, measure in zip(artifact.tensors, measurements.tensors, strict=True)
        if tensor.role in (Role.WEIGHT, Role.CONSTANT)
        and measure.zero_count
        and (measure.distinct_count or 0) > 2
    }
    return frozenset(
        index
        for index, tensor in few
        if _is_called_mask(tensor) or (tensor.shape, measurements[index].zero_count) in pruned
    )


def _may_be_mask(tensor: Tensor) -> bool:
    is_mask_type = tensor.dtype.kind in (ElementKind.FLOAT, ElementKind.BOOL)
    return (
        tensor.role is Role.CONSTANT
        and len(tensor.shape) > 1
        and is_mask_type
        and tensor.element_count >= _SMALLEST_MASK
    )


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype.kind is ElementKind.FLOAT and len(tensor.shape) > 1


def _is_multiplied(artifact: Artifact, tensor: Tensor) -> bool:
    """Return whether a multiplication reads a constant; of a graph, which does not list what reads each,
    whether it has one at all.
    """
    if artifact.format is FormatName.TFLITE:
        uses = artifact.facts.get("tensor_uses")
        readers = uses.get(tensor.path) if isinstance(uses, Mapping) else None
        return isinstance(readers, tuple) and "MUL" in readers
    operators = artifact.facts.get("ops")
    return not isinstance(operators, Mapping) or not _MULTIPLICATIONS.isdisjoint(operators)


_SMALLEST_MASK = 16
"""Fewer elements are a setting (padding, strides), not the mask of a kernel."""
_MULTIPLICATIONS = frozenset(("Mul", "MulNoNan"))


def _is_called_mask(tensor: Tensor) -> bool:
    parts = [part.split(":")[0] for part in tensor.path.split("/")]
    return any(part in ("mask", "masks") for part in parts[-2:])
