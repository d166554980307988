"""Recurrent networks are predicted as the printed command converts them: with a batch of one, without which
the converter refuses.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import modelinspect as mi
from tests.support.fixtures import fixture_path

LSTM = "pruned_layers/lstm/stripped/model.h5"


def changed(folder: Path, **settings: object) -> Path:
    """Return a copy of a network whose LSTM is set otherwise."""
    path = folder / "model.h5"
    shutil.copy(fixture_path(LSTM), path)
    with h5py.File(path, "r+") as file:
        config = json.loads(str(file.attrs["model_config"]))
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "LSTM":
                layer["config"].update(settings)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_the_command_fixes_the_batch_that_the_configuration_leaves_open() -> None:
    report = mi.plan(fixture_path(LSTM), only=["tflite-float16"])
    (entry,) = report.options
    assert "fixed = tf_keras.models.clone_model(model, input_tensors=given)" in entry.command
    assert "the batch size is fixed to 1" in entry.notes
    real = fixture_path("pruned_layers/lstm/stripped/float16.tflite").stat().st_size
    assert entry.size == pytest.approx(real, rel=0.002)  # its input and output have other names


def test_an_lstm_is_one_operator_with_the_kernels_of_its_gates_and_is_not_encoded() -> None:
    sizes = {
        entry.option: entry.size
        for entry in mi.plan(fixture_path(LSTM)).options
        if entry.option.startswith("tflite-")
    }
    whole = 4 * 4 * 48 * (28 + 48 + 1)
    assert whole < sizes["tflite-float32"] < whole + 10_000
    assert sizes["tflite-float16"] < 0.6 * sizes["tflite-float32"]
    assert "tflite-sparse" not in sizes or sizes["tflite-sparse"] > 0.9 * sizes["tflite-float32"]


@pytest.mark.parametrize("settings", [{"stateful": True}, {"return_state": True}, {"recurrent_dropout": 0.5}])
def test_layers_that_run_otherwise_are_left_out_by_name_with_the_reason(
    settings: dict[str, object], tmp_path: Path
) -> None:
    path = changed(tmp_path, **settings)
    report = mi.plan(path)
    assert not [entry for entry in report.options if entry.option.startswith("tflite-")]
    (setting,) = settings
    assert any(
        "tflite-float32" in line and f"lstm (LSTM: with {setting})" in line for line in report.left_out
    )
    (entry,) = mi.plan(path, only=["tflite-float16"]).options
    assert entry.error is not None
    assert entry.error > 0.05
    assert "LSTM" in entry.notes


@pytest.mark.parametrize("shape", [[10**12, 28, 28], [1, 10**12, 28]])
def test_more_outputs_than_fit_into_memory_are_not_made(shape: list[int], tmp_path: Path) -> None:
    path = changed(tmp_path, activation="relu")
    with h5py.File(path, "r+") as file:
        config = json.loads(str(file.attrs["model_config"]))
        config["config"]["layers"][0]["config"]["batch_input_shape"] = shape
        file.attrs["model_config"] = json.dumps(config)
    (entry,) = mi.plan(path, only=["tflite-float32"]).options
    assert "more outputs than any layer has" in entry.notes


def test_an_lstm_with_other_activations_is_a_loop(tmp_path: Path) -> None:
    (fused,) = mi.plan(fixture_path(LSTM), only=["tflite-float32"]).options
    (loop,) = mi.plan(changed(tmp_path, activation="relu"), only=["tflite-float32"]).options
    assert fused.size < loop.size < fused.size + 8_000


@pytest.mark.tensorflow
@pytest.mark.parametrize(("option", "off"), [("tflite-float32", 0), ("tflite-dynamic-int8", 32)])
def test_the_command_makes_a_file_of_the_printed_size(option: str, off: int, tmp_path: Path) -> None:
    """Of int8 kernels the order is not known, and with it some paddings."""
    shutil.copy(fixture_path(LSTM), tmp_path / "model.h5")
    (entry,) = mi.plan(tmp_path / "model.h5", only=[option]).options
    subprocess.run(
        [sys.executable, "-c", entry.command], check=True, cwd=tmp_path, capture_output=True, timeout=1800
    )
    assert abs((tmp_path / "model.tflite").stat().st_size - entry.size) <= off
