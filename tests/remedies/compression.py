"""Proves the remedies that compress what stands there."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np

from modelinspect.remedies import Remedy
from tests.remedies.models import loaded, network, outputs
from tests.remedies.proving import equal_weights, findings, follow, have, proves, size


@proves(Remedy.GZIP_FILE)
def a_tflite_file_is_compressed_beside_itself() -> None:
    path = have("pruned_mlp/stripped/float32.tflite")
    follow(path, "dense-zeros", Remedy.GZIP_FILE)
    assert gzip.decompress(Path(f"{path}.gz").read_bytes()) == Path(path).read_bytes()
    assert "dense-zeros" not in findings(f"{path}.gz")
    assert size(f"{path}.gz") < 0.6 * size(path)


@proves(Remedy.GZIP_FILE)
def an_archive_and_a_frozen_graph_are_compressed_too() -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        kernel = np.random.default_rng(1).normal(size=(64, 64)).astype("f4")
        tf.constant(np.where(kernel > 1, kernel, 0), name="kernel")
    Path("frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    with tarfile.open("model.tar", "w") as archive:
        archive.add(have("pruned_mlp/stripped/float32.tflite"))
    for path in ("frozen.pb", "model.tar"):
        follow(path, "dense-zeros", Remedy.GZIP_FILE)
        assert "dense-zeros" not in findings(f"{path}.gz")
        assert size(f"{path}.gz") < 0.6 * size(path)


def _sparse_tfjs(folder: str) -> str:
    """Write a layers model of TensorFlow.js whose kernel is zero but for a tenth, in two shards."""
    random = np.random.default_rng(1)
    kernel = np.where(random.random((64, 64)) < 0.1, random.normal(size=(64, 64)), 0).astype("<f4")
    layer = {
        "class_name": "Dense",
        "config": {"name": "dense", "units": 64, "use_bias": False, "batch_input_shape": [None, 64]},
    }
    topology = {
        "keras_version": "2.15.0",
        "backend": "tensorflow",
        "model_config": {"class_name": "Sequential", "config": [layer]},
    }
    paths = [f"group1-shard{number}of2.bin" for number in (1, 2)]
    weights = [{"name": "dense/kernel", "shape": [64, 64], "dtype": "float32"}]
    Path(folder).mkdir()
    text = {
        "format": "layers-model",
        "modelTopology": topology,
        "weightsManifest": [{"paths": paths, "weights": weights}],
    }
    Path(folder, "model.json").write_text(json.dumps(text))
    for path, half in zip(paths, np.split(kernel, 2), strict=True):
        Path(folder, path).write_bytes(half.tobytes())
    return folder


@proves(Remedy.GZIP_FILES)
def the_files_of_a_tfjs_model_are_compressed_each() -> None:
    """The fixture's zeros are fewer bytes than the rule reports (512), so the model here is larger."""
    for place in ("whole", "folder"):
        folder = _sparse_tfjs(place)
        if place == "folder":
            os.chdir(folder)
        follow("model.json" if place == "folder" else folder, "dense-zeros", Remedy.GZIP_FILES)
        packed = sorted(Path("." if place == "folder" else folder).glob("*.bin.gz"))
        assert packed
        assert all(gzip.decompress(one.read_bytes()) == one.with_suffix("").read_bytes() for one in packed)
        assert sum(one.stat().st_size for one in packed) < sum(
            one.with_suffix("").stat().st_size for one in packed
        )


@proves(Remedy.GZIP_FOLDER)
def a_saved_model_and_checkpoints_are_packed_and_compressed() -> None:
    import tensorflow as tf

    for name in (
        "pruned_mlp/stripped/saved-model",
        "pruned_mlp/stripped/checkpoint",
        "checkpoint/objects/model.index",
    ):
        path = have(name)
        follow(path, "dense-zeros", Remedy.GZIP_FOLDER)
        packed = f"{path}.tar.gz"
        assert "dense-zeros" not in findings(packed)
        assert size(packed) < size(path)
        with tarfile.open(packed) as archive:
            archive.extractall("unpacked", filter="data")
        for file in Path("unpacked").rglob("*"):
            assert not file.is_file() or file.read_bytes() == Path(file.relative_to("unpacked")).read_bytes()
    assert tf.saved_model.load("unpacked/saved-model").signatures
    assert tf.train.load_checkpoint("unpacked/checkpoint/ckpt-1").get_variable_to_shape_map()
    assert tf.train.load_checkpoint("unpacked/model").get_variable_to_shape_map()


