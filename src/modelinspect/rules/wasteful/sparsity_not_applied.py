"""Find pruning wrappers whose masks keep everything."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule
from modelinspect.rules.wasteful.masks import masks


def _find(subject: Subject) -> Iterator[Finding]:
    found = masks(subject)
    measured = [mask for mask in found if mask.mask_zeros is not None]
    if not measured or any(mask.mask_zeros for mask in measured):
        return
    size = sum(mask.mask.stored_size for mask in measured)
    message = (
        f"{plural(len(measured), 'pruning mask keeps', 'pruning masks keep')} every element: pruning was not"
        " applied, or its schedule had not started when the model was saved"
    )
    yield Finding(message, size, advise(Remedy.BEGIN_PRUNING, subject.artifact))


RULE = Rule(
    "sparsity-not-applied",
    Severity.WARNING,
    "A wrapper prunes only after its step passes the begin_step of the schedule.",
    _find,
    example=(
        "1 pruning mask keeps every element: pruning was not applied, or its schedule had not started when"
        " the model was saved"
    ),
    remedies=(Remedy.BEGIN_PRUNING,),
    evidence=(Evidence.VALUES,),
)
