"""Finds operators that print what passes through the model."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.file_write_operator import prints_to_file
from modelinspect.rules.unsafe.operator_rules import by_operator, risk_of
from modelinspect.rules.unsafe.operator_table import Risk


def _find(subject: Subject) -> Iterator[Located]:
    yield from by_operator(
        subject,
        lambda node: risk_of(node) is Risk.PRINT and not prints_to_file(node),
        "export the model without tf.print and tf.compat.v1.Print",
    )


RULE = UnsafeRule(
    "print-operator",
    Severity.WARNING,
    "What a model prints stands in logs, inputs of its users included.",
    _find,
    remedy="export the model without tf.print and tf.compat.v1.Print",
    example="PrintV2 prints tensors, or appends them to a file (output_stream): 1 node: PrintV2",
)
