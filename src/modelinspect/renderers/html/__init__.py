"""Draw a report as one page that works offline: answer, findings, pictures and tables in a single file."""

from __future__ import annotations

from typing import TextIO

from modelinspect.renderers.html.page import page
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the report as a page."""
    out.write(page(report, look.top, look.command, look.links))
