"""The other ways in which a file can be opened whole: HDF5 at its beginning, a zip archive at its end.

Keras opens a ``.keras`` file by the end of its archive, h5py looks for HDF5 at the beginning, and other
programs go by the first bytes. A file that is both is two models, and both are looked at.
"""

from __future__ import annotations

from modelinspect.core.artifact import Artifact, Document, DocumentKind, FormatName
from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError
from modelinspect.formats.base import parse_with
from modelinspect.formats.registry import readings
from modelinspect.networks.subject import Subject

_CONFIGS = (DocumentKind.KERAS_CONFIG, DocumentKind.GRAPH)


@dataclass(frozen=True, slots=True)
class Reading:
    """Another way to open the file: as which format, and what that found."""

    format: FormatName
    documents: tuple[Document, ...]
    problem: str = ""


def other_readings(subject: Subject) -> tuple[Reading, ...]:
    """Return the other readings of an artifact that is one file; those that lead to a model's configuration,
    or that fail.
    """
    artifact = subject.artifact
    formats = readings(subject.files)
    if len(formats) < 2:
        return ()
    found: list[Reading] = []
    for format in formats:
        try:
            other = parse_with(format, subject.files, subject.limits)
        except FormatError as error:
            found.append(Reading(format.name, (), error.problem))
            continue
        if other.format is not artifact.format and _has_model(other):
            found.append(Reading(other.format, other.documents))
    return tuple(found)


def documents_of(subject: Subject) -> tuple[Document, ...]:
    """Return the documents of an artifact, by whichever way it is opened."""
    others = (document for reading in subject.once(other_readings) for document in reading.documents)
    return (*subject.artifact.documents, *others)


def _has_model(artifact: Artifact) -> bool:
    return any(document.kind in _CONFIGS for document in artifact.documents)
