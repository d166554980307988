"""Finds operators of TFLite models that TensorFlow itself has to run."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule
from modelinspect.rules.unsafe.graphs import FLEX
from modelinspect.rules.unsafe.operator_rules import by_operator, risk_of

_REMEDY = "take what TFLite has itself; converting with tf.lite.OpsSet.TFLITE_BUILTINS alone fails where another operator is left"


def _find(subject: Subject) -> Iterator[Located]:
    yield from by_operator(
        subject,
        lambda node: node.is_lite and node.op.startswith(FLEX) and risk_of(node) is None,
        _REMEDY,
        "is an operator of TensorFlow, whose delegate has to be linked in",
    )


RULE = UnsafeRule(
    "flex-operator",
    Severity.NOTE,
    "Flex operators bring the whole of TensorFlow's operators into a small runtime.",
    _find,
    remedy=_REMEDY,
    example="FlexMatrixInverse is an operator of TensorFlow, whose delegate has to be linked in: a custom operator of the model",
)
