"""The examples run and show what the documents say of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.corpus import PROJECT

pytestmark = pytest.mark.tensorflow


def run(name: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    script = PROJECT / "docs" / "guide" / "examples" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def sizes(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"([\d,]+) bytes", text)]


def gzipped(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"([\d,]+) gzipped", text)]


def test_basic_pruning_saves_nothing_until_it_is_compressed() -> None:
    text = run("basic_pruning")
    original, stripped = sizes(text)[:2]
    assert original == stripped
    assert gzipped(text)[1] < 0.5 * gzipped(text)[0]
    assert "difference: +0 bytes" in text
    assert re.search(r"^dense-zeros: .*\b8,192 bytes", text, re.MULTILINE)


def test_schedules_reach_their_targets_in_files_of_one_size() -> None:
    text = run("schedules")
    assert re.findall(r"([\d.]+%) zeros", text) == ["95.0%", "50.0%"]
    assert len({sizes(line)[0] for line in text.splitlines() if "gzipped" in line}) == 1
    aggressive, conservative = gzipped(text)
    assert aggressive < conservative


def test_sparse_int8_loses_with_single_weights_and_gains_with_blocks() -> None:
    text = run("pruning_and_quantization")
    single, blocks = (
        int(found.replace(",", "")) for found in re.findall(r"int8 sparse: ([+-][\d,]+) bytes", text)
    )
    assert single > 100_000
    assert blocks < -100_000
