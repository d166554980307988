"""Attachments for Netron and bookmarks for ImHex have the forms that those programs read, and the numbers of
the reports.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

import modelinspect
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path


def opened_by_netron(data: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Read an attachment as Netron's ``metadata.js`` does: entries by kind and target, and in each by
    name.
    """
    assert data["signature"] == "netron:attachment"
    entries: dict[str, dict[str, dict[str, Any]]] = {}
    for item in data["metrics"]:
        assert item["kind"] in ("model", "graph", "node", "value", "tensor")
        assert "target" in item
        entries.setdefault(f"{item['kind']}::{item['target']}", {})[item["name"]] = item
    return entries


@pytest.mark.parametrize(
    "name",
    ["tflite/float.tflite", "mlp/stripped.h5", "keras_zip", "saved_model/affine", "graph_def/frozen.pb"],
)
def test_every_tensor_has_its_bytes_and_zeros_in_an_attachment(name: str) -> None:
    path = fixture_path(name)
    if name == "keras_zip":
        path = next(one for one in sorted(path.iterdir()) if one.suffix == ".keras")
    entries = opened_by_netron(json.loads(run_cli("tensors", path, "--format", "netron").text))
    tensors = json.loads(run_cli("tensors", path, "--format", "json").text)["tensors"]
    assert tensors
    for tensor in tensors:
        for target in {tensor["name"], tensor["path"]}:
            metrics = entries[f"tensor::{target}"]
            assert metrics["bytes"]["value"] == tensor["stored_size"]
            if tensor["zero_count"] is not None and tensor["element_count"]:
                assert metrics["zeros"]["value"] == tensor["zero_count"]
                assert metrics["sparsity"] == {
                    "kind": "tensor",
                    "target": target,
                    "name": "sparsity",
                    "value": tensor["zero_count"] / tensor["element_count"],
                    "type": "percentage",
                }


def test_sparsity_of_quantized_tensors_counts_their_zero_points() -> None:
    path = fixture_path("mlp/stripped.h5").parent / "stripped-int8.tflite"
    if not path.exists():
        path = next(
            one
            for one in sorted(fixture_path("tflite").iterdir())
            if "int8" in one.name and one.suffix == ".tflite"
        )
    entries = opened_by_netron(json.loads(run_cli("tensors", path, "--format", "netron").text))
    counted = {
        entry.name: entry
        for entry in modelinspect.tensors(path).tensors
        if entry.dtype == "int8" and entry.zero_count
    }
    for name, entry in counted.items():
        assert entries[f"tensor::{name}"]["zeros"]["value"] == entry.zero_count


def test_the_model_has_its_size_categories_and_causes() -> None:
    path = fixture_path("mlp/wrapped.h5")
    model = opened_by_netron(json.loads(run_cli("inspect", path, "--format", "netron").text))["model::"]
    report = modelinspect.inspect(path)
    assert model["bytes"]["value"] == report.artifact.size
    sizes = {name: size for name, size in report.to_dict()["categories"].items() if size}
    for name, size in sizes.items():
        assert model[name]["value"].startswith(f"{size:,} bytes (")
    findings = {f"finding {number}": one for number, one in enumerate(report.findings, 1)}
    assert model.keys() == {"bytes", "zeros", "sparsity"} | sizes.keys() | findings.keys()
    assert all(model[name]["value"].startswith(f"{one.rule}: ") for name, one in findings.items())


def test_bookmarks_tile_the_file_and_name_its_tensors() -> None:
    path = fixture_path("tflite/float.tflite")
    data = json.loads(run_cli("map", path, "--format", "imhex").text)
    regions = json.loads(run_cli("map", path, "--format", "json").text)["regions"]
    reached = 0
    for mark, region in zip(data["bookmarks"], regions, strict=True):
        assert {"name", "comment", "color", "region", "locked"} <= set(mark)  # what ImHex asks for
        assert mark["region"] == {"address": reached, "size": region["size"]}
        assert mark["name"]
        assert 0 < mark["color"] < 2**32
        assert (region["tensor"] or "") in mark["comment"]
        reached += region["size"]
    assert reached == path.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("map", fixture_path("saved_model/affine"), "--format", "imhex"), "--member"),
        (("map", fixture_path("mlp/stripped.h5"), "--format", "netron"), "inspect and tensors"),
        (("inspect", fixture_path("mlp/stripped.h5"), "--format", "imhex"), "map"),
    ],
)
def test_what_a_form_cannot_hold_is_refused_in_one_line(arguments: tuple[str, ...], problem: str) -> None:
    ran = run_cli(*arguments)
    assert (ran.code, ran.out) == (2, b"")
    assert problem in ran.err
    assert ran.err.count("\n") == 1


def test_one_file_of_several_has_bookmarks_of_its_own() -> None:
    ran = run_cli(
        "map", fixture_path("saved_model/affine"), "--member", "saved_model.pb", "--format", "imhex"
    )
    marks = json.loads(ran.text)["bookmarks"]
    assert (
        sum(mark["region"]["size"] for mark in marks)
        == (fixture_path("saved_model/affine") / "saved_model.pb").stat().st_size
    )
