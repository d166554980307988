"""Finds bytes that could not be read, so that nothing is known of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelinspect.core.artifact import Member, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.span import Span
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule
from modelinspect.rules.unsafe.configs import unread_configs


def _find(subject: Subject) -> Iterator[Located]:
    for member in subject.artifact.members:
        spans = unread_spans(member)
        if spans:
            size = sum(span.size for span in spans)
            message = f"{size:,} of the {member.size:,} bytes of {member.name} do not follow the format and were not checked"
            problems = [found.problem for found in subject.artifact.diagnostics if found.member == member.name]
            message += f": {problems[0]}" if problems else ""
            yield Located(message, size, "load it only where it can do no harm", Place(member.name, spans[0].offset, spans[0].size))

    for place in unread_configs(subject.artifact, subject.files):
        message = "a configuration cannot be read as JSON, or is longer than any model's, and was not checked"
        yield Located(message, place.size or 0, "load it only where it can do no harm", place)
    if subject.artifact.facts.get("documents_left_out"):
        message = "it holds more configurations, graphs and references than any model, and not all of them were checked"
        yield Located(message, 0, "load it only where it can do no harm", Place(subject.artifact.members[0].name))


def unread_spans(member: Member) -> list[Span]:
    """Return the unattributed runs of a member."""
    columns = member.map.columns
    rows = np.flatnonzero(columns.kinds == RegionKind.UNATTRIBUTED.code)
    return [Span(int(columns.offsets[row]), int(columns.sizes[row])) for row in rows]


RULE = UnsafeRule(
    "unread-bytes",
    Severity.WARNING,
    "A lenient reader may find in them what was not checked here.",
    _find,
    remedy="load it only where it can do no harm",
    example="1,584 of the 2,048 bytes of m.h5 do not follow the format and were not checked: the checksum of an object header is wrong",
)
