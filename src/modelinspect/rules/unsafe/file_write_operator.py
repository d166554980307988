"""Finds operators that write files at paths which the graph gives."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.graphs import Node
from modelinspect.rules.unsafe.operator_rules import by_operator, risk_of
from modelinspect.rules.unsafe.operator_table import Risk


def _find(subject: Subject) -> Iterator[Located]:
    yield from by_operator(subject, _writes, "do not run it; export the model without what it writes")


def _writes(node: Node) -> bool:
    return risk_of(node) is Risk.WRITE or prints_to_file(node)


def prints_to_file(node: Node) -> bool:
    """Tell whether a PrintV2 appends to a file: its output_stream is ``file://`` and a path."""
    return node.op == "PrintV2" and b"file://" in node.data


RULE = UnsafeRule(
    "file-write-operator",
    Severity.ERROR,
    "A graph that writes files can change the machine that runs it.",
    _find,
    remedy="do not run it; export the model without what it writes",
    example="PrintV2 prints tensors, or appends them to a file (output_stream): 1 node: PrintV2",
)
