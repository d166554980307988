"""Fingerprints the elements of a tensor whatever their order, so a transposed copy is still known."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import ByteOrder, ElementKind, Tensor
from modelinspect.measure.blocks import Block, Numbers, UnmeasurableError, as_unsigned, is_number
from modelinspect.measure.zeros import unpack

_FIRST = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(29)
_MASK = (1 << 64) - 1


@dataclass(slots=True)
class Fingerprinter:
    """Adds up a mixed value for each element; a zero adds nothing, so sparse and dense forms agree.

    The sum does not depend on the order of the elements: converters transpose kernels and sparse tensors
    leave zeros out. It is not a checksum against somebody who wants two tensors to look alike.
    """

    tensor: Tensor
    _sum: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not is_number(self.tensor.dtype):
            raise UnmeasurableError(f"{self.tensor.dtype} elements are not numbers")

    def add(self, block: Block) -> None:
        """Take in a block."""
        dtype = self.tensor.dtype
        if dtype.bits < 8:
            numbers: Numbers = unpack(block.data, dtype.bits)[: block.count]
        elif dtype.kind is ElementKind.COMPLEX:
            numbers = as_unsigned(block.data, dtype.bits // 16)
        else:
            numbers = as_unsigned(block.data, dtype.bits // 8)
        if block.order is ByteOrder.BIG and numbers.dtype.itemsize > 1:
            numbers = numbers.byteswap()
        wide = numbers.astype(np.uint64)
        if dtype.has_negative_zero:
            part_bits = dtype.bits // (2 if dtype.kind is ElementKind.COMPLEX else 1)
            wide[wide == np.uint64(1 << (part_bits - 1))] = 0
        self._sum = (self._sum + int(_mix(wide)) * block.repeat) & _MASK

    def value(self) -> str:
        """Return the fingerprint: the element type and 64 bits in hexadecimal."""
        return f"{self.tensor.dtype.name}:{self._sum:016x}"


def _mix(wide: Numbers) -> Any:
    """Return the sum of the mixed elements, modulo 2**64; an element of 0 mixes to 0."""
    with np.errstate(over="ignore"):
        wide *= _FIRST
        wide ^= wide >> _SHIFT
        wide *= _SECOND
        wide ^= wide >> _SHIFT
        return wide.sum(dtype=np.uint64)
