"""Write the tensors of a model as an attachment for Netron: bytes and zeros beside each tensor, causes beside
the model.

The form is that of Netron's ``source/metadata.js`` (2025): ``signature`` names it, and every entry of
``metrics`` has the kind and the name of what it belongs to (a model's and a graph's name may be empty), its
own name, value and type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from modelinspect.errors import UsageError
from modelinspect.renderers.escape import plain
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.entries import TensorEntry
from modelinspect.reports.inspect import InspectReport, category_sizes
from modelinspect.reports.tensors import TensorsReport
from modelinspect.reports.wording import percent

SIGNATURE = "netron:attachment"
_PERCENTAGE = "percentage"
_Entry = dict[str, Any]


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the attachment. Raises `UsageError` where a report lists no tensors."""
    if not isinstance(report, InspectReport | TensorsReport):
        raise UsageError("netron is a form of inspect and tensors; only they list the tensors of one model")
    metrics = [*_model(report), *(one for entry in report.tensors for one in _tensor(entry))]
    json.dump({"signature": SIGNATURE, "metrics": metrics}, out, indent=1, allow_nan=False)
    out.write("\n")


def _model(report: InspectReport | TensorsReport) -> Iterator[_Entry]:
    """Yield what holds of the whole: its size, its zeros and, of `inspect`, its categories and findings."""
    model = {"kind": "model", "target": ""}
    yield model | {"name": "bytes", "value": report.artifact.size}
    counted = [entry for entry in report.tensors if entry.role == "weight" and entry.zero_count is not None]
    elements = sum(entry.element_count for entry in counted)
    if elements:
        zeros = sum(entry.zero_count or 0 for entry in counted)
        yield model | {"name": "zeros", "value": zeros}
        # of a model Netron shows numbers as they are, and names to their 14th character
        yield model | {"name": "sparsity", "value": percent(zeros, elements)}
    if isinstance(report, InspectReport):
        for category, size in category_sizes(report.categories).items():
            if size:
                text = f"{size:,} bytes ({percent(size, report.artifact.size)})"
                yield model | {"name": str(category), "value": text}
        for number, finding in enumerate(report.findings, 1):
            yield model | {
                "name": f"finding {number}",
                "value": f"{finding.rule}: {plain(finding.message)}",
            }


def _tensor(entry: TensorEntry) -> Iterator[_Entry]:
    """Yield what holds of a tensor, under its name and, where that differs, under the path that viewers may
    call it by.
    """
    values: list[_Entry] = [
        {"name": "bytes", "value": entry.stored_size},
        {"name": "role", "value": entry.role},
    ]
    if entry.storage != "dense":
        values.append({"name": "storage", "value": entry.storage})
    if entry.zero_count is not None:
        values.append({"name": "zeros", "value": entry.zero_count})
    if entry.zero_share is not None:  # zeros by value: of a quantized tensor, those equal to its zero point
        values.append({"name": "sparsity", "value": entry.zero_share, "type": _PERCENTAGE})
    for name in dict.fromkeys((entry.name, entry.path)):
        target = {
            "kind": "tensor",
            "target": name.encode("utf-8", "backslashreplace").decode().partition("\n")[0],
        }
        yield from (target | value for value in values)
