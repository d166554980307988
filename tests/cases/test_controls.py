"""Clean artifacts of every format: no rule fires on them, but for the note that a tiny file is mostly
framing.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.core.artifact import FormatName
from tests.cases.bank import build, cases
from tests.cases.test_cases import NEEDS
from tests.support.fixtures import fixture_path

ALLOWED = {"tiny-model-overhead"}
"""True of every file this small: a control is small so that the tests are fast."""

FIXTURES = (Path(__file__).parent / "controls.txt").read_text(encoding="utf-8").split()

OF_CASES = (
    *(
        (number, "before")
        for number in (5, 12, 13, 14, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32, 36, 39, 40)
    ),
    *((number, "after") for number in (23, 24, 29, 31, 36)),
)
"""Sides of cases with nothing wrong in them: what was there before it went wrong, and what grew for no
fault.
"""


def fired(path: Path) -> set[str]:
    return {finding.rule for finding in mi.explain(path).findings} - ALLOWED


@pytest.mark.parametrize("name", FIXTURES)
def test_nothing_fires_on_a_clean_fixture(name: str) -> None:
    assert fired(fixture_path(name)) == set()


@pytest.mark.parametrize(
    ("number", "which"), [pytest.param(*one, marks=pytest.mark.tensorflow) for one in OF_CASES]
)
def test_nothing_fires_on_a_clean_side_of_a_case(number: int, which: str, cases_root: Path) -> None:
    case = cases()[number - 1]
    assert case.builder is not None
    if case.builder in NEEDS and find_spec(NEEDS[case.builder]) is None:
        pytest.skip(f"needs {NEEDS[case.builder]}")
    before, after = case.paths(build(case.builder, cases_root))
    assert fired(before if which == "before" else after) == set()


def test_the_controls_are_of_every_format() -> None:
    formats = {mi.open(fixture_path(name)).format for name in FIXTURES}
    assert formats >= set(FormatName) - {FormatName.CHECKPOINT}  # clean checkpoints are sides of cases
    assert len(FIXTURES) + len(OF_CASES) >= 40
