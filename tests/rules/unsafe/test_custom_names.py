"""Holds which registered names and exported classes count as Keras's own, and which as somebody else's."""

from __future__ import annotations

import pytest

from modelinspect.rules.unsafe.loading import Danger, evidence


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "SGD"])
def test_optimizers_that_keras_registered_without_a_package_are_its_own(name: str) -> None:
    assert list(evidence({"class_name": f"Custom>{name}", "config": {"learning_rate": 0.001}})) == []


@pytest.mark.parametrize("name", ["Custom>MyLayer", "Custom>Lookahead", "Elsewhere>Adam"])
def test_other_registered_names_are_custom(name: str) -> None:
    assert [found.danger for found in evidence({"class_name": name, "config": {}})] == [Danger.CUSTOM]


@pytest.mark.parametrize(("module", "name"), [("keras.initializers", "OrthogonalInitializer"), ("keras.layers", "Convolution2D")])
def test_names_that_are_aliases_now_are_keras_own(module: str, name: str) -> None:
    assert list(evidence({"module": module, "class_name": name, "config": {}, "registered_name": None})) == []
