"""Find sparse int8 weights of fully connected operators with float32 input, which XNNPACK does not compute
right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import converted_dense
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    told = subject.artifact.facts.get("sparse_hybrid")
    entries = (
        [entry for entry in told if isinstance(entry, Mapping)] if isinstance(told, tuple | list) else []
    )
    if not entries:
        return
    names = {str(entry.get("name")) for entry in entries}
    size = sum(tensor.stored_size for tensor in subject.artifact.tensors if tensor.path in names)
    through = sum(bool(entry.get("densify")) for entry in entries)
    what = (
        "does not load such a file"
        if through
        else "computes other outputs from such a file than TFLite's own kernels"
    )
    message = (
        f"{plural(len(names), 'sparse int8 weight')} of fully connected operators with float32 input,"
        f" {through:,} of them expanded by DENSIFY: the XNNPACK delegate of TensorFlow 2.21, which is on by"
        f" default, {what}"
    )
    yield Finding(message, size, converted_dense(subject.artifact))


RULE = Rule(
    "sparse-hybrid",
    Severity.WARNING,
    "XNNPACK (TensorFlow 2.21) refuses or miscomputes sparse int8 weights of operators with float32 input.",
    _find,
    example=(
        "2 sparse int8 weights of fully connected operators with float32 input, 0 of them expanded by"
        " DENSIFY: the XNNPACK delegate of TensorFlow 2.21, which is on by default, computes other outputs"
        " from such a file than TFLite's own kernels"
    ),
    remedies=(Remedy.CONVERT_DENSE_NARROW, Remedy.CONVERT_DENSE),
)
