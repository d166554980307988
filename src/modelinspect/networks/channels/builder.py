"""Make wires of what layers and operators have in common: kernels, vectors, functions of each element,
padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass, field, replace
from modelinspect.core.tensors import ElementKind
from modelinspect.measure.blocks import Reading
from modelinspect.measure.facts import Measurements
from modelinspect.networks.channels.wires import Bits, Numbers, Reader, Reals, Wire, Wires, unknown
from modelinspect.networks.keras_variables import values_of

Function = Callable[[Reals], Reals]


class UnfollowedError(Exception):
    """Channels are not followed through this layer or operator; the message says more where there is more to
    say.
    """


@dataclass(slots=True)
class Builder:
    """Adds layers to wires, with what was measured of an artifact's tensors."""

    artifact: Artifact
    measurements: Measurements
    reading: Reading
    wires: Wires = field(default_factory=Wires)
    kernels: dict[TensorId, tuple[list[Wire], list[Wire]]] = field(default_factory=dict)

    def dead(self, tensor: TensorId, axis: int) -> Bits:
        """Return which slices across an axis are only zeros; none where that was not measured."""
        shape, pattern = self.artifact.tensors[tensor].shape, self.measurements[tensor].pattern
        length = shape[axis]
        if pattern is None or not pattern.dead or not pattern.dead[axis]:
            return np.zeros(length, dtype=np.bool_)
        return np.unpackbits(np.frombuffer(pattern.dead[axis], np.uint8), count=length).astype(np.bool_)

    def values(self, tensor: TensorId, count: int) -> Reals:
        """Return the elements of a vector, NaN where they cannot be read; of integers only zeros are
        known.
        """
        found = self.artifact.tensors[tensor]
        values = values_of(found, self.reading)
        if values is None or len(values) != count:
            return np.full(count, np.nan)
        wide = values.astype(np.float64)
        if found.dtype.kind is ElementKind.FLOAT:
            return wide
        moved = found.quantization is not None and any(found.quantization.zero_points)
        return np.full(count, np.nan) if moved else np.where(wide == 0, 0.0, np.nan)

    def read(
        self, name: str, given: Wire, kernel: TensorId, axis: int, *, bias: bool, folds: bool, spreads: bool
    ) -> Reader | None:
        """Let a kernel read channels along an axis; None where they are not followed."""
        length = self.artifact.tensors[kernel].shape[axis]
        wire = given.stretched(length)
        if wire is None or wire.ids is None:
            self.wires.stop([given], f"{name} reads them in another shape")
            return None
        self.wires.spend(len(wire.ids))
        self._know(kernel, wire, makes=False)
        dead = self.dead(kernel, axis)
        reader = Reader(name, kernel, wire, ~dead, bias, folds, spreads)
        self.wires.readers.append(reader)
        self.wires.cut(kernel, axis, wire.ids, dead)
        return reader

    def make(self, kernel: TensorId, axis: int, bias: TensorId | None, rank: int) -> Wire:
        """Return the channels that a kernel makes: those of a slice of zeros carry only the bias."""
        count = self.artifact.tensors[kernel].shape[axis]
        wire = self.wires.new(count, rank)
        dead = self.dead(kernel, axis)
        if wire.ids is not None:
            self.wires.cut(kernel, axis, wire.ids, dead, makes=True)
        self._know(kernel, wire, makes=True)
        return replace(wire, fixed=dead, values=np.where(dead, self._bias(bias, wire.ids, count), np.nan))

    def depthwise(
        self, name: str, given: Wire, kernel: TensorId, axis: int, bias: TensorId | None, *, padded: bool
    ) -> Wire:
        """Return what a filter for each channel makes; there may be several for each, one after the other.

        ``axis`` is the last one, or the last but one where the last has the filters of a channel.
        """
        shape = self.artifact.tensors[kernel].shape
        filters = shape[-1] if axis == -2 else 1
        if given.ids is None:
            raise UnfollowedError
        if axis == -1 and len(given.ids):
            filters = shape[-1] // len(given.ids)
        count = shape[-1] * (shape[-2] if axis == -2 else 1)
        if given.flat or not filters or len(given.ids) * filters != count:
            raise UnfollowedError("in another shape")
        ids = np.repeat(given.ids, filters)
        slices = self.dead(kernel, axis)
        self.wires.cut(kernel, axis, ids[:: count // len(slices)], slices)
        self._know(kernel, given, makes=True)
        dead: Bits = np.repeat(slices, count // len(slices))
        fixed: Bits = np.repeat(given.fixed, filters)
        even: Bits = np.repeat(given.even, filters)
        zero: Bits = dead | (fixed & (np.repeat(given.values, filters) == 0))
        plain = self._bias(bias, ids, count)
        return Wire(
            ids, fixed | dead, np.where(zero, plain, np.nan), zero | (even & (not padded)), given.rank
        )

    def scaled(
        self, given: Wire, vectors: Sequence[TensorId], change: Callable[[Reals, list[Reals]], Reals]
    ) -> Wire:
        """Return what becomes of channels that vectors have an element each for."""
        wire = self.fitted(
            given, self.artifact.tensors[vectors[0]].shape[-1] if vectors else len(given.fixed)
        )
        if wire.ids is None:
            raise UnfollowedError
        known: list[Reals] = []
        for vector in vectors:
            tensor = self.artifact.tensors[vector]
            if tensor.element_count != len(wire.ids) or tensor.shape[-1] != len(wire.ids):
                raise UnfollowedError("with a vector of another length")
            self.wires.cut(vector, len(tensor.shape) - 1, wire.ids)
            known.append(self.values(vector, len(wire.ids)))
        return self.mapped(wire, lambda values: change(values, known))

    def fitted(self, given: Wire, length: int) -> Wire:
        """Return a wire with a last axis of that length. Raises `UnfollowedError`."""
        wire = given.stretched(length)
        if wire is None or wire.ids is None:
            raise UnfollowedError("in another shape")
        return wire

    def mapped(self, given: Wire, function: Function) -> Wire:
        """Return what a function of each element makes."""
        if given.ids is None:
            return unknown(given.rank)
        values = np.where(given.fixed & given.even, function(given.values), np.nan)
        return replace(given, values=values, reader=None, maker=None)

    def padded(self, given: Wire) -> Wire:
        """Return channels with zeros around them: what is not zero is no longer the same everywhere."""
        zero = given.fixed & (given.values == 0)
        return replace(
            given,
            values=np.where(zero, 0.0, np.nan),
            even=given.even & (zero | ~given.fixed),
            reader=None,
            maker=None,
        )

    def pooled(self, given: Wire, rank: int) -> Wire:
        """Return one value for each channel: it is the same everywhere, as there is but one."""
        if given.flat:
            raise UnfollowedError
        return replace(given, even=np.ones_like(given.even), rank=rank, reader=None)

    def joined(self, wires: Sequence[Wire]) -> Wire:
        """Return channels of several arrays one after the other. Raises `UnfollowedError`."""
        ids = [wire.ids for wire in wires if wire.ids is not None and not wire.flat]
        if len(ids) != len(wires):
            raise UnfollowedError("beside channels that are not followed")
        self.wires.spend(sum(map(len, ids)))
        parts = ((wire.fixed, wire.values, wire.even) for wire in wires)
        fixed, values, even = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Wire(np.concatenate(ids), fixed, values, even, wires[0].rank)

    def stacked(self, wires: Sequence[Wire]) -> Wire:
        """Return the same channels of several arrays, at positions one after the other.

        Raises `UnfollowedError`.
        """
        made = self.wires.merge(wires, lambda one, other: np.where(one == other, one, np.nan))
        if made is None:
            raise UnfollowedError("beside channels that are not followed")
        return replace(made, even=made.even & (~made.fixed | ~np.isnan(made.values)))

    def _bias(self, bias: TensorId | None, ids: Numbers | None, count: int) -> Reals:
        """Return the elements of a bias, which has one for each channel; zeros where there is none."""
        if bias is None:
            return np.zeros(count)
        if ids is not None and self.artifact.tensors[bias].shape[-1:] == (count,):
            self.wires.cut(bias, len(self.artifact.tensors[bias].shape) - 1, ids)
        return self.values(bias, count)

    def _know(self, kernel: TensorId, wire: Wire, *, makes: bool) -> None:
        """Stop where a kernel is used again: its channels are those of several arrays."""
        read, made = self.kernels.setdefault(kernel, ([], []))
        (made if makes else read).append(wire)
        if len(read) > 1 or len(made) > 1:
            self.wires.stop([*read, *made], "their layer is used more than once")
