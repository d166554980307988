"""Find large tensors in which every element is the same."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.remedies.choose import compressed
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    splats: list[Tensor] = [
        tensor
        for tensor, measure in subject.measured()
        if measure.distinct_count == 1
        and tensor.role in (Role.CONSTANT, Role.WEIGHT)
        and len(tensor.shape) > 1
        and tensor.storage is not Storage.COMPRESSED
    ]
    if not splats:
        return
    size = sum(tensor.stored_size for tensor in splats)
    largest = max(splats, key=lambda tensor: tensor.stored_size)
    message = (
        f"{size:,} bytes ({subject.share(size)}) repeat one value: {plural(len(splats), 'tensor')}, "
        f"the largest is {subject.name(largest)} with {largest.element_count:,} equal elements"
    )
    is_constant = largest.role is Role.CONSTANT
    yield Finding(
        message,
        size,
        advise(Remedy.BROADCAST, subject.artifact) if is_constant else compressed(subject.artifact),
    )


RULE = Rule(
    "splat-constant",
    Severity.WARNING,
    "A constant of one value is stored in full when the writer expands it.",
    _find,
    example=(
        "32,768 bytes (100.0 %) repeat one value: 1 tensor, the largest is layer_0/kernel with 8,192 equal"
        " elements"
    ),
    remedies=(
        Remedy.BROADCAST,
        Remedy.GZIP_HDF5,
        Remedy.DEFLATE_KERAS,
        Remedy.GZIP_FILE,
        Remedy.GZIP_FOLDER,
        Remedy.GZIP_FILES,
    ),
    evidence=(Evidence.VALUES,),
    worth=Threshold(16 * 1024, 0.01),
)
