"""What `plan` says of TFLite files is what the converter makes."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.accuracy.plan_networks import cases
from benchmarks.accuracy.plan_reality import (
    BEGIN,
    END,
    PAGE,
    Outcome,
    all_cases,
    outcomes,
    sizes,
    table,
    write_h5,
    write_tflite,
)

import modelinspect as mi
from modelinspect.conversion.flatbuffer.size import packed_size
from modelinspect.conversion.tree import read_tree
from modelinspect.core.limits import Limits
from modelinspect.formats.tflite.schema import schema
from modelinspect.sources.local_files import LocalSource
from tests.support.fixtures import fixture_names, fixture_path

CONVERTED = [
    name
    for under in ("pruned_", "tflite/")
    for name in fixture_names(under=under, suffix=".tflite")
    if "/metadata" not in name
]
ERROR = 0.001


@pytest.fixture(scope="module")
def found() -> list[Outcome]:
    return list(outcomes(all_cases()))


@pytest.mark.parametrize("name", CONVERTED)
def test_a_file_that_the_converter_wrote_is_counted_to_the_byte_when_it_is_packed_again(name: str) -> None:
    path = fixture_path(name)
    source = LocalSource(path, path.name)
    assert packed_size(read_tree(source, schema("model"), Limits()), schema("model")) == source.size


def test_every_case_was_converted_by_tensorflow() -> None:
    assert set(sizes()) == {
        (case.name, f"{form}{sparse}")
        for case in cases()
        for form in ("float32", "float16", "dynamic-int8")
        for sparse in ("", "-sparse")
    }


def test_dense_float_forms_are_predicted_to_the_byte(found: list[Outcome]) -> None:
    for outcome in found:
        if outcome.option in ("tflite-float32", "tflite-float16"):
            assert outcome.predicted == outcome.real, outcome


def test_every_prediction_is_within_its_stated_error(found: list[Outcome]) -> None:
    assert len(found) == 450
    assert max(outcome.error for outcome in found) <= ERROR
    assert sum(outcome.predicted == outcome.real for outcome in found) >= 440


def test_the_page_shows_the_predictions_as_they_are(found: list[Outcome]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table(found), (
        "run: python benchmarks/accuracy/plan_reality.py --write"
    )


def test_the_loss_of_sparse_int8_at_35_percent_is_told_before_the_conversion(tmp_path) -> None:
    case = next(case for case in cases() if case.name == "mlp-0.35-unstructured")
    path = tmp_path / "model.h5"
    write_h5(case, path)
    report = mi.plan(path, only=["tflite-dynamic-int8", "tflite-dynamic-int8-sparse"])
    by_name = {entry.option: entry for entry in report.options}
    dense, sparse = by_name["tflite-dynamic-int8"], by_name["tflite-dynamic-int8-sparse"]
    assert sparse.size > 1.7 * dense.size
    assert any("would make the file larger" in note and "+74 %" in note for note in report.notes)
    real = sizes()
    assert real[case.name, "dynamic-int8-sparse"] > 1.7 * real[case.name, "dynamic-int8"]


def test_blocks_that_do_not_divide_the_inputs_are_told_to_lose_weights() -> None:
    """Ten inputs in blocks of 16: the real file keeps 16 of 832 weights."""
    report = mi.plan(
        fixture_path("pruned_levels/mlp-35/stripped/model.h5"), only=["tflite-dynamic-int8-sparse"]
    )
    assert any("would drop weights" in note and "10 inputs" in note for note in report.notes)
    made = mi.tensors(fixture_path("pruned_levels/mlp-35/stripped/dynamic-int8-sparse.tflite"))
    kernel = next(entry for entry in made.tensors if entry.shape == (128, 10))
    assert kernel.element_count - (kernel.zero_count or 0) <= 16


@pytest.mark.parametrize("model", ["pruned_mlp", "pruned_levels/mlp-35", "pruned_levels/mlp-80"])
def test_weights_that_the_delegate_miscomputes_are_told_before_the_conversion(model: str) -> None:
    """As many as the rule `sparse-hybrid` finds in what the converter wrote."""
    made = (
        mi.inspect(fixture_path(f"{model}/stripped/dynamic-int8-sparse.tflite"))
        .to_dict()["facts"]
        .get("sparse_hybrid", ())
    )
    (option,) = mi.plan(
        fixture_path(f"{model}/stripped/model.h5"), only=["tflite-dynamic-int8-sparse"]
    ).options
    assert ("XNNPACK" in option.notes) == bool(made)
    assert (f"{len(made)} sparse int8 weight" in option.notes) == bool(made)


@pytest.mark.parametrize(
    "folder",
    [
        "pruned_mlp/stripped",
        "pruned_levels/mlp-50/stripped",
        "pruned_levels/mlp-80/stripped",
        "pruned_levels/mlp-95/stripped",
    ],
)
def test_the_pruning_stages_own_files_are_predicted(folder: str) -> None:
    report = mi.plan(fixture_path(f"{folder}/model.h5"))
    for entry in report.options:
        form = (
            entry.option.removeprefix("tflite-").replace("sparse", "float32-sparse")
            if entry.option == "tflite-sparse"
            else ""
        )
        form = form or entry.option.removeprefix("tflite-")
        path = fixture_path(folder) / f"{form}.tflite"
        # the stage's integer files take and give int8, those of the plan's command float32
        is_other_form = entry.option in ("tflite-int8", "tflite-int8-sparse")
        if entry.option.startswith("tflite-") and path.is_file() and not is_other_form:
            assert abs(entry.size - path.stat().st_size) <= (entry.error or 0.0) * path.stat().st_size, entry


@pytest.mark.parametrize("source", ["model.keras", "saved-model-keras", "model.h5"])
def test_every_keras_format_gives_the_same_prediction(source: str) -> None:
    report = mi.plan(fixture_path(f"pruned_mlp/stripped/{source}"), only=["tflite-float32", "tflite-sparse"])
    assert {entry.option: entry.size for entry in report.options} == {
        "tflite-float32": 12_424,
        "tflite-sparse": 5_640,
    }


@pytest.mark.parametrize("source", ["model.h5", "model.keras"])
def test_wrapped_models_have_the_forms_of_what_they_wrap(source: str) -> None:
    real = {
        form: fixture_path(f"pruned_mlp/stripped/{form}.tflite").stat().st_size
        for form in ("float32", "float16", "dynamic-int8")
    }
    report = mi.plan(fixture_path(f"pruned_mlp/wrapped/{source}"), only=[f"tflite-{form}" for form in real])
    assert {entry.option.removeprefix("tflite-"): (entry.size, entry.basis) for entry in report.options} == {
        form: (size, "exact") for form, size in real.items()
    }


def test_weights_without_a_configuration_are_guessed_and_say_so() -> None:
    report = mi.plan(fixture_path("pruned_mlp/stripped/model.weights.h5"), only=["tflite-dynamic-int8"])
    (entry,) = report.options
    assert entry.error is not None
    assert abs(entry.size - 6_504) <= entry.error * 6_504
    assert "assumed" in entry.notes


def test_full_integer_models_have_no_float_forms() -> None:
    report = mi.plan(fixture_path("tflite/int8.tflite"), only=["tflite-float32"])
    assert not report.options
    assert any("activations are quantized" in line for line in report.left_out)


def test_a_sparse_model_is_expanded_before_it_is_predicted(tmp_path) -> None:
    report = mi.plan(
        fixture_path("pruned_levels/mlp-80/stripped/float32-sparse.tflite"), only=["tflite-float32"]
    )
    (entry,) = report.options
    assert entry.error is not None
    assert abs(entry.size - 11_656) <= entry.error * 11_656


def test_break_even_is_where_the_sizes_cross(tmp_path) -> None:
    """F1: int8 with random zeros pays from about 50 % on with one byte of index, from about 67 % with two."""
    case = next(case for case in cases() if case.name == "mlp-0.50-unstructured")
    write_tflite(case, tmp_path / "model.tflite")
    plans = {plan.shape: plan for plan in mi.plan(tmp_path / "model.tflite", only=["entropy-bound"]).tensors}
    wide, narrow = plans[64, 320], plans[64, 64]
    assert wide.break_even_int8 is not None
    assert narrow.break_even_int8 is not None
    assert 0.66 < wide.break_even_int8 < 0.75
    assert 0.5 < narrow.break_even_int8 < 0.7
    assert wide.break_even_float32 == pytest.approx(0.34, abs=0.01)
    assert wide.sparsity == pytest.approx(0.5, abs=0.01)
    assert np.isclose(wide.dense_size, 4 * 64 * 320)
