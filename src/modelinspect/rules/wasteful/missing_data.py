"""Find tensors that the artifact describes and does not hold."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.errors import Code
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    """Find what is described and not stored.

    Of an archive that was not read whole, nothing is said: diagnostics report the rest.
    """
    if subject.artifact.format is FormatName.HDF5:
        return
    missing = [(tensor, lacking) for tensor in subject.artifact.tensors if (lacking := _lacking(tensor))]
    if missing:
        size = sum(lacking for _, lacking in missing)
        message = (
            f"{size:,} bytes of {plural(len(missing), 'tensor')} are described but not here:"
            f" {subject.name(missing[0][0])}"
        )
        yield Finding(message, size, advise(Remedy.GET_FILES, subject.artifact))
    elif (
        subject.artifact.format is FormatName.KERAS_ZIP
        and "weights" not in subject.artifact.facts
        and not _is_unread(subject)
    ):
        message = "the archive has the configuration of the model but no weights"
        yield Finding(message, 0, advise(Remedy.SAVE_WITH_WEIGHTS, subject.artifact))
    elif subject.artifact.format is FormatName.SAVED_MODEL and _lacks_variables(subject):
        count = subject.artifact.facts["variable_count"]
        message = (
            f"the graph has {plural(count, 'variable')}, but the files with their values"
            " (variables/variables.index) are missing"
        )
        yield Finding(message, 0, advise(Remedy.GET_FILES, subject.artifact))
    elif subject.artifact.format is FormatName.KERAS_PRESET and "weight_files" not in subject.artifact.facts:
        message = "the folder has the configuration of the model but no weights that can be read"
        yield Finding(message, 0, advise(Remedy.GET_FILES, subject.artifact))


def _lacks_variables(subject: Subject) -> bool:
    """Return whether a SavedModel has variables and no checkpoint of their values."""
    facts = subject.artifact.facts
    return bool(facts.get("variable_count")) and "bundle_version" not in facts


def _is_unread(subject: Subject) -> bool:
    """Return whether a part of the artifact is compressed or written in a way that is not read here: the
    weights may be in it.
    """
    return any(found.code is Code.UNSUPPORTED for found in subject.artifact.diagnostics)


def _lacking(tensor: Tensor) -> int:
    """Return how many bytes of a tensor are described and not stored."""
    if tensor.role not in (Role.WEIGHT, Role.STATISTIC, Role.OPTIMIZER):
        return 0
    if not tensor.extents:  # HDF5 stores nothing of a dataset that only has its fill value: that can be read
        return (
            0 if tensor.storage is Storage.COMPRESSED or tensor.payload is not None else tensor.logical_size
        )
    whole = tensor.storage is Storage.DENSE and all(extent.encoding == "raw" for extent in tensor.extents)
    return max(tensor.logical_size - tensor.stored_size, 0) if whole else 0


RULE = Rule(
    "missing-data",
    Severity.ERROR,
    "A missing shard or file makes the model look smaller than it is.",
    _find,
    example="700 bytes of 1 tensor are described but not here: encoder/kernel",
    remedies=(
        Remedy.GET_FILES,
        Remedy.SAVE_WITH_WEIGHTS,
    ),
)
