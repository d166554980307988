"""Compress both sides for real and ask the plan what takes zeros away, where that answers why a file is not
smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from modelinspect.analyses.plan.base import MOST_ERROR, Basis, Option, Planning, Progress
from modelinspect.analyses.plan.content import stream
from modelinspect.analyses.plan.registry import option_entry, run_families
from modelinspect.analyses.plan.transport import gzip_frame
from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import PackedPayload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import Deflate, deflated_size
from modelinspect.measure.readers import blocks
from modelinspect.measure.zeros import ZeroCounter
from modelinspect.networks.subject import Subject
from modelinspect.reports.explain import Compressed
from modelinspect.reports.plan import OptionEntry
from modelinspect.rules.wasteful.dense_zeros import DenseKernels, are_zeros_reported, dense_kernels


@dataclass(frozen=True, slots=True)
class Squeezed:
    """What compressing showed; ``note`` says why nothing was where it would have answered something."""

    compressed: Compressed | None = None
    options: tuple[OptionEntry, ...] = ()
    note: str = ""


Report = Callable[[int], None]
"""Takes the bytes that were done since the last report."""

BEST, QUICK = 9, 6
"""gzip's levels: the plan's, and its own usual one, which is ten times as fast where half is zeros, for 1 to
2 % more bytes.
"""
COMPRESSED_UNASKED = 16 * MIB
BEST_UNASKED = MIB
"""How large each artifact may be to be compressed, and to be at the best level, when nobody said whether it
should be.
"""
_NEARLY = 0.01
_AS_IT_LOADS = {
    FormatName.KERAS_HDF5: ("hdf5-gzip",),
    FormatName.WEIGHTS_HDF5: ("hdf5-gzip",),
    FormatName.HDF5: ("hdf5-gzip",),
    FormatName.KERAS_ZIP: ("zip-deflate",),
}


def squeeze(
    before: Subject | None,
    after: Subject,
    *,
    asked: bool | None = None,
    progress: Progress | None = None,
) -> Squeezed:
    """Compress where it is ``asked`` for or, where that is None, where it answers something and is quick.

    The files of both are open; ``progress`` is called with the bytes that gzip took.
    """
    sides = [side for side in (before, after) if side is not None]
    if asked is False or (asked is None and not _answers(before, after)):
        return Squeezed()
    if asked is None and any(side.artifact.size > COMPRESSED_UNASKED for side in sides):
        return Squeezed(
            note=(
                f"Over {COMPRESSED_UNASKED // MIB} MiB nothing is compressed unless --compressors asks"
                " for it."
            )
        )
    meter = _Meter(progress, sum(side.artifact.size for side in sides))
    plans = [Planning(side) for side in sides]
    best = asked is True or all(side.artifact.size <= BEST_UNASKED for side in sides)
    found = compress(plans[0] if before is not None else None, plans[-1], BEST if best else QUICK, meter.add)
    return Squeezed(found, smaller_forms(plans[-1], best=best))


def _answers(before: Subject | None, after: Subject) -> bool:
    """Return whether the size hardly changed or zeros are stored in full: compressed sizes explain both."""
    if after.measurements is None or (before is not None and before.measurements is None):
        return False
    if (
        before is not None
        and abs(after.artifact.size - before.artifact.size) <= _NEARLY * after.artifact.size
    ):
        return True
    return are_zeros_reported(after, dense_kernels(after))


def compress(before: Planning | None, after: Planning, level: int, report: Report) -> Compressed | None:
    """Run gzip over each side, and again over the kernels with and without their zeros; None where they
    cannot be read.
    """
    kernels = dense_kernels(after.subject)
    with ThreadPoolExecutor(2) as pool:
        old = None if before is None else pool.submit(_gzip, before, level, report)
        try:
            size = _gzip(after, level, report)
            zeros = _zeros(after, kernels, level) if are_zeros_reported(after.subject, kernels) else None
            return Compressed(
                compressor=f"gzip-{level}",
                before=None if old is None else old.result(),
                after=size,
                zeros=None if zeros is None else kernels.size,
                zeros_compressed=zeros,
            )
        except (FormatError, UnmeasurableError):
            return None


def smaller_forms(after: Planning, *, best: bool) -> tuple[OptionEntry, ...]:
    """Return what the plan knows of forms of the artifact that store zeros in less and load as they are, the
    smallest first.
    """
    damaged = any(found.severity is Severity.ERROR for found in after.subject.artifact.diagnostics)
    if (
        damaged
        or after.subject.measurements is None
        or not are_zeros_reported(after.subject, dense_kernels(after.subject))
    ):
        return ()
    wanted = {"tflite-sparse", "tflite-float32"} if _is_float(after) else set()
    if best:
        wanted.update(_AS_IT_LOADS.get(after.subject.artifact.format, ()))
    if not wanted:
        return ()
    planning = Planning(after.subject, None, frozenset(wanted), downloads=False)
    options = [one for one in run_families(planning) if isinstance(one, Option)]
    found = [
        option
        for option in options
        if option.basis is not Basis.ESTIMATE or (option.error or 0.0) <= MOST_ERROR
    ]
    found.sort(key=lambda option: (option.size, option.option))
    return tuple(option_entry(option, after.subject.size) for option in found)


def _is_float(after: Planning) -> bool:
    """Return whether the kernels are float32, as the converter takes them."""
    return all(tensor.dtype.name == "float32" for tensor in dense_kernels(after.subject).tensors)


def _gzip(planning: Planning, level: int, report: Report) -> int:
    return deflated_size(_counted(stream(planning), report), level) + gzip_frame(planning)


def _counted(blocks: Iterator[bytes], report: Report) -> Iterator[bytes]:
    for block in blocks:
        yield block
        report(len(block))


class _Meter:
    """Adds up what threads have done, and reports one at a time."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._lock = Lock()

    def add(self, size: int) -> None:
        """Count bytes that were taken."""
        with self._lock:
            self._done += size
            if self._progress is not None:
                self._progress(min(self._done, self._total), self._total)


def _zeros(planning: Planning, kernels: DenseKernels, level: int) -> int:
    """Return what zeros take once they are compressed: the kernels' stream, less that of what is not zero in
    them.
    """
    everything, rest = Deflate(level), Deflate(level)
    for tensor in kernels.tensors:
        if tensor.stored_size != tensor.logical_size:  # a constant that says a value once
            continue
        for data, kept in _elements(planning, tensor):
            everything.add(data)
            rest.add(kept)
    return max(everything.finish() - rest.finish(), 0)


def _elements(planning: Planning, tensor: Tensor) -> Iterator[tuple[bytes, bytes]]:
    """Yield the elements of a kernel block by block, all of them and those that are not zero."""
    if isinstance(
        tensor.payload, PackedPayload
    ):  # what its bytes compress to does not follow from its values
        return
    counter = ZeroCounter(tensor)
    for block in blocks(tensor, planning.subject.reading):
        mask = ~counter.mask(block)
        data = block.data.tobytes()
        in_bytes = tensor.dtype.bits >= 8  # elements that share bytes stay where they are
        kept = (
            block.data.reshape(block.count, -1)[mask].tobytes() if in_bytes else data if mask.any() else b""
        )
        yield from [(data, kept)] * block.repeat
