"""Optimizer slots have paths that end in names of weights: neither is mistaken for the other."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect as mi

SIZE = 256


def write(path: Path, values: dict[str, float]) -> Path:
    """Write weights and slots of two layers as Keras 2 does, each of one value."""
    with h5py.File(path, "w") as file:
        weights = file.create_group("model_weights")
        file.attrs.update(keras_version="2.21.0", backend="tensorflow")
        weights.attrs.update(keras_version="2.21.0", backend="tensorflow", layer_names=[b"one", b"two"])
        for layer in ("one", "two"):
            group = weights.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/gamma:0".encode(), f"{layer}/beta:0".encode()]
        slots = [f"Adam/{kind}/{layer}/gamma:0".encode() for kind in "mv" for layer in ("one", "two")]
        file.create_group("optimizer_weights").attrs["weight_names"] = slots
        for name, value in values.items():
            file[name] = np.full(SIZE, value, dtype="f4")
    return path


@pytest.mark.parametrize("apart", [False, True], ids=["slots-equal-weights", "slots-differ"])
def test_weights_and_slots_that_are_stored_once_are_proved(apart: bool, tmp_path: Path) -> None:
    layers = ("one", "two")
    slots = {
        f"optimizer_weights/Adam/{kind}/{one}/gamma:0": 7.0 if apart else 1.0
        for kind in "mv"
        for one in layers
    }
    weights = {
        f"model_weights/{one}/{one}/{name}:0": value
        for one in layers
        for name, value in (("gamma", 1), ("beta", 2))
    }
    path = write(tmp_path / "model.h5", slots | weights)
    report = mi.shrink(path, tmp_path / "small.h5")
    assert report.after is not None, report.reason
    assert report.proof is not None
    assert report.proof.equal == report.proof.tensors == 8
    assert mi.compare_content(path, tmp_path / "small.h5").same
    dropped = mi.shrink(path, tmp_path / "weights.h5", drop=["training"])
    assert dropped.proof is not None, dropped.reason
    assert dropped.proof.dropped == 4


def test_a_changed_weight_is_not_taken_for_a_slot_of_its_name(tmp_path: Path) -> None:
    layers = ("one", "two")
    slots = {f"optimizer_weights/Adam/{kind}/{one}/gamma:0": 1.0 for kind in "mv" for one in layers}
    before = {f"model_weights/{one}/{one}/{name}:0": 1.0 for one in layers for name in ("gamma", "beta")}
    after = before | {"model_weights/two/two/gamma:0": 3.0}
    old, new = write(tmp_path / "old.h5", before | slots), write(tmp_path / "new.h5", after | slots)
    found = mi.compare_content(old, new)
    assert [entry.tensor for entry in found.differing] == ["two/gamma"]
