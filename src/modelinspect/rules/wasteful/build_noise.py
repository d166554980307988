"""Find two artifacts that differ only in what each build rewrites."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.rules.base import Evidence, Finding, Rule

_NOISE = ("date_saved",)


def _find(subject: Subject) -> Iterator[Finding]:
    compared = subject.comparison
    if (
        compared is None
        or compared.equal < compared.compared
        or compared.before.artifact.format is not subject.artifact.format
    ):
        return
    mine, theirs = compared.before.artifact.facts, subject.artifact.facts
    noise = [
        name for name in _NOISE if name in mine and name in theirs and mine.get(name) != theirs.get(name)
    ]
    if not noise or compared.before.artifact.size != subject.artifact.size:
        return
    differ = "differs" if len(noise) == 1 else "differ"
    message = (
        f"of what was compared, only {', '.join(noise)} {differ}, which every build rewrites; tensors and"
        " sizes are the same"
    )
    yield Finding(
        message, 0, advise(Remedy.COMPARE_CONTENTS, subject.artifact, **compared.locations(subject))
    )


RULE = Rule(
    "build-noise",
    Severity.NOTE,
    "Dates and fingerprints make two builds of the same model differ.",
    _find,
    example=(
        "of what was compared, only date_saved differs, which every build rewrites; tensors and sizes are the"
        " same"
    ),
    remedies=(Remedy.COMPARE_CONTENTS,),
    evidence=(
        Evidence.COMPARISON,
        Evidence.VALUES,
    ),
)
