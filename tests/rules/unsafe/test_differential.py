"""What loaders really run, lint calls an error: configurations of every place and form, loaded by Keras 3 and
tf_keras.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest

import modelinspect as mi
from modelinspect.core.artifact import Severity
from tests.rules.unsafe.configurations import UNKNOWN, Made, write_all
from tests.support.corpus import PROJECT

LEAST = 300


@dataclass(frozen=True)
class Loaded:
    """The files, what they ran when they were loaded, and those that real writers made."""

    folder: Path
    made: list[Made]
    ran: dict[str, list[str]]
    written: list[str]
    refused: dict[str, str]
    opened: dict[str, int]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("configurations")
    made = write_all(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tests.rules.unsafe.load_models", str(folder)],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "HOME": str(folder), "TF_USE_LEGACY_KERAS": "0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    return Loaded(folder, made, answer["ran"], answer["written"], answer["refused"], answer["opened"])


def errors(path: Path) -> list[str]:
    found = mi.lint(path, select=["unsafe"], measure=False).findings
    return [finding.rule for finding in found if finding.severity == Severity.ERROR]


def test_whatever_ran_is_an_error(loaded: Loaded) -> None:
    assert len(loaded.made) >= LEAST
    missed = {
        f"{made.name} ({made.place}, {made.form})": loaded.ran[made.name]
        for made in loaded.made
        if made.name in loaded.ran and made.form != "unknown-module" and not errors(loaded.folder / made.name)
    }
    assert not missed


def test_a_module_that_nobody_knows_is_named_as_custom_wherever_it_was_imported(loaded: Loaded) -> None:
    """Every model with a custom layer names one: it is a note, with module and class."""
    ran = [made for made in loaded.made if made.form == "unknown-module" and made.name in loaded.ran]
    assert ran
    for made in ran:
        found = mi.lint(loaded.folder / made.name, select=["custom-object"], measure=False).findings
        assert [finding.rule for finding in found] == ["custom-object"], made
        assert f"{UNKNOWN}.Payload" in found[0].message


def test_the_payloads_do_run_in_both_libraries(loaded: Loaded) -> None:
    """An oracle that sees nothing would pass any lint."""
    effects = [effect for found in loaded.ran.values() for effect in found]
    for label in ("keras3", "tf_keras"):
        assert any(effect.startswith(label) for effect in effects), label
        assert loaded.opened[label] > 0
    for effect in ("code", "class", "import", "file"):
        assert any(effect in found for found in effects), effect
    assert len(loaded.ran) > 25


def test_names_that_keras_knows_are_no_finding(loaded: Loaded) -> None:
    honest = [
        made
        for made in loaded.made
        if made.form == "known-name"
        and made.place in ("activation", "activation-layer", "kernel_regularizer")
    ]
    assert honest
    assert {made.name: errors(loaded.folder / made.name) for made in honest} == {
        made.name: [] for made in honest
    }


def test_every_model_with_a_lambda_that_a_library_saved_is_found(loaded: Loaded) -> None:
    assert loaded.refused == {}
    assert len(loaded.written) == 16  # four places, two libraries, two containers
    holding = [name for name in loaded.written if holds_code(loaded.folder / name)]
    assert {name.split("-")[1] for name in holding} == {"keras3", "tf_keras"}
    assert {name.split("-")[2].split(".")[0] for name in holding} >= {"activation", "layer"}
    assert {name: "lambda-code" in errors(loaded.folder / name) for name in holding} == dict.fromkeys(
        holding, True
    )


def holds_code(path: Path) -> bool:
    """Return whether a configuration has marshalled code in base64: it begins with the type code ``c`` or
    ``0xe3``.
    """
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            texts = [str(file.attrs.get(name, "")) for name in ("model_config", "training_config")]
    else:
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read("config.json").decode()]
    return any('"4w' in text for text in texts)
