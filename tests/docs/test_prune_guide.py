"""What docs/guide/prune.md opens with works as it is printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide" / "prune.md"
_PREPARE = """
import sys
import keras
import numpy as np
random = np.random.default_rng(0)
x, y = random.standard_normal((64, 16)).astype("float32"), random.integers(0, 4, 64)
np.savez("train.npz", x=x, y=y)
model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(4, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.save("model.keras")
exec(sys.argv[1])
kernels = [variable for variable in keras.models.load_model("pruned.keras").weights if variable.name == "kernel"]
print(*(float((np.asarray(kernel) == 0).mean()) for kernel in kernels))
"""  # noqa: E501


def opening(language: str) -> str:
    """Return the first block of a language below the first heading."""
    section = GUIDE.read_text(encoding="utf-8").split("## I have a Keras 3 model", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.tensorflow
def test_the_five_lines_prune_a_model_and_the_command_makes_its_folder(tmp_path: Path) -> None:
    assert len([line for line in opening("python").splitlines() if line]) == 5
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    code = [sys.executable, "-c", _PREPARE, opening("python")]
    done = subprocess.run(code, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shares = [float(share) for share in done.stdout.splitlines()[-1].split()]
    assert shares == [round(0.8 * 16 * 32) / (16 * 32), round(0.8 * 32 * 4) / (32 * 4)]

    (command,) = opening("bash").splitlines()
    assert command.startswith("modelinspect ")
    arguments = [sys.executable, "-m", *command.split()]
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "pruned" / "manifest.json").read_text())
    assert manifest["engine"] == "keras"
    assert [stage["stage"] for stage in manifest["stages"]] == ["original", "pruned"]
