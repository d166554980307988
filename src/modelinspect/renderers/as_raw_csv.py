"""Write a report's table as CSV with texts as they are; a spreadsheet may take some of them for formulas."""

from __future__ import annotations

from modelinspect.renderers.as_csv import render_raw as render

__all__ = ["render"]
