"""Measure the tensors of an artifact: one pass over the blocks of each feeds everything that counts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol, assert_never

import numpy as np

from modelinspect.core.artifact import Artifact, Diagnostic, Severity
from modelinspect.core.limits import MIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import ByteOrder, ElementKind, Role, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import (
    Block,
    Numbers,
    Reading,
    UnmeasurableError,
    as_read,
    as_unsigned,
    is_number,
)
from modelinspect.measure.digest import Digester
from modelinspect.measure.entropy import ValueCounter, ValueEntropy
from modelinspect.measure.facts import Aspect, Measurements, TensorMeasure, unmeasured
from modelinspect.measure.pattern import PatternFinder
from modelinspect.measure.readers import blocks
from modelinspect.measure.together import measure_together
from modelinspect.measure.zeros import ZeroCounter, unpack
from modelinspect.sources.files import FileSet

Progress = Callable[[int, int], None]
"""Receives how many bytes of elements were read, and how many there are."""


class Accumulator(Protocol):
    """Learns something of a tensor from its blocks."""

    def add(self, block: Block, /) -> None:
        """Take in one block; its bytes are gone after the call."""


class Learner(Accumulator, Protocol):
    """An accumulator that says one thing in the end."""

    def value(self) -> object:
        """Return what was learned, None where it cannot be known."""


def measure(
    artifact: Artifact,
    files: FileSet,
    limits: Limits | None = None,
    progress: Progress | None = None,
    aspects: Collection[Aspect] = (),
) -> Measurements:
    """Read every tensor once and count its zeros, and what else ``aspects`` asks for.

    ``files`` are those that the artifact was parsed from. A tensor that cannot be read is measured as
    unknown, with the reason; a diagnostic says where its bytes are at fault. Raises `SourceChangedError`
    where a file shrinks meanwhile.
    """
    reading = Reading(files, files.budgeted(limits), bytearray())
    reading.limits.ledger.restart()
    meter = _Meter(sum(tensor.logical_size for tensor in artifact.tensors), progress)
    together = {} if aspects else measure_together(artifact, reading, meter.finish)
    measures: list[TensorMeasure] = []
    diagnostics: list[Diagnostic] = []
    for index, tensor in enumerate(artifact.tensors):
        known = together.get(index)
        if known is not None:
            measures.append(known)
            continue
        try:
            measures.append(_measure_tensor(tensor, reading, aspects, meter))
        except UnmeasurableError as error:
            measures.append(unmeasured(str(error), tensor.element_count))
        except FormatError as error:
            measures.append(unmeasured(error.problem, tensor.element_count))
            diagnostics.append(
                Diagnostic(
                    Severity.WARNING,
                    f"tensor {tensor.name}: {error.problem}",
                    error.member,
                    error.offset,
                    error.code,
                )
            )
        meter.finish(tensor.logical_size)
    return Measurements(tuple(measures), tuple(diagnostics))


@dataclass(slots=True)
class _Meter:
    """Tells how far measuring has come, at most once for each `_STRIDE` bytes."""

    total: int
    progress: Progress | None
    done: int = 0
    within: int = 0
    reported: int = 0

    def add(self, size: int) -> None:
        """Count bytes of the tensor that is being read."""
        self.within += size
        self._report()

    def finish(self, size: int) -> None:
        """Count tensors of so many bytes as read, whatever could be read of them."""
        self.done += size
        self.within = 0
        self._report()

    def _report(self) -> None:
        now = min(self.done + self.within, self.total)
        if self.progress is not None and (
            now - self.reported >= _STRIDE or now == self.total > self.reported
        ):
            self.reported = now
            self.progress(now, self.total)


_STRIDE = 4 * MIB


def _measure_tensor(
    tensor: Tensor, reading: Reading, aspects: Collection[Aspect], meter: _Meter
) -> TensorMeasure:
    """Read a tensor once for all that is asked; what cannot be known of its elements stays unknown, and the
    rest is given.
    """
    whole = as_read(tensor)
    counter, reason = _counter(whole)
    learners = {aspect: learner for aspect in aspects if (learner := _learner(aspect, whole)) is not None}
    everything: list[Accumulator] = [*learners.values()] if counter is None else [counter, *learners.values()]
    if not everything:
        raise UnmeasurableError(reason)
    for block in blocks(tensor, reading):
        for accumulator in everything:
            accumulator.add(block)
        meter.add(len(block.data))
    count = tensor.element_count
    if counter is not None and counter.elements != count:
        raise FormatError(f"its parts hold {counter.elements:,} elements where {count:,} belong")
    if counter is not None and not learners:
        return TensorMeasure(count, counter.zeros, counter.negative)
    values: dict[str, Any] = {_FIELDS[aspect]: learner.value() for aspect, learner in learners.items()}
    if counter is None:
        return TensorMeasure(count, None, None, reason, **values)
    return TensorMeasure(count, counter.zeros, counter.negative, **values)


def _counter(tensor: Tensor) -> tuple[ZeroCounter | None, str]:
    """Return the counter of zeros, or why there can be none."""
    try:
        return ZeroCounter(tensor), ""
    except UnmeasurableError as error:
        return None, str(error)


def _learner(aspect: Aspect, tensor: Tensor) -> Learner | None:
    if tensor.role in _UNLEARNED.get(aspect, ()):
        return None
    try:
        match aspect:
            case Aspect.DIGEST:
                return Digester(tensor)
            case Aspect.VALUES:
                return ValueCounter(tensor)
            case Aspect.PATTERN:
                return PatternFinder(tensor)
            case Aspect.FINGERPRINT:
                return _Fingerprinter(tensor)
            case Aspect.ENTROPY:
                return ValueEntropy(tensor)
            case _:
                assert_never(aspect)
    except UnmeasurableError:
        return None


_UNLEARNED = {
    Aspect.PATTERN: frozenset((Role.OPTIMIZER, Role.PRUNING, Role.QUANTIZATION)),
    Aspect.VALUES: frozenset((Role.OPTIMIZER,)),
}
"""What nobody asks of tensors that are not the model's, and what takes longest to find."""

