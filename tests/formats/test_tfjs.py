"""Holds TensorFlow.js models against a second reading of their manifest, written as the converter's reader
is.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from tests.support.corpus import corpus_files
from tests.support.fixtures import fixture_path
from tests.support.hostile import hold, load, mutations, with_bytes

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import JoinedPayload, RawPayload, Role
from modelinspect.encodings.json_keys import top_level_entries
from modelinspect.formats.registry import parse
from modelinspect.measure.facts import Aspect
from modelinspect.measure.run import measure
from modelinspect.reports.entries import tensor_entry
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location


def read_weights(folder: Path, description: str = "model.json") -> dict[str, np.ndarray | list[bytes]]:
    """Read weights as ``tensorflowjs/read_weights.py`` does: join the files, cut off one weight after
    another.
    """
    manifest = json.loads((folder / description).read_text(encoding="utf-8"))
    manifest = manifest["weightsManifest"] if isinstance(manifest, dict) else manifest
    found: dict[str, np.ndarray | list[bytes]] = {}
    for group in manifest:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        for entry in group["weights"]:
            count = int(np.prod(entry["shape"]))
            if entry["dtype"] == "string":
                strings = []
                for _ in range(count):
                    size = int.from_bytes(data[:4], "little")
                    strings.append(data[4 : 4 + size])
                    data = data[4 + size :]
                found[entry["name"]] = strings
                continue
            dtype = np.dtype(entry.get("quantization", entry)["dtype"])
            found[entry["name"]] = np.frombuffer(data[: count * dtype.itemsize], dtype).reshape(
                entry["shape"]
            )
            data = data[count * dtype.itemsize :]
        assert data == b""
    return found


def stored(artifact: Artifact, folder: Path) -> dict[str, bytes]:
    return {
        tensor.name: b"".join(
            (folder / extent.member).read_bytes()[extent.span.offset : extent.span.end]
            for extent in tensor.extents
        )
        for tensor in artifact.tensors
    }


def unattributed(artifact: Artifact) -> int:
    return sum(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in artifact.members)


@pytest.mark.parametrize(
    "name",
    [
        "layers/model.json",
        "layers",
        "layers/group1-shard1of2.bin",
        "graph/model.json",
        "old/weights_manifest.json",
        "old",
    ],
)
def test_extents_hold_the_weights_of_the_manifest(name: str) -> None:
    path = fixture_path(f"tfjs/{name}")
    folder = path if path.is_dir() else path.parent
    artifact = parse(open_location(path))
    assert artifact.format is FormatName.TFJS
    assert (unattributed(artifact), artifact.diagnostics) == (0, ())
    assert {member.name for member in artifact.members} == {file.name for file in folder.iterdir()}
    expected = read_weights(
        folder, "model.json" if (folder / "model.json").exists() else "weights_manifest.json"
    )
    ours = stored(artifact, folder)
    assert ours.keys() == expected.keys()
    for tensor in artifact.tensors:
        value = expected[tensor.name]
        if isinstance(value, list):
            assert ours[tensor.name] == b"".join(len(text).to_bytes(4, "little") + text for text in value)
        else:
            assert ours[tensor.name] == value.tobytes()
            assert (tensor.dtype.name, tensor.shape, tensor.logical_size) == (
                value.dtype.name,
                value.shape,
                value.nbytes,
            )


def test_a_weight_may_straddle_two_files() -> None:
    files = open_location(fixture_path("tfjs/layers/model.json"))
    artifact = parse(files)
    (kernel,) = [tensor for tensor in artifact.tensors if len(tensor.extents) > 1]
    assert isinstance(kernel.payload, JoinedPayload)
    value = read_weights(fixture_path("tfjs/layers"))["encoder/kernel"]
    assert isinstance(value, np.ndarray)
    measured = measure(artifact, files).tensors[artifact.tensors.index(kernel)]
    assert measured.zero_count == int((value == 0).sum()) > 0


def test_quantized_weights_tell_scale_and_zero_point() -> None:
    artifact = parse(open_location(fixture_path("tfjs/graph/model.json")))
    entries = {
        entry["name"]: entry.get("quantization")
        for entry in json.loads(fixture_path("tfjs/graph/model.json").read_text(encoding="utf-8"))[
            "weightsManifest"
        ][0]["weights"]
    }
    tensors = {tensor.name: tensor for tensor in artifact.tensors}
    for name in ("conv/filter", "conv/bias"):
        quantization = tensors[name].quantization
        assert quantization is not None
        (scale,), (zero_point,) = quantization.scales, quantization.zero_points
        assert scale == entries[name]["scale"]
        assert scale * (0 - zero_point) == pytest.approx(entries[name]["min"])
    assert tensors["dense/kernel"].quantization is None
    assert (tensors["conv/filter"].dtype.name, tensors["dense/kernel"].dtype.name) == ("uint8", "float16")
    assert artifact.facts["original_dtypes"] == {
        "conv/filter": "float32",
        "conv/bias": "float32",
        "dense/kernel": "float32",
    }


def test_roles_come_from_layers_and_types() -> None:
    layers = {
        tensor.name: tensor.role
        for tensor in parse(open_location(fixture_path("tfjs/layers/model.json"))).tensors
    }
    assert layers["norm/moving_mean"] is Role.STATISTIC
    assert layers["encoder/kernel"] is Role.WEIGHT
    graph = {
        tensor.name: tensor.role
        for tensor in parse(open_location(fixture_path("tfjs/graph/model.json"))).tensors
    }
    assert {name for name, role in graph.items() if role is Role.CONSTANT} == {
        "labels",
        "Reshape/shape",
        "mask",
    }


def test_optimizer_weights_are_told_by_their_group() -> None:
    entry = {"name": "m", "shape": [2], "dtype": "float32", "group": "optimizer"}
    artifact = parse(model([entry], bytes(8)))
    assert artifact.tensors[0].role is Role.OPTIMIZER


def model(
    entries: list[dict[str, object]], data: bytes, paths: list[str] | None = None, **files: bytes
) -> MemoryFiles:
    description = {
        "modelTopology": {"node": []},
        "weightsManifest": [{"paths": paths or ["w.bin"], "weights": entries}],
    }
    return MemoryFiles({"model.json": json.dumps(description).encode(), "w.bin": data, **files}, "model.json")


def test_what_ends_the_weights_is_placed_though_what_begins_them_is_missing() -> None:
    folder, whole = fixture_path("tfjs/shard_missing"), fixture_path("tfjs/layers")
    artifact = parse(open_location(folder / "model.json"))
    assert [diagnostic.problem for diagnostic in artifact.diagnostics] == [
        "weights file 'group1-shard1of2.bin' is not there"
    ]
    assert unattributed(artifact) == 0
    expected = read_weights(whole)
    ours = stored(artifact, folder)
    for name in ("encoder/bias", "norm/moving_variance", "head/kernel", "head/bias"):
        assert ours[name] == expected[name].tobytes()  # type: ignore[union-attr]
    straddling = next(tensor for tensor in artifact.tensors if tensor.name == "encoder/kernel")
    assert (straddling.stored_size, straddling.payload) == (100, None)


def test_a_file_between_two_missing_ones_stays_unattributed() -> None:
    entries: list[dict[str, object]] = [{"name": "a", "shape": [30], "dtype": "uint8"}]
    files = model(entries, bytes(10), ["x.bin", "w.bin", "y.bin"])
    artifact = parse(files)
    assert unattributed(artifact) == 10
    assert any("is unknown" in diagnostic.problem for diagnostic in artifact.diagnostics)


@pytest.mark.parametrize("path", ["../secret.bin", "/etc/passwd", "a/../../secret.bin"])
def test_a_file_outside_the_folder_is_never_opened(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    (tmp_path / "inner").mkdir()
    description = {
        "modelTopology": {},
        "weightsManifest": [{"paths": [path], "weights": [{"name": "a", "shape": [2], "dtype": "float32"}]}],
    }
    (tmp_path / "inner" / "model.json").write_text(json.dumps(description))
    artifact = parse(open_location(tmp_path / "inner" / "model.json"))
    assert [member.name for member in artifact.members] == ["model.json"]
    assert "is not there" in artifact.diagnostics[0].problem


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"name": "a", "shape": [2], "dtype": "float33"}, "unknown type"),
        ({"name": "a", "shape": [-2], "dtype": "float32"}, "no shape"),
        ({"name": "a", "shape": [2**62], "dtype": "float32"}, "larger than any file"),
        ({"name": 3, "shape": [2], "dtype": "float32"}, "no name"),
        ({"name": "a", "shape": [10**6], "dtype": "string"}, "not whole"),
        ({"name": "a", "shape": [1], "dtype": "uint8"}, "after the last weight"),
        ("nonsense", "no name"),
    ],
)
def test_what_a_manifest_may_say_wrongly(entry: object, word: str) -> None:
    artifact = parse(model([entry], bytes(8)))  # type: ignore[list-item]
    assert any(word in diagnostic.problem for diagnostic in artifact.diagnostics)


def test_a_file_named_twice_is_read_once() -> None:
    artifact = parse(model([{"name": "a", "shape": [4], "dtype": "float32"}], bytes(8), ["w.bin", "./w.bin"]))
    assert any("twice" in diagnostic.problem for diagnostic in artifact.diagnostics)


@pytest.mark.parametrize("scale", [0, -1, 1e400, 10**400, "x", None])
def test_a_senseless_scale_is_no_quantization(scale: object) -> None:
    entry: dict[str, object] = {"name": "a", "shape": [8], "dtype": "float32"}
    entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": -1.0}
    assert parse(model([entry], bytes(8))).tensors[0].quantization is None


def test_an_element_cut_in_two_is_told() -> None:
    entries: list[dict[str, object]] = [
        {"name": "a", "shape": [1], "dtype": "uint8"},
        {"name": "b", "shape": [2], "dtype": "float32"},
    ]
    artifact = parse(model(entries, bytes(4), ["w.bin", "v.bin"], **{"v.bin": bytes(5)}))
    assert (unattributed(artifact), artifact.diagnostics) == (0, ())
    assert isinstance(artifact.tensors[0].payload, RawPayload)
    assert "cut in two" in artifact.tensors[1].payload_note


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": {"c": [1, 2, {"d": "}"}]}, "e\\"f": "x,y:z", "g": [] }',
        "{}",
        '\n {\n "only" :\t null \n}\n',
        '{"a": "\\\\", "b": "\\\\\\"", "c": true}',
    ],
)
def test_keys_stand_where_the_scanner_says(text: str) -> None:
    data = text.encode()
    entries = list(top_level_entries(data))
    parsed = json.loads(text)
    assert len(entries) == len(parsed)
    for entry, (key, value) in zip(entries, parsed.items(), strict=True):
        assert json.loads(f'"{entry.key}"') == key
        assert json.loads(data[entry.value.offset : entry.value.end]) == value
        assert json.loads(b"{" + data[entry.span.offset : entry.span.end] + b"}") == {key: value}


@pytest.mark.parametrize("name", ["layers/model.json", "graph/model.json"])
def test_any_change_gives_a_map_or_an_error(name: str) -> None:
    files = load(fixture_path(f"tfjs/{name}"))
    data = fixture_path(f"tfjs/{name}").read_bytes()
    hold(
        (f"mutation {number}", with_bytes(files, "model.json", changed))
        for number, changed in enumerate(mutations(data, 300, 5))
    )
    shard = next(other for other in files.neighbours() if other.endswith(".bin"))
    binary = files.open(shard).read_at(0, files.open(shard).size)
    hold(
        (f"binary {number}", with_bytes(files, shard, changed))
        for number, changed in enumerate(mutations(binary, 200, 6))
    )
    cuts = random.Random(4).sample(range(len(data)), 60)
    hold((f"cut at {size}", with_bytes(files, "model.json", data[:size])) for size in cuts)


@pytest.mark.corpus
@pytest.mark.parametrize("file", corpus_files("tfjs"), ids=lambda file: file.name[-60:])
def test_real_models_are_mapped_whole(file) -> None:
    artifact = parse(open_location(file.path))
    assert artifact.format is FormatName.TFJS
    assert unattributed(artifact) == 0
    assert all("is not there" in diagnostic.problem for diagnostic in artifact.diagnostics)
    if not artifact.diagnostics:
        name = next(member.name for member in artifact.members if member.name.endswith(".json"))
        expected = read_weights(file.path.parent, name)
        assert {name: value.tobytes() for name, value in expected.items()} == stored(
            artifact, file.path.parent
        )  # type: ignore[union-attr]


@pytest.mark.parametrize(("least", "zeros"), [(-0.5, 2), (-0.55, 0), (0.0, 1), (0.3, 0)])
def test_a_quantized_weight_is_zero_where_its_value_is_and_not_where_its_byte_is(
    least: float, zeros: int
) -> None:
    scale, stored = 0.1, bytes([0, 5, 5, 200])
    entry = {
        "name": "a",
        "shape": [4],
        "dtype": "float32",
        "quantization": {"dtype": "uint8", "scale": scale, "min": least},
    }
    files = model([entry], stored)
    artifact = parse(files)
    found = measure(artifact, files)
    assert found[0].zero_count == zeros
    assert zeros == sum(abs(least + scale * value) < 1e-9 for value in stored)
    assert tensor_entry(artifact.tensors[0]).logical_size == 16
    assert measure(artifact, files, aspects=(Aspect.VALUES,))[0].zero_count == zeros
