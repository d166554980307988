"""Tells what rules and causes mean."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.remedies import Remedy, example
from modelinspect.remedies.causes import REMEDIES
from modelinspect.reports.causes import CAUSES, Cause
from modelinspect.reports.meaning import Meaning, MeaningReport
from modelinspect.rules.base import Rule
from modelinspect.rules.registry import unsafe_rules, wasteful_rules


def meaning(name: str) -> MeaningReport | None:
    """Return what a rule, a cause, or both of one name mean; None where there is none."""
    found = tuple(_meanings(name))
    return MeaningReport(name=name, meanings=found) if found else None


def names() -> tuple[str, ...]:
    """Return every name that means something, sorted."""
    return tuple(sorted({rule.id for rule in _rules()} | {str(cause) for cause in CAUSES}))


def _rules() -> tuple[Rule, ...]:
    return (*wasteful_rules(), *unsafe_rules())


def _meanings(name: str) -> Iterator[Meaning]:
    for rule in _rules():
        if rule.id == name:
            remedies = {"": rule.advice} if rule.advice else _remedies(rule.remedies)
            yield Meaning(
                kind="rule",
                severity=str(rule.severity),
                meaning=rule.reason,
                example=rule.example,
                remedies=remedies,
                evidence=tuple(evidence.meaning for evidence in rule.evidence),
                least=rule.worth.text,
            )
    for cause in CAUSES:
        if cause == name:
            yield _cause(cause)


def _cause(cause: Cause) -> Meaning:
    meaning = f"{cause.meaning[0].upper()}{cause.meaning[1:]}."
    return Meaning(kind="cause", severity=None, meaning=meaning, example="", remedies=_remedies(REMEDIES.get(cause, ())))


def _remedies(remedies: tuple[Remedy, ...]) -> dict[str, str]:
    return {remedy.slug: example(remedy).text for remedy in remedies}
