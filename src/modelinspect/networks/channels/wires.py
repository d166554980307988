"""Follow channels through a network: which slices of which tensors are one channel, what it carries, and who
reads it.

A channel is a number. An array between two layers has one for each place of its last axis; layers hand them
on, and where two branches are added the channels of both become one. Each tensor that has a slice for each
channel is a cut: without the channel, the slice goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass, field
from modelinspect.measure.blocks import UnmeasurableError

Numbers = NDArray[np.int64]
Bits = NDArray[np.bool_]
Reals = NDArray[np.float64]
INPUTS, OUTPUTS = "the model's inputs", "the model's outputs"
MOST_PLACES = 1 << 22
"""Places of all arrays together; the largest networks have a million or two."""


@dataclass(slots=True)
class Wire:
    """An array between two layers. None of its fields has the batch.

    ``ids`` are the channels of its last axis, None where they are not followed. ``values`` are what constant
    channels carry, NaN where that is not known; ``fixed`` means which are constant, ``even`` which of them
    carry the same everywhere. ``flat`` means that the last axis has all channels of one position after those
    of another, for positions that nobody counted. ``reader`` is the kernel that made it, as long as nothing
    but that is between, ``maker`` that kernel with its activation, as long as constants go through unchanged.
    """

    ids: Numbers | None
    fixed: Bits
    values: Reals
    even: Bits
    rank: int = 0
    flat: bool = False
    reader: Reader | None = None
    maker: TensorId | None = None

    def stretched(self, length: int) -> Wire | None:
        """Return the wire with a last axis of that length, None where it has not."""
        if self.ids is None or not len(self.ids):
            return None
        if len(self.ids) == length:
            return self
        if not self.flat or length % len(self.ids):
            return None
        times = length // len(self.ids)
        fixed, even = np.tile(self.fixed, times), np.tile(self.even, times)
        return Wire(
            np.tile(self.ids, times), fixed, np.tile(self.values, times), even, self.rank, maker=self.maker
        )


@dataclass(slots=True)
class Reader:
    """A kernel that reads channels: ``alive`` are those that it does not multiply by zero.

    What a constant channel adds can go into the bias: ``bias`` means that there is one, ``normalized`` that a
    normalization after it can take it, ``alone`` that nothing else reads the output. ``folds`` means that it
    adds the same everywhere if it is the same everywhere, ``spreads`` if it is not. ``plain`` means that its
    layer is that kernel and that bias, and nothing else.
    """

    name: str
    kernel: TensorId
    wire: Wire
    alive: Bits
    bias: bool
    folds: bool
    spreads: bool
    normalized: bool = False
    alone: bool = True
    plain: bool = False

    def needed(self) -> tuple[Bits, Bits, str]:
        """Return what cannot be left out, what can once its constant goes into the bias, and why constants
        are needed.
        """
        zero = self.wire.fixed & (self.wire.values == 0)
        constant = self.wire.fixed & ~zero
        takes = self.bias or (self.normalized and self.alone)
        fits = (constant & self.wire.even) if self.folds else np.zeros_like(constant)
        fits |= constant & ~self.wire.even if self.spreads else False
        folded = fits if takes else np.zeros_like(fits)
        why = (
            "has no bias for what they add"
            if not takes
            else "pads what they emit with zeros, so no bias can stand for it"
        )
        return self.alive & ~zero & ~folded, self.alive & folded, f"{self.name} {why}"


@dataclass(frozen=True, slots=True)
class Cut:
    """An axis of a tensor whose places are channels; ``dead`` are those where a kernel's slice is only zeros,
    ``makes`` its outputs.
    """

    tensor: TensorId
    axis: int
    ids: Numbers
    dead: Bits | None = None
    makes: bool = False


@dataclass(slots=True)
class Wires:
    """All channels of a network, and what is known of them."""

    parents: list[int] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    stops: list[tuple[Numbers, str]] = field(default_factory=list)
    places: int = 0

    def new(self, count: int, rank: int) -> Wire:
        """Return a wire of channels that nothing is known of. Raises `UnmeasurableError`."""
        start = len(self.parents)
        self.spend(count)
        self.parents.extend(range(start, start + count))
        nothing = np.zeros(count, dtype=np.bool_)
        return Wire(np.arange(start, start + count), nothing, np.full(count, np.nan), ~nothing, rank)

    def spend(self, count: int) -> None:
        """Count the places of one more array.

        Raises `UnmeasurableError` where there are more than any network has.
        """
        self.places += count
        if self.places > MOST_PLACES:
            raise UnmeasurableError(f"its arrays have more than {MOST_PLACES:,} channels")

    def stop(self, wires: Sequence[Wire], why: str) -> None:
        """Keep channels: whoever reads them is not known to do without."""
        self.stops += [(wire.ids, why) for wire in wires if wire.ids is not None]

    def cut(
        self, tensor: TensorId, axis: int, ids: Numbers, dead: Bits | None = None, *, makes: bool = False
    ) -> None:
        """Tie the places of a tensor's axis to channels."""
        self.cuts.append(Cut(tensor, axis, ids, dead, makes))

    def merge(
        self, wires: Sequence[Wire], combine: Callable[[Reals, Reals], Reals], *, zero_wins: bool = False
    ) -> Wire | None:
        """Return what arrays of the same channels become element by element, None where they have not the
        same.

        ``zero_wins`` means that a zero in one of them is enough.
        """
        first = wires[0]
        for wire in wires:
            same = wire.ids is not None and first.ids is not None and len(wire.ids) == len(first.ids)
            if not same or wire.flat is not first.flat or wire.rank != first.rank or not wire.rank:
                return None
        fixed, values, even = first.fixed, first.values, first.even
        for wire in wires[1:]:
            self._tie(first, wire)
            zero = (
                (fixed & (values == 0)) | (wire.fixed & (wire.values == 0))
                if zero_wins
                else np.zeros_like(fixed)
            )
            fixed = (fixed & wire.fixed) | zero
            even = (even & wire.even) | zero
            values = np.where(zero, 0.0, np.where(fixed & even, combine(values, wire.values), np.nan))
        return Wire(first.ids, fixed, values, even, first.rank, first.flat)

    def roots(self, ids: Numbers) -> Numbers:
        """Return the channel that stands for each and all that became one with it."""
        return np.fromiter((self._root(one) for one in ids.tolist()), np.int64, len(ids))

    def _tie(self, one: Wire, other: Wire) -> None:
        """Make one of the channels of two wires, place by place."""
        if one.ids is None or other.ids is None:
            return
        for here, there in zip(one.ids.tolist(), other.ids.tolist(), strict=True):
            here, there = self._root(here), self._root(there)
            self.parents[max(here, there)] = min(here, there)

    def _root(self, one: int) -> int:
        parents = self.parents
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one


def unknown(rank: int = 0) -> Wire:
    """Return a wire whose channels are not followed."""
    nothing = np.zeros(0, dtype=np.bool_)
    return Wire(None, nothing, np.zeros(0), nothing, rank)
