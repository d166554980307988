"""Finds operators of checkpoints where no saver has them."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.operator_rules import by_operator, risk_of
from modelinspect.rules.unsafe.operator_table import Risk


def _find(subject: Subject) -> Iterator[Located]:
    yield from by_operator(
        subject,
        lambda node: risk_of(node) is Risk.CHECKPOINT and not node.in_saver,
        "look at where its path comes from; a model needs these operators only in its saver",
    )


RULE = UnsafeRule(
    "checkpoint-operator",
    Severity.WARNING,
    "Save and restore operators reach files; outside of a saver nobody expects them.",
    _find,
    remedy="look at where its path comes from; a model needs these operators only in its saver",
    example="SaveV2 writes files, or moves them, at a path that the graph gives: 1 node: leak",
)
