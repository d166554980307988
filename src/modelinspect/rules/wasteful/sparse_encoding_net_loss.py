"""Find sparse tensors that take more bytes than their dense form."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Storage
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import converted_dense
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import percent, plural
from modelinspect.rules.base import Finding, Rule, Threshold


def _find(subject: Subject) -> Iterator[Finding]:
    sparse = [tensor for tensor in subject.artifact.tensors if tensor.storage is Storage.SPARSE]
    values = sum(tensor.stored_size for tensor in sparse)
    dense = sum(tensor.logical_size for tensor in sparse)
    index = subject.sizes[Category.SPARSE_INDEX]
    loss = values + index - dense
    if not sparse or loss <= 0:
        return
    elements = sum(tensor.element_count for tensor in sparse)
    zeros = sum(
        measure.zero_count or 0 for tensor, measure in subject.measured() if tensor.storage is Storage.SPARSE
    )
    text = f" at {percent(zeros, elements)} zeros" if zeros else ""
    takes = plural(len(sparse), "tensor takes", "tensors take")
    message = (
        f"sparse storage costs {loss:,} bytes more than dense{text}: {takes} {values:,} bytes of values and"
        f" {index:,} of indices, {dense:,} bytes when dense; the converter encodes kernels with at least 30 %"
        " zeros and does not compare sizes"
    )
    yield Finding(message, loss, converted_dense(subject.artifact))


RULE = Rule(
    "sparse-encoding-net-loss",
    Severity.WARNING,
    "The index of a sparse tensor can take more space than the zeros did.",
    _find,
    example=(
        "sparse storage costs 276 bytes more than dense: 1 tensor takes 700 bytes of values and 600 of"
        " indices, 1,024 bytes when dense; the converter encodes kernels with at least 30 % zeros and does"
        " not compare sizes"
    ),
    remedies=(
        Remedy.CONVERT_DENSE,
        Remedy.CONVERT_DENSE_NARROW,
        Remedy.CONVERT_DENSE_HALF,
    ),
    worth=Threshold(128, 0.01),
)
