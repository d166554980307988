"""Holds which registered names and exported classes count as Keras's own, and which as somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.rules.unsafe.loading import Danger, evidence
from tests.support.flat import build, model


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "SGD"])
def test_optimizers_that_keras_registered_without_a_package_are_its_own(name: str) -> None:
    assert list(evidence({"class_name": f"Custom>{name}", "config": {"learning_rate": 0.001}})) == []


@pytest.mark.parametrize("name", ["Custom>MyLayer", "Custom>Lookahead", "Elsewhere>Adam"])
def test_other_registered_names_are_custom(name: str) -> None:
    assert [found.danger for found in evidence({"class_name": name, "config": {}})] == [Danger.CUSTOM]


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
