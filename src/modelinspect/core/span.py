"""Where bytes are and how many there are."""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.errors import InvariantError


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The bytes ``[offset, offset + size)`` of one member."""

    offset: int
    size: int

    def __post_init__(self) -> None:
        if self.offset < 0 or self.size < 0:
            raise InvariantError(f"no span has offset {self.offset} and size {self.size}")

    @property
    def end(self) -> int:
        """The offset of the first byte after the span."""
        return self.offset + self.size

    def __contains__(self, offset: object) -> bool:
        return isinstance(offset, int) and self.offset <= offset < self.end

    def overlaps(self, other: Span) -> bool:
        """Return whether the two spans share a byte."""
        return max(self.offset, other.offset) < min(self.end, other.end)

    def shifted(self, distance: int) -> Span:
        """Move the span by a distance in bytes."""
        return Span(self.offset + distance, self.size)
