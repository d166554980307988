"""Put a page together: the document, its style and script, the report as data, and the colours of the
categories, for light and for dark pages, with a pattern where it matters most.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from modelinspect.renderers.escape import plain
from modelinspect.renderers.html.data import Plain, as_json, drawn
from modelinspect.reports.base import Report
from modelinspect.reports.categories import CATEGORIES, Category
from modelinspect.version import VERSION

EVERYTHING = 1 << 31
"""How many rows tables show by default: all, as they can be sorted and filtered."""

_SCRIPTS = (
    "base.js",
    "tables.js",
    "ribbon.js",
    "paint.js",
    "svg.js",
    "treemap.js",
    "waterfall.js",
    "compare.js",
    "main.js",
)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_AFTER = ("bars", "steps")
"""Pictures follow the first block of one of these types."""
_FIRST = ("heading", "lines", "notes")
"""Where there is none, pictures follow these at the top of the page: what the report answers."""
_COMMENT = re.compile(r"^/\*.*?\*/\n", re.MULTILINE | re.DOTALL)
_FIRST_HEIGHT = 760
"""Pixels of a notebook's frame until its page reports how tall it is."""


def page(
    report: Report,
    top: int | None = None,
    command: str = "",
    links: Mapping[str, str] | None = None,
    back: str = "",
) -> str:
    """Return the report as an HTML document, in ASCII: whatever encoding it is written in, the hash of its
    script holds.

    ``command`` is the command line that made the report, for the footer. ``links`` are addresses by location:
    tables link the locations that are in it, and no others. ``back`` is the address of the page that links
    here, which the page links at its top; it is empty where there is none.
    """
    parts = _parts(report, top, links or {})
    script = _script()
    heading = next((part for part in parts if part["type"] == "heading"), None)
    return Template(_asset("page.html")).substitute(
        policy=_policy(_digest(script)),
        title=_ascii(f"{heading['subject']} - modelinspect" if heading else "modelinspect"),
        style=_asset("page.css"),
        back=_back(back),
        data=as_json({"palette": _palette(), "parts": parts}),
        footer=_footer(command),
        script=script,
    )


def framed(document: str) -> str:
    """Return a page as an element that a notebook can show: it runs by itself and reaches nothing of the
    notebook.

    The frame becomes as tall as its content. The script beside it listens for heights from modelinspect's own
    frames only; where a notebook does not run it, the frame keeps its first height and scrolls.
    """
    return (
        '<iframe title="modelinspect report" class="modelinspect" sandbox="allow-scripts allow-downloads"'
        f' srcdoc="{escape(document)}" '
        f'style="width:100%;height:{_FIRST_HEIGHT}px;border:0;border-radius:8px"></iframe>'
        f"<script>{_asset('frame.js')}</script>"
    )


def _back(address: str) -> str:
    return f'<nav><a href="{_ascii(address)}">All models of this scan</a></nav>\n' if address else ""


def _footer(command: str) -> str:
    made = f"Made by modelinspect {VERSION}"
    shown = f" with <code>{_ascii(plain(command))}</code>" if command else ""
    return f"{made}{shown}. Every byte is counted once, so the numbers add up to the size of the file."


def _ascii(text: str) -> str:
    return escape(text).encode("ascii", "xmlcharrefreplace").decode()


def _parts(report: Report, top: int | None, links: Mapping[str, str]) -> list[Plain]:
    parts = [drawn(block, links) for block in report.blocks(EVERYTHING if top is None else top)]
    types = [part["type"] for part in parts]
    place = next((types.index(one) + 1 for one in _AFTER if one in types), None)
    if place is None:
        place = next((at for at, one in enumerate(types) if one not in _FIRST), len(types))
    parts[place:place] = [drawn(picture) for picture in report.pictures()]
    return parts


def _policy(*hashes: str) -> str:
    """Return what the page may do: run the scripts with these hashes, and nothing over any network."""
    sources = " ".join(f"'{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data: blob:; base-uri"
        " 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


@cache
def _asset(name: str) -> str:
    """Return a file of the page, with characters outside ASCII as escapes of its language."""
    escaped = {"js": "\\u{:04x}", "css": "\\{:x} "}.get(name.rpartition(".")[2], "&#{};")
    text = (files("modelinspect.renderers.html") / "assets" / name).read_text("utf-8")
    return _BEYOND_ASCII.sub(lambda match: escaped.format(ord(match[0])), text)


@cache
def _script() -> str:
    """Return the page's script, without the comments that its sources have."""
    return _COMMENT.sub("", "".join(_asset(name) for name in _SCRIPTS))


_COLORS: dict[Category, tuple[str, str]] = {
    Category.GRAPH: ("#2f9e62", "#43b87a"),
    Category.METADATA: ("#9aa82f", "#b7c24a"),
    Category.DENSE_WEIGHTS: ("#2f6fde", "#4f8bf0"),
    Category.ZERO_WEIGHTS: ("#8fb4f2", "#7f9fd8"),
    Category.COMPRESSED_WEIGHTS: ("#7659d6", "#9a82ee"),
    Category.SPARSE_VALUES: ("#0f8f9c", "#2fb3bf"),
    Category.SPARSE_INDEX: ("#6cc4c4", "#8adada"),
    Category.QUANTIZATION: ("#d19a10", "#e6b53a"),
    Category.OPTIMIZER_STATE: ("#e2703a", "#f08a58"),
    Category.PRUNING_STATE: ("#c2407f", "#de6aa2"),
    Category.COMPILED: ("#4a4fa3", "#7b80d6"),
    Category.ASSETS: ("#a9716f", "#c79290"),
    Category.DEBUG: ("#8f6f4e", "#b08f6c"),
    Category.CONTAINER: ("#707a8a", "#8d98a9"),
    Category.FREE: ("#c3cad4", "#4b5666"),
    Category.UNATTRIBUTED: ("#d62839", "#ff5d6c"),
}
_PATTERNS: dict[Category, str] = {Category.ZERO_WEIGHTS: "/", Category.FREE: ".", Category.UNATTRIBUTED: "x"}
"""Hatched, dotted, crossed."""


def _palette() -> list[dict[str, str]]:
    """Return name, meaning, colours and pattern of every category, at the place that its code names."""
    return [
        {
            "name": str(category),
            "meaning": category.meaning,
            "light": _COLORS[category][0],
            "dark": _COLORS[category][1],
            "pattern": _PATTERNS.get(category, ""),
        }
        for category in CATEGORIES
    ]
