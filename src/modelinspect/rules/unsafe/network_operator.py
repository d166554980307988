"""Finds operators that talk to other machines."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.operator_rules import of_risk
from modelinspect.rules.unsafe.operator_table import Risk

RULE = UnsafeRule(
    "network-operator",
    Severity.ERROR,
    "A graph that talks to other machines can send away what it is given.",
    of_risk(Risk.NETWORK, "run it without a network; export the model without its input pipeline"),
    remedy="run it without a network; export the model without its input pipeline",
    example="RpcCall talks to other machines: 1 node: call",
)
