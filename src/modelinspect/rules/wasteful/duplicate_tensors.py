"""Find tensors that are stored more than once."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.names import KEY_END
from modelinspect.networks.copies import duplicates
from modelinspect.networks.programs import gradient_copies
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.causes import duplicate_remedy
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    gradients = subject.once(gradient_copies)  # its own rule says those
    groups = [[one for one in group if one not in gradients] for group in duplicates(subject)]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return
    copies = [(copy, group[0]) for group in groups for copy in group[1:]]
    size = sum(subject.tensor(copy).stored_size for copy, _ in copies)
    copy, kept = max(copies, key=lambda pair: subject.tensor(pair[0]).stored_size)
    names = [subject.tensor(one).name.removesuffix(KEY_END) for one in (copy, kept)]
    paths = [subject.tensor(one).path.removesuffix(KEY_END) for one in (copy, kept)]
    equal = f"{names[0]} equals {names[1]}"
    if names[0] == names[1]:  # one variable under two paths
        equal = f"{names[0]} is at {paths[1]} and at {paths[0]}"
    how = "by their checksums" if subject.measurements is None else "element for element"
    message = (
        f"{size:,} bytes ({subject.share(size)}) are {plural(len(copies), 'tensor')} stored again, equal"
        f" {how}: {equal}"
    )
    yield Finding(message, size, duplicate_remedy(subject, copy, kept))


RULE = Rule(
    "duplicate-tensors",
    Severity.WARNING,
    "Every copy of the same elements takes the same space again.",
    _find,
    example=(
        "16,384 bytes (50.0 %) are 1 tensor stored again, equal element for element: layer_1/kernel equals"
        " layer_0/kernel"
    ),
    remedies=(
        Remedy.LINK_WEIGHTS,
        Remedy.SAVE_ONCE,
        Remedy.KEEP_ONE_CHECKPOINT,
        Remedy.DROP_WRAPPERS,
        Remedy.STRIP,
        Remedy.STRIP_WEIGHTS,
        Remedy.STRIP_FOLDER,
        Remedy.STRIP_CHECKPOINT,
        Remedy.UNCLUSTER,
        Remedy.UNCLUSTER_FIRST,
        Remedy.CONVERT_AWARE,
        Remedy.CONVERT_AWARE_MODEL,
        Remedy.CONVERT_AGAIN,
        Remedy.ONE_MODEL,
        Remedy.LINK_DATASET,
    ),
    worth=Threshold(1024, 0.01),
)
