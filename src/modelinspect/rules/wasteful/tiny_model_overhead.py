"""Finds small files that are mostly framing, where smaller weights hardly make a smaller file."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.remedies import Remedy, advise
from modelinspect.remedies.choose import is_old_hdf5
from modelinspect.reports.categories import Category
from modelinspect.rules.base import Context, Finding, Rule

_TINY = 256 * 1024
_PAYLOAD = (Category.DENSE_WEIGHTS, Category.ZERO_WEIGHTS, Category.COMPRESSED_WEIGHTS, Category.SPARSE_VALUES)
_OVERHEAD = (Category.CONTAINER, Category.FREE, Category.GRAPH, Category.METADATA, Category.QUANTIZATION, Category.SPARSE_INDEX)


def _find(context: Context) -> Iterator[Finding]:
    payload = sum(context.sizes[category] for category in _PAYLOAD)
    overhead = sum(context.sizes[category] for category in _OVERHEAD)
    if not payload or overhead <= payload or context.artifact.size > _TINY:
        return
    largest = sorted((category for category in _OVERHEAD if context.sizes[category]), key=lambda category: -context.sizes[category])[:2]
    most = " and ".join(f"{context.sizes[category]:,} of {category}" for category in largest)
    message = (
        f"{overhead:,} bytes ({context.share(overhead)}) are not weights but what stands around them ({most}); "
        f"the weights are {payload:,} bytes ({context.share(payload)}), and no pruning can save more than that"
    )
    remedy = Remedy.NEWEST_HDF5 if is_old_hdf5(context.artifact) else Remedy.FIXED_COST
    yield Finding(message, overhead, advise(remedy, context.artifact))


RULE = Rule(
    "tiny-model-overhead",
    Severity.NOTE,
    "In a small file the format's fixed cost outweighs the weights.",
    _find,
    example=(
        "4,000 bytes (90.9 %) are not weights but what stands around them (3,000 of container and 1,000 of graph); the "
        "weights are 400 bytes (9.1 %), and no pruning can save more than that"
    ),
    remedies=(
        Remedy.NEWEST_HDF5,
        Remedy.FIXED_COST,
    ),
)
