"""The optimizer of a SavedModel goes, and TensorFlow and Keras load, restore, serve and save the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.tensors import Role
from modelinspect.encodings.protobuf import parse_message
from modelinspect.reports.shrink import Outcome
from modelinspect.shrinking.saved_model_training import program_hash, saved_variables
from tests.support.fixtures import fixture_path
from tests.support.hostile import mutations

TRAINED = [
    "saved_model/keras",
    "saved_model/keras_no_traces",
    "pruned_mlp/original/saved-model-keras",
    "pruned_mlp/wrapped/saved-model",
    "pruned_mlp/wrapped/saved-model-no-traces",
]


def saved_model(folder: Path) -> Any:
    return parse_message("SavedModel", (folder / "saved_model.pb").read_bytes())


def names_of(artifact: Any) -> set[str]:
    """Return all names of tensors that are not the optimizer's."""
    return {
        name
        for each in artifact.tensors
        if each.role is not Role.OPTIMIZER
        for name in (each.path, *each.aliases)
    }


@pytest.mark.parametrize("name", TRAINED)
def test_the_optimizer_goes_and_all_else_stays(name: str, tmp_path: Path) -> None:
    after = tmp_path / "after"
    report = mi.shrink(fixture_path(name), after, drop=["training"])
    assert report.after is not None, report.reason
    assert not any("optimizer stays" in note for note in report.notes)
    old, new = mi.open(fixture_path(name)), mi.open(after)
    assert not [each for each in new.tensors if each.role is Role.OPTIMIZER]
    kept = names_of(old)
    assert names_of(new) == kept
    assert b"Adam" not in (after / "saved_model.pb").read_bytes()
    pairs = saved_variables(saved_model(after).meta_graphs[0].graph_def)
    names = {name for name in kept if name.endswith("VARIABLE_VALUE")}
    for operator in ("SaveV2", "RestoreV2"):
        keys = {key.decode() for one, key in pairs if one == operator}
        assert names == {key for key in keys if "OBJECT_GRAPH" not in key}
    assert mi.shrink(after, in_place=True, drop=["training"]).outcome == Outcome.UNCHANGED


@pytest.mark.parametrize("name", [*TRAINED, "saved_model/affine", "stablehlo/jax2tf"])
def test_the_hash_of_a_graph_is_that_of_tensorflow(name: str) -> None:
    path = fixture_path(name)
    fingerprint: Any = parse_message("FingerprintDef", (path / "fingerprint.pb").read_bytes())
    assert program_hash(saved_model(path).meta_graphs[0].graph_def) == fingerprint.graph_def_program_hash


@pytest.mark.parametrize("member", ["saved_model.pb", "keras_metadata.pb", "variables/variables.index"])
def test_changed_bytes_are_refused_or_shrunk(member: str, tmp_path: Path) -> None:
    source = fixture_path("pruned_mlp/wrapped/saved-model-no-traces")
    data = (source / member).read_bytes()
    for number, changed in enumerate(mutations(data, 8, 1)):
        folder = tmp_path / str(number)
        shutil.copytree(source, folder / "before")
        (folder / "before" / member).write_bytes(changed)
        try:
            report = mi.shrink(folder / "before", folder / "after", drop=["training"])
        except mi.ModelInspectError:
            continue
        assert (report.after is None) is not (folder / "after").exists()
        assert (folder / "before" / member).read_bytes() == changed


