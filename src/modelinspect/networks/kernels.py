"""Tells which axes of a kernel are its inputs and outputs, as its format lays kernels out."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import Role, Tensor
from modelinspect.measure.facts import Measurements


def is_depthwise(artifact: Artifact, tensor: Tensor) -> bool:
    """Tell whether a TFLite kernel is of a depthwise convolution, which has one input for each output."""
    uses = artifact.facts.get("tensor_uses")
    found = uses.get(tensor.path) if isinstance(uses, Mapping) else None
    return isinstance(found, tuple) and "DEPTHWISE_CONV_2D" in found


def output_axis(artifact: Artifact, tensor: Tensor) -> int:
    """Return the axis of a kernel's outputs: TFLite has it first, but for depthwise kernels; everything else has it last."""
    return 0 if artifact.format is FormatName.TFLITE and not is_depthwise(artifact, tensor) else -1


def input_axis(artifact: Artifact, tensor: Tensor) -> int:
    """Return the axis of a kernel's inputs, from the end: along it the blocks of sparse kernels lie."""
    return -1 if artifact.format is FormatName.TFLITE and not is_depthwise(artifact, tensor) else -2


def frozen_masks(artifact: Artifact, measurements: Measurements | None) -> frozenset[TensorId]:
    """Return the constants that are pruning masks, frozen into a graph by a conversion that did not strip the wrappers.

    Such a constant has at most two values, and is called a mask or has as many zeros as a matrix of its shape that has more values.
    """
    constants = [(TensorId(index), tensor) for index, tensor in enumerate(artifact.tensors) if _may_be_mask(tensor)]
    if measurements is None:
        return frozenset(index for index, tensor in constants if _is_called_mask(tensor))
    few = [(index, tensor) for index, tensor in constants if (measurements[index].distinct_count or 3) <= 2]
    if not few:
        return frozenset()
    pruned = {
        (tensor.shape, measure.zero_count)
        for tensor, measure in zip(artifact.tensors, measurements.tensors, strict=True)
        if tensor.role in (Role.WEIGHT, Role.CONSTANT) and measure.zero_count and (measure.distinct_count or 0) > 2
    }
    return frozenset(index for index, tensor in few if _is_called_mask(tensor) or (tensor.shape, measurements[index].zero_count) in pruned)


def _may_be_mask(tensor: Tensor) -> bool:
    return tensor.role is Role.CONSTANT and len(tensor.shape) > 1


def _is_called_mask(tensor: Tensor) -> bool:
    parts = [part.split(":")[0] for part in tensor.path.split("/")]
    return any(part in ("mask", "masks") for part in parts[-2:])
