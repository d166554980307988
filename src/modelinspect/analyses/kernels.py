"""Tells which axes of a kernel are its inputs and outputs, as its format lays kernels out."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.tensors import Role, Tensor
from modelinspect.measure.facts import TensorMeasure


def is_depthwise(artifact: Artifact, tensor: Tensor) -> bool:
    """Tell whether a TFLite kernel is of a depthwise convolution, which has one input for each output."""
    uses = artifact.facts.get("tensor_uses")
    found = uses.get(tensor.name) if isinstance(uses, Mapping) else None
    return isinstance(found, tuple) and "DEPTHWISE_CONV_2D" in found


def output_axis(artifact: Artifact, tensor: Tensor) -> int:
    """Return the axis of a kernel's outputs: TFLite has it first, but for depthwise kernels; everything else has it last."""
    return 0 if artifact.format is FormatName.TFLITE and not is_depthwise(artifact, tensor) else -1


def input_axis(artifact: Artifact, tensor: Tensor) -> int:
    """Return the axis of a kernel's inputs, from the end: along it the blocks of sparse kernels lie."""
    return -1 if artifact.format is FormatName.TFLITE and not is_depthwise(artifact, tensor) else -2


def is_frozen_mask(tensor: Tensor, measure: TensorMeasure | None) -> bool:
    """Tell whether a constant is a pruning mask that was frozen into the graph: by its name, and at most two values."""
    if tensor.role is not Role.CONSTANT or len(tensor.shape) < 2:
        return False
    parts = [part.split(":")[0] for part in tensor.name.split("/")]
    if not any(part in ("mask", "masks") for part in parts[-2:]):
        return False
    return measure is None or (measure.distinct_count or 3) <= 2
