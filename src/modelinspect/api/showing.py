"""Let reports show themselves: as a page in a notebook, as text in `print`."""

from __future__ import annotations

from typing import Any, TypeVar

_Report = TypeVar("_Report")


def shown(report: _Report) -> _Report:
    """Let a notebook show reports as pages and ``print`` as text: reports know no renderer, so the way to one
    is set here.
    """
    from modelinspect.reports.base import Notebook

    Notebook.draw = _notebook_page
    Notebook.write = _terminal_text
    return report


def _terminal_text(report: Any) -> str:
    """Return what the command line shows of a report on a terminal of 80 columns, without colors."""
    from io import StringIO

    from modelinspect.renderers.registry import OutputFormat, render

    out = StringIO()
    render(report, OutputFormat.TERMINAL, out)
    return out.getvalue().removesuffix("\n")


def _notebook_page(report: Any) -> str | None:
    """Return a report as a page in a frame, None where the report shows nothing.

    A report on one artifact without pictures gets them from the artifact, if it is still there and as large:
    parsing it reads no weights, and the zeros are in the report.
    """
    from modelinspect.api.opening import draw, open
    from modelinspect.errors import ModelInspectError
    from modelinspect.renderers.html.page import framed, page
    from modelinspect.reports.inspect import InspectReport, with_pictures

    if type(report) is InspectReport:
        try:
            artifact = open(report.artifact.location)
            if artifact.size == report.artifact.size and len(artifact.tensors) == len(report.tensors):
                zeros = {
                    index: entry.zero_count for index, entry in enumerate(report.tensors) if entry.zero_count
                }
                report = with_pictures(report, draw(artifact, zeros))
        except (ModelInspectError, OSError):
            pass  # the page does without
    if not hasattr(report, "blocks"):
        return None
    return framed(page(report))
