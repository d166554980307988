"""Finds artifacts that are cut short or lack a part."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.troubles import located


def _find(subject: Subject) -> Iterator[Located]:
    yield from located(subject, lambda found: found.severity is Severity.ERROR, "get it again, whole")


RULE = UnsafeRule(
    "incomplete",
    Severity.ERROR,
    "What is cut short was not checked whole.",
    _find,
    remedy="get it again, whole",
    example="weights file '../../weights.bin' is not there",
)
