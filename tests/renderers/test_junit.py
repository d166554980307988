"""JUnit output parses, and has a test for each limit."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest

import modelinspect
from modelinspect.errors import UsageError
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from modelinspect.reports.check import CheckEntry, CheckReport, LockEntry
from modelinspect.reports.entries import ArtifactEntry
from tests.support.fixtures import fixture_path


def written(report: Report) -> ElementTree.Element:
    out = io.StringIO()
    render(report, OutputFormat.JUNIT, out)
    assert out.getvalue().startswith('<?xml version="1.0" encoding="utf-8"?>\n')
    return ElementTree.fromstring(out.getvalue().encode())


def test_each_limit_is_a_test_and_an_exceeded_one_a_failure() -> None:
    report = modelinspect.check(
        fixture_path("mlp/stripped.h5"), {"size": 10, "efficiency": 0.01, "categories": {"graph": "50 %"}}
    )
    suite = written(report)[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    cases = {case.get("name"): case for case in suite}
    failure = cases["size"].find("failure")
    assert failure is not None
    assert "25,646 bytes (25.0 KiB) over the limit of 10" in (failure.get("message") or "")
    assert [name for name, case in cases.items() if case.find("failure") is None] == [
        "category graph",
        "efficiency",
    ]


def test_names_from_files_cannot_break_the_xml() -> None:
    hostile = 'a"<&>\x00\x1b[31m\udc80\uffff]]>'
    entry = CheckEntry(
        check="layer", subject=hostile, unit="bytes", actual=1, limit=0, ok=False, message=hostile
    )
    artifact = ArtifactEntry(location=hostile, format="tflite", size=1, members=())
    report = CheckReport(
        artifact=artifact,
        budget="b",
        passed=False,
        checks=(entry,),
        lock=LockEntry(size=1, categories={}, compressed={}),
    )
    case = written(report)[0][0]
    assert 'a"<&>' in (case.get("name") or "")
    assert "\\udc80" in (case[0].text or "")


def test_other_reports_are_refused() -> None:
    with pytest.raises(UsageError, match="check only"):
        written(modelinspect.inspect(fixture_path("mlp/stripped.h5"), measure=False))


def test_the_xml_reads_as_utf_8_from_a_file(tmp_path: Path) -> None:
    report = modelinspect.check(fixture_path("mlp/stripped.h5"), {"layers": {"ü*": 1}})
    out = io.StringIO()
    render(report, OutputFormat.JUNIT, out)
    (tmp_path / "j.xml").write_text(out.getvalue(), encoding="utf-8")
    assert ElementTree.parse(tmp_path / "j.xml").getroot()[0][0].get("name") == "layer ü*"
