"""Every layer class of Keras is listed with what `plan` does with it."""

from __future__ import annotations

import json

import pytest
from benchmarks.accuracy.layer_classes import NAMES, PAGE, WITHHELD, names, page, status

from modelinspect.conversion.keras.layers import LAYERS
from modelinspect.conversion.keras.masks import IDENTITIES

CLASSES = json.loads(NAMES.read_text(encoding="utf-8"))


def test_the_page_lists_what_the_rules_know() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(CLASSES), (
        "run: python benchmarks/accuracy/layer_classes.py"
    )


def test_every_rule_is_for_a_layer_of_keras() -> None:
    known = {name for many in CLASSES.values() for name in many}
    assert set(LAYERS) | set(IDENTITIES) <= known


def test_predicted_layers_are_those_with_rules() -> None:
    assert all("predicted" in {status(name, library) for library in CLASSES} for name in LAYERS)


def test_classes_that_one_version_of_keras_withholds_exist() -> None:
    assert all(some <= set(CLASSES[library]) & set(LAYERS) for library, some in WITHHELD.items())


@pytest.mark.tensorflow
def test_the_stored_names_are_those_of_the_installed_libraries() -> None:
    assert names() == CLASSES
