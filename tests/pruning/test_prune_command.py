"""``modelinspect prune`` with the real TensorFlow, in few processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from modelinspect.pruning.engines import Engine
from modelinspect.pruning.methods import METHODS
from tests.support.cli import CliResult, run_cli
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

pytestmark = pytest.mark.tensorflow

QUICK = ("--one-shot", "--samples", "64", "--methods", "h5,h5-no-optimizer", "--stages", "original,stripped")


def prune(*arguments: str | Path) -> CliResult:
    return run_cli("prune", *arguments)


def manifest(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return loaded


def error_lines(err: str) -> list[str]:
    """Return the lines of standard error but for those that say what is being done."""
    return [line for line in err.splitlines() if not line.startswith("prune: ")]


def zeros(path: Path) -> dict[str, float]:
    """Return the share of zeros of every data set, read by h5py."""
    found: dict[str, float] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = float((np.asarray(item) == 0).mean())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.fixture(scope="session")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mlp in every stage and by every method."""
    target = tmp_path_factory.mktemp("pruned") / "mlp"
    result = prune("mlp", "-o", target, "--samples", "512", "--epochs", "3", "--format", "json")
    assert result.code == 0, result.err
    assert json.loads(result.text) == manifest(target)
    return target


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files to prune."""
    folder = tmp_path_factory.mktemp("models")
    script = PROJECT / "tests" / "support" / "pruning_models.py"
    environment = {
        **os.environ,
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    subprocess.run(
        [sys.executable, str(script), str(folder)], check=True, env=environment, capture_output=True
    )
    assert not (folder / "trap").exists()
    return folder


def rows(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["stage"], row["method"]): row for row in manifest(folder)["artifacts"]}


def test_every_stage_is_made_by_every_method(mlp: Path) -> None:
    made = rows(mlp)
    possible = [name for name, method in METHODS.items() if Engine.TFMOT in method.engines]
    for stage in ("original", "wrapped", "stripped"):
        assert [name for name in possible if made[stage, name]["outcome"] != "made"] == []


def test_a_sparse_file_that_lost_weights_in_blocks_is_called_broken(mlp: Path) -> None:
    broken = {key for key, row in rows(mlp).items() if row["errors"]}
    assert ("stripped", "tflite-dynamic-int8-sparse") in broken
    assert all(method.removesuffix(".gz").endswith("-sparse") for _, method in broken)
    assert all("dropped the 1,280 elements" in warning for warning in manifest(mlp)["warnings"])
    artifacts = {(stage, method.removesuffix(".gz")) for stage, method in broken}
    assert len(manifest(mlp)["warnings"]) == len(artifacts)
    assert {tuple(warning.split(": ")[0].split(" ")) for warning in manifest(mlp)["warnings"]} == artifacts


def test_every_artifact_is_as_large_as_the_manifest_says_and_every_byte_has_a_category(mlp: Path) -> None:
    for row in rows(mlp).values():
        place = mlp / row["path"]
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) == row["size"]
        assert sum(row["categories"].values()) == row["size"], row["path"]
        assert row["categories"]["unattributed"] == 0, row["path"]
        assert row["diagnostic_count"] == 0, row["path"]


def test_pruned_weights_reach_their_target_and_the_original_stays_dense(mlp: Path) -> None:
    for name, share in zeros(mlp / "stripped" / "no-optimizer.h5").items():
        assert share == pytest.approx(0.8 if name.endswith("kernel:0") else 0.0, abs=0.005)
    assert max(zeros(mlp / "original" / "no-optimizer.h5").values()) < 0.01
    for stage in manifest(mlp)["stages"]:
        for weight in stage["weights"]:
            assert weight["sparsity"] == pytest.approx(
                0.0 if stage["stage"] == "original" else 0.8, abs=0.005
            )


def test_a_stripped_dense_file_is_as_large_as_its_original_without_optimizer(mlp: Path) -> None:
    made = rows(mlp)
    for method in ("h5-no-optimizer", "tflite-float32", "tflite-dynamic-int8"):
        assert made["stripped", method]["size"] == made["original", method]["size"]
    assert made["stripped", "h5"]["size"] == made["original", "h5-no-optimizer"]["size"]


def test_a_wrapped_keras_file_stores_kernels_twice(mlp: Path) -> None:
    wrapped = rows(mlp)["wrapped", "keras"]["categories"]
    stripped = rows(mlp)["stripped", "keras"]["categories"]
    assert wrapped["zero-weights"] == 2 * stripped["zero-weights"]
    assert wrapped["pruning-state"] >= 10240


def test_the_table_says_in_a_word_what_happened(mlp: Path) -> None:
    import msgspec

    from modelinspect.reports.manifest import PruneReport, verdict

    report = msgspec.json.decode((mlp / "manifest.json").read_bytes(), type=PruneReport)
    words = {method: verdict(original, stripped) for method, original, _, stripped in report.comparisons()}
    assert words["h5"] == "optimizer"
    assert words["h5-no-optimizer"] == "zeros"
    assert words["tflite-float32-sparse"] == "sparse"


def test_keras_loads_the_gzipped_hdf5_and_the_deflated_zip_with_the_same_weights(mlp: Path) -> None:
    code = (
        "import sys, numpy as np, tf_keras\none, *others = [tf_keras.models.load_model(path,"
        " compile=False).get_weights() for path in sys.argv[1:]]\nsys.exit(not all(np.array_equal(a, b) for"
        " other in others for a, b in zip(one, other, strict=True)))"
    )
    paths = [str(mlp / "stripped" / name) for name in ("model.h5", "gzip.h5", "deflate.keras")]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    assert (
        subprocess.run(
            [sys.executable, "-c", code, *paths], env=environment, check=False, capture_output=True
        ).returncode
        == 0
    )


def test_a_run_too_short_for_its_schedule_says_how_many_steps_it_needed(tmp_path: Path) -> None:
    arguments = (
        "--samples",
        "96",
        "--epochs",
        "2",
        "--end-step",
        "50",
        "--frequency",
        "2",
        "--methods",
        "h5",
        "--stages",
        "stripped",
    )
    result = prune("mlp", "-o", tmp_path / "p", *arguments, "--m-by-n", "", "--exclude", "dense_1")
    assert result.code == 0, result.err
    short, *_ = manifest(tmp_path / "p")["warnings"]
    assert "the run of 6 steps" in short
    assert "needs 50 steps" in short
    shares = zeros(tmp_path / "p" / "stripped" / "model.h5")
    # the schedule's own arithmetic, foretold: the last turn is step 6 of 50
    assert shares[
        "dense/dense/kernel:0" if "dense/dense/kernel:0" in shares else "model_weights/dense/dense/kernel:0"
    ] == pytest.approx(0.8 - 0.8 * (1 - 6 / 50) ** 3, abs=0.005)
    assert shares["model_weights/dense_1/dense_1/kernel:0"] == 0.0


def test_layers_in_nested_models_are_found_and_pruned_by_pattern(models: Path, tmp_path: Path) -> None:
    result = prune(
        models / "nested.h5", "-o", tmp_path / "p", *QUICK, "--layers", "inner/*", "--sparsity", "0.5"
    )
    assert result.code == 0, result.err
    layers = {layer["name"]: layer for layer in manifest(tmp_path / "p")["layers"]}
    assert layers["inner/dense"]["pruned"]
    assert "no --layers pattern" in layers["head"]["reason"]
    shares = zeros(tmp_path / "p" / "stripped" / "model.h5")
    assert {name.split("/")[-3:][0]: share for name, share in shares.items() if "kernel" in name}
    (inner,) = (share for name, share in shares.items() if "inner" in name and "kernel" in name)
    (head,) = (share for name, share in shares.items() if "head" in name and "kernel" in name)
    assert (inner, head) == (pytest.approx(0.5, abs=0.005), 0.0)


def test_a_saved_model_of_tf_keras_is_pruned(models: Path, tmp_path: Path) -> None:
    result = prune(models / "nested_saved_model", "-o", tmp_path / "p", *QUICK)
    assert result.code == 0, result.err
    assert any(weight["target"] == 0.8 for weight in manifest(tmp_path / "p")["stages"][-1]["weights"])


@pytest.mark.parametrize("name", ["lambda.h5", "lambda.keras", "lambda_saved_model"])
def test_a_lambda_layer_is_never_run_without_leave(models: Path, tmp_path: Path, name: str) -> None:
    result = prune(models / name, "-o", tmp_path / "p", *QUICK)
    assert (result.code, result.out) == (3, b"")
    assert "'evil'" in result.err
    assert "lambda-code" in result.err
    assert "--allow-code" in result.err
    assert not (models / "trap").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lambda_layer_runs_with_leave_which_shows_that_the_trap_works(models: Path, tmp_path: Path) -> None:
    result = prune(models / "lambda.h5", "-o", tmp_path / "p", *QUICK, "--allow-code")
    assert result.code == 0, result.err
    assert (models / "trap").read_text() == "ran"
    (models / "trap").unlink()


def test_an_unknown_layer_class_says_how_to_give_its_code(models: Path, tmp_path: Path) -> None:
    result = prune(models / "custom.h5", "-o", tmp_path / "p", *QUICK)
    assert result.code == 3
    assert "--code FILE.py --allow-code" in result.err
    assert len(error_lines(result.err)) == 1


def test_a_layer_that_tfmot_does_not_know_is_left_out_with_the_reason_and_refused_by_name(
    models: Path, tmp_path: Path
) -> None:
    code = ("--allow-code", "--code", PROJECT / "tests" / "support" / "pruning_models.py")
    result = prune(models / "custom.h5", "-o", tmp_path / "p", *QUICK, *code)
    assert result.code == 0, result.err
    assert "tfmot does not know Mine" in manifest(tmp_path / "p")["layers"][0]["reason"]
    result = prune(models / "custom.h5", "-o", tmp_path / "q", *QUICK, *code, "--layers", "mine")
    assert result.code == 2
    assert "layer 'mine' cannot be pruned" in result.err


def test_a_keras_3_file_says_why_tfmot_cannot_prune_it_and_what_to_do(tmp_path: Path) -> None:
    result = prune(fixture_path("keras_zip/model.keras"), "-o", tmp_path / "p", *QUICK, "--engine", "tfmot")
    assert result.code == 3
    assert "written by Keras 3" in result.err
    assert "TF_USE_LEGACY_KERAS=1" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--sparsity", "1.2"), 2, "must be at least 0 and below 1, not 1.2"),
        (("--layers", "dens_9"), 2, "no layer matches 'dens_9'; there are dense_1, dense"),
        (("--data", "wrong.npz"), 2, "x has samples of the shape 11; the network takes 10"),
        (("--methods", "h6"), 2, "no saving method matches 'h6'; there are h5"),
        (("--block-size", "16"), 2, "--block-size takes two numbers such as 16x1"),
        (("--code", "models.py"), 2, "say --allow-code too"),
        (("--epochs", "0"), 2, "the epochs must be 1 or more"),
        (("--m-by-n", "4x2"), 2, "M by N sparsity needs 1 <= M < N"),
        (("--stages", "striped"), 2, "no stage is named 'striped'"),
        (("--optimizer", "lion9"), 2, "no optimizer is named 'lion9'"),
    ],
)
def test_a_command_that_cannot_be_done_is_one_line_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    np.savez(tmp_path / "wrong.npz", x=np.zeros((20, 11), "float32"), y=np.zeros(20, "int32"))
    result = run_cli("prune", "mlp", "-o", tmp_path / "out" / "p", *arguments, cwd=tmp_path)
    assert (result.code, result.out) == (code, b"")
    assert message in result.err
    assert len(error_lines(result.err)) == 1
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_corrupt_model_is_one_line(tmp_path: Path) -> None:
    whole = fixture_path("mlp/original.h5").read_bytes()
    (tmp_path / "torn.h5").write_bytes(whole[:30_000])
    result = prune(tmp_path / "torn.h5", "-o", tmp_path / "p")
    assert result.code == 3
    assert "damaged" in result.err
    assert len(error_lines(result.err)) == 1


def test_interrupting_leaves_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "modelinspect",
        "prune",
        "mlp",
        "-o",
        str(tmp_path / "p"),
        "--epochs",
        "50",
    ]
    for sent in (signal.SIGINT, signal.SIGTERM):
        run = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
        while (
            not list(tmp_path.glob("*/p/original/*.h5")) and run.poll() is None
        ):  # an event, however long it takes
            time.sleep(0.05)
        assert list(tmp_path.glob("*/p/original/*.h5")), "nothing was made before the interrupt"
        run.send_signal(sent)
        _, err = run.communicate()
        assert (run.returncode, error_lines(err.decode())) == (130, ["modelinspect: interrupted"])
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)], check=False, capture_output=True
    ).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        result = prune(
            "mlp", "-o", disk / "p", "--one-shot", "--samples", "64", "--methods", "h5*,keras,weights-h5"
        )
        assert result.code == 3
        assert "no space is left on the disk" in result.err
        assert len(error_lines(result.err)) == 1
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
