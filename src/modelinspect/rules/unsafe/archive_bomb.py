"""Finds what asks for more memory or time than any model does."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.troubles import troubles

RULE = UnsafeRule(
    "archive-bomb",
    Severity.ERROR,
    "A few bytes that unpack to many take the memory of whoever opens them.",
    troubles(r"but the limit is [\d,]+", "do not unpack or load it"),
    remedy="do not unpack or load it",
    example="decompressing needs 8,589,934,592 but the limit is 268,435,456",
)
