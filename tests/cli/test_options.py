"""Options that every command shares."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest

from modelinspect.cli.commands import COMMANDS, DEFAULT, module_name
from modelinspect.remedies.table import Remedy
from modelinspect.renderers.registry import OutputFormat
from modelinspect.reports.schemas import schema
from modelinspect.rules.registry import unsafe_rules, wasteful_rules
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

ORIGINAL = "mlp/original.h5"
MODEL = "tflite/sparse.tflite"
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
    line = next(
        line for line in run_cli(command, "--help", columns=100).text.splitlines() if "--format" in line
    )
    listed = set(line.split()[2].split("|"))
    assert own <= listed
    assert not foreign & listed
    wrong = run_cli(command, "x.h5", "--format", "yaml")
    assert wrong.code == 2
    assert not any(form in wrong.err for form in foreign)


ARGUMENTS = {
    "diff": [MODEL],
    "explain": [MODEL],
    "shrink": ["--check"],
    "check": ["--budget", "BUDGET"],
    "scan": ["--jobs", "1"],
}
"""What commands with ``--format`` need beside a path; ``prune`` is left out, as it trains, and ``embed``, as
it opens documents.
"""
TAKING_FORMS = ("inspect", "tensors", "map", "diff", "explain", "lint", "plan", "shrink", "check", "scan")
WITHOUT_FORMS = ("embed", "prune", "study", "demo")


def listed_forms(command: str) -> set[str]:
    words = run_cli(command, "--help", columns=200).text.split()
    return set(words[words.index("--format") + 1].split("|")) if "--format" in words else set()


@pytest.mark.parametrize("command", TAKING_FORMS)
def test_help_lists_exactly_the_forms_that_the_command_writes(command: str, tmp_path: Path) -> None:
    budget = tmp_path / "budget.toml"
    budget.write_text('size = "1 MiB"\n')
    arguments = [
        budget if one == "BUDGET" else fixture_path(one) if one == MODEL else one
        for one in ARGUMENTS.get(command, [])
    ]
    written = set()
    for form in OutputFormat:
        target = tmp_path / f"report.{form}"
        done = run_cli(
            command,
            fixture_path(MODEL),
            *arguments,
            "--format",
            form,
            "--report" if command == "shrink" else "-o",
            target,
        )
        assert done.code in (0, 1, 2), done.err
        if done.code != 2:
            written.add(str(form))
    assert written == listed_forms(command)


def test_every_command_is_among_those_that_the_forms_are_compared_for() -> None:
    assert {*TAKING_FORMS, *WITHOUT_FORMS} == set(COMMANDS)
    assert not listed_forms("study") | listed_forms("demo")
    assert listed_forms("prune") == listed_forms("embed") == listed_forms("scan") - {"parquet"}


def test_prune_refuses_a_binary_form_as_its_report_goes_to_standard_output(tmp_path: Path) -> None:
    result = run_cli("prune", "missing.keras", "-o", tmp_path / "out", "--format", "parquet")
    assert (result.code, result.err) == (
        2,
        (
            "modelinspect: this command has no form parquet; choose one of terminal, json, markdown, csv,"
            " csv-raw, html\n"
        ),
    )


@pytest.mark.parametrize(
    ("option", "env", "tty", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_the_option_decides_on_color_and_then_the_environment(
    option: str, env: dict[str, str], tty: bool, colored: bool
) -> None:
    plain = {"NO_COLOR": "", "FORCE_COLOR": ""}
    result = run_cli(fixture_path(ORIGINAL), "--color", option, tty=tty, env={**plain, **env})
    assert result.code == 0
    assert (b"\x1b[" in result.out) is colored


def test_a_file_is_colored_only_when_asked(tmp_path: Path) -> None:
    for option, colored in (("always", True), ("auto", False)):
        target = tmp_path / f"{option}.txt"
        run_cli(
            fixture_path(ORIGINAL), "--color", option, "-o", target, env={"FORCE_COLOR": "1", "NO_COLOR": ""}
        )
        assert (b"\x1b[" in target.read_bytes()) is colored


def test_quiet_shows_no_notes(tmp_path: Path) -> None:
    budget = tmp_path / "budget.toml"
    budget.write_text('[growth]\nsize = "1 KiB"\n')
    noted = run_cli("check", fixture_path(ORIGINAL), "-b", budget, "--update-lock")
    quiet = run_cli("check", fixture_path(ORIGINAL), "-b", budget, "--update-lock", "-q")
    assert noted.err == f"modelinspect: wrote {tmp_path / 'budget.lock'}\n"
    assert (quiet.code, quiet.out, quiet.err) == (noted.code, noted.out, "")


def test_quiet_shows_no_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelinspect.cli import progress

    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    assert "reading weights" in run_cli(fixture_path(ORIGINAL), tty=True).err
    assert run_cli(fixture_path(ORIGINAL), "-q", tty=True).err == ""


def test_quiet_still_writes_errors(tmp_path: Path) -> None:
    result = run_cli(tmp_path / "missing.h5", "-q")
    assert result.code == 3
    assert "missing.h5" in result.err


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "demo"])
def test_every_command_can_be_quiet(command: str) -> None:
    assert "-q" in run_cli(command, "--help").text


def test_lint_lists_its_rules_with_group_severity_and_reason() -> None:
    every = sorted((*unsafe_rules(), *wasteful_rules()), key=lambda rule: rule.id)
    report = json.loads(run_cli("lint", "--rules", "--json").text)
    jsonschema.validate(report, schema("rules"))
    assert [
        (one["id"], one["group"], one["severity"], one["reason"])
        for one in sorted(report["rules"], key=lambda one: one["id"])
    ] == [(rule.id, rule.group, rule.severity, rule.reason) for rule in every]
    text = run_cli("lint", "--rules", columns=400).text
    assert all(f"  {rule.severity}: {rule.id}: {rule.reason}" in text.splitlines() for rule in every)


def test_the_listed_rules_are_those_that_are_selected() -> None:
    chosen = json.loads(
        run_cli("lint", "--rules", "--select", "unsafe", "--ignore", "external-*", "--json").text
    )["rules"]
    names = {rule.id for rule in unsafe_rules()}
    assert (
        {rule["id"] for rule in chosen}
        == {name for name in names if not name.startswith("external-")}
        < names
    )


def test_lint_without_a_path_says_what_it_needs(tmp_path: Path) -> None:
    result = run_cli("lint", "--select", "unsafe")
    assert (result.code, "lint needs a PATH" in result.err) == (2, True)
    assert run_cli("lint", "--rules", "-o", tmp_path / "rules.sarif").code == 2


def _hints() -> list[str]:
    """Return every command line of this program that help and remedies print."""
    examples = [
        line
        for name in COMMANDS
        for line in getattr(import_module(module_name(name)), "EXAMPLES", "").splitlines()
    ]
    remedies = [line for remedy in Remedy for line in remedy.value.code.splitlines()]
    return [line.strip() for line in (*examples, *remedies) if line.strip().startswith("modelinspect ")]


@pytest.mark.parametrize("hint", _hints())
def test_every_option_of_a_printed_command_exists(hint: str) -> None:
    first, *rest = hint.replace("{options}", "").split()[1:]
    name = first if first in COMMANDS else DEFAULT
    listed = run_cli(name, "--help", columns=100).text.replace(",", " ").split()
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= set(listed)
