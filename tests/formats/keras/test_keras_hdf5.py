"""Keras's HDF5 files: layers, roles, kinds and facts, from the lists of names and the configuration."""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pytest
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.keras_hdf5 import clean, kind_of, layers, parse_made, parse_path, roles

from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import PackedPayload
from modelinspect.formats.keras.config import model_config, read_config
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles

MODELS = [
    name for name in fixture_names(suffix=".h5") if not name.startswith(("hdf5_structures/", "unsafe/"))
]


@pytest.mark.parametrize("name", MODELS)
def test_every_file_that_keras_writes_is_clean(name: str) -> None:
    artifact = parse_path(fixture_path(name))
    assert clean(artifact), artifact.diagnostics
    assert artifact.format is (
        FormatName.WEIGHTS_HDF5 if name.endswith(".weights.h5") else FormatName.KERAS_HDF5
    )
    assert len({tensor.name for tensor in artifact.tensors}) == len(artifact.tensors)


@pytest.mark.parametrize("name", MODELS)
def test_every_data_set_is_one_tensor_of_its_shape_and_bytes(name: str) -> None:
    path = fixture_path(name)
    artifact = parse_path(path)
    packed = [
        tensor.payload.stored_shape if isinstance(tensor.payload, PackedPayload) else tensor.shape
        for tensor in artifact.tensors
    ]
    stored = [
        tensor.logical_size if tensor.dtype.bits >= 8 else tensor.stored_size for tensor in artifact.tensors
    ]
    found = set(zip(packed, stored, strict=True))
    expected: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: expected.append(item) if isinstance(item, h5py.Dataset) else None)
        assert len(artifact.tensors) == len(expected)
        assert found == {(item.shape, item.nbytes) for item in expected}
        raw = {item.id.get_offset() for item in expected if item.id.get_offset() is not None}
    extents = {
        tensor.extents[0].span.offset
        for tensor in artifact.tensors
        if tensor.extents and tensor.extents[0].encoding == "raw"
    }
    assert raw <= extents


def test_a_trained_model_tells_weights_from_the_state_of_adam() -> None:
    artifact = parse_path(fixture_path("mlp/original.h5"))
    found = roles(artifact)
    assert {
        name: found[name] for name in ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    } == dict.fromkeys(("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"), "weight")
    slots = {name for name, role in found.items() if role == "optimizer"}
    assert slots == set(found) - {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"}
    assert layers(artifact)["optimizer/Adam/m/dense/kernel"] == "dense"
    assert layers(artifact)["optimizer/iteration"] is None
    assert artifact.facts["optimizer"] == "Custom>Adam"
    assert artifact.facts["compiled"] is True
    assert artifact.facts["model_class"] == "Sequential"
    assert artifact.facts["parameters"] == 10 * 128 + 128 + 128 * 10 + 10
    assert artifact.facts["backend"] == "tensorflow"


def test_the_state_of_pruning_is_known_by_its_wrapper() -> None:
    artifact = parse_path(fixture_path("mlp/wrapped.h5"))
    pruning = {name.rpartition("/")[2] for name, role in roles(artifact).items() if role == "pruning"}
    assert pruning == {"mask", "threshold", "pruning_step"}
    assert artifact.facts["wrapped_layers"] == {"PruneLowMagnitude": 2}


def test_statistics_are_known_by_the_class_of_their_layer() -> None:
    for name in ("keras_hdf5/normalized.h5", "keras_hdf5/normalized_weights.h5"):
        found = roles(parse_path(fixture_path(name)))
        statistics = {key for key, role in found.items() if role == "statistic"}
        assert statistics == {
            "norm/moving_mean",
            "norm/moving_variance",
            "scale/mean",
            "scale/variance",
            "scale/count",
        }


def test_slots_of_a_legacy_optimizer_belong_to_the_layers_of_their_weights() -> None:
    found = layers(parse_path(fixture_path("keras_hdf5/normalized.h5")))
    slots = {
        name: layer for name, layer in found.items() if name.startswith("optimizer/") and "kernel" in name
    }
    assert sorted(slots.values()) == ["hidden", "out"]


def test_wrappers_are_known_by_their_names_where_no_configuration_tells() -> None:
    found = roles(parse_path(fixture_path("keras_hdf5/pruned_weights.h5")))
    pruning = sorted(name.rpartition("/")[2] for name, role in found.items() if role == "pruning")
    assert pruning == sorted(["mask", "threshold", "pruning_step"] * 2 + ["pruning_step"])


def test_clusters_and_ranges_are_helpers() -> None:
    clusters = roles(parse_path(fixture_path("keras_hdf5/clustered.h5")))
    helpers = {name.rpartition("/")[2] for name, role in clusters.items() if role == "pruning"}
    assert helpers == {"cluster_centroids_kernel", "pulling_indices_kernel"}
    aware = roles(parse_path(fixture_path("keras_hdf5/quantization_aware.h5")))
    assert {name for name, role in aware.items() if role == "weight"} == {"hidden/kernel", "hidden/bias"}


def test_keras_3_models_name_layers_without_the_models_name() -> None:
    artifact = parse_path(fixture_path("keras3_hdf5/nested.h5"))
    found = layers(artifact)
    assert found["out/kernel"] == "out"
    assert found["sub/inner/kernel"] == "sub/inner"
    assert found["optimizer/adam/sub_inner_kernel_momentum"] == "sub/inner"
    assert roles(artifact)["norm/moving_mean"] == "statistic"
    assert artifact.facts["optimizer"] == "Adam"


def test_scales_of_quantized_layers_are_quantization() -> None:
    found = roles(parse_path(fixture_path("keras3_hdf5/int8.h5")))
    assert {name for name, role in found.items() if role == "quantization"} == {
        "with_bias/kernel_scale",
        "without/kernel_scale",
    }


def keras_file(file: h5py.File) -> None:
    """Write a model as Keras does, with a text in each place."""
    file.attrs["model_config"] = json.dumps(
        {"class_name": "Sequential", "config": {"name": "THE-GRAPH", "layers": []}}
    )
    file.attrs["training_config"] = json.dumps(
        {"loss": "THE-TRAINING", "optimizer_config": {"class_name": "SGD", "config": {}}}
    )
    file.attrs["keras_version"] = "THE-VERSION"
    weights = file.create_group("model_weights")
    weights.attrs["layer_names"] = np.array([b"THE-LAYER-NAME"])
    layer = weights.create_group("THE-LAYER")
    layer.attrs["weight_names"] = np.array([b"THE-WEIGHT-NAME:0"])


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_the_configuration_is_graph_and_the_rest_metadata_wherever_it_stands(libver: str) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=libver) as file:
        keras_file(file)
        for index in range(
            12 if libver == "latest" else 0
        ):  # more than eight attributes stand in a fractal heap
            file.attrs[f"more_{index}"] = index
    data = buffer.getvalue()
    artifact = parse(MemoryFiles({"m.h5": data}, "m.h5"))
    assert artifact.format is FormatName.KERAS_HDF5
    assert clean(artifact)
    assert kind_of(artifact, data, b"THE-GRAPH") is RegionKind.GRAPH
    for text in (b"THE-TRAINING", b"THE-VERSION", b"THE-LAYER-NAME", b"THE-WEIGHT-NAME:0"):
        assert kind_of(artifact, data, text) is RegionKind.METADATA
    assert artifact.facts["optimizer"] == "SGD"
    assert artifact.facts["keras_version"] == "THE-VERSION"


