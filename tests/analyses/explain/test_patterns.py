"""Patterns of zeros are described as TFLite lays kernels, from constructed tensors in the layout of each
format.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from modelinspect.analyses.explain.compare import explain
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Quantization, Role
from modelinspect.measure.facts import Aspect
from modelinspect.measure.run import measure
from modelinspect.networks.subject import Subject
from modelinspect.reports.explain import PrunedKernel
from tests.rules.wasteful.test_examples import side
from tests.support.artifacts import Build
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

INPUTS, OUTPUTS = 64, 48


def mask(kind: str) -> Any:
    """Return which elements of a matrix of inputs by outputs, as Keras has it, are kept."""
    random = np.random.default_rng(3)
    if kind.startswith("random"):
        return random.random((INPUTS, OUTPUTS)) >= float(kind.split()[1]) / 100
    if kind in ("2 of 4", "2 of 4 outputs"):
        runs = INPUTS * OUTPUTS // 4
        kept = np.argsort(random.random((runs, 4)), axis=1) < 2
        return kept.reshape(OUTPUTS, INPUTS).T if kind == "2 of 4" else kept.reshape(INPUTS, OUTPUTS)
    if kind.startswith("whole"):
        kept = np.ones((INPUTS, OUTPUTS), dtype=bool)
        kept[:, :20] = kind != "whole outputs"
        kept[:20] &= kind != "whole inputs"
        return kept
    outputs, inputs = (int(length) for length in kind.removeprefix("blocks ").split("x"))
    blocks = random.random((INPUTS // inputs, OUTPUTS // outputs)) < 0.5
    return np.repeat(np.repeat(blocks, inputs, axis=0), outputs, axis=1)


def only(build: Build) -> PrunedKernel:
    (entry,) = explain(None, side(build)).pruning
    return entry


PATTERNS = [
    "blocks 1x4",
    "blocks 1x16",
    "blocks 4x1",
    "blocks 16x1",
    "2 of 4",
    "2 of 4 outputs",
    "whole outputs",
    "whole inputs",
]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        *((kind, kind) for kind in PATTERNS),
        *((f"random {zeros}", "single") for zeros in (35, 50, 80, 95, 99)),
    ],
)
@pytest.mark.parametrize("layout", ["keras", "keras-convolution", "tflite", "tflite-int8"])
def test_a_pattern_is_told_in_the_layout_of_each_format(kind: str, told: str, layout: str) -> None:
    values = np.random.default_rng(1).uniform(1, 2, size=(INPUTS, OUTPUTS)) * mask(kind)
    if layout.startswith("keras"):
        build, shape = Build(), (INPUTS, OUTPUTS) if layout == "keras" else (1, 1, INPUTS, OUTPUTS)
        build.tensor("layer/kernel", shape, data=values.astype("<f4").tobytes(), layer="layer")
    else:
        build, dtype = Build("made.tflite", FormatName.TFLITE), "<f4" if layout == "tflite" else "<i1"
        data = (values * 60).astype(dtype).T.tobytes()
        build.tensor(
            "layer/kernel", (OUTPUTS, INPUTS), dtype="float32" if layout == "tflite" else "int8", data=data
        )
    entry = only(build)
    assert entry.zeros == int((~mask(kind)).sum())
    assert entry.pattern == told


@pytest.mark.parametrize(
    ("block", "told"),
    [((4, 1), "blocks 1x4"), ((16, 1), "blocks 1x16"), ((1, 4), "blocks 4x1"), ((1, 16), "blocks 16x1")],
)
def test_the_block_size_of_tfmot_is_told_as_tflite_has_it(block: tuple[int, int], told: str) -> None:
    """tfmot's ``block_size`` is on Keras' inputs by outputs; TFLite's is outputs by inputs."""
    kept = np.kron(
        np.random.default_rng(5).random((INPUTS // block[0], OUTPUTS // block[1])) < 0.5,
        np.ones(block, dtype=bool),
    )
    build = Build()
    build.tensor("layer/kernel", (INPUTS, OUTPUTS), data=(kept * 1.5).astype("<f4").tobytes(), layer="layer")
    assert only(build).pattern == told


def test_dead_channels_are_counted_with_what_removing_them_saves() -> None:
    build = Build()
    kernel = np.random.default_rng(1).uniform(1, 2, size=(3, 3, 16, 32)).astype("<f4")
    kernel[..., :12] = 0
    kernel[:, :, :5, :] = 0
    build.tensor("conv/kernel", kernel.shape, data=kernel.tobytes(), layer="conv")
    build.tensor("conv/bias", (32,), data=np.ones(32, "<f4").tobytes(), layer="conv")
    build.tensor("other/bias", (32,), data=np.ones(32, "<f4").tobytes(), layer="other")
    entry = only(build)
    assert (entry.dead_outputs, entry.dead_inputs) == ((12, 32), (5, 16))
    assert entry.removable == 4 * 3 * 3 * (16 * 32 - (16 - 5) * (32 - 12)) + 4 * 12


def test_the_zeros_of_integers_are_those_of_their_zero_point() -> None:
    build = Build("made.tflite", FormatName.TFLITE)
    values = np.random.default_rng(1).integers(0, 256, size=(32, 64)).astype("u1")
    values[values == 128] = 127
    values[:, :40] = 128
    values[0, 50] = 0  # no zero, though its byte is
    build.tensor("fc/kernel", (32, 64), dtype="uint8", data=values.tobytes())
    artifact = build.artifact()
    quantized = replace(artifact.tensors[0], quantization=Quantization(scales=(0.1,), zero_points=(128,)))
    artifact = replace(artifact, tensors=(quantized,))
    (entry,) = explain(
        None, Subject(artifact, measure(artifact, build.files(), aspects=tuple(Aspect)))
    ).pruning
    assert (entry.zeros, entry.zero_points, entry.pattern, entry.dead_inputs) == (
        32 * 40,
        (128,),
        "whole inputs",
        (40, 64),
    )


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    """A wrapped layer whose kernel came back to life where its mask is 0: 12 zeros of 16, half of them
    negative, 3 of 4 columns.
    """
    kernel = np.ones((4, 4), "<f4")
    kernel[:, :3] = 0
    kernel[:2, :3] = -0.0
    mask = (kernel != 0).astype("<f4")
    kernel[0, 0] = 5
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "net",
            "layers": [
                {
                    "class_name": "PruneLowMagnitude",
                    "config": {
                        "name": "prune_low_magnitude_dense",
                        "pruning_schedule": {
                            "class_name": "ConstantSparsity",
                            "config": {"target_sparsity": 0.75},
                        },
                        "layer": {"class_name": "Dense", "config": {"name": "dense", "units": 4}},
                    },
                }
            ],
        },
    }
    path = tmp_path / "wrapped.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"prune_low_magnitude_dense"]
        layer = weights.create_group("prune_low_magnitude_dense")
        names = ["dense/kernel:0", "prune_low_magnitude_dense/mask:0"]
        layer.attrs["weight_names"] = [f"prune_low_magnitude_dense/{name}".encode() for name in names]
        for name, array in zip(names, (kernel, mask), strict=True):
            layer[f"prune_low_magnitude_dense/{name}"] = array
    return path


