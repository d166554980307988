"""Finds zeros that are stored one by one: why a pruned model's file is no smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import compressed
from modelinspect.reports.wording import percent, plural
from modelinspect.rules.base import Finding, Rule

WORTH_TELLING = 0.1
"""The share of zeros from which on they are no chance."""


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
    def stored(self) -> str:
        """How zeros are stored, in words."""
        widths = {tensor.dtype.bits for tensor, count in zip(self.tensors, self.counts, strict=True) if count}
        width = widths.pop() if len(widths) == 1 else 0
        return f"stored in {plural(width // 8, 'byte')} each" if width >= 8 else "each stored in full"


def dense_kernels(subject: Subject) -> DenseKernels:
    """Return the kernels that are stored element by element."""
    found = [
        (tensor, measure.zero_count or 0)
        for tensor, measure in subject.kernels()
        if tensor.storage in (Storage.DENSE, Storage.INLINE) and tensor.stored_size
    ]
    size = sum(tensor.stored_size * count // tensor.element_count for tensor, count in found if count)
    return DenseKernels(tuple(tensor for tensor, _ in found), tuple(count for _, count in found), size)


def _find(subject: Subject) -> Iterator[Finding]:
    kernels = dense_kernels(subject)
    if not kernels.elements or kernels.zeros < WORTH_TELLING * kernels.elements:
        return
    worth = sum(_positions(tensor.element_count, count) for tensor, count in zip(kernels.tensors, kernels.counts, strict=True))
    message = (
        f"{percent(kernels.zeros, kernels.elements)} of the elements of {plural(len(kernels.tensors), 'kernel')} are zero, "
        f"{kernels.stored}: {kernels.size:,} bytes of zeros ({subject.share(kernels.size)}), so pruning alone makes "
        f"this file no smaller; to tell where they stand takes {worth:,} bytes at best, and `modelinspect plan` says how near "
        f"compressors and sparse storage come"
    )
    yield Finding(message, kernels.size, compressed(subject.artifact))


def _positions(elements: int, zeros: int) -> int:
    """Return the bytes of information that tell which elements are zero, were each zero or not by chance alone."""
    share = zeros / elements
    if share in (0, 1):
        return 0
    return ceil(elements * -(share * log2(share) + (1 - share) * log2(1 - share)) / 8)


RULE = Rule(
    "dense-zeros",
    Severity.WARNING,
    "A zero takes as many bytes as any other element unless it is compressed or stored sparsely.",
    _find,
    example=(
        "80.0 % of the elements of 1 kernel are zero, stored in 4 bytes each: 3,200 bytes of zeros (79.2 %), so "
        "pruning alone makes this file no smaller; to tell where they stand takes 91 bytes at best, and `modelinspect plan` says "
        "how near compressors and sparse storage come"
    ),
    remedies=(
        Remedy.GZIP_HDF5,
        Remedy.DEFLATE_KERAS,
        Remedy.GZIP_FILE,
        Remedy.GZIP_FOLDER,
        Remedy.GZIP_FILES,
    ),
)
