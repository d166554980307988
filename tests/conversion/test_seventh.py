"""The seventh set is what was drawn, and every form has a size or the reason why the converter refused it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.accuracy import fresh_reality
from benchmarks.accuracy.fourth_weights import is_pruned
from benchmarks.accuracy.fresh_reality import SETS, first
from benchmarks.accuracy.recorded_networks import sizes, unexplained
from benchmarks.accuracy.seventh_draw import drawn, listed
from benchmarks.accuracy.seventh_networks import SEVENTH, forms_of, networks
from benchmarks.accuracy.unseen_networks import Network, named


@pytest.fixture(scope="module")
def accepted() -> list[Network]:
    return [named(name) for name, forms in sorted(sizes(SEVENTH).items()) if any(forms.values())]


@pytest.mark.parametrize("other", sorted(SETS.keys() - {"seventh"}))
def test_no_kind_is_also_in_an_earlier_set(other: str) -> None:
    assert len(SEVENTH.builders) >= 75
    assert SEVENTH.builders.keys().isdisjoint(SETS[other].builders)


def test_the_kinds_are_those_that_the_seed_draws_from_the_list() -> None:
    rows = listed()
    assert [int(row["number"]) for row in rows] == list(range(1, len(rows) + 1))
    assert len({row["kind"] for row in rows}) == len(rows) >= 120
    assert {kind: group for kind, (group, _) in SEVENTH.builders.items()} == drawn()


def test_the_converter_accepted_150_networks_of_both_versions_of_keras(accepted: list[Network]) -> None:
    assert len(accepted) >= 150
    assert 0.45 <= sum(network.keras == 2 for network in accepted) / len(accepted) <= 0.55


def test_half_of_the_networks_have_pruned_weights(accepted: list[Network]) -> None:
    assert 0.4 <= sum(map(is_pruned, accepted)) / len(accepted) <= 0.6


def test_every_network_is_recorded_in_the_forms_that_it_is_converted_to() -> None:
    drawn = {network.name: forms_of(network) for keras in (2, 3) for _, network in networks(keras)}
    assert {name: list(forms) for name, forms in sizes(SEVENTH).items()} == drawn


def test_every_form_has_a_size_or_a_reason() -> None:
    assert unexplained(SEVENTH) == []


def test_first_predictions_are_of_every_form_or_not_made_yet() -> None:
    predicted = {(one.network.name, one.form) for one in first(SEVENTH)}
    real = {(name, form) for name, forms in sizes(SEVENTH).items() for form, size in forms.items() if size}
    assert predicted in (set(), real)


def test_first_predictions_can_be_made_from_a_folder_of_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = list[Path]()
    monkeypatch.setattr(fresh_reality, "add_first", lambda found, which: folders.append(which.first))
    monkeypatch.setattr(sys, "argv", ["", "--set", "seventh", "--first", "--made", str(tmp_path)])
    fresh_reality.main()
    assert folders == [SEVENTH.first]
