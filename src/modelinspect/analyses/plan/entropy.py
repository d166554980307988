"""Compute the floor: what the places of the zeros and the other elements take at least; and for each kernel
the share of zeros from which sparse TFLite storage is smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, log2, prod

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.analyses.plan.deflating import deflated, kernels
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.measure.entropy import MOST
from modelinspect.measure.facts import TensorMeasure
from modelinspect.reports.plan import TensorPlan

Floor = Callable[[Tensor, TensorMeasure], int | None]


def of_zeros(tensor: Tensor, measure: TensorMeasure) -> int | None:
    """Return the bytes of the entropy of a tensor's mask, and of its other elements as they are.

    None: zeros not known.
    """
    count, zeros = tensor.element_count, measure.zero_count
    if zeros is None or not tensor.dtype.bits:
        return None
    return ceil(mask_bits(count, zeros) / 8) + ceil((count - zeros) * tensor.dtype.bits / 8)


def of_values(tensor: Tensor, measure: TensorMeasure) -> int | None:
    """Return the bytes of the entropy of a tensor's values (of wide floats with many: of exponents), or of a
    code for few values.
    """
    least = of_zeros(tensor, measure)
    if least is None:
        return None
    if measure.value_bits is not None:
        least = min(least, ceil(measure.value_bits / 8))
    if measure.distinct_count is not None and 0 < measure.distinct_count < MOST:
        coded = (
            tensor.element_count * log2(measure.distinct_count) + measure.distinct_count * tensor.dtype.bits
        )
        least = min(least, ceil(coded / 8))
    return least


def floor(tensor: Tensor, measure: TensorMeasure, reached: int | None) -> int | None:
    """Return the floor of a tensor that a compressor made ``reached`` bytes of: of its zeros, or else of its
    values.
    """
    for known in (of_zeros, of_values):
        least = known(tensor, measure)
        if least is not None and (reached is None or least <= reached):
            return least
    return None


def mask_bits(count: int, zeros: int) -> float:
    """Return the entropy in bits of saying which of the elements are zero: n H(p)."""
    if not 0 < zeros < count:
        return 0.0
    share = zeros / count
    return -count * (share * log2(share) + (1 - share) * log2(1 - share))


_FLOORS: tuple[tuple[Floor, str], ...] = (
    (
        of_zeros,
        (
            "the entropy of the positions of zeros, and every other element in full: only weights, without"
            " structure or other tensors; only fewer bits per element go below it"
        ),
    ),
    (
        of_values,
        (
            "the entropy of the values (for floats with many values of sign and exponent, mantissas in full):"
            " only weights, without structure or other tensors; compressors went below the bound from zeros"
        ),
    ),
)


def _find(planning: Planning) -> Iterator[Outcome]:
    if planning.subject.measurements is None:
        return
    for known, notes in _FLOORS:
        size = _sum(planning, known)
        if not size:
            return
        if planning.reached is None or size <= planning.reached:
            yield Option("entropy-bound", size, Basis.BOUND, True, "not a file: a lower bound", "", notes)
            return
    yield LeftOut(
        ("entropy-bound",), "compressors use the order of the elements and are smaller than this bound"
    )


def _sum(planning: Planning, known: Floor) -> int:
    """Return the floor of the model's tensors together, 0 where none is known."""
    if planning.subject.measurements is None:
        return 0
    least = [
        known(tensor, planning.subject.measurements[index])
        for index, tensor in planning.subject.weights()
        if tensor.storage is not Storage.INLINE
    ]
    return sum(size for size in least if size is not None)


FAMILY = Family(("entropy-bound",), _find)


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
        evens = [_break_even(planning, tensor, width) for width in (4, 2, 1)]
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


def _break_even(planning: Planning, tensor: Tensor, width: int) -> float | None:
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
