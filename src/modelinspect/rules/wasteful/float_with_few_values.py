"""Find floating-point tensors that hold so few values that narrow integers would do."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import ElementKind, Role, Storage, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import compressed
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

_MOST_VALUES = 256
_FEWEST_ELEMENTS = 1024
_ELEMENTS_PER_VALUE = 16


def _find(subject: Subject) -> Iterator[Finding]:
    found: list[tuple[Tensor, int]] = []
    for tensor, measure in subject.measured():
        values = measure.distinct_count
        if values is None or not 1 < values <= _MOST_VALUES or tensor.role is not Role.WEIGHT:
            continue
        if (
            tensor.dtype.kind is not ElementKind.FLOAT
            or tensor.dtype.bits < 16
            or tensor.storage is Storage.COMPRESSED
        ):
            continue
        kept = (measure.element_count or 0) - (measure.zero_count or 0)
        if tensor.element_count >= _FEWEST_ELEMENTS and kept >= _ELEMENTS_PER_VALUE * values:
            found.append((tensor, values))
    if not found:
        return
    saved = sum(max(tensor.stored_size - _packed(tensor, values), 0) for tensor, values in found)
    tensor, values = max(found, key=lambda pair: pair[0].stored_size)
    message = (
        f"{plural(len(found), 'tensor')} of floating-point numbers {'holds' if len(found) == 1 else 'hold'}"
        f" few values: {subject.name(tensor)} has {values:,} in {tensor.element_count:,} elements of"
        f" {tensor.dtype}; indices into a table of the values would take {saved:,} bytes less"
    )
    yield Finding(message, saved, compressed(subject.artifact))


def _packed(tensor: Tensor, values: int) -> int:
    """Return the bytes of indices into the values, and of the values."""
    bits = max((values - 1).bit_length(), 1)
    return (tensor.element_count * bits + 7) // 8 + values * tensor.dtype.bits // 8


RULE = Rule(
    "float-with-few-values",
    Severity.NOTE,
    "Clustered or binarized weights are stored as full-width floats until they are packed.",
    _find,
    example=(
        "1 tensor of floating-point numbers holds few values: layer_0/kernel has 2 in 4,096 elements of"
        " float32; indices into a table of the values would take 15,864 bytes less"
    ),
    remedies=(
        Remedy.GZIP_HDF5,
        Remedy.DEFLATE_KERAS,
        Remedy.GZIP_FILE,
        Remedy.GZIP_FOLDER,
        Remedy.GZIP_FILES,
    ),
    evidence=(Evidence.VALUES,),
    worth=Threshold(1024, 0.01),
)
