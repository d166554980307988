"""What each kernel deflates to: of small artifacts by itself, of large files from the one pass over all
bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import Planning
from modelinspect.core.bytemap import TensorId
from modelinspect.core.limits import MIB
from modelinspect.core.span import Span
from modelinspect.core.tensors import RawPayload, Role, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import tensor_deflated_size

_SMALL = 16 * MIB
"""Kernels of smaller artifacts are each deflated by themselves, which is exact and quick."""
_LEAST = 64 * 1024
"""Smaller kernels are always deflated by themselves: what is before one in the window would count too
much.
"""
_MOST = 64 * MIB
"""Larger kernels that are not in one piece are not deflated again."""


def kernels(planning: Planning) -> Iterator[tuple[TensorId, Tensor]]:
    """Yield the matrices and 4-D kernels."""
    for index, tensor in planning.subject.weights():
        if tensor.role is Role.WEIGHT and len(tensor.shape) in (2, 4) and tensor.element_count:
            yield index, tensor


def marks(planning: Planning) -> list[int]:
    """Return the offsets before and after the kernels of a large file, where its one pass notes how far the
    output is.
    """
    if (
        not planning.subject.is_file
        or planning.subject.size < _SMALL
        or planning.subject.measurements is None
    ):
        return []
    spans = [span for _, tensor in kernels(planning) if (span := _span(tensor)) is not None]
    return sorted({offset for span in spans for offset in (span.offset, span.end)})


def deflated(planning: Planning, tensor: Tensor) -> int | None:
    """Return what a kernel deflates to, None where it cannot be read; of a large file, its share of the
    output of all.
    """
    if not planning.wants("gzip-9"):
        return None
    span = _span(tensor)
    if span is not None and span.offset in planning.prefixes and span.end in planning.prefixes:
        return planning.prefixes[span.end] - planning.prefixes[span.offset]
    if tensor.logical_size > _MOST:
        return None
    try:
        return tensor_deflated_size(tensor, planning.subject.reading)
    except (UnmeasurableError, FormatError):
        return None


def _span(tensor: Tensor) -> Span | None:
    """Return where a kernel is in the file in one piece, as it is in memory."""
    payload = tensor.payload
    if not isinstance(payload, RawPayload) or len(payload.spans) != 1 or payload.spans[0].size < _LEAST:
        return None
    base, run = payload.stream.stored
    if run is not None:
        return None
    (span,) = payload.spans
    return Span(base + span.offset, span.size)
