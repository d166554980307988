"""Find the state of an optimizer that never made a step."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import ElementKind, Role
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import without_optimizer
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

_WHOLE = (ElementKind.INT, ElementKind.UINT)


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.measurements is None:
        return
    slots = [
        TensorId(index)
        for index, tensor in enumerate(subject.artifact.tensors)
        if tensor.role is Role.OPTIMIZER
    ]
    counters = [
        slot for slot in slots if not subject.tensor(slot).shape and subject.tensor(slot).dtype.kind in _WHOLE
    ]
    states = [slot for slot in slots if subject.tensor(slot).shape]
    if not counters or not states or not all(_is_zero(subject, slot) for slot in (*counters, *states)):
        return
    size = sum(subject.tensor(slot).stored_size for slot in states)
    message = (
        f"{size:,} bytes ({subject.share(size)}) are {plural(len(states), 'slot')} of an optimizer that never"
        f" ran: its step count and all {sum(subject.tensor(slot).element_count for slot in states):,}"
        " elements are zero"
    )
    yield Finding(message, size, without_optimizer(subject.artifact))


def _is_zero(subject: Subject, slot: TensorId) -> bool:
    """Return whether every element was counted, and is zero."""
    measure = subject.measurements[slot] if subject.measurements is not None else None
    return (
        measure is not None and measure.zero_count is not None and measure.zero_count == measure.element_count
    )


RULE = Rule(
    "optimizer-never-stepped",
    Severity.NOTE,
    "The state of an optimizer that was never used holds no information.",
    _find,
    example=(
        "8,000 bytes (66.6 %) are 2 slots of an optimizer that never ran: its step count and all 2,000"
        " elements are zero"
    ),
    remedies=(
        Remedy.DROP_TRAINING,
        Remedy.DROP_WRAPPERS,
        Remedy.DROP_OPTIMIZER,
        Remedy.SAVE_UNCOMPILED,
        Remedy.SAVE_WEIGHTS_UNCOMPILED,
        Remedy.SAVE_COPY,
        Remedy.SAVE_CLONE,
        Remedy.WRITE_CLONE,
        Remedy.SAVE_WITHOUT_SLOTS,
    ),
    evidence=(Evidence.VALUES,),
    worth=Threshold(256, 0.01),
)
