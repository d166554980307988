"""SARIF output holds to the standard, and says what the report says."""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import modelinspect
from modelinspect.api import lint_all
from modelinspect.errors import ModelInspectError, UsageError
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.lint import LintReport
from tests.support.fixtures import fixture_names, fixture_path

SCHEMA = json.loads(
    (Path(__file__).parent / "data" / "sarif-written.schema.json").read_text(encoding="utf-8")
)
"""What the standard asks of the properties that are written.

The schema of OASIS states no terms for passing it on: it is not kept here. Where MODELINSPECT_SARIF_SCHEMA
names a copy, such as `sarif-2.1.0-rtm.4.json` in the source distribution of sarif-om 1.0.4, logs are checked
with it.
"""
_STANDARD = os.environ.get("MODELINSPECT_SARIF_SCHEMA")


def written(report: Any) -> dict[str, Any]:
    out = io.StringIO()
    render(report, OutputFormat.SARIF, out)
    made: dict[str, Any] = json.loads(out.getvalue())
    return made


def valid(log: dict[str, Any]) -> None:
    jsonschema.validators.validator_for(SCHEMA)(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(
        log
    )


def lint(name: str) -> LintReport:
    return modelinspect.lint(fixture_path(name))


@pytest.mark.parametrize("name", fixture_names(under="unsafe/"))
def test_the_log_has_the_structure_of_the_standard_and_every_finding(name: str) -> None:
    report = lint(name)
    log = written(report)
    valid(log)
    run = log["runs"][0]
    assert [(found["ruleId"], found["level"]) for found in run["results"]] == [
        (one.rule, one.severity) for one in report.findings
    ]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[found["ruleIndex"]]["id"] == found["ruleId"] for found in run["results"])
    assert all(rule["help"]["text"] for rule in rules)


@pytest.mark.skipif(_STANDARD is None, reason="MODELINSPECT_SARIF_SCHEMA names no schema of SARIF 2.1.0")
def test_logs_of_all_fixtures_are_valid_by_the_schema_of_the_standard() -> None:
    schema = json.loads(Path(_STANDARD or "").read_text(encoding="utf-8"))
    check = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    for name in fixture_names():
        with suppress(ModelInspectError):  # what is not a model has no log
            log = written(lint(name))
            assert [error.message for error in check.iter_errors(log)] == [], name


def test_a_result_points_at_the_bytes() -> None:
    log = written(lint("unsafe/lambda_keras3.keras"))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    data = fixture_path("unsafe/lambda_keras3.keras").read_bytes()
    begin, size = place["region"]["byteOffset"], place["region"]["byteLength"]
    assert re.fullmatch(rb'"[A-Za-z0-9+/=\\n]+"', data[begin : begin + size])
    assert place["artifactLocation"]["uri"] == fixture_path("unsafe/lambda_keras3.keras").as_uri()


def test_a_file_of_a_folder_is_named_within_it() -> None:
    log = written(lint("unsafe/lambda_savedmodel"))
    uris = {
        found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for found in log["runs"][0]["results"]
    }
    assert fixture_path("unsafe/lambda_savedmodel").as_uri() + "/keras_metadata.pb" in uris


def test_many_models_are_one_run_with_what_could_not_be_read(tmp_path: Path) -> None:
    """GitHub's code scanning takes 20 runs of a file at most, and one of a tool and a category."""
    names = ["unsafe/py_func.pb", "unsafe/lambda_keras3.keras"]
    (tmp_path / "broken.keras").write_bytes(b"PK")
    paths = [*map(fixture_path, names), tmp_path / "broken.keras"]
    every = lint_all([str(path) for path in paths])
    log = written(every)
    valid(log)
    (run,) = log["runs"]
    assert [found["ruleId"] for found in run["results"]] == [
        one.rule for report in every.reports for one in report.findings
    ]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[found["ruleIndex"]]["id"] == found["ruleId"] for found in run["results"])
    assert [one["location"]["uri"] for one in run["artifacts"]] == [path.as_uri() for path in paths[:2]]
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    (failure,) = invocation["toolExecutionNotifications"]
    assert failure["message"]["text"].count("broken.keras") == 1


def test_names_with_spaces_and_marks_become_uris(tmp_path: Path) -> None:
    path = tmp_path / "a b#ü?.pb"
    path.write_bytes(fixture_path("unsafe/py_func.pb").read_bytes())
    log = written(modelinspect.lint(path))
    valid(log)
    assert log["runs"][0]["artifacts"][0]["location"]["uri"].endswith("/a%20b%23%C3%BC%3F.pb")


def test_fingerprints_stay_the_same_and_differ_by_finding() -> None:
    first, second = (written(lint("unsafe/tar_slip.tar"))["runs"][0]["results"] for _ in range(2))
    prints = [found["partialFingerprints"]["modelinspect/v1"] for found in first]
    assert prints == [found["partialFingerprints"]["modelinspect/v1"] for found in second]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), "2.2.0"),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "results", 0, "rule"), "x"),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "artifactLocation", "uri"), "a b"),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "byteOffset"), -1),
        (("runs", 0, "invocations", 0), {}),
        (("runs", 0, "tool", "driver", "rules", 0, "id"), 7),
        (("runs", 0, "tool", "driver", "semanticVersion"), "one"),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[str | int, ...], value: object) -> None:
    log = written(lint("unsafe/py_func.pb"))
    valid(log)
    place: Any = log
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        valid(log)


def test_other_reports_are_refused() -> None:
    with pytest.raises(UsageError, match="lint only"):
        written(modelinspect.inspect(fixture_path("mlp/stripped.h5"), measure=False))
