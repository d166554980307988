"""Count what magnitude pruning did to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import keras

from modelinspect.pruning.magnitude.choice import Choice
from modelinspect.pruning.magnitude.masks import count_zeros
from modelinspect.pruning.selection import Pattern, describe
from modelinspect.reports.pruned_kernels import KernelsReport, PrunedKernel


def kernels_report(
    model: Any,
    choices: Sequence[Choice],
    pattern: Pattern,
    schedule: str,
    step: int,
    warnings: tuple[str, ...],
) -> KernelsReport:
    """Return the report of a model's kernels, their zeros counted now."""
    return KernelsReport(
        model=model.name,
        backend=keras.backend.backend(),
        keras_version=keras.__version__,
        schedule=cast("Literal['constant', 'polynomial', 'one-shot']", schedule),
        pattern=describe(pattern),
        step=step,
        kernels=tuple(_entry(choice, pattern) for choice in choices),
        warnings=warnings,
    )


def _entry(choice: Choice, pattern: Pattern) -> PrunedKernel:
    kernel = choice.kernel
    zeros = count_zeros(kernel.variable)
    return PrunedKernel(
        layer=kernel.layer,
        type=kernel.type,
        weight=kernel.weight,
        shape=kernel.shape,
        pruned=choice.chosen,
        pattern=describe(pattern) if choice.chosen else "",
        target=choice.target if choice.chosen else None,
        zero_count=zeros,
        sparsity=zeros / kernel.size if kernel.size else 0.0,
        reason=choice.reason,
        note=choice.note,
    )
