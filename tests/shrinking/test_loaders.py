"""The real loaders load what shrink writes: all weights and the outputs on seeded inputs are bit-equal."""

from __future__ import annotations

import gzip
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from tests.support.fixtures import fixture_path

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def small_network(keras: Any) -> Any:
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.InputLayer((12, 12, 3)),
            layers.Conv2D(8, 3, activation="relu", name="stem"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(4, activation="softmax"),
        ]
    )
    network.compile("adam", keras.losses.MeanSquaredError(), metrics=[keras.metrics.MeanAbsoluteError()])
    random = np.random.default_rng(0)
    network.fit(random.random((16, 12, 12, 3)), random.random((16, 4)), verbose=0)
    kernel, bias = network.layers[-2].get_weights()
    network.layers[-2].set_weights([kernel * (random.random(kernel.shape) < 0.1), bias])
    return network


def same(before: Any, after: Any) -> None:
    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    inputs = np.random.default_rng(1).random((2, *before.inputs[0].shape[1:])).astype("f4")
    np.testing.assert_array_equal(before.predict(inputs, verbose=0), after.predict(inputs, verbose=0))


@pytest.mark.parametrize("drop", [(), ("training",)])
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_trained_network_loads_as_before(
    package: str, ending: str, drop: tuple[str, ...], tmp_path: Path
) -> None:
    keras = pytest.importorskip(package)
    network = small_network(keras)
    before, after = tmp_path / f"before{ending}", tmp_path / f"after{ending}"
    network.save_weights(before) if "weights" in ending else network.save(before)
    report = mi.shrink(before, after, drop=drop)
    assert report.after is not None, report.reason
    if "weights" in ending:
        loaded = small_network(keras)
        loaded.load_weights(after)
    else:
        loaded = keras.models.load_model(after)
        if not drop:
            steps = [int(np.asarray(one.optimizer.iterations)) for one in (network, loaded)]
            assert steps[0] == steps[1] > 0
    same(network, loaded)


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_new_network_whose_layers_have_equal_statistics_loads_as_before(
    package: str, ending: str, tmp_path: Path
) -> None:
    keras = pytest.importorskip(package)

    def made() -> Any:
        dense = [
            layer for _ in range(3) for layer in (keras.layers.Dense(512), keras.layers.BatchNormalization())
        ]
        return keras.Sequential([keras.layers.InputLayer((16,)), *dense])

    network = made()
    before, after = tmp_path / f"before{ending}", tmp_path / f"after{ending}"
    network.save_weights(before) if "weights" in ending else network.save(before)
    report = mi.shrink(before, after)
    assert report.after is not None, report.reason
    loaded = made() if "weights" in ending else keras.models.load_model(after)
    if "weights" in ending:
        loaded.load_weights(after)
    same(network, loaded)


@pytest.mark.parametrize(
    "name",
    [
        "pruned_mlp/wrapped/model.h5",
        "pruned_mlp/wrapped/model.keras",
        "pruned_layers/lstm/wrapped/model.keras",
    ],
)
def test_a_wrapped_network_loads_as_tfmot_strips_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    tf_keras = pytest.importorskip("tf_keras")
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    after = tmp_path / Path(name).name
    report = mi.shrink(fixture_path(name), after, drop=["training"])
    assert report.after is not None, report.reason
    with tfmot.sparsity.keras.prune_scope():
        wrapped = tf_keras.models.load_model(fixture_path(name), compile=False)
    same(tfmot.sparsity.keras.strip_pruning(wrapped), tf_keras.models.load_model(after))


