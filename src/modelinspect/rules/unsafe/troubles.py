"""Words what rules find among the diagnostics of parsing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from modelinspect.core.artifact import Diagnostic
from modelinspect.rules.unsafe.base import Located, Place, Subject


def troubles(pattern: str, remedy: str) -> Callable[[Subject], Iterator[Located]]:
    """Return a rule's search for diagnostics that say something."""
    wanted = re.compile(pattern)

    def find(subject: Subject) -> Iterator[Located]:
        yield from located(subject, lambda found: wanted.search(found.problem) is not None, remedy)

    return find


def located(subject: Subject, wanted: Callable[[Diagnostic], bool], remedy: str) -> Iterator[Located]:
    """Yield the wanted diagnostics as findings."""
    for found in subject.artifact.diagnostics:
        if wanted(found):
            yield Located(found.problem, 0, remedy, Place(found.member, found.offset))
