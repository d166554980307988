"""``plan --convert`` puts TensorFlow's sizes in the place of predicted ones, and loads nothing that a rule
objects to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.api import opened
from modelinspect.conversion.releases import NEWEST
from modelinspect.errors import UsageError
from modelinspect.networks.subject import Subject
from modelinspect.pruning import converter
from modelinspect.pruning.converter import measure_forms
from modelinspect.reports.plan import OptionEntry, PlanReport
from tests.support.fixtures import fixture_path

MODEL = "pruned_levels/mlp-35/stripped/model.h5"
FORMS = ("tflite-float32", "tflite-float16", "tflite-dynamic-int8")


def _child(tmp_path: Path, body: str) -> tuple[str, ...]:
    """Return a command that stands for TensorFlow's process."""
    script = tmp_path / "child.py"
    script.write_text(
        f"import json, sys, time\njob = json.loads(sys.stdin.readline())\n{body}\n", encoding="utf-8"
    )
    return sys.executable, str(script)


def _measured(path: Path, command: tuple[str, ...], seconds: int = 60) -> tuple[PlanReport, PlanReport]:
    plan = mi.plan(path, only=FORMS)
    with opened(path) as (artifact, files):
        return plan, measure_forms(
            plan, Subject(artifact, None, open_files=files), path, seconds=seconds, command=command
        )


def _by_name(report: PlanReport) -> dict[str, OptionEntry]:
    return {entry.option: entry for entry in report.options}


def test_a_size_that_was_made_is_measured_and_stands_beside_its_prediction(tmp_path: Path) -> None:
    body = (
        "for form in job['forms']: print(json.dumps({'form': form, 'size': 70000 if form == 'float16' else"
        " None, 'reason': 'no'}))"
    )
    plan, measured = _measured(fixture_path(MODEL), _child(tmp_path, body))
    before, after = _by_name(plan), _by_name(measured)
    entry = after["tflite-float16"]
    assert (entry.size, entry.basis, entry.error) == (70_000, "measured", None)
    assert entry.delta - before["tflite-float16"].delta == 70_000 - before["tflite-float16"].size
    assert f"{before['tflite-float16'].size:,}" in entry.notes
    assert after["tflite-float32"] == before["tflite-float32"]
    assert len(measured.left_out) == len(plan.left_out) + 2
    assert len(measured.notes) == len(plan.notes) + 1  # 70,000 bytes are not what was predicted


def test_a_prediction_that_holds_adds_no_note(tmp_path: Path) -> None:
    size = _by_name(mi.plan(fixture_path(MODEL), only=FORMS))["tflite-float32"].size
    body = f"print(json.dumps({{'form': 'float32', 'size': {size}}}))"
    plan, measured = _measured(fixture_path(MODEL), _child(tmp_path, body))
    assert _by_name(measured)["tflite-float32"].basis == "measured"
    assert measured.notes == plan.notes


@pytest.mark.parametrize(("ran", "is_ours"), [(NEWEST.version, True), ("2.99.0", False)])
def test_the_release_that_ran_is_named_and_compared_with_its_own_prediction(
    ran: str, is_ours: bool, tmp_path: Path
) -> None:
    body = f"print(json.dumps({{'form': 'float32', 'size': 70000, 'tensorflow': {ran!r}}}))"
    plan, measured = _measured(fixture_path(MODEL), _child(tmp_path, body))
    assert ran in _by_name(measured)["tflite-float32"].notes
    assert measured.tensorflow == ran
    assert len(measured.notes) - len(plan.notes) == is_ours
    assert len(measured.left_out) - len(plan.left_out) == (not is_ours)


def test_convert_predicts_for_the_release_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converter, "_installed_version", lambda: "2.19.0")
    assert converter.installed_release().number == "2.19"
    assert converter.installed_release("2.19").number == "2.19"
    with pytest.raises(UsageError):
        converter.installed_release("2.20")
    monkeypatch.setattr(converter, "_installed_version", lambda: "2.99.0")
    assert converter.installed_release() is NEWEST


def test_a_converter_that_does_not_end_is_stopped_and_what_it_made_is_kept(tmp_path: Path) -> None:
    body = "print(json.dumps({'form': 'float32', 'size': 5}), flush=True)\ntime.sleep(600)"
    plan, measured = _measured(fixture_path(MODEL), _child(tmp_path, body), seconds=2)
    assert _by_name(measured)["tflite-float32"].size == 5
    assert len(measured.left_out) == len(plan.left_out) + 1


def test_a_converter_that_dies_leaves_the_predictions(tmp_path: Path) -> None:
    plan, measured = _measured(fixture_path(MODEL), _child(tmp_path, "sys.exit(3)"))
    assert measured.options == plan.options
    assert len(measured.left_out) == len(plan.left_out) + 1


@pytest.mark.parametrize("name", ["lambda_keras3.h5", "lambda_keras3.keras", "lambda_savedmodel"])
def test_a_model_with_code_in_it_is_not_loaded(name: str, tmp_path: Path) -> None:
    path = fixture_path(f"unsafe/{name}")
    marker = tmp_path / "loaded"
    command = _child(tmp_path, f"open({str(marker)!r}, 'w').close()")
    with opened(path) as (artifact, files), pytest.raises(UsageError):
        measure_forms(
            mi.plan(path, only=FORMS), Subject(artifact, None, open_files=files), path, command=command
        )
    assert not marker.exists()


def test_a_file_that_keras_does_not_load_is_refused(tmp_path: Path) -> None:
    path = fixture_path("pruned_levels/mlp-35/stripped/float32.tflite")
    with opened(path) as (artifact, files), pytest.raises(UsageError):
        measure_forms(
            mi.plan(path, only=FORMS),
            Subject(artifact, None, open_files=files),
            path,
            command=_child(tmp_path, ""),
        )


@pytest.mark.tensorflow
def test_tensorflow_writes_the_sizes_that_are_reported() -> None:
    report = mi.plan(fixture_path(MODEL), only=("tflite-float32", "tflite-int8"), convert=True)
    entries = _by_name(report)
    assert {entry.basis for entry in entries.values()} == {"measured"}
    assert (
        entries["tflite-float32"].size
        == fixture_path("pruned_levels/mlp-35/stripped/float32.tflite").stat().st_size
    )
