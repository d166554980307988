"""Proves the remedies that store once what is stored twice."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from modelinspect.remedies import Remedy
from tests.cases import build_by_hand
from tests.remedies.models import X, network, outputs
from tests.remedies.proving import causes, findings, follow, printed, proves, size

_RULE = "duplicate-tensors"


@proves(Remedy.SAVE_ONCE)
def shrink_stores_each_variable_of_a_keras_3_export_once() -> None:
    import keras
    import tensorflow as tf

    model = network(keras, 256)
    model.export("exported", verbose=False)
    for name in (_RULE, "export-duplicate"):
        follow("exported", name, Remedy.SAVE_ONCE)
        assert _RULE not in findings("small-exported")
        assert "export-duplicate" not in causes("small-exported")
        made = tf.saved_model.load("small-exported").signatures["serving_default"](tf.constant(X))
        assert np.allclose(next(iter(made.values())), model.predict(X, verbose=0), atol=1e-5)
        shutil.rmtree("small-exported")
    os.chdir("exported/variables")
    follow("variables", _RULE, Remedy.SAVE_ONCE)
    assert _RULE not in findings("small-variables")
    old, new = (tf.train.load_checkpoint(prefix) for prefix in ("./variables", "./small-variables"))
    assert old.get_variable_to_shape_map() == new.get_variable_to_shape_map() != {}
    for key in old.get_variable_to_shape_map():
        assert np.array_equal(old.get_tensor(key), new.get_tensor(key))


@proves(Remedy.KEEP_ONE_CHECKPOINT)
def a_manager_keeps_the_last_checkpoint_alone() -> None:
    import tensorflow as tf

    folders = {}
    for kept in (2, 1):
        checkpoint = tf.train.Checkpoint(kernel=tf.Variable(np.arange(4096, dtype="f4")))
        manager = tf.train.CheckpointManager(checkpoint, f"kept_{kept}", max_to_keep=kept)
        folders[kept] = [manager.save() for _ in range(2)]
    printed("kept_2", _RULE, Remedy.KEEP_ONE_CHECKPOINT)
    assert "max_to_keep=1" in findings("kept_2")[_RULE]
    assert _RULE not in findings("kept_1")
    assert size("kept_1") < 0.6 * size("kept_2")
    assert tf.train.latest_checkpoint("kept_1") == folders[1][-1]


@proves(Remedy.LINK_WEIGHTS)
def shrink_stores_equal_weights_of_two_layers_once() -> None:
    import keras
    import tensorflow as tf
    import tf_keras

    x = np.random.default_rng(1).normal(size=(3, 64)).astype("f4")
    for module, suffix in ((tf_keras, ".h5"), (tf_keras, ".keras"), (keras, ".keras")):
        name = f"{module.__name__}{suffix}"
        twice = _siamese(module)
        twice.save(name)
        printed(name, "shared-duplicate", Remedy.LINK_WEIGHTS)
        _shrunk(name, Remedy.LINK_WEIGHTS)
        loaded = module.models.load_model(f"small-{name}")
        assert np.array_equal(loaded.predict([x, x], verbose=0), twice.predict([x, x], verbose=0))
    twice.save_weights("twice.weights.h5")
    tf.saved_model.save(twice, "twice_saved")
    tf.train.Checkpoint(model=twice).write("twice_checkpoint")
    _shrunk("twice.weights.h5", Remedy.LINK_WEIGHTS)
    other = _siamese(keras, seed=2)
    other.load_weights("small-twice.weights.h5")
    assert np.array_equal(other.predict([x, x], verbose=0), twice.predict([x, x], verbose=0))
    _shrunk("twice_saved", Remedy.SAVE_ONCE)
    served = tf.saved_model.load("small-twice_saved").signatures["serving_default"]
    assert served.structured_outputs
    _shrunk("twice_checkpoint", Remedy.SAVE_ONCE)
    other = _siamese(keras, seed=2)
    tf.train.Checkpoint(model=other).read("small-twice_checkpoint").assert_existing_objects_matched()
    assert np.array_equal(other.get_weights(), twice.get_weights())


@proves(Remedy.LINK_WEIGHTS)
def shrink_stores_once_what_a_wrapper_and_its_layer_both_store() -> None:
    import keras

    inputs = keras.Input((64,))
    model = keras.Model(inputs, keras.layers.SpectralNormalization(keras.layers.Dense(64))(inputs))
    model.save("spectral.keras")
    _shrunk("spectral.keras", Remedy.LINK_WEIGHTS)
    loaded = keras.models.load_model("small-spectral.keras")
    assert all(map(np.array_equal, loaded.get_weights(), model.get_weights()))


def _shrunk(name: str, remedy: Remedy) -> None:
    """Follow the remedy; the result has no copy any more, and is smaller by one kernel at least."""
    follow(name, _RULE, remedy)
    assert _RULE not in findings(f"small-{name}")
    data = f"{name}.data-00000-of-00001" if Path(f"{name}.index").exists() else name
    assert size(f"small-{data}") < size(data) - 4 * 60 * 64


def _siamese(keras: Any, seed: int = 1) -> Any:
    """Return a model whose two branches are two layers with equal weights."""
    kernel = np.random.default_rng(seed).normal(size=(64, 64)).astype("f4")
    layers = [keras.layers.Dense(64, use_bias=False, name=f"branch_{index}") for index in range(2)]
    inputs = [keras.Input((64,)), keras.Input((64,))]
    model = keras.Model(inputs, keras.layers.Add()([layers[0](inputs[0]), layers[1](inputs[1])]))
    for layer in layers:
        layer.set_weights([kernel])
    return model


@proves(Remedy.CONVERT_AGAIN)
def shrink_stores_equal_buffers_once() -> None:
    build_by_hand.unrolled(Path())
    os.chdir("28-unrolled")
    follow("copied.tflite", _RULE, Remedy.CONVERT_AGAIN)
    kernel = 64 * 64 * 4
    assert _RULE not in findings("small-copied.tflite")
    assert size("small-copied.tflite") < 1.3 * kernel < size("copied.tflite") / 2
    x = np.random.default_rng(1).normal(size=(1, 64)).astype("f4")
    assert np.array_equal(outputs("small-copied.tflite", x), outputs("copied.tflite", x))


@proves(Remedy.LINK_DATASET)
def shrink_stores_equal_datasets_once() -> None:
    values = np.random.default_rng(1).normal(size=(64, 64))
    with h5py.File("twice.h5", "w") as file:
        file["one"] = values
        file["sub/other"] = values
    follow("twice.h5", _RULE, Remedy.LINK_DATASET)
    assert _RULE not in findings("small-twice.h5")
    assert size("small-twice.h5") < size("twice.h5") - values.nbytes // 2
    with h5py.File("small-twice.h5") as file:
        assert np.array_equal(file["one"], values)
        assert np.array_equal(file["sub/other"], values)


@proves(Remedy.READ_VARIABLES)
def functions_that_read_variables_bring_no_constants() -> None:
    import tensorflow as tf

    weights = np.random.default_rng(1).normal(size=(16, 64)).astype("f4")

    class Model(tf.Module):
        def __init__(self, frozen: bool) -> None:
            super().__init__()
            self.kernel = tf.Variable(weights)
            self.frozen = frozen

        @tf.function(input_signature=[tf.TensorSpec((None, 16))])
        def __call__(self, x: Any) -> Any:
            return x @ (tf.constant(weights) if self.frozen else self.kernel)

    made = {name: Model(name == "frozen") for name in ("frozen", "plain")}
    for name, model in made.items():
        tf.saved_model.save(model, name, signatures=model.__call__)
    text = printed("frozen", "const-and-variable", Remedy.READ_VARIABLES)
    assert "read the variables" in text
    assert "const-and-variable" not in findings("plain")
    assert size("plain") < size("frozen") - weights.nbytes // 2
    assert np.allclose(made["frozen"](X), made["plain"](X))
    graph = tf.compat.v1.GraphDef()
    library = tf.saved_model.load("frozen").signatures["serving_default"].graph.as_graph_def()
    graph.CopyFrom(library)
    Path("frozen.pb").write_bytes(graph.SerializeToString())
    assert "const-and-variable" not in findings("frozen.pb")


@proves(Remedy.BROADCAST)
def a_value_that_operators_broadcast_is_stored_once() -> None:
    import tensorflow as tf

    results = {}
    for name, factor in (
        ("filled", lambda: tf.fill([1, 128, 128], 0.5)),
        ("broadcast", lambda: tf.constant(0.5)),
    ):
        half = tf.function(
            lambda x, factor=factor: x * factor(), input_signature=[tf.TensorSpec((1, 128, 128))]
        )
        concrete = half.get_concrete_function()
        Path(f"{name}.tflite").write_bytes(
            tf.lite.TFLiteConverter.from_concrete_functions([concrete], half).convert()
        )
        results[name] = half(tf.ones((1, 128, 128)))
    printed("filled.tflite", "splat-constant", Remedy.BROADCAST)
    assert "splat-constant" not in findings("broadcast.tflite")
    assert size("broadcast.tflite") < size("filled.tflite") - 60_000
    assert np.array_equal(results["filled"], results["broadcast"])
