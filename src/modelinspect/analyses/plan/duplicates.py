"""Count what is left when every tensor is stored once."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import MOST_ERROR, Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.analyses.plan.content import PREDICTED, is_gzipped, without
from modelinspect.analyses.plan.training_state import has_pruning_wrappers
from modelinspect.analyses.plan.transport import gzip_frame
from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import ElementKind, Storage, Tensor
from modelinspect.measure.compressors import deflated_size
from modelinspect.measure.equal import digest_equals
from modelinspect.remedies.causes import duplicate_remedy
from modelinspect.reports.wording import plural

_LEAST = 64
_ENTRY, _HEADER = 200, 1_600
"""What the index or the table of a tensor takes at most; and in HDF5 its header and group."""
_GRAPH = 0.5
"""The share of a SavedModel's graph that may be what an export adds to the model."""


def _find(planning: Planning) -> Iterator[Outcome]:
    if planning.subject.measurements is None:
        return
    sizes: dict[tuple[int, str], list[TensorId]] = {}
    for index, tensor in planning.subject.weights():
        zeros = planning.subject.measurements[index].zero_count
        if (
            tensor.storage is Storage.DENSE
            and tensor.stored_size >= _LEAST
            and zeros != tensor.element_count
            and _is_number(tensor)
        ):
            sizes.setdefault((tensor.stored_size, str(tensor.dtype)), []).append(index)
    if all(len(group) < 2 for group in sizes.values()):
        return
    digests = digest_equals(
        planning.subject.artifact,
        planning.subject.files,
        planning.subject.measurements,
        planning.subject.limits,
    )
    groups: dict[str, list[TensorId]] = {}
    for group in sizes.values():
        for index in group if len(group) > 1 else ():
            digest = digests[index].digest
            if digest is not None:
                groups.setdefault(digest, []).append(index)
    pairs = [
        (copy, kept)
        for group in groups.values()
        for kept, *copies in (_apart(planning, group),)
        for copy in copies
    ]
    if not pairs:
        return
    if has_pruning_wrappers(planning):
        yield LeftOut(("drop-duplicates",), "the copies belong to the pruning wrappers: see strip-pruning")
        return
    copies = [planning.subject.artifact.tensors[copy] for copy, _ in pairs]
    saved = sum(tensor.stored_size for tensor in copies)
    size = planning.subject.size - saved
    error = _error(planning, size, len(copies))
    advice = duplicate_remedy(planning.subject, *pairs[0])
    notes = (
        f"{plural(len(copies), 'tensor')} stored twice with the same elements ({saved:,} bytes), such as"
        f" {copies[0].name}"
    )
    if advice is not None:
        notes += f"; {advice.words}"
    code = advice.code if advice is not None else ""
    rest = without(planning, copies) if error <= MOST_ERROR and is_gzipped(planning) else None
    notes += f"; {PREDICTED}" if rest is not None else ""
    download = None if rest is None else deflated_size(rest) + gzip_frame(planning)
    yield Option("drop-duplicates", size, Basis.ESTIMATE, True, "as before", code, notes, error, download)


def _error(planning: Planning, size: int, copies: int) -> float:
    """Return what the size may be off by: structures of copies, and a graph that another way of saving writes
    otherwise.
    """
    artifact = planning.subject.artifact
    each = (
        _HEADER
        if artifact.format
        in (
            FormatName.KERAS_HDF5,
            FormatName.WEIGHTS_HDF5,
            FormatName.KERAS_ZIP,
            FormatName.HDF5,
        )
        else _ENTRY
    )
    graph = sum(member.size for member in artifact.members if member.name.endswith((".pb", ".pbtxt", ".cpb")))
    doubt = each * copies + (_GRAPH * graph if artifact.format is FormatName.SAVED_MODEL else 0)
    return round(min(doubt / max(size - doubt, 1), 9.99), 4)


def _is_number(tensor: Tensor) -> bool:
    return tensor.dtype.kind not in (ElementKind.STRING, ElementKind.OPAQUE)


def _apart(planning: Planning, group: list[TensorId]) -> list[TensorId]:
    """Return tensors that are in different places."""
    found: dict[tuple[object, ...], TensorId] = {}
    for index in group:
        extents = planning.subject.artifact.tensors[index].extents
        found.setdefault(tuple((extent.member, extent.span) for extent in extents), index)
    return list(found.values())


FAMILY = Family(("drop-duplicates",), _find)
