"""Every format that tells how layers are connected gives the same figure, and TFLite the one of its own
weights.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.networks.channels.test_by_hand import NETWORKS, inputs
from tests.support.surgery import (
    convert,
    filled,
    places_of,
    removal_of,
    seeded,
    weight_bytes,
    without,
    zeroed,
)

pytestmark = pytest.mark.tensorflow


def made(package: str, name: str) -> Any:
    keras, network = import_module(package), NETWORKS[name]
    seeded(keras, 21)
    model = filled(network.build(keras, keras.layers), 22)
    for each in network.dead:
        zeroed(model, *each)
    return model


def figure(path: Path) -> int | None:
    _, removal = removal_of(path)
    return None if removal is None else removal.size


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_files_say_the_same_whatever_their_format(name: str, tmp_path: Path) -> None:
    for package in ("keras", "tf_keras"):
        model = made(package, name)
        model.save(tmp_path / f"{package}.h5")
        model.save(tmp_path / f"{package}.keras")
    model.save(tmp_path / "saved", save_format="tf")
    paths = [
        tmp_path / name for name in ("keras.h5", "keras.keras", "tf_keras.h5", "tf_keras.keras", "saved")
    ]
    figures = {path.name: figure(path) for path in paths}
    assert len(set(figures.values())) == 1, figures


@pytest.mark.parametrize("name", NETWORKS)
def test_a_converted_file_says_what_the_smaller_network_has_less_when_it_is_converted(
    name: str, tmp_path: Path
) -> None:
    keras, model = import_module("keras"), made("keras", name)
    model.save(tmp_path / "model.h5")
    artifact, removal = removal_of(tmp_path / "model.h5")
    assert removal is not None
    smaller = without(keras, model, places_of(model, artifact, removal), inputs(model))
    large, found = removal_of(convert(model, tmp_path / "model.tflite"))
    small, _ = removal_of(convert(smaller, tmp_path / "smaller.tflite"))
    assert found is not None
    assert found.size == weight_bytes(large) - weight_bytes(small)


@pytest.mark.parametrize("name", list(NETWORKS)[::4])
def test_half_as_wide_elements_are_half_as_many_bytes(name: str, tmp_path: Path) -> None:
    model = made("keras", name)
    wide, narrow = (
        convert(model, tmp_path / "float32.tflite"),
        convert(model, tmp_path / "float16.tflite", half=True),
    )
    found, half = figure(wide), figure(narrow)
    assert found is not None
    assert half is not None
    assert found == 2 * half


def test_what_holds_weights_alone_does_not_tell(tmp_path: Path) -> None:
    model = made("keras", "a row that reads nothing")
    model.save_weights(tmp_path / "model.weights.h5")
    assert figure(tmp_path / "model.weights.h5") is None
