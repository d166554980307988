"""Says of each kernel whether pruning took: what was reached, what was wanted, and where the zeros stand."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.analyses.explain.labels import duplicates
from modelinspect.analyses.kernels import input_axis, output_axis
from modelinspect.analyses.matching import Side, bare_layer
from modelinspect.analyses.rules.base import Context
from modelinspect.analyses.rules.masks import Mask, masks
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.measure.facts import Pattern, TensorMeasure
from modelinspect.reports.explain import PrunedKernel

_SOME = 0.2
_SHORT = 0.01
_IN_BLOCKS = 0.95


def pruned_kernels(context: Context) -> tuple[PrunedKernel, ...]:
    """Return the model's kernels, the largest first; none where nothing looks pruned and nothing says that it should be."""
    if context.measurements is None:
        return ()
    side = Side(context.artifact, context.measurements)
    copies = {copy for group in duplicates(side) for copy in group[1:]}
    targets = _targets(context)
    of_masks = {id(mask.weight): mask for mask in masks(context)}
    found: list[PrunedKernel] = []
    for index, tensor in enumerate(context.artifact.tensors):
        measure = context.measurements[index]
        if tensor.role is Role.WEIGHT and len(tensor.shape) > 1 and measure.zero_count is not None and index not in copies:
            found.append(_kernel(context, side.name(TensorId(index)), tensor, measure, targets, of_masks.get(id(tensor))))
    zeros, elements = sum(entry.zeros for entry in found), sum(entry.elements for entry in found)
    if not elements or (not targets and not of_masks and zeros < _SOME * elements):
        return ()
    return tuple(sorted(found, key=lambda entry: (-entry.elements, entry.tensor)))


def _kernel(
    context: Context, name: str, tensor: Tensor, measure: TensorMeasure, targets: Mapping[str, float], mask: Mask | None
) -> PrunedKernel:
    zeros = measure.zero_count or 0
    target = targets.get(bare_layer(tensor.layer or ""))
    out, into = output_axis(context.artifact, tensor), input_axis(context.artifact, tensor)
    pattern = measure.pattern
    dead = pattern.slices[out] if pattern else (0, 0)
    return PrunedKernel(
        tensor=name,
        layer=tensor.layer,
        elements=tensor.element_count,
        zeros=zeros,
        negative_zeros=measure.negative_zero_count or 0,
        target=target,
        mask_zeros=mask.mask_zeros if mask else None,
        verdict=_verdict(zeros / max(tensor.element_count, 1), zeros, target, mask),
        pattern=_pattern(pattern, into, zeros, tensor.element_count),
        dead_outputs=dead,
        dead_inputs=pattern.slices[into] if pattern else (0, 0),
        removable=tensor.stored_size * dead[0] // dead[1] if dead[1] and tensor.storage is not Storage.SPARSE else 0,
    )


def _verdict(reached: float, zeros: int, target: float | None, mask: Mask | None) -> str:
    """Say in a word or two whether a kernel is as sparse as it should be."""
    if mask is not None and mask.mask_zeros == 0:
        return "not begun"
    if mask is not None and mask.mask_zeros is not None and zeros < mask.mask_zeros:
        return "lost"
    if target is None:
        return "yes" if reached >= _SOME else "no"
    return "yes" if reached >= target - _SHORT else "short"


def _pattern(pattern: Pattern | None, axis: int, zeros: int, elements: int) -> str:
    """Name the pattern that the zeros keep to, along the inputs, as the kernels of TFLite have it; or single elements."""
    if pattern is None or not zeros:
        return ""
    for length in (16, 4):
        blocks = pattern.zero_blocks.get((axis, length))
        if blocks and blocks[0] * length >= _IN_BLOCKS * zeros:
            return f"blocks 1x{length}"
    fours = pattern.two_of_four.get(axis) or (0, 0)
    if fours[1] and fours[0] == fours[1] and zeros < elements * 3 // 4:
        return "2 of 4"
    return "single"


def _targets(context: Context) -> dict[str, float]:
    """Return the sparsity that each wrapped layer's schedule ends at, where a configuration is in the artifact or the one before."""
    before = context.comparison.before.artifact.facts if context.comparison else {}
    found: dict[str, float] = {}
    for facts in (before, context.artifact.facts):
        told = facts.get("pruning")
        for entry in told if isinstance(told, tuple | list) else ():
            if isinstance(entry, Mapping) and isinstance(target := entry.get("target"), float):
                found[str(entry.get("layer"))] = target
    return found
