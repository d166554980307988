"""Finds small files that are mostly framing, where smaller weights hardly make a smaller file."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.remedies.choose import is_old_hdf5
from modelinspect.reports.categories import Category
from modelinspect.rules.base import Finding, Rule

_TINY = 256 * 1024
_PAYLOAD = (Category.DENSE_WEIGHTS, Category.ZERO_WEIGHTS, Category.COMPRESSED_WEIGHTS, Category.SPARSE_VALUES)
_OVERHEAD = (Category.CONTAINER, Category.FREE, Category.GRAPH, Category.METADATA, Category.QUANTIZATION, Category.SPARSE_INDEX)


def _find(subject: Subject) -> Iterator[Finding]:
    payload = sum(subject.sizes[category] for category in _PAYLOAD)
    overhead = sum(subject.sizes[category] for category in _OVERHEAD)
    if not payload or overhead <= payload or subject.artifact.size > _TINY:
        return
    largest = sorted((category for category in _OVERHEAD if subject.sizes[category]), key=lambda category: -subject.sizes[category])[:2]
    most = " and ".join(f"{subject.sizes[category]:,} of {category}" for category in largest)
    message = (
        f"{overhead:,} bytes ({subject.share(overhead)}) are not weights but what stands around them ({most}); "
        f"the weights are {payload:,} bytes ({subject.share(payload)}), and no pruning can save more than that"
    )
    remedy = Remedy.NEWEST_HDF5 if is_old_hdf5(subject.artifact) else Remedy.FIXED_COST
    yield Finding(message, overhead, advise(remedy, subject.artifact))


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
