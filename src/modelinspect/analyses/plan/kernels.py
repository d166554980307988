"""Break-even sparsity of each kernel: from which share of zeros sparse TFLite storage is smaller."""

from __future__ import annotations

from math import prod

from modelinspect.analyses.plan.base import Planning
from modelinspect.analyses.plan.deflating import deflated, kernels
from modelinspect.analyses.plan.entropy import floor
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Tensor
from modelinspect.reports.plan import TensorPlan

OVERHEAD, PER_CHANNEL = 380, 12
"""Bytes of tables, names and a DENSIFY; and of a scale and a zero point that DENSIFY's output repeats for
each channel.
"""


_SPARSE = ("tflite-sparse", "tflite-dynamic-int8-sparse", "tflite-int8-sparse")


def tensor_plans(planning: Planning) -> tuple[TensorPlan, ...]:
    """Describe the kernels, the largest first."""
    if planning.subject.measurements is None or not planning.wants(*_SPARSE, "entropy-bound"):
        return ()
    found: list[TensorPlan] = []
    for index, tensor in kernels(planning):
        measure = planning.subject.measurements[index]
        zeros = measure.zero_count
        gzipped = deflated(planning, tensor)
        evens = [break_even(planning, tensor, width) for width in (4, 2, 1)]
        found.append(
            TensorPlan(
                tensor=tensor.name,
                shape=tensor.shape,
                dense_size=tensor.logical_size,
                sparsity=None if zeros is None else zeros / tensor.element_count,
                gzip_size=gzipped,
                floor=floor(tensor, measure, gzipped),
                break_even_float32=evens[0],
                break_even_float16=evens[1],
                break_even_int8=evens[2],
            )
        )
    return tuple(sorted(found, key=lambda plan: (-plan.dense_size, plan.tensor)))


def break_even(planning: Planning, tensor: Tensor, width: int) -> float | None:
    """Return the share of zeros from which elements of ``width`` bytes with an index are smaller; None where
    they never are.
    """
    rows, last = _as_converted(planning, tensor)
    count = rows * last
    if width == 1 and count < 1_024:
        return None
    index = 1 if last <= 0x100 else 2 if last <= 0x10000 else 4
    channels = tensor.shape[0] if planning.subject.artifact.format is FormatName.TFLITE else tensor.shape[-1]
    fixed = OVERHEAD + (PER_CHANNEL * channels if width == 1 else 0)
    low, high = 0, count  # the bytes of a segment depend on how many are kept
    while low < high:
        kept = (low + high + 1) // 2
        segment = 1 if kept <= 0xFF else 2 if kept <= 0xFFFF else 4
        if kept * (width + index) + (rows + 1) * segment + fixed <= count * width:
            low = kept
        else:
            high = kept - 1
    return 1 - low / count if low else None


def _as_converted(planning: Planning, tensor: Tensor) -> tuple[int, int]:
    """Return the rows and the last length of a kernel as TFLite stores it: outputs first, inputs last."""
    shape = tensor.shape
    if planning.subject.artifact.format is FormatName.TFLITE:
        last = shape[-1]
    elif len(shape) == 2:
        last = shape[0]
    else:
        last = shape[2] * shape[3] if "depthwise" in tensor.path else shape[2]
    return prod(shape) // max(last, 1), last
