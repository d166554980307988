"""``modelinspect prune`` with Keras 3, in few processes."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.methods import METHODS
from modelinspect.reports.blocks import Table
from modelinspect.reports.manifest import PruneReport
from tests.support.cli import CliResult, run_cli

pytestmark = pytest.mark.tensorflow

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
QUICK = ("--one-shot", "--samples", "64", "--methods", "keras,h5-no-optimizer")
NEEDS = {"orbax": "orbax.checkpoint"}
"""The module that a method needs beside Keras and TensorFlow."""


_INTERPRET = """
import sys, json, numpy as np, tensorflow as tf
def run(path):
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(path, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (given,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], np.linspace(-1, 1, 64, dtype="float32").reshape(1, 64))
    interpreter.invoke()
    return [op["op_name"] for op in interpreter._get_ops_details()], interpreter.get_tensor(out["index"]).tolist()
print(json.dumps([run(path) for path in sys.argv[1:]]))
"""  # noqa: E501


def is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def prune(*arguments: str | Path) -> CliResult:
    return run_cli("prune", *arguments)


def manifest(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return loaded


def optimizer_values(place: Path) -> dict[str, Any]:
    """Return the optimizer's variables in a .keras file, read by h5py."""
    with zipfile.ZipFile(place) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        return {name: dataset[()] for name, dataset in file["optimizer/vars"].items()}


def make(folder: Path, *names: str, **environment: str) -> Path:
    script = Path(__file__).with_name("keras3_models.py")
    command = [sys.executable, str(script), str(folder), *names]
    subprocess.run(command, check=True, env={**os.environ, **QUIET, **environment}, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keras 3 model files."""
    return make(tmp_path_factory.mktemp("keras3"), "small", "evil", "custom")


@pytest.fixture(scope="session")
def small(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, half of it pruned in blocks of TFLite's int8 kernels, by every method."""
    target = tmp_path_factory.mktemp("pruned") / "small"
    arguments = (
        "--samples",
        "128",
        "--epochs",
        "2",
        "--sparsity",
        "0.5",
        "--block-size",
        "tflite-int8",
        "--format",
        "json",
    )
    result = prune(models / "small.keras", "-o", target, *arguments)
    assert result.code == 0, result.err
    assert json.loads(result.text) == manifest(target)
    lines = result.err.splitlines()
    assert lines[0].startswith("prune: engine keras: it was written by Keras 3.")
    for stage in (
        "measuring the original",
        "saving the original",
        "training the pruned",
        "measuring the pruned",
        "saving the pruned",
    ):
        assert f"prune: {stage} network" in lines
    return target


def check_artifacts(folder: Path) -> None:
    """Every method made an artifact that is inspected clean, or gives a reason; loss is known before and
    after.
    """
    found = manifest(folder)
    for stage in found["stages"]:
        assert stage["loss"] is not None
    assert [stage["stage"] for stage in found["stages"]] == ["original", "pruned"]
    rows = {(row["stage"], row["method"]): row for row in found["artifacts"]}
    for stage in ("original", "pruned"):
        for name, method in METHODS.items():
            if Engine.KERAS in method.engines:
                row = rows[stage, name]
                assert row["outcome"] == "made" or row["reason"]
    for row in rows.values():
        if row["outcome"] != "made":
            continue
        place = folder / row["path"]
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) == row["size"]
        assert sum(row["categories"].values()) == row["size"], row["path"]
        assert row["categories"]["unattributed"] == 0, row["path"]
        assert row["diagnostic_count"] == 0, row["path"]


def check_zeros(folder: Path, target: float) -> None:
    """Every pruned weight has exactly the wanted number of zeros, and none in the original."""
    original, pruned = manifest(folder)["stages"]
    assert any(weight["target"] for weight in pruned["weights"])
    for before, after in zip(original["weights"], pruned["weights"], strict=True):
        if after["target"] is not None:
            assert after["zero_count"] == round(target * np.prod(after["shape"])), after
            assert before["sparsity"] < 0.01