def test_lists_of_names_split_over_attributes_are_read_whole() -> None:
    def fill(file: h5py.File) -> None:
        names = [f"layer_{index}" for index in range(5)]
        file.attrs["layer_names0"] = np.array([name.encode() for name in names[:3]])
        file.attrs["layer_names1"] = np.array([name.encode() for name in names[3:]])
        for name in names:
            layer = file.create_group(name)
            layer.attrs["weight_names0"] = np.array([f"{name}/kernel:0".encode()])
            layer.attrs["weight_names1"] = np.array([f"{name}/bias:0".encode()])
            layer[f"{name}/kernel:0"] = np.ones((2, 2), "f4")
            layer[f"{name}/bias:0"] = np.ones(2, "f4")

    artifact = parse_made(fill)
    assert artifact.format is FormatName.KERAS_HDF5
    assert [layer["name"] for layer in artifact.facts["layers"]] == [f"layer_{index}" for index in range(5)]  # type: ignore[index, union-attr]
    assert roles(artifact) == {
        f"layer_{index}/{weight}": "weight" for index in range(5) for weight in ("kernel", "bias")
    }
    assert layers(artifact)["layer_4/bias"] == "layer_4"


def test_keras_1_files_are_known_by_their_parameters_names() -> None:
    def fill(file: h5py.File) -> None:
        file.attrs["layer_names"] = np.array([b"dense_1", b"bn"])
        for name, weights in (
            ("dense_1", ("dense_1_W", "dense_1_b")),
            ("bn", ("bn_gamma", "bn_running_mean")),
        ):
            layer = file.create_group(name)
            layer.attrs["weight_names"] = np.array([weight.encode() for weight in weights])
            for weight in weights:
                layer[weight] = np.ones(3, "f4")

    artifact = parse_made(fill)
    assert layers(artifact) == {
        "dense_1/dense_1_W": "dense_1",
        "dense_1/dense_1_b": "dense_1",
        "bn/bn_gamma": "bn",
        "bn/bn_running_mean": "bn",
    }


def test_two_layers_with_the_same_weight_name_stay_apart() -> None:
    def fill(file: h5py.File) -> None:
        file.attrs["layer_names"] = np.array([b"a", b"b"])
        for name in ("a", "b"):
            layer = file.create_group(name)
            layer.attrs["weight_names"] = np.array([b"shared/kernel:0"])
            layer["shared/kernel:0"] = np.ones(3, "f4")

    assert layers(parse_made(fill)) == {"shared/kernel": "a", "b/shared/kernel:0": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"class_name": 5}',
        '{"class_name": "M", "config": 7}',
        "[" * 100_000,
        '{"a":' * 50_000,
        "9" * 10_000,
    ],
)
def test_no_configuration_is_too_strange(text: str) -> None:
    read_config(text)

    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = text
        file.attrs["training_config"] = file.attrs["model_config"]
        file.create_group("model_weights").create_group("layer").create_dataset(
            "kernel", data=np.ones(2, "f4")
        )

    artifact = parse_made(fill)
    assert artifact.format is FormatName.KERAS_HDF5
    assert roles(artifact) == {"layer/kernel": "weight"}


def test_a_configuration_nests_no_deeper_than_models_do() -> None:
    config: object = {"class_name": "Dense", "config": {"name": "innermost"}}
    for _ in range(500):
        config = {"class_name": "Wrapper", "config": {"layer": config}}
    model = model_config(config)
    assert model is not None
    assert sum(1 for _ in model.walk()) <= 60


def test_a_user_block_does_not_hide_the_model() -> None:
    artifact = parse_made(keras_file, userblock_size=1024)
    assert artifact.format is FormatName.KERAS_HDF5
    assert artifact.facts["hdf5"]["user_block"] == 1024  # type: ignore[index, call-overload]
