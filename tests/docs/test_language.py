"""What people read is plain, modern technical English: no phrase of the list is in a message, a docstring, a
comment or a document.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from modelinspect.renderers.layout import keep_numbers, wrap
from tests.support.corpus import PROJECT

SOURCES = sorted((PROJECT / "src" / "modelinspect").rglob("*.py"))
TOOLS = [
    path
    for folder in ("benchmarks", "docs", "fixtures", "scripts")
    for path in sorted((PROJECT / folder).rglob("*.py"))
    if "_build" not in path.parts
]
"""Programs beside the package: what they print and write is read by people too."""
PAGES = [
    path
    for path in sorted((PROJECT / "src" / "modelinspect" / "renderers" / "html" / "assets").iterdir())
    if path.suffix in (".js", ".html")
]
DOCUMENTS = [
    *sorted(PROJECT.glob("*.md")),
    PROJECT / "fixtures" / "README.md",
    *sorted((PROJECT / ".github").rglob("*.yml")),
    *sorted((PROJECT / "docs").rglob("*.md")),
    *PAGES,
]
HISTORY = ("decisions", "benchmarks.md", "findings.md", "modules.md")
"""Documents that record what was said at a time, or that are written from the sources."""

PHRASES = (
    r"\bdata sets?\b",
    r"\bdata bases?\b",
    r"\bat the (?:most|least)\b",
    r"\b[Tt]ell whether\b",
    r"\bis told\b",
    r"\bare told\b",
    r"\btells of\b",
    r"\btell of\b",
    r"\bsays of\b",
    r"\bbehind\b",
    r"\babove all\b",
    r"\bsave that\b",
    r"\bas many bytes as\b",
    r"\bh(?:o|e)lds? against\b",
    r"\bh(?:o|e)ld to\b",
    r"\bnone of TensorFlow's\b",
    r"\b(?:it|that|which|they|file|bytes|elements) stands?\b(?! for| out\b)",
    r"\bstands? (?:in|at|where|before|after|there|here|within|outside|beyond|beside|below)\b",
    r"\bwhat stands\b(?! for| out\b)",
    r"\bso that\b",
    r"\bDid pruning take\b",
    r"\bmakes? no sense\b",
    r"\bto be had\b",
    r"\bby chance alone\b",
    r"\bbears\b",
    r"\banew\b",
    r"\b1 (?:tensor|file|kernel|layer) (?:take|have)\b",
    r"\bstands?\b(?! for| out\b| beside)",
    r"\bat best\b",
    (
        r"\b(?:weights|zeros|metadata|structure|text|function|listing|specification|archive|layer|it|them)"
        r" alone\b"
    ),
    r"\b[Tt]old\b",
    r"\bto tell where\b",
    r"\bof no kind\b",
    r"\bno kind that is known\b",
    r"\bsaid of\b",
    r"\bfound out\b",
    r"\bless well\b",
    r"\bless is compressed\b",
    r"\bgrows? little\b",
    r"\btook\?",
    r"\bknown: bound\b",
    r"\btakes? them to\b",
    r"\bAgainst it\b",
    r"\bnone but\b",
    r"\bnobody says\b",
    r"\bother than ASCII\b",
    r"\bto and fro\b",
    r"\bsuch as are\b",
    r"\b(?:lest|upon|thereof|whereof|therein|nought)\b",
)
"""Phrases that no message, docstring, comment or document has."""
IN_SOURCES = (
    *PHRASES,
    r"\b(?:a|an) (?:\w+ )?\w+ of its own\b",
    r"(?<!there )\bis no (?:number|path|file|folder|model|lock|JSON|TOML|weight)\b",
    r"(?<!there )(?<!There )\bare no (?:numbers|weights|bytes|files)\b",
    r"\bat (?:the )?worst of\b",
)
FIRST_WORDS = frozenset(
    [
        "Says",
        "Is",
        "Gives",
        "Tells",
        "Holds",
        "Knows",
        "Reads",
        "Finds",
        "Writes",
        "Makes",
        "Turns",
        "Claims",
        "Opens",
        "Builds",
        "Counts",
        "Draws",
        "Lists",
    ]
)
"""Words that a module's docstring does not begin with: it is a noun phrase, or an imperative."""
ALLOWED = {
    "hdf5_facts.py": ("virtual data set",),
    "artifact.py": ("virtual-data-set",),
    "unsafe.py": ("a second file behind the first",),
}
"""Values of JSON reports, which keep their names, and bytes of a fixture."""


@cache
def sources() -> tuple[tuple[str, str], ...]:
    """Return the texts of all sources, each with its place."""
    found = []
    for path in (*SOURCES, *TOOLS):
        for line, text in prose(path):
            for kept in ALLOWED.get(path.name, ()):
                text = text.replace(kept, "")
            found.append((f"{path.relative_to(PROJECT)}:{line}", text))
    return tuple(found)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a Python file with their lines: strings of several words, without what f-strings
    fill in, and comments.
    """
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and " " in token.string):
            yield (
                token.start[0],
                re.sub(r"\{[^{}]*\}", "…", re.sub(r"``.*?``|`.*?`", "…", token.string, flags=re.DOTALL)),
            )


@pytest.mark.parametrize("phrase", IN_SOURCES)
def test_no_source_has_a_phrase_of_the_list(phrase: str) -> None:
    pattern = re.compile(phrase)
    assert [f"{place}: {text[:100]}" for place, text in sources() if pattern.search(text)] == []


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_document_has_a_phrase_of_the_list(phrase: str) -> None:
    pattern = re.compile(phrase)
    found = []
    for path in DOCUMENTS:
        if any(part in HISTORY for part in path.parts):
            continue
        text = re.sub(r"```.*?```|`[^`\n]*`", "…", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found += [
            f"{path.relative_to(PROJECT)}: {line[:120]}" for line in text.splitlines() if pattern.search(line)
        ]
    assert found == []


def test_a_modules_docstring_is_a_noun_phrase_or_an_imperative() -> None:
    found = []
    for path in SOURCES:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if text.split(" ", 1)[0] in FIRST_WORDS:
            found.append(f"{path.relative_to(PROJECT)}: {text.splitlines()[0]}")
    assert found == []


@pytest.mark.parametrize("width", range(40, 121, 7))
def test_no_line_ends_between_a_number_and_its_unit(width: int) -> None:
    text = (
        "80.0 % of 2 kernels are zero, stored in 4 bytes each: 8,192 bytes (31.9 %), 25.1 KiB of 1,055 zeros"
        " in 12 files. " * 6
    )
    lines = wrap(text, width, "    ", "  ")
    assert len(lines) > 1
    assert not [line for line in lines if re.search(r"\d$", line)]
    assert " ".join(" ".join(lines).split()) == text.strip()


def test_pages_join_a_number_and_its_unit() -> None:
    assert keep_numbers("8,192 bytes (31.9 %)") == "8,192\u00a0bytes (31.9\u00a0%)"
