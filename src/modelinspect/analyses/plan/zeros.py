"""Rewrite -0.0 as +0.0 while compressing: the same values, in bytes that compress better."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.analyses.plan.content import loads_as, read_member, stream
from modelinspect.core.tensors import ByteOrder, ElementKind, RawPayload, Tensor
from modelinspect.measure.compressors import BLOCK, GZIP_FRAME, Compressor, compress_all
from modelinspect.remedies import Advice, Remedy, advise
from modelinspect.remedies.choose import positive_zeros, repackable
from modelinspect.reports.wording import plural


def _find(planning: Planning) -> Iterator[Outcome]:
    if planning.subject.measurements is None:
        return
    negative = sum(measure.negative_zero_count or 0 for measure in planning.subject.measurements.tensors)
    if not negative:
        return
    spans = _spans(planning)
    if not spans:
        yield LeftOut(("canonical-zeros",), "the elements are not stored as they are in memory")
        return

    def read(name: str) -> Iterator[bytes]:
        return _rewritten(planning, name, spans[name]) if name in spans else read_member(planning, name)

    size = compress_all(stream(planning, read), [Compressor.GZIP])[Compressor.GZIP] + GZIP_FRAME
    notes = (
        f"{plural(negative, 'zero')} stored as -0.0: the size after gzip-9 once they are +0.0, values"
        " unchanged"
    )
    if _is_rewritten_in_place(planning):
        advice: Advice | None = advise(Remedy.CANONICAL_HDF5, planning.subject.artifact)
        size += len(advise(Remedy.CANONICAL_HDF5, planning.subject.artifact).made.encode()) + 1
    else:
        advice = positive_zeros(planning.subject.artifact)
        size += len(planning.subject.file_name.encode()) + 1 if planning.subject.is_file else 0
        notes += (
            f"; {advice.words}, then compress it; saved again it differs by some bytes"
            if advice is not None
            else ""
        )
    code = advice.code if advice is not None else ""
    yield Option(
        "canonical-zeros",
        size,
        Basis.MEASURED,
        True,
        loads_as(planning, "gunzip"),
        code,
        notes,
        download_size=size,
    )


def _is_rewritten_in_place(planning: Planning) -> bool:
    """Return whether h5py can put every float of a file in its own place: none of them is compressed or in an
    archive.
    """
    floats = [
        tensor
        for tensor in planning.subject.artifact.tensors
        if tensor.dtype.kind is ElementKind.FLOAT and tensor.stored_size
    ]
    plain = all(
        isinstance(tensor.payload, RawPayload) and not tensor.payload.stream.steps for tensor in floats
    )
    return plain and planning.subject.is_file and repackable(planning.subject.artifact)


Run = tuple[int, int, int, ByteOrder]
"""Elements that are in a row: offset, size, bytes of an element, and their order."""


def _spans(planning: Planning) -> dict[str, list[Run]]:
    """Return the places of floats that are in members as they are, sorted and without overlaps."""
    found: dict[str, set[Run]] = {}
    for tensor in planning.subject.artifact.tensors:
        if isinstance(tensor.payload, RawPayload):
            for run in _runs(tensor, tensor.payload):
                found.setdefault(tensor.payload.stream.member, set()).add(run)
    return {member: _apart(runs) for member, runs in found.items()}


def _runs(tensor: Tensor, payload: RawPayload) -> Iterator[Run]:
    base, run = payload.stream.stored
    width = tensor.dtype.bits // 8
    if tensor.dtype.kind is not ElementKind.FLOAT or width not in (2, 4, 8) or run is not None:
        return
    for span in payload.spans:
        yield base + span.offset, span.size // width * width, width, payload.byte_order


def _apart(runs: set[Run]) -> list[Run]:
    kept: list[Run] = []
    end = 0
    for run in sorted(runs, key=lambda run: (run[0], -run[1])):
        if run[0] >= end and run[1]:
            kept.append(run)
            end = run[0] + run[1]
    return kept


def _rewritten(planning: Planning, name: str, runs: list[Run]) -> Iterator[bytes]:
    """Yield a member whose floats have no negative zero."""
    source = planning.subject.files.open(name)
    position = 0
    for offset, size, width, order in [*runs, (source.size, 0, 1, ByteOrder.LITTLE)]:
        for start in range(position, offset, BLOCK):
            yield source.read_at(start, min(BLOCK, offset - start))
        for start in range(offset, offset + size, BLOCK):
            data = source.read_at(start, min(BLOCK, offset + size - start))
            numbers = np.frombuffer(data, dtype=f"{'<' if order is ByteOrder.LITTLE else '>'}u{width}").copy()
            numbers[numbers == 1 << (8 * width - 1)] = 0
            yield numbers.tobytes()
        position = offset + size


FAMILY = Family(("canonical-zeros",), _find)
