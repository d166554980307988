"""Write the tensors of a graph as node data for Google's Model Explorer: bytes as values, zeros as colours.

The form is the one of `model_explorer.node_data_builder.GraphNodeData`: `results` by the name of a node or of
the tensor that it puts out. A file without graph ids goes with the graph that is open; that of a SavedModel
has one for each function.
"""

from __future__ import annotations

import json
from typing import TextIO

from modelinspect.core.artifact import FormatName
from modelinspect.errors import UsageError
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.entries import TensorEntry
from modelinspect.reports.inspect import InspectReport
from modelinspect.reports.tensors import TensorsReport

FORMATS = (FormatName.TFLITE, FormatName.GRAPH_DEF, FormatName.SAVED_MODEL)
"""The formats whose tensors are nodes of a graph that Model Explorer draws."""

_MAIN = "main"
"""What Model Explorer calls the graph outside of functions."""
_Results = dict[str, dict[str, int | str]]

_VALUES = (47, 111, 222)
_ZEROS = (226, 112, 58)
_UNMEASURED = "#c3cad4"


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the node data. Raises `UsageError` where a report has no tensors or its format no graph."""
    if not isinstance(report, InspectReport | TensorsReport):
        raise UsageError("--format model-explorer is available for inspect and tensors only")
    if report.artifact.format not in FORMATS:
        raise UsageError(
            f"{report.artifact.location}: is {report.artifact.format}; Model Explorer needs one of"
            f" {', '.join(FORMATS)}"
        )
    results = {
        entry.name.encode("utf-8", "backslashreplace").decode(): _result(entry) for entry in report.tensors
    }
    data = _by_graph(results) if report.artifact.format == FormatName.SAVED_MODEL else _graph(results)
    json.dump(data, out, indent=2, allow_nan=False)
    out.write("\n")


def _graph(results: _Results) -> dict[str, object]:
    return {"results": dict(sorted(results.items()))}


def _by_graph(results: _Results) -> dict[str, object]:
    """Return the data of a SavedModel by graph: its functions under their names, everything under ``main``.

    A name before the first slash may be a function or only a scope; data for a graph that is not there is
    passed over.
    """
    graphs: dict[str, _Results] = {_MAIN: dict(results)}
    for name, result in results.items():
        function, slash, node = name.partition("/")
        if slash and function and node:
            graphs.setdefault(function, {})[node] = result
    return {name: _graph(graph) for name, graph in sorted(graphs.items())}


def _result(entry: TensorEntry) -> dict[str, int | str]:
    """Return the stored bytes of a tensor, coloured from blue (no zeros) to orange (only zeros), grey where
    none were counted.
    """
    share = entry.zero_share
    if share is None:
        return {"value": entry.stored_size, "bgColor": _UNMEASURED, "textColor": "#000000"}
    color = "".join(
        f"{round(begin + (end - begin) * share):02x}" for begin, end in zip(_VALUES, _ZEROS, strict=True)
    )
    return {
        "value": entry.stored_size,
        "bgColor": f"#{color}",
        "textColor": "#ffffff" if share < 0.75 else "#000000",
    }
