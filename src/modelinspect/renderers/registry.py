"""Every renderer: one for each output format, and each draws every report."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TextIO

from modelinspect.errors import MissingExtraError
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report


class OutputFormat(StrEnum):
    """The forms that a report can be written in."""

    TERMINAL = "terminal"
    JSON = "json"
    MARKDOWN = "markdown"
    CSV = "csv"
    CSV_RAW = "csv-raw"
    PARQUET = "parquet"
    HTML = "html"
    MODEL_EXPLORER = "model-explorer"
    NETRON = "netron"
    IMHEX = "imhex"
    SARIF = "sarif"
    JUNIT = "junit"


class Renderer(Protocol):
    """Writes a report; the same report and look give the same characters."""

    def __call__(self, report: Report, out: TextIO, look: Look) -> None:
        """Write the report to a text stream."""


_MODULES = {
    OutputFormat.TERMINAL: "modelinspect.renderers.terminal",
    OutputFormat.JSON: "modelinspect.renderers.as_json",
    OutputFormat.MARKDOWN: "modelinspect.renderers.markdown",
    OutputFormat.CSV: "modelinspect.renderers.as_csv",
    OutputFormat.CSV_RAW: "modelinspect.renderers.as_raw_csv",
    OutputFormat.PARQUET: "modelinspect.renderers.parquet",
    OutputFormat.HTML: "modelinspect.renderers.html",
    OutputFormat.MODEL_EXPLORER: "modelinspect.renderers.model_explorer",
    OutputFormat.NETRON: "modelinspect.renderers.netron",
    OutputFormat.IMHEX: "modelinspect.renderers.imhex",
    OutputFormat.SARIF: "modelinspect.renderers.sarif",
    OutputFormat.JUNIT: "modelinspect.renderers.junit",
}
"""The module that holds the function ``render`` for a format; it is imported when it is first used."""

_EXTRAS = {OutputFormat.PARQUET: ("pyarrow", "parquet")}
"""The package that a format needs, and the extra that brings it."""

BINARY = frozenset((OutputFormat.PARQUET,))
"""The formats that are bytes, not text."""


def require(format: OutputFormat) -> None:
    """Raise `MissingExtraError` where what a format needs is not installed."""
    package, extra = _EXTRAS.get(format, ("", ""))
    if package and find_spec(package) is None:
        raise MissingExtraError(f"--format {format} needs {package}: pip install 'modelinspect[{extra}]'")


def render(report: Report, format: OutputFormat, out: TextIO, look: Look | None = None) -> None:
    """Write a report to a text stream in one of the formats that are text."""
    renderer: Renderer = import_module(_MODULES[format]).render
    renderer(report, out, look or Look())


def render_bytes(report: Report, format: OutputFormat, out: Any, look: Look | None = None) -> None:
    """Write a report to a binary stream in one of the `BINARY` formats."""
    import_module(_MODULES[format]).render(report, out, look or Look())