def test_every_output_format_says_whether_pruning_took(wrapped: Path) -> None:
    json_kernel = json.loads(run_cli("explain", wrapped, "--format", "json").text)["pruning"][0]
    told = {
        key: json_kernel[key]
        for key in ("elements", "zeros", "negative_zeros", "mask_zeros", "target", "verdict", "dead_outputs")
    }
    expected = {
        "elements": 16,
        "zeros": 11,
        "negative_zeros": 5,
        "mask_zeros": 12,
        "target": 0.75,
        "verdict": "lost",
        "dead_outputs": [2, 4],
    }
    assert told == expected
    screen = run_cli("explain", wrapped).text
    for text in (screen, run_cli("explain", wrapped, "--format", "markdown").text):
        table = text[text.index("Was pruning applied?") :]
        for word in ("68.8 %", "75.0 %", "lost", "2 of 4"):
            assert word in table
    assert (
        max(len(line) for line in screen.splitlines() if not line.startswith(" " * 6)) <= 80
    )  # commands stay whole
    rows = list(csv.DictReader(io.StringIO(run_cli("explain", wrapped, "--format", "csv").text)))
    (kernel,) = [row for row in rows if row["kind"] == "kernel"]
    assert (
        kernel["elements"],
        kernel["zeros"],
        kernel["negative_zeros"],
        kernel["mask_zeros"],
        kernel["message"],
    ) == (
        "16",
        "11",
        "5",
        "12",
        "lost",
    )
    assert (kernel["dead_outputs"], kernel["outputs"], float(kernel["target"])) == ("2", "4", 0.75)


def test_the_causes_in_csv_sum_to_the_difference() -> None:
    before, after = (
        fixture_path("pruned_mlp/wrapped/model.keras"),
        fixture_path("pruned_mlp/stripped/model.keras"),
    )
    rows = list(csv.DictReader(io.StringIO(run_cli("explain", before, after, "--format", "csv").text)))
    assert {row["kind"] for row in rows} == {"cause", "finding", "kernel"}
    assert (
        sum(int(row["bytes"]) for row in rows if row["kind"] == "cause")
        == after.stat().st_size - before.stat().st_size
    )


@pytest.mark.parametrize("role", [Role.OPTIMIZER, Role.PRUNING])
def test_what_is_no_weight_is_no_kernel(role: Role) -> None:
    build = Build()
    build.tensor("layer/kernel", (4, 4), data=np.zeros(16, "<f4").tobytes(), layer="layer")
    build.tensor("other", (8, 8), data=np.zeros(64, "<f4").tobytes(), role=role, layer="layer")
    assert only(build).tensor == "layer/kernel"
