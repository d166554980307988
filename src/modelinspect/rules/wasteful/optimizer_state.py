"""Find the state of an optimizer, which only further training needs."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Role
from modelinspect.networks.optimizer_state import average_names, optimizer_text
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import without_optimizer
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold

_AVERAGED = "evaluation may use averages in place of the weights"
"""Keras gives the weights their averages when training ends, and TensorFlow 1 where a model is evaluated: a
checkpoint that was saved before has two sets of weights.
"""


def _find(subject: Subject) -> Iterator[Finding]:
    size = subject.sizes[Category.OPTIMIZER_STATE]
    slots = subject.of_role(Role.OPTIMIZER)
    if not size or not slots:
        return
    names = average_names(subject.artifact)
    averages = [tensor for tensor in slots if tensor.path in names]
    if len(averages) == len(slots):
        what = f"moving averages of the weights: {plural(len(slots), 'tensor')}"
        needed = f"; {_AVERAGED}"
    elif averages:
        beside = plural(len(averages), "variable")
        what = f"{optimizer_text(subject)}, and a moving average beside each of {beside}"
        needed = f"; only resuming training needs the slots, and {_AVERAGED}"
    else:
        what = optimizer_text(subject)
        needed = "; only resuming training needs it"
    message = f"{size:,} bytes ({subject.share(size)}) are {what}{needed}"
    yield Finding(message, size, without_optimizer(subject.artifact))


RULE = Rule(
    "optimizer-state",
    Severity.WARNING,
    "Optimizer state often takes twice the space of the weights, and inference never reads it.",
    _find,
    example=(
        "8,000 bytes (66.7 %) are optimizer state (Adam): 2 slots for each of 1,000 weights; only resuming"
        " training needs it"
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
    worth=Threshold(128, 0.02),
)
