"""Slices that add axes, or leave some as they are: the converter reshapes first, and writes them out."""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.conversion.graph.node import Item, Node, UnknownNodeError
from modelinspect.conversion.network import UNKNOWN, integers
from modelinspect.conversion.operators import RESHAPE, STRIDED_SLICE
from modelinspect.core.records import dataclass, field


@dataclass(slots=True)
class _Axes:
    """The axes of what is sliced, after those of length 1 were added: a begin, an end and a step for each."""

    lengths: list[int] = field(default_factory=list)
    bounds: tuple[list[int], list[int], list[int]] = field(default_factory=lambda: ([], [], []))
    begin_mask: int = 0
    end_mask: int = 0
    shrink_mask: int = 0

    def add(self, length: int, begin: int, end: int, step: int) -> int:
        """Add an axis and return its bit."""
        self.lengths.append(length)
        for many, number in zip(self.bounds, (begin, end, step), strict=True):
            many.append(number)
        return 1 << len(self.lengths) - 1

    def add_whole(self, length: int, end: int = 0) -> None:
        """Add an axis that is left as it is."""
        bit = self.add(length, 0, end, 1)
        self.begin_mask |= bit
        self.end_mask |= bit

    def shape(self) -> tuple[int, ...]:
        """Return the shape of the slice. Raises `UnknownNodeError` where a length that is cut is unknown."""
        made = []
        for axis, (length, begin, end, step) in enumerate(zip(self.lengths, *self.bounds, strict=True)):
            if self.shrink_mask >> axis & 1:
                continue
            kept = self.begin_mask >> axis & 1, self.end_mask >> axis & 1
            if kept == (1, 1) and step == 1:
                made.append(length)
                continue
            if length < 0:
                raise UnknownNodeError("an unsupported slice")
            made.append(len(range(length)[None if kept[0] else begin : None if kept[1] else end : step]))
        return tuple(made)


def slice_with_axes(node: Node, begin: Sequence[int], end: Sequence[int], step: Sequence[int]) -> Item:
    """Reshape to what has the new axes, if any, and slice that. Raises `UnknownNodeError`."""
    given, axes = node.given, _Axes()
    added, between = node.number("new_axis_mask"), node.number("ellipsis_mask")
    added &= ~between & ((1 << len(begin)) - 1)
    left = list(given.shape)
    more = len(left) - (len(begin) - added.bit_count() - between.bit_count())
    if between.bit_count() > 1 or more < 0:
        raise UnknownNodeError("an unsupported slice")
    for place, numbers in enumerate(zip(begin, end, step, strict=True)):
        if added >> place & 1:
            axes.add_whole(1)
        elif between >> place & 1:
            for _ in range(more):
                axes.add_whole(left.pop(0))
        else:
            bit = axes.add(left.pop(0), *numbers)
            axes.begin_mask |= bit * (node.number("begin_mask") >> place & 1)
            axes.end_mask |= bit * (node.number("end_mask") >> place & 1)
            axes.shrink_mask |= bit * (node.number("shrink_axis_mask") >> place & 1)
    is_written_out = bool(between or left)
    for length in left:
        axes.add_whole(length, max(length, 1))
    shaped, location = given, node.location
    if added:
        if axes.lengths.count(-1) > 1 or min(axes.lengths) < -1:
            raise UnknownNodeError("an unsupported slice")
        whole, location = tuple(axes.lengths), UNKNOWN
        shaped = node.op(RESHAPE, [given, integers(whole, UNKNOWN)], whole, None, given.kind)
    inputs = [node.value(place) for place in (1, 2, 3)]
    if is_written_out:
        for place in (1, 2, 3):
            node.forget(node.held(place))
        first, last, by = axes.bounds
        inputs = [integers(first, location), integers(last, location), node.constant(by)]
    settings: dict[str, int | float | bool] = {
        "begin_mask": axes.begin_mask,
        "end_mask": axes.end_mask,
        "shrink_axis_mask": axes.shrink_mask,
    }
    return node.op(STRIDED_SLICE, [shaped, *inputs], axes.shape(), settings, given.kind)
