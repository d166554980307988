"""Proves the remedies that leave helper variables of pruning, clustering and quantization-aware training
out.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from modelinspect.remedies import Language, Remedy
from tests.remedies.models import (
    X,
    aware,
    clustered,
    loaded,
    network,
    outputs,
    steps,
    stripped,
    trained,
    wrapped,
)
from tests.remedies.proving import causes, equal_weights, findings, follow, have, printed, proves, run, size
from tests.support.remedies import code_of

_RULE = "pruning-not-stripped"


def _is_gone(path: str) -> bool:
    return _RULE not in findings(path) and not {"pruning-state", "wrapper-duplicate"} & causes(path).keys()


def _pruned() -> Any:
    return trained(wrapped(), callbacks=steps())


@proves(Remedy.DROP_WRAPPERS)
def a_pruned_model_is_written_without_its_wrappers() -> None:
    for name, made in (
        ("pruned_mlp/wrapped/model.h5", "smaller.h5"),
        ("pruned_mlp/wrapped/model.keras", "smaller.keras"),
    ):
        path = have(name)
        follow(path, _RULE, Remedy.DROP_WRAPPERS)
        assert _is_gone(made)
        assert size(made) < size(path) / 2
        assert equal_weights(stripped(loaded(path)), loaded(made))
        x = np.random.default_rng(1).normal(size=(4, 10)).astype("f4")
        assert np.allclose(loaded(path).predict(x, verbose=0), loaded(made).predict(x, verbose=0), atol=1e-6)


@proves(Remedy.STRIP)
def a_pruned_model_in_an_archive_is_stripped_and_saved() -> None:
    path = have("pruned_mlp/wrapped/model.h5")
    with zipfile.ZipFile("release.zip", "w") as archive:
        archive.write(path, "model.h5")
    text = printed("release.zip", _RULE, Remedy.STRIP)
    Path("model.h5").write_bytes(Path(path).read_bytes())
    run(code_of(text), Language.PYTHON)
    assert _is_gone("stripped.h5")
    assert equal_weights(stripped(loaded(path)), loaded("stripped.h5"))


@proves(Remedy.DROP_WRAPPERS)
def the_cause_and_duplicates_within_wrappers_have_it_too() -> None:
    path = have("pruned_mlp/wrapped/model.keras")
    for name in ("pruning-state", "wrapper-duplicate", "duplicate-tensors"):
        follow(path, name, Remedy.DROP_WRAPPERS)
        assert _is_gone("smaller.keras")
        assert "duplicate-tensors" not in findings("smaller.keras")
        Path("smaller.keras").rename("made.keras")
    assert causes("made.keras", path)["pruning-state"][0] < 0


@proves(Remedy.STRIP_WEIGHTS)
def weights_are_saved_of_a_stripped_model() -> None:
    model = loaded(have("pruned_mlp/wrapped/model.h5"))
    path = have("pruned_mlp/wrapped/model.weights.h5")
    made = follow(path, _RULE, Remedy.STRIP_WEIGHTS, model=model)["model"]
    assert _is_gone("stripped.weights.h5")
    again = stripped(loaded("model.h5"))
    again.load_weights("stripped.weights.h5")
    assert equal_weights(made, again)
    other = have("keras_hdf5/pruned_weights.h5")
    follow(other, _RULE, Remedy.STRIP_WEIGHTS, model=model)
    assert _is_gone("stripped.h5")


@proves(Remedy.STRIP_FOLDER)
def a_saved_model_is_saved_of_a_stripped_model() -> None:
    import tensorflow as tf

    model = _pruned()
    model.save("own", save_format="tf")
    for path in ("own", have("pruned_mlp/wrapped/saved-model")):
        follow(path, _RULE, Remedy.STRIP_FOLDER, model=model)
        assert _is_gone("stripped")
        assert tf.saved_model.load("stripped").signatures
        assert equal_weights(stripped(model), loaded("stripped"))
        shutil.rmtree("stripped")


@proves(Remedy.STRIP_CHECKPOINT)
def a_checkpoint_is_written_of_a_stripped_model() -> None:
    import tensorflow as tf
    import tf_keras

    model = _pruned()
    tf.train.Checkpoint(model=model).write("pruned")
    for path in ("pruned", have("checkpoint/wrapped/model.index"), have("pruned_mlp/wrapped/checkpoint")):
        follow(path, _RULE, Remedy.STRIP_CHECKPOINT, model=model)
        assert _is_gone("stripped")
        again = network(tf_keras)
        tf.train.Checkpoint(model=again).read("stripped").assert_existing_objects_matched()
        assert equal_weights(stripped(model), again)


@proves(Remedy.STRIP_FIRST)
def a_tfjs_model_is_converted_of_a_stripped_model() -> None:
    model = _pruned()
    _write_tfjs("wrapped", model)
    made = follow("wrapped", _RULE, Remedy.STRIP_FIRST, model=model)["model"]
    _write_tfjs("stripped", made)
    assert _is_gone("stripped")
    assert size("stripped") < size("wrapped")


def _write_tfjs(folder: str, model: Any) -> None:
    """Write a layers model in TF.js's layout: its converter is not at hand."""
    Path(folder).mkdir()
    values = [(weight.name.split(":")[0], np.asarray(weight)) for weight in model.weights]
    Path(folder, "group1-shard1of1.bin").write_bytes(b"".join(value.tobytes() for _, value in values))
    weights = [
        {"name": name, "shape": list(value.shape), "dtype": _tfjs_type(value)} for name, value in values
    ]
    topology = {"keras_version": "2.15.0", "model_config": json.loads(model.to_json())}
    groups = [{"paths": ["group1-shard1of1.bin"], "weights": weights}]
    text = json.dumps({"format": "layers-model", "modelTopology": topology, "weightsManifest": groups})
    Path(folder, "model.json").write_text(text, encoding="utf-8")


