"""Options that every command shares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

ORIGINAL = "mlp/original.h5"
FIRST_BYTES = {
    "r.json": b'{\n  "schema": "modelinspect.inspect/1"',
    "r.csv": b"category,size,share",
    "r.md": b"## ",
    "r.html": b"<!doctype html>",
    "r.parquet": b"PAR1",
    "R.JSON": b"{\n",
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_the_suffix_of_the_output_chooses_the_form(name: str, tmp_path: Path) -> None:
    result = run_cli(fixture_path(ORIGINAL), "-o", tmp_path / name)
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / name).read_bytes()[:200].lower().startswith(FIRST_BYTES[name].lower())


def test_lint_writes_sarif_and_check_writes_junit_by_the_suffix(tmp_path: Path) -> None:
    path, budget = fixture_path(ORIGINAL), tmp_path / "budget.toml"
    budget.write_text('size = "1 MiB"\n')
    run_cli("lint", path, "-o", tmp_path / "f.sarif")
    assert json.loads((tmp_path / "f.sarif").read_text())["version"] == "2.1.0"
    assert run_cli("check", path, "-b", budget, "-o", tmp_path / "c.xml").code == 0
    assert "<testsuites" in (tmp_path / "c.xml").read_text()


def test_a_named_form_wins_over_the_suffix_and_other_suffixes_are_text(tmp_path: Path) -> None:
    path = fixture_path(ORIGINAL)
    run_cli(path, "-f", "csv", "-o", tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text().startswith("category,size,share")
    run_cli(path, "-o", tmp_path / "a.log")
    assert (tmp_path / "a.log").read_bytes() == run_cli(path, "-f", "terminal").out


def test_a_suffix_of_a_form_that_the_command_lacks_is_refused_before_any_work(tmp_path: Path) -> None:
    result = run_cli("inspect", tmp_path / "missing.h5", "-o", tmp_path / "findings.sarif")
    assert result.code == 2
    assert "this command has no form sarif; choose one with --format: terminal, json" in result.err
    assert not (tmp_path / "findings.sarif").exists()


@pytest.mark.parametrize("command", ["inspect", "tensors", "map", "explain", "lint"])
def test_json_is_a_short_form(command: str) -> None:
    path = fixture_path(ORIGINAL)
    assert run_cli(command, path, "--json") == run_cli(command, path, "--format", "json")
    assert json.loads(run_cli(command, path, "--json", "-f", "json").text)


def test_two_forms_contradict_each_other() -> None:
    result = run_cli(fixture_path(ORIGINAL), "--json", "-f", "csv")
    assert (result.code, result.err) == (2, "modelinspect: --json and --format csv contradict each other\n")


@pytest.mark.parametrize(
    ("command", "own", "foreign"),
    [
        ("inspect", {"model-explorer", "html"}, {"sarif", "junit"}),
        ("plan", {"html"}, {"sarif", "junit", "model-explorer"}),
        ("lint", {"sarif"}, {"junit", "html", "model-explorer"}),
        ("check", {"junit"}, {"sarif", "html", "model-explorer"}),
    ],
)
def test_help_lists_the_forms_that_the_command_has(command: str, own: set[str], foreign: set[str]) -> None:
    line = next(line for line in run_cli(command, "--help", columns=100).text.splitlines() if "--format" in line)
    listed = set(line.split()[2].split("|"))
    assert own <= listed
    assert not foreign & listed
    wrong = run_cli(command, "x.h5", "--format", "yaml")
    assert wrong.code == 2
    assert not any(form in wrong.err for form in foreign)
