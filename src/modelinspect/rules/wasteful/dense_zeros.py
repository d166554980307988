"""Find zeros that are stored one by one: why a pruned model's file is not smaller."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import compressed
from modelinspect.reports.wording import percent, plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

WORTH_TELLING = 0.1
"""The share of zeros above which wide elements are not zero by chance."""
_NOTABLE = ((16, WORTH_TELLING), (8, 0.3), (4, 0.5), (0, 0.75))
"""The same by the width of an element: only rounding makes up to 20 % of 8-bit weights zero, and more of
narrower ones.
"""
_WORTH = Threshold(512, 0.05)


@dataclass(frozen=True, slots=True)
class DenseKernels:
    """The kernels whose zeros are stored one by one, the zeros of each, and the bytes that all zeros take."""

    tensors: tuple[Tensor, ...]
    counts: tuple[int, ...]
    size: int

    @property
    def elements(self) -> int:
        """The elements of all of them."""
        return sum(tensor.element_count for tensor in self.tensors)

    @property
    def zeros(self) -> int:
        """The elements that are zero."""
        return sum(self.counts)

    @property
    def are_notable(self) -> bool:
        """Whether there are more zeros than training and rounding leave."""
        usual = sum(tensor.element_count * _usual_share(tensor.dtype.bits) for tensor in self.tensors)
        return self.zeros >= usual > 0

    @property
    def stored(self) -> str:
        """How zeros are stored, in words."""
        widths = {tensor.dtype.bits for tensor, count in zip(self.tensors, self.counts, strict=True) if count}
        width = widths.pop() if len(widths) == 1 else 0
        return f"stored in {plural(width // 8, 'byte')} each" if width >= 8 else "each stored in full"


def _usual_share(bits: int) -> float:
    return next(share for least, share in _NOTABLE if bits >= least)


def dense_kernels(subject: Subject) -> DenseKernels:
    """Return the kernels that are stored element by element."""
    found = [
        (tensor, measure.zero_count or 0)
        for tensor, measure in subject.kernels()
        if tensor.storage in (Storage.DENSE, Storage.INLINE) and tensor.stored_size
    ]
    size = sum(tensor.stored_size * count // tensor.element_count for tensor, count in found if count)
    return DenseKernels(tuple(tensor for tensor, _ in found), tuple(count for _, count in found), size)


def are_zeros_reported(subject: Subject, kernels: DenseKernels) -> bool:
    """Return whether the zeros of a subject's kernels are more than usual, and enough bytes to report."""
    return kernels.are_notable and _WORTH.is_reached(kernels.size, subject.size)


def _find(subject: Subject) -> Iterator[Finding]:
    kernels = dense_kernels(subject)
    if not kernels.are_notable:
        return
    index = sum(
        _positions(tensor.element_count, count)
        for tensor, count in zip(kernels.tensors, kernels.counts, strict=True)
    )
    noun = "dataset" if subject.artifact.format is FormatName.HDF5 else "kernel"
    message = (
        f"{percent(kernels.zeros, kernels.elements)} of the elements of {plural(len(kernels.tensors), noun)}"
        f" are zero, {kernels.stored}: {kernels.size:,} bytes ({subject.share(kernels.size)}). A zero takes"
        " the same space as any other value."
        f"{f' An index of the non-zero elements needs at least {index:,} bytes;' if index else ''}"
        " `modelinspect plan` shows what gzip and sparse TFLite reach"
    )
    yield Finding(message, kernels.size, compressed(subject.artifact))


def _positions(elements: int, zeros: int) -> int:
    """Return the bytes of information in which elements are zero, were each zero or not independently of the
    others.
    """
    if not elements:
        return 0
    share = zeros / elements
    if share in (0, 1):
        return 0
    return ceil(elements * -(share * log2(share) + (1 - share) * log2(1 - share)) / 8)


RULE = Rule(
    "dense-zeros",
    Severity.WARNING,
    "A zero takes the same space as any other value, unless it is compressed or stored sparsely.",
    _find,
    example=(
        "80.0 % of the elements of 1 kernel are zero, stored in 4 bytes each: 3,200 bytes (79.2 %). A zero"
        " takes the same space as any other value. An index of the non-zero elements needs at least 91 bytes;"
        " `modelinspect plan` shows what gzip and sparse TFLite reach"
    ),
    remedies=(
        Remedy.GZIP_HDF5,
        Remedy.DEFLATE_KERAS,
        Remedy.GZIP_FILE,
        Remedy.GZIP_FOLDER,
        Remedy.GZIP_FILES,
    ),
    evidence=(Evidence.VALUES,),
    worth=_WORTH,
)
