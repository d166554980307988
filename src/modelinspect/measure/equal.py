"""Find which tensors may hold the same elements, and read only those again to say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Role, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import Reading, UnmeasurableError
from modelinspect.measure.facts import Aspect, Measurements
from modelinspect.measure.readers import blocks
from modelinspect.measure.run import measure
from modelinspect.sources.files import FileSet

_HEAD = 4096
_ROLES = frozenset((Role.WEIGHT, Role.STATISTIC, Role.CONSTANT))


def digest_equals(
    artifact: Artifact, files: FileSet, measurements: Measurements, limits: Limits | None = None
) -> Measurements:
    """Return the measurements with digests and distinct values of those tensors of the model that may be
    equal to another.

    Tensors are equal only where their types, their numbers of elements and of zeros, and their first bytes
    are: mostly none are left, and nothing is read twice but one block of each. ``files`` are those that were
    measured.
    """
    alike: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, (tensor, found) in enumerate(zip(artifact.tensors, measurements.tensors, strict=True)):
        if tensor.role is Role.CONSTANT and tensor.element_count < 2:
            continue  # a graph has many numbers, and nobody asks which are equal
        if tensor.role in _ROLES and found.measured and tensor.element_count:
            alike[
                tensor.dtype.name, tensor.element_count, found.zero_count, found.negative_zero_count
            ].append(index)
    reading = Reading(files, files.budgeted(limits), bytearray())
    chosen = [
        index for group in _groups(alike.values()) for index in _same_head(artifact.tensors, group, reading)
    ]
    if not chosen:
        return measurements
    again = measure(
        replace(artifact, tensors=tuple(artifact.tensors[index] for index in chosen)),
        files,
        limits,
        None,
        _ASPECTS,
    )
    measures = list(measurements.tensors)
    for index, found in zip(chosen, again.tensors, strict=True):
        measures[index] = replace(measures[index], digest=found.digest, distinct_count=found.distinct_count)
    return replace(measurements, tensors=tuple(measures))


_ASPECTS = (Aspect.DIGEST, Aspect.VALUES)


def _same_head(tensors: Sequence[Tensor], group: list[int], reading: Reading) -> list[int]:
    """Return the tensors of a group whose first bytes are those of another of it."""
    heads: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    for index in group:
        try:
            block = next(blocks(tensors[index], reading), None)
        except (FormatError, UnmeasurableError):
            continue
        if block is not None:
            heads[block.first, block.data[:_HEAD].tobytes()].append(index)
    return [index for same in _groups(heads.values()) for index in same]


def _groups(found: Iterable[list[int]]) -> list[list[int]]:
    return [group for group in found if len(group) > 1]
