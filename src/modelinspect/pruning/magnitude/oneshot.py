"""Prune a Keras 3 model by magnitude at once, without training, and count what pruning did to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import keras

from modelinspect.pruning.magnitude.choice import Choice, Rule, choose, wish_of
from modelinspect.pruning.magnitude.kernels import find_units
from modelinspect.pruning.magnitude.masks import apply_mask, count_zeros, mask_of
from modelinspect.pruning.selection import Pattern, describe, pattern_of
from modelinspect.reports.pruned_kernels import KernelsReport, PrunedKernel


def prune(
    model: Any,
    sparsity: float = 0.8,
    *,
    block_size: str | Sequence[int] = (1, 1),
    pooling: str = "AVG",
    m_by_n: Sequence[int] | None = None,
    targets: Mapping[Any, float] | None = None,
    include: Rule | Sequence[Rule] | None = None,
    exclude: Rule | Sequence[Rule] | None = None,
) -> KernelsReport:
    """Set the smallest weights of a Keras 3 model's kernels to +0.0 in place, and report each kernel.

    The arguments are those of `MagnitudePruning`. Nothing is written unless every mask could be computed.
    Raises `JobError` for wrong arguments, `PruningError` where a kernel holds NaN.
    """
    wish, pattern = wish_of(sparsity, targets, include, exclude), pattern_of(block_size, pooling, m_by_n)
    choices = choose(find_units(model), wish, pattern)
    masks = [
        (choice.kernel.variable, mask_of(choice.kernel, pattern, choice.target))
        for choice in choices
        if choice.chosen
    ]
    for variable, mask in masks:
        apply_mask(variable, mask)
    return kernels_report(model, choices, pattern, "one-shot", 0, ())


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
