"""Findings that the diagnostics of parsing make, chosen by their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.artifact import Diagnostic
from modelinspect.core.records import replace
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
    same: dict[Diagnostic, list[Diagnostic]] = {}
    for diagnostic in subject.artifact.diagnostics:
        if is_wanted(diagnostic):
            same.setdefault(replace(diagnostic, offset=0), []).append(diagnostic)
    for first, *others in same.values():
        more = len({diagnostic.offset for diagnostic in others} - {first.offset})
        more_places = f"; the same at {plural(more, 'more place')}" if more else ""
        yield Finding(f"{first.problem}{more_places}", 0, advice, Place(first.member, first.offset))
