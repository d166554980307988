"""Computes the floor: what the places of the zeros and the other elements take, or narrow elements by their values."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

from modelinspect.analyses.plan.base import Basis, Family, Option, Planning
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.measure.facts import TensorMeasure


def floor(tensor: Tensor, measure: TensorMeasure) -> int | None:
    """Return the least bytes of a tensor, None where its zeros are not known.

    They are the entropy of its values where those were counted one by one, or else that of where its zeros are, and its
    other elements as they are.
    """
    count, zeros = tensor.element_count, measure.zero_count
    if zeros is None or not tensor.dtype.bits:
        return None
    if measure.value_bits is not None:
        return ceil(measure.value_bits / 8)
    return ceil(mask_bits(count, zeros) / 8) + ceil((count - zeros) * tensor.dtype.bits / 8)


def mask_bits(count: int, zeros: int) -> float:
    """Return the entropy in bits of saying which of the elements are zero: n H(p)."""
    if not 0 < zeros < count:
        return 0.0
    share = zeros / count
    return -count * (share * log2(share) + (1 - share) * log2(1 - share))


def _find(planning: Planning) -> Iterator[Option]:
    measurements = planning.measurements
    if measurements is None:
        return
    size = 0
    for index, tensor in planning.weights():
        least = floor(tensor, measurements[index])
        if least is None or tensor.storage is Storage.INLINE:
            continue
        size += least
    if not size:
        return
    notes = (
        "weights alone, without structure or other tensors: where the zeros are and every other element as it is, of elements up to "
        "16 bits each by how often its value comes; a compressor goes below it only by order among the values, such as like exponents"
    )
    yield Option("entropy-bound", size, Basis.BOUND, True, "not a file: a floor", "", notes)


FAMILY = Family(("entropy-bound",), _find)
