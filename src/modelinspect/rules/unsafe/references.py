"""Words what rules find of an HDF5 file that leads to other files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from modelinspect.core.artifact import Artifact, DocumentKind
from modelinspect.core.bytemap import RegionKind
from modelinspect.rules.unsafe.base import Located, Place, Subject
from modelinspect.rules.unsafe.places import place_of


def references(kind: DocumentKind, message: str, remedy: str) -> Callable[[Subject], Iterator[Located]]:
    """Return a rule's search for references of a kind; ``{}`` in the message stands for where it leads."""

    def find(subject: Subject) -> Iterator[Located]:
        for document in subject.artifact.documents:
            if document.kind is kind:
                place = place_of(document.stream, document.span if document.span.offset else None)
                if kind is DocumentKind.EXTERNAL_LINK and place.offset is None:
                    place = _link_place(subject.artifact, document.label) or place
                yield Located(message.replace("{}", document.label), 0, remedy, place)

    return find


def _link_place(artifact: Artifact, label: str) -> Place | None:
    """Return where the value of a link message stands, as far as the map tells: below the link's name."""
    name = label.partition(" -> ")[0].rpartition("/")[2]
    for member in artifact.members:
        table = member.map.path_table
        paths = [index for index, part in enumerate(table.names) if part == name and table.names[table.parents[index]].endswith(" link")]
        values = (member.map.columns.kinds == RegionKind.METADATA.code) & np.isin(member.map.columns.paths, paths)
        rows = np.flatnonzero(values).tolist()
        if rows:
            span = member.map[rows[0]].span
            return Place(member.name, span.offset, span.size)
    return None
