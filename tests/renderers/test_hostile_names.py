"""Names from files cannot act on whoever reads a report: spreadsheets, build servers, graph viewers."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect
from modelinspect.renderers.registry import OutputFormat, render

NAMES = [
    '=HYPERLINK("http://x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "a\rb",
    "a\nb",
    "a\x1b[31mb",
    "\uff1d1",
    "]]>&<b>",
    "plain",
]


def file_with(path: Path, name: str) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=np.ones((2, 2), dtype=np.float32))
    return path


def written(report: object, format: OutputFormat) -> str:
    out = io.StringIO(newline="")
    render(report, format, out)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_of_a_table_is_a_formula_or_has_control_characters(tmp_path: Path, name: str) -> None:
    text = written(modelinspect.tensors(file_with(tmp_path / "m.h5", name)), OutputFormat.CSV)
    assert all(mark.isprintable() or mark == "\n" for mark in text)
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\uff1d"))


@pytest.mark.parametrize("name", NAMES)
def test_raw_tables_have_names_as_they_are(tmp_path: Path, name: str) -> None:
    report = modelinspect.tensors(file_with(tmp_path / "m.h5", name))
    rows = list(csv.reader(io.StringIO(written(report, OutputFormat.CSV_RAW), newline="")))
    assert report.tensors[0].name in rows[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_test_suite_is_xml_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    path = file_with(tmp_path / f"{name.replace('/', ' ')}.h5", "w")
    report = modelinspect.check(path, {"size": "10 B"})
    suite = ElementTree.fromstring(written(report, OutputFormat.JUNIT))
    assert suite.get("failures") == "1"


def test_node_data_are_json_whatever_the_nodes_are_called(tmp_path: Path) -> None:
    from tests.support.fixtures import fixture_names, fixture_path

    path = next(fixture_path(name) for name in fixture_names(under="graph_def/") if name.endswith(".pb"))
    names = [entry.name for entry in modelinspect.inspect(path).tensors]
    assert names
    old = names[0].encode()
    new = (b"\x1b</script>\r\n" * 9)[: len(old)]
    (tmp_path / "g.pb").write_bytes(path.read_bytes().replace(old, new))
    data = json.loads(written(modelinspect.inspect(tmp_path / "g.pb"), OutputFormat.MODEL_EXPLORER))
    assert new.decode() in data["results"]
