"""Markdown and CSV say the same as the report, and names from files stay names."""

from __future__ import annotations

import csv
import io
import re

import pytest

from modelinspect.analyses.regions import map_regions, reader
from modelinspect.analyses.summary import list_tensors, summarize
from modelinspect.ledger.rollup import Key
from modelinspect.renderers.escape import plain
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from tests.support.artifacts import Build, pruned_network
from tests.support.golden import Golden

_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")


def written(report: Report, format: OutputFormat) -> str:
    out = io.StringIO()
    render(report, format, out)
    return out.getvalue()


def rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(report, OutputFormat.CSV))))


def test_the_categories_in_csv_sum_to_the_size() -> None:
    build = pruned_network()
    found = rows(summarize(build.artifact(), build.measurements()))
    assert len(found) == 15
    assert sum(int(row["size"]) for row in found) == build.artifact().size


def test_a_rollup_in_csv_has_a_column_for_each_key() -> None:
    build = pruned_network()
    found = rows(summarize(build.artifact(), build.measurements(), [Key.LAYER, Key.CATEGORY]))
    assert {"layer": "dense", "category": "zero-weights", "size": "4096", "share": "0.093271"} in found
    assert sum(int(row["size"]) for row in found) == build.artifact().size


def test_tensors_in_csv_have_every_column_and_nothing_where_nothing_was_measured() -> None:
    build = pruned_network()
    found = {row["name"]: row for row in rows(list_tensors(build.artifact(), build.measurements()))}
    assert len(found) == 12
    assert found["dense/prune_low_magnitude_dense/kernel:0"] == {
        "name": "dense/prune_low_magnitude_dense/kernel:0",
        "path": "dense/prune_low_magnitude_dense/kernel:0",
        "layer": "dense",
        "role": "weight",
        "dtype": "float32",
        "shape": "10x128",
        "storage": "dense",
        "stored_size": "5120",
        "logical_size": "5120",
        "element_count": "1280",
        "zero_count": "1024",
        "zero_share": "0.800000",
        "negative_zero_count": "512",
    }
    assert found["optimizer_weights/Adam/m/dense/kernel:0"]["zero_count"] == ""


def test_regions_in_csv_tile_the_file() -> None:
    end = 0
    for row in rows(map_regions(pruned_network().artifact())):
        assert int(row["offset"]) == end
        end += int(row["size"])
    assert end == pruned_network().artifact().size


def test_names_with_line_ends_and_quotes_come_back_from_csv() -> None:
    build = Build()
    build.tensor('a"b,c\r\nd', (1,))
    shown = rows(list_tensors(build.artifact()))[0]["name"]
    assert shown == 'a"b,c\\x0d\\x0ad'  # control characters are shown
    raw = list(
        csv.DictReader(io.StringIO(written(list_tensors(build.artifact()), OutputFormat.CSV_RAW), newline=""))
    )
    assert raw[0]["name"] == 'a"b,c\r\nd'


@pytest.mark.parametrize(
    "name",
    [
        "a|b",
        "`x`",
        "``y` z``",
        "<script>alert(1)</script>",
        "[x](http://evil)",
        "a\nb",
        "@team",
        "**b**",
        "\x1b[31m",
    ],
)
def test_names_stay_names_in_markdown(name: str) -> None:
    build = Build("model.h5")
    build.tensor(name, (100, 100))
    lines = written(list_tensors(build.artifact()), OutputFormat.MARKDOWN).splitlines()
    header, _, row = lines[-3:]
    cells, titles = _UNESCAPED_PIPE.split(row), _UNESCAPED_PIPE.split(header)
    assert len(cells) == len(titles)
    span = cells[1].strip()
    fence = len(span) - len(span.lstrip("`"))
    assert fence
    assert span[fence:-fence].strip().replace("\\|", "|") == plain(name)
    assert f"{'`' * fence}{name}" not in name


@pytest.mark.parametrize("name", ["inspect", "by", "tensors", "map", "hex"])
def test_markdown_looks_as_it_was_reviewed(name: str, golden: Golden) -> None:
    build = pruned_network()
    artifact, measures = build.artifact(), build.measurements()
    made: dict[str, Report] = {
        "inspect": summarize(artifact, measures),
        "by": summarize(artifact, measures, [Key.LAYER], 2),
        "tensors": list_tensors(artifact, measures, 3),
        "map": map_regions(artifact, offset=0, size=2_000),
        "hex": map_regions(artifact, at=100, read=reader(build.files())),
    }
    golden.check(f"{name}.md", written(made[name], OutputFormat.MARKDOWN))
