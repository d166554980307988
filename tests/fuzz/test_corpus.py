"""Recorded inputs of fuzzing, replayed: each is answered or refused, in time and within its memory."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.cases import CORPUS, Case, corpus, pack, seeds, unpack
from tests.fuzz.drive import Driver, read_counts, run_one, write_counts
from tests.fuzz.families import FAMILIES
from tests.fuzz.page import COUNTS, PAGE, fill
from tests.support.work import CALLS, calls_of

LARGEST = 2_000_000


CASES = dict(corpus())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_recorded_input_is_answered_or_refused(family: str, name: str) -> None:
    run_one(family, CASES[name])  # whatever is neither an answer nor a refusal is raised


@pytest.mark.parametrize("family", FAMILIES)
def test_some_recorded_inputs_are_answered(family: str) -> None:
    """Inputs that are all refused at once would reach none of the code."""
    assert len(CASES) >= 50
    assert any(run_one(family, case) for case in CASES.values())


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < LARGEST


@pytest.mark.parametrize("family", FAMILIES)
def test_the_dearest_kind_of_recorded_input_makes_few_calls(family: str) -> None:
    name, case = max(corpus(), key=lambda entry: entry[1].size)
    assert calls_of(lambda: run_one(family, case)) < CALLS, name


def test_the_page_has_the_counts_that_were_recorded() -> None:
    """They are those of runs: each input was answered, refused, or broke a promise."""
    counts = read_counts(COUNTS)
    assert set(counts) == set(FAMILIES)
    for outcome in counts.values():
        assert outcome.executions == outcome.answered + outcome.refused + outcome.escapes
        assert outcome.executions == sum(outcome.kinds.values())
        assert outcome.slow == outcome.heavy == 0
    page = PAGE.read_text(encoding="utf-8")
    assert fill(page, counts) == page


def test_a_run_of_families_in_turn_counts_what_it_does(tmp_path: Path) -> None:
    begun = [(name, case) for name, case in seeds() if case.size < 600]
    driver = Driver("parse", 0, tmp_path, begun)
    first = driver.run(60, 40)
    second = driver.run(60, 10)
    assert (first.executions, second.executions) == (40, 10)
    assert first.answered + first.refused == 40
    driver.write_novel(tmp_path / "new")
    assert list((tmp_path / "new").iterdir())
    counts = {"parse": first}
    counts["parse"].add(second)
    write_counts(tmp_path / "counts.json", counts)
    assert read_counts(tmp_path / "counts.json")["parse"].executions == 50


def test_a_case_is_the_same_after_packing() -> None:
    cases = [case for _, case in islice(seeds(), 20)]
    assert len(cases) == 20
    assert all(unpack(pack(case)) == case for case in cases)
    assert unpack(b"anything else") == Case((("model", b"anything else"),), "model")


def test_equal_seeds_give_equal_mutations() -> None:
    case = next(case for name, case in seeds() if name.endswith(".keras"))
    first, second = ([case.mutated(random.Random(seed)) for seed in range(50)] for _ in range(2))
    assert first == second
    assert len(set(map(pack, first))) > 25
