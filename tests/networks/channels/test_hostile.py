"""Configurations and graphs that make no sense give an answer or none, never an exception, and no answer that
takes for ever.
"""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from modelinspect import api
from modelinspect.errors import ModelInspectError
from modelinspect.measure.facts import COMPARING
from modelinspect.networks.channels.removal import Removal, find_removal
from tests.support.fixtures import fixture_path
from tests.support.surgery import removal_of


def network(path: Path, layers: list[dict[str, Any]], kind: str = "Functional", **more: Any) -> Path:
    """Write a Keras file of a dense layer, half of whose outputs are dead, and the layers that are told."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(
            {"class_name": kind, "config": {"name": "net", "layers": layers, **more}}
        )
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"a", b"b"]
        for name in ("a", "b"):
            group = weights.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            kernel = np.ones((8, 8), "<f4")
            kernel[:, :4] = 0
            group[f"{name}/kernel:0"] = kernel
    return path


def layer(kind: str, name: str, *inputs: str, **settings: Any) -> dict[str, Any]:
    nodes = [[[each, 0, 0, {}] for each in inputs]] if inputs else []
    return {"class_name": kind, "name": name, "config": {"name": name, **settings}, "inbound_nodes": nodes}


def chain(*between: dict[str, Any], last: str = "a") -> list[dict[str, Any]]:
    first = [layer("InputLayer", "in", batch_input_shape=[None, 8]), layer("Dense", "a", "in")]
    return [*first, *between, layer("Dense", "b", last)]


ENDS = {"input_layers": [["in", 0, 0]], "output_layers": [["b", 0, 0]]}


def removal(path: Path) -> Removal | None:
    return removal_of(path)[1]


def test_the_plain_network_loses_the_dead_half(tmp_path: Path) -> None:
    found = removal(network(tmp_path / "model.h5", chain(), **ENDS))
    assert found is not None
    assert found.size == 4 * (8 * 4 + 4 * 8)


@pytest.mark.parametrize(
    "between",
    [
        layer("Lambda", "x", "a"),
        layer("Softmax", "x", "a"),
        layer("Mine>Dropout", "x", "a"),
        layer("Dropout", "x", "a") | {"module": "mine.layers"},
        layer("Dropout", "x", "a") | {"module": "keras_mine.layers"},
        layer("Dropout", "x", "a") | {"registered_name": "Mine>Dropout"},
        layer("Activation", "x", "a", activation="mine"),
        layer("Activation", "x", "a", activation={"class_name": "mine"}),
        layer("Add", "x", "a"),
        layer("Add", "x", "a", "in"),
        layer("Multiply", "x", "a", "a", "missing"),
        layer("BatchNormalization", "x", "a"),
        layer("BatchNormalization", "x", "a", axis="last"),
        layer("Reshape", "x", "a", target_shape=[2, 4]),
        layer("Reshape", "x", "a", target_shape={"items": None}),
        layer("Concatenate", "x", "a", "a", axis=7),
        layer("Permute", "x", "a", dims=[None]),
        layer("Rescaling", "x", "a", scale=[1, 2]),
        layer("Dense", "x", "a", activation=[]),
        layer("Conv2D", "x", "a", groups="two"),
        layer("Bidirectional", "x", "a", layer={"class_name": "LSTM", "config": {}}),
        layer("Functional", "x", "a", layers=[], input_layers=[], output_layers=[]),
    ],
)
def test_what_is_not_understood_keeps_its_channels(between: dict[str, Any], tmp_path: Path) -> None:
    found = removal(network(tmp_path / "model.h5", chain(between, last="x"), **ENDS))
    assert found is None or found.size == 0


@pytest.mark.parametrize(
    "more",
    [{}, {"module": "keras.layers"}, {"module": "keras.src.layers.x"}, {"registered_name": "Keras>Dropout"}],
)
def test_what_is_understood_hands_channels_on(more: dict[str, Any], tmp_path: Path) -> None:
    found = removal(
        network(tmp_path / "model.h5", chain(layer("Dropout", "x", "a") | more, last="x"), **ENDS)
    )
    assert found is not None
    assert found.size == 4 * (8 * 4 + 4 * 8)


def test_a_layer_that_is_used_twice_keeps_its_channels(tmp_path: Path) -> None:
    layers = chain()
    layers[1]["inbound_nodes"] *= 2
    found = removal(network(tmp_path / "model.h5", layers, **ENDS))
    assert found is not None
    assert found.size == 0
    assert {note for saving in found.savings.values() for note in saving.kept} == {
        "4 dead outputs stay: their layer is used more than once",
        "4 dead outputs stay: the model's outputs",
    }


def test_a_use_that_never_comes_keeps_what_it_takes(tmp_path: Path) -> None:
    found = removal(network(tmp_path / "model.h5", [*chain(), layer("Add", "x", "a", "nowhere")], **ENDS))
    assert found is None or found.size == 0


def test_layers_that_double_what_they_join_end_soon(tmp_path: Path) -> None:
    names = ["a", *(f"x{index}" for index in range(200))]
    doubling = [layer("Concatenate", name, before, before) for before, name in pairwise(names)]
    assert removal(network(tmp_path / "model.h5", chain(*doubling, last=names[-1]), **ENDS)) is None


def test_layers_in_a_circle_end(tmp_path: Path) -> None:
    circle = [layer("Dropout", "x", "y"), layer("Dropout", "y", "x")]
    found = removal(network(tmp_path / "model.h5", chain(*circle, last="x"), **ENDS))
    assert found is None or found.size == 0


@pytest.mark.parametrize(
    "name", ["pruned_mlp/stripped/float32.tflite", "pruned_layers/cnn/stripped/model.h5"]
)
def test_damaged_files_give_an_answer_or_an_error_of_ours(name: str, tmp_path: Path) -> None:
    whole = fixture_path(name).read_bytes()
    numbers = random.Random(7)
    answers = 0
    for _ in range(120):
        data = bytearray(whole)
        for _ in range(numbers.randint(1, 4)):
            data[numbers.randrange(len(data))] = numbers.randrange(256)
        path = tmp_path / Path(name).name
        path.write_bytes(data)
        try:
            with api.opened(path) as (artifact, files):
                found = find_removal(artifact, files, api.measure_files(artifact, files, aspects=COMPARING))
        except ModelInspectError:
            continue
        answers += found is not None
    assert answers > 40
