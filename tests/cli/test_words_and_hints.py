"""Every word of a report is explained, and every command that a report prints works."""

from __future__ import annotations

import ast
import io
import shlex
import sys
from pathlib import Path

import pytest

from modelinspect import api
from modelinspect.analyses.explain.meaning import meaning
from modelinspect.analyses.plan.registry import option_names
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import Column, Commands, Notes, Table
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.causes import CAUSES
from modelinspect.reports.meaning import Kind
from modelinspect.rules.registry import unsafe_rules, wasteful_rules
from tests.support.cli import run_cli
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

REPORTS = sorted((PROJECT / "src" / "modelinspect" / "reports").glob("*.py"))


def kinds(word: str) -> set[str]:
    found = meaning(word)
    return set() if found is None else {entry.kind for entry in found.meanings}


def titles() -> set[str]:
    """Return the titles of the columns that reports declare, read from their sources."""
    found = set()
    for path in REPORTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Column"), args=[_, ast.Constant(value=str(title)), *_]):
                    found.add(title)
    return found


def test_every_rule_cause_category_and_option_is_explained() -> None:
    assert all(Kind.RULE in kinds(rule.id) for rule in (*wasteful_rules(), *unsafe_rules()))
    assert all(Kind.CAUSE in kinds(cause) for cause in CAUSES)
    assert all(Kind.CATEGORY in kinds(category) for category in CATEGORIES)
    assert all(Kind.OPTION in kinds(option) for option in option_names())


def test_every_column_of_the_reports_is_explained() -> None:
    assert len(titles()) > 60
    assert sorted(title for title in titles() if Kind.COLUMN not in kinds(title)) == []


def test_every_legend_is_short() -> None:
    assert [category for category in CATEGORIES if not 0 < len(category.legend) <= 33] == []


def printed(report: Report) -> list[str]:
    """Return the commands that a report prints: what to run next, and what shows longer code."""
    lines: list[str] = []
    for block in report.blocks():
        match block:
            case Commands():
                lines += [command.line for command in block.commands]
            case Notes():
                lines += [note.more for note in block.notes if note.hidden_lines]
    return lines


@pytest.mark.parametrize(
    "name", ["mlp/stripped.h5", "pruned_mlp/wrapped/checkpoint", "tflite/sparse.tflite", "unsafe/py_func.pb"]
)
def test_every_command_that_a_report_prints_works(name: str) -> None:
    path = fixture_path(name)
    reports = (api.inspect(path), api.lint(path), api.explain(path))
    lines = dict.fromkeys(line for report in reports for line in printed(report))
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "modelinspect"
        assert run_cli(*arguments).code == 0, line


def test_longer_code_is_shown_by_the_command_that_the_finding_names() -> None:
    path = fixture_path("mlp/stripped.h5")
    short, whole = run_cli("explain", path).text, run_cli("explain", "dead-channels", path).text
    assert "lines of code" in short
    assert "smaller.save('smaller.h5')" not in short
    assert "smaller.save('smaller.h5')" in whole


def test_a_word_that_is_close_to_one_is_corrected() -> None:
    result = run_cli("explain", "dense-zero")
    assert result.code == 3
    assert "did you mean dense-zeros?" in result.err


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    path = fixture_path("mlp/stripped.h5")
    for command in ("inspect", "tensors", "lint", "explain"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        piped, named = run_cli(command, "-").text, run_cli(command, path).text
        assert piped.splitlines()[1] in named
        assert "-  25,656 bytes" in piped


def test_standard_input_is_read_once_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(fixture_path("mlp/stripped.h5").read_bytes()))
    )
    assert run_cli("inspect", "-").code == 0
    assert list(tmp_path.iterdir()) == []
    assert run_cli("diff", "-", "-").code == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"no model")))
    assert run_cli("inspect", "-").code == 3


def test_a_table_has_columns_that_are_declared() -> None:
    report = api.inspect(fixture_path("mlp/stripped.h5"))
    columns = [column for block in report.blocks() if isinstance(block, Table) for column in block.columns]
    assert all(isinstance(column, Column) for column in columns)
    assert {column.title for column in columns if not column.machine_only} <= titles()
