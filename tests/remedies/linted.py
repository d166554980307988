"""Proves what `lint` says to do, where it says how."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np

import modelinspect as mi
from modelinspect.remedies import Language, Remedy
from tests.remedies.models import X, network
from tests.remedies.proving import equal_weights, have, proves, run
from tests.support.cli import run_cli
from tests.support.remedies import code_of, remedy_of


def _remedies(path: str) -> dict[str, str]:
    return {finding.rule: finding.remedy for finding in mi.lint(path).findings}


@proves(Remedy.LOOK_AND_REPACK)
def hidden_content_is_shown_and_left_behind() -> None:
    text = _remedies(have("unsafe/hidden.h5"))["hidden-content"]
    assert remedy_of(text) is Remedy.LOOK_AND_REPACK
    look, repack = code_of(text).split("\n")
    assert " hidden\n" in run_cli(*look.split()[1:]).text
    run(repack, Language.SHELL)
    assert not {"hidden-content", "hidden-bytes"} & _remedies("clean.h5").keys()


@proves()
def what_stands_behind_the_end_can_be_cut_off() -> None:
    path = have("unsafe/trailing.h5")
    assert "cut them off" in _remedies(path)["trailing-data"]
    (found,) = (finding for finding in mi.lint(path).findings if finding.rule == "trailing-data")
    with h5py.File(path) as file:
        before = {name: np.asarray(file[name]) for name in file}
    os.truncate(path, found.offset or 0)
    assert "trailing-data" not in _remedies(path)
    with h5py.File(path) as file:
        assert all(np.array_equal(file[name], values) for name, values in before.items())


@proves()
def an_archive_with_links_is_unpacked_with_a_filter() -> None:
    outside = Path("outside")
    outside.mkdir()
    with tarfile.open("model.tar", "w") as archive:
        link = tarfile.TarInfo("folder")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside.absolute())
        archive.addfile(link)
        archive.add(have("tflite/dense.tflite"))
    assert "filter='data'" in _remedies("model.tar")["archive-link"]
    try:
        with tarfile.open("model.tar") as archive:
            archive.extractall("unpacked", filter="data")
    except tarfile.FilterError:
        pass
    else:
        raise AssertionError("the filter let the link through")


@proves()
def an_archive_that_is_packed_again_is_not_ambiguous() -> None:
    path = have("unsafe/twice.keras")
    assert "pack it again" in _remedies(path)["ambiguous-archive"]
    with ZipFile(path) as old, ZipFile("again.keras", "w") as new:
        for name in dict.fromkeys(old.namelist()):
            new.writestr(name, old.read(name))
    assert "ambiguous-archive" not in _remedies("again.keras")


@proves()
def a_model_of_tflites_own_operators_needs_no_delegate() -> None:
    import tensorflow as tf

    def converted(function: Any, *kinds: Any) -> Any:
        concrete = tf.function(function, input_signature=[tf.TensorSpec((4, 4))]).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        converter.target_spec.supported_ops = list(kinds)
        return converter.convert()

    builtin, select = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
    Path("flex.tflite").write_bytes(converted(tf.linalg.inv, builtin, select))
    assert "TFLITE_BUILTINS" in _remedies("flex.tflite")["flex-operator"]
    try:
        converted(tf.linalg.inv, builtin)
    except Exception as error:  # ConverterError, which TensorFlow does not export
        assert "MatrixInverse" in str(error)
    else:
        raise AssertionError("the converter took the operator")
    Path("builtin.tflite").write_bytes(converted(lambda x: x @ x, builtin))
    assert "flex-operator" not in _remedies("builtin.tflite")


@proves()
def a_graph_is_exported_without_what_it_prints_reads_and_writes() -> None:
    import tensorflow as tf

    def graph(*, bad: bool) -> bytes:
        def function(x: Any) -> Any:
            if bad:
                tf.print(x)
                tf.io.write_file("here.txt", tf.strings.as_string(x[0, 0]))
                x = x + tf.strings.to_number(tf.io.read_file("there.txt"))
                x = tf.numpy_function(lambda y: y, [x], tf.float32)
            return x * 2.0

        concrete = tf.function(function, input_signature=[tf.TensorSpec((4, 4))]).get_concrete_function()
        data: bytes = concrete.graph.as_graph_def().SerializeToString()
        return data

    rules = {"print-operator", "file-write-operator", "file-read-operator", "code-operator"}
    Path("bad.pb").write_bytes(graph(bad=True))
    assert rules <= _remedies("bad.pb").keys()
    Path("good.pb").write_bytes(graph(bad=False))
    assert not rules & _remedies("good.pb").keys()


@proves()
def a_file_that_is_saved_again_whole_leads_nowhere_else() -> None:
    """Links, external storage and virtual data sets become data sets of the file's own."""
    with h5py.File("other.h5", "w") as other:
        other["weights"] = np.arange(12.0)
    with h5py.File("linked.h5", "w") as file:
        file["there"] = h5py.ExternalLink("other.h5", "/weights")
        layout = h5py.VirtualLayout((12,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "weights", (12,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", data=np.arange(4.0), external=[("raw.bin", 0, 32)])
    rules = {"external-link", "virtual-dataset", "external-storage"}
    assert rules <= _remedies("linked.h5").keys()
    with h5py.File("linked.h5") as old, h5py.File("whole.h5", "w") as new:
        for name in old:
            new[name] = old[name][()]
    assert not rules & _remedies("whole.h5").keys()


@proves()
def a_registered_layer_class_takes_the_place_of_a_lambda() -> None:
    import keras

    @keras.saving.register_keras_serializable("proofs")
    class Twice(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2.0 * x

    for name, layer in (("lambda", keras.layers.Lambda(lambda x: 2.0 * x)), ("class", Twice())):
        model = keras.Sequential([*network(keras).layers, layer])
        model.build((None, 16))
        model.save(f"{name}.keras")
    assert "registered layer class" in _remedies("lambda.keras")["lambda-code"]
    assert not {"lambda-code", "lambda-layer"} & _remedies("class.keras").keys()
    again = keras.models.load_model("class.keras")
    assert equal_weights(model, again)
    assert np.allclose(model.predict(X, verbose=0), again.predict(X, verbose=0))
