"""What `plan` says of TFLite files holds on networks that nobody tuned it for."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.accuracy.plan_reality import FORMS, PAGE
from benchmarks.accuracy.unseen_networks import named, networks
from benchmarks.accuracy.unseen_reality import BEGIN, END, LATER, Outcome, outcomes, sizes, table

import modelinspect as mi

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found() -> list[Outcome]:
    return list(outcomes())


def test_networks_of_every_kind_and_of_both_versions_were_converted() -> None:
    converted = {(named(name).kind, named(name).keras) for name in sizes()}
    assert converted >= {
        (network.kind, network.keras) for network in networks() if network.kind != "autoencoder"
    }


def test_what_is_labelled_exact_is_equal_to_the_byte(found: list[Outcome]) -> None:
    exact = [one for one in found if one.basis == "exact"]
    assert len(exact) >= 600
    assert [one for one in exact if one.predicted != one.real] == []


def test_every_prediction_is_within_its_stated_error(found: list[Outcome]) -> None:
    assert [one for one in found if one.real and one.error > one.stated + 1e-9] == []


def test_what_is_told_is_known_within_two_percent_and_most_to_the_byte(found: list[Outcome]) -> None:
    told = [one for one in found if one.real and one.is_told]
    assert max(one.error for one in told) <= 0.02
    assert len(told) / len([one for one in found if one.real]) > 0.9
    later = [one for one in told if one.network.seed >= LATER]
    assert sum(one.predicted == one.real for one in later) / len(later) > 0.98


def test_the_page_shows_these_predictions_as_they_are(found: list[Outcome]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table(found), (
        "run: python benchmarks/accuracy/unseen_reality.py --write"
    )


@pytest.mark.tensorflow
@pytest.mark.parametrize("keras", [2, 3])
def test_networks_that_are_drawn_anew_are_predicted_as_tensorflow_converts_them(
    keras: int, tmp_path: Path
) -> None:
    script = PROJECT / "benchmarks" / "accuracy" / "unseen_networks.py"
    command = [sys.executable, str(script), str(keras), str(tmp_path), "inception", "--seeds", "900"]
    subprocess.run(command, check=True, capture_output=True, timeout=1800)
    made = sorted(path.parent for path in tmp_path.glob("*/done"))
    assert made
    for folder in made:
        for entry in mi.plan(folder / "model.h5", only=tuple(FORMS)).options:
            real = (folder / f"{FORMS[entry.option]}.tflite").read_bytes()
            assert entry.basis == "exact", entry
            assert entry.size == len(real), (folder.name, entry)
            assert entry.download_size == pytest.approx(len(gzip.compress(real, 9)), rel=0.03)
