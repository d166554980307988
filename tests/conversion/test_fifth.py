"""The fifth set of networks is recorded: every form has a size or the reason why the converter refused it."""

from __future__ import annotations

import pytest
from benchmarks.accuracy.fifth_networks import FIFTH, forms_of, networks
from benchmarks.accuracy.fourth_networks import FOURTH
from benchmarks.accuracy.fourth_weights import is_pruned
from benchmarks.accuracy.fresh_networks import BUILDERS
from benchmarks.accuracy.fresh_reality import first
from benchmarks.accuracy.recorded_networks import sizes, unexplained
from benchmarks.accuracy.second_networks import SECOND
from benchmarks.accuracy.third_networks import THIRD
from benchmarks.accuracy.unseen_networks import Network, named


@pytest.fixture(scope="module")
def accepted() -> list[Network]:
    return [named(name) for name, forms in sorted(sizes(FIFTH).items()) if any(forms.values())]


@pytest.mark.parametrize("other", [BUILDERS, SECOND.builders, THIRD.builders, FOURTH.builders])
def test_no_kind_is_also_in_an_earlier_set(other: dict[str, object]) -> None:
    assert len(FIFTH.builders) >= 90
    assert FIFTH.builders.keys().isdisjoint(other)


def test_the_converter_accepted_about_200_networks_of_both_versions_of_keras(accepted: list[Network]) -> None:
    assert len(accepted) >= 195
    assert 0.45 <= sum(network.keras == 2 for network in accepted) / len(accepted) <= 0.55


def test_half_of_the_networks_have_pruned_weights(accepted: list[Network]) -> None:
    assert 0.4 <= sum(map(is_pruned, accepted)) / len(accepted) <= 0.6


def test_every_network_is_recorded_in_the_forms_that_it_is_converted_to() -> None:
    drawn = {network.name: forms_of(network) for keras in (2, 3) for _, network in networks(keras)}
    assert {name: list(forms) for name, forms in sizes(FIFTH).items()} == drawn


def test_every_form_has_a_size_or_a_reason() -> None:
    assert unexplained(FIFTH) == []


def test_first_predictions_are_of_every_form_or_not_made_yet() -> None:
    predicted = {(one.network.name, one.form) for one in first(FIFTH)}
    real = {(name, form) for name, forms in sizes(FIFTH).items() for form, size in forms.items() if size}
    assert predicted in (set(), real)
