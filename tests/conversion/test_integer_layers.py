"""Full-integer forms of small networks around single layers are predicted as TensorFlow converts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.accuracy.integer_layers import outcomes, sizes
from benchmarks.accuracy.layer_networks import LAYERS, Outcome
from benchmarks.accuracy.recorded_networks import unpacked

import modelinspect as mi

EQUAL = (
    "additive-attention-3-0",
    "attention-3-0",  # products of two computed tensors
    "conv3d-pool-3-0",  # an operator that stays float32
    "cross-attention-2-0",
    "elu-slope-2-0",
    "groups-twice-3-0",
    "log-softmax-3-0",  # a range that is known
    "operators-more-2-0",  # a join of what has other scales
    "tensors-maximum-2-0",
    "tensors-negative-3-0",
    "up-sequence-twice-2-0",  # an operator that makes many tensors
)
"""Networks around the rules; all of them are compared in a slow test."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with unpacked(LAYERS, EQUAL) as found:
        yield found


@pytest.mark.parametrize("name", EQUAL)
def test_a_network_around_a_rule_is_predicted_to_the_byte(folder: Path, name: str) -> None:
    found = list(outcomes(folder, (name,)))
    assert found
    assert [(one.form, one.predicted) for one in found] == [(one.form, one.real) for one in found]


def test_the_operator_with_which_the_converter_refuses_is_named(folder: Path) -> None:
    assert sizes()["elu-slope-2-0"]["int16x8"] == 0
    report = mi.plan(folder / "elu-slope-2-0" / "model.h5", only=["tflite-int16x8"], downloads=False)
    assert report.left_out == (
        "tflite-int16x8: not computed: the converter refuses the operator ELU with int16 activations",
    )


@pytest.fixture(scope="module")
def every() -> Iterator[list[Outcome]]:
    with unpacked(LAYERS) as found:
        yield list(outcomes(found))


@pytest.mark.slow
def test_no_full_integer_form_is_labelled_exact(every: list[Outcome]) -> None:
    assert {one.basis for one in every if one.predicted} == {"estimate"}


@pytest.mark.slow
def test_every_prediction_is_within_its_stated_error(every: list[Outcome]) -> None:
    assert [
        one for one in every if one.predicted and abs(one.predicted - one.real) > one.stated * one.real
    ] == []


@pytest.mark.slow
def test_most_predictions_are_equal_to_the_byte(every: list[Outcome]) -> None:
    told = [one for one in every if one.is_told]
    assert len(told) >= 360
    assert sum(one.predicted == one.real for one in told) >= 0.84 * len(told)
