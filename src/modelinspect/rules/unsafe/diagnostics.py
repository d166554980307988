"""Findings that the diagnostics of parsing make, chosen by their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.artifact import Diagnostic
from modelinspect.errors import Code
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Finding, Place


def with_code(code: Code, advice: str) -> Callable[[Subject], Iterator[Finding]]:
    """Return a rule's search for diagnostics of a code."""

    def find(subject: Subject) -> Iterator[Finding]:
        yield from chosen(subject, lambda diagnostic: diagnostic.code is code, advice)

    return find


def chosen(subject: Subject, is_wanted: Callable[[Diagnostic], bool], advice: str) -> Iterator[Finding]:
    """Yield the wanted diagnostics as findings."""
    for diagnostic in subject.artifact.diagnostics:
        if is_wanted(diagnostic):
            yield Finding(diagnostic.problem, 0, advice, Place(diagnostic.member, diagnostic.offset))