def _tfjs_type(value: Any) -> str:
    return "int32" if value.dtype.kind == "i" else "float32"


@proves(Remedy.FOLD_MASKS)
def masks_are_multiplied_into_weights_before_freezing() -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    made = np.random.default_rng(1)
    kernel, mask = made.normal(size=(16, 64)).astype("f4"), (made.normal(size=(16, 64)) > 0).astype("f4")
    results = []
    for name, folded in (("masked", False), ("folded", True)):
        with tf.Graph().as_default() as graph, v1.Session() as session:
            weights = tf.constant(kernel * mask if folded else kernel, name="layer1/weights")
            if not folded:
                weights = tf.multiply(
                    weights, tf.constant(mask, name="layer1/mask"), name="layer1/masked_weight"
                )
            inputs = v1.placeholder(tf.float32, (None, 16), "inputs")
            results.append(session.run(tf.matmul(inputs, weights), {inputs: X}))
        Path(f"{name}.pb").write_bytes(graph.as_graph_def().SerializeToString())
    assert "multiply each weight by its mask" in causes("masked.pb")["pruning-state"][1]
    assert "pruning-state" not in causes("folded.pb")
    assert np.allclose(*results, atol=1e-6)


@proves(Remedy.FOLD_MASKS)
def the_variables_of_tensorflow_1_are_saved_without_masks() -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    kernel = np.random.default_rng(1).normal(size=(16, 64)).astype("f4")
    mask = (kernel > 0).astype("f4")
    for name, folded in (("masked", False), ("folded", True)):
        with tf.Graph().as_default(), v1.Session() as session:
            v1.get_variable("conv1/kernel", initializer=kernel * mask if folded else kernel)
            if not folded:
                v1.get_variable("conv1/mask", initializer=mask, trainable=False)
                v1.get_variable("conv1/threshold", initializer=np.float32(0), trainable=False)
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, name, write_meta_graph=False)
    assert "multiply each weight by its mask" in findings("masked")[_RULE]
    assert _is_gone("folded")


@proves(Remedy.UNCLUSTER)
def a_clustered_model_is_stripped_and_saved() -> None:
    path = have("keras_hdf5/clustered.h5")
    follow(path, _RULE, Remedy.UNCLUSTER)
    assert _is_gone("stripped.h5")
    x = np.random.default_rng(1).normal(size=(4, *loaded(path).input_shape[1:])).astype("f4")
    assert np.allclose(
        loaded(path).predict(x, verbose=0), loaded("stripped.h5").predict(x, verbose=0), atol=1e-6
    )


@proves(Remedy.UNCLUSTER_FIRST)
def other_forms_are_saved_of_a_model_that_is_no_longer_clustered() -> None:
    import tensorflow as tf

    model = clustered()
    tf.saved_model.save(model, "clustered")
    made = follow("clustered", _RULE, Remedy.UNCLUSTER_FIRST, model=model)["model"]
    tf.saved_model.save(made, "saved")
    assert _is_gone("saved")
    assert size("saved") < size("clustered")


@proves(Remedy.CONVERT_AWARE)
def ranges_become_scales_in_tflite() -> None:
    aware().save("own.h5", include_optimizer=False)
    for path in ("own.h5", have("keras_hdf5/quantization_aware.h5")):
        follow(path, "quantization-aware-training", Remedy.CONVERT_AWARE)
        assert _is_gone("smaller.tflite")
        if path == "own.h5":
            assert np.allclose(loaded(path).predict(X, verbose=0), outputs("smaller.tflite"), atol=0.1)


@proves(Remedy.CONVERT_AWARE_MODEL)
def a_model_that_other_forms_were_saved_of_is_converted() -> None:
    import tensorflow as tf

    model = aware()
    tf.train.Checkpoint(model=model).write("aware")
    follow("aware", "quantization-aware-training", Remedy.CONVERT_AWARE_MODEL, model=model)
    assert _is_gone("smaller.tflite")
    assert np.allclose(model.predict(X, verbose=0), outputs("smaller.tflite"), atol=0.1)


@proves(Remedy.CALIBRATE)
def training_sets_the_ranges_of_a_wrapped_model() -> None:
    import numpy as np
    import tensorflow_model_optimization as tfmot
    import tf_keras

    model = tfmot.quantization.keras.quantize_model(network(tf_keras))
    model.compile("sgd", "mse")
    model.save("wrapped.h5")
    x, y = np.ones((8, *model.input_shape[1:]), "f4"), np.ones((8, *model.output_shape[1:]), "f4")
    follow("wrapped.h5", "uncalibrated-quantization", Remedy.CALIBRATE, model=model, x=x, y=y)
    model.save("trained.h5")
    assert "uncalibrated-quantization" not in findings("trained.h5")
