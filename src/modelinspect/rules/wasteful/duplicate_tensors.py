"""Finds tensors that are stored more than once."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.explain.labels import duplicates
from modelinspect.analyses.matching import Side
from modelinspect.core.artifact import Severity
from modelinspect.remedies import Remedy
from modelinspect.remedies.causes import duplicate_remedy
from modelinspect.rules.base import KEY_END, Context, Finding, Rule, plural


def _find(context: Context) -> Iterator[Finding]:
    side = Side(context.artifact, context.measurements)
    groups = duplicates(side)
    if not groups:
        return
    copies = [(copy, group[0]) for group in groups for copy in group[1:]]
    size = sum(side.tensor(copy).stored_size for copy, _ in copies)
    copy, kept = max(copies, key=lambda pair: side.tensor(pair[0]).stored_size)
    how = "by their checksums" if context.measurements is None else "element for element"
    message = (
        f"{size:,} bytes ({context.share(size)}) are {plural(len(copies), 'tensor')} stored again, equal {how}: "
        f"{side.tensor(copy).name.removesuffix(KEY_END)} is {side.tensor(kept).name.removesuffix(KEY_END)}"
    )
    yield Finding(message, size, duplicate_remedy(side, copy, kept))


RULE = Rule(
    "duplicate-tensors",
    Severity.WARNING,
    "The same elements take their bytes once for each time that they are stored.",
    _find,
    example=("16,384 bytes (50.0 %) are 1 tensor stored again, equal element for element: layer_1/kernel is layer_0/kernel"),
    remedies=(
        Remedy.SHARE_LAYER,
        Remedy.SAVE_ONCE,
        Remedy.KEEP_ONE_CHECKPOINT,
        Remedy.STRIP,
        Remedy.STRIP_WEIGHTS,
        Remedy.STRIP_FOLDER,
        Remedy.STRIP_CHECKPOINT,
        Remedy.UNCLUSTER,
        Remedy.UNCLUSTER_FIRST,
        Remedy.CONVERT_AWARE,
        Remedy.CONVERT_AWARE_MODEL,
        Remedy.CONVERT_AGAIN,
        Remedy.LINK_DATASET,
    ),
)
