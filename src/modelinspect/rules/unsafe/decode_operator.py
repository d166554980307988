"""Finds operators that take apart bytes which the model is given."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.operator_rules import of_risk
from modelinspect.rules.unsafe.operator_table import Risk

RULE = UnsafeRule(
    "decode-operator",
    Severity.NOTE,
    "Decoders of pictures, sound and messages are where crafted input does harm.",
    of_risk(Risk.DECODE, "keep TensorFlow up to date where inputs come from strangers"),
    remedy="keep TensorFlow up to date where inputs come from strangers",
    example="DecodeRaw takes apart bytes that the model is given: 1 node: decode",
)
