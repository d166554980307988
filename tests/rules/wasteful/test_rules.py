"""Every rule has an example on which it fires and one on which it does not, and says exact figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from modelinspect.analyses.summary import summarize
from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role, Storage
from modelinspect.measure.free import find_hidden
from modelinspect.networks.subject import Subject
from modelinspect.reports.entries import FindingEntry
from modelinspect.reports.wording import percent
from modelinspect.rules.base import Finding, Rule
from modelinspect.rules.registry import wasteful_rules
from tests.support.artifacts import Build, pruned_network


def optimizer_state() -> Build:
    build = Build()
    build.tensor("dense/kernel", (100, 10))
    for slot in "mv":
        build.tensor(f"optimizer/Adam/{slot}/dense/kernel", (100, 10), role=Role.OPTIMIZER)
    return build


def no_optimizer() -> Build:
    build = Build()
    build.tensor("dense/kernel", (100, 10))
    return build


def dense_zeros() -> Build:
    build = Build()
    build.tensor("dense/kernel", (100, 10), zeros=800)
    build.tensor("dense/bias", (10,), zeros=10)
    return build


def zero_biases_alone() -> Build:
    build = Build()
    build.tensor("dense/kernel", (10, 10), zeros=1)
    build.tensor("dense/bias", (50,), zeros=50)
    return build


def negative_zeros() -> Build:
    build = Build()
    build.tensor("dense/kernel", (100, 10), zeros=800, negative=424)
    return build


def positive_zeros() -> Build:
    build = Build()
    build.tensor("dense/kernel", (100, 10), zeros=800, negative=3)
    return build


def wrapped() -> Build:
    build = Build()
    build.tensor("dense/kernel", (100, 10))
    build.tensor("prune_low_magnitude_dense/mask:0", (100, 10), role=Role.PRUNING)
    build.tensor("prune_low_magnitude_dense/threshold:0", (), role=Role.PRUNING)
    return build


def tiny() -> Build:
    build = Build()
    build.region("header", 3_000, RegionKind.CONTAINER)
    build.region("free space", 4_600, RegionKind.FREE)
    build.region("model_config", 360, RegionKind.GRAPH)
    build.tensor("dense/kernel", (10, 10))
    return build


def large() -> Build:
    build = Build()
    build.region("header", 1_000, RegionKind.CONTAINER)
    build.tensor("dense/kernel", (100, 10))
    return build


def hidden() -> Build:
    build = Build()
    build.region("header", 8, RegionKind.CONTAINER, data=b"\xff" * 8)
    build.region("free space", 1_000, RegionKind.FREE, data=(b"\0\0" + 100 * b"secret").ljust(1_000, b"\0"))
    return build


def blank() -> Build:
    build = Build()
    build.region("header", 8, RegionKind.CONTAINER, data=b"\xff" * 8)
    build.region("free space", 16, RegionKind.FREE)
    return build


EXAMPLES: dict[str, tuple[Callable[[], Build], int, Callable[[], Build]]] = {
    "dense-zeros": (dense_zeros, 3_200, zero_biases_alone),
    "hidden-bytes": (hidden, 600, blank),
    "negative-zeros": (negative_zeros, 1_696, positive_zeros),
    "optimizer-state": (optimizer_state, 8_000, no_optimizer),
    "pruning-not-stripped": (wrapped, 4_004, no_optimizer),
    "tiny-model-overhead": (tiny, 7_600, large),
}
"""Rule -> an artifact on which it fires, the bytes it must tell, an artifact on which it must not fire."""


def findings(build: Build, *, measured: bool = True) -> dict[str, FindingEntry]:
    artifact = build.artifact()
    if not measured:
        return {entry.rule: entry for entry in summarize(artifact).findings}
    report = summarize(artifact, build.measurements(), hidden=find_hidden(artifact, build.files()))
    return {entry.rule: entry for entry in report.findings}


@pytest.mark.parametrize("rule", EXAMPLES)
def test_the_rule_fires_on_its_example_with_the_exact_bytes(rule: str) -> None:
    make, size, _ = EXAMPLES[rule]
    found = findings(make())[rule]
    assert found.bytes == size
    assert found.remedy
    assert "\n" not in found.message


@pytest.mark.parametrize("rule", EXAMPLES)
def test_the_rule_is_silent_where_nothing_is_wrong(rule: str) -> None:
    assert rule not in findings(EXAMPLES[rule][2]())


def test_what_needs_measuring_is_not_claimed_without() -> None:
    for make in (dense_zeros, negative_zeros, hidden):
        assert not {"dense-zeros", "negative-zeros", "hidden-bytes"} & findings(make(), measured=False).keys()


def test_the_optimizer_is_named_with_its_size_in_weights() -> None:
    message = findings(optimizer_state())["optimizer-state"].message
    assert message.startswith(
        "8,000 bytes (66.7 %) are optimizer state (Adam): 2 slots for each of 1,000 weights"
    )


@pytest.mark.parametrize("shape", [(1,), (1, 1), ()])
def test_slots_of_one_element_are_slots(shape: tuple[int, ...]) -> None:
    build = optimizer_state()
    build.tensor("head/bias", shape)
    for slot in "mv":
        build.tensor(f"optimizer/Adam/{slot}/head/bias", shape, role=Role.OPTIMIZER)
    build.tensor("optimizer/iterations", (), dtype="int64", role=Role.OPTIMIZER)
    build.tensor("optimizer/learning_rate", (), role=Role.OPTIMIZER)
    assert "2 slots for each of 1,001 weights;" in findings(build)["optimizer-state"].message


def test_a_frozen_weight_of_one_element_has_no_slots() -> None:
    build = optimizer_state()
    build.tensor("head/bias", (1,))
    assert "2 slots for each of 1,000 of the 1,001 weights;" in findings(build)["optimizer-state"].message


def test_paddings_are_not_kernels_and_not_masks() -> None:
    """An EfficientNet has three int32 constants of 4x2, half of them zero."""
    build = Build(format=FormatName.SAVED_MODEL, facts={"ops": {"Mul": 3, "Pad": 1}})
    build.tensor("dense/kernel", (100, 10), zeros=4)
    for index in range(3):
        build.tensor(f"function/Pad_{index}/paddings", (4, 2), dtype="int32", zeros=4, role=Role.CONSTANT)
    assert findings(build) == {}


@pytest.mark.parametrize(
    ("dtype", "zeros", "fires"),
    [
        ("float32", 60, False),
        ("float32", 200, True),
        ("int8", 200, False),
        ("int8", 400, True),
        ("int4", 400, False),
        ("int4", 600, True),
    ],
)
def test_rounding_to_few_bits_makes_zeros_that_pruning_did_not(dtype: str, zeros: int, fires: bool) -> None:
    build = Build("made.tflite", FormatName.TFLITE)
    build.tensor("fc/kernel", (100, 100), dtype=dtype, zeros=10 * zeros)
    assert ("dense-zeros" in findings(build)) is fires


@pytest.mark.parametrize(
    "rule", [rule for rule in wasteful_rules() if rule.worth.size], ids=lambda rule: rule.id
)
def test_no_finding_is_smaller_than_the_rule_says(rule: Rule) -> None:
    """The threshold is the rule's own data, and one place applies it."""
    finding = Finding("found", rule.worth.size, None)
    below = replace(finding, bytes=rule.worth.size - 1)
    found = replace(rule, find=lambda _: iter([finding, below]), evidence=())
    assert list(found.run(Subject(Build().artifact()))) == [finding]


