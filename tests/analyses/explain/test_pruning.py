"""Did pruning take: what each kernel reached, of what it should, and where its zeros stand."""

from __future__ import annotations

from functools import cache

import h5py
import numpy as np
import pytest

from modelinspect import api
from modelinspect.analyses.explain.compare import explain
from modelinspect.reports.explain import PrunedKernel
from tests.rules.wasteful.test_examples import kernel, masked, model, side
from tests.support.fixtures import fixture_path


@cache
def kernels(name: str, before: str | None = None) -> dict[str, PrunedKernel]:
    first = None if before is None else api.side(fixture_path(before))
    return {entry.tensor: entry for entry in explain(first, api.side(fixture_path(name))).pruning}


@pytest.mark.parametrize(
    "name",
    [
        "pruned_mlp/stripped/model.h5",
        "pruned_mlp/stripped/model.keras",
        "pruned_mlp/stripped/checkpoint",
        "pruned_mlp/wrapped/model.keras",
    ],
)
def test_every_kernel_is_told_once_with_its_exact_zeros(name: str) -> None:
    with h5py.File(fixture_path("pruned_mlp/stripped/model.h5")) as file:
        arrays = [file[f"model_weights/{layer}/{layer}/kernel:0"][()] for layer in ("dense", "dense_1")]
    told = sorted(
        (entry.elements, entry.zeros, entry.negative_zeros, entry.dead_outputs[0])
        for entry in kernels(name).values()
    )
    assert told == sorted(
        (
            array.size,
            int((array == 0).sum()),
            int(((array == 0) & np.signbit(array)).sum()),
            int((~array.any(axis=0)).sum()),
        )
        for array in arrays
    )


def test_the_target_comes_from_the_wrappers_configuration_also_of_the_side_before() -> None:
    assert {entry.target for entry in kernels("pruned_mlp/wrapped/model.h5").values()} == {0.8}
    assert {entry.target for entry in kernels("pruned_mlp/wrapped/model.keras").values()} == {0.8}
    assert {entry.target for entry in kernels("pruned_mlp/stripped/model.h5").values()} == {None}
    found = kernels("pruned_mlp/stripped/model.h5", "pruned_mlp/wrapped/model.h5")
    assert {(entry.target, entry.verdict) for entry in found.values()} == {(0.8, "yes")}


@pytest.mark.parametrize(
    ("name", "patterns"),
    [
        ("pruned_mlp/stripped/model.h5", {"single"}),
        ("pruned_blocks/block-4x1/stripped/float32-sparse.tflite", {"blocks 1x4"}),
        ("pruned_blocks/block-16x1/stripped/dynamic-int8.tflite", {"blocks 1x16"}),
    ],
)
def test_the_pattern_is_told_along_the_inputs_in_every_layout(name: str, patterns: set[str]) -> None:
    assert {entry.pattern for entry in kernels(name).values()} == patterns


def test_two_of_four_is_told_where_four_divides_the_inputs() -> None:
    assert kernels("pruned_blocks/two-by-four/stripped/model.h5")["dense_1/kernel"].pattern == "2 of 4"


def test_a_dense_model_has_no_such_section() -> None:
    assert kernels("mlp/original.h5") == {}
    assert kernels("pruned_levels/mlp-0/stripped/float32.tflite") == {}


@pytest.mark.parametrize(
    ("mask_zeros", "weight_zeros", "verdict"), [(0, 0, "not begun"), (80, 70, "lost"), (80, 80, "yes")]
)
def test_masks_are_held_against_weights(mask_zeros: int, weight_zeros: int, verdict: str) -> None:
    (entry,) = explain(None, side(masked(mask_zeros, weight_zeros))).pruning
    assert (entry.verdict, entry.mask_zeros, entry.zeros) == (verdict, mask_zeros, weight_zeros)


@pytest.mark.parametrize(
    ("zeros", "verdict"), [(0.6, "short"), (0.1, "short"), (0.0, "no"), (0.795, "yes"), (0.8, "yes")]
)
def test_a_kernel_below_its_target_is_short_and_one_without_zeros_not_pruned(
    zeros: float, verdict: str
) -> None:
    build = model(kernel(zeros=zeros), pruning=({"layer": "layer_0", "target": 0.8},))
    (entry,) = explain(None, side(build)).pruning
    assert (entry.target, entry.verdict) == (0.8, verdict)


@pytest.mark.parametrize("before", [None, "pruned_layers/depthwise/wrapped/model.h5"])
def test_a_kernel_that_tfmot_does_not_prune_has_no_target(before: str | None) -> None:
    """SeparableConv2D is wrapped, and only its pointwise kernel has a mask (tfmot, prune_registry.py)."""
    name = (
        "pruned_layers/depthwise/wrapped/model.h5"
        if before is None
        else "pruned_layers/depthwise/stripped/saved-model-no-traces"
    )
    found = {
        entry.tensor.rpartition("/")[2]: (entry.target, entry.verdict)
        for entry in kernels(name, before).values()
    }
    assert found["depthwise_kernel"] == (None, "no")
    assert found["pointwise_kernel"] == (0.8, "yes")


def test_a_cell_of_a_wrapped_layer_has_its_target() -> None:
    found = kernels("pruned_layers/lstm/wrapped/model.keras").values()
    assert [(entry.target, entry.verdict, entry.mask_zeros == entry.zeros) for entry in found] == [
        (0.8, "yes", True)
    ] * 3


@pytest.mark.parametrize(
    "name",
    ["pruned_mlp/wrapped/model.h5", "pruned_mlp/wrapped/model.keras", "pruned_mlp/wrapped/model.weights.h5"],
)
def test_masks_are_held_against_kernels_also_where_the_wrapper_stores_them_twice(name: str) -> None:
    found = kernels(name).values()
    assert [entry.mask_zeros for entry in found] == [1_024, 1_024]
    assert [entry.zeros for entry in found] == [1_024, 1_024]
