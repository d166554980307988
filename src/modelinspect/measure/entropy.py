"""Take the entropy of elements: what coding narrow ones by their values takes, and floats by their exponents."""

from __future__ import annotations

import numpy as np

from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import ByteOrder, DType, ElementKind, Tensor
from modelinspect.measure.blocks import Block, Numbers, UnmeasurableError, as_unsigned, is_number
from modelinspect.measure.zeros import unpack

WIDEST = 16
"""Bits of the widest integers whose values are counted one by one: a table of 65,536 numbers."""

_HEADS = {"float16": 6, "bfloat16": 9, "float32": 9, "float64": 12}
"""Bits of the sign and the exponent; those of the mantissa below them are as good as random in a trained weight."""


@dataclass(slots=True)
class ValueEntropy:
    """Counts how often each bit pattern comes, of wide floats that of the sign and the exponent."""

    tensor: Tensor
    _head: int = field(init=False)
    _counts: Numbers = field(init=False)

    def __post_init__(self) -> None:
        self._head = _counted_bits(self.tensor.dtype)
        self._counts = np.zeros(1 << max(self._head, 8), dtype=np.int64)

    def add(self, block: Block) -> None:
        """Count the patterns of a block."""
        bits = self.tensor.dtype.bits
        numbers = unpack(block.data, bits)[: block.count] if bits < 8 else as_unsigned(block.data, bits // 8)
        if bits > self._head:
            if block.order is ByteOrder.BIG:
                numbers = numbers.byteswap()
            numbers = (numbers >> (bits - self._head)).astype(np.uint16)
        self._counts += block.repeat * np.bincount(numbers, minlength=len(self._counts))

    def value(self) -> float:
        """Return the entropy of all elements in bits: the sum over them of how unlikely each is, and the bits of mantissas."""
        counts = self._counts[self._counts > 0]
        total = counts.sum()
        rest = self.tensor.dtype.bits - self._head
        zeros = self._counts[0] + self._counts[1 << (self._head - 1)] if rest else 0  # with subnormals, whose mantissas are left out
        return float((counts * np.log2(total / counts)).sum()) + rest * float(total - zeros)


def _counted_bits(dtype: DType) -> int:
    """Return how many bits of an element, from the highest on, are counted. Raises `UnmeasurableError` where none are."""
    narrow = dtype.kind is not ElementKind.COMPLEX and (0 < dtype.bits <= 8 or dtype.bits == WIDEST)
    head = _HEADS.get(dtype.name, dtype.bits if is_number(dtype) and narrow else 0)
    if not head:
        raise UnmeasurableError(f"the values of {dtype} elements are not counted one by one")
    return head
