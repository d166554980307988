"""Find sparse weights that are made dense again at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import pruned_in_blocks
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold


def densified(subject: Subject) -> list[str]:
    """Return the names of the tensors that a DENSIFY operator expands."""
    fact = subject.artifact.facts.get("densify")
    entries = fact if isinstance(fact, tuple | list) else ()
    return [str(entry["input"]) for entry in entries if isinstance(entry, Mapping) and "input" in entry]


def _find(subject: Subject) -> Iterator[Finding]:
    names = densified(subject)
    if not names:
        return
    tensors = {tensor.path: tensor for tensor in subject.artifact.tensors}
    expanded = [tensors[name] for name in names if name in tensors]
    size = sum(tensor.logical_size for tensor in expanded)
    message = (
        f"{plural(len(names), 'sparse tensor')} {'is' if len(names) == 1 else 'are'} expanded by DENSIFY"
        f" operators at run time to {size:,} bytes: the file is smaller, memory and latency are not"
    )
    expanded.sort(key=lambda tensor: -tensor.logical_size)
    yield Finding(message, size, pruned_in_blocks(subject.artifact, expanded))


RULE = Rule(
    "densify-present",
    Severity.NOTE,
    "Only matching blocks of fully connected layers run sparsely; everything else is expanded.",
    _find,
    example=(
        "1 sparse tensor is expanded by DENSIFY operators at run time to 4,096 bytes: the file is smaller,"
        " memory and latency are not"
    ),
    remedies=(
        Remedy.PRUNE_BLOCKS,
        Remedy.CONVERT_DENSE,
        Remedy.CONVERT_DENSE_NARROW,
        Remedy.CONVERT_DENSE_HALF,
    ),
    worth=Threshold(1024, 0.01),
)
