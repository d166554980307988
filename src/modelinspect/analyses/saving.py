"""Estimate what `shrink` saves at least without any change, from what is known already."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.tensors import RawPayload, Tensor
from modelinspect.measure.facts import TensorMeasure
from modelinspect.networks.copies import duplicates
from modelinspect.networks.programs import gradient_copies
from modelinspect.networks.subject import Subject
from modelinspect.remedies.choose import repackable
from modelinspect.reports.categories import Category
from modelinspect.reports.entries import LosslessSaving

_OLDEST_LAYOUT = 0
"""The superblock of files in the layout that Keras writes: B-trees, local heaps, contiguous datasets."""
_FILE, _OBJECT = 4_500, 250
"""What the structures of a file that `shrink` wrote take at most, and what each group or dataset adds:
headers and links. `tests/analyses/test_saving.py` compares the estimate with what shrink saves.
"""
_ARCHIVE = 500
"""What the records of a rewritten archive may add, in bytes."""
_SMALLEST, _DATASET = 1024, 300
"""Datasets from this size on are compressed; its chunk and the head of the compressed data take at most so
much.
"""
_WORTH = 0.01
_LEAST = 512


def lossless_saving(subject: Subject) -> LosslessSaving | None:
    """Return what can be saved at least, None where nothing is known or it is hardly worth a rewrite.

    Nothing is read for it: it follows from the categories, from counted zeros, and from tensors that were
    found to be equal.
    """
    if subject.artifact.diagnostics:
        return None
    match subject.artifact.format:
        case FormatName.KERAS_HDF5 | FormatName.WEIGHTS_HDF5:
            size = _of_hdf5(subject)
        case FormatName.KERAS_ZIP:
            size = _of_archive(subject)
        case FormatName.SAVED_MODEL:
            size = _of_copies(subject)
        case _:
            return None
    if size < max(_LEAST, _WORTH * subject.size):
        return None
    return LosslessSaving(size=size, basis="estimate")


def _of_hdf5(subject: Subject) -> int:
    """Return what is left of structures, unused space and zeros once the file is written again."""
    facts = subject.artifact.facts.get("hdf5")
    if facts is None or not repackable(subject.artifact) or subject.sizes[Category.COMPRESSED_WEIGHTS]:
        return 0
    if _number(facts, "superblock_version") != _OLDEST_LAYOUT or _number(facts.get("bytes"), "trailing"):
        return 0
    objects = _number(facts, "groups") + _number(facts, "datasets")
    around = subject.sizes[Category.CONTAINER] + subject.sizes[Category.FREE]
    return around + _zeros(subject) - _FILE - _OBJECT * objects


def _number(facts: object, key: str) -> int:
    found = facts.get(key) if isinstance(facts, Mapping) else None
    return found if isinstance(found, int) else 0


def _of_copies(subject: Subject) -> int:
    """Return what the tensors take that are stored again, but for copies that a gradient function holds."""
    gradients = subject.once(gradient_copies)
    groups = ([one for one in group if one not in gradients] for group in duplicates(subject))
    return sum(subject.tensor(copy).stored_size for group in groups for copy in group[1:])


def _of_archive(subject: Subject) -> int:
    """Return what deflate takes of an archive whose members are stored as they are."""
    if not _is_one_plain_archive(subject.artifact):
        return 0
    return subject.sizes[Category.FREE] + _zeros(subject) - _ARCHIVE


def _is_one_plain_archive(artifact: Artifact) -> bool:
    return (
        len(artifact.members) == 1 and not artifact.members[0].logical and "wrapped_in" not in artifact.facts
    )


def _zeros(subject: Subject) -> int:
    """Return what deflate takes off the tensors at least: a zero byte costs it one bit, any other nine."""
    if subject.measurements is None:
        return 0
    measured = zip(subject.artifact.tensors, subject.measurements.tensors, strict=True)
    return sum(_deflates_by(tensor, measure) for tensor, measure in measured)


def _deflates_by(tensor: Tensor, measure: TensorMeasure) -> int:
    size = tensor.stored_size
    is_plain = isinstance(tensor.payload, RawPayload) and size == tensor.logical_size
    zeros, negative = measure.zero_count, measure.negative_zero_count
    if not is_plain or size < _SMALLEST or not measure.element_count or zeros is None:
        return 0
    zero_bytes = zeros * size // measure.element_count - (negative or 0)
    return max(0, (7 * zero_bytes - (size - zero_bytes)) // 8 - _DATASET)
