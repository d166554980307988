"""Find zeros whose sign bit is set: equal in value, but a second pattern for every compressor."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Role
from modelinspect.networks.copies import saved_again
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import positive_zeros
from modelinspect.reports.wording import percent
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

_WORTH_TELLING = 0.05
_SOME = 64


def _find(subject: Subject) -> Iterator[Finding]:
    zeros = negative = elements = size = 0
    copies = frozenset(subject.tensor(copy) for copy in saved_again(subject))
    measured = [*subject.measured()]
    weights = [pair for pair in measured if pair[0].role is not Role.CONSTANT]
    for tensor, measure in weights or measured:
        size += (measure.negative_zero_count or 0) * tensor.dtype.bits // 8
        if tensor not in copies:  # the counts are those of the parameters
            zeros += measure.zero_count or 0
            negative += measure.negative_zero_count or 0
            elements += tensor.element_count
    if negative < _SOME or negative < _WORTH_TELLING * elements:
        return
    message = (
        f"{negative:,} of {zeros:,} zeros ({percent(negative, zeros)}) are -0.0: the same value as 0.0 in a"
        " second bit pattern, so compressors save less than they could. Multiplying a negative weight by a"
        " mask's 0 makes -0.0"
    )
    yield Finding(message, size, positive_zeros(subject.artifact))


RULE = Rule(
    "negative-zeros",
    Severity.NOTE,
    "Pruned weights that are -0.0 compress worse than 0.0; the value is the same.",
    _find,
    example=(
        "424 of 800 zeros (53.0 %) are -0.0: the same value as 0.0 in a second bit pattern, so compressors"
        " save less than they could. Multiplying a negative weight by a mask's 0 makes -0.0"
    ),
    remedies=(
        Remedy.POSITIVE_ZEROS,
        Remedy.POSITIVE_ZEROS_FIRST,
        Remedy.POSITIVE_ARRAYS,
    ),
    evidence=(Evidence.VALUES,),
    worth=Threshold(256, 0.01),
)