@pytest.mark.parametrize("format", list(FormatName))
def test_every_format_has_a_remedy_for_zeros(format: FormatName) -> None:
    build = dense_zeros()
    build.format = format
    assert findings(build)["dense-zeros"].remedy


@pytest.mark.parametrize("format", [FormatName.WEIGHTS_HDF5, FormatName.SAVED_MODEL, FormatName.CHECKPOINT])
def test_formats_that_hold_an_optimizer_have_a_remedy_for_it(format: FormatName) -> None:
    build = optimizer_state()
    build.format = format
    assert findings(build)["optimizer-state"].remedy


@pytest.mark.parametrize(
    "format", [FormatName.GRAPH_DEF, FormatName.TFLITE, FormatName.TFJS, FormatName.HDF5]
)
def test_where_nothing_can_be_done_nothing_is_said(format: FormatName) -> None:
    build = optimizer_state()
    build.format = format
    assert findings(build)["optimizer-state"].remedy == ""


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["dense/mask:0"], "strip_pruning"),
        (["dense/pruning_step:0"], "strip_pruning"),
        (
            ["cluster_dense/cluster_centroids_kernel:0", "cluster_dense/pulling_indices_kernel:0"],
            "strip_clustering",
        ),
        (
            ["quant_dense/kernel_min:0", "quant_dense/kernel_max:0", "quant_dense/optimizer_step:0"],
            "quantization-aware",
        ),
    ],
)
def test_the_remedy_fits_the_kind_of_helper_variable(names: list[str], remedy: str) -> None:
    build = no_optimizer()
    for name in names:
        build.tensor(name, (100,), role=Role.PRUNING)
    rule = "quantization-aware-training" if names[0].startswith("quant_") else "pruning-not-stripped"
    found = findings(build)
    assert remedy in found[rule].remedy
    assert {"quantization-aware-training", "pruning-not-stripped"} & found.keys() == {rule}


