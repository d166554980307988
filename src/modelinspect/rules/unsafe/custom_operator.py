"""Finds operators that need code which TensorFlow does not have."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.graphs import FLEX, Node
from modelinspect.rules.unsafe.operator_rules import by_operator, risk_of


def _find(subject: Subject) -> Iterator[Located]:
    remedy = "load a library for it only from whom you trust"
    yield from by_operator(subject, _is_custom, remedy, "is none of TensorFlow's own operators and needs native code from elsewhere")


def _is_custom(node: Node) -> bool:
    return risk_of(node) is None and not (node.is_lite and node.op.startswith(FLEX))


RULE = UnsafeRule(
    "custom-operator",
    Severity.NOTE,
    "A custom operator runs native code of a library that has to be loaded first.",
    _find,
    remedy="load a library for it only from whom you trust",
    example="Erfinv is none of TensorFlow's own operators and needs native code from elsewhere: a custom operator of the model",
)
