"""The public cases, rebuilt: the leading cause is the true one, and its bytes are those that the construction
says.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.analyses.explain import compare
from modelinspect.reports.causes import Cause
from modelinspect.rules.registry import wasteful_rules as rules
from tests.cases.bank import HERE, Case, Formulas, build, cases
from tests.cases.oracles import evaluate, size

NEEDS = {
    "build_keras": "keras",
    "build_keras_more": "tensorflow",
    "build_tf": "tensorflow",
    "build_tf_keras": "tensorflow_model_optimization",
}


BY_TENSORFLOW = re.compile(r"\b(?:tflite|checkpoint|constant|node_bytes|stored_constants)")
"""The readers of `oracles` that TensorFlow does the reading for."""


def formulas(case: Case) -> list[str]:
    return [
        one
        for table in (case.tensors, case.causes, case.findings)
        for several in table.values()
        for one in several
    ]


def needs(case: Case) -> str | None:
    """Return the package that builds a case or reads its files."""
    return NEEDS.get(case.builder or "") or (
        "tensorflow" if any(map(BY_TENSORFLOW.search, formulas(case))) else None
    )


def parameter(case: Case) -> object:
    return pytest.param(case, id=case.name, marks=[pytest.mark.tensorflow] if needs(case) else [])


def built(case: Case, root: Path) -> tuple[Path, Path]:
    """Return the two artifacts of a case; skip it where what builds it is not installed."""
    script, package = case.builder, needs(case)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"needs {package}")
    return case.paths(build(script, root) if script else root)


def expected(told: Formulas, before: Path, after: Path) -> dict[str, int]:
    """Return what formulas come to; where there are several, they agree."""
    values = {
        name: {formula: evaluate(formula, before, after) for formula in several}
        for name, several in told.items()
    }
    assert all(len(set(found.values())) == 1 for found in values.values()), values
    return {name: next(iter(found.values())) for name, found in values.items()}


@pytest.mark.parametrize("case", [parameter(case) for case in cases()])
def test_the_case_is_explained_by_its_true_cause(
    case: Case, cases_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "_EVIDENCE_KEPT", sys.maxsize)
    before, after = built(case, cases_root)
    report = mi.explain(before, after, compressors=False)
    causes = {entry.cause: entry.delta for entry in report.causes}
    assert sum(causes.values()) == report.delta == size(after) - size(before)
    assert "unexplained" not in causes
    if case.cause:
        leading = report.causes[0]
        assert leading.cause == case.cause, causes
        assert (leading.delta > 0) is (report.delta > 0)
        assert all(abs(entry.delta) < abs(leading.delta) for entry in report.causes[1:])
    else:
        assert (report.delta, report.causes) == (0, ())
        assert report.findings[0].rule == next(iter(case.findings))
    of_tensors = {
        entry.cause: sum(place.bytes for place in entry.evidence if place.tensor is not None)
        for entry in report.causes
    }
    of_tensors = {cause: found for cause, found in of_tensors.items() if cause not in case.undivided}
    assert {cause: found for cause, found in of_tensors.items() if found} == expected(
        case.tensors, before, after
    )
    assert {cause: causes.get(cause) for cause in case.causes} == expected(case.causes, before, after)


@pytest.mark.parametrize("case", [parameter(case) for case in cases()])
def test_the_rules_that_fire_are_the_cases_own(case: Case, cases_root: Path) -> None:
    before, after = built(case, cases_root)
    found = {finding.rule: finding.bytes for finding in mi.explain(before, after, compressors=False).findings}
    assert {rule: found[rule] for rule in found if rule not in case.beside} == expected(
        case.findings, before, after
    )
    assert set(case.beside) <= found.keys()


def test_the_bank_holds_every_case_once_and_names_real_causes_and_rules() -> None:
    assert [case.number for case in cases()] == list(range(1, 61))
    known = {rule.id for rule in rules()}
    for case in cases():
        assert not case.cause or case.cause in {*case.tensors, *case.causes}
        assert {*case.tensors, *case.causes} <= set(Cause)
        assert {*case.findings, *case.beside} <= known
        assert case.source
        assert case.happened


def test_every_difference_is_known_by_arithmetic_or_read_by_other_software() -> None:
    """A figure alone would be the tool's own answer, written down."""
    for case in cases():
        for formula in (
            formula
            for table in (case.tensors, case.causes, case.findings)
            for several in table.values()
            for formula in several
        ):
            assert formula == "0" or re.search(r"[*(]", formula), (case.name, formula)


def test_the_cases_whose_threads_never_ended_say_so() -> None:
    page = (HERE / "README.md").read_text(encoding="utf-8")
    told = page.partition("Where\nthe thread is unresolved")[2].partition("## Controls")[0]
    assert {case.number for case in cases() if case.inferred} == {
        int(number) for number in re.findall(r"\b(\d+) \(", told)
    }
