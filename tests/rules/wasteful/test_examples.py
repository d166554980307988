"""Every rule that needs elements, facts or two artifacts fires on its example with the exact bytes, and on
its counterpart not.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelinspect import api
from modelinspect.analyses.explain.compare import explain
from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role, Storage
from modelinspect.errors import Code
from modelinspect.measure.facts import Aspect
from modelinspect.measure.free import find_hidden
from modelinspect.measure.run import measure
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import converted_dense
from modelinspect.reports.entries import FindingEntry
from modelinspect.rules import wasteful
from modelinspect.rules.base import Rule
from modelinspect.rules.registry import wasteful_rules as rules
from tests.rules.wasteful import test_rules
from tests.support.artifacts import Build
from tests.support.fixtures import fixture_path
from tests.support.remedies import remedy_of

CONTRACT = """dense-zeros negative-zeros baseline-already-sparse identical-weights sparsity-not-applied sparsity-lost
sparse-encoding-net-loss
densify-present block-mismatch dead-channels splat-constant const-and-variable duplicate-tensors float-with-few-values
quant-params-dominate tiny-model-overhead zip-stored optimizer-state pruning-not-stripped build-noise missing-data hidden-bytes"""  # noqa: E501
"""The findings that scripts rely on; more may come, none of these goes."""

Example = tuple[Subject | None, Subject]


def side(build: Build) -> Subject:
    artifact = build.artifact()
    return Subject(
        artifact,
        measure(artifact, build.files(), aspects=tuple(Aspect)),
        hidden=find_hidden(artifact, build.files()),
    )


def embedded(size: int) -> Build:
    """Return a model with numbers as text in its configuration."""
    value = {
        "document": "model_config",
        "path": "config.layers[1].config.value",
        "kind": "numbers",
        "count": 4_800,
        "size": size,
    }
    build = model(
        kernel(60, 20),
        location="made.keras",
        format=FormatName.KERAS_ZIP,
        weights="w",
        embedded_values=(value,),
    )
    build.region("/ / model_config", size, RegionKind.GRAPH, data=b"{}".ljust(size))
    build.region("superblock", 2_368, RegionKind.CONTAINER)
    return build


def alone(build: Build) -> Example:
    return None, side(build)


def kernel(rows: int = 64, columns: int = 64, zeros: float = 0.0, seed: int = 1) -> Any:
    """Return a matrix of which the first elements are zero."""
    made = np.random.default_rng(seed).normal(size=rows * columns).astype("<f4")
    made[: int(made.size * zeros)] = 0
    return made.reshape(rows, columns)


def model(
    *arrays: Any,
    location: str = "made.h5",
    format: FormatName = FormatName.KERAS_HDF5,
    role: Role = Role.WEIGHT,
    **facts: Any,
) -> Build:
    build = Build(location, format, facts)
    for index, array in enumerate(arrays):
        build.tensor(
            f"layer_{index}/kernel", array.shape, data=array.tobytes(), role=role, layer=f"layer_{index}"
        )
    return build


def pair(before: Build, after: Build) -> Example:
    return side(before), side(after)


def sparse(
    name: str = "fc/kernel",
    dtype: str = "float32",
    values: int = 1_024,
    index: int = 600,
    densified: bool = True,
    **told: Any,
) -> Build:
    """Return a TFLite model with one sparse matrix of 64 x 16."""
    build = Build(
        "made.tflite", FormatName.TFLITE, {"sparse_tensors": ({"name": name, "block_shape": (), **told},)}
    )
    if densified:
        build.facts["densify"] = ({"input": name, "output": f"{name}1"},)
    build.tensor(name, (64, 16), dtype=dtype, storage=Storage.SPARSE, pieces=(values,))
    build.region("sparsity", index, RegionKind.SPARSE_INDEX)
    return build


def masked(mask_zeros: int, weight_zeros: int) -> Build:
    build = Build()
    for name, zeros, role in (("kernel", weight_zeros, Role.WEIGHT), ("mask", mask_zeros, Role.PRUNING)):
        data = np.ones(100, "<f4") if name == "mask" else kernel(10, 10).reshape(-1)
        data[:zeros] = 0
        build.tensor(f"dense/{name}", (10, 10), data=data.tobytes(), role=role, layer="dense")
    return build


def beside(constant: Any, variable: Any) -> Build:
    build = model(variable, location="saved", format=FormatName.SAVED_MODEL)
    build.tensor("function/Const", constant.shape, data=constant.tobytes(), role=Role.CONSTANT)
    return build


def dead(column: int | None) -> Build:
    made = kernel(64, 64)
    if column is not None:
        made[:, column : column + 16] = 0
    return model(made)


def quantized(scales: int) -> Build:
    build = Build("made.tflite", FormatName.TFLITE)
    build.tensor("fc/kernel", (10, 20), dtype="int8")
    build.region("quantization", scales, RegionKind.QUANTIZATION)
    return build


def binary() -> Any:
    return np.sign(kernel()).astype("<f4")


def constant(value: Any) -> Build:
    return model(value, location="made.tflite", format=FormatName.TFLITE, role=Role.CONSTANT)


def fixture(name: str) -> Example:
    return None, api.side(fixture_path(name))


def one_changed() -> Any:
    made = kernel()
    made[5, 5] += 1
    return made


def instances(*scopes: str) -> Build:
    """Return a model with the same four layers in each scope, and other values."""
    build = Build("made.h5", FormatName.KERAS_HDF5, {})
    for seed, scope in enumerate(scopes):
        for number, (rows, columns) in enumerate(((20, 10), (10, 30), (30, 40), (40, 5))):
            data = kernel(rows, columns, seed=10 * seed + number)
            build.tensor(
                f"{scope}/layer_{number}/kernel",
                (rows, columns),
                data=data.tobytes(),
                layer=f"{scope}/layer_{number}",
            )
    return build


def partly_quantized(wide: int) -> Build:
    """Return a model of one wide kernel and one of int8."""
    build = model(kernel(64, wide))
    build.tensor(
        "layer_1/kernel", (64, 64), dtype="int8", data=np.arange(4_096, dtype="i1").tobytes(), layer="layer_1"
    )
    return build


def compiled(steps: int) -> Build:
    build = model(kernel(50, 20))
    slot = np.full((50, 20), 0.5 if steps else 0, "<f4")
    for name in "mv":
        build.tensor(
            f"optimizer/Adam/{name}/layer_0/kernel", (50, 20), data=slot.tobytes(), role=Role.OPTIMIZER
        )
    build.tensor(
        "optimizer/iterations", (), dtype="int64", data=np.int64(steps).tobytes(), role=Role.OPTIMIZER
    )
    return build


def wrapped_for_quantization(high: float, step: int = -1) -> Build:
    build = model(kernel())
    for name, value in (
        ("output_max", np.float32(high)),
        ("output_min", np.float32(-6)),
        ("optimizer_step", np.int32(step)),
    ):
        data, dtype = value.tobytes(), str(value.dtype)
        build.tensor(f"quantize_layer/quantize_layer_{name}:0", (), dtype=dtype, data=data, role=Role.PRUNING)
    return build


EXAMPLES: dict[str, tuple[Callable[[], Example], int, Callable[[], Example]]] = {
    "baseline-already-sparse": (
        lambda: pair(model(kernel(zeros=0.8)), model(kernel(zeros=0.8, seed=2), location="after.h5")),
        4 * 3_276,
        lambda: pair(model(kernel()), model(kernel(zeros=0.8), location="after.h5")),
    ),
    "block-mismatch": (
        lambda: alone(sparse()),
        1_024,
        lambda: alone(sparse(block_shape=(4,), densified=False)),
    ),
    "build-noise": (
        lambda: pair(model(kernel(), date_saved="1"), model(kernel(), location="after.h5", date_saved="2")),
        0,
        lambda: pair(
            model(kernel(), date_saved="1"), model(kernel(seed=2), location="after.h5", date_saved="2")
        ),
    ),
    "compiled-program": (
        lambda: fixture("tflite_handbuilt/byte_code.tflite"),
        200,
        lambda: fixture("tflite_handbuilt/narrow.tflite"),
    ),
    "const-and-variable": (
        lambda: alone(beside(kernel(), kernel())),
        16_384,
        lambda: alone(beside(kernel(), kernel(seed=2))),
    ),
    "dead-channels": (lambda: alone(dead(2)), 4_096, lambda: alone(dead(None))),
    "densify-present": (lambda: alone(sparse()), 4_096, lambda: alone(sparse(densified=False))),
    "duplicate-tensors": (
        lambda: alone(model(kernel(), kernel())),
        16_384,
        lambda: alone(model(kernel(), kernel(seed=2), np.zeros((4, 4), "<f4"), np.zeros((4, 4), "<f4"))),
    ),
    "float-with-few-values": (
        lambda: alone(model(binary())),
        16_384 - 512 - 8,
        lambda: alone(model(kernel())),
    ),
    "gradient-duplicate": (
        lambda: fixture("stablehlo/jax2tf"),
        262_144,
        lambda: fixture("stablehlo/jax2tf_no_gradient"),
    ),
    "identical-weights": (
        lambda: pair(model(kernel()), model(kernel(), location="after.h5")),
        0,
        lambda: pair(model(kernel()), model(one_changed(), location="after.h5")),
    ),
    "missing-data": (
        lambda: fixture("tfjs/shard_missing/model.json"),
        700,
        lambda: fixture("tfjs/layers/model.json"),
    ),
    "optimizer-never-stepped": (lambda: alone(compiled(0)), 8_000, lambda: alone(compiled(1))),
    "stayed-float": (lambda: alone(partly_quantized(64)), 16_384, lambda: alone(partly_quantized(2))),
    "uncalibrated-quantization": (
        lambda: alone(wrapped_for_quantization(6)),
        0,
        lambda: alone(wrapped_for_quantization(2.5, 100)),
    ),
    "quant-params-dominate": (lambda: alone(quantized(1440)), 1440, lambda: alone(quantized(200))),
    "quantization-aware-training": (
        lambda: fixture("keras_hdf5/quantization_aware.h5"),
        32,
        lambda: fixture("keras_hdf5/clustered.h5"),
    ),
    "second-instance": (
        lambda: alone(instances("encoder", "encoder_1")),
        4 * (20 * 10 + 10 * 30 + 30 * 40 + 40 * 5),
        lambda: alone(instances("encoder", "decoder")),
    ),
    "sparse-encoding-net-loss": (
        lambda: alone(sparse(dtype="int8", values=700, index=600)),
        276,
        lambda: alone(sparse(dtype="int8", values=400, index=600)),
    ),
    "sparse-hybrid": (
        lambda: fixture("pruned_blocks/block-16x1/stripped/dynamic-int8-sparse.tflite"),
        28_672 + 4_480,
        lambda: fixture("pruned_blocks/block-4x1/stripped/float32-sparse.tflite"),
    ),
    "sparse-weights-lost": (
        lambda: alone(sparse(uncovered_elements=20, block_shape=(4,), dense_bytes=4_096, value_bytes=1_024)),
        3_072,
        lambda: alone(sparse(uncovered_elements=0)),
    ),
    "sparsity-lost": (lambda: alone(masked(80, 70)), 40, lambda: alone(masked(80, 80))),
    "sparsity-not-applied": (lambda: alone(masked(0, 0)), 400, lambda: alone(masked(1, 1))),
    "splat-constant": (
        lambda: alone(constant(np.full((128, 64), 0.5, "<f4"))),
        32_768,
        lambda: alone(constant(kernel(128, 64))),
    ),
    "stablehlo-constants": (
        lambda: fixture("stablehlo/jax2tf_no_gradient"),
        4_096,
        lambda: fixture("stablehlo/jax2tf_variables"),
    ),
    "embedded-data": (lambda: alone(embedded(12_000)), 12_000, lambda: alone(model(kernel()))),
    "zip-stored": (
        lambda: alone(
            model(kernel(zeros=0.5), location="made.keras", format=FormatName.KERAS_ZIP, weights="w")
        ),
        8_192,
        lambda: alone(model(kernel(), location="made.keras", format=FormatName.KERAS_ZIP, weights="w")),
    ),
}
"""Rule -> artifacts on which it fires, the bytes it must tell, artifacts on which it must not fire."""


def findings(example: Example) -> dict[str, FindingEntry]:
    return {entry.rule: entry for entry in explain(*example).findings}


def test_every_rule_has_an_example_that_fires_and_one_that_does_not() -> None:
    known = [rule.id for rule in rules()]
    assert sorted(known) == sorted([*EXAMPLES, *test_rules.EXAMPLES])
    files = {path.stem for path in Path(wasteful.__path__[0]).glob("*.py")} - {"__init__", "masks"}
    assert {rule.replace("-", "_") for rule in known} == files, (
        "one file is one rule, and the registry lists it"
    )
    assert set(CONTRACT.split()) <= set(known)


def test_every_rule_has_a_reason() -> None:
    for rule in rules():
        assert rule.reason.endswith(".")
        assert isinstance(rule.severity, Severity)


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


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.id)
def test_what_a_rule_shows_of_itself_is_what_it_says(rule: Rule) -> None:
    found = (
        findings(EXAMPLES[rule.id][0]())
        if rule.id in EXAMPLES
        else test_rules.findings(test_rules.EXAMPLES[rule.id][0]())
    )
    assert rule.example == found[rule.id].message
    assert remedy_of(found[rule.id].remedy) in rule.remedies


@pytest.mark.parametrize("rule", EXAMPLES)
def test_nothing_that_needs_reading_is_claimed_without(rule: str) -> None:
    before, after = EXAMPLES[rule][0]()
    unread = explain(
        None if before is None else Subject(before.artifact, None), Subject(after.artifact, None)
    )
    structural = {
        "block-mismatch",
        "compiled-program",
        "densify-present",
        "embedded-data",
        "missing-data",
        "quant-params-dominate",
        "quantization-aware-training",
        "sparse-encoding-net-loss",
        "sparse-hybrid",
        "sparse-weights-lost",
        "stablehlo-constants",
        "stayed-float",
    }
    assert (rule in {entry.rule for entry in unread.findings}) == (rule in structural)


def test_a_keras_archive_without_its_weights_misses_data() -> None:
    assert findings(fixture("keras_zip/no_weights.keras"))["missing-data"].severity == "error"


def test_weights_that_are_not_read_are_not_called_missing(tmp_path: Path) -> None:
    packed = tmp_path / "packed.keras"
    with zipfile.ZipFile(fixture_path("keras_zip/model.keras")) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    data = bytearray(packed.read_bytes())
    name = b"model.weights.h5"
    data[data.index(name) - 22] = data[data.rindex(name) - 36] = 98  # method PPMd, which nothing here decodes
    packed.write_bytes(data)
    report = api.explain(packed)
    assert "missing-data" not in {finding.rule for finding in report.findings}
    assert Code.UNSUPPORTED in {found.code for found in api.open(packed).diagnostics}


@pytest.mark.parametrize(
    ("name", "dead", "of"),
    [("pruned_mlp/stripped/model.h5", 10, 128), ("pruned_mlp/stripped/float32.tflite", 10, 128)],
)
def test_dead_channels_are_outputs_whatever_the_layout(name: str, dead: int, of: int) -> None:
    assert f"has {dead} dead of {of}" in findings(fixture(name))["dead-channels"].message


def test_a_model_in_another_form_is_no_baseline() -> None:
    before = api.side(fixture_path("pruned_mlp/stripped/model.h5"))
    for after in (
        "pruned_mlp/stripped/gzip.h5",
        "pruned_mlp/stripped/float32.tflite",
        "pruned_mlp/stripped/model.h5.gz",
    ):
        found = findings((before, api.side(fixture_path(after))))
        assert "baseline-already-sparse" not in found
        assert "identical-weights" in found
    wrapped = api.side(fixture_path("pruned_mlp/wrapped/no-optimizer.h5"))
    assert "baseline-already-sparse" not in findings((wrapped, before))


@pytest.mark.parametrize(
    ("sparse_dtype", "dense_dtype", "remedy"),
    [
        ("float32", "float32", Remedy.CONVERT_DENSE),
        ("float16", "float32", Remedy.CONVERT_DENSE_HALF),
        ("int8", "float32", Remedy.CONVERT_DENSE_NARROW),
        ("float32", "int8", Remedy.CONVERT_DENSE_NARROW),
        ("float32", "float16", Remedy.CONVERT_DENSE_HALF),
    ],
)
def test_dense_conversion_keeps_the_precision_of_the_model(
    sparse_dtype: str, dense_dtype: str, remedy: Remedy
) -> None:
    build = sparse(dtype=sparse_dtype)
    build.tensor(
        "fc2/kernel",
        (16, 16),
        dtype=dense_dtype,
        data=bytes(256 * np.dtype(dense_dtype).itemsize),
        role=Role.WEIGHT,
    )
    advice = converted_dense(build.artifact())
    assert advice is not None
    assert advice.remedy is remedy
