"""Counts what is left when every tensor is stored once."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.explain.remedies import duplicate_remedy
from modelinspect.analyses.matching import Side
from modelinspect.analyses.plan.base import Basis, Family, Option, Planning
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import ElementKind, Storage, Tensor
from modelinspect.measure.equal import digest_equals
from modelinspect.reports.wording import plural

_LEAST = 64
_ENTRY = 90
"""What the index, the header or the table of a tensor takes, about."""


def _find(planning: Planning) -> Iterator[Option]:
    if planning.measurements is None:
        return
    sizes: dict[tuple[int, str], list[TensorId]] = {}
    for index, tensor in planning.weights():
        zeros = planning.measurements[index].zero_count
        if tensor.storage is Storage.DENSE and tensor.stored_size >= _LEAST and zeros != tensor.element_count and _is_number(tensor):
            sizes.setdefault((tensor.stored_size, str(tensor.dtype)), []).append(index)
    if all(len(group) < 2 for group in sizes.values()):
        return
    digests = digest_equals(planning.artifact, planning.files, planning.measurements, planning.limits)
    groups: dict[str, list[TensorId]] = {}
    for group in sizes.values():
        for index in group if len(group) > 1 else ():
            digest = digests[index].digest
            if digest is not None:
                groups.setdefault(digest, []).append(index)
    pairs = [(copy, kept) for group in groups.values() for kept, *copies in (_apart(planning, group),) for copy in copies]
    if not pairs:
        return
    copies = [planning.artifact.tensors[copy] for copy, _ in pairs]
    saved = sum(tensor.stored_size for tensor in copies)
    size = planning.size - saved
    error = round(_ENTRY * len(copies) / max(size, 1) + 0.01, 4)
    advice = duplicate_remedy(Side(planning.artifact, planning.measurements), *pairs[0])
    notes = f"{plural(len(copies), 'tensor')} stored again with the same elements, {saved:,} bytes; such as {copies[0].name}"
    if advice is not None:
        notes += f"; {advice.words}"
    code = advice.code if advice is not None else ""
    yield Option("drop-duplicates", size, Basis.ESTIMATE, True, "as before", code, notes, error)


def _is_number(tensor: Tensor) -> bool:
    return tensor.dtype.kind not in (ElementKind.STRING, ElementKind.OPAQUE)


def _apart(planning: Planning, group: list[TensorId]) -> list[TensorId]:
    """Return tensors that stand in different places."""
    found: dict[tuple[object, ...], TensorId] = {}
    for index in group:
        extents = planning.artifact.tensors[index].extents
        found.setdefault(tuple((extent.member, extent.span) for extent in extents), index)
    return list(found.values())


FAMILY = Family(("drop-duplicates",), _find)
