"""The sixth and the seventh set of networks are recorded: every form has a size or the reason why it was
refused; the kinds of the seventh are those that were drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.accuracy import fresh_reality, seventh_networks, sixth_networks
from benchmarks.accuracy.fourth_weights import is_pruned
from benchmarks.accuracy.fresh_reality import SETS, first
from benchmarks.accuracy.recorded_networks import NetworkSet, sizes, unexplained
from benchmarks.accuracy.seventh_draw import drawn, listed
from benchmarks.accuracy.seventh_networks import SEVENTH
from benchmarks.accuracy.sixth_networks import SIXTH
from benchmarks.accuracy.unseen_networks import Network, named

LEAST = {SIXTH.name: 160, SEVENTH.name: 150}
"""The networks of both versions of Keras that the converter accepted."""
MODULES = {SIXTH.name: sixth_networks, SEVENTH.name: seventh_networks}


@pytest.fixture(scope="module", params=[SIXTH, SEVENTH], ids=lambda each: each.name)
def which(request: pytest.FixtureRequest) -> NetworkSet:
    one: NetworkSet = request.param
    return one


@pytest.fixture(scope="module")
def accepted(which: NetworkSet) -> list[Network]:
    return [named(name) for name, forms in sorted(sizes(which).items()) if any(forms.values())]


def test_no_kind_is_also_in_another_set(which: NetworkSet) -> None:
    assert len(which.builders) >= 75
    for other in SETS.keys() - {which.name}:
        assert which.builders.keys().isdisjoint(SETS[other].builders), other


def test_the_kinds_are_those_that_the_seed_draws_from_the_list() -> None:
    rows = listed()
    assert [int(row["number"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len({row["kind"] for row in rows}) == len(rows) >= 120
    assert {kind: group for kind, (group, _) in SEVENTH.builders.items()} == drawn()


def test_the_converter_accepted_networks_of_both_versions_of_keras(
    which: NetworkSet, accepted: list[Network]
) -> None:
    assert len(accepted) >= LEAST[which.name]
    assert 0.45 <= sum(network.keras == 2 for network in accepted) / len(accepted) <= 0.55


def test_half_of_the_networks_have_pruned_weights(accepted: list[Network]) -> None:
    assert 0.4 <= sum(map(is_pruned, accepted)) / len(accepted) <= 0.6


def test_every_network_is_recorded_in_the_forms_that_it_is_converted_to(which: NetworkSet) -> None:
    module = MODULES[which.name]
    forms_of, pairs = module.forms_of, [each for keras in (2, 3) for each in module.networks(keras)]
    expected = {network.name: forms_of(network) for _, network in pairs}
    assert {name: list(forms) for name, forms in sizes(which).items()} == expected


def test_every_form_has_a_size_or_a_reason(which: NetworkSet) -> None:
    assert unexplained(which) == []


def test_first_predictions_are_of_every_form_or_not_made_yet(which: NetworkSet) -> None:
    predicted = {(one.network.name, one.form) for one in first(which)}
    real = {(name, form) for name, forms in sizes(which).items() for form, size in forms.items() if size}
    assert predicted in (set(), real)


def test_first_predictions_can_be_made_from_a_folder_of_networks(
    which: NetworkSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = list[Path]()
    monkeypatch.setattr(fresh_reality, "add_first", lambda found, given: folders.append(given.first))
    monkeypatch.setattr(sys, "argv", ["", "--set", which.name, "--first", "--made", str(tmp_path)])
    fresh_reality.main()
    assert folders == [which.first]
