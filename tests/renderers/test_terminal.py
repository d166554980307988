"""What a terminal shows fits it, adds up, and cannot be steered by names from files."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from modelinspect.analyses.regions import map_regions, reader
from modelinspect.analyses.summary import list_tensors, summarize
from modelinspect.core.artifact import Diagnostic, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.ledger.rollup import Key
from modelinspect.renderers.escape import plain
from modelinspect.renderers.look import Look
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import Commands
from tests.support.artifacts import Build, pruned_network
from tests.support.golden import Golden

_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


def hostile() -> Build:
    build = Build("x\x1b]0;owned\x07.h5")
    build.diagnostics.append(Diagnostic(Severity.WARNING, "bad name \x1b[2J\r\n in header", "x\x1b[31m", 7))
    build.region("evil \x1b[31m / \u202etxt.exe", 600, RegionKind.FREE, data=b"\x1b[31mA" * 100)
    build.tensor("名前" * 40, (3, 3), zeros=9, negative=9, layer="層")
    build.tensor("a\nb\tc\x9b31m", (300, 300), zeros=80_000, negative=70_000)
    return build


def reports(build: Build) -> dict[str, Report]:
    artifact, measures = build.artifact(), build.measurements()
    return {
        "inspect": summarize(artifact, measures),
        "no-measure": summarize(artifact),
        "by": summarize(artifact, measures, [Key.LAYER, Key.CATEGORY], 5),
        "tensors": list_tensors(artifact, measures),
        "tensors-top": list_tensors(artifact, measures, 1),
        "map": map_regions(artifact),
        "at": map_regions(artifact, at=100),
        "at-hex": map_regions(artifact, at=100, read=reader(build.files())),
        "hex": map_regions(artifact, read=reader(build.files())),
        "range": map_regions(artifact, offset=90, size=30, read=reader(build.files())),
    }


def drawn(report: Report, look: Look) -> str:
    out = io.StringIO()
    render(report, OutputFormat.TERMINAL, out, look)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", reports(pruned_network()))
def test_a_screen_looks_as_it_was_reviewed(name: str, width: int, golden: Golden) -> None:
    golden.check(f"{name}-{width}.txt", drawn(reports(pruned_network())[name], Look(width=width)))


@pytest.mark.parametrize("width", [20, 40, 41, 57, 80, 100, 200])
@pytest.mark.parametrize("make", [pruned_network, hostile, Build])
def test_no_line_is_wider_than_the_terminal(make: type[Build], width: int) -> None:
    build = make()
    if not build.artifact().size:
        build.region("r", 200, RegionKind.FREE)
    for name, report in reports(build).items():
        code = {
            plain(line).strip()
            for finding in getattr(report, "findings", ())
            for line in finding.remedy.split("\n")[1:]
        }
        code |= {
            plain(command.line)
            for block in report.blocks()
            if isinstance(block, Commands)
            for command in block.commands
        }
        for line in drawn(report, Look(width=width)).splitlines():
            assert cell_len(line) <= max(width, 40) or line.strip() in code, (name, line)


def test_colours_change_nothing_but_colour() -> None:
    for build in (pruned_network(), hostile()):
        for report in reports(build).values():
            colored, uncolored = drawn(report, Look(color=True)), drawn(report, Look())
            assert [
                line.rstrip() for line in _SEQUENCE.sub("", colored).splitlines()
            ] == uncolored.splitlines()


def test_a_report_on_a_terminal_is_colored() -> None:
    assert "\x1b[31m" in drawn(reports(pruned_network())["inspect"], Look(color=True))


def test_names_from_files_cannot_steer_the_terminal() -> None:
    for report in reports(hostile()).values():
        text = drawn(report, Look())
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        colored = _SEQUENCE.sub("", drawn(report, Look(color=True)))
        assert "\x1b" not in colored


def test_a_terminal_without_unicode_gets_ascii() -> None:
    for build in (pruned_network(), hostile()):
        for report in reports(build).values():
            assert drawn(report, Look(unicode=False)).isascii()


def test_the_same_report_draws_the_same_characters() -> None:
    assert drawn(reports(pruned_network())["inspect"], Look()) == drawn(
        reports(pruned_network())["inspect"], Look()
    )


def test_bytes_of_the_bars_sum_to_the_total() -> None:
    lines = drawn(reports(pruned_network())["inspect"], Look()).splitlines()
    start = lines.index("Where the bytes go") + 1
    end = next(index for index, line in enumerate(lines) if line.startswith("  total"))
    sizes = [int(line.split()[1].replace(",", "")) for line in lines[start:end]]
    assert sum(sizes) == int(lines[end].split()[1].replace(",", "")) == pruned_network().artifact().size


def test_the_first_screen_answers_first() -> None:
    first = "\n".join(drawn(reports(pruned_network())["inspect"], Look()).splitlines()[:24])
    for part in (
        "43,915 bytes",
        "Keras HDF5 model: 47 % optimizer state",
        "2,048 zeros (75.9 %)",
        "Findings",
        "optimizer-state",
        "80.0 %",
    ):
        assert part in first


def test_a_range_shows_all_of_its_bytes_and_nothing_else() -> None:
    build = Build()
    build.region("header", 64, RegionKind.CONTAINER, data=bytes(range(64)))
    build.region("free space", 300, RegionKind.FREE, data=bytes([0xEE]) * 300)
    text = drawn(map_regions(build.artifact(), offset=60, size=280, read=reader(build.files())), Look())
    shown = [
        int(byte, 16) for line in text.splitlines()[3:] for byte in re.findall(r"\b[0-9a-f]{2}\b", line[4:30])
    ]
    assert shown == [60, 61, 62, 63] + [0xEE] * 276


def test_the_middle_of_a_long_region_is_left_out_with_its_size() -> None:
    build = Build()
    build.region("heap", 1_000, RegionKind.CONTAINER)
    assert "936 more bytes" in drawn(map_regions(build.artifact(), read=reader(build.files())), Look())


def test_the_byte_asked_for_is_marked() -> None:
    build = Build()
    build.region("heap", 1_000, RegionKind.CONTAINER, data=bytes(index % 251 for index in range(1_000)))
    for at in (0, 1, 7, 8, 500, 999):
        text = drawn(map_regions(build.artifact(), at=at, read=reader(build.files())), Look())
        (marked,) = re.findall(r"[\[ ]([0-9a-f]{2})\]", text)
        assert int(marked, 16) == at % 251
