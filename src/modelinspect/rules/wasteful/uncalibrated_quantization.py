"""Find models wrapped for quantization-aware training whose ranges are those that they begin with."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from struct import pack

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import Role
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule

_STEP = sha256(pack("<i", -1)).hexdigest()
"""The step of a quantize wrapper that never ran (tfmot, quantize_wrapper.py: ``optimizer_step`` begins as
-1).
"""
_BOUND = 6.0
"""Ranges begin as -6 to 6, that of the network's input as 0 to 0 (tfmot, quantizers.py)."""
_RANGE = frozenset(sha256(pack("<f", value)).hexdigest() for value in (-_BOUND, _BOUND, 0.0))


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.measurements is None:
        return
    helpers = [
        TensorId(index)
        for index, tensor in enumerate(subject.artifact.tensors)
        if tensor.role is Role.PRUNING and not tensor.shape
    ]
    digests = [subject.measurements[helper].digest for helper in helpers]
    steps = sum(digest == _STEP for digest in digests)
    ranges = sum(digest in _RANGE for digest in digests)
    if not steps or not ranges or steps + ranges < len(digests):
        return
    message = (
        f"the {plural(ranges, 'bound')} of ranges are those that quantization-aware training starts with"
        f" (-{_BOUND:g} and {_BOUND:g}, 0 for inputs), and its step is -1: the wrapped model was never"
        " trained, and a conversion would quantize by these bounds"
    )
    yield Finding(message, 0, advise(Remedy.CALIBRATE, subject.artifact))


RULE = Rule(
    "uncalibrated-quantization",
    Severity.WARNING,
    "A range that was not set from data rounds activations arbitrarily.",
    _find,
    example=(
        "the 2 bounds of ranges are those that quantization-aware training starts with (-6 and 6, 0 for"
        " inputs), and its step is -1: the wrapped model was never trained, and a conversion would quantize"
        " by these bounds"
    ),
    remedies=(Remedy.CALIBRATE,),
    evidence=(Evidence.VALUES,),
)
