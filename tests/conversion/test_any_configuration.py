"""Any configuration gives a plan or an error of the project, quickly."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from benchmarks.accuracy.unseen_networks import bases, fill, named

import modelinspect as mi
from tests.support.work import CALLS, bounded

NETWORKS = (
    "attention-2-0",
    "autoencoder-2-2",
    "cnn-2-0",
    "dilated-2-100",
    "many-ways-2-1",
    "normalized-2-101",
    "plain-2-7",
    "recurrent-2-1",
    "recurrent-3-1",
    "resnet-3-0",
    "text-3-0",
    "transfer-2-0",
    "unet-3-0",
)
VALUES = (
    None,
    -1,
    0,
    7,
    10**12,
    1.5,
    float("inf"),
    "x",
    "same",
    "linear",
    [],
    [1, 2, 3],
    {},
    True,
    [[1, 2], [3, 4]],
    "Dense",
    "Functional",
)


@pytest.fixture(scope="module")
def networks() -> dict[str, bytes]:
    return bases()


@pytest.mark.parametrize("name", NETWORKS)
def test_mutated_configurations_give_a_plan_or_an_error(
    name: str, networks: dict[str, bytes], tmp_path: Path
) -> None:
    draw = random.Random(name)
    path = tmp_path / "model.h5"
    path.write_bytes(networks[name])
    fill(path, named(name))
    with h5py.File(path) as file:
        told = str(file.attrs["model_config"])
    for _ in range(8):
        config = json.loads(told)
        for _ in range(draw.randint(1, 5)):
            holder, key = draw.choice(list(_places(config)))
            holder[key] = json.loads(json.dumps(draw.choice(VALUES)))
        with h5py.File(path, "r+") as file:
            del file.attrs["model_config"]
            file.attrs["model_config"] = json.dumps(config)
        with bounded(10 * CALLS):
            try:
                mi.plan(path, only=["tflite-float32"])
            except mi.ModelInspectError:
                continue


def test_models_within_models_end(tmp_path: Path) -> None:
    """Each of 40 models uses the one within twice: 2 to the 40 calls, if they were followed."""
    given = {
        "class_name": "InputLayer",
        "name": "given",
        "config": {"name": "given", "batch_input_shape": [None, 4]},
        "inbound_nodes": [],
    }
    layer: dict[str, Any] = {"class_name": "Dense", "name": "dense", "config": {"name": "dense", "units": 4}}
    for depth in range(40):
        name = layer["name"]
        used = {**layer, "inbound_nodes": [[["given", 0, 0, {}]], [[name, 0, 0, {}]]]}
        ends = {"input_layers": [["given", 0, 0]], "output_layers": [[name, 1, 0]]}
        settings = {"name": f"model_{depth}", "layers": [given, used], **ends}
        layer = {"class_name": "Functional", "name": f"model_{depth}", "config": settings}
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.21.0"
        file.attrs["model_config"] = json.dumps(layer)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = ["dense"]
        group = weights.create_group("dense")
        group.attrs["weight_names"] = ["dense/kernel:0"]
        group["dense/kernel:0"] = [[0.5] * 4] * 4
    with bounded(10 * CALLS):
        report = mi.plan(path, only=["tflite-float32"])
        assert not report.options


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])
