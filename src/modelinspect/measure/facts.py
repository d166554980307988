"""What was measured of an artifact's tensors, as plain facts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from modelinspect.core.artifact import Diagnostic
from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass, field


class Aspect(StrEnum):
    """What can be measured of a tensor; zeros always are."""

    DIGEST = "digest"
    VALUES = "values"
    PATTERN = "pattern"
    FINGERPRINT = "fingerprint"
    ENTROPY = "entropy"


COMPARING = (Aspect.DIGEST, Aspect.VALUES, Aspect.PATTERN, Aspect.FINGERPRINT)
"""Which tensors of two artifacts differ, and what rules look at."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Where the zeros of a tensor of two axes or more are.

    ``slices`` counts, for each axis, the slices across it that hold nothing but zeros, and all of them (of a
    Keras kernel, the last axis are the output channels, the last but one the inputs). ``zero_blocks`` counts,
    for an axis from the end and a length that divides it, the runs of that length along it that hold nothing
    but zeros, and all such runs. ``two_of_four`` counts, for an axis from the end that 4 divides, the runs of
    4 of which at least two are zero, and all. ``dead`` describes each axis which slices those are, a bit for
    each, the first one highest; no bytes where there are none.
    """

    slices: tuple[tuple[int, int], ...]
    zero_blocks: Mapping[tuple[int, int], tuple[int, int]]
    two_of_four: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    dead: tuple[bytes, ...] = ()

    @property
    def dead_rows(self) -> tuple[int, int]:
        """The slices across the first axis: those of zeros, all."""
        return self.slices[0]

    @property
    def dead_channels(self) -> tuple[int, int]:
        """The slices across the last axis: those of zeros, all."""
        return self.slices[-1]


@dataclass(frozen=True, slots=True)
class TensorMeasure:
    """What was measured of one tensor.

    The counts are None where its elements could not be read as numbers, and ``reason`` says why.
    ``zero_count`` counts by value and includes ``negative_zero_count``; of a quantized tensor it counts the
    zero points. ``digest`` is the SHA-256 of the dense little-endian elements; ``distinct_count`` the number
    of bit patterns, capped at `distinct.MOST`, where it means that many or more; ``fingerprint`` is the same
    for the same elements in any order; ``value_bits`` is the entropy of all elements by their values, of
    wider floats with many values by their exponents.
    """

    element_count: int | None
    zero_count: int | None
    negative_zero_count: int | None
    reason: str = ""
    digest: str | None = None
    distinct_count: int | None = None
    pattern: Pattern | None = None
    fingerprint: str | None = None
    value_bits: float | None = None

    @property
    def measured(self) -> bool:
        """Return whether the zeros were counted."""
        return self.zero_count is not None


def unmeasured(reason: str, element_count: int | None = None) -> TensorMeasure:
    """Return the measure of a tensor whose elements could not be read."""
    return TensorMeasure(element_count, None, None, reason)


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was measured of an artifact: one `TensorMeasure` for each tensor, at the tensor's id."""

    tensors: tuple[TensorMeasure, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    def __getitem__(self, tensor: TensorId | int) -> TensorMeasure:
        return self.tensors[tensor]

    def __len__(self) -> int:
        return len(self.tensors)
