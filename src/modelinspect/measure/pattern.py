"""Find slices and blocks of a tensor that hold nothing but zeros."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Tensor
from modelinspect.measure.blocks import Block
from modelinspect.measure.facts import Pattern
from modelinspect.measure.zeros import ZeroCounter

BLOCK_LENGTHS = (4, 16)
"""The blocks that LiteRT's sparse kernels take: 1 x 4 of floats, 1 x 16 of int8."""

_MOST_ROWS = 1 << 26
_GROUP = 16


@dataclass(slots=True)
class PatternFinder:
    """Looks at the tensor as rows along its last axis, whole rows at a time; blocks in another order end the
    search.
    """

    tensor: Tensor
    _zeros: ZeroCounter = field(init=False)
    _columns: NDArray[np.bool_] = field(init=False)
    _rows: NDArray[np.bool_] = field(init=False)
    _carry: NDArray[np.bool_] = field(init=False)
    _next: int = field(default=0, init=False)
    _row: int = field(default=0, init=False)
    _along: dict[int, int] = field(default_factory=dict, init=False)
    _across: dict[int, int] = field(default_factory=dict, init=False)
    _fours: dict[int, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._zeros = ZeroCounter(self.tensor)
        shape = self.tensor.shape
        width = shape[-1] if shape else 1
        height = self.tensor.element_count // width if width else 0
        if len(shape) < 2 or not self.tensor.element_count or max(height, width) > _MOST_ROWS:
            self._next = -1
            height = width = 0
        self._columns = np.zeros(width, dtype=np.bool_)
        self._rows = np.zeros(height, dtype=np.bool_)
        self._carry = np.zeros(0, dtype=np.bool_)
        self._along = {length: 0 for length in BLOCK_LENGTHS if width and width % length == 0}
        self._across = {length: 0 for length in BLOCK_LENGTHS if width and shape[-2] % length == 0}
        self._fours = {axis: 0 for axis, found in ((-1, self._along), (-2, self._across)) if 4 in found}

    def add(self, block: Block) -> None:
        """Take in the next elements."""
        if (
            self._next < 0
            or not block.placed
            or block.box is not None
            or block.repeat > 1
            or block.first != self._next
        ):
            self._next = -1
            return
        self._next += block.count
        filled = np.concatenate((self._carry, ~self._zeros.mask(block)))
        width = len(self._columns)
        unit = width * (max(self._across) if self._across else 1)
        whole = len(filled) - len(filled) % unit
        self._carry = filled[whole:]
        if whole:
            self._take(filled[:whole].reshape(-1, width))

    def _take(self, filled: NDArray[np.bool_]) -> None:
        height, width = filled.shape
        if filled.all():  # no zero: no slice, block or run has one
            self._columns[:] = True
            self._rows[self._row : self._row + height] = True
            self._row += height
            return
        self._columns |= filled.any(axis=0)
        self._rows[self._row : self._row + height] = filled.any(axis=1)
        self._row += height
        for length in self._along:
            self._along[length] += height * width // length - int(
                np.count_nonzero(filled.reshape(height, -1, length).any(axis=2))
            )
        for length in self._across:
            self._across[length] += height * width // length - int(
                np.count_nonzero(filled.reshape(-1, length, width).any(axis=1))
            )

        half = filled.view(np.uint8)
        if -1 in self._fours:
            self._fours[-1] += int(np.count_nonzero(half.reshape(-1, 4).sum(axis=1, dtype=np.uint8) <= 2))
        if -2 in self._fours:
            self._fours[-2] += int(
                np.count_nonzero(half.reshape(-1, 4, width).sum(axis=1, dtype=np.uint8) <= 2)
            )

    def value(self) -> Pattern | None:
        """Return what was found, None for tensors of less than two axes and where not all elements came in
        order.
        """
        shape = self.tensor.shape
        if self._next != self.tensor.element_count or len(shape) < 2:
            return None
        filled = list(_filled_along_axes(self._rows, shape[:-1]))
        filled.append(self._columns)
        alive = [int(np.count_nonzero(some)) for some in filled]
        count = self.tensor.element_count
        return Pattern(
            slices=tuple((length - some, length) for length, some in zip(shape, alive, strict=True)),
            zero_blocks={(-1, length): (zeros, count // length) for length, zeros in self._along.items()}
            | {(-2, length): (zeros, count // length) for length, zeros in self._across.items()},
            two_of_four={axis: (found, count // 4) for axis, found in self._fours.items()},
            dead=tuple(b"" if some.all() else np.packbits(~some).tobytes() for some in filled),
        )


def _filled_along_axes(rows: NDArray[np.bool_], shape: tuple[int, ...]) -> Iterator[NDArray[np.bool_]]:
    """Yield for each axis which of its slices hold something.

    The axes before and after it are one each, as numpy has 64 at most; axes of length 1 have one slice, which
    is everything.
    """
    everything = np.array([rows.any()], dtype=np.bool_)
    before, after = 1, prod(shape)
    for length in shape:
        if length == 1:
            yield everything
            continue
        after //= length
        stacked = rows.reshape(before, length, after)
        yield np.asarray(stacked.any(axis=(0, 2)), dtype=np.bool_)
        before *= length
