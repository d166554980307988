"""What explain says of dead channels, held against what h5py reads: bytes, channels, conditions, and what
stays.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect import api
from modelinspect.analyses.explain.compare import explain
from modelinspect.reports.explain import ExplainReport, PrunedKernel
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

MLP = fixture_path("pruned_mlp/stripped/model.h5")
FORMS = (
    "model.h5",
    "model.keras",
    "no-optimizer.h5",
    "saved-model-keras",
    "saved-model-no-traces",
    "float32.tflite",
)


@cache
def report(name: str) -> ExplainReport:
    return mi.explain(fixture_path(name), compressors=False)


def kernels(name: str) -> dict[tuple[int, int], PrunedKernel]:
    return {entry.dead_outputs: entry for entry in report(name).pruning}


def arrays() -> tuple[Any, Any, Any]:
    with h5py.File(MLP) as file:
        weights = file["model_weights"]
        return (
            weights["dense/dense/kernel:0"][()],
            weights["dense/dense/bias:0"][()],
            weights["dense_1/dense_1/kernel:0"][()],
        )


@pytest.mark.parametrize("form", FORMS)
def test_every_format_tells_the_bytes_and_the_channels_that_go(form: str) -> None:
    kernel, _, head = arrays()
    dead, unread = ~kernel.any(axis=0), ~head.any(axis=1)
    each = 4 * (kernel.shape[0] + 1 + head.shape[1])
    found = kernels(f"pruned_mlp/stripped/{form}")
    first, second = found[10, 128], found[0, 10]
    assert first.removable == each * int(dead.sum())
    assert second.removable == each * int((unread & ~dead).sum())
    assert first.removable_outputs == tuple(np.flatnonzero(dead | unread).tolist())
    assert second.removable_outputs == ()
    rule = next(
        finding
        for finding in report(f"pruned_mlp/stripped/{form}").findings
        if finding.rule == "dead-channels"
    )
    assert rule.bytes == first.removable + second.removable


def test_the_bytes_elsewhere_are_told_by_layer_and_constants_as_a_condition() -> None:
    kernel, bias, head = arrays()
    dead, unread = ~kernel.any(axis=0), ~head.any(axis=1)
    found = kernels("pruned_mlp/stripped/model.h5")
    assert found[10, 128].removable_elsewhere == {"dense_1": 4 * head.shape[1] * int(dead.sum())}
    assert found[0, 10].removable_elsewhere == {
        "dense": 4 * (kernel.shape[0] + 1) * int((unread & ~dead).sum())
    }
    carrying = int((dead & (bias > 0) & ~unread).sum())
    assert found[10, 128].removable_notes == (
        f"removing {carrying} of them means adding their constant output to the next layer's bias",
    )


@pytest.mark.parametrize("form", ["checkpoint", "model.weights.h5"])
def test_what_tells_no_network_tells_the_layers_own_bytes_and_says_so(form: str) -> None:
    kernel, _, head = arrays()
    found = kernels(f"pruned_mlp/stripped/{form}")
    assert found[10, 128].removable == 4 * (kernel.shape[0] + 1) * int((~kernel.any(axis=0)).sum())
    assert found[0, 10].removable == 4 * head.shape[1] * int((~head.any(axis=1)).sum())
    for entry in found.values():
        assert (entry.removable_elsewhere, entry.removable_outputs) == ({}, ())
        assert "not known" in entry.removable_notes[0]


def test_gates_and_what_they_read_stay_and_that_is_said() -> None:
    with h5py.File(fixture_path("pruned_layers/lstm/stripped/model.h5")) as file:
        assert any("lstm" in name for name in file["model_weights"])
    for entry in report("pruned_layers/lstm/stripped/model.h5").pruning:
        dead = entry.dead_outputs[0] + entry.dead_inputs[0]
        assert entry.removable == 0
        assert bool(entry.removable_notes) is bool(dead)


def test_one_position_of_a_filter_that_nobody_reads_stays() -> None:
    found = {entry.tensor: entry for entry in report("pruned_layers/cnn/stripped/model.h5").pruning}
    with h5py.File(fixture_path("pruned_layers/cnn/stripped/model.h5")) as file:
        weights = file["model_weights"]
        filters, head = weights["conv2d/conv2d/kernel:0"][()], weights["dense/dense/kernel:0"][()]
    dead = ~filters.any(axis=(0, 1, 2))
    positions = head.reshape(-1, len(dead), head.shape[1])
    assert found["conv2d/kernel"].removable == 4 * int(dead.sum()) * (
        filters[..., 0].size + 1 + len(positions) * head.shape[1]
    )
    stay = int((~positions.any(axis=2) & ~dead).sum())
    assert found["dense/kernel"].removable_notes == (f"{stay} dead inputs stay: dense reads their channels",)


def test_every_output_format_says_where_the_bytes_are() -> None:
    found = report("pruned_mlp/stripped/model.h5")
    terminal, markdown, text = (
        run_cli("explain", MLP, "--format", form).text for form in ("terminal", "markdown", "json")
    )
    assert "840: dense/kernel: 440 bytes of this layer, 400 of dense_1;" in " ".join(terminal.split())
    assert "**840** `dense/kernel`: 440 bytes of this layer, 400 of dense\\_1;" in markdown
    told = json.loads(text)["pruning"][0]
    assert told["removable"] == 840
    assert told["removable_elsewhere"] == {"dense_1": 400}
    assert told["removable_outputs"] == list(found.pruning[0].removable_outputs)


def test_without_a_network_the_table_is_as_before() -> None:
    with_network = api.side(MLP)
    without = explain(None, replace(with_network, removal=None))
    assert [entry.removable for entry in without.pruning] == [440, 400]


def test_damaged_configurations_tell_no_network(tmp_path: Path) -> None:
    data = MLP.read_bytes()
    at = data.index(b'"class_name": "Dense"')
    broken = tmp_path / "broken.h5"
    broken.write_bytes(data[:at] + b'"class_name": "Dense\x00' + data[at + 21 :])
    entries = mi.explain(broken, compressors=False).pruning
    assert [entry.removable_elsewhere for entry in entries] == [{}, {}]
