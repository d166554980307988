"""Find quantized models whose scales and zero points outweigh the weights."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.tensors import Role
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.categories import Category
from modelinspect.rules.base import Finding, Rule, Threshold

_WEIGHTS = (
    Category.DENSE_WEIGHTS,
    Category.ZERO_WEIGHTS,
    Category.COMPRESSED_WEIGHTS,
    Category.SPARSE_VALUES,
)
_FLOAT = 4
"""Bytes of a float32."""


def _find(subject: Subject) -> Iterator[Finding]:
    parameters = subject.sizes[Category.QUANTIZATION]
    weights = sum(subject.sizes[category] for category in _WEIGHTS)
    if not weights or parameters <= weights:
        return
    message = (
        f"{parameters:,} bytes ({subject.share(parameters)}) are scales, zero points and ranges, more than"
        f" the {weights:,} bytes of weights{_per_channel(subject)}"
    )
    elements = sum(tensor.element_count for tensor in subject.of_role(Role.WEIGHT))
    is_smaller = _is_lite(subject) and _FLOAT * elements < weights + parameters
    yield Finding(message, parameters, advise(Remedy.CONVERT_FLOAT, subject.artifact) if is_smaller else None)


def _per_channel(subject: Subject) -> str:
    """Return what a channel costs where the format says so: a float32 scale and an int64 zero point in
    TFLite.
    """
    return ": each channel takes 12 bytes, however few weights it has" if _is_lite(subject) else ""


def _is_lite(subject: Subject) -> bool:
    """Return whether a converter made the file: Keras quantizes by itself."""
    return subject.artifact.format in (FormatName.TFLITE, FormatName.LITERTLM)


RULE = Rule(
    "quant-params-dominate",
    Severity.NOTE,
    "Per-channel quantization has a fixed cost for each channel.",
    _find,
    example=(
        "1,440 bytes (87.8 %) are scales, zero points and ranges, more than the 200 bytes of weights: each"
        " channel takes 12 bytes, however few weights it has"
    ),
    remedies=(Remedy.CONVERT_FLOAT,),
    worth=Threshold(400, 0.15),
)
