"""Finds archives that readers understand differently."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.troubles import troubles

RULE = UnsafeRule(
    "ambiguous-archive",
    Severity.WARNING,
    "What one reader checks and another loads need not be the same file.",
    troubles(
        r"twice; readers take the last|another (name|compression method) in its local file header|overlaps (another|the one)",
        "pack it again; do not trust a check of this archive",
    ),
    remedy="pack it again; do not trust a check of this archive",
    example="the archive names config.json twice; readers take the last",
)
