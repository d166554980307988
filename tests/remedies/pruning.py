"""Proves the remedies that prune as it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

import modelinspect as mi
from modelinspect.remedies import Remedy
from tests.remedies.models import X, Y, convert, loaded, network, steps, stripped, trained, wrapped
from tests.remedies.proving import equal_weights, findings, follow, have, printed, proves, size
from tests.support.surgery import places_of, removal_of, without


@proves(Remedy.BASELINE_FIRST)
def a_baseline_that_is_saved_before_pruning_is_dense() -> None:
    import tensorflow_model_optimization as tfmot
    import tf_keras

    model = network(tf_keras)
    model.save("baseline.h5")
    schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0, end_step=-1, frequency=1)
    made = trained(
        tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule), callbacks=steps()
    )
    model.save("late.h5")
    stripped(made).save("pruned.h5")
    printed("pruned.h5", "baseline-already-sparse", Remedy.BASELINE_FIRST, before="late.h5")
    assert "baseline-already-sparse" not in findings("pruned.h5", before="baseline.h5")


@proves(Remedy.APPLY_MASKS)
def training_with_the_callback_applies_the_masks() -> None:
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot

    model = trained(wrapped(), callbacks=steps())
    for layer in model.layers:
        layer.layer.kernel.assign_add(tf.ones_like(layer.layer.kernel))
    model.save("lost.h5", include_optimizer=False)
    follow("lost.h5", "sparsity-lost", Remedy.APPLY_MASKS, model=model, tfmot=tfmot, x=X, y=Y)
    model.save("kept.h5", include_optimizer=False)
    assert "sparsity-lost" not in findings("kept.h5")


@proves(Remedy.BEGIN_PRUNING)
def training_for_more_steps_than_the_beginning_prunes() -> None:
    import tensorflow_model_optimization as tfmot

    model = trained(wrapped(begin=10), callbacks=steps())
    model.save("late.h5", include_optimizer=False)
    for _ in range(5):
        follow("late.h5", "sparsity-not-applied", Remedy.BEGIN_PRUNING, model=model, tfmot=tfmot, x=X, y=Y)
    model.save("pruned.h5", include_optimizer=False)
    assert "sparsity-not-applied" not in findings("pruned.h5")
    assert "dense-zeros" in findings("pruned.h5")


@proves(Remedy.POSITIVE_ZEROS)
def weights_lose_the_sign_of_zeros_and_nothing_else() -> None:
    import tensorflow as tf
    import tf_keras

    path = have("mlp/stripped.h5")
    model = follow(path, "negative-zeros", Remedy.POSITIVE_ZEROS, model=loaded(path))["model"]
    model.save("canonical.h5")
    model.save("canonical.keras")
    model.save_weights("canonical.weights.h5")
    model.save("canonical", save_format="tf")
    tf.train.Checkpoint(model=model).write("checkpoint")
    for made in ("canonical.h5", "canonical.keras", "canonical.weights.h5", "canonical", "checkpoint"):
        assert "negative-zeros" not in findings(made)
    assert equal_weights(loaded(path), loaded("canonical.h5"))
    assert size("canonical.h5") == size(path)
    keras_module = tf_keras.__name__
    assert keras_module == "tf_keras"
    for name in (
        "pruned_mlp/stripped/model.keras",
        "pruned_mlp/stripped/model.weights.h5",
        "pruned_mlp/stripped/saved-model",
        "pruned_mlp/stripped/checkpoint",
    ):
        printed(have(name), "negative-zeros", Remedy.POSITIVE_ZEROS)


@proves(Remedy.POSITIVE_ZEROS)
def keras_3_models_lose_it_too() -> None:
    import keras

    model = network(keras)
    model.set_weights([np.where(w > 0, w, np.float32(-0.0)) for w in model.get_weights()])
    model.save("model.keras")
    follow("model.keras", "negative-zeros", Remedy.POSITIVE_ZEROS, model=model)
    model.save("canonical.keras")
    assert "negative-zeros" not in findings("canonical.keras")
    assert equal_weights(model, keras.models.load_model("model.keras"))


@proves(Remedy.POSITIVE_ZEROS_FIRST)
def a_model_is_converted_without_negative_zeros() -> None:
    path = have("pruned_mlp/stripped/float32.tflite")
    model = loaded(have("pruned_mlp/stripped/model.h5"))
    follow(path, "negative-zeros", Remedy.POSITIVE_ZEROS_FIRST, model=model)
    convert(model, "again.tflite")
    assert "negative-zeros" not in findings("again.tflite")
    assert size("again.tflite") == size(path)


@proves(Remedy.POSITIVE_ARRAYS)
def arrays_lose_it_before_they_are_written() -> None:
    array = np.where(np.arange(4096) % 2, np.float32(-0.0), np.arange(4096, dtype="f4"))
    with h5py.File("data.h5", "w") as file:
        file["array"] = array
    made = follow("data.h5", "negative-zeros", Remedy.POSITIVE_ARRAYS, array=array)["array"]
    with h5py.File("again.h5", "w") as file:
        file["array"] = made
    assert "negative-zeros" not in findings("again.h5")
    assert np.array_equal(array, made)
    assert made.dtype == array.dtype


@proves(Remedy.LIVE_CHANNELS)
def live_channels_alone_compute_the_same() -> None:
    """Also where a dead channel has a bias, and where a channel is dead because nothing reads it."""
    import keras
    import tf_keras

    for module in (tf_keras, keras):
        model = network(module)
        kernel, bias, head, head_bias = model.get_weights()
        gone = [3, 5, 8]
        kernel[:, gone] = 0
        bias[gone] = [0.5, -0.5, 0.25]
        head[[8, 30]], head_bias[:] = 0, 0.1
        model.set_weights([kernel, bias, head, head_bias])
        model.save("dead.h5")
        smaller = follow("dead.h5", "dead-channels", Remedy.LIVE_CHANNELS)["smaller"]
        assert smaller.count_params() == network(module, 32 - 4).count_params()
        _assert_saved(model, smaller, module.__name__, X)
    dead = loaded("dead.h5", "keras")
    convert(dead, "dead.tflite")
    names = {"model": dead, "layer": dead.layers[0], "next_layer": dead.layers[1]}
    _assert_equal(dead, follow("dead.tflite", "dead-channels", Remedy.LIVE_CHANNELS, **names)["smaller"], X)
    wide = network(
        keras, 128
    )  # weights do not say what reads them: only own channels count, and 256 bytes of them are reported
    kernel, bias, head, head_bias = wide.get_weights()
    kernel[:, :8] = 0
    wide.set_weights([kernel, bias, head, head_bias])
    wide.save_weights("dead.weights.h5")
    names = {"model": wide, "layer": wide.layers[0], "next_layer": wide.layers[1]}
    _assert_equal(
        wide, follow("dead.weights.h5", "dead-channels", Remedy.LIVE_CHANNELS, **names)["smaller"], X
    )
    text = printed(have("mlp/wrapped.h5"), "dead-channels", Remedy.LIVE_CHANNELS)
    assert text.startswith("strip the wrappers, then ")


@proves(Remedy.LIVE_CHANNELS)
def live_filters_before_a_dense_layer_compute_the_same() -> None:
    """The dense layer has a row for each position of a filter."""
    import keras
    import tf_keras

    for module in (tf_keras, keras):
        layers = module.layers
        parts = [
            layers.Conv2D(6, 3, activation="relu", name="filters"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
        model = module.Sequential([layers.Input((8, 8, 3)), *parts])
        kernel, bias, head, head_bias = model.get_weights()
        kernel[..., [0, 4]] = 0
        bias[:] = 0.1
        head[2::6] = 0
        model.set_weights([kernel, bias, head, head_bias])
        model.save("dead.h5")
        smaller = follow("dead.h5", "dead-channels", Remedy.LIVE_CHANNELS)["smaller"]
        assert smaller.layers[0].filters == 3
        _assert_saved(model, smaller, module.__name__, PICTURES)


@proves(Remedy.LIVE_FILTERS)
def live_filters_alone_compute_the_same() -> None:
    """Those that are 0 after the activation go; one that a bias keeps alive stays where the next layer pads,
    and goes where it does not.
    """
    import keras
    import tf_keras

    for module, padding, left in (
        (tf_keras, "same", 13),
        (tf_keras, "valid", 12),
        (keras, "same", 13),
        (keras, "valid", 12),
    ):
        model = _convolutions(module, 16, padding)
        kernel, bias, after, after_bias = model.get_weights()
        kernel[..., [1, 4, 9]] = 0
        bias[[1, 4, 9]] = [0, -1, 0.5]
        after[:, :, 2] = 0
        model.set_weights([kernel, bias, after, after_bias])
        model.save("dead.h5")
        smaller = follow("dead.h5", "dead-channels", Remedy.LIVE_FILTERS)["smaller"]
        assert smaller.layers[0].filters == left
        _assert_saved(model, smaller, module.__name__, PICTURES)
        assert size("smaller.h5") < size("dead.h5")


@proves(Remedy.LIVE_NETWORK)
def what_explain_lists_of_a_network_with_branches_goes_layer_by_layer() -> None:
    import keras

    layers = keras.layers
    given = layers.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(given)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(6, 3, padding="same", name="b")(x))
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    model = keras.Model(given, layers.Dense(2, name="head")(x))
    kernel, bias = model.get_layer("head").get_weights()
    kernel[[1, 2]] = 0
    model.get_layer("head").set_weights([kernel, bias])
    reading, _ = model.get_layer("b").get_weights()
    reading[:, :, [1, 2]] = 0
    model.get_layer("b").set_weights([reading, _])
    model.save("dead.h5")
    printed("dead.h5", "dead-channels", Remedy.LIVE_NETWORK)
    artifact, removal = removal_of(Path("dead.h5"))
    assert removal is not None
    smaller = without(keras, model, places_of(model, artifact, removal), PICTURES)
    assert [smaller.get_layer(name).filters for name in "ab"] == [4, 4]
    smaller.save("smaller.h5")
    _assert_saved(model, smaller, "keras", PICTURES)


PICTURES = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("f4")


def _assert_saved(model: Any, smaller: Any, keras: str, x: Any) -> None:
    """Hold a model that was saved without dead channels against the previous one: same outputs, and as many
    bytes less as were told.
    """
    _assert_equal(model, smaller, x)
    _assert_equal(model, loaded("smaller.h5", keras), x)
    assert "dead-channels" not in findings("smaller.h5")
    told = next(
        finding.bytes for finding in mi.explain("dead.h5").findings if finding.rule == "dead-channels"
    )
    assert told == 4 * (model.count_params() - smaller.count_params())


def _assert_equal(model: Any, smaller: Any, x: Any) -> None:
    assert smaller.count_params() < model.count_params()
    assert np.allclose(model.predict(x, verbose=0), smaller.predict(x, verbose=0), atol=1e-4)


def _convolutions(keras: Any, units: int, padding: str) -> Any:
    layers = keras.layers
    first, second = (
        layers.Conv2D(units, 3, padding="same", activation="relu"),
        layers.Conv2D(4, 3, padding=padding),
    )
    return keras.Sequential([layers.Input((8, 8, 3)), first, second])


@proves()
def gates_of_recurrent_layers_have_no_remedy() -> None:
    assert findings(have("pruned_layers/lstm/stripped/float16.tflite")).get("dead-channels", "") == ""
    assert findings(have("pruned_layers/lstm/wrapped/model.keras")).get("dead-channels", "") == ""
