"""The command ``lint``: exit codes, selection, settings, forms."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest

from modelinspect.cli.hook import run
from modelinspect.reports.schemas import schema
from modelinspect.rules.registry import unsafe_rules
from tests.support.cli import run_cli, run_process
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

UNSAFE, SAFE = "unsafe/py_func.pb", "mlp/stripped.h5"


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        (UNSAFE, (), 1),
        (UNSAFE, ("--fail-on", "error"), 1),
        (SAFE, ("--select", "unsafe"), 0),
        ("unsafe/read_file.pb", ("--fail-on", "error"), 0),
        ("unsafe/read_file.pb", ("--fail-on", "warning"), 1),
        ("unsafe/decode_raw.pb", (), 0),
        ("unsafe/decode_raw.pb", ("--fail-on", "note"), 1),
        (UNSAFE, ("--ignore", "code-operator"), 0),
        (UNSAFE, ("--select", "lambda-*,archive-*"), 0),
        (UNSAFE, ("--select", "wasteful", "--no-measure"), 0),
        (UNSAFE, ("--fail-on", "fatal"), 2),
        (UNSAFE, ("--select", "code-oprator"), 2),
        (UNSAFE, ("--format", "junit"), 2),
    ],
)
def test_the_exit_code_tells_what_was_found(
    name: str, options: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    result = run_cli("lint", fixture_path(name), *options, cwd=tmp_path)
    assert result.code == code, result
    assert result.err.count("\n") == (code == 2)


def test_a_file_that_cannot_be_read_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"nothing")
    assert run_cli("lint", tmp_path / "x.h5").code == 3


def test_a_misspelt_rule_is_named_with_the_one_that_may_be_meant() -> None:
    assert (
        "did you mean code-operator?" in run_cli("lint", fixture_path(UNSAFE), "--ignore", "code-oprator").err
    )


def test_every_form_has_every_finding(tmp_path: Path) -> None:
    path = fixture_path("unsafe/tar_slip.tar")
    said = json.loads(run_cli("lint", path, "--format", "json").text)
    jsonschema.validate(said, schema("lint"))
    rules = [finding["rule"] for finding in said["findings"]]
    assert said["schema"] == "modelinspect.lint/1"
    assert said["counts"]["error"] == rules.count("path-outside") == 2
    assert [
        row["rule"] for row in csv.DictReader(io.StringIO(run_cli("lint", path, "--format", "csv").text))
    ] == rules
    for form in ("terminal", "markdown"):
        text = run_cli("lint", path, "--format", form, columns=200).text.partition("Next: ")[0]
        assert all(text.count(rule) == rules.count(rule) for rule in set(rules))
    log = json.loads(run_cli("lint", path, "--format", "sarif").text)
    assert [found["ruleId"] for found in log["runs"][0]["results"]] == rules
    assert run_cli("lint", path, "--format", "sarif", "-o", tmp_path / "f.sarif").code == 1
    assert json.loads((tmp_path / "f.sarif").read_text()) == log


@pytest.mark.parametrize("table", ["tool.modelinspect", "tool.modelinspect.lint"])
def test_the_nearest_table_gives_the_defaults(table: str, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(f'[{table}]\nignore = ["code-operator"]\n')
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'no table here'\n")
    assert run_cli("lint", fixture_path(UNSAFE), cwd=inner).code == 0
    assert run_cli("lint", fixture_path("unsafe/write_file.pb"), cwd=inner).code == 1
    (inner / "pyproject.toml").write_text(f'[{table}]\nselect = ["print-operator"]\nfail-on = "note"\n')
    assert run_cli("lint", fixture_path(UNSAFE), cwd=inner).code == 0
    assert run_cli("lint", fixture_path(UNSAFE), "--select", "unsafe", cwd=inner).code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.modelinspect]\nselekt = []\n", "did you mean select?"),
        ("[tool.modelinspect.lint]\nbudget = 'x'\n", "has no key 'budget'"),
        ("[tool.modelinspect]\nselect = 'unsafe'\n", "tool.modelinspect.select must be an array"),
        ("[tool.modelinspect]\nignore = [1]\n", "tool.modelinspect.ignore[0] is 1; expected `str`"),
        ("[tool.modelinspect]\nfail-on = 'fatal'\n", "no severity 'fatal'"),
        ("[tool]\nmodelinspect = 1\n", "must be a table"),
        ("[tool.modelinspect", "is not TOML"),
    ],
)
def test_wrong_settings_are_said_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    result = run_cli("lint", fixture_path(UNSAFE), cwd=tmp_path)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert said in result.err


def test_forty_columns_are_enough_and_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    text = run_cli("lint", "py_func.pb", columns=40, cwd=fixture_path(UNSAFE).parent).text
    assert max(map(len, text.splitlines())) <= 40


def test_the_hook_takes_many_files_and_options_with_an_equals_sign(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        run(
            [
                "lint",
                "--select=unsafe",
                str(fixture_path(SAFE)),
                str(fixture_path(UNSAFE)),
                str(fixture_path(SAFE)),
            ]
        )
        == 1
    )
    assert capsys.readouterr().out.count("rules checked") == 2  # each model once
    assert run(["lint", "--select=unsafe"]) == 0


def test_the_hooks_module_runs() -> None:
    assert run_process("lint", fixture_path(SAFE), "--select=unsafe", "--no-measure").code == 0


def test_the_document_lists_every_rule_with_its_severity_and_reason() -> None:
    text = (PROJECT / "docs" / "guide" / "lint.md").read_text(encoding="utf-8")
    listed = re.search(r"<!-- rules: start -->\n(.*?)<!-- rules: end -->", text, re.DOTALL)
    assert listed is not None
    rows = [f"| `{rule.id}` | {rule.severity} | {rule.reason} |" for rule in unsafe_rules()]
    assert listed[1].splitlines()[2:] == rows
