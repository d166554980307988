"""Meanings of the words in reports: rules, causes, categories, options of the plan, columns."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from modelinspect.analyses.plan.registry import option_names
from modelinspect.remedies import Remedy, example
from modelinspect.remedies.causes import REMEDIES
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.causes import CAUSES, Cause
from modelinspect.reports.entries import FindingEntry
from modelinspect.reports.lint import LintReport
from modelinspect.reports.meaning import Kind, Meaning, MeaningReport
from modelinspect.reports.words import BASES, COLUMNS, GROUPS, KEYS, column_meanings, option_meaning
from modelinspect.rules.base import Rule
from modelinspect.rules.registry import unsafe_rules, wasteful_rules


def meaning(name: str) -> MeaningReport | None:
    """Return everything that a word of the reports means; None where it means nothing."""
    found = tuple(_meanings(name))
    return MeaningReport(name=name, meanings=found) if found else None


def in_model(report: MeaningReport, checked: LintReport) -> MeaningReport:
    """Return the report with what the rule found in a model."""
    findings = tuple(
        FindingEntry(
            rule=each.rule, severity=each.severity, message=each.message, bytes=each.bytes, remedy=each.remedy
        )
        for each in checked.findings
        if each.rule == report.name
    )
    return msgspec.structs.replace(report, location=checked.artifact.location, findings=findings)


def is_rule(name: str) -> bool:
    """Return whether a word names a rule."""
    return any(rule.id == name for rule in _rules())


def names() -> tuple[str, ...]:
    """Return every word that has a meaning, sorted."""
    enumerated = {str(name) for name in (*CAUSES, *CATEGORIES, *BASES, *GROUPS, *COLUMNS, *KEYS)}
    words = {rule.id for rule in _rules()} | enumerated | set(option_names())
    return tuple(
        sorted(word for word in words if not word.startswith("-"))
    )  # a shell word that is not an option


def _rules() -> tuple[Rule, ...]:
    return (*wasteful_rules(), *unsafe_rules())


def _meanings(name: str) -> Iterator[Meaning]:
    for rule in _rules():
        if rule.id == name:
            remedies = {"": rule.advice} if rule.advice else _remedies(rule.remedies)
            yield Meaning(
                kind=Kind.RULE,
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
    for category in CATEGORIES:
        if category == name:
            yield _plain(Kind.CATEGORY, _sentence(category.meaning))
    if name in option_names():
        yield _plain(Kind.OPTION, option_meaning(name))
    if name in BASES:
        yield _plain(Kind.BASIS, BASES[name])
    if name in GROUPS:
        yield _plain(Kind.RESULT, GROUPS[name])
    for text in column_meanings(name):
        yield _plain(Kind.COLUMN, text)


def _plain(kind: Kind, meaning: str) -> Meaning:
    return Meaning(kind=kind, severity=None, meaning=meaning, example="", remedies={})


def _cause(cause: Cause) -> Meaning:
    return Meaning(
        kind=Kind.CAUSE,
        severity=None,
        meaning=_sentence(cause.meaning),
        example="",
        remedies=_remedies(REMEDIES.get(cause, ())),
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _remedies(remedies: tuple[Remedy, ...]) -> dict[str, str]:
    return {remedy.slug: example(remedy).text for remedy in remedies}