_FIELDS = {
    Aspect.DIGEST: "digest",
    Aspect.VALUES: "distinct_count",
    Aspect.PATTERN: "pattern",
    Aspect.FINGERPRINT: "fingerprint",
    Aspect.ENTROPY: "value_bits",
}
"""Where a `TensorMeasure` keeps what each aspect says."""


_FIRST = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(29)
_MASK = (1 << 64) - 1


@dataclass(slots=True)
class _Fingerprinter:
    """Adds up a mixed value for each element; a zero adds nothing, so sparse and dense forms agree.

    The sum does not depend on the order of the elements: converters transpose kernels and sparse tensors
    leave zeros out. It is not a checksum against somebody who wants two tensors to look alike.
    """

    tensor: Tensor
    _sum: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not is_number(self.tensor.dtype):
            raise UnmeasurableError(f"{self.tensor.dtype} elements are not numbers")

    def add(self, block: Block) -> None:
        """Take in a block."""
        dtype = self.tensor.dtype
        if dtype.bits < 8:
            numbers: Numbers = unpack(block.data, dtype.bits)[: block.count]
        elif dtype.kind is ElementKind.COMPLEX:
            numbers = as_unsigned(block.data, dtype.bits // 16)
        else:
            numbers = as_unsigned(block.data, dtype.bits // 8)
        if block.order is ByteOrder.BIG and numbers.dtype.itemsize > 1:
            numbers = numbers.byteswap()
        wide = numbers.astype(np.uint64)
        if dtype.has_negative_zero:
            part_bits = dtype.bits // (2 if dtype.kind is ElementKind.COMPLEX else 1)
            wide[wide == np.uint64(1 << (part_bits - 1))] = 0
        self._sum = (self._sum + int(_mix(wide)) * block.repeat) & _MASK

    def value(self) -> str:
        """Return the fingerprint: the element type and 64 bits in hexadecimal."""
        return f"{self.tensor.dtype.name}:{self._sum:016x}"


def _mix(wide: Numbers) -> Any:
    """Return the sum of the mixed elements, modulo 2**64; an element of 0 mixes to 0."""
    with np.errstate(over="ignore"):
        wide *= _FIRST
        wide ^= wide >> _SHIFT
        wide *= _SECOND
        wide ^= wide >> _SHIFT
        return wide.sum(dtype=np.uint64)
