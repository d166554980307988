"""Write a report as JSON: the contract with scripts."""

from __future__ import annotations

from typing import TextIO

from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the report, in ASCII, with a line for each key and for each object in a list."""
    for line in report.json_lines():
        out.write(f"{line}\n")