def test_zeros_of_sparse_and_compressed_tensors_are_not_called_dense() -> None:
    build = Build()
    build.tensor("a", (100, 10), zeros=900, storage=Storage.COMPRESSED)
    build.tensor("b", (100, 10), zeros=900, storage=Storage.SPARSE)
    assert "dense-zeros" not in findings(build)


def test_severe_findings_come_first_then_those_about_more_bytes() -> None:
    build = pruned_network()
    found = summarize(build.artifact(), build.measurements()).findings
    order = list(Severity)
    assert [(order.index(Severity(entry.severity)), -entry.bytes) for entry in found] == sorted(
        (order.index(Severity(entry.severity)), -entry.bytes) for entry in found
    )
    assert [entry.rule for entry in found][:3] == ["optimizer-state", "pruning-not-stripped", "dense-zeros"]


def test_zeros_of_constants_are_not_counted_among_those_of_weights() -> None:
    build = Build()
    build.tensor("kernel", (10, 100), zeros=800, negative=400)
    build.tensor("axes", (100,), dtype="int32", role=Role.CONSTANT, zeros=79)
    assert findings(build)["negative-zeros"].message.startswith("400 of 800 zeros (50.0 %)")


def test_ranges_that_keras_stores_beside_float_weights_get_no_advice_for_a_converter() -> None:
    build = Build("m.keras", FormatName.KERAS_ZIP)
    build.tensor("dense/kernel", (32, 64))
    for number in range(3):
        build.tensor(f"dense/amax_history_{number}", (1024,), role=Role.QUANTIZATION)
    assert findings(build)["quant-params-dominate"].remedy in (None, "")


def test_averages_of_weights_are_not_only_for_training() -> None:
    build = optimizer_state()
    build.tensor("kernel/ExponentialMovingAverage", (10, 100), role=Role.OPTIMIZER)
    message = findings(build)["optimizer-state"].message
    assert "a moving average beside each of 1 variable; only resuming training needs the slots" in message
    assert message.endswith("evaluation may use averages in place of the weights")


def test_an_empty_artifact_has_no_findings() -> None:
    assert findings(Build()) == {}


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0.0 %"),
        (0, 9, "0.0 %"),
        (1, 10**6, "less than 0.1 %"),
        (999_999, 10**6, "more than 99.9 %"),
        (9, 9, "100.0 %"),
        (1, 8, "12.5 %"),
    ],
)
def test_percentages_never_round_something_to_nothing(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text