def outputs(folder: Path) -> dict[str, Any]:
    """Return what each signature answers to seeded inputs, as TensorFlow 2 loads the folder."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    found = {}
    for key, function in loaded.signatures.items():
        random = np.random.default_rng(0)
        inputs = {
            name: tf.cast(random.random([size or 2 for size in spec.shape]), spec.dtype)
            for name, spec in function.structured_input_signature[1].items()
        }
        found |= {f"{key}/{name}": np.asarray(value) for name, value in function(**inputs).items()}
    return found


def outputs_of_a_session(folder: Path, again: Path) -> dict[str, Any]:
    """Return what a session answers that runs the restore operator, as TensorFlow Serving does, and save with
    the save operator.
    """
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        found = {}
        for key, signature in meta.signature_def.items():
            random = np.random.default_rng(0)
            feeds = {
                info.name: random.random([max(dim.size, 2) for dim in info.tensor_shape.dim]).astype("f4")
                for _, info in sorted(signature.inputs.items())
            }
            for name, info in signature.outputs.items():
                if not info.name.startswith("__") and key != "__saved_model_init_op":
                    found[f"{key}/{name}"] = session.run(info.name, feeds)
        saver = meta.saver_def
        session.run(saver.save_tensor_name, {saver.filename_tensor_name: str(again)})
    return found


def same(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(value, after[key])


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_tensorflow_restores_serves_and_saves_the_rest(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    before, after = fixture_path(name), tmp_path / "after"
    assert mi.shrink(before, after, drop=["training"]).after is not None
    answers = outputs(before)
    assert bool(answers) is ("traces" not in name)  # without traces there is no signature
    same(answers, outputs(after))
    same(
        outputs_of_a_session(before, tmp_path / "old"),
        outputs_of_a_session(after, tmp_path / "new"),
    )
    old, new = (tf.train.load_checkpoint(str(tmp_path / each)) for each in ("old", "new"))
    names = set(new.get_variable_to_shape_map())
    assert names == set(
        tf.train.load_checkpoint(str(after / "variables/variables")).get_variable_to_shape_map()
    )
    for key in names - {"_CHECKPOINTABLE_OBJECT_GRAPH"}:
        np.testing.assert_array_equal(old.get_tensor(key), new.get_tensor(key))
    assert tf.saved_model.experimental.read_fingerprint(str(after)).graph_def_program_hash


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "legacy", "sgd"])
def test_keras_loads_the_rest_and_trains_it_on(optimizer: str, tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    network = tf_keras.Sequential([tf_keras.layers.Dense(6, input_shape=(4,)), tf_keras.layers.Dense(2)])
    made = tf_keras.optimizers.legacy.Adam() if optimizer == "legacy" else optimizer
    network.compile(made, "mse", metrics=["mae"])
    inputs = np.random.default_rng(0).random((16, 4)).astype("f4")
    network.fit(inputs, inputs[:, :2], verbose=0)
    before, after = tmp_path / "before", tmp_path / "after"
    network.save(before, save_format="tf")
    report = mi.shrink(before, after, drop=["training"])
    assert report.after is not None, report.reason
    assert report.proof is not None
    assert report.proof.dropped > 0
    same(outputs(before), outputs(after))
    loaded = tf_keras.models.load_model(after)
    for one, other in zip(network.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(network.predict(inputs, verbose=0), loaded.predict(inputs, verbose=0))
    loaded.compile("adam", "mse")
    loaded.fit(inputs, inputs[:, :2], verbose=0)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_an_optimizer_that_a_saved_function_uses_stays_and_the_note_says_why(tmp_path: Path) -> None:
    import tensorflow as tf

    class Training(tf.Module):
        def __init__(self) -> None:
            self.weight = tf.Variable(tf.ones((64, 64)))
            self.copy = tf.Variable(tf.ones((64, 64)))
            self.optimizer = tf.keras.optimizers.Adam()
            self.optimizer.build([self.weight])

        @tf.function(input_signature=[tf.TensorSpec((64, 64))])
        def step(self, inputs: Any) -> Any:
            self.optimizer.apply_gradients([(inputs, self.weight)])
            return self.weight

    tf.saved_model.save(Training(), str(tmp_path / "before"))
    report = mi.shrink(tmp_path / "before", tmp_path / "after", drop=["training"])
    assert report.after is not None
    assert report.proof is not None
    assert report.proof.dropped == 0
    (note,) = [each for each in report.notes if "the optimizer stays" in each]
    assert "uses a variable of the optimizer" in note


@pytest.mark.tensorflow
@pytest.mark.slow
def test_keras_3_serves_the_rest_as_a_layer(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    before, after = fixture_path("pruned_mlp/original/saved-model-keras"), tmp_path / "after"
    assert mi.shrink(before, after, drop=["training"]).after is not None
    inputs = np.random.default_rng(0).random((4, 10)).astype("f4")
    answers = []
    for path in (before, after):
        layer = keras.layers.TFSMLayer(str(path), call_endpoint="serving_default")
        answers.append({name: np.asarray(value) for name, value in layer(inputs).items()})
    same(*answers)
