"""Holds which registered names and exported classes count as Keras's own, and which as somebody else's."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.rules.unsafe.class_names import names
from modelinspect.rules.unsafe.loading import Danger, evidence
from tests.support.corpus import PROJECT
from tests.support.flat import build, model


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "SGD"])
def test_optimizers_that_keras_registered_without_a_package_are_its_own(name: str) -> None:
    assert list(evidence({"class_name": f"Custom>{name}", "config": {"learning_rate": 0.001}})) == []


@pytest.mark.parametrize("name", ["Custom>MyLayer", "Custom>Lookahead", "Elsewhere>Adam"])
def test_other_registered_names_are_custom(name: str) -> None:
    assert [found.danger for found in evidence({"class_name": name, "config": {}})] == [Danger.CUSTOM]


@pytest.mark.parametrize(
    "item",
    [
        {"module": None, "class_name": "Net", "config": {}, "registered_name": "Net"},  # Keras 3
        {"class_name": "Net", "config": {"name": "net", "trainable": True}},  # Keras 2
    ],
)
def test_classes_under_their_bare_names_are_custom(item: dict[str, object]) -> None:
    assert [(found.danger, found.message) for found in evidence(item)] == [(Danger.CUSTOM, "Net")]


@pytest.mark.parametrize(
    "name", ["Dense", "Functional", "BatchNormalizationV1", "PruneLowMagnitude", "AtrousConvolution2D"]
)
def test_layers_that_keras_or_a_companion_had_are_not_custom(name: str) -> None:
    assert list(evidence({"class_name": name, "config": {"name": "layer"}})) == []


def test_a_function_of_the_program_is_not_called_one_of_builtins() -> None:
    item = {"module": "builtins", "class_name": "function", "config": "scaled", "registered_name": "scaled"}
    assert [(found.danger, found.message) for found in evidence(item)] == [(Danger.CUSTOM, "scaled")]


@pytest.mark.parametrize(
    ("module", "name"), [("keras.initializers", "OrthogonalInitializer"), ("keras.layers", "Convolution2D")]
)
def test_names_that_are_aliases_now_are_keras_own(module: str, name: str) -> None:
    assert list(evidence({"module": module, "class_name": name, "config": {}, "registered_name": None})) == []


@pytest.mark.parametrize(
    ("name", "is_stock"),
    [
        *(
            (name, True)
            for name in ("AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess")
        ),
        *((name, False) for name in ("Erfinv", "MaxUnpooling2D", "Convolution2DTransposeBias")),
    ],
)
def test_custom_operators_that_the_stock_interpreter_registers_need_nothing_from_elsewhere(
    name: str, is_stock: bool, tmp_path: Path
) -> None:
    """As tensorflow/lite/core/kernels/register.cc adds them to the built-in ones."""
    code = {"builtin_code": 32, "deprecated_builtin_code": 32, "custom_code": name, "version": 1}
    tensors = [{"name": tensor, "shape": [1], "buffer": 0} for tensor in ("in", "out")]
    path = tmp_path / "custom.tflite"
    path.write_bytes(build(model(tensors, [], [{"opcode_index": 0, "inputs": [0], "outputs": [1]}], [code])))
    assert ("custom-operator" not in {found.rule for found in mi.lint(path).findings}) is is_stock


def test_the_table_is_derived_from_releases_of_keras_2_and_3() -> None:
    table = json.loads((PROJECT / "src/modelinspect/rules/unsafe/data/keras_names.json").read_text("utf-8"))
    majors = {version.partition(".")[0] for version in table["releases"]["keras"]}
    assert majors == {"2", "3"}
    assert len(table["releases"]["keras"]) >= 10
    assert {"Highway", "MaxoutDense", "PeepholeLSTMCell", "Dense", "ReversibleEmbedding"} <= names().classes
    assert {"cosine_proximity", "glorot_uniform", "relu"} <= names().functions


@pytest.mark.parametrize("marks", [True, False])
def test_names_of_a_release_are_read_from_its_sources(tmp_path: Path, marks: bool) -> None:
    """Classes below the base classes count, and what is exported where a release exports anything."""
    keras_sources = runpy.run_path(str(PROJECT / "scripts" / "keras_sources.py"))
    (tmp_path / "keras-2.0.dist-info").mkdir()
    for part in ("layers", "backend/torch"):
        (tmp_path / "keras" / part).mkdir(parents=True)
    (tmp_path / "keras" / "layers" / "core.py").write_text(
        "from base import Layer\nclass Dense(Layer): pass\nclass Wide(core.Dense): pass\nOld = Wide\n"
        "class _Private(Layer): pass\nclass Helper: pass\n",
        encoding="utf-8",
    )
    (tmp_path / "keras" / "backend" / "torch" / "layer.py").write_text("class Torch(Layer): pass\n", "utf-8")
    mark = "@keras_export(['keras.activations.relu', 'keras.other.thing'])\n" if marks else ""
    (tmp_path / "keras" / "activations.py").write_text(
        f"{mark}def relu(x): pass\ndef helper(x): pass\ndef get(x): pass\nReLU = relu\n", encoding="utf-8"
    )
    release = keras_sources["read_release"](tmp_path)
    assert (release.name, release.version) == ("keras", "2.0")
    assert release.classes == {"Dense", "Wide", "Old"}
    assert release.functions == {"relu", "ReLU"} | ({"helper"} if not marks else set())
