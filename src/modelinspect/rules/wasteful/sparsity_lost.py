"""Find weights that are not zero where their pruning mask is."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule
from modelinspect.rules.wasteful.masks import masks


def _find(subject: Subject) -> Iterator[Finding]:
    lost = [
        (mask, mask.mask_zeros - mask.weight_zeros)
        for mask in masks(subject)
        if mask.mask_zeros is not None
        and mask.weight_zeros is not None
        and mask.mask_zeros > mask.weight_zeros
    ]
    if not lost:
        return
    elements = sum(count for _, count in lost)
    size = sum(count * mask.weight.dtype.bits // 8 for mask, count in lost if mask.weight is not None)
    worst, count = max(lost, key=lambda pair: pair[1])
    name = worst.weight.name if worst.weight is not None else worst.mask.name
    message = (
        f"at least {elements:,} elements that the masks prune are not zero, in {plural(len(lost), 'kernel')}:"
        f" {name} has {worst.weight_zeros:,} zeros where its mask has {worst.mask_zeros:,}, {count:,} too few"
    )
    yield Finding(message, size, advise(Remedy.APPLY_MASKS, subject.artifact))


RULE = Rule(
    "sparsity-lost",
    Severity.WARNING,
    "Weights that moved after the mask was applied are no longer zero.",
    _find,
    example=(
        "at least 10 elements that the masks prune are not zero, in 1 kernel: dense/kernel has 70 zeros where"
        " its mask has 80, 10 too few"
    ),
    remedies=(Remedy.APPLY_MASKS,),
    evidence=(Evidence.VALUES,),
)
