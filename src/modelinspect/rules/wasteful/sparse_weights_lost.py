"""Find sparse tensors that the converter cut off at the last whole block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import converted_dense
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    cut = list(_cut(subject))
    if not cut:
        return
    worst = max(cut, key=lambda entry: int(entry["uncovered_elements"]))
    message = (
        f"{plural(len(cut), 'sparse tensor lacks', 'sparse tensors lack')} weights that the dense one had:"
        f" {worst['name']} is stored in blocks of {'×'.join(map(str, worst['block_shape']))} that do not"
        f" divide it, and the converter dropped the {worst['uncovered_elements']:,} elements beyond the last"
        " whole block; the outputs of the model change"
    )
    yield Finding(
        message,
        sum(max(int(entry["dense_bytes"]) - int(entry["value_bytes"]), 0) for entry in cut),
        converted_dense(subject.artifact),
    )


def _cut(subject: Subject) -> Iterator[Mapping[str, Any]]:
    """Yield what the TFLite format says about the sparse tensors that whole blocks do not cover, those
    without any value too.
    """
    fact = subject.artifact.facts.get("sparse_tensors")
    for entry in fact if isinstance(fact, tuple | list) else ():
        if isinstance(entry, Mapping) and entry.get("uncovered_elements"):
            yield entry


RULE = Rule(
    "sparse-weights-lost",
    Severity.ERROR,
    "The TFLite converter encodes in blocks of 4 or 16 also where these do not divide the matrix, and drops"
    " the rest.",
    _find,
    example=(
        "1 sparse tensor lacks weights that the dense one had: fc/kernel is stored in blocks of 4 that do not"
        " divide it, and the converter dropped the 20 elements beyond the last whole block; the outputs of"
        " the model change"
    ),
    remedies=(
        Remedy.CONVERT_DENSE,
        Remedy.CONVERT_DENSE_NARROW,
        Remedy.CONVERT_DENSE_HALF,
    ),
)
