"""Commands over several paths."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from modelinspect.reports.schemas import schema
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

ORIGINAL, STRIPPED = fixture_path("mlp/original.h5"), fixture_path("mlp/stripped.h5")


def budget(folder: Path, text: str) -> Path:
    path = folder / "budget.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("command", [("inspect",), (), ("tensors",)])
def test_reports_follow_one_another_in_the_order_of_the_paths(command: tuple[str, ...]) -> None:
    both = run_cli(*command, STRIPPED, ORIGINAL)
    assert (both.code, both.err) == (0, "")
    assert both.text == run_cli(*command, STRIPPED).text + "\n" + run_cli(*command, ORIGINAL).text


@pytest.mark.parametrize("command", ["inspect", "tensors"])
def test_json_has_the_report_of_each_path(command: str) -> None:
    both = json.loads(run_cli(command, STRIPPED, ORIGINAL, "--json").text)
    jsonschema.validate(both, schema(f"{command}-all"))
    assert both["schema"] == f"modelinspect.{command}-all/1"
    assert both["reports"] == [
        json.loads(run_cli(command, path, "--json").text) for path in (STRIPPED, ORIGINAL)
    ]
    assert both["failed"] == []


@pytest.mark.parametrize("command", ["inspect", "tensors"])
def test_a_table_names_the_location_of_each_row(command: str) -> None:
    rows = list(csv.reader(io.StringIO(run_cli(command, STRIPPED, ORIGINAL, "-f", "csv").text)))
    expected = []
    for path in (STRIPPED, ORIGINAL):
        head, *own = csv.reader(io.StringIO(run_cli(command, path, "-f", "csv").text))
        expected += [[str(path), *row] for row in own]
    assert rows == [["location", *head], *expected]


@pytest.mark.parametrize("command", ["inspect", "tensors"])
def test_a_path_that_cannot_be_inspected_does_not_stop_the_others(command: str, tmp_path: Path) -> None:
    result = run_cli(command, tmp_path / "gone.h5", ORIGINAL, "--json")
    assert result.code == 3
    assert "1 of 2 paths could not be inspected" in result.err
    report = json.loads(result.text)
    assert [one["artifact"]["location"] for one in report["reports"]] == [str(ORIGINAL)]
    assert [one["location"] for one in report["failed"]] == [str(tmp_path / "gone.h5")]


def test_a_damaged_file_among_others_is_exit_code_3(tmp_path: Path) -> None:
    damaged = tmp_path / "cut.h5"
    damaged.write_bytes(ORIGINAL.read_bytes()[:20_000])
    alone = run_cli("inspect", damaged)
    result = run_cli("inspect", ORIGINAL, damaged)
    assert result.code == alone.code == 3
    assert str(ORIGINAL) in result.text
    assert str(damaged) in result.text + result.err


def test_a_folder_of_several_models_is_listed_as_not_inspected(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        (tmp_path / name).write_bytes(STRIPPED.read_bytes())
    report = json.loads(run_cli("inspect", tmp_path, ORIGINAL, "--json").text)
    assert len(report["reports"]) == 1
    assert "holds 2 models: a.h5, b.h5; choose one with --model NAME" in report["failed"][0]["problem"]


def test_options_about_one_path_are_refused_for_several(tmp_path: Path) -> None:
    for options in (("--model", "x"), ("--format", "model-explorer")):
        result = run_cli("tensors", ORIGINAL, STRIPPED, *options)
        assert (result.code, "of one PATH, and there are 2" in result.err) == (2, True)


def test_no_input_is_replaced_by_the_report(tmp_path: Path) -> None:
    copy = tmp_path / "copy.h5"
    copy.write_bytes(STRIPPED.read_bytes())
    for command in ("inspect", "lint", "diff", "explain"):
        result = run_cli(command, ORIGINAL, copy, "-o", copy, "--force")
        assert (result.code, "is the artifact itself" in result.err) == (2, True)
    assert copy.read_bytes() == STRIPPED.read_bytes()


@pytest.mark.parametrize(("size", "code"), [("1 MiB", 0), ("40 kB", 1)])
def test_check_holds_each_path_to_the_budget(size: str, code: int, tmp_path: Path) -> None:
    limits = budget(tmp_path, f'size = "{size}"\n')
    assert STRIPPED.stat().st_size < 40_000 < ORIGINAL.stat().st_size
    result = run_cli("check", STRIPPED, ORIGINAL, "-b", limits, "--json")
    report = json.loads(result.text)
    jsonschema.validate(report, schema("check-all"))
    assert (result.code, report["passed"]) == (code, code == 0)
    assert [one["passed"] for one in report["reports"]] == [True, code == 0]


def test_a_check_that_could_not_be_made_is_worse_than_one_that_failed(tmp_path: Path) -> None:
    limits = budget(tmp_path, "size = 1\n")
    result = run_cli("check", STRIPPED, tmp_path / "gone.h5", "-b", limits, "-f", "junit")
    assert result.code == 3
    suites = ElementTree.fromstring(result.text)
    assert {name: suites.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "2",
        "failures": "1",
        "errors": "1",
    }
    assert [suite.get("name") for suite in suites] == [str(STRIPPED), str(tmp_path / "gone.h5")]
    assert suites[1].find("testcase/error") is not None


@pytest.mark.parametrize("options", [(), ("--update-lock",)])
def test_several_paths_do_not_share_the_lock_of_one(options: tuple[str, ...], tmp_path: Path) -> None:
    limits = budget(tmp_path, '[growth]\nsize = "1 KiB"\n')
    result = run_cli("check", STRIPPED, ORIGINAL, "-b", limits, *options)
    assert (result.code, "the lock of one model" in result.err) == (2, True)
    assert not (tmp_path / "budget.lock").exists()
