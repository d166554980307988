"""What is generated from the code is up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from modelinspect.core.artifact import FormatName
from modelinspect.formats.registry import formats
from tests.support.corpus import PROJECT


def test_the_generated_pages_say_what_the_code_says() -> None:
    for path, text in _pages().items():
        assert path.is_file(), f"{path.name} is missing; run: python docs/generate_reference.py"
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is out of date; run: python docs/generate_reference.py"
        )


def test_no_schema_lies_there_that_no_report_has() -> None:
    made = {path.name for path in _pages() if path.parent.name == "schemas"}
    reports = {path.name for path in (PROJECT / "docs" / "schemas").glob("*.json")}
    assert made <= reports


def test_every_format_has_a_page_and_every_name_of_a_format_a_row() -> None:
    abouts = [format.about for format in formats()]
    assert {name for about in abouts for name in about.names} == set(FormatName)
    pages = {path.name for path in (PROJECT / "docs" / "formats").glob("*.md")} - {"README.md"}
    assert {about.page for about in abouts} == pages


def test_what_a_format_does_not_read_is_a_sentence_in_the_public_table() -> None:
    text = (PROJECT / "docs" / "formats" / "README.md").read_text(encoding="utf-8")
    limitations = [limitation for format in formats() for limitation in format.about.limitations]
    assert limitations
    for limitation in limitations:
        assert limitation.endswith(".")
        assert f"- {limitation}\n" in text


def _pages() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location(
        "generate_reference", PROJECT / "docs" / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[Path, str] = module.pages()
    return pages
