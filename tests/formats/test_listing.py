"""A folder or an archive of several models is several artifacts: each is listed, and each opens alone."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.support.cli import run_cli as run
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.api import list_models
from modelinspect.errors import SelectionError
from modelinspect.sources.files import ModelIn


def _names(location: Path) -> dict[str, str]:
    return {place.name: str(place.format) for place in list_models(location).models}


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Return a folder of two SavedModels, a `.keras` file and a note."""
    folder = tmp_path / "models"
    for name in ("affine", "text"):
        shutil.copytree(fixture_path(f"saved_model/{name}"), folder / name)
    shutil.copy(fixture_path("keras_zip/model.keras"), folder / "trained.keras")
    (folder / "README.md").write_text("about")
    return folder


EXPECTED = {"affine": "saved-model", "text": "saved-model", "trained.keras": "keras-zip"}


def test_a_folder_of_several_models_lists_each(several: Path) -> None:
    assert _names(several) == EXPECTED
    for place in list_models(several).models:
        alone = mi.open(several / place.name)
        assert mi.open(place.place).tensors == alone.tensors
        assert place.size == alone.size


def _archive(kind: str, folder: Path) -> Path:
    path = folder.with_suffix(f".{kind}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
    else:
        with tarfile.open(path, f"w:{'gz' if kind == 'tar.gz' else ''}") as archive:
            for file in files:
                archive.add(file, file.relative_to(folder).as_posix())
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_of_several_models_lists_each_and_opens_the_chosen_one(kind: str, several: Path) -> None:
    path = _archive(kind, several)
    assert _names(path) == EXPECTED
    for place in list_models(path).models:
        found = mi.open(place.place)
        alone = mi.open(several / place.name)
        assert [(one.name, one.shape, one.role) for one in found.tensors] == [
            (one.name, one.shape, one.role) for one in alone.tensors
        ]
        assert found.size == path.stat().st_size
    with pytest.raises(SelectionError, match="holds no model"):
        mi.open(ModelIn(str(path), "elsewhere", is_archived=True))


def test_several_tensorflow_js_models_of_one_folder_are_several(tmp_path: Path) -> None:
    for name in ("face", "age", "mood"):
        weight = {"name": f"{name}/kernel", "shape": [4], "dtype": "float32"}
        manifest = [{"paths": [f"{name}.bin"], "weights": [weight]}]
        (tmp_path / f"{name}-weights_manifest.json").write_text(json.dumps(manifest))
        (tmp_path / f"{name}.bin").write_bytes(bytes(16))
    assert _names(tmp_path) == {f"{name}-weights_manifest.json": "tfjs" for name in ("age", "face", "mood")}
    place = list_models(tmp_path).models[0]
    assert [tensor.name for tensor in mi.open(place.place).tensors] == ["age/kernel"]


def test_a_model_that_lies_in_the_folder_of_another_one_is_listed(tmp_path: Path) -> None:
    shutil.copytree(fixture_path("saved_model/affine"), tmp_path / "m")
    shutil.copy(fixture_path("tflite/dense.tflite"), tmp_path / "m" / "lite.tflite")
    assert _names(tmp_path / "m") == {".": "saved-model", "lite.tflite": "tflite"}


@pytest.mark.parametrize(
    "name",
    [
        "saved_model/keras",
        "keras_zip/folder",
        "keras_zip/sharded",
        "checkpoint/kept",
        "archives/model.zip",
        "mlp/original.h5",
    ],
)
def test_one_model_is_no_list(name: str) -> None:
    assert _names(fixture_path(name)) == {}


def test_a_bundle_of_models_that_are_used_together_is_one_model(tmp_path: Path) -> None:
    path = tmp_path / "bundle.task"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("dense", "float"):
            archive.write(fixture_path(f"tflite/{name}.tflite"), f"{name}.tflite")
    assert _names(path) == {}


def test_inspect_shows_the_models_and_other_commands_ask_for_one(several: Path) -> None:
    listed = run("inspect", str(several), "--format", "json")
    assert listed.code == 0
    report = json.loads(listed.out)
    assert report["schema"] == "modelinspect.models/1"
    assert {entry["name"] for entry in report["models"]} == set(EXPECTED)
    for command in ("tensors", "map", "explain", "plan"):
        refused = run(command, str(several))
        assert refused.code == 2, refused.err
        assert "3 models" in refused.err
    chosen = run("tensors", str(several), "--model", "affine", "--format", "json")
    assert json.loads(chosen.out)["artifact"]["format"] == "saved-model"
    assert run("tensors", str(several), "--model", "afine").code == 2
