"""Prune a Keras 3 model by magnitude at once, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelinspect.pruning.magnitude.choice import Rule, choose, wish_of
from modelinspect.pruning.magnitude.kernels import find_units
from modelinspect.pruning.magnitude.masks import apply_mask, mask_of
from modelinspect.pruning.magnitude.outcome import kernels_report
from modelinspect.pruning.selection import pattern_of
from modelinspect.reports.pruned_kernels import KernelsReport


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
