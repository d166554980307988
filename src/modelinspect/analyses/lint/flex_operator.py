"""Finds operators of TFLite models that TensorFlow itself has to run."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.lint.base import Located, Subject, UnsafeRule
from modelinspect.analyses.lint.graphs import FLEX
from modelinspect.analyses.lint.operator_rules import by_operator, risk_of
from modelinspect.core.artifact import Severity

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
