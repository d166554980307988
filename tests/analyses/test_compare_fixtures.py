"""Diff and explain over every pair of fixtures of one architecture, and random pairs of all: they sum, and
they mirror.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from functools import cache
from itertools import combinations

import pytest

from modelinspect import api
from modelinspect.analyses.diff import diff
from modelinspect.analyses.explain.compare import explain
from modelinspect.core.bytemap import RegionKind
from modelinspect.networks.subject import Subject
from tests.support.fixtures import FOLDER, fixture_names

NAMES = fixture_names()
PAIRS = (
    random.Random(20).sample([(one, other) for one in NAMES for other in NAMES if one < other], k=150)
    if len(NAMES) > 20
    else []
)


def architecture(name: str) -> str:
    """Return the network that a fixture stores: its recipe, and which of them where a recipe makes
    several.
    """
    recipe, made = name.split("/")[:2]
    if recipe in ("pruned_levels", "pruned_layers"):
        return made.partition("-")[0] if recipe == "pruned_levels" else made
    return "mlp" if recipe == "pruned_mlp" else recipe


def of_one_architecture() -> dict[str, list[tuple[str, str]]]:
    """Return all pairs of fixtures of one architecture, whatever their formats and methods; those of the
    levels with each other.
    """
    groups: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for name in NAMES:
        if re.match("pruned_|mlp/|checkpoint|saved_model|tfjs|keras_hdf5|keras_zip|tflite/", name):
            groups[architecture(name), name.startswith("pruned_levels")].append(name)
    pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for names in groups.values():
        for one, other in combinations(names, 2):
            pairs[one].append((one, other))
    return pairs


ALIKE = of_one_architecture()


@cache
def side(name: str) -> Subject:
    return api.side(FOLDER / name)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_differs_from_itself(name: str) -> None:
    one = side(name)
    assert explain(one, one).causes == ()
    report = diff(one, one)
    assert not report.has_difference
    assert {entry.status for entry in report.tensors} <= {"same"}
    assert all(entry.before == entry.after for entry in report.tensors)


@pytest.mark.parametrize("name", NAMES)
def test_the_causes_of_one_artifact_sum_to_its_size(name: str) -> None:
    report = explain(None, side(name))
    assert sum(entry.delta for entry in report.causes) == report.after.size


@pytest.mark.parametrize("first", ALIKE)
def test_every_pair_of_one_architecture_is_explained(first: str) -> None:
    for before, after in ALIKE[first]:
        explains_everything(before, after)


def test_several_hundred_pairs_of_one_architecture_are_compared() -> None:
    if NAMES:
        assert sum(map(len, ALIKE.values())) >= 1_000


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_causes_sum_mirror_and_explain_everything(before: str, after: str) -> None:
    explains_everything(before, after)


def explains_everything(before: str, after: str) -> None:
    forth, back = explain(side(before), side(after)), explain(side(after), side(before))
    where = f"{before} and {after}"
    assert sum(entry.delta for entry in forth.causes) == forth.delta == -back.delta, where
    assert {entry.cause: entry.delta for entry in forth.causes} == {
        entry.cause: -entry.delta for entry in back.causes
    }, where
    if not any(_unattributed(side(name)) for name in (before, after)):
        assert "unexplained" not in {entry.cause for entry in forth.causes}, where
    for entry in forth.causes:
        if entry.evidence_count <= len(entry.evidence):
            assert sum(evidence.bytes for evidence in entry.evidence) == entry.delta, where
    for report in (forth, back):
        assert report.summary, where
        list(report.blocks())


@pytest.mark.parametrize(("before", "after"), PAIRS[:60])
def test_a_diff_mirrors(before: str, after: str) -> None:
    forth, back = diff(side(before), side(after)), diff(side(after), side(before))
    assert (
        forth.delta
        == -back.delta
        == sum(forth.categories.values())
        == sum(layer.delta for layer in forth.layers)
    )
    assert {name: -delta for name, delta in forth.categories.items()} == back.categories
    turned = {"added": "removed", "removed": "added"}
    mine = sorted((e.before or "", e.after or "", e.status, e.stored_delta) for e in forth.tensors)
    theirs = sorted(
        (e.after or "", e.before or "", turned.get(e.status, e.status), -e.stored_delta) for e in back.tensors
    )
    assert mine == theirs


def _unattributed(one: Subject) -> int:
    return sum(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in one.artifact.members)
