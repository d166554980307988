"""Find small files that are mostly framing of the file format and space that it leaves unused."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.remedies.choose import is_old_hdf5
from modelinspect.reports.categories import Category
from modelinspect.rules.base import Finding, Rule, Threshold

_TINY = 256 * 1024
_PAYLOAD = (Category.DENSE_WEIGHTS, Category.ZERO_WEIGHTS, Category.SPARSE_VALUES)
_GROWS_WITH_TENSORS = frozenset(
    (
        FormatName.KERAS_HDF5,
        FormatName.WEIGHTS_HDF5,
        FormatName.KERAS_ZIP,
        FormatName.TFLITE,
        FormatName.CHECKPOINT,
    )
)
"""Formats whose framing is a structure for each tensor, group or operator, whatever the number of elements:
not chunks of data.
"""


def _find(subject: Subject) -> Iterator[Finding]:
    artifact, sizes = subject.artifact, subject.sizes
    if artifact.format not in _GROWS_WITH_TENSORS or artifact.size > _TINY or _is_partly_known(subject):
        return
    payload = sum(sizes[category] for category in _PAYLOAD)
    unused, structure = sizes[Category.FREE], sizes[Category.CONTAINER]
    overhead = unused + structure
    if not payload or overhead <= payload:
        return
    message = (
        f"{subject.share(overhead)} is file-format overhead: {unused:,} bytes unused, and {structure:,} bytes"
        f" of structure, which grows with the number of tensors ({len(artifact.tensors):,}), not with their"
        f" size. The weights take {payload:,} bytes ({subject.share(payload)})"
    )
    remedy = advise(Remedy.NEWEST_HDF5, artifact) if is_old_hdf5(artifact) else None
    yield Finding(message, overhead, remedy)


def _is_partly_known(subject: Subject) -> bool:
    """Return whether some bytes are unnamed, or compressed: then it is unknown what they would be for."""
    return bool(subject.sizes[Category.UNATTRIBUTED] or subject.sizes[Category.COMPRESSED_WEIGHTS])


RULE = Rule(
    "tiny-model-overhead",
    Severity.NOTE,
    "In a small file the structure of the file format can outweigh the weights.",
    _find,
    example=(
        "90.9 % is file-format overhead: 4,600 bytes unused, and 3,000 bytes of structure, which grows with"
        " the number of tensors (1), not with their size. The weights take 400 bytes (4.8 %)"
    ),
    remedies=(Remedy.NEWEST_HDF5,),
    worth=Threshold(4096, 0.5),
)
