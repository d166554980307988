"""Find artifacts in folders by name and by their first bytes."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fixtures import FOLDER, fixture_names

from modelinspect.formats.discovery import discover, group, may_be_model
from modelinspect.scanning import find_artifacts, scan
from modelinspect.sources.listing import ListedFile, RemoteFolder


@pytest.mark.parametrize(
    ("names", "artifacts", "others"),
    [
        (
            ["p/config.json", "p/metadata.json", "p/model.weights.h5", "p/assets/tokenizer/vocabulary.txt"],
            ["p"],
            0,
        ),
        (["config.json", "model.safetensors", "tokenizer.json", "onnx/model.onnx"], ["."], 0),
        (["config.json", "notes.txt"], [], 2),
        (
            ["m.safetensors.index.json", "m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            ["m.safetensors.index.json"],
            0,
        ),
        (["other-00001-of-00002.safetensors"], ["other-00001-of-00002.safetensors"], 0),
        (
            ["w.weights.json", "w_00000.weights.h5", "w_00001.weights.h5", "x_00000.weights.h5"],
            ["w.weights.json", "x_00000.weights.h5"],
            0,
        ),
        (
            ["run/3/_CHECKPOINT_METADATA", "run/3/pytree/manifest.ocdbt", "run/7/_CHECKPOINT_METADATA"],
            ["run"],
            0,
        ),
        (["one/_CHECKPOINT_METADATA", "one/d/abc"], ["one"], 0),
        (["old/weights_manifest.json", "old/group1-shard1of1"], ["old/weights_manifest.json"], 0),
        (["m.litertlm", "m.stablehlo"], ["m.litertlm", "m.stablehlo"], 0),
    ],
)
def test_files_that_belong_together_are_one_artifact(
    names: list[str], artifacts: list[str], others: int
) -> None:
    assert group(names) == (artifacts, others)


def test_a_file_is_asked_about_only_where_no_name_says_what_it_is() -> None:
    asked: list[str] = []

    def recognize(name: str) -> bool:
        asked.append(name)
        return name == "weights"

    assert group(["a.h5", "README.md", "weights", "photo.png", "blob.dat"], recognize) == (
        ["a.h5", "weights"],
        3,
    )
    assert asked == ["weights", "blob.dat"]


SINGLE = {
    "keras_zip/model.keras",
    "keras_zip/deflated.keras",
    "tflite/float.tflite",
    "tflite_handbuilt/size_prefixed.tflite",
    "litertlm/model.litertlm",
    "safetensors_files/mlp.safetensors",
    "mlp/original.h5",
    "archives/model.h5.gz",
    "archives/saved_model.tar",
    "graph_def/frozen.pb",
    "graph_def/frozen.pbtxt",
    "graph_def/model.meta",
}


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_models_are_found_by_their_bytes_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    shutil.copy(FOLDER / name, tmp_path / "blob")
    assert find_artifacts(str(tmp_path)) == ([f"{tmp_path}/blob"], 0)


def test_every_first_bytes_of_single_file_fixtures_are_those_of_models() -> None:
    files = [
        name
        for name in fixture_names()
        if (FOLDER / name).is_file() and not name.endswith((".json", ".index"))
    ]
    odd = {
        "keras_zip/streamed.keras",
        "hdf5_structures/old_user_block.h5",
        "hdf5_structures/latest_user_block.h5",
    }
    odd |= {
        "checkpoint_tf1/v1/model.ckpt",
        "checkpoint_tf1/v1_shards/model-00000-of-00002",
    }  # their magic is at the end
    assert {name for name in files if not may_be_model((FOLDER / name).read_bytes()[:512])} <= odd


def test_what_is_no_model_is_counted_and_not_listed(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"nothing at all")
    (tmp_path / "b").write_bytes(bytes(1000))
    (tmp_path / "c.dat").write_bytes(gzip.compress(b"some text"))
    shutil.make_archive(str(tmp_path / "d"), "zip", FOLDER / "recipes")
    (tmp_path / "d.zip").rename(tmp_path / "d.dat")
    (tmp_path / "empty").write_bytes(b"")
    assert find_artifacts(str(tmp_path)) == ([], 5)


def test_a_preset_is_one_row_of_a_scan(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "keras_presets" / "task", tmp_path / "task")
    shutil.copytree(FOLDER / "hugging_face" / "both", tmp_path / "hf")
    report = scan([str(tmp_path)])
    assert [(Path(row.location).name, row.format, row.problem) for row in report.artifacts] == [
        ("hf", "keras-preset", None),
        ("task", "keras-preset", None),
    ]
    assert report.skipped == 0


_NAMES = (
    *(
        "saved_model.pb",
        "config.json",
        "model.safetensors",
        "m.h5",
        "x.index",
        "x.data-00000-of-00001",
        "checkpoint",
        "model.json",
    ),
    *(
        "group1-shard1of1.bin",
        "_CHECKPOINT_METADATA",
        "manifest.ocdbt",
        "w.weights.json",
        "w_00000.weights.h5",
        "README.md",
        "blob",
    ),
    *("m.safetensors.index.json", "m-00001-of-00002.safetensors"),
)
_PATHS = st.tuples(st.lists(st.sampled_from(["a", "b", "1", "23"]), max_size=3), st.sampled_from(_NAMES))


@settings(deadline=None)
@given(st.lists(_PATHS.map(lambda path: "/".join((*path[0], path[1]))), unique=True, max_size=12))
def test_searching_folder_by_folder_finds_what_all_names_together_do(names: list[str]) -> None:
    skipped: list[int] = []
    folder = RemoteFolder({name: ListedFile(name.rpartition("/")[2], 1, "") for name in names})
    found = list(discover(folder, skipped.append))
    assert (sorted(one.name for one in found), sum(skipped)) == group(names, lambda name: True)
    assert len({(one.name, file.name) for one in found for file in one.members}) <= len(names)
