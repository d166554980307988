"""Builds the documents into a site: `sphinx-build -W -n -b html docs site`.

No page loads anything from elsewhere.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from modelinspect.version import VERSION

DOCS = Path(__file__).resolve().parent

project = "modelinspect"
author = "the modelinspect authors"
version = release = VERSION
extensions = ["myst_parser"]
exclude_patterns = ["guide/examples/*.py", "article/*.in"]
nitpicky = True

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = "modelinspect"
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "default"
pygments_dark_style = "native"
highlight_language = "text"

NAVIGATION = {
    "Use it": ["guide/start", "guide/faq", "guide/recipes", "article/article", "guide/glossary"],
    "Stories": ["guide/stories/*"],
    "Guides": [
        "guide/explain",
        "guide/plan",
        "guide/shrink",
        "guide/lint",
        "guide/check",
        "guide/embed",
        "guide/prune",
        "guide/*",
        "guide/examples/README",
    ],
    "Reference": ["reference/cli", "reference/api", "reference/rules/README", "reference/*"],
    "The study": ["article/*", "article/study/*"],
    "Formats, byte by byte": ["formats/README", "formats/*"],
    "For developers": [
        "developer/how-it-works",
        "developer/design",
        "developer/extending",
        "developer/predictions",
        "developer/pages",
        "developer/fuzzing",
        "developer/decisions/README",
        "benchmarks",
    ],
}
"""The pages of the side bar; one that is not named comes last, so none is lost."""

BENEATH = {
    "reference/rules/README": "reference/rules/*",
    "developer/decisions/README": "developer/decisions/*",
}
"""The pages that have others beneath them."""

_BEFORE_UNIT = re.compile(
    r"(?<=\d)[ \n](?=(?:%|bytes?\b|[KMG]i?B\b|bits?\b|seconds?\b|weights?\b|parameters?\b|times\b))"
)


def setup(app: Sphinx) -> None:
    """Put the navigation beneath the pages, which stay plain Markdown; keep units at their numbers."""
    app.connect("source-read", _add_navigation)
    app.connect("doctree-read", _join_units)


def _join_units(_app: Sphinx, page: nodes.document) -> None:
    """Put a no-break space between a number and its unit, except in code."""
    for text in list(page.findall(nodes.Text)):
        joined = _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)
        if joined != text and not isinstance(text.parent, nodes.literal | nodes.literal_block | nodes.raw):
            text.parent.replace(text, nodes.Text(joined))


def _add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] += _trees()
    elif page in BENEATH:
        source[0] += _tree("", _beneath(page), below=page.rpartition("/")[0] + "/")


def _pages() -> set[str]:
    return {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")} - {"index"}


def _beneath(page: str) -> list[str]:
    return sorted(found for found in _pages() if fnmatchcase(found, BENEATH[page]) and found != page)


def _trees() -> str:
    left = _pages() - {page for above in BENEATH for page in _beneath(above)}
    text = ""
    for caption, patterns in NAVIGATION.items():
        pages = list(
            dict.fromkeys(page for pattern in patterns for page in sorted(left) if fnmatchcase(page, pattern))
        )
        left -= set(pages)
        text += _tree(caption, pages)
    return text + _tree("More", sorted(left))


def _tree(caption: str, pages: list[str], below: str = "") -> str:
    listed = "\n".join(page.removeprefix(below) for page in pages)
    named = f":caption: {caption}\n" if caption else ""
    return f"\n```{{toctree}}\n:hidden:\n{named}\n{listed}\n```\n" if pages else ""
