"""Finds bytes before or behind what the format reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelinspect.core.artifact import Severity
from modelinspect.errors import FormatError
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule
from modelinspect.rules.unsafe.signatures import looks_like
from modelinspect.rules.unsafe.troubles import troubles

OUTSIDE = frozenset(("trailing bytes", "outside the archive", "before the archive", "user block"))
"""What parsers call bytes before or behind what they read."""
_LOOKED_AT = 64 << 10
_REMEDY = "cut them off, or save the model again"
_behind_tar = troubles(r"behind the end of the archive", _REMEDY)


def _find(subject: Subject) -> Iterator[Located]:
    yield from _behind_tar(subject)
    for member in subject.artifact.members:
        table = member.map.path_table
        named = [index for index, name in enumerate(table.names) if name in OUTSIDE]
        for row in np.flatnonzero(np.isin(member.map.columns.paths, named)).tolist():
            region = member.map[row]
            span = region.span
            try:
                data = subject.files.open(member.name).read_at(span.offset, min(span.size, _LOOKED_AT))
            except FormatError:  # it became shorter
                continue
            if span.size <= _LOOKED_AT and not any(data):
                continue
            what = looks_like(data)
            like = f" and look like {what}" if what else ""
            message = f"{span.size:,} bytes are no part of the model ({region.path[-1]}){like}"
            yield Located(message, span.size, _REMEDY, Place(member.name, span.offset, span.size))


RULE = UnsafeRule(
    "trailing-data",
    Severity.WARNING,
    "Bytes that readers of the format pass over can be anything, a second file too.",
    _find,
    remedy="cut them off, or save the model again",
    example="148 bytes are no part of the model (trailing bytes) and look like a zip archive",
)
