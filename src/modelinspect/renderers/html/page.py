"""Put a page together: the document, its style and scripts, the report as data, and plotly where something is charted."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from modelinspect.errors import MissingExtraError
from modelinspect.renderers.html.data import Plain, drawn
from modelinspect.renderers.html.packing import as_json, packed
from modelinspect.renderers.html.palette import palette
from modelinspect.reports.base import Report

EVERYTHING = 1 << 31
"""How many rows tables show where nobody says: all, as they can be sorted and filtered."""

_SCRIPTS = ("base.js", "tables.js", "ribbon.js", "paint.js", "charts.js", "main.js")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_CHARTS = frozenset(("tree", "steps"))
_AFTER = "bars"
"""Pictures are after the first block of this type, or else after the heading."""


def page(report: Report, top: int | None = None) -> str:
    """Return the report as an HTML document, in ASCII: whatever encoding it is written in, the hashes of its scripts hold.

    Raises `MissingExtraError` where plotly is not installed.
    """
    plotly = _plotly()
    parts = _parts(report, top)
    charted = any(part["type"] in _CHARTS for part in parts)
    script = "".join(_asset(name) for name in _SCRIPTS)
    heading = next((part for part in parts if part["type"] == "heading"), None)
    return Template(_asset("page.html")).substitute(
        policy=_policy(_digest(script), *((_digest(plotly),) if charted else ())),
        title=escape(f"{heading['subject']} - modelinspect" if heading else "modelinspect").encode("ascii", "xmlcharrefreplace").decode(),
        style=_asset("page.css"),
        data=as_json({"palette": palette(), "parts": parts}),
        plotly=_packed_plotly() if charted else "",
        script=script,
    )


def framed(document: str, height: int = 760) -> str:
    """Return a page as an element that a notebook can show: it runs by itself and reaches nothing of the notebook."""
    return (
        f'<iframe title="modelinspect report" sandbox="allow-scripts allow-downloads" srcdoc="{escape(document)}" '
        f'style="width:100%;height:{height}px;border:0;border-radius:8px"></iframe>'
    )


def _parts(report: Report, top: int | None) -> list[Plain]:
    parts = [drawn(block) for block in report.blocks(EVERYTHING if top is None else top)]
    types = [part["type"] for part in parts]
    place = types.index(_AFTER) + 1 if _AFTER in types else int(types[:1] == ["heading"])
    parts[place:place] = [drawn(picture) for picture in report.pictures()]
    return parts


def _policy(*hashes: str) -> str:
    """Return what the page may do: run the scripts with these hashes, and nothing over any network."""
    sources = " ".join(f"'{one}'" for one in hashes)
    return f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def _digest(script: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


@cache
def _asset(name: str) -> str:
    """Return a file of the page, its other than ASCII characters as escapes of its language."""
    escaped = {"js": "\\u{:04x}", "css": "\\{:x} "}.get(name.rpartition(".")[2], "&#{};")
    text = (files("modelinspect.renderers.html") / "assets" / name).read_text("utf-8")
    return _BEYOND_ASCII.sub(lambda match: escaped.format(ord(match[0])), text)


@cache
def _plotly() -> str:
    """Return plotly's script, line ends as a browser reads them. Raises `MissingExtraError`."""
    try:
        import plotly
    except ImportError as problem:
        raise MissingExtraError("HTML pages need plotly: pip install 'modelinspect[html]'") from problem
    text = (files(plotly) / "package_data" / "plotly.min.js").read_text("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


@cache
def _packed_plotly() -> str:
    return packed(_plotly().encode(), 9)