@proves(Remedy.GZIP_HDF5)
def keras_loads_what_shrink_compressed() -> None:
    path = have("mlp/stripped.h5")
    follow(path, "dense-zeros", Remedy.GZIP_HDF5)
    assert "dense-zeros" not in findings("smaller.h5")
    assert size("smaller.h5") < size(path) - 6_000
    assert equal_weights(loaded(path), loaded("smaller.h5"))


@proves(Remedy.GZIP_HDF5)
def keras_3_loads_weights_that_shrink_compressed() -> None:
    import keras

    model = network(keras, 128)
    model.set_weights([np.where(w > 0.1, w, 0) for w in model.get_weights()])
    model.save_weights("model.weights.h5")
    follow("model.weights.h5", "dense-zeros", Remedy.GZIP_HDF5)
    again = network(keras, 128)
    again.load_weights("smaller.weights.h5")
    assert equal_weights(model, again)
    assert "dense-zeros" not in findings("smaller.weights.h5")


@proves(Remedy.GZIP_HDF5)
def weights_of_few_values_take_less_compressed() -> None:
    import tf_keras

    model = network(tf_keras, 128)
    model.set_weights([np.sign(w) for w in model.get_weights()])
    model.save("binary.h5")
    follow("binary.h5", "float-with-few-values", Remedy.GZIP_HDF5)
    assert "float-with-few-values" not in findings("smaller.h5")
    assert size("smaller.h5") < size("binary.h5") - 4_000
    model.set_weights([np.full_like(w, 0.5) for w in model.get_weights()])
    large = tf_keras.Sequential([tf_keras.layers.Input((128,)), tf_keras.layers.Dense(64)])
    large.set_weights([np.full((128, 64), 0.5, "f4"), np.arange(64, dtype="f4")])
    large.save("splat.h5")
    Path("smaller.h5").unlink()
    follow("splat.h5", "splat-constant", Remedy.GZIP_HDF5)
    assert "splat-constant" not in findings("smaller.h5")
    assert equal_weights(large, loaded("smaller.h5"))


@proves(Remedy.DEFLATE_KERAS)
def keras_loads_an_archive_whose_members_are_deflated() -> None:
    path = have("pruned_mlp/stripped/model.keras")
    for rule in ("dense-zeros", "zip-stored"):
        Path("smaller.keras").unlink(missing_ok=True)
        follow(path, rule, Remedy.DEFLATE_KERAS)
    assert not {"dense-zeros", "zip-stored"} & findings("smaller.keras").keys()
    assert size("smaller.keras") < 0.5 * size(path)
    assert equal_weights(loaded(path), loaded("smaller.keras"))


@proves(Remedy.DEFLATE_KERAS)
def keras_3_loads_it_too() -> None:
    import keras

    model = network(keras, 128)
    model.set_weights([np.where(w > 0.1, w, 0) for w in model.get_weights()])
    model.save("model.keras")
    follow("model.keras", "zip-stored", Remedy.DEFLATE_KERAS)
    assert equal_weights(model, keras.models.load_model("smaller.keras"))


@proves(Remedy.GZIP_FILE)
def a_compressed_tflite_file_computes_the_same_once_it_is_unpacked() -> None:
    path = have("pruned_mlp/stripped/float32.tflite", "model.tflite")
    x = np.random.default_rng(1).normal(size=(4, 10)).astype("f4")
    before = outputs(path, x)
    follow(path, "dense-zeros", Remedy.GZIP_FILE)
    Path(path).unlink()
    subprocess.run(["gunzip", f"{path}.gz"], check=True)
    assert np.array_equal(before, outputs(path, x))
