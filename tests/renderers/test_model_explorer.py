"""Node data names the tensors as Model Explorer's graphs do, with their bytes and a colour for their
zeros.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path


@pytest.mark.parametrize("command", ["tensors", "inspect"])
def test_every_tensor_of_a_tflite_model_has_its_bytes(command: str) -> None:
    path = fixture_path("tflite/float.tflite")
    data = json.loads(run_cli(command, path, "--format", "model-explorer").text)
    told = json.loads(run_cli("tensors", path, "--format", "json").text)["tensors"]
    assert set(data) == {"results"}
    assert {name: entry["value"] for name, entry in data["results"].items()} == {
        entry["name"]: entry["stored_size"] for entry in told
    }
    for entry in data["results"].values():
        assert set(entry) == {"value", "bgColor", "textColor"}
        assert re.fullmatch("#[0-9a-f]{6}", entry["bgColor"])


def test_zeros_show_as_colour() -> None:
    path = fixture_path("tflite/control_flow.tflite")
    results = json.loads(run_cli("tensors", path, "--format", "model-explorer").text)["results"]
    assert results["Const"]["bgColor"] == "#2f6fde"
    assert results["arith.constant"]["bgColor"] == "#e2703a"
    assert results["Const_1"]["bgColor"] == "#8870" + "8c"


def test_nodes_of_a_graph_are_named_by_their_names() -> None:
    path = fixture_path("graph_def/frozen.pb")
    results = json.loads(run_cli("tensors", path, "--format", "model-explorer").text)["results"]
    told = json.loads(run_cli("tensors", path, "--format", "json").text)["tensors"]
    assert {name: entry["value"] for name, entry in results.items()} == {
        entry["name"]: entry["stored_size"] for entry in told
    }
    assert any(entry["value"] > 100 for entry in results.values())


@pytest.mark.parametrize("name", ["saved_model/affine", "saved_model/keras"])
def test_constants_of_functions_are_found_in_the_graphs_that_model_explorer_makes(name: str) -> None:
    adapter = pytest.importorskip("ai_edge_model_explorer_adapter")
    graphs = json.loads(
        adapter.ConvertSavedModelDirectlyToJson(adapter.VisualizeConfig(), str(fixture_path(name)))
    )
    drawn = {
        (g["id"], node["namespace"])
        for one in graphs
        for g in one["subgraphs"]
        for node in g["nodes"]
        if node["label"] == "Const"
    }
    data = json.loads(run_cli("tensors", fixture_path(name), "--format", "model-explorer").text)
    written = {(graph, node) for graph, found in data.items() for node in found["results"]}
    assert len({graph for graph, _ in drawn}) > 2
    assert drawn <= written


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ("tensors", fixture_path("mlp/stripped.h5")),
            "is keras-hdf5; Model Explorer needs one of tflite, graph-def, saved-model",
        ),
        (
            ("map", fixture_path("tflite/float.tflite")),
            "--format model-explorer is available for inspect and tensors only",
        ),
    ],
)
def test_what_has_no_graph_is_refused_in_one_line(arguments: tuple[str, str], problem: str) -> None:
    ran = run_cli(*arguments, "--format", "model-explorer")
    assert (ran.code, ran.out) == (2, b"")
    assert problem in ran.err
    assert ran.err.count("\n") == 1
