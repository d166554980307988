"""Holds when a model counts as stored twice: models as Keras saves them, built once, twice, and of repeated
layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

import modelinspect as mi

LAYERS = {"conv": (3, 3, 4, 8), "pointwise": (8, 24), "hidden": (24, 32), "head": (32, 5)}


def save(path: Path, scopes: Mapping[str, int], layers: Mapping[str, tuple[int, ...]] = LAYERS) -> Path:
    """Write weights of several scopes, each with values from its seed, as tf_keras's ``save_weights``
    does.
    """
    with h5py.File(path, "w") as file:
        names = [f"{scope}/{layer}" if scope else layer for scope in scopes for layer in layers]
        file.attrs["layer_names"] = [name.encode() for name in names]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.21.0"
        for scope, seed in scopes.items():
            draw = np.random.default_rng(seed)
            for layer, shape in layers.items():
                name = f"{scope}/{layer}" if scope else layer
                group = file.create_group(name)
                group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
                group[f"{name}/kernel:0"] = draw.normal(size=shape).astype(np.float32)
                group[f"{name}/bias:0"] = draw.normal(size=shape[-1:]).astype(np.float32)
    return path


def messages(path: Path) -> list[tuple[str, int]]:
    return [
        (found.message, found.bytes) for found in mi.explain(path).findings if found.rule == "second-instance"
    ]


def test_a_model_that_was_built_twice_is_found_with_its_bytes(tmp_path: Path) -> None:
    path = save(tmp_path / "two.weights.h5", {"encoder": 1, "encoder_1": 2})
    ((message, size),) = messages(path)
    assert size == sum(4 * (np.prod(shape) + shape[-1]) for shape in LAYERS.values())
    assert "encoder_1 has the layers, types and shapes of encoder (4 layers, 8 tensors)" in message


def test_equal_values_are_duplicates_and_no_second_instance(tmp_path: Path) -> None:
    path = save(tmp_path / "same.weights.h5", {"encoder": 1, "encoder_1": 1})
    assert messages(path) == []
    assert "duplicate-tensors" in {found.rule for found in mi.explain(path).findings}


def test_blocks_that_repeat_are_layers_of_one_model(tmp_path: Path) -> None:
    assert messages(save(tmp_path / "blocks.weights.h5", {"block": 1, "block_1": 2, "block_2": 3})) == []


def test_two_layers_of_one_width_are_no_instances(tmp_path: Path) -> None:
    layers = {"dense": (64, 64), "dense_1": (64, 64), "other": (64, 64)}
    assert messages(save(tmp_path / "wide.weights.h5", {"": 1}, layers)) == []


def test_scopes_of_other_shapes_are_no_instances(tmp_path: Path) -> None:
    path = save(tmp_path / "one.weights.h5", {"encoder": 1})
    with h5py.File(path, "a") as file:
        names = [f"encoder/{layer}".encode() for layer in LAYERS]
        for layer, shape in LAYERS.items():
            name = f"encoder_1/{layer}"
            names.append(name.encode())
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            group[f"{name}/kernel:0"] = np.ones((*shape[:-1], shape[-1] + 1), np.float32)
        file.attrs["layer_names"] = names
    assert messages(path) == []
