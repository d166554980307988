"""Find helper variables of pruning and clustering that were saved with the model."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Helpers, Role, Tensor
from modelinspect.networks.kernels import frozen_masks
from modelinspect.networks.subject import Subject
from modelinspect.networks.writers import helpers_of
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import without_helpers
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    yield from _variables(subject)
    yield from _constants(subject)


def _variables(subject: Subject) -> Iterator[Finding]:
    size = subject.sizes[Category.PRUNING_STATE]
    helpers = subject.of_role(Role.PRUNING)
    if (
        not size or not helpers or helpers_of(subject.artifact) is Helpers.QUANTIZATION
    ):  # another rule says those
        return
    masks = [tensor for tensor in helpers if "mask" in _last(tensor)]
    message = (
        f"{size:,} bytes ({subject.share(size)}) are helper variables of"
        f" {_KINDS[helpers_of(subject.artifact)]}: {plural(len(helpers), 'tensor')}"
    )
    if masks:
        held = sum(tensor.stored_size for tensor in masks)
        message += f", {held:,} bytes of them {plural(len(masks), 'mask')} as large as the kernels"
    yield Finding(f"{message}; inference never reads them", size, without_helpers(subject.artifact))


def _constants(subject: Subject) -> Iterator[Finding]:
    """Find masks that a conversion took along as constants."""
    masks = [
        subject.artifact.tensors[index]
        for index in sorted(frozen_masks(subject.artifact, subject.measurements))
    ]
    size = sum(tensor.stored_size for tensor in masks)
    if size:
        message = (
            f"{size:,} bytes ({subject.share(size)}) are {plural(len(masks), 'mask')} of pruning, as large as"
            " the kernels: it was converted with its wrappers, and multiplies each kernel by its mask"
            " whenever it runs"
        )
        yield Finding(message, size, without_helpers(subject.artifact))


_KINDS = {
    Helpers.NONE: "training wrappers",
    Helpers.PRUNING: "pruning",
    Helpers.CLUSTERING: "clustering",
}


def _last(tensor: Tensor) -> str:
    return tensor.path.rsplit("/", 1)[-1].split(":")[0].lower()


RULE = Rule(
    "pruning-not-stripped",
    Severity.WARNING,
    "A model saved while wrapped for pruning stores a mask as large as each kernel.",
    _find,
    example=(
        "4,004 bytes (50.0 %) are helper variables of pruning: 2 tensors, 4,000 bytes of them 1 mask as large"
        " as the kernels; inference never reads them"
    ),
    remedies=(
        Remedy.DROP_WRAPPERS,
        Remedy.STRIP,
        Remedy.STRIP_WEIGHTS,
        Remedy.STRIP_FOLDER,
        Remedy.STRIP_CHECKPOINT,
        Remedy.STRIP_FIRST,
        Remedy.FOLD_MASKS,
        Remedy.UNCLUSTER,
        Remedy.UNCLUSTER_FIRST,
    ),
    worth=Threshold(128, 0.001),
)
