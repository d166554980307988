"""TensorFlow.js models written again hold the same weights and say the same, as JSON and the files of each
group are read.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.reports.shrink import Outcome
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path


def read(folder: Path) -> tuple[Any, dict[str, bytes]]:
    """Return the description without paths and the bytes of each weight, as TensorFlow.js reads them: groups
    in order, no offsets.
    """
    description = json.loads((folder / "model.json").read_bytes())
    found: dict[str, bytes] = {}
    for group in description["weightsManifest"]:
        data = b"".join((folder / path).read_bytes() for path in group.pop("paths"))
        at = 0
        for weight in group["weights"]:
            size = int(np.prod(weight["shape"], dtype=int)) * np.dtype(weight["dtype"]).itemsize
            found[weight["name"]] = data[at : at + size]
            at += size
        assert at == len(data)
    return description, found


def test_shards_become_one_file_and_nothing_else_changes(tmp_path: Path) -> None:
    path, out = fixture_path("tfjs/layers"), tmp_path / "small"
    report = mi.shrink(path, out)
    assert report.after is not None, report.reason
    assert report.proof is not None
    assert report.proof.documents == report.proof.documents_equal == 1
    assert sorted(file.name for file in out.iterdir()) == ["group1-shard1of1.bin", "model.json"]
    assert read(path) == read(out)
    assert mi.shrink(out, in_place=True).outcome == Outcome.UNCHANGED


def two_groups(folder: Path, **more: Any) -> Path:
    folder.mkdir()
    manifest = []
    for number, count in enumerate((2, 3), start=1):
        values = np.arange(6 * number, dtype="<f4")
        paths = [f"group{number}-shard{part}of{count}" for part in range(1, count + 1)]
        for name, part in zip(paths, np.array_split(values.view(np.uint8), count), strict=True):
            (folder / name).write_bytes(part.tobytes())
        manifest.append(
            {"paths": paths, "weights": [{"name": f"w{number}", "shape": [values.size], "dtype": "float32"}]}
        )
    text = {
        "format": "graph-model",
        "modelTopology": {"node": []},
        "weightsManifest": manifest,
        "userDefinedMetadata": {"é": 1e-7},
        **more,
    }
    (folder / "model.json").write_text(json.dumps(text, indent=2), encoding="utf-8")
    return folder


def test_groups_stay_groups_other_files_stay_and_stale_compressed_forms_go(tmp_path: Path) -> None:
    path, out = two_groups(tmp_path / "model"), tmp_path / "small"
    (path / "labels.txt").write_text("a\nb\n")
    (path / "model.json.gz").write_bytes(gzip.compress((path / "model.json").read_bytes()))
    report = mi.shrink(path, out)
    assert report.after is not None, report.reason
    names = sorted(file.name for file in out.iterdir())
    assert names == ["group1-shard1of1.bin", "group2-shard1of1.bin", "labels.txt", "model.json"]
    assert read(path) == read(out)
    assert any("model.json.gz" in note for note in report.notes)


def test_precompressed_files_decompress_to_those_beside_them(tmp_path: Path) -> None:
    out = tmp_path / "small"
    report = mi.shrink(two_groups(tmp_path / "model"), out, precompress=True)
    assert report.after is not None, report.reason
    plain = [file for file in out.iterdir() if file.suffix not in (".gz", ".br")]
    assert len(plain) == 3
    for file in plain:
        assert gzip.decompress(file.with_name(f"{file.name}.gz").read_bytes()) == file.read_bytes()
        assert (
            bytes(cramjam.brotli.decompress(file.with_name(f"{file.name}.br").read_bytes()))
            == file.read_bytes()
        )
    assert mi.shrink(out, in_place=True).outcome == Outcome.UNCHANGED
    in_place = two_groups(tmp_path / "again")
    assert mi.shrink(in_place, in_place=True, precompress=True).after is not None
    assert {file.name for file in in_place.iterdir()} == {file.name for file in out.iterdir()}


def test_precompress_of_another_format_is_a_wrong_use(tmp_path: Path) -> None:
    done = run_cli(
        "shrink", str(fixture_path("mlp/original.h5")), "-o", str(tmp_path / "small.h5"), "--precompress"
    )
    assert done.code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2, ', '{"x": {"b": 1, "b": 2}, '])
def test_a_key_that_is_there_twice_is_refused(text: str, tmp_path: Path) -> None:
    path = two_groups(tmp_path / "model")
    old = (path / "model.json").read_text(encoding="utf-8")
    (path / "model.json").write_text(text + old.lstrip("{ \n"), encoding="utf-8")
    assert mi.shrink(path, tmp_path / "small").outcome == Outcome.REFUSED
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize("place", ["top", "topology"])
def test_the_training_configuration_goes_on_request(place: str, tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copytree(fixture_path("tfjs/layers"), before)
    description = json.loads((before / "model.json").read_text(encoding="utf-8"))
    holder = description if place == "top" else description["modelTopology"]
    holder["trainingConfig" if place == "top" else "training_config"] = {"loss": "mse"}
    (before / "model.json").write_text(json.dumps(description), encoding="utf-8")
    report = mi.shrink(before, tmp_path / "after", drop=["training"])
    assert report.after is not None, report.reason
    assert "strip-training-config" in [each.step for each in report.steps]
    made = (tmp_path / "after" / "model.json").read_text(encoding="utf-8")
    assert "mse" not in made
    plain = tmp_path / "plain"
    assert mi.shrink(fixture_path("tfjs/layers"), plain).after is not None
    assert json.loads(made) == json.loads((plain / "model.json").read_text(encoding="utf-8"))
    kept = mi.shrink(before, tmp_path / "kept")
    assert kept.after is not None
    assert "mse" in (tmp_path / "kept" / "model.json").read_text(encoding="utf-8")
