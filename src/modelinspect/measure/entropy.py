"""Takes the entropy of the values of narrow elements: what coding each by how often it comes would take."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from modelinspect.core.tensors import Tensor
from modelinspect.measure.blocks import Block, Numbers, UnmeasurableError, as_unsigned, is_number
from modelinspect.measure.zeros import unpack

WIDEST = 16
"""Bits of the widest elements whose values are counted one by one: a table of 65,536 numbers."""


@dataclass(slots=True)
class ValueEntropy:
    """Counts how often each bit pattern comes."""

    tensor: Tensor
    _counts: Numbers = field(init=False)

    def __post_init__(self) -> None:
        bits = self.tensor.dtype.bits
        if not is_number(self.tensor.dtype) or not 0 < bits <= WIDEST or (bits > 8 and bits % 8):
            raise UnmeasurableError(f"the values of {self.tensor.dtype} elements are not counted one by one")
        self._counts = np.zeros(1 << max(bits, 8), dtype=np.int64)

    def add(self, block: Block) -> None:
        """Count the patterns of a block."""
        bits = self.tensor.dtype.bits
        numbers = unpack(block.data, bits)[: block.count] if bits < 8 else as_unsigned(block.data, bits // 8)
        self._counts += block.repeat * np.bincount(numbers, minlength=len(self._counts))

    def value(self) -> float:
        """Return the entropy of all elements, in bits: the sum over them of how unlikely each is."""
        counts = self._counts[self._counts > 0]
        total = counts.sum()
        return float((counts * np.log2(total / counts)).sum())
