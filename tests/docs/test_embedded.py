"""Blocks of our own documents have what their commands print now, and code blocks end where they seem to."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from tests.support.cli import run_cli
from tests.support.corpus import PROJECT

DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
_CONSOLE = re.compile(r"^ *```console\n.*?^ *```$", re.MULTILINE | re.DOTALL)


def test_our_documents_are_up_to_date() -> None:
    result = run_cli("embed", "--check", *(path.relative_to(PROJECT) for path in DOCUMENTS), cwd=PROJECT)
    assert result.code == 0, f"{result.text}{result.err}run: make docs"
    assert "docs/guide/embed.md" in result.text


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if "```console" in path.read_text(encoding="utf-8")],
    ids=lambda path: path.stem,
)
def test_no_output_ends_its_code_block_early(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    fences = [
        token
        for token in MarkdownIt("commonmark").parse(text)
        if token.type == "fence" and token.info == "console"
    ]
    assert [token.map[1] - token.map[0] for token in fences if token.map] == [
        found.count("\n") + 1 for found in _CONSOLE.findall(text)
    ]
