"""The tests of `MagnitudePruning` on the other backends of Keras, and against tfmot, each in its own
process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_test_of_the_callback_passes_on_another_backend(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    _run_tests(backend)


def test_training_and_one_shot_pruning_on_jax() -> None:
    """The few tests that touch the backend most, so that every run of the tests has them."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    _run_tests("jax", "-k", "exactly_the_wanted or positive_zeros or goes_on or one_shot or stateless")


def _run_tests(backend: str, *arguments: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:xdist",
        "tests/pruning/test_magnitude.py",
        *arguments,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **QUIET, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def _compared(*networks: str) -> list[dict[str, Any]]:
    script = str(Path(__file__).with_name("compare_tfmot.py"))
    environment = {**os.environ, **QUIET, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(
        [sys.executable, script, *networks],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _check_equal(rows: list[dict[str, Any]], networks: int) -> None:
    """Without ties among the magnitudes (they are normal noise), masks are equal element by element.

    The one known difference in a count: where ``sparsity * elements`` is exactly half a weight and the number
    of elements odd, tfmot rounds the kept weights to even, and Python the zeros. No kernel of these networks
    has an odd number of elements.
    """
    assert (
        len({(row["network"], row["sparsity"], row["pattern"]) for row in rows if row["kernel"]})
        >= networks * 3 * 2
    )
    for row in rows:
        if row["kernel"]:
            assert (row["ours"], row["different"], row["kept_values_differ"]) == (row["tfmot"], 0, 0), row
            assert row["negative_zeros"] == 0, row
        if row["kernel"] and row["pattern"] == "single":
            assert row["ours"] == round(row["sparsity"] * row["elements"]), row


def test_masks_equal_those_of_tfmot_on_two_networks() -> None:
    _check_equal(_compared("mlp", "lstm"), 2)


@pytest.mark.slow
def test_masks_equal_those_of_tfmot_on_eight_networks() -> None:
    networks = (
        "mlp",
        "cnn",
        "many-small-layers",
        "few-large-layers",
        "lstm",
        "embedding",
        "depthwise",
        "attention",
    )
    rows = _compared(*networks)
    _check_equal(rows, 8)
    assert {row["network"] for row in rows if row["kernel"]} == set(networks)
