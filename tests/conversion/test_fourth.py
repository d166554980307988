"""The fourth set of networks is recorded, and the tables of first predictions are those of the record."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.accuracy.fifth_networks import FIFTH
from benchmarks.accuracy.fourth_networks import FOURTH, forms_of
from benchmarks.accuracy.fourth_weights import is_pruned
from benchmarks.accuracy.fresh_networks import BUILDERS
from benchmarks.accuracy.fresh_reality import SHOWN_FIRST, first, second_table
from benchmarks.accuracy.recorded_networks import NetworkSet, sizes, unexplained
from benchmarks.accuracy.second_networks import SECOND
from benchmarks.accuracy.third_networks import THIRD
from benchmarks.accuracy.unseen_networks import Network, named

PAGE = Path(__file__).resolve().parents[2] / "docs" / "developer" / "predictions.md"


@pytest.fixture(scope="module")
def accepted() -> list[Network]:
    return [named(name) for name, forms in sorted(sizes(FOURTH).items()) if any(forms.values())]


@pytest.mark.parametrize("other", [BUILDERS, SECOND.builders, THIRD.builders])
def test_no_kind_is_also_in_an_earlier_set(other: dict[str, object]) -> None:
    assert FOURTH.builders.keys().isdisjoint(other)


def test_the_converter_accepted_at_least_200_networks_of_both_versions_of_keras(
    accepted: list[Network],
) -> None:
    assert len(accepted) >= 200
    assert 0.45 <= sum(network.keras == 2 for network in accepted) / len(accepted) <= 0.55


def test_half_of_the_networks_have_pruned_weights(accepted: list[Network]) -> None:
    assert 0.4 <= sum(map(is_pruned, accepted)) / len(accepted) <= 0.6


def test_every_network_is_recorded_in_the_forms_that_it_is_converted_to() -> None:
    assert {name: list(forms) for name, forms in sizes(FOURTH).items()} == {
        name: forms_of(named(name)) for name in sizes(FOURTH)
    }
    assert {named(name).kind for name in sizes(FOURTH)} == FOURTH.builders.keys()


def test_every_form_has_a_size_or_a_reason() -> None:
    assert unexplained(FOURTH) == []


def test_first_predictions_are_of_every_form_or_not_made_yet() -> None:
    predicted = {(one.network.name, one.form) for one in first(FOURTH)}
    real = {(name, form) for name, forms in sizes(FOURTH).items() for form, size in forms.items() if size}
    assert predicted in (set(), real)


@pytest.mark.parametrize("which", [THIRD, FOURTH, FIFTH], ids=lambda which: which.name)
def test_the_page_has_the_table_of_first_predictions(which: NetworkSet) -> None:
    begin, end = SHOWN_FIRST[which.name]
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(begin) == text.count(end) == 1
    assert text.partition(begin)[2].partition(end)[0] == second_table(first(which), which), (
        f"run benchmarks/accuracy/fresh_reality.py --set {which.name} --write"
    )
