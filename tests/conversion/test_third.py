"""The third set of networks is recorded: every form has a size or the reason why the converter refused it."""

from __future__ import annotations

import pytest
from benchmarks.accuracy.fresh_networks import BUILDERS
from benchmarks.accuracy.recorded_networks import sizes, unexplained
from benchmarks.accuracy.second_networks import SECOND
from benchmarks.accuracy.third_kinds import GRAMMARS
from benchmarks.accuracy.third_networks import THIRD, forms_of
from benchmarks.accuracy.unseen_networks import DENSE, Network, named


@pytest.fixture(scope="module")
def accepted() -> list[Network]:
    return [named(name) for name, forms in sorted(sizes(THIRD).items()) if any(forms.values())]


def test_no_kind_is_also_in_the_first_two_sets() -> None:
    assert THIRD.builders.keys().isdisjoint(BUILDERS)
    assert THIRD.builders.keys().isdisjoint(SECOND.builders)


def test_the_converter_accepted_at_least_150_networks_of_both_versions_of_keras(
    accepted: list[Network],
) -> None:
    assert len(accepted) >= 150
    assert 0.4 <= sum(network.keras == 2 for network in accepted) / len(accepted) <= 0.6
    assert 0.2 <= sum(network.kind in GRAMMARS for network in accepted) / len(accepted) <= 0.4


def test_most_networks_have_pruned_weights_and_many_have_none(accepted: list[Network]) -> None:
    pruned = sum(network.seed < DENSE for network in accepted) / len(accepted)
    assert 0.5 <= pruned <= 0.8


def test_every_form_has_a_size_or_a_reason() -> None:
    for name, forms in sizes(THIRD).items():
        assert list(forms) == forms_of(named(name))
    assert unexplained(THIRD) == []
