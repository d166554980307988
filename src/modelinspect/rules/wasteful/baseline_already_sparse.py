"""Find a baseline that is pruned itself."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Role
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import percent
from modelinspect.rules.base import Evidence, Finding, Rule
from modelinspect.rules.wasteful.dense_zeros import dense_kernels

_SPARSE = 0.2
_AS_SPARSE = 0.02


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.comparison is None or subject.comparison.before.artifact.location == subject.artifact.location:
        return
    if not _alike(subject.comparison.before, subject):
        return
    zeros, elements = subject.comparison.before.kernel_zeros()
    after_zeros, after_elements = subject.kernel_zeros()
    if not elements or not after_elements or zeros < _SPARSE * elements:
        return
    if (
        abs(zeros / elements - after_zeros / after_elements) > _AS_SPARSE
    ):  # where the first has more, the order is turned
        return
    message = (
        f"the first file is not a dense baseline: {percent(zeros, elements)} of its kernel elements are"
        f" already zero, {percent(after_zeros, after_elements)} in the second"
    )
    yield Finding(
        message,
        dense_kernels(subject.comparison.before).size,
        advise(Remedy.BASELINE_FIRST, subject.artifact),
    )


def _alike(before: Subject, after: Subject) -> bool:
    """Return whether both store their kernels in the same way; otherwise the first is the model that was
    converted, not a baseline.
    """
    if before.artifact.format is not after.artifact.format or before.of_role(Role.PRUNING):
        return False
    ways = [
        {
            (tensor.storage, tensor.dtype)
            for tensor, _ in side.measured()
            if len(tensor.shape) > 1 and tensor.role is not Role.OTHER
        }
        for side in (before, after)
    ]
    return ways[0] == ways[1]


RULE = Rule(
    "baseline-already-sparse",
    Severity.WARNING,
    "A baseline saved after pruning is the pruned model, and comparing with it shows nothing.",
    _find,
    example=(
        "the first file is not a dense baseline: 80.0 % of its kernel elements are already zero, 80.0 % in"
        " the second"
    ),
    remedies=(Remedy.BASELINE_FIRST,),
    evidence=(
        Evidence.COMPARISON,
        Evidence.VALUES,
    ),
)
