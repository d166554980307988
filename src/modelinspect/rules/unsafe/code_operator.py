"""Finds operators that run code which is not the graph's own."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.operator_rules import of_risk
from modelinspect.rules.unsafe.operator_table import Risk

RULE = UnsafeRule(
    "code-operator",
    Severity.ERROR,
    "A graph that calls Python or native code does what that code does.",
    of_risk(Risk.CODE, "do not load it unless you know the code; export the model again without tf.py_function and tf.numpy_function"),
    remedy="do not load it unless you know the code; export the model again without tf.py_function and tf.numpy_function",
    example="EagerPyFunc calls a Python function that the process has registered under a number: 1 node: eager",
)
