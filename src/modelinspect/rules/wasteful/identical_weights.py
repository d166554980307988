"""Finds two artifacts whose weights are the same."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import percent, plural
from modelinspect.rules.base import Evidence, Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    compared = subject.comparison
    if compared is None or not compared.compared or compared.equal < compared.compared:
        return
    if compared.before.artifact.location == subject.artifact.location:
        return
    zeros, elements = compared.before.kernel_zeros()
    sparse = f"; {percent(zeros, elements)} of the kernels' elements are zero on both sides" if zeros else ""
    message = (
        f"all {plural(compared.compared, 'tensor')} of the model have equal elements on both sides{sparse}: "
        f"what differs is how they are stored, not the model"
    )
    yield Finding(
        message,
        0,
        advise(Remedy.COMPARE_STORAGE, subject.artifact, **compared.locations(subject)),
    )


RULE = Rule(
    "identical-weights",
    Severity.NOTE,
    "Pruning wraps the same layer objects, so that the model that it began with is pruned too.",
    _find,
    example=("all 1 tensor of the model have equal elements on both sides: what differs is how they are stored, not the model"),
    remedies=(Remedy.COMPARE_STORAGE,),
    evidence=(
        Evidence.COMPARISON,
        Evidence.VALUES,
    ),
)
