"""Small networks around layer classes that few networks have are predicted as TensorFlow converts them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.accuracy.layer_networks import NETWORKS, Outcome, outcomes, sizes, unpacked

NEARLY = {
    ("causal-attention-2-3-0", "saved"),
    ("distributed-conv2d-3-0", ".keras"),  # variables that are read at every step are called otherwise
    ("dot-weights-2-0", ".h5"),  # an order of axes that is taken back
    ("dot-weights-2-0", "saved"),
    ("dot-weights-3-0", ".keras"),
    ("dot-weights-3-0", "saved"),
    ("masked-attention-2-0", "saved"),
    ("masks-steps-rnn-3-0", ".keras"),
    ("separable-conv1d-2-0", ".h5"),  # a bias with an activation after a change of the shape
    ("separable-conv1d-2-0", "saved"),
    ("twin-texts-3-0", "saved"),  # a table that two uses of a model read keeps the name of the first
    ("up-padded-2-0", ".h5"),
    ("up-padded-2-0", "saved"),
    ("up-sampling3d-3-0", "saved"),  # the converter does not know all lengths
    ("up-volume-3-0", "saved"),
}
"""Networks that are within the stated error, and not equal to the byte."""
SAVED_ONLY = {"dot-sequences", "masked-attention", "softmax-axis"}
"""Kinds that are predicted from their SavedModels and not from their configurations."""


@pytest.fixture(scope="module")
def found() -> Iterator[list[Outcome]]:
    with unpacked() as folder:
        yield list(outcomes(folder))


def test_every_kind_was_given_to_the_converter() -> None:
    assert {name.rsplit("-", 2)[0] for name in sizes()} == set(NETWORKS)


def test_what_is_labelled_exact_is_equal_to_the_byte(found: list[Outcome]) -> None:
    exact = [one for one in found if one.basis == "exact"]
    assert exact
    assert [one for one in exact if one.predicted != one.real] == []


def test_predictions_are_equal_to_the_byte_but_for_those_that_are_listed(found: list[Outcome]) -> None:
    told = [one for one in found if one.is_told]
    assert len(told) > 900
    assert {(one.network, one.source) for one in told if one.predicted != one.real} == NEARLY


def test_predictions_are_within_their_stated_error(found: list[Outcome]) -> None:
    assert [
        one for one in found if one.predicted and abs(one.predicted - one.real) > one.stated * one.real
    ] == []


def test_kinds_that_only_their_savedmodels_tell_are_told_from_those(found: list[Outcome]) -> None:
    told = {(one.network.rsplit("-", 2)[0], one.source) for one in found if one.is_told}
    assert {(kind, "saved") for kind in SAVED_ONLY} <= told