def test_every_method_of_keras_3_makes_an_artifact_that_is_inspected_clean(small: Path) -> None:
    check_artifacts(small)
    check_zeros(small, 0.5)
    failed = {row["method"] for row in manifest(small)["artifacts"] if row["outcome"] == "failed"}
    assert failed == {method for method, module in NEEDS.items() if not is_installed(module)}
    assert manifest(small)["engine"] == "keras"
    assert manifest(small)["versions"]["keras"].startswith("3.")


def test_files_keep_their_optimizer_whatever_was_saved_before_and_quantized_ones_have_none(
    small: Path,
) -> None:
    """Keras 3.15.1 takes the optimizer out of the network's compile configuration when it saves .h5."""
    for stage in ("original", "pruned"):
        with zipfile.ZipFile(small / stage / "model.keras") as archive:
            config = json.loads(archive.read("config.json"))
        assert config["compile_config"]["optimizer"]["class_name"] == "Adam"
        for mode in ("int8", "int4"):
            assert mi.inspect(small / stage / f"{mode}.keras").categories.optimizer_state == 0


def test_the_blocks_are_in_the_files_as_tflite_stores_them(small: Path) -> None:
    report = mi.tensors(small / "pruned" / "no-optimizer.h5")
    (hidden,) = (tensor for tensor in report.tensors if tensor.shape == (64, 64))
    assert hidden.pattern is not None
    assert hidden.pattern.blocks_16 == (128, 256)
    assert hidden.zero_count == 2048
    assert hidden.negative_zero_count == 0


def test_sparse_tflite_files_run_without_densify_and_as_the_dense_ones_do(small: Path) -> None:
    """In the interpreter: the built-in int8 kernel reads blocks of 1x16, so no operator expands the weights.

    TensorFlow 2.21's default delegate (XNNPACK) computes something else from such files, as
    docs/guide/prune.md says.
    """
    paths = [str(small / "pruned" / f"dynamic-int8{suffix}.tflite") for suffix in ("", "-sparse")]
    done = subprocess.run(
        [sys.executable, "-c", _INTERPRET, *paths],
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=True,
    )
    (dense_operators, dense), (sparse_operators, sparse) = json.loads(done.stdout.splitlines()[-1])
    assert "DENSIFY" not in sparse_operators
    assert sparse_operators == dense_operators
    np.testing.assert_allclose(sparse, dense, atol=1e-5)
    storages = {tensor.storage for tensor in mi.tensors(paths[1]).tensors}
    assert "sparse" in storages


def test_gzipped_artifacts_are_not_gzipped_again_and_have_no_row_in_the_comparison(small: Path) -> None:
    gzipped = [row for row in manifest(small)["artifacts"] if row["method"].endswith(".gz")]
    assert gzipped
    assert all(row["gzip_size"] is None for row in gzipped)
    report = msgspec.json.decode((small / "manifest.json").read_bytes(), type=PruneReport)
    (table,) = (block for block in report.blocks() if isinstance(block, Table))
    assert not [row for row in table.rows if str(row[0]).endswith(".gz")]
    assert [column.key for column in table.columns] == [
        "method",
        "original",
        "original_gzip",
        "pruned",
        "pruned_gzip",
        "verdict",
    ]


@pytest.mark.skipif(not is_installed("jax"), reason="jax is not installed")
def test_a_model_with_the_optimizer_state_of_another_backend_is_pruned(tmp_path: Path) -> None:
    make(tmp_path, "small", KERAS_BACKEND="jax")
    result = prune(tmp_path / "small.keras", "-o", tmp_path / "p", *QUICK)
    assert result.code == 0, result.err
    assert manifest(tmp_path / "p")["versions"]["keras_backend"] == "tensorflow"
    assert not [warning for warning in manifest(tmp_path / "p")["warnings"] if "optimizer" in warning]
    check_zeros(tmp_path / "p", 0.8)
    given, saved = (
        optimizer_values(place)
        for place in (tmp_path / "small.keras", tmp_path / "p" / "original" / "model.keras")
    )
    assert len(given) == len(saved) == 10
    assert all(np.array_equal(given[name], saved[name]) for name in given)


