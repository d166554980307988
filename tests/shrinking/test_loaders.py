"""The real loaders load what shrink writes: all weights and the outputs on seeded inputs are bit-equal."""

from __future__ import annotations

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
def test_a_trained_network_loads_as_before(package: str, ending: str, drop: tuple[str, ...], tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    "name", ["pruned_mlp/wrapped/model.h5", "pruned_mlp/wrapped/model.keras", "pruned_layers/lstm/wrapped/model.keras"]
)
def test_a_wrapped_network_loads_as_tfmot_strips_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    tf_keras = pytest.importorskip("tf_keras")
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    after = tmp_path / Path(name).name
    report = mi.shrink(fixture_path(name), after, drop=["training"])
    assert report.after is not None, report.reason
    with tfmot.sparsity.keras.prune_scope():
        wrapped = tf_keras.models.load_model(fixture_path(name), compile=False)
    same(tfmot.sparsity.keras.strip_pruning(wrapped), tf_keras.models.load_model(after))


SAVED_MODELS = ["pruned_mlp/wrapped/saved-model", "saved_model_keras3/exported", "saved_model/keras", "saved_model/affine"]


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
        inputs = {one: tf.cast(random.random([size or 2 for size in spec.shape]), spec.dtype) for one, spec in specs.items()}
        for one, values in function(**inputs).items():
            np.testing.assert_array_equal(values, new.signatures[key](**inputs)[one])
    index = (after / "variables" / "variables.index").read_bytes()
    expected = tf.raw_ops.Fingerprint(data=np.frombuffer(index, np.uint8)[None], method=b"farmhash64").numpy()[0].tobytes()
    assert tf.saved_model.experimental.read_fingerprint(str(after)).checkpoint_hash == int.from_bytes(expected, "little")


@pytest.mark.parametrize("name", ["checkpoint/adam", "checkpoint_keras3/training", "checkpoint_tf1/shards", "checkpoint/kept"])
def test_every_variable_of_a_checkpoint_is_read_as_before(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    assert mi.shrink(fixture_path(name), tmp_path / "after").after is not None
    for index in fixture_path(name).rglob("*.index"):
        old = tf.train.load_checkpoint(str(index.with_suffix("")))
        new = tf.train.load_checkpoint(str(tmp_path / "after" / index.with_suffix("").relative_to(fixture_path(name))))
        assert old.get_variable_to_shape_map() == new.get_variable_to_shape_map()
        for key in old.get_variable_to_shape_map():
            np.testing.assert_array_equal(old.get_tensor(key), new.get_tensor(key))


def test_fingerprints_are_those_of_tensorflow() -> None:
    import tensorflow as tf

    from modelinspect.shrinking.farmhash import fingerprint64

    random = np.random.default_rng(0)
    for size in [*range(1, 200), 1000, 4096, 65_537]:
        data = random.integers(0, 256, size, dtype=np.uint8)
        expected = tf.raw_ops.Fingerprint(data=data[None], method=b"farmhash64").numpy()[0].tobytes()
        assert fingerprint64(data.tobytes()) == int.from_bytes(expected, "little")
