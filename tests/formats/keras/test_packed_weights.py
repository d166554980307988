"""Weights that Keras packs into bytes are counted value by value, as Keras unpacks them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.reports.tensors import TensorsReport


def _entry(report: TensorsReport, name: str) -> Any:
    return next(entry for entry in report.tensors if entry.name == name)


def _store(path: Path, layers: dict[str, dict[str, Any]], configs: list[dict[str, Any]]) -> Path:
    """Write a weights store with a configuration beside it."""
    with h5py.File(path, "w") as file:
        for layer, variables in layers.items():
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = layer
            for number, value in enumerate(variables.values()):
                group.create_dataset(str(number), data=value)
    model = {"class_name": "Sequential", "config": {"name": "net", "layers": configs}}
    (path.parent / "config.json").write_text(json.dumps(model))
    return path


def _dense(name: str, mode: str, inputs: int, **settings: Any) -> dict[str, Any]:
    policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": mode, "source_name": "float32"}}
    config = {"name": name, "dtype": policy, **settings}
    return {"class_name": "Dense", "config": config, "build_config": {"input_shape": [None, inputs]}}


@pytest.mark.tensorflow
@pytest.mark.parametrize("block", [-1, 4])
def test_int4_layers_of_keras_have_the_values_that_keras_unpacks(block: int, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(11, 5, name="words")(inputs)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(7, 3, 3), name="heads")(x)
    x = layers.Dense(9, use_bias=False, name="wide")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    rng = np.random.default_rng(5)
    for variable in model.variables:
        values = rng.normal(size=variable.shape).astype("float32")
        values[rng.random(variable.shape) < 0.6] = 0
        variable.assign(values)
    model.quantize(config=keras.quantizers.Int4QuantizationConfig(block_size=block))
    model.save(tmp_path / "model.keras")
    report = mi.tensors(tmp_path / "model.keras")

    for name, main in (("words", "embeddings"), ("heads", "kernel"), ("wide", "kernel"), ("head", "kernel")):
        layer = model.get_layer(name)
        entry = _entry(report, f"{name}/{main}")
        packed = np.asarray(getattr(layer, f"_{main}"))
        columns = {"words": 5, "heads": 9, "wide": 9, "head": 2}[name]
        values = np.asarray(keras.quantizers.unpack_int4(packed, columns, axis=-1)).astype(int)
        if block > 0:
            zero = np.asarray(getattr(layer, f"{main}_zero")).astype(int)
            groups = np.asarray(layer.g_idx).astype(int)
            values = values - (zero[:, groups] if main == "embeddings" else zero[groups])
        assert entry.dtype == "int4"
        assert entry.shape == values.shape
        assert (entry.bits, entry.packed) == (4, 2)
        assert entry.zero_count == int((values == 0).sum())
        assert entry.stored_size == packed.size
    floats = sum(int(np.prod(shape)) for shape in ((11, 5), (5, 9), (63, 9), (9, 2)))
    assert sum(entry.element_count for entry in report.tensors if entry.dtype == "int4") == floats


@pytest.mark.tensorflow
@pytest.mark.parametrize(("mode", "units"), [("gptq/4/8", 9), ("awq/4/8", 10)])
def test_gptq_and_awq_values_are_zero_at_the_zero_point_of_their_group(
    mode: str, units: int, tmp_path: Path
) -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(7)
    inputs = 20
    values = rng.integers(0, 16, size=(units, inputs)).astype("uint8")
    zero = rng.integers(0, 16, size=(units, 3)).astype("uint8")
    groups = np.array([number % 3 for number in range(inputs)], "float32")
    packed, _, _ = keras.quantizers.pack_int4(values.astype("uint8"), axis=0, dtype="uint8")
    variables = {
        "bias": np.zeros(units, "f4"),
        "kernel": np.asarray(packed).view("uint8"),
        "scale": np.ones((units, 3), "f4"),
        "zero": zero,
    }
    if mode.startswith("awq"):
        variables["awq_scales"] = np.ones(inputs, "f4")
    path = _store(
        tmp_path / "m.weights.h5",
        {"dense": {**variables, "g_idx": groups}},
        [_dense("dense", mode, inputs, units=units)],
    )

    report = mi.tensors(path)
    entry = _entry(report, "dense/kernel")
    assert (entry.dtype, entry.shape) == ("uint4", (units, inputs))
    assert entry.zero_count == int((values == zero[:, groups.astype(int)]).sum())
    assert _entry(report, "dense/kernel_zero").role == "quantization"


def test_ternary_values_are_counted_in_base_three(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    inputs, units = 12, 6
    values = rng.integers(-1, 2, size=(inputs, units))
    digits = np.full((15, units), 1)
    digits[:inputs] = values + 1
    packed = sum(digits[place::5] * 3**place for place in range(5)).astype("uint8")
    variables = {"kernel": packed, "bias": np.zeros(units, "f4"), "kernel_scale": np.float32(0.5)}
    path = _store(
        tmp_path / "m.weights.h5", {"dense": variables}, [_dense("dense", "ternary", inputs, units=units)]
    )

    entry = _entry(mi.tensors(path), "dense/kernel")
    assert (entry.dtype, entry.shape, entry.bits, entry.packed) == ("ternary", (inputs, units), 2, 5)
    assert entry.zero_count == int((values == 0).sum())


def test_groups_that_no_variable_numbers_leave_the_zeros_unknown(tmp_path: Path) -> None:
    variables = {
        "kernel": np.zeros((20, 5), "i1"),
        "bias": np.zeros(9, "f4"),
        "kernel_scale": np.ones((3, 9), "f4"),
        "kernel_zero": np.zeros((3, 9), "i1"),
    }
    path = _store(tmp_path / "m.weights.h5", {"dense": variables}, [_dense("dense", "int4/8", 20, units=9)])

    entry = _entry(mi.tensors(path), "dense/kernel")
    assert (entry.shape, entry.zero_count) == ((20, 9), None)
    assert entry.note == "the zero points of its groups are not known"


def test_a_pruned_int4_model_has_dead_channels_of_values_and_not_of_bytes(tmp_path: Path) -> None:
    values = np.full((8, 6), 3, "i1")
    values[:, 2] = 0  # shares its bytes with column 3
    packed = (values[:, 0::2] & 15) | ((values[:, 1::2] & 15) << 4)
    variables = {"kernel": packed.astype("i1"), "bias": np.zeros(6, "f4"), "kernel_scale": np.ones(6, "f4")}
    path = _store(tmp_path / "m.weights.h5", {"dense": variables}, [_dense("dense", "int4", 8, units=6)])

    entry = _entry(mi.tensors(path), "dense/kernel")
    assert entry.zero_count == 8
    assert entry.pattern is not None
    assert entry.pattern.dead_channels == (1, 6)
