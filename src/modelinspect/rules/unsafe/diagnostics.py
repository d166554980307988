"""Findings that the diagnostics of parsing make, chosen by their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.artifact import Diagnostic
from modelinspect.errors import Code
from modelinspect.networks.subject import Subject
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Place


def with_code(code: Code, advice: str) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for diagnostics of a code."""

    def find(subject: Subject) -> Iterator[Finding]:
        yield from chosen(subject, lambda diagnostic: diagnostic.code is code, advice)

    return find


def chosen(subject: Subject, is_wanted: Callable[[Diagnostic], bool], advice: str) -> Iterator[Finding]:
    """Yield the wanted diagnostics as findings, the same trouble at several places of a member once."""
    same: dict[tuple[str, str], list[Diagnostic]] = {}
    for diagnostic in subject.artifact.diagnostics:
        if is_wanted(diagnostic):
            same.setdefault((diagnostic.member, diagnostic.problem), []).append(diagnostic)
    for (member, problem), diagnostics in same.items():
        more = len({diagnostic.offset for diagnostic in diagnostics}) - 1
        message = f"{problem}; the same at {plural(more, 'more place')}" if more else problem
        yield Finding(message, 0, advice, Place(member, diagnostics[0].offset))
