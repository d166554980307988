"""Rules about HDF5 files that lead to other files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from modelinspect.core.artifact import Artifact, DocumentKind, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.places import place_of


def references(kind: DocumentKind, message: str, remedy: str) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for references of a kind; ``{}`` in the message stands for where it leads."""

    def find(subject: Subject) -> Iterator[Finding]:
        for document in subject.artifact.documents:
            if document.kind is kind:
                place = place_of(document.stream, document.span if document.span.offset else None)
                if kind is DocumentKind.EXTERNAL_LINK and place.offset is None:
                    place = _link_place(subject.artifact, document.label) or place
                yield Finding(message.replace("{}", document.label), 0, remedy, place)

    return find


def _link_place(artifact: Artifact, label: str) -> Place | None:
    """Return where the value of a link message is, as far as the map says: below the link's name."""
    name = label.partition(" -> ")[0].rpartition("/")[2]
    for member in artifact.members:
        table = member.map.path_table
        paths = [
            index
            for index, part in enumerate(table.names)
            if part == name and table.names[table.parents[index]].endswith(" link")
        ]
        values = (member.map.columns.kinds == RegionKind.METADATA.code) & np.isin(
            member.map.columns.paths, paths
        )
        rows = np.flatnonzero(values).tolist()
        if rows:
            span = member.map[rows[0]].span
            return Place(member.name, span.offset, span.size)
    return None


_WHOLE = "save the model again, whole, in one file"
_OWN = "save the model again with its own data"

RULES = (
    Rule(
        "external-link",
        Severity.ERROR,
        "A link to another file has readers open that file, wherever it is.",
        references(DocumentKind.EXTERNAL_LINK, "an external link leads to another file: {}", _WHOLE),
        advice=_WHOLE,
        example="an external link leads to another file: /there -> ../secret.h5:/weights",
        group=Group.UNSAFE,
    ),
    Rule(
        "external-storage",
        Severity.ERROR,
        "Data in another file have readers take that file's bytes for weights, secrets too.",
        references(DocumentKind.EXTERNAL_STORAGE, "a dataset has its data in another file: {}", _WHOLE),
        advice=_WHOLE,
        example="a dataset has its data in another file: /passwords -> /etc/passwd",
        group=Group.UNSAFE,
    ),
    Rule(
        "virtual-dataset",
        Severity.WARNING,
        "A virtual dataset takes its elements from other datasets, which may be in other files.",
        references(
            DocumentKind.VIRTUAL_DATASET, "a virtual dataset takes its elements from others: {}", _OWN
        ),
        advice=_OWN,
        example="a virtual dataset takes its elements from others: /virtual",
        group=Group.UNSAFE,
    ),
)