def test_an_optimizer_state_that_does_not_fit_is_one_warning(models: Path, tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(models / "small.keras") as before,
        zipfile.ZipFile(tmp_path / "odd.keras", "w") as after,
    ):
        for name in before.namelist():
            data = before.read(name)
            if name == "model.weights.h5":
                (tmp_path / "w.h5").write_bytes(data)
                with h5py.File(tmp_path / "w.h5", "r+") as file:
                    del file["optimizer/vars/9"]
                data = (tmp_path / "w.h5").read_bytes()
            after.writestr(name, data)
    result = prune(tmp_path / "odd.keras", "-o", tmp_path / "p", *QUICK)
    assert result.code == 0, result.err
    (warning,) = manifest(tmp_path / "p")["warnings"]
    assert warning.startswith("odd.keras: ")
    assert "optimizer" in warning


@pytest.mark.parametrize("name", ["small.h5", "unpacked"])
def test_hdf5_and_weights_beside_a_configuration_are_pruned(models: Path, tmp_path: Path, name: str) -> None:
    result = prune(models / name, "-o", tmp_path / "p", *QUICK, "--layers", "hidden")
    assert result.code == 0, result.err
    check_zeros(tmp_path / "p", 0.8)
    layers = {layer["name"]: layer for layer in manifest(tmp_path / "p")["layers"]}
    assert layers["hidden"]["pruned"]
    assert "no --layers pattern" in layers["head"]["reason"]


def test_an_architecture_is_pruned_by_keras_3(tmp_path: Path) -> None:
    result = prune("attention", "-o", tmp_path / "p", *QUICK, "--engine", "keras", "--m-by-n", "2x4")
    assert result.code == 0, result.err
    check_zeros(tmp_path / "p", 0.5)
    assert manifest(tmp_path / "p")["engine"] == "keras"


def test_a_layer_of_its_author_is_pruned_with_its_code(models: Path, tmp_path: Path) -> None:
    refused = prune(models / "custom.keras", "-o", tmp_path / "p", *QUICK)
    assert (refused.code, refused.err.count("\n")) == (3, 1)
    assert "layer 'scaled' is a Scale" in refused.err
    code = ("--allow-code", "--code", Path(__file__).with_name("keras3_models.py"))
    result = prune(models / "custom.keras", "-o", tmp_path / "p", *QUICK, *code)
    assert result.code == 0, result.err
    layers = {layer["name"]: layer for layer in manifest(tmp_path / "p")["layers"]}
    assert "Scale is not a layer of Keras" in layers["scaled"]["reason"]
    assert layers["head"]["pruned"]


def test_a_lambda_layer_is_never_run_without_leave(models: Path, tmp_path: Path) -> None:
    result = prune(models / "evil.keras", "-o", tmp_path / "p", *QUICK)
    assert (result.code, result.out, result.err.count("\n")) == (3, b"", 1)
    assert "Lambda layer 'evil' (function) holds marshalled Python code" in result.err
    assert "(lambda-code)" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layers", "hiden"), "no layer matches 'hiden'; there are hidden"),
        (("--block-size", "2x2", "--layers", "nothing"), "no layer matches 'nothing'"),
    ],
)
def test_a_command_that_cannot_be_done_is_one_line_and_leaves_nothing(
    models: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = prune(models / "small.keras", "-o", tmp_path / "p", *QUICK, *arguments)
    assert (result.code, result.out) == (2, b"")
    errors = [line for line in result.err.splitlines() if not line.startswith("prune: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "transformer", "mobilenet"])
def test_a_network_of_keras_3_is_pruned_in_a_few_steps_and_saved_by_every_method(
    name: str, tmp_path: Path
) -> None:
    make(tmp_path, name)
    result = prune(tmp_path / f"{name}.keras", "-o", tmp_path / "p", "--samples", "64", "--epochs", "2")
    assert result.code == 0, result.err
    check_artifacts(tmp_path / "p")
    check_zeros(tmp_path / "p", 0.8)
    rows = {(row["stage"], row["method"]): row for row in manifest(tmp_path / "p")["artifacts"]}
    for method in ("h5", "keras", "weights-h5"):
        states = [rows[stage, method]["categories"]["optimizer-state"] for stage in ("original", "pruned")]
        assert states[0] == states[1]
