"""The JSON of every report follows its schema and the contract, and its parts sum up."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema
import pytest

from modelinspect.analyses.regions import map_regions, reader
from modelinspect.analyses.summary import list_tensors, summarize
from modelinspect.core.artifact import Diagnostic, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.ledger.rollup import Key
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from modelinspect.reports.categories import CATEGORIES, Category
from modelinspect.reports.schemas import REPORTS, schema
from tests.support.artifacts import Build, pruned_network


def hostile() -> Build:
    build = Build(
        'a"b\\\x1b[31m\udc80.h5',
        facts={"nan": float("nan"), "deep": {"x": ((1, "\udcff"), None)}, "big": 2**80},
    )
    build.diagnostics.append(Diagnostic(Severity.ERROR, "bad\nline \udc81", build.location, None))
    build.region("a\n / \udc80", 5, RegionKind.UNATTRIBUTED)
    build.tensor("t\x00\udcfe", (2, 0), zeros=None)
    build.tensor("u", (), zeros=1, layer="\u202e")
    return build


def reports(build: Build) -> list[tuple[str, Report]]:
    artifact, measures = build.artifact(), build.measurements()
    return [
        ("inspect", summarize(artifact, measures)),
        ("inspect", summarize(artifact)),
        ("inspect", summarize(artifact, measures, [Key.LAYER, Key.PATH], 2)),
        ("tensors", list_tensors(artifact, measures)),
        ("tensors", list_tensors(artifact, None, 1)),
        ("map", map_regions(artifact)),
        ("map", map_regions(artifact, at=1) if artifact.size else map_regions(artifact)),
        ("map", map_regions(artifact, read=reader(build.files()))),
    ]


def closed(made: Any) -> Any:
    """Forbid keys that the schema does not name, so that a new key needs a new schema."""
    if isinstance(made, dict):
        made = {key: closed(value) for key, value in made.items()}
        if made.get("type") == "object" and "properties" in made:
            made.setdefault("additionalProperties", False)
        return made
    return [closed(item) for item in made] if isinstance(made, list) else made


@pytest.mark.parametrize("make", [pruned_network, hostile, Build])
def test_every_report_follows_its_schema(make: type[Build]) -> None:
    for name, report in reports(make()):
        jsonschema.validate(report.to_dict(), closed(schema(name)))


@pytest.mark.parametrize("make", [pruned_network, hostile, Build])
def test_what_is_written_reads_back_as_the_same_object(make: type[Build]) -> None:
    for _, report in reports(make()):
        out = io.StringIO()
        render(report, OutputFormat.JSON, out)
        assert json.loads(out.getvalue()) == report.to_dict()
        assert out.getvalue().isascii()


@pytest.mark.parametrize("name", REPORTS)
def test_every_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"].startswith("modelinspect.")


def test_the_inspect_report_has_the_keys_of_the_contract() -> None:
    report = summarize(pruned_network().artifact(), pruned_network().measurements()).to_dict()
    assert next(iter(report)) == "schema"
    assert report["schema"] == "modelinspect.inspect/1"
    assert report.keys() >= {"artifact", "categories", "tensors", "facts", "findings", "diagnostics"}
    assert report["artifact"].keys() >= {"location", "format", "size", "members"}
    assert report["artifact"]["members"][0].keys() >= {"name", "size", "regions"}
    assert list(report["categories"]) == [
        str(category) for category in CATEGORIES if category is not Category.COMPILED
    ]
    assert report["findings"][0].keys() >= {"rule", "severity", "message", "bytes", "remedy"}


def test_the_categories_are_those_of_the_contract_in_its_order() -> None:
    assert (
        " ".join(CATEGORIES)
        == "graph metadata dense-weights zero-weights compressed-weights sparse-values sparse-index"
        " quantization optimizer-state pruning-state compiled assets debug container free unattributed"
    )


def test_a_diagnostic_without_a_place_has_a_null_offset() -> None:
    assert summarize(hostile().artifact()).to_dict()["diagnostics"][0]["offset"] is None
