"""Find .keras files whose members are stored, though compressing them would pay."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import compressed
from modelinspect.reports.categories import Category
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.artifact.format is not FormatName.KERAS_ZIP or any(
        member.logical for member in subject.artifact.members
    ):
        return
    size = subject.sizes[Category.ZERO_WEIGHTS]
    if len(subject.artifact.members) != 1 or not size:
        return
    message = (
        f"the zip members are not compressed: {size:,} bytes ({subject.share(size)}) are zeros, which deflate"
        " would almost remove"
    )
    yield Finding(message, size, compressed(subject.artifact))


RULE = Rule(
    "zip-stored",
    Severity.NOTE,
    "Keras writes .keras archives without compression and reads compressed ones.",
    _find,
    example=(
        "the zip members are not compressed: 8,192 bytes (50.0 %) are zeros, which deflate would almost"
        " remove"
    ),
    remedies=(Remedy.DEFLATE_KERAS,),
    evidence=(Evidence.VALUES,),
    worth=Threshold(1024, 0.1),
)
