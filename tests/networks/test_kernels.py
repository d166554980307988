"""What counts as a kernel: no mask that was frozen into a graph, and of a sparse one no channel that is not
stored.
"""

from __future__ import annotations

import numpy as np

from modelinspect import api
from modelinspect.analyses.explain.compare import explain
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.networks.subject import Subject
from tests.rules.wasteful.test_examples import kernel, side
from tests.support.artifacts import Build
from tests.support.fixtures import fixture_path


def frozen(name: str, more_zeros: int = 0) -> dict[str, int]:
    """Return what is found in a graph of a kernel, half of it zeros, and a matrix of zeros and ones with as
    many or more zeros.
    """
    build = Build("made.pb", FormatName.GRAPH_DEF)
    ones = (np.arange(64 * 64) % 2).astype("<f4")
    build.tensor("layer1/weights", (64, 64), role=Role.CONSTANT, data=(kernel().reshape(-1) * ones).tobytes())
    ones[: 2 * more_zeros] = 0
    build.tensor(name, (64, 64), role=Role.CONSTANT, data=ones.tobytes())
    return {finding.rule: finding.bytes for finding in explain(None, side(build)).findings}


def test_the_zeros_of_a_frozen_mask_are_none_of_the_kernels() -> None:
    assert frozen("layer1/mask")["dense-zeros"] == 4 * 64 * 64 // 2
    assert frozen("layer1/mask", more_zeros=1)["dense-zeros"] == 4 * 64 * 64 // 2


def test_a_mask_is_known_by_its_zeros_where_a_converter_renamed_it() -> None:
    assert frozen("layer1/Mul/ReadVariableOp_1")["dense-zeros"] == 4 * 64 * 64 // 2


def test_a_table_of_two_values_with_other_zeros_is_no_mask() -> None:
    assert frozen("layer1/table", more_zeros=1)["dense-zeros"] == 2 * 4 * 64 * 64 // 2 + 4


def test_masks_that_were_converted_with_the_model_are_the_cause_that_it_grew() -> None:
    """The pruned model was converted without strip_pruning: each kernel is multiplied by its mask at run
    time.
    """
    report = explain(
        side_of("pruned_mlp/stripped/float32.tflite"), side_of("pruned_mlp/wrapped/float32.tflite")
    )
    leading = report.causes[0]
    assert leading.cause == "pruning-state"
    assert sum(place.bytes for place in leading.evidence if place.tensor) == 4 * (10 * 128 + 128 * 10)
    assert "strip_pruning" in leading.remedy
    found = {finding.rule: finding for finding in report.findings}["pruning-not-stripped"]
    assert found.bytes == 4 * (10 * 128 + 128 * 10)
    assert "2 masks of pruning" in found.message
    assert "strip_pruning" in found.remedy


def test_biases_of_zeros_are_none_of_the_baselines_kernels() -> None:
    builds = []
    for location in ("before.h5", "after.h5"):
        build = Build(location)
        build.tensor("layer/kernel", (64, 64), data=kernel(zeros=0.5).tobytes(), layer="layer")
        build.tensor("layer/bias", (64,), data=bytes(256), layer="layer")
        builds.append(side(build))
    found = {finding.rule: finding.bytes for finding in explain(*builds).findings}
    assert found["baseline-already-sparse"] == found["dense-zeros"] == 4 * 64 * 64 // 2


def test_a_sparse_kernel_stores_nothing_of_its_dead_channels() -> None:
    """Ten channels of 128 are zeros alone, and seven nobody reads: each takes ten weights, a bias, and ten
    weights of the next layer.
    """
    for name, dead in (("float32.tflite", 4 * 17 * (10 + 1 + 10)), ("float32-sparse.tflite", 0)):
        report = explain(None, side_of(f"pruned_mlp/stripped/{name}"))
        assert sum(entry.removable for entry in report.pruning) == dead
        assert ("dead-channels" in {finding.rule for finding in report.findings}) is bool(dead)
        assert {entry.dead_outputs for entry in report.pruning} == {(10, 128), (0, 10)}


def side_of(name: str) -> Subject:
    return api.side(fixture_path(name))
