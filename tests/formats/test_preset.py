"""Read presets of KerasHub and Hugging Face folders as one artifact, and compare them with h5py and
safetensors.
"""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save
from tests.support.fixtures import fixture_path
from tests.support.hostile import MemoryFiles, load

import modelinspect as mi
from modelinspect.core.artifact import Artifact, FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role
from modelinspect.formats.preset.members import Part, part_of
from modelinspect.formats.registry import parse
from modelinspect.sources.opening import open_location

PRESETS = [
    "keras_presets/task",
    "keras_presets/int4",
    "keras_presets/sharded",
    "hugging_face/both",
    "hugging_face/tf_shards",
]
CONFIG = json.dumps({"model_type": "tiny", "architectures": ["Tiny"]}).encode()


def opened(name: str) -> Artifact:
    with open_location(fixture_path(name)) as files:
        return parse(files)


def folder(**files: bytes) -> Artifact:
    return parse(MemoryFiles({name.replace("__", "."): data for name, data in files.items()}, None, "folder"))


def kinds(artifact: Artifact, member: str) -> set[RegionKind]:
    return {region.kind for region in artifact.member(member).map}


def h5_arrays(data: bytes) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_the_folder_is_one_artifact_and_every_file_a_member_with_no_byte_unnamed(name: str) -> None:
    artifact = opened(name)
    path = fixture_path(name)
    assert artifact.format is FormatName.KERAS_PRESET
    assert {member.name for member in artifact.members} == {
        f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file()
    }
    assert not any(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in artifact.members)
    assert not artifact.diagnostics


@pytest.mark.parametrize("name", PRESETS)
def test_every_array_that_h5py_and_safetensors_read_is_a_tensor_with_its_bytes(name: str) -> None:
    artifact, files = opened(name), load(fixture_path(name))._files
    expected: list[bytes] = []
    for member, data in files.items():
        if member.endswith(".h5"):
            expected += [array.tobytes() for array in h5_arrays(data).values()]
        elif member.endswith(".safetensors"):
            expected += [array.tobytes() for array in load_file(fixture_path(name) / member).values()]
    stored = [
        b"".join(files[e.member][e.span.offset : e.span.end] for e in tensor.extents)
        for tensor in artifact.tensors
    ]
    assert sorted(stored) == sorted(expected)
    assert len({tensor.name for tensor in artifact.tensors}) == len(artifact.tensors)


def test_each_file_of_a_task_has_its_category() -> None:
    artifact = opened("keras_presets/task")
    for name in ("config.json", "task.json", "preprocessor.json", "tokenizer.json"):
        assert kinds(artifact, name) == {RegionKind.GRAPH}
    assert kinds(artifact, "metadata.json") == {RegionKind.METADATA}
    assert kinds(artifact, "assets/tokenizer/vocabulary.txt") == {RegionKind.ASSET}
    assert artifact.facts["tokenizers"] == {
        "assets/tokenizer/vocabulary.txt": {"kind": "vocabulary", "entries": 9}
    }
    assert artifact.facts["keras_hub_version"]
    documents = {document.label for document in artifact.documents}
    assert {"config.json", "task.json", "preprocessor.json", "tokenizer.json"} <= documents


def test_a_quantized_preset_reports_the_mode_of_each_layer_and_what_stayed_float() -> None:
    artifact = opened("keras_presets/int4")
    config = json.loads((fixture_path("keras_presets/int4") / "config.json").read_text())
    policies = config["config"]["dtype"]["config"]["policy_map"]
    assert artifact.facts["quantized_layers"] == {
        name: policy["config"]["mode"] for name, policy in policies.items()
    }
    left = artifact.facts["stayed_float"]
    arrays = h5_arrays((fixture_path("keras_presets/int4") / "model.weights.h5").read_bytes())
    scales = {tensor.path for tensor in artifact.tensors if tensor.role is Role.QUANTIZATION}
    wide = {
        name: a.nbytes
        for name, a in arrays.items()
        if a.dtype == np.float32 and a.ndim > 1 and name not in scales
    }
    assert left == {
        "tensors": 1,
        "bytes": sum(wide.values()),
        "quantized_bytes": 1240,
        "largest": ("position_embedding/vars/0",),
    }


