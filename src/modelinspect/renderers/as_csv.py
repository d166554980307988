"""Write a report's table as CSV (RFC 4180 but for the line ends, which are line feeds)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Literal, TextIO

from modelinspect.renderers.escape import plain
from modelinspect.renderers.look import Look
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import Cell

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, full-width forms too (OWASP, "CSV Injection")."""


def render(report: Report, out: TextIO, look: Look) -> None:
    """Write the table, complete, with numbers as they are and nothing where a value is unknown.

    Control characters in texts become escapes, and a text that a spreadsheet would take for a formula gets an
    apostrophe before it.
    """
    _write(report, out, _safe)


def render_raw(report: Report, out: TextIO, look: Look) -> None:
    """Write the table with texts as they are, for programs that read CSV and are not spreadsheets."""
    _write(report, out, lambda text: text, csv.QUOTE_NONNUMERIC)  # a carriage return is not quoted otherwise


def _write(
    report: Report, out: TextIO, shown: Callable[[str], str], quoting: Literal[0, 2] = csv.QUOTE_MINIMAL
) -> None:
    table = report.table()
    writer = csv.writer(out, lineterminator="\n", quoting=quoting)
    writer.writerow([column.key for column in table.columns])
    for row in table.rows:
        writer.writerow([_field(cell, shown) for cell in row])


def _safe(text: str) -> str:
    shown = plain(text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


def _field(cell: Cell, shown: Callable[[str], str]) -> str | int:
    match cell:
        case None:
            return ""
        case float():
            return f"{cell:.6f}"
        case str():
            return shown(cell).encode("utf-8", "backslashreplace").decode()
        case int():
            return cell
