"""Finds operators that read files at paths which the graph gives."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.operator_rules import of_risk
from modelinspect.rules.unsafe.operator_table import Risk

RULE = UnsafeRule(
    "file-read-operator",
    Severity.WARNING,
    "A graph that reads files can hand out what is on the machine that runs it.",
    of_risk(Risk.READ, "run it where nothing secret can be read; export the model with its input as a tensor"),
    remedy="run it where nothing secret can be read; export the model with its input as a tensor",
    example="FlexReadFile reads a file at a path that the graph gives: a custom operator of the model",
)