def test_int4_weights_of_a_preset_are_counted_one_by_one() -> None:
    tensors = {tensor.name: tensor for tensor in opened("keras_presets/int4").tensors}
    stored = h5_arrays((fixture_path("keras_presets/int4") / "model.weights.h5").read_bytes())[
        "layers/dense/vars/0"
    ]
    kernel = tensors["pooled_dense/kernel"]
    assert (kernel.dtype.name, kernel.shape) == ("int4", (16, 16))
    assert stored.shape == (16, 8)
    low, high = (stored.astype(np.uint8) & 0xF), (stored.astype(np.uint8) >> 4)
    report = mi.inspect(fixture_path("keras_presets/int4")).to_dict()
    (entry,) = [tensor for tensor in report["tensors"] if tensor["name"] == "pooled_dense/kernel"]
    assert entry["element_count"] == low.size + high.size


def test_a_float_preset_says_nothing_of_what_stayed_float() -> None:
    assert "stayed_float" not in opened("keras_presets/task").facts


def test_tokenizers_have_as_many_entries_as_their_makers_gave_them() -> None:
    told = opened("hugging_face/both").facts["tokenizers"]
    vocabulary = json.loads((fixture_path("hugging_face/both") / "tokenizer.json").read_text())["model"][
        "vocab"
    ]
    assert told == {
        "spiece.model": {"kind": "SentencePiece", "entries": 43},
        "tokenizer.json": {"kind": "Hugging Face tokenizer", "algorithm": "BPE", "entries": len(vocabulary)},
    }


def test_weights_of_other_frameworks_stay_unattributed_and_are_named() -> None:
    artifact = folder(
        config__json=CONFIG,
        model__safetensors=save({"a": np.ones(3, "f")}),
        pytorch_model__bin=b"\x80\x02}q\x00.",
    )
    assert kinds(artifact, "pytorch_model.bin") == {RegionKind.UNATTRIBUTED}
    assert [(d.member, d.severity) for d in artifact.diagnostics] == [("pytorch_model.bin", Severity.NOTE)]
    assert artifact.facts["also_holds"] == ("pytorch_model.bin",)


def test_settings_that_are_not_json_are_a_diagnostic_and_the_weights_are_still_read() -> None:
    artifact = folder(config__json=b"{nope", model__safetensors=save({"a": np.ones(3, "f")}))
    assert [tensor.name for tensor in artifact.tensors] == ["a"]
    assert artifact.diagnostics


def shifted(name: str, index: str, change: str) -> Artifact:
    files = load(fixture_path(name))
    value = json.loads(files._files[index])
    shards = sorted({s for v in value["weight_map"].values() for s in (v if isinstance(v, list) else [v])})
    match change:
        case "lost":
            value["weight_map"]["/layers/nowhere/vars"] = shards[0]
        case "swapped":
            key = next(key for key, shard in value["weight_map"].items() if shard in (shards[0], [shards[0]]))
            value["weight_map"][key] = shards[1]
        case _:
            value["weight_map"]["/layers/nowhere/vars"] = "missing.h5"
    files._files[index] = json.dumps(value).encode()  # type: ignore[index]
    return parse(files)


@pytest.mark.parametrize("change", ["lost", "swapped", "missing"])
@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("keras_presets/sharded", "model.weights.json"),
        ("keras_zip/sharded", "model.weights.json"),
        ("hugging_face/tf_shards", "tf_model.h5.index.json"),
    ],
)
def test_a_key_of_a_weight_map_that_its_shard_does_not_hold_is_an_error(
    name: str, index: str, change: str
) -> None:
    assert Severity.ERROR in {diagnostic.severity for diagnostic in shifted(name, index, change).diagnostics}


def test_a_preset_in_an_archive_is_read_as_one(tmp_path) -> None:
    import shutil

    archive = shutil.make_archive(str(tmp_path / "preset"), "zip", fixture_path("keras_presets/task"))
    report = mi.inspect(archive)
    assert report.artifact.format == "keras-preset"
    assert report.to_dict()["categories"]["unattributed"] == 0


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model-00001-of-00002.safetensors", Part.SAFETENSORS),
        ("model.safetensors.index.json", Part.SAFETENSORS_INDEX),
        ("pytorch_model.bin.index.json", Part.FOREIGN),
        ("onnx/model.onnx", Part.FOREIGN),
        ("tokenizer.model", Part.SENTENCEPIECE),
        ("assets/tokenizer/vocabulary.spm", Part.SENTENCEPIECE),
        ("tf_model.h5", Part.LEGACY_WEIGHTS),
        ("task.weights.h5", Part.KERAS_WEIGHTS),
        ("merges.txt", Part.ASSET),
        ("chat_template.jinja", Part.METADATA),
    ],
)
def test_files_are_told_apart_by_their_names(name: str, part: Part) -> None:
    assert part_of(name) is part
