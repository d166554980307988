"""Layers that Keras quantized: their policy, and what their variables are for, in both Keras formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.tensors import DTYPES, Role
from modelinspect.formats.keras.config import LayerConfig, computing_policy, model_config, quantized_layers
from modelinspect.formats.keras.store import Variable, roles

INT4 = {"class_name": "Int4DTypePolicy", "config": {"mode": "int4/128", "source_name": "float32"}}
FLOAT8 = {"class_name": "QuantizedFloat8DTypePolicy", "config": {"mode": "float8", "source_name": "float32"}}


def dense(policy: object) -> dict[str, Any]:
    given = {"class_name": "InputLayer", "config": {"name": "given", "batch_shape": [None, 20]}}
    layer = {
        "class_name": "Dense",
        "config": {"name": "hidden", "units": 96, "use_bias": True, "activation": "relu", "dtype": policy},
    }
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [given, layer]}}


def saved(path: Path, policy: object, **variables: Any) -> Path:
    """Write a model of one dense layer as Keras 3 does to HDF5."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(dense(policy)), "3.15.1"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"hidden"])
        layer = weights.create_group("hidden")
        layer.attrs["weight_names"] = np.array([f"m/hidden/{name}".encode() for name in variables])
        for name, array in variables.items():
            layer[f"m/hidden/{name}"] = array
    return path


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("float32", "float32"),
        ({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}, "mixed_float16"),
        ({"class_name": "Policy", "config": {"name": "mixed_bfloat16"}}, "mixed_bfloat16"),
        (INT4, "int4/128_from_float32"),
        (FLOAT8, "float8_from_float32"),
        ("int8_from_float32", "int8_from_float32"),
        (None, ""),
        ({"config": 3}, ""),
        (7, ""),
    ],
)
def test_a_layers_policy_has_one_name(policy: object, name: str) -> None:
    assert computing_policy(LayerConfig("hidden", "Dense", {"dtype": policy})) == name


def test_only_quantized_layers_are_told_as_such() -> None:
    for policy, told in (
        (INT4, {"hidden": "int4/128"}),
        (FLOAT8, {"hidden": "float8"}),
        ("mixed_float16", {}),
    ):
        config = model_config(dense(policy))
        assert config is not None
        assert quantized_layers(config) == told


def test_what_float8_keeps_beside_a_layer_is_quantization() -> None:
    def of(*shapes: tuple[int, ...]) -> list[Role]:
        return roles("layers/dense", [Variable(DTYPES["float32"], shape) for shape in shapes], "Dense")

    helpers = ((), (1024,)) * 3
    assert of((20, 96), (96,), *helpers) == [Role.WEIGHT] * 2 + [Role.QUANTIZATION] * 6
    assert of((20, 96), *helpers) == [Role.WEIGHT] + [Role.QUANTIZATION] * 6
    assert of((20, 96), (96,)) == [Role.WEIGHT] * 2


def test_two_weights_in_a_byte_are_quantization_and_no_other_structure(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    bias = np.zeros(96, "<f4")
    before = saved(
        tmp_path / "before.h5", "float32", kernel=rng.normal(size=(20, 96)).astype("<f4"), bias=bias
    )
    packed = rng.integers(-128, 127, size=(10, 96)).astype("i1")
    scales = {
        "kernel_scale": np.ones((1, 96), "<f4"),
        "kernel_zero": np.zeros((1, 96), "i1"),
        "g_idx": np.zeros(20, "<f4"),
    }
    after = saved(tmp_path / "after.h5", INT4, kernel=packed, bias=bias, **scales)
    assert {
        tensor.name.rpartition("/")[2]
        for tensor in mi.open(after).tensors
        if tensor.role is Role.QUANTIZATION
    } == set(scales)
    for one, other in ((before, after), (after, before)):
        causes = {entry.cause: entry.delta for entry in mi.explain(one, other, compressors=False).causes}
        assert "structure-change" not in causes
        assert abs(causes["quantization"]) < 20 * 96 * 4 - 10 * 96
        assert (causes["quantization"] < 0) is (one is before)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (INT4, "Keras quantized its layers (int4/128); convert the model as it was before"),
        (
            "mixed_float16",
            "its layers compute in mixed_float16, and the converter takes only float32; build it as float32",
        ),
        (
            "bfloat16",
            "its layers compute in bfloat16, and the converter takes only float32; build it as float32",
        ),
    ],
)
def test_no_tflite_form_is_promised_of_what_the_converter_refuses(
    policy: object, said: str, tmp_path: Path
) -> None:
    weights = {
        "kernel": np.random.default_rng(3).normal(size=(20, 96)).astype("<f4"),
        "bias": np.ones(96, "<f4"),
    }
    assert [
        entry.option
        for entry in mi.plan(saved(tmp_path / "plain.h5", "float32", **weights)).options
        if "tflite" in entry.option
    ]
    report = mi.plan(saved(tmp_path / "other.h5", policy, **weights))
    assert not [entry.option for entry in report.options if "tflite" in entry.option]
    assert any(said in line for line in report.left_out)


def test_a_layer_with_low_rank_weights_is_predicted_but_not_to_the_byte(tmp_path: Path) -> None:
    weights = {
        "kernel": np.random.default_rng(3).normal(size=(20, 96)).astype("<f4"),
        "bias": np.ones(96, "<f4"),
    }
    path = saved(tmp_path / "m.h5", "float32", **weights)
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["lora_rank"] = 4
        file.attrs["model_config"] = json.dumps(config)
    bases = {entry.option: entry.basis for entry in mi.plan(path).options}
    assert bases["tflite-float32"] == "estimate"
