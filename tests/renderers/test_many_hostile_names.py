"""Two thousand hostile names go through every form, and each form is read back by somebody else's reader."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from markdown_it import MarkdownIt

from modelinspect.analyses.pictures import draw
from modelinspect.analyses.regions import map_regions
from modelinspect.analyses.summary import list_tensors, summarize
from modelinspect.core.artifact import FormatName
from modelinspect.renderers.html.page import page
from modelinspect.renderers.look import Look
from modelinspect.renderers.registry import OutputFormat, render, render_bytes
from modelinspect.reports.base import Report
from modelinspect.reports.check import CheckEntry, CheckReport, LockEntry
from modelinspect.reports.entries import artifact_entry
from modelinspect.reports.inspect import InspectReport, with_pictures
from modelinspect.reports.lint import LintFinding, LintReport, RuleEntry
from tests.support.artifacts import Build

COUNT = 2_000
PIECES = (
    *(
        "<script>alert(1)</script>",
        "</script>",
        "<!--",
        "]]>",
        "&amp;",
        "&#60;",
        "<img src=x onerror=alert(1)>",
    ),
    *(
        '"',
        "'",
        "`",
        "```",
        "``",
        "|",
        "\\",
        "\\u202e",
        "\u202e",
        "\u2028",
        "\u2029",
        "\u200b",
        "\x00",
        "\x1b[2J",
        "\x1b]0;t\x07",
    ),
    *(
        "\x7f",
        "\x85",
        "\r",
        "\n",
        "\r\n",
        "\t",
        "=1+1",
        "+1",
        "-1",
        "@SUM(1)",
        "\uff1d1",
        "%00",
        "${7*7}",
        "{{7*7}}",
        "$(id)",
        ";rm",
    ),
    *(
        "[a](javascript:1)",
        "![a](http://x)",
        "@everyone",
        "\ud800",
        "\udcff",
        "\U0001f600",
        "e\u0301",
        "\u5c64",
        "\ufffe",
        "\uffff",
    ),
    *("#", "* ", "- ", "> ", "~~", "__", "a" * 300, " ", "/", "0x1f"),
)


def names() -> list[str]:
    choose = random.Random(17)
    return [f"{''.join(choose.choices(PIECES, k=choose.randint(1, 4)))}{index}" for index in range(COUNT)]


@pytest.fixture(scope="module")
def build() -> Build:
    build = Build("<b>`|\x1b.tflite", format=FormatName.TFLITE)
    for index, name in enumerate(names()):
        build.tensor(name, (2, 2), layer=name, zeros=index % 4)
    return build


@pytest.fixture(scope="module")
def report(build: Build) -> InspectReport:
    return with_pictures(summarize(build.artifact(), build.measurements()), draw(build.artifact()))


def written(report: Report, form: OutputFormat) -> str:
    out = io.StringIO(newline="")
    render(report, form, out, Look(top=COUNT))
    return out.getvalue()


def test_json_has_every_name(report: InspectReport) -> None:
    assert [one["name"] for one in json.loads(written(report, OutputFormat.JSON))["tensors"]] == [
        json.loads(json.dumps(name)) for name in names()
    ]


def test_terminals_and_csv_get_no_control_character(build: Build) -> None:
    tensors = list_tensors(build.artifact(), build.measurements())
    for form in (OutputFormat.TERMINAL, OutputFormat.CSV):
        text = written(tensors, form)
        text.encode()
        assert all(mark.isprintable() or mark in "\n\u2028" for mark in text)
        assert len(text.splitlines()) >= COUNT
    rows = list(csv.reader(io.StringIO(written(tensors, OutputFormat.CSV))))
    assert len(rows) == COUNT + 1
    assert not any(cell.startswith(("=", "+", "-", "@", "\uff1d")) for row in rows for cell in row)


def test_markdown_renders_to_tables_without_any_markup_of_a_name(build: Build) -> None:
    text = written(list_tensors(build.artifact(), build.measurements()), OutputFormat.MARKDOWN)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    tags = set(re.findall(r"</?([a-zA-Z!][^\s>]*)", html))
    assert tags <= {
        "h2",
        "h3",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "strong",
        "em",
        "ul",
        "li",
    }
    assert html.count("<tr>") >= COUNT
    assert "href" not in re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)


def test_a_page_has_every_name_as_data_only(report: InspectReport) -> None:
    text = page(report)
    assert text.isascii()
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 2
    assert (
        len(
            re.findall(
                r"<(?:script|img|iframe|svg)", re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.DOTALL)
            )
        )
        == 0
    )
    json.loads(scripts[0])


def test_junit_is_xml_with_a_test_for_each(build: Build) -> None:
    checks = tuple(
        CheckEntry(
            check="layer", subject=name, unit="bytes", actual=2, limit=1, ok=index % 2 == 0, message=name
        )
        for index, name in enumerate(names())
    )
    lock = LockEntry(size=1, categories={}, compressed={})
    made = CheckReport(
        artifact=artifact_entry(build.artifact()), budget="b", passed=False, checks=checks, lock=lock
    )
    root = ElementTree.fromstring(written(made, OutputFormat.JUNIT).encode())
    assert len(root.findall("testsuite/testcase")) == COUNT
    assert len(root.findall("testsuite/testcase/failure")) == COUNT // 2


def test_sarif_follows_its_schema(build: Build) -> None:
    rule = RuleEntry(id="lambda-code", group="unsafe", severity="error", reason="r", remedy="")
    findings = tuple(
        LintFinding(
            rule=rule.id,
            severity="error",
            message=name,
            member=build.artifact().members[0].name,
            offset=0,
            size=1,
            bytes=1,
            remedy="",
        )
        for name in names()
    )
    entry = artifact_entry(build.artifact())
    made = LintReport(
        artifact=entry, measured=True, counts={}, findings=findings, rules=(rule,), diagnostics=()
    )
    log = json.loads(written(made, OutputFormat.SARIF))
    schema = json.loads((Path(__file__).parent / "data/sarif-written.schema.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(log)
    assert len(log["runs"][0]["results"]) == COUNT


def test_graph_viewers_and_hex_editors_get_json_that_is_unicode(build: Build) -> None:
    tensors = list_tensors(build.artifact(), build.measurements())
    for form in (OutputFormat.MODEL_EXPLORER, OutputFormat.NETRON):
        json.dumps(json.loads(written(tensors, form)), ensure_ascii=False).encode()
    assert len(json.loads(written(tensors, OutputFormat.MODEL_EXPLORER))["results"]) == COUNT
    marks = json.loads(written(map_regions(build.artifact()), OutputFormat.IMHEX))["bookmarks"]
    json.dumps(marks, ensure_ascii=False).encode()
    assert sum(mark["region"]["size"] for mark in marks) == build.artifact().size


def test_arrow_and_parquet_hold_a_row_for_each(build: Build) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    tensors = list_tensors(build.artifact(), build.measurements())
    out = io.BytesIO()
    render_bytes(tensors, OutputFormat.PARQUET, out)
    assert pyarrow.read_table(io.BytesIO(out.getvalue())).num_rows == COUNT
    assert tensors.to_arrow().num_rows == COUNT
