"""Finds bytes that are not zero where nothing should stand."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import shown_bytes
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    hidden = subject.hidden
    if hidden is None or not hidden.regions:
        return
    largest = max(hidden.regions, key=lambda region: (region.count, -region.first))
    of_member = f" of {largest.member}" if len(subject.artifact.members) > 1 else ""
    message = (
        f"{hidden.byte_count:,} of {subject.sizes[Category.FREE]:,} bytes of free space are not zero, in "
        f"{plural(hidden.region_count, 'region')}: what was deleted or overwritten there, or what somebody hides; "
        f"one region holds {largest.count:,} of them, from byte {largest.first:,} ({largest.first:#x}){of_member} on"
    )
    yield Finding(message, hidden.byte_count, shown_bytes(subject.artifact, largest.member, largest.first))


RULE = Rule(
    "hidden-bytes",
    Severity.NOTE,
    "Free space may hold what was deleted, or what somebody hides.",
    _find,
    example=(
        "6 of 16 bytes of free space are not zero, in 1 region: what was deleted or overwritten there, or what "
        "somebody hides; one region holds 6 of them, from byte 10 (0xa) on"
    ),
    remedies=(
        Remedy.LOOK_AND_REPACK,
        Remedy.LOOK,
    ),
)
