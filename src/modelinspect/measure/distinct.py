"""Count the distinct values of a tensor, as long as there are few."""

from __future__ import annotations

import numpy as np

from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Tensor
from modelinspect.measure.blocks import Block, Numbers, UnmeasurableError, as_unsigned, is_number
from modelinspect.measure.zeros import unpack

MOST = 1_024
"""Where the count stops: a tensor of more values is not a codebook."""

_SAMPLE = 8 * MOST


@dataclass(slots=True)
class ValueCounter:
    """Keeps the bit patterns seen so far, sorted, until there are too many."""

    tensor: Tensor
    _seen: Numbers | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not is_number(self.tensor.dtype) or self.tensor.dtype.bits > 64:
            raise UnmeasurableError(f"the values of {self.tensor.dtype} elements are not counted")

    def add(self, block: Block) -> None:
        """Add the patterns of a block."""
        bits = self.tensor.dtype.bits
        numbers = unpack(block.data, bits)[: block.count] if bits < 8 else as_unsigned(block.data, bits // 8)
        seen = self._seen
        if seen is None:
            seen = _unique(numbers[:_SAMPLE])
        if len(seen) < MOST:
            for start in range(0, len(numbers), _SAMPLE):
                part = numbers[start : start + _SAMPLE]
                places = np.searchsorted(seen, part)
                places[places == len(seen)] = 0
                fresh = part[seen[places] != part]
                if len(fresh):
                    seen = _unique(np.concatenate((seen, fresh)))
                if len(seen) >= MOST:
                    break
        self._seen = seen

    def value(self) -> int:
        """Return the number of distinct bit patterns, at most `MOST`."""
        return 0 if self._seen is None else min(len(self._seen), MOST)


def _unique(numbers: Numbers) -> Numbers:
    """Return the distinct numbers in order: numpy's own looks them up in a table, which takes ten times as
    long as to sort a few.
    """
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]
