"""Finds operators that read the model's assets."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.operator_rules import of_risk
from modelinspect.rules.unsafe.operator_table import Risk

RULE = UnsafeRule(
    "asset-operator",
    Severity.NOTE,
    "A table that is filled from a file reads whatever path it is given.",
    of_risk(Risk.ASSET, "see that the path is one of the model's assets"),
    remedy="see that the path is one of the model's assets",
    example="InitializeTableFromTextFileV2 reads a vocabulary, as a rule an asset of the model: 1 node: text_file_init",
)
