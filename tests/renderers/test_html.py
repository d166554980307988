"""A page is one file: its policy lets nothing else in, its data is data, and its names are harmless."""

from __future__ import annotations

import ast
import base64
import gzip
import hashlib
import html
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import modelinspect
from modelinspect.analyses import pictures
from modelinspect.analyses.pictures import draw
from modelinspect.analyses.regions import map_regions, reader
from modelinspect.analyses.summary import list_tensors, summarize, zero_counts
from modelinspect.core.bytemap import RegionKind
from modelinspect.ledger.attribution import attribute
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from modelinspect.reports.categories import CATEGORIES, Category
from modelinspect.reports.inspect import InspectReport, with_pictures
from modelinspect.reports.pictures import Comparison, Ribbon, Steps, Tree
from modelinspect.version import VERSION
from tests.support.artifacts import Build, pruned_network
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "a\x1b[31m\x00b",
    "\u202etxt.exe",
    "<!--",
    "{{7*7}}${7*7}",
    "\u2028']];//",
)


class Reading(HTMLParser):
    """The elements of a page: scripts with their types and texts, and everything that could load
    something.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self._type: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.links += [
            value
            for name, value in values.items()
            if name in ("src", "href", "action", "data") and not value.startswith("#")
        ]
        self.handlers += [name for name in values if name.startswith("on")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if tag == "script":
            self._type = values.get("type", "")
            self.scripts.append((self._type, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._type = None

    def handle_data(self, data: str) -> None:
        if self._type is not None:
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)

    @property
    def data(self) -> dict[str, object]:
        return json.loads(next(text for kind, text in self.scripts if kind == "application/json"))


def page(report: Report) -> str:
    out = io.StringIO()
    render(report, OutputFormat.HTML, out)
    return out.getvalue()


def hostile() -> Build:
    build = Build("<script>alert(0)</script>.h5")
    for index, name in enumerate(HOSTILE):
        build.tensor(name, (4, 4 + index), layer=name, zeros=3)
        build.region(f"{name} / header", 16, RegionKind.CONTAINER)
    return build


def drawn(build: Build) -> InspectReport:
    artifact, measurements = build.artifact(), build.measurements()
    return with_pictures(summarize(artifact, measurements), draw(artifact, zero_counts(measurements)))


def unpacked(text: str) -> bytes:
    return gzip.decompress(base64.b64decode(text))


def part(read: Reading, type: str) -> dict[str, object]:
    parts = read.data["parts"]
    assert isinstance(parts, list)
    return next(one for one in parts if one["type"] == type)


def test_a_page_loads_nothing_and_runs_only_the_scripts_whose_hashes_it_names() -> None:
    read = Reading(page(drawn(pruned_network())))
    assert read.links == []
    assert read.handlers == []
    assert read.tags.isdisjoint({"link", "img", "iframe", "object", "base", "form"})
    rules = dict(rule.strip().split(" ", 1) for rule in read.policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    assert "connect-src" not in rules  # so the default holds: none
    run = [text for kind, text in read.scripts if kind == ""]
    named = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run}
    assert set(rules["script-src"].split()) == named
    assert "<script" not in run[0]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_and_nothing_of_it_is_markup(name: str) -> None:
    written = page(drawn(hostile()))
    assert name not in written or "<" not in name
    read = Reading(written)
    assert [kind for kind, _ in read.scripts] == ["application/json", ""]
    assert not re.search(r"[<>&\u2028\u2029]", read.scripts[0][1])
    table = part(read, "table")
    from modelinspect.renderers.escape import plain

    assert plain(name) in table["cells"][0]  # type: ignore[index]
    names = json.loads(unpacked(str(part(read, "ribbon")["names"])))
    assert plain(name) in names["tensors"]
    assert not re.search("[\x00-\x1f\u202e]", "".join(names["tensors"] + names["paths"]))


def test_every_report_there_is_makes_a_page() -> None:
    build = pruned_network()
    artifact = build.artifact()
    reports: list[Report] = [
        drawn(build),
        list_tensors(artifact),
        map_regions(artifact, read=reader(build.files()), size=900),
        map_regions(artifact, at=700),
    ]
    for report in reports:
        parts = Reading(page(report)).data["parts"]
        assert isinstance(parts, list)
        assert parts


def test_the_same_report_gives_the_same_page() -> None:
    assert page(drawn(pruned_network())) == page(drawn(pruned_network()))


def test_a_page_is_ascii_so_that_no_encoding_of_the_output_breaks_its_hashes() -> None:
    build = Build("Größe 層.h5")
    build.tensor("層/kernel", (2, 2))
    written = page(drawn(build))
    assert written.isascii()
    assert "Gr&#246;&#223;e" in written
    assert "\\u5c64/kernel" in written


def test_pictures_are_in_no_json() -> None:
    build = pruned_network()
    assert drawn(build).to_dict() == summarize(build.artifact(), build.measurements()).to_dict()


def test_the_ribbon_holds_every_byte_at_its_place_in_its_category() -> None:
    build = pruned_network()
    artifact = build.artifact()
    ribbon = draw(artifact, zero_counts(build.measurements())).ribbon
    sizes, zeros = np.frombuffer(ribbon.sizes, "<f8"), np.frombuffer(ribbon.zeros, "<f8")
    categories = np.frombuffer(ribbon.categories, "u1")
    regions = [region for member in artifact.members for region in member.map]
    assert sizes.tolist() == [region.span.size for region in regions]
    told = attribute(artifact, zero_counts(build.measurements())).category_sizes()
    for category in CATEGORIES:
        expected = (
            zeros.sum()
            if category is Category.ZERO_WEIGHTS
            else (sizes - zeros)[categories == category.code].sum()
        )
        assert told[category] == expected
    parents, names = np.frombuffer(ribbon.path_parents, "<i4"), ribbon.path_names
    for place, region in zip(np.frombuffer(ribbon.paths, "<i4").tolist(), regions, strict=True):
        parts: list[str] = []
        while place:
            parts.insert(0, names[place])
            place = parents[place]
        assert tuple(parts) == region.path


def test_too_many_regions_are_drawn_as_fewer_and_the_large_ones_keep_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = Build()
    for index in range(400):
        build.region(f"part {index} / a", 3, RegionKind.METADATA)
        build.region(f"part {index} / b", 5, RegionKind.FREE)
        if index % 50 == 0:
            build.region(f"large {index}", 4_000, RegionKind.GRAPH)
    monkeypatch.setattr(pictures, "MOST_RUNS", 15 * 20)
    artifact = build.artifact()
    ribbon = draw(artifact).ribbon
    sizes, counts = np.frombuffer(ribbon.sizes, "<f8"), np.frombuffer(ribbon.counts, "<i4")
    assert len(sizes) < 150
    assert sizes.sum() == artifact.size
    assert counts.sum() == 808
    starts = np.cumsum(sizes) - sizes
    large = [region.span.offset for region in artifact.members[0].map if region.kind is RegionKind.GRAPH]
    assert starts[np.frombuffer(ribbon.categories, "u1") == Category.GRAPH.code].tolist() == large
    assert ribbon.files == ((artifact.members[0].name, artifact.size, len(sizes)),)


def test_every_node_of_the_tree_is_the_sum_of_those_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (1_500, 12):
        monkeypatch.setattr(pictures, "MOST_NODES", most)
        build = pruned_network()
        tree = draw(build.artifact(), zero_counts(build.measurements())).tree
        below = [0] * len(tree.sizes)
        for parent, size in zip(tree.parents, tree.sizes, strict=True):
            if parent >= 0:
                below[parent] += size
        assert tree.sizes[0] == build.artifact().size
        assert all(not total or total == size for total, size in zip(below, tree.sizes, strict=True))
        assert all(parent < place for place, parent in enumerate(tree.parents))
    assert any("smaller" in label for label in tree.labels)


def test_a_diff_draws_the_way_from_one_size_to_the_other() -> None:
    report = modelinspect.diff(fixture_path("mlp/original.h5"), fixture_path("mlp/stripped.h5"))
    (steps,) = report.pictures()
    assert isinstance(steps, Steps)
    assert steps.end - steps.start == sum(step.delta for step in steps.steps) == report.delta


def test_numbers_that_a_script_cannot_hold_are_text() -> None:
    build = Build()
    build.tensor("huge", (2**31, 2**31), dtype="int8", pieces=(8,))
    table = part(Reading(page(summarize(build.artifact()))), "table")
    assert f"{2**62:,}" in [cell for column in table["cells"] for cell in column]  # type: ignore[attr-defined]


def test_a_report_in_a_notebook_is_the_same_page_in_a_frame_of_its_own() -> None:
    report = modelinspect.inspect(fixture_path("mlp/stripped.h5"))
    shown = report._repr_html_()
    assert shown is not None
    assert shown.startswith(
        '<iframe title="modelinspect report" class="modelinspect" sandbox="allow-scripts allow-downloads"'
        ' srcdoc="'
    )
    assert shown.count("<iframe") == shown.count("<script") == 1
    frame: list[dict[str, str | None]] = []
    reading = HTMLParser()
    reading.handle_starttag = lambda tag, attrs: frame.append(dict(attrs))  # type: ignore[method-assign]
    reading.feed(shown)
    inner = Reading(frame[0]["srcdoc"] or "")
    assert {"ribbon", "tree", "bars", "table"} <= {one["type"] for one in inner.data["parts"]}  # type: ignore[attr-defined]


def test_a_notebook_shows_a_report_whose_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(fixture_path("mlp/stripped.h5").read_bytes())
    report = modelinspect.inspect(path)
    path.unlink()
    shown = report._repr_html_()
    assert shown is not None
    assert "ribbon-part" in shown  # the script is there
    assert "&quot;type&quot;:&quot;bars&quot;" in shown
    assert "&quot;type&quot;:&quot;ribbon&quot;" not in shown


def test_a_page_needs_no_package_that_an_install_without_extras_lacks() -> None:
    from modelinspect.renderers import registry

    assert OutputFormat.HTML not in registry._EXTRAS
    code = "import sys, io, modelinspect; from modelinspect.renderers.registry import *; "
    code += (
        f"r = modelinspect.inspect({str(fixture_path('mlp/stripped.h5'))!r}, pictures=True); before ="
        " set(sys.modules); "
    )
    code += (
        "render(r, OutputFormat.HTML, io.StringIO()); print(sorted({m.split('.')[0] for m in set(sys.modules)"
        " - before}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    installed = {re.split("[^a-z]", one)[0] for one in project["dependencies"]}
    assert set(ast.literal_eval(ran.stdout)) - set(sys.stdlib_module_names) - {"modelinspect"} <= installed


def test_findings_come_before_bars_and_pictures() -> None:
    report = modelinspect.inspect(fixture_path("mlp/wrapped.h5"), pictures=True)
    types = [one["type"] for one in Reading(page(report)).data["parts"]]  # type: ignore[attr-defined]
    assert (
        types.index("notes")
        < types.index("bars")
        < types.index("ribbon")
        < types.index("tree")
        < types.index("table")
    )


def test_the_answer_comes_before_pictures_also_where_the_sizes_are_equal(tmp_path: Path) -> None:
    before = fixture_path("mlp/stripped.h5")
    after = tmp_path / "after.h5"
    after.write_bytes(before.read_bytes())
    report = modelinspect.explain(before, after, pictures=True)
    types = [one["type"] for one in Reading(page(report)).data["parts"]]  # type: ignore[attr-defined]
    assert "steps" not in types
    assert types[:2] == ["heading", "lines"]
    assert types.index("notes") < types.index("compare")


def test_the_footer_names_the_version_and_the_command(tmp_path: Path) -> None:
    name = "<b>&'model.h5"
    (tmp_path / name).write_bytes(fixture_path("mlp/stripped.h5").read_bytes())
    assert run_cli("inspect", name, "-o", "page.html", cwd=tmp_path).code == 0
    footer = re.search("<footer>(.*)</footer>", (tmp_path / "page.html").read_text())
    assert footer is not None
    assert f"modelinspect {VERSION}" in footer[1]
    command = re.search("<code>(.*)</code>", footer[1])
    assert command is not None
    assert "<" not in command[1]
    assert shlex.split(html.unescape(command[1])) == ["modelinspect", "inspect", name, "-o", "page.html"]


def test_a_page_of_a_small_model_is_under_a_megabyte_and_one_of_a_large_network_under_three() -> None:
    assert len(page(modelinspect.inspect(fixture_path("mlp/wrapped.h5"), pictures=True))) < 1 << 20
    build = Build("large.h5")
    for index in range(1_600):  # EfficientNetB7 has 1,587 variables
        build.tensor(
            f"block{index % 55}_{index}/depthwise_kernel",
            (3, 3, 4 + index % 7, 1),
            layer=f"block{index % 55}",
            zeros=index % 9,
        )
        for part in range(20):
            build.region(
                f"/model_weights/block{index % 55}/object header {part}", 16 + part, RegionKind.CONTAINER
            )
    assert len(page(drawn(build))) < 3 << 20


@pytest.mark.parametrize(
    ("before", "after"),
    [("original.h5", "wrapped.h5"), ("wrapped.h5", "stripped.h5"), ("original.h5", "original.h5")],
)
def test_two_trees_side_by_side_hold_every_byte_and_what_moved_sums_to_the_difference(
    before: str, after: str
) -> None:
    report = modelinspect.explain(
        fixture_path(f"mlp/{before}"), fixture_path(f"mlp/{after}"), pictures=True, compressors=False
    )
    (picture,) = report.pictures()
    assert isinstance(picture, Comparison)
    things = picture.counterparts
    for tree, keys, sizes, size in (
        (picture.before, picture.before_keys, things.before, fixture_path(f"mlp/{before}").stat().st_size),
        (picture.after, picture.after_keys, things.after, fixture_path(f"mlp/{after}").stat().st_size),
    ):
        assert tree.sizes[0] == size
        assert sum(one for one, leaf in zip(sizes, things.leaf, strict=True) if leaf) == size
        per_key: dict[int, int] = {}
        for node, key in enumerate(keys):
            if key >= 0:
                per_key[key] = per_key.get(key, 0) + tree.sizes[node]
        assert all(total == sizes[key] for key, total in per_key.items())
    moved = [
        new - old for old, new, leaf in zip(things.before, things.after, things.leaf, strict=True) if leaf
    ]
    assert sum(moved) == report.delta
    plain_report = modelinspect.explain(
        fixture_path(f"mlp/{before}"), fixture_path(f"mlp/{after}"), compressors=False
    )
    assert report.to_dict() == plain_report.to_dict()


def test_commands_write_pages(tmp_path: Path) -> None:
    before, after = fixture_path("mlp/original.h5"), fixture_path("mlp/stripped.h5")
    for arguments in (
        ("inspect", after),
        ("diff", before, after),
        ("explain", before, after),
        ("map", after),
        ("tensors", after),
    ):
        ran = run_cli(*arguments, "--format", "html", "-o", tmp_path / f"{arguments[0]}.html")
        assert (ran.code, ran.err) == (0, "")
    types = {
        name: {one["type"] for one in Reading((tmp_path / f"{name}.html").read_text()).data["parts"]}
        for name in ("inspect", "diff", "explain", "map")
    }  # type: ignore[attr-defined]
    assert {"ribbon", "tree"} <= types["inspect"]
    assert "steps" in types["diff"]
    assert {"steps", "notes", "compare"} <= types["explain"]
    assert {"ribbon", "table"} <= types["map"]
    assert "tree" not in types["map"]


def test_a_report_knows_its_pictures_by_type() -> None:
    ribbon, tree = drawn(pruned_network()).pictures()
    assert isinstance(ribbon, Ribbon)
    assert isinstance(tree, Tree)
    assert list(summarize(pruned_network().artifact()).pictures()) == []
