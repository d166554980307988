"""Take the entropy of elements: what coding narrow ones and few ones by their values takes, and floats by
their exponents. Count their distinct values, as long as there are few.
"""

from __future__ import annotations

import numpy as np

from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import ByteOrder, DType, ElementKind, Tensor
from modelinspect.measure.blocks import Block, Numbers, UnmeasurableError, as_unsigned, is_number
from modelinspect.measure.zeros import unpack

MOST = 1_024
"""Where the count stops: a tensor of more values is not a codebook."""

_SAMPLED = 8 * MOST


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
            seen = _unique(numbers[:_SAMPLED])
        if len(seen) < MOST:
            for start in range(0, len(numbers), _SAMPLED):
                part = numbers[start : start + _SAMPLED]
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


WIDEST = 16
"""Bits of the widest integers whose values are counted one by one: a table of 65,536 numbers."""

_SAMPLE = 8 * MOST
"""Elements that are looked at together while it is open whether their values are few."""

_HEADS = {"float16": 6, "bfloat16": 9, "float32": 9, "float64": 12}
"""Bits of the sign and the exponent; those of the mantissa below them are as good as random in a trained
weight.
"""


@dataclass(slots=True)
class ValueEntropy:
    """Counts how often each bit pattern comes, of wide floats that of the sign and the exponent.

    Where wide floats have fewer than `MOST` distinct values, as weights of a codebook have, their whole
    patterns are counted too.
    """

    tensor: Tensor
    _head: int = field(init=False)
    _counts: Numbers = field(init=False)
    _few: _FewValues | None = field(init=False)

    def __post_init__(self) -> None:
        self._head = _counted_bits(self.tensor.dtype)
        self._counts = np.zeros(1 << max(self._head, 8), dtype=np.int64)
        self._few = _FewValues() if self.tensor.dtype.bits > self._head else None

    def add(self, block: Block) -> None:
        """Count the patterns of a block."""
        bits = self.tensor.dtype.bits
        numbers = unpack(block.data, bits)[: block.count] if bits < 8 else as_unsigned(block.data, bits // 8)
        if bits > self._head:
            if self._few is not None and not self._few.add(numbers, block.repeat):
                self._few = None
            if block.order is ByteOrder.BIG:
                numbers = numbers.byteswap()
            numbers = (numbers >> (bits - self._head)).astype(np.uint16)
        self._counts += block.repeat * np.bincount(numbers, minlength=len(self._counts))

    def value(self) -> float:
        """Return the entropy of all elements in bits: the sum over them of how unlikely each is, and the bits
        of mantissas.

        Where whole patterns were counted, it is their entropy and the bits of one copy of each, which is the
        codebook.
        """
        if self._few is not None:
            return self._few.entropy() + self.tensor.dtype.bits * len(self._few.values)
        counts = self._counts[self._counts > 0]
        total = counts.sum()
        rest = self.tensor.dtype.bits - self._head
        zeros = (
            self._counts[0] + self._counts[1 << (self._head - 1)] if rest else 0
        )  # with subnormals, whose mantissas are left out
        return float((counts * np.log2(total / counts)).sum()) + rest * float(total - zeros)


@dataclass(slots=True)
class _FewValues:
    """Distinct bit patterns in order, and how often each comes."""

    values: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    counts: Numbers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, numbers: Numbers, repeat: int) -> bool:
        """Count patterns; return whether there are fewer than `MOST` distinct ones still."""
        for start in range(0, len(numbers), _SAMPLE):
            found, counts = np.unique(numbers[start : start + _SAMPLE], return_counts=True)
            joined, places = np.unique(
                np.concatenate((self.values, found.astype(np.uint64))), return_inverse=True
            )
            if len(joined) >= MOST:
                return False
            sums = np.zeros(len(joined), dtype=np.int64)
            np.add.at(sums, places, np.concatenate((self.counts, counts * repeat)))
            self.values, self.counts = joined, sums
        return True

    def entropy(self) -> float:
        """Return the entropy of all elements in bits."""
        total = self.counts.sum()
        return float((self.counts * np.log2(total / self.counts)).sum()) if len(self.counts) else 0.0


def _counted_bits(dtype: DType) -> int:
    """Return how many bits of an element, from the highest on, are counted.

    Raises `UnmeasurableError` where none are.
    """
    narrow = dtype.kind is not ElementKind.COMPLEX and (0 < dtype.bits <= 8 or dtype.bits == WIDEST)
    head = _HEADS.get(dtype.name, dtype.bits if is_number(dtype) and narrow else 0)
    if not head:
        raise UnmeasurableError(f"the values of {dtype} elements are not counted one by one")
    return head
