"""Documents show what the tool prints now, and nothing of this or any machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.is_file()]
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")

_NO_PARAGRAPH = ("#", "<!--", "![", ":::", "[")
"""What begins lines that are neither a table nor a paragraph: headings, comments, pictures, links, fences."""


def test_the_outputs_in_the_documents_are_what_the_commands_print() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "run_blocks.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    missing = [link for link in _LINK.findall(text) if not (path.parent / link).exists()]
    assert missing == []


def _rows_before_the_point(text: str) -> int:
    """Return how many lines of tables a page has before its first paragraph, code aside."""
    rows, in_code = 0, False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif in_code or not line.strip() or line.startswith(_NO_PARAGRAPH):
            continue
        elif line.startswith("|"):
            rows += 1
        else:
            return rows
    return rows


def test_lines_of_tables_before_the_first_paragraph_are_counted() -> None:
    table = "| a |\n| --- |\n| 1 |\n"
    assert _rows_before_the_point(f"# Title\n\n{table}\n```\ncode\n```\n{table}\nThe point.\n{table}") == 6
    assert _rows_before_the_point(f"# Title\n\nThe point.\n\n{table}") == 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_page_has_200_lines_of_tables_before_its_point(path: Path) -> None:
    assert _rows_before_the_point(path.read_text(encoding="utf-8")) <= 200


def test_the_readme_opens_with_the_two_commands_and_the_install() -> None:
    opening = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:15])
    for words in ("make demo", "make test", "pip install ."):
        assert words in opening


def test_the_readme_names_every_command() -> None:
    from modelinspect.cli.commands import COMMANDS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in COMMANDS if name != "inspect" and f"`modelinspect {name}" not in text]
    assert missing == []


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "developer" / "decisions").glob("0*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "developer" / "decisions").glob("0*.md")), ids=lambda path: path.stem
)
def test_a_decision_says_why_what_and_what_follows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.name[:4])}. ")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [part for part in parts if part != "Options"] == ["Context", "Decision", "Consequences"]
    assert all(body.strip() for body in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:])
