"""Proves the remedies that leave the optimizer's state out."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import modelinspect as mi
from modelinspect.remedies import Language, Remedy
from tests.remedies.models import X, loaded, network, steps, stripped, trained, wrapped
from tests.remedies.proving import causes, equal_weights, findings, follow, have, printed, proves, run, size
from tests.support.remedies import code_of

_RULE = "optimizer-state"


def _is_gone(path: str) -> bool:
    return _RULE not in findings(path) and not {_RULE, "ema-shadow"} & causes(path).keys()


@proves(Remedy.DROP_TRAINING)
def tf_keras_files_lose_it() -> None:
    for name, made in (
        ("mlp/original.h5", "smaller.h5"),
        ("pruned_mlp/original/model.keras", "smaller.keras"),
    ):
        path = have(name)
        follow(path, _RULE, Remedy.DROP_TRAINING)
        assert _is_gone(made)
        assert size(made) < size(path) - 20_000
        assert equal_weights(loaded(path), loaded(made))


@proves(Remedy.DROP_WRAPPERS)
def models_within_wrappers_lose_these_too() -> None:
    for name, made in (
        ("pruned_mlp/wrapped/model.h5", "smaller.h5"),
        ("pruned_mlp/wrapped/model.keras", "smaller.keras"),
    ):
        path = have(name)
        follow(path, _RULE, Remedy.DROP_WRAPPERS)
        assert _is_gone(made)
        assert equal_weights(stripped(loaded(path)), loaded(made))


@proves(Remedy.DROP_TRAINING, Remedy.SAVE_UNCOMPILED)
def keras_3_files_lose_it_and_folders_are_saved_without_it() -> None:
    for name, made, remedy in (
        ("keras_zip/model.keras", "smaller.keras", Remedy.DROP_TRAINING),
        ("keras_zip/folder", "smaller.keras", Remedy.SAVE_UNCOMPILED),
        ("keras3_hdf5/nested.h5", "smaller.h5", Remedy.DROP_TRAINING),
    ):
        path = have(name)
        follow(path, _RULE, remedy)
        assert _is_gone(made)
        assert equal_weights(loaded(path, "keras"), loaded(made, "keras"))
        Path(made).unlink()


@proves(Remedy.DROP_TRAINING)
def moving_averages_go_with_it() -> None:
    import keras

    trained(network(keras), keras.optimizers.SGD(use_ema=True)).save("averaged.keras")
    follow("averaged.keras", _RULE, Remedy.DROP_TRAINING)
    assert _is_gone("smaller.keras")


@proves(Remedy.DROP_TRAINING)
def a_gzipped_file_loses_it_and_stays_gzipped() -> None:
    path = have("pruned_mlp/original/model.h5.gz")
    follow(path, _RULE, Remedy.DROP_TRAINING)
    assert _is_gone("smaller.h5.gz")
    Path("smaller.h5").write_bytes(gzip.decompress(Path("smaller.h5.gz").read_bytes()))
    assert equal_weights(loaded(have("pruned_mlp/original/model.h5")), loaded("smaller.h5"))


@proves(Remedy.SAVE_UNCOMPILED)
def an_archive_is_unpacked_first() -> None:
    path = have("pruned_mlp/original/model.h5.gz")
    Path("model.h5").write_bytes(gzip.decompress(Path(path).read_bytes()))
    with zipfile.ZipFile("release.zip", "w") as archive:
        archive.write("model.h5", "v1/net.h5")
    text = printed("release.zip", _RULE, Remedy.SAVE_UNCOMPILED)
    assert text.startswith("unpack the archive, then ")
    shutil.unpack_archive("release.zip")
    run(code_of(text), Language.PYTHON)
    assert _is_gone("smaller.h5")


@proves(Remedy.SAVE_WEIGHTS_UNCOMPILED)
def weights_are_saved_from_a_model_that_is_not_compiled() -> None:
    model = loaded(have("pruned_mlp/original/model.h5"))
    weights = have("pruned_mlp/original/model.weights.h5")
    follow(weights, _RULE, Remedy.SAVE_WEIGHTS_UNCOMPILED, model=model)
    assert _is_gone("smaller.weights.h5")
    again = loaded("model.h5")
    again.load_weights("smaller.weights.h5")
    assert equal_weights(model, again)


@proves(Remedy.SAVE_WEIGHTS_UNCOMPILED)
def keras_3_weights_too_and_those_in_shards() -> None:
    import keras

    trained(network(keras)).save_weights("model.weights.h5")
    trained(network(keras)).save_weights("sharded.weights.json", max_shard_size=1e-5)
    for path in ("model.weights.h5", "sharded.weights.json"):
        model = network(keras)
        follow(path, _RULE, Remedy.SAVE_WEIGHTS_UNCOMPILED, model=model)
        assert _is_gone("smaller.weights.h5")
        again = network(keras)
        again.load_weights("smaller.weights.h5")
        assert equal_weights(model, again)


@proves(Remedy.DROP_TRAINING, Remedy.SAVE_COPY)
def a_saved_model_of_tf_keras_loses_it_or_is_copied() -> None:
    import tensorflow as tf

    for name, remedy in (
        ("saved_model/keras", Remedy.DROP_TRAINING),
        ("saved_model/keras_no_traces", Remedy.DROP_TRAINING),
        ("pruned_mlp/original/saved-model-keras", Remedy.SAVE_COPY),
    ):
        path = have(name)
        if remedy is Remedy.SAVE_COPY:
            (option,) = mi.plan(path, only=["strip-optimizer"]).options
            run(option.command, Language.PYTHON)
        else:
            follow(path, _RULE, remedy)
        assert _is_gone("smaller")
        assert size("smaller") < size(path)
        assert equal_weights(loaded(path), loaded("smaller"))
        assert set(tf.saved_model.load("smaller").signatures) == set(tf.saved_model.load(path).signatures)
        shutil.rmtree("smaller")


@proves(Remedy.SAVE_CLONE)
def a_model_that_tensorflow_saved_is_copied() -> None:
    import keras
    import tensorflow as tf
    import tf_keras

    for name, model in (("old", trained(network(tf_keras))), ("new", trained(network(keras)))):
        tf.saved_model.save(model, name)
        follow(name, _RULE, Remedy.SAVE_CLONE, model=model)
        assert _is_gone("smaller")
        assert _same_output("smaller", model)
        shutil.rmtree("smaller")


@proves(Remedy.SAVE_CLONE, Remedy.WRITE_CLONE)
def a_pruned_model_that_is_still_in_its_wrappers_is_copied() -> None:
    model = trained(wrapped(), callbacks=steps())
    folder = have("pruned_mlp/wrapped/saved-model")
    follow(folder, _RULE, Remedy.SAVE_CLONE, model=model)
    assert _is_gone("smaller")
    prefix = have("checkpoint/wrapped/model.index")
    shutil.rmtree("smaller")
    follow(prefix, _RULE, Remedy.WRITE_CLONE, model=model)
    assert _is_gone("smaller")


def _same_output(folder: str, model: Any) -> bool:
    import tensorflow as tf

    made = tf.saved_model.load(folder).signatures["serving_default"](tf.constant(X))
    return bool(np.allclose(next(iter(made.values())), model.predict(X, verbose=0), atol=1e-5))


@proves(Remedy.DROP_OPTIMIZER)
def a_checkpoint_loses_it() -> None:
    import keras
    import tensorflow as tf
    import tf_keras

    for name, module in (("old", tf_keras), ("new", keras)):
        optimizer = module.optimizers.SGD(use_ema=True) if module is keras else "adam"
        model = trained(network(module), optimizer)
        tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(name)
        follow(name, _RULE, Remedy.DROP_OPTIMIZER)
        assert _is_gone("smaller")
        again = network(module)
        tf.train.Checkpoint(model=again).read("smaller").assert_existing_objects_matched()
        assert equal_weights(model, again)
        assert size("smaller") < size(name) / 1.5
        for made in Path().glob("smaller.*"):
            made.unlink()


@proves(Remedy.SAVE_WITHOUT_SLOTS)
def a_saver_of_tensorflow_1_leaves_slots_and_averages_out() -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("dense/kernel", (16, 16))
        statistic = v1.get_variable("norm/moving_mean", (16,), trainable=False)
        step = v1.train.AdamOptimizer().minimize(tf.reduce_sum(kernel * kernel))
        with tf.control_dependencies([step]):
            step = tf.train.ExponentialMovingAverage(0.9).apply([kernel])
        session.run(v1.global_variables_initializer())
        session.run(step)
        v1.train.Saver().save(session, "model", write_meta_graph=False)
        v1.train.Saver(write_version=v1.train.SaverDef.V1).save(session, "old.ckpt", write_meta_graph=False)
        for path in ("model", "old.ckpt"):
            follow(path, _RULE, Remedy.SAVE_WITHOUT_SLOTS, session=session)
            reader = tf.train.load_checkpoint("smaller")
            assert set(reader.get_variable_to_shape_map()) == {"dense/kernel", "norm/moving_mean"}
            assert np.array_equal(reader.get_tensor("dense/kernel"), session.run(kernel))
            assert _is_gone("smaller")
        assert statistic.shape == (16,)


@proves(Remedy.DROP_TRAINING)
def a_model_whose_optimizer_never_stepped_loses_it() -> None:
    import keras

    model = network(keras, 128)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save("built.keras")
    follow("built.keras", "optimizer-never-stepped", Remedy.DROP_TRAINING)
    assert {_RULE, "optimizer-never-stepped"}.isdisjoint(findings("smaller.keras"))
