"""The inspect and tensors reports say what the artifact holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelinspect import api
from modelinspect.analyses.summary import list_tensors, summarize
from modelinspect.core.artifact import Diagnostic, FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.ledger.rollup import Key
from modelinspect.measure.facts import Measurements, unmeasured
from modelinspect.networks.copies import duplicates
from modelinspect.reports.blocks import Bars, Notes, Table
from modelinspect.reports.categories import Category
from tests.rules.wasteful.test_examples import side
from tests.support.artifacts import Build, pruned_network
from tests.support.fixtures import fixture_path


def test_categories_sum_to_the_size() -> None:
    build = pruned_network()
    report = summarize(build.artifact(), build.measurements()).to_dict()
    assert sum(report["categories"].values()) == report["artifact"]["size"] == build.artifact().size


def test_without_measuring_counts_are_null() -> None:
    build = pruned_network()
    report = summarize(build.artifact()).to_dict()
    assert report["measured"] is False
    assert report["categories"]["zero-weights"] == 0
    assert {tensor["zero_count"] for tensor in report["tensors"]} == {None}
    assert {tensor["negative_zero_count"] for tensor in report["tensors"]} == {None}


def test_a_tensor_is_told_as_the_contract_says() -> None:
    build = pruned_network()
    kernel = summarize(build.artifact(), build.measurements()).to_dict()["tensors"][0]
    told = {
        "name": "dense/prune_low_magnitude_dense/kernel:0",
        "layer": "dense",
        "role": "weight",
        "dtype": "float32",
        "shape": [10, 128],
        "storage": "dense",
        "stored_size": 5120,
        "logical_size": 5120,
        "element_count": 1280,
        "zero_count": 1024,
        "negative_zero_count": 512,
        "extents": [{"member": "wrapped.h5", "offset": 1923, "size": 5120, "encoding": "raw"}],
    }
    assert {key: kernel[key] for key in told} == told


def test_a_tensor_that_cannot_be_read_says_why() -> None:
    build = Build()
    build.tensor("t", (4,))
    report = summarize(build.artifact(), Measurements((unmeasured("its chunks use an unknown filter"),)))
    assert report.tensors[0].zero_count is None
    assert report.tensors[0].note == "its chunks use an unknown filter"


def test_facts_come_sorted_and_as_json_can_hold_them() -> None:
    build = Build(facts={"z": (1, 2.5, None), "a": {"y": True, "x": math.inf}, "nan": math.nan})
    facts = summarize(build.artifact()).to_dict()["facts"]
    assert list(facts) == ["a", "nan", "z"]
    assert facts == {"a": {"x": "inf", "y": True}, "nan": "nan", "z": [1, 2.5, None]}


def test_facts_nested_too_deeply_are_cut() -> None:
    nested: Fact = 1
    for _ in range(10_000):
        nested = (nested,)
    facts = summarize(Build(facts={"nested": nested}).artifact()).to_dict()["facts"]
    assert str(facts["nested"]).count("[") == 33


def test_many_diagnostics_are_shown_in_part_and_the_severest_first() -> None:
    build = Build(
        diagnostics=[
            Diagnostic(Severity.WARNING, f"trouble {index}", "made.h5", index) for index in range(50)
        ]
    )
    build.diagnostics.append(Diagnostic(Severity.ERROR, "the file is truncated", "made.h5", 99))
    build.region("", 4, RegionKind.UNATTRIBUTED)
    report = summarize(build.artifact())
    notes = next(
        block
        for block in report.blocks()
        if isinstance(block, Notes) and block.title == "Trouble while reading"
    )
    assert isinstance(notes, Notes)
    assert (notes.notes[0].text, len(notes.notes), notes.left_out) == ("the file is truncated", 10, 41)
    assert len(report.diagnostics) == 51


def test_diagnostics_of_parsing_and_of_measuring_are_told() -> None:
    build = Build(diagnostics=[Diagnostic(Severity.WARNING, "a header is cut short", "made.h5", 512)])
    build.region("", 4, RegionKind.UNATTRIBUTED)
    later = Measurements((), (Diagnostic(Severity.WARNING, "a chunk is damaged", "made.h5"),))
    report = summarize(build.artifact(), later)
    assert [entry.problem for entry in report.diagnostics] == ["a header is cut short", "a chunk is damaged"]
    assert report.diagnostic_count == 2


def test_a_rollup_stands_in_the_report() -> None:
    build = pruned_network()
    report = summarize(build.artifact(), build.measurements(), [Key.LAYER], 1).to_dict()
    assert report["rollup"]["by"] == ["layer"]
    assert report["rollup"]["rows"] == [
        {"values": [None], "size": 22_875, "rows": 11, "merged": 1},
        {"values": None, "size": 21_040, "rows": 10, "merged": 2},
    ]


@pytest.mark.parametrize("top", [1, 5, 11])
def test_tensors_left_out_are_summed_up(top: int) -> None:
    build = pruned_network()
    whole, some = (
        list_tensors(build.artifact(), build.measurements()),
        list_tensors(build.artifact(), build.measurements(), top),
    )
    assert len(some.tensors) == top
    assert some.remainder is not None
    assert some.remainder.count == 12 - top
    assert sum(entry.stored_size for entry in some.tensors) + some.remainder.stored_size == sum(
        e.stored_size for e in whole.tensors
    )


def test_the_same_artifact_gives_the_same_report() -> None:
    build = pruned_network()
    assert summarize(build.artifact(), build.measurements()) == summarize(
        build.artifact(), build.measurements()
    )


@pytest.mark.tensorflow
def test_blocks_of_tflite_kernels_are_counted_along_the_inputs_that_it_stores_last() -> None:
    tf = pytest.importorskip("tensorflow")
    path = fixture_path("pruned_blocks/block-16x1/stripped/dynamic-int8.tflite")
    interpreter = tf.lite.Interpreter(
        str(path), experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF
    )
    values = {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["dtype"] is np.int8
    }
    entries = {entry.name: entry for entry in api.tensors(path).tensors if entry.dtype == "int8"}
    assert set(entries) == set(values)
    for name, kernel in values.items():
        pattern = entries[name].pattern
        assert pattern is not None
        for length, counted in ((4, pattern.blocks_4), (16, pattern.blocks_16)):
            blocks = kernel.reshape(kernel.shape[0], -1, length)
            assert counted == (int((blocks == 0).all(axis=2).sum()), blocks.shape[0] * blocks.shape[1])
        assert pattern.blocks_16 == (
            kernel.size // 32,
            kernel.size // 16,
        )  # half of each was pruned, in blocks of 16
        assert pattern.dead_channels == (int((kernel == 0).all(axis=1).sum()), kernel.shape[0])
        assert pattern.dead_inputs == (int((kernel == 0).all(axis=0).sum()), kernel.shape[1])


def test_what_an_export_stores_again_is_no_parameter() -> None:
    report = api.inspect(fixture_path("stories/exported"))
    kept = report.parameters()
    copies = [report.tensors[index] for index in report.weights.copies]
    assert len(copies) == len(kept) == 4
    assert sum(entry.element_count for entry in copies) == sum(entry.element_count for entry in kept)
    assert f"{len(copies)} copies of them" in str(report)
    zeros = sum(entry.zero_count or 0 for entry in kept)
    assert sum(entry.zero_count or 0 for entry in (*kept, *copies)) == 2 * zeros


def test_the_bias_of_one_output_that_an_export_stores_again_is_no_parameter() -> None:
    build = Build("m", FormatName.SAVED_MODEL)
    for path in ("_all_variables/0", "variables/2"):
        build.tensor("score/bias", (1,), data=b"\0\0\x80?", path=f"{path}/.ATTRIBUTES/VARIABLE_VALUE")
    subject = side(build)
    report = summarize(subject.artifact, subject.measurements)
    assert report.weights.copies == (1,)
    assert len(report.parameters()) == 1


def test_two_layers_with_equal_weights_are_two_layers() -> None:
    build = Build("m.keras")
    data = np.arange(32, dtype="<f4").tobytes()
    for layer in ("left", "right"):
        build.tensor(f"{layer}/kernel", (8, 4), data=data, layer=layer)
    subject = side(build)
    assert len(duplicates(subject)) == 1
    report = summarize(subject.artifact, subject.measurements)
    assert report.weights.copies == ()
    assert len(report.parameters()) == 2


def test_a_wrapper_that_stores_the_kernel_of_its_layer_has_no_more_parameters() -> None:
    build = Build("m.keras", FormatName.KERAS_ZIP)
    data = np.arange(32, dtype="<f4").tobytes()
    for path in ("layers/spectral/vars/0", "layers/spectral/layer/vars/0"):
        build.tensor(path.replace("/", "_"), (8, 4), data=data, path=path)
    subject = side(build)
    report = summarize(subject.artifact, subject.measurements)
    assert report.weights.copies == (1,)


@pytest.mark.parametrize(
    ("name", "helpers", "role"),
    [
        ("keras_hdf5/clustered.h5", "clustering", "clustering"),
        ("mlp/wrapped.h5", "pruning", "pruning"),
        ("mlp/stripped.h5", "none", None),
    ],
)
def test_what_wraps_the_layers_is_called_by_its_name(name: str, helpers: str, role: str | None) -> None:
    report = api.inspect(fixture_path(name))
    assert report.helpers == helpers
    tables = [block for block in report.blocks(1000) if isinstance(block, Table)]
    place = [column.key for column in tables[0].columns].index("role")
    shown = {row[place] for row in tables[0].rows}
    assert (role in shown) is (role is not None)
    assert ("pruning" in shown) is (helpers == "pruning")
    bars = next(block for block in report.blocks() if isinstance(block, Bars))
    state = [bar for bar in bars.bars if bar.category is Category.PRUNING_STATE]
    assert bool(state) is (role is not None)
    assert all((bar.legend == Category.PRUNING_STATE.legend) is (helpers == "pruning") for bar in state)
