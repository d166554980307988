"""What `plan` predicts for older TensorFlow releases is what they wrote."""

from __future__ import annotations

import pytest
from benchmarks.accuracy.plan_reality import PAGE
from benchmarks.accuracy.release_networks import ALL, TABLE
from benchmarks.accuracy.release_reality import (
    BEGIN,
    END,
    FIRST_BEGIN,
    FIRST_END,
    Outcome,
    differences,
    is_check,
    outcomes,
    sizes,
    table,
)

import modelinspect as mi
from modelinspect.conversion.releases import NEWEST, RELEASES, Release, measured_release, release_of
from modelinspect.errors import UsageError
from tests.support.fixtures import fixture_path

MODEL = "pruned_levels/mlp-35/stripped/model.h5"
OLDER = [release for release in RELEASES if release is not NEWEST]
SAMPLE = (
    "plan.mlp-0.80-4x1",
    "plan.separable-0.95-16x1",
    "fresh.keyword-3-1",
    "fresh.p-quartznet-3-0",
    "fresh.p-tagger-3-0",
    "signature.module-dense-1-107",
)
"""Networks whose biases keep names, lose them, are within names, are quantized; one that 2.16 to 2.18 write
otherwise, and one with loops.
"""


@pytest.fixture(scope="module")
def found() -> list[Outcome]:
    return list(outcomes(SAMPLE))


def test_every_network_of_the_table_is_recorded_for_the_newest_release() -> None:
    names = {f"{place}.{name}" for place, some in ALL.items() for name in some}
    recorded = {name.removesuffix(".h5").removesuffix(".keras") for name in sizes()[NEWEST.version]}
    assert recorded <= names
    assert len(recorded) >= len(names) - 1  # one is too large
    assert {release.version for release in RELEASES} <= sizes().keys()
    assert TABLE.is_file()


def test_predictions_hold_for_every_release(found: list[Outcome]) -> None:
    assert {one.release for one in found} == {release.number for release in RELEASES}
    assert [one for one in found if one.basis == "exact" and one.predicted != one.real] == []
    assert [one for one in found if one.is_told and not one.is_within] == []


@pytest.mark.parametrize("release", OLDER, ids=lambda release: release.number)
def test_forms_are_equal_to_the_byte(release: Release, found: list[Outcome]) -> None:
    same = {
        (one.network, one.form)
        for one in found
        if one.release == release.number and one.predicted == one.real
    }
    forms = ("float32", "float16", "dynamic-int8", "float32-sparse", "dynamic-int8-sparse", "int8")
    for network in ("plan.mlp-0.80-4x1.h5", "plan.separable-0.95-16x1.h5"):
        assert {form for name, form in same if name == network} >= set(forms)


def test_what_is_not_understood_of_a_release_is_left_out(found: list[Outcome]) -> None:
    predicted = {(one.release, one.network) for one in found}
    for release in RELEASES:
        assert ((release.number, "fresh.p-tagger-3-0.keras") in predicted) is (release is NEWEST)
        assert ((release.number, "fresh.p-quartznet-3-0.keras") in predicted) is not release.moves_reshapes


def test_the_plan_names_the_release() -> None:
    path = fixture_path(MODEL)
    for release in (NEWEST, OLDER[0]):
        plan = mi.plan(path, only=("tflite-float32",), tensorflow=release.number, downloads=False)
        assert plan.to_dict()["tensorflow"] == release.version
        assert release.version in str(plan)
    assert mi.plan(path, only=("tflite-float32",), downloads=False).to_dict()["tensorflow"] == NEWEST.version
    assert mi.plan(path, only=("gzip-9",)).to_dict()["tensorflow"] is None


@pytest.mark.parametrize("text", ["2.15", "2.22.0", "1.15", "newest", "2"])
def test_a_release_that_is_not_predicted_is_refused_and_the_others_are_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        mi.plan(fixture_path(MODEL), tensorflow=text)
    assert all(release.number in str(caught.value) for release in RELEASES)


def test_a_release_is_known_by_any_of_its_versions() -> None:
    assert release_of("2.19") is release_of("2.19.0") is measured_release("2.19.1")
    assert measured_release("2.15.1") is None


def test_a_tflite_file_keeps_the_names_of_its_release() -> None:
    path = fixture_path("pruned_levels/mlp-35/stripped/float32.tflite")
    options = [entry.option for entry in mi.plan(path, tensorflow="2.19", only=("tflite-float16",)).options]
    assert options == []
    assert mi.plan(path, tensorflow=NEWEST.number, only=("tflite-float16",)).options


def test_the_page_shows_how_releases_differ() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(FIRST_BEGIN)[2].partition(FIRST_END)[0] == differences(sizes()), (
        "run: python benchmarks/accuracy/release_reality.py --write"
    )


@pytest.mark.slow
def test_the_page_shows_these_predictions_as_they_are() -> None:
    every = list(outcomes())
    assert {is_check(one.network) for one in every} == {True, False}
    assert [one for one in every if one.basis == "exact" and one.predicted != one.real] == []
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table(every), (
        "run: python benchmarks/accuracy/release_reality.py --write"
    )
