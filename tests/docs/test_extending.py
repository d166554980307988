"""What the page about extending shows works; `test_additions.py` holds its lists of files."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from types import ModuleType

from modelinspect import api
from modelinspect.analyses.summary import summarize
from modelinspect.core.artifact import Artifact
from modelinspect.formats.base import parse_with
from modelinspect.networks.subject import Subject
from modelinspect.renderers.look import Look
from modelinspect.sources.opening import open_location
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

PAGE = (PROJECT / "docs" / "developer" / "extending.md").read_text(encoding="utf-8")


def example(begins: str) -> ModuleType:
    """Run the page's block of Python whose docstring begins so."""
    (code,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if block.startswith(f'"""{begins}')
    )
    module = ModuleType("example")
    exec(code.replace("FormatName.WGHT", "FormatName.HDF5"), module.__dict__)  # a name that is there
    return module


def parsed(path: Path) -> Artifact:
    with open_location(path) as files:
        return parse_with(example("Reads").FORMAT, files)


def test_the_format_maps_its_file_and_reads_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.wght"
    path.write_bytes(b"WGHT" + struct.pack("<I3fI", 3, 1.0, 0.0, 2.0, 0xDEADBEEF))
    artifact = parsed(path)
    regions = [(region.span.offset, region.span.size, str(region.kind)) for region in artifact.members[0].map]
    assert regions == [(0, 8, "container"), (8, 12, "tensor-data"), (20, 4, "container")]
    with open_location(path) as files:
        report = summarize(artifact, api.measure_files(artifact, files))
    assert report.categories.zero_weights == 4
    assert report.categories.dense_weights == 8


def test_the_format_survives_a_count_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "model.wght"
    path.write_bytes(b"WGHT" + struct.pack("<II", 2**32 - 1, 0))
    artifact = parsed(path)
    assert artifact.diagnostics[0].problem.startswith("the header tells of")
    assert artifact.members[0].map.kind_sizes()


def test_the_rule_finds_what_it_is_about_and_nothing_else() -> None:
    rule = example("Finds").RULE
    for name, found in (("pruned_blocks/block-16x1/stripped/dynamic-int8.tflite", 1), ("mlp/original.h5", 0)):
        artifact = api.open(fixture_path(name))
        findings = list(rule.find(Subject(artifact, None, {})))
        assert len(findings) == found, name


def test_the_renderer_writes_a_table() -> None:
    out = io.StringIO()
    example("Writes").render(api.inspect(fixture_path("mlp/original.h5")), out, Look())
    lines = out.getvalue().splitlines()
    assert lines[0] == "category\tsize\tshare"
    assert len({line.count("\t") for line in lines}) == 1