@pytest.mark.parametrize("form", ["folder", "shards"])
def test_folders_without_their_optimizer_load_as_before(form: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    network = small_network(keras)
    before, after = tmp_path / "before", tmp_path / "after"
    if form == "folder":
        keras.saving.save_model(network, before, zipped=False)
    else:
        before.mkdir()
        network.save_weights(before / "net.weights.json", max_shard_size=2.5e-4)
        assert len(list(before.iterdir())) > 3
    report = mi.shrink(before, after, drop=["training"])
    assert report.after is not None, report.reason
    assert report.proof is not None
    assert report.proof.dropped > 10
    if form == "folder":
        loaded = keras.models.load_model(after)
        assert not loaded.compiled
    else:
        loaded = small_network(keras)
        loaded.load_weights(after / "net.weights.json")
    same(network, loaded)
    assert mi.shrink(after, drop=["training"]).outcome == "unchanged"


def test_weights_of_a_wrapped_network_lose_the_optimizer_and_load_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    tf_keras = pytest.importorskip("tf_keras")
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    source = fixture_path("pruned_mlp/wrapped/model.weights.h5")
    report = mi.shrink(source, tmp_path / "after.weights.h5", drop=["training"])
    assert report.after is not None, report.reason
    assert any("wrappers and masks stay" in note for note in report.notes)
    with tfmot.sparsity.keras.prune_scope():
        networks = [
            tf_keras.models.load_model(fixture_path("pruned_mlp/wrapped/model.keras")) for _ in range(2)
        ]
    for network, path in zip(networks, (source, tmp_path / "after.weights.h5"), strict=True):
        network.set_weights([np.zeros_like(each) for each in network.get_weights()])
        network.load_weights(path)
    assert any(each.any() for each in networks[0].get_weights())
    same(*networks)


SAVED_MODELS = [
    "pruned_mlp/wrapped/saved-model",
    "saved_model_keras3/exported",
    "saved_model/keras",
    "saved_model/affine",
]


@pytest.mark.parametrize("name", SAVED_MODELS)
def test_a_saved_model_runs_as_before_and_its_fingerprint_is_right(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    before, after = fixture_path(name), tmp_path / "after"
    assert mi.shrink(before, after).after is not None
    old, new = tf.saved_model.load(str(before)), tf.saved_model.load(str(after))
    assert set(old.signatures) == set(new.signatures) != set()
    random = np.random.default_rng(0)
    for key, function in old.signatures.items():
        specs = function.structured_input_signature[1]
        inputs = {
            one: tf.cast(random.random([size or 2 for size in spec.shape]), spec.dtype)
            for one, spec in specs.items()
        }
        for one, values in function(**inputs).items():
            np.testing.assert_array_equal(values, new.signatures[key](**inputs)[one])
    index = (after / "variables" / "variables.index").read_bytes()
    expected = (
        tf.raw_ops.Fingerprint(data=np.frombuffer(index, np.uint8)[None], method=b"farmhash64")
        .numpy()[0]
        .tobytes()
    )
    assert tf.saved_model.experimental.read_fingerprint(str(after)).checkpoint_hash == int.from_bytes(
        expected, "little"
    )


@pytest.mark.parametrize(
    "name", ["checkpoint/adam", "checkpoint_keras3/training", "checkpoint_tf1/shards", "checkpoint/kept"]
)
def test_every_variable_of_a_checkpoint_is_read_as_before(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    assert mi.shrink(fixture_path(name), tmp_path / "after").after is not None
    for index in fixture_path(name).rglob("*.index"):
        old = tf.train.load_checkpoint(str(index.with_suffix("")))
        new = tf.train.load_checkpoint(
            str(tmp_path / "after" / index.with_suffix("").relative_to(fixture_path(name)))
        )
        assert old.get_variable_to_shape_map() == new.get_variable_to_shape_map()
        for key in old.get_variable_to_shape_map():
            np.testing.assert_array_equal(old.get_tensor(key), new.get_tensor(key))


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_checkpoint_without_its_optimizer_restores_a_model_that_trains_on(
    package: str, tmp_path: Path
) -> None:
    import tensorflow as tf

    keras = pytest.importorskip(package)
    network = small_network(keras)
    before = tf.train.Checkpoint(model=network, optimizer=network.optimizer).write(str(tmp_path / "before"))
    report = mi.shrink(before, tmp_path / "after", drop=["training"])
    assert report.after is not None, report.reason
    assert report.after.size < 0.5 * report.before.size
    fresh = small_network(keras)
    fresh.set_weights([np.zeros_like(one) for one in fresh.get_weights()])
    tf.train.Checkpoint(model=fresh, optimizer=fresh.optimizer).restore(
        str(tmp_path / "after")
    ).expect_partial()
    same(network, fresh)
    fresh.fit(np.ones((8, 12, 12, 3)), np.ones((8, 4)), verbose=0)


def test_fingerprints_are_those_of_tensorflow() -> None:
    import tensorflow as tf

    from modelinspect.shrinking.farmhash import fingerprint64

    random = np.random.default_rng(0)
    for size in [*range(1, 200), 1000, 4096, 65_537]:
        data = random.integers(0, 256, size, dtype=np.uint8)
        expected = tf.raw_ops.Fingerprint(data=data[None], method=b"farmhash64").numpy()[0].tobytes()
        assert fingerprint64(data.tobytes()) == int.from_bytes(expected, "little")


MODELS = [
    "archives/model.h5.gz",
    "archives/model.keras",
    "keras3_hdf5/nested.h5",
    "keras_hdf5/normalized.h5",
    "keras_zip/deflated.keras",
    "keras_zip/folder",
    "keras_zip/gzip_inside.keras",
    "keras_zip/model.keras",
    "mlp/original.h5",
    "mlp/original_no_optimizer.h5",
    "mlp/stripped.h5",
    "pruned_blocks/two-by-four/stripped/model.h5",
    "pruned_layers/attention/stripped/model.keras",
    "pruned_layers/cnn/stripped/deflate.keras",
    "pruned_layers/cnn/stripped/gzip.h5",
    "pruned_layers/cnn/stripped/model.h5",
    "pruned_layers/embedding/stripped/model.keras",
    "pruned_layers/lstm/stripped/model.h5",
    "pruned_levels/mlp-0/stripped/model.h5",
    "pruned_levels/mlp-95/stripped/model.h5",
    "pruned_mlp/original/model.h5",
    "pruned_mlp/original/model.h5.gz",
    "pruned_mlp/original/model.keras",
    "pruned_mlp/stripped/deflate.keras",
    "pruned_mlp/stripped/gzip.h5",
    "pruned_mlp/stripped/model.h5",
    "pruned_mlp/stripped/model.h5.gz",
    "pruned_mlp/stripped/model.keras",
    "pruned_mlp/stripped/model.keras.gz",
    "pruned_mlp/stripped/no-optimizer.h5",
]
"""Fixtures that one of the two Keras loads as a model."""


def loaded(path: Path, folder: Path) -> Any:
    """Load a model with the Keras that wrote it, unpacked where it is compressed."""
    if path.suffix == ".gz":
        unpacked = folder / path.stem
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    version = str(mi.open(path).facts.get("keras_version", ""))
    return import_module("tf_keras" if version.startswith("2") else "keras").models.load_model(
        path, compile=False
    )


@pytest.mark.parametrize("name", MODELS)
def test_keras_loads_a_fixture_as_before_and_computes_the_same(name: str, tmp_path: Path) -> None:
    models = []
    for number, path in enumerate((fixture_path(name), tmp_path / Path(name).name)):
        if number:
            assert mi.shrink(fixture_path(name), path).outcome != "refused"
            path = path if path.exists() else fixture_path(name)
        folder = tmp_path / str(number)
        folder.mkdir()
        models.append(loaded(path, folder))
    before, after = models
    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    random = np.random.default_rng(1)
    inputs = [
        random.random((2, *(size or 4 for size in one.shape[1:]))).astype(
            getattr(one.dtype, "name", one.dtype)
        )
        for one in before.inputs
    ]
    for one, other in zip(as_list(before(inputs)), as_list(after(inputs)), strict=True):
        np.testing.assert_array_equal(one, other)


def as_list(value: Any) -> list[Any]:
    return [np.asarray(each) for each in (value if isinstance(value, list | tuple) else [value])]


def test_h5py_reads_every_dataset_of_a_preset_and_of_shards_as_before(tmp_path: Path) -> None:
    import h5py

    count = 0
    for name in ("keras_presets/sharded", "keras_zip/sharded", "hugging_face/both"):
        out = tmp_path / Path(name).name.replace("sharded", name.partition("/")[0])
        assert mi.shrink(fixture_path(name), out).after is not None
        for path in fixture_path(name).rglob("*.h5"):
            found: list[dict[str, Any]] = []
            for place in (path, out / path.relative_to(fixture_path(name))):
                values: dict[str, Any] = {}
                with h5py.File(place) as file:
                    file.visititems(
                        lambda key, item, values=values: values.update(
                            {key: item[()]} if isinstance(item, h5py.Dataset) else {}
                        )
                    )
                found.append(values)
            assert found[0].keys() == found[1].keys()
            for key, value in found[0].items():
                np.testing.assert_array_equal(value, found[1][key])
                count += 1
    assert count > 30
