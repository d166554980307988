"""What is there for a reason of its own gets that cause, and an optimizer its name."""

from __future__ import annotations

import pytest

from modelinspect import api
from modelinspect.analyses.explain.compare import explain, labels
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.networks.optimizer_state import optimizer_of
from modelinspect.reports.causes import Cause
from tests.rules.wasteful.test_examples import kernel, side
from tests.support.artifacts import Build
from tests.support.fixtures import fixture_path


@pytest.mark.parametrize(
    ("name", "role", "cause"),
    [
        ("metrics/mean/vars/0", Role.OTHER, Cause.TRAINING_CONFIG),
        ("keras_api/metrics/0/total/.ATTRIBUTES/VARIABLE_VALUE", Role.OTHER, Cause.TRAINING_CONFIG),
        ("save_counter/.ATTRIBUTES/VARIABLE_VALUE", Role.OTHER, Cause.METADATA),
        ("layers/dropout/seed_generator/vars/0", Role.OTHER, None),
        ("layer1/mask", Role.CONSTANT, Cause.PRUNING_STATE),
        ("layer1/weights", Role.CONSTANT, None),
        ("kernel/ExponentialMovingAverage", Role.OPTIMIZER, Cause.EMA_SHADOW),
        ("kernel/Adam", Role.OPTIMIZER, Cause.OPTIMIZER_STATE),
    ],
)
def test_a_tensor_is_labelled_by_what_it_is_for(name: str, role: Role, cause: Cause | None) -> None:
    build = Build("made", FormatName.CHECKPOINT)
    build.tensor(name, (8, 8), role=role, data=b"\0\0\x80\x3f" * 64)
    assert labels(side(build)).get(0) is cause  # type: ignore[call-overload]


def test_a_mask_of_many_values_is_no_mask() -> None:
    build = Build("made", FormatName.GRAPH_DEF)
    build.tensor("attention/mask", (64, 64), role=Role.CONSTANT, data=kernel().tobytes())
    assert labels(side(build)) == {}


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("pruned_mlp/original/model.h5", "Adam"),
        ("pruned_mlp/original/model.keras", "Adam"),
        ("pruned_mlp/original/checkpoint", "Adam"),
        ("pruned_mlp/original/saved-model-keras", "Adam"),
        ("keras3_hdf5/nested.weights.h5", "Adam"),
        ("checkpoint/legacy_adam/model.index", "Adam"),
        ("keras_hdf5/normalized.h5", "RMSprop"),
        ("mlp/stripped.h5", ""),
    ],
)
def test_the_optimizer_is_named_from_what_the_artifact_holds(name: str, optimizer: str) -> None:
    assert optimizer_of(api.open(fixture_path(name))) == optimizer


def test_a_wrapped_store_tells_its_copies_also_without_measuring() -> None:
    path = fixture_path("pruned_mlp/wrapped/model.keras")
    for measure in (True, False):
        causes = {entry.cause: entry for entry in explain(None, api.side(path, measure=measure)).causes}
        tensors = [place.bytes for place in causes["wrapper-duplicate"].evidence if place.tensor]
        assert sorted(tensors) == [5_120, 5_120]


def test_the_weights_of_a_wrapped_store_are_counted_once() -> None:
    report = api.explain(fixture_path("pruned_mlp/wrapped/model.keras"))
    message = next(entry.message for entry in report.causes if entry.cause == "optimizer-state")
    assert message == "optimizer state (Adam): 2 slots for each of 2,698 weights"


def test_scales_of_an_added_operator_go_with_it() -> None:
    report = api.explain(fixture_path("tflite/grew_before.tflite"), fixture_path("tflite/grew_after.tflite"))
    causes = {entry.cause: entry.delta for entry in report.causes}
    assert next(iter(causes)) == "sparse-encoding"
    assert (
        causes["more-operators"] >= 64 * 12
    )  # the output of DENSIFY repeats scale and zero point of each channel


def test_bytes_that_are_missing_are_no_saving_of_the_container_and_no_other_dtype() -> None:
    whole, missing = fixture_path("tfjs/layers"), fixture_path("tfjs/shard_missing")
    alone = {entry.cause: entry.delta for entry in api.explain(missing).causes}
    assert min(alone.values()) > 0
    assert sum(alone.values()) == 1_376
    report = api.explain(whole, missing)
    assert {entry.cause: entry.delta for entry in report.causes if entry.delta} == {"structure-change": -700}
    assert "baseline-already-sparse" not in {finding.rule for finding in report.findings}


def test_comparing_in_the_other_order_does_not_blame_the_baseline() -> None:
    before, after = (
        fixture_path("pruned_mlp/stripped/model.h5"),
        fixture_path("pruned_mlp/original/no-optimizer.h5"),
    )
    assert "baseline-already-sparse" not in {finding.rule for finding in api.explain(before, after).findings}


@pytest.mark.parametrize(
    ("before", "after", "begins"),
    [
        ("original/no-optimizer.h5", "original/model.h5", "added: optimizer state (Adam)"),
        ("original/model.h5", "original/no-optimizer.h5", "gone: optimizer state (Adam)"),
        (
            "wrapped/model.h5",
            "wrapped/model.keras",
            "fewer bytes of names, headers and groups; both sides have optimizer state",
        ),
        (
            "original/checkpoint",
            "original/model.weights.h5",
            "more bytes of names, headers and groups; both sides have optimizer state",
        ),
    ],
)
def test_state_that_both_sides_have_is_not_said_to_come_or_go(before: str, after: str, begins: str) -> None:
    report = api.explain(
        fixture_path(f"pruned_mlp/{before}"), fixture_path(f"pruned_mlp/{after}"), compressors=False
    )
    message = next(entry.message for entry in report.causes if entry.cause == "optimizer-state")
    assert message.startswith(begins)


def test_counterparts_under_other_names_are_one_place() -> None:
    """The slots of a checkpoint and of an HDF5 file are called differently; their bytes cancel, and are no
    evidence.
    """
    report = api.explain(
        fixture_path("pruned_mlp/original/checkpoint"),
        fixture_path("pruned_mlp/original/model.weights.h5"),
        compressors=False,
    )
    entry = next(entry for entry in report.causes if entry.cause == "optimizer-state")
    assert not [place for place in entry.evidence if place.tensor and abs(place.bytes) > 100]
