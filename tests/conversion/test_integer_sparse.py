"""Sparse full-integer forms: predictions are what the converter wrote, and what it writes wrongly is left
out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.accuracy.integer_sparse import FORMS, OPERATORS, converted, real
from benchmarks.accuracy.plan_networks import ARCHITECTURES, Case, cases
from benchmarks.accuracy.plan_reality import WRITERS

import modelinspect as mi

LEAST = 0.3
"""Of networks with fewer zeros, no kernel is encoded."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_recorded_file_is_predicted_to_the_byte(architecture: str, tmp_path: Path) -> None:
    recorded = real()
    for case in cases():
        if case.architecture != architecture:
            continue
        WRITERS["model.h5"](case, tmp_path / "model.h5")
        _hold(case, tmp_path / "model.h5", recorded)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_float_tflite_file_gives_the_same_prediction(architecture: str, tmp_path: Path) -> None:
    case = Case(architecture, 0.8, "16x1")
    WRITERS["model.tflite"](case, tmp_path / "model.tflite")
    _hold(case, tmp_path / "model.tflite", real())


def _hold(case: Case, path: Path, recorded: dict[tuple[str, str], int]) -> None:
    report = mi.plan(path, only=[f"tflite-{form}" for form in FORMS], downloads=False)
    sizes = {entry.option.removeprefix("tflite-"): entry.size for entry in report.options}
    assert sizes == {form: recorded[case.name, form] for form in FORMS}, case.name
    notes = {entry.option: entry.notes for entry in report.options}
    assert ("converter would encode none" in notes["tflite-int8-sparse"]) is (case.sparsity < LEAST)


def test_int16_with_sparse_kernels_is_left_out_where_a_kernel_would_be_sparse(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    WRITERS["model.h5"](Case("separable", 0.8, "unstructured"), path)
    report = mi.plan(path, downloads=False)
    assert any(line.startswith("tflite-int16x8-sparse: TensorFlow 2.21 writes") for line in report.left_out)
    assert "tflite-int16x8-sparse" not in {entry.option for entry in report.options}


@pytest.mark.tensorflow
def test_the_interpreter_refuses_int16_with_sparse_kernels() -> None:
    """The reason that is given for leaving it out."""
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("tf_keras")
    assert tf.__version__.startswith("2.21.")
    network: Any = keras.Sequential(
        [keras.layers.Input((6, 6, 4)), keras.layers.DepthwiseConv2D(3), keras.layers.Flatten()]
    )
    kernel = np.random.default_rng(1).standard_normal((3, 3, 4, 1)).astype("f4")
    network.set_weights([np.where(np.abs(kernel) < 0.8, 0, kernel), np.ones(4, "f4")])
    assert "int16x8" in OPERATORS
    dense = tf.lite.Interpreter(model_content=converted(network, "int16x8"))
    dense.allocate_tensors()
    broken = tf.lite.Interpreter(model_content=converted(network, "int16x8-sparse"))
    with pytest.raises(RuntimeError, match="INT64"):
        broken.allocate_tensors()


@pytest.mark.tensorflow
def test_float16_activations_do_not_change_the_size() -> None:
    """docs/developer/predictions.md says so."""
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("tf_keras")
    network = keras.Sequential([keras.layers.Input((30,)), keras.layers.Dense(40), keras.layers.Dense(3)])

    def float16(kind: Any, given: Any = None) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        converter.target_spec._experimental_supported_accumulation_type = kind
        if given is not None:
            converter.inference_input_type = given
        return bytes(converter.convert())

    usual, wide, narrow = float16(None), float16(tf.float32), float16(tf.float16)
    assert len(usual) == len(wide) == len(narrow)
    assert b"fp16accfp32" in usual
    assert b"fp16accfp16" in narrow
    with pytest.raises(ValueError, match="inference_input_type"):
        float16(None, tf.float16)
