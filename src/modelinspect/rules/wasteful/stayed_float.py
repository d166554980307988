"""Find models that are quantized or of half precision in part: which bytes of weights are still wide floats,
and what reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.tensors import DTYPES, ElementKind
from modelinspect.networks.subject import Subject
from modelinspect.networks.widths import TypeShare, weight_widths
from modelinspect.remedies import Remedy, advise
from modelinspect.remedies.choose import in_half_precision
from modelinspect.reports.wording import percent
from modelinspect.rules.base import Finding, Rule, Threshold

_LEAST_SHARE = 0.2
"""The share of wide floats in the bytes of weights: biases and normalizations stay float in every quantized
model.
"""
_LEAST_NARROW = 0.05
"""The share of narrow weights in all elements above which a model was quantized on purpose."""
_NAMED = 3
_SINGLE = 32


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.artifact.format is FormatName.HDF5:  # nothing says that its datasets are weights
        return
    yield from _mixed(subject)
    widths = weight_widths(subject.artifact)
    wide = [share for share in widths.types if _bits(share) >= 32 and _is_float(share)]
    narrow = [share for share in widths.types if _bits(share) <= 16]
    if not wide or not narrow:
        return
    size, elements = sum(share.size for share in wide), sum(share.elements for share in narrow)
    if size < _LEAST_SHARE * widths.size or elements < _LEAST_NARROW * widths.elements:
        return
    readers = [reader for share in wide for reader in share.readers][:_NAMED]
    read = f", read by {', '.join(readers)}" if readers else ""
    names = " and ".join(share.dtype for share in narrow[:2])
    message = (
        f"{size:,} of {widths.size:,} bytes of weights ({percent(size, widths.size)}) are still"
        f" {wide[0].dtype}{read}; {elements:,} of {widths.elements:,} weights are {names}"
    )
    yield Finding(message, size, advise(Remedy.LIST_TENSORS, subject.artifact))


def _mixed(subject: Subject) -> Iterator[Finding]:
    """Find variables of 32 bits that layers use in 16: a mixed policy changes what is computed, not what is
    stored.
    """
    policies = subject.artifact.facts.get("mixed_precision")
    if not isinstance(policies, Mapping) or not policies:
        return
    widths = weight_widths(subject.artifact)
    size = sum(share.size for share in widths.types if _bits(share) == _SINGLE and _is_float(share))
    if not size:
        return
    counted = [(count, name) for name, count in policies.items() if isinstance(count, int)]
    narrow = max(counted, default=(0, "mixed_float16"))[1].removeprefix("mixed_")
    message = (
        f"{size:,} of {widths.size:,} bytes of weights ({percent(size, widths.size)}) are float32: the policy"
        f" mixed_{narrow} computes in {narrow} and keeps variables in float32"
    )
    yield Finding(message, size, in_half_precision(subject.artifact, narrow))


def _bits(share: TypeShare) -> int:
    return DTYPES[share.dtype].bits if share.dtype in DTYPES else 0


def _is_float(share: TypeShare) -> bool:
    return share.dtype in DTYPES and DTYPES[share.dtype].kind is ElementKind.FLOAT


RULE = Rule(
    "stayed-float",
    Severity.NOTE,
    "Quantization skips layers that its writer does not support, and mixed precision stores wide variables,"
    " so the file shrinks by less than the type suggests.",
    _find,
    example=(
        "16,384 of 20,480 bytes of weights (80.0 %) are still float32, read by layer_0; 4,096 of 8,192"
        " weights are int8"
    ),
    remedies=(Remedy.LIST_TENSORS, Remedy.HALF_PRECISION),
    worth=Threshold(1024, 0.05),
)
