"""Pair pruning masks with the weights that they prune."""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role, Tensor
from modelinspect.networks.subject import Subject


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask, the weight that it prunes where that is certain, and the zeros of both where they were
    counted.
    """

    mask: Tensor
    weight: Tensor | None
    mask_zeros: int | None
    weight_zeros: int | None


def masks(subject: Subject) -> list[Mask]:
    """Return the masks of pruning wrappers: matrices of zeros and ones as large as a weight of the same
    layer.
    """
    if subject.measurements is None:
        return []
    measures = {
        id(tensor): measure
        for tensor, measure in zip(subject.artifact.tensors, subject.measurements.tensors, strict=True)
    }
    weights: dict[tuple[str | None, tuple[int, ...]], list[Tensor]] = {}
    for tensor in subject.of_role(Role.WEIGHT):
        weights.setdefault((tensor.layer, tensor.shape), []).append(tensor)
    found: list[Mask] = []
    for tensor in subject.of_role(Role.PRUNING):
        values = measures[id(tensor)].distinct_count
        if (
            len(tensor.shape) < 2 or values is None or values > 2
        ):  # helpers of clustering are as large, but hold more values
            continue
        candidates = [
            weight for weight in weights.get((tensor.layer, tensor.shape), []) if weight.dtype == tensor.dtype
        ]
        weight = candidates[0] if candidates else None
        weight_zeros = measures[id(weight)].zero_count if weight is not None else None
        found.append(Mask(tensor, weight, measures[id(tensor)].zero_count, weight_zeros))
    return found
