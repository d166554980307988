"""Holds the reading of .keras archives, folders and shards against zipfile, h5py and Keras."""

from __future__ import annotations

import io
import json
import random
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support.corpus import corpus_files
from tests.support.fixtures import fixture_path
from tests.support.hostile import hold, load, mutations, with_bytes

from modelinspect.core.artifact import Artifact, FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import RawPayload, Role, Storage, Tensor
from modelinspect.errors import ModelInspectError
from modelinspect.formats.registry import parse
from modelinspect.sources.files import FileSet, MemoryFiles
from modelinspect.sources.opening import open_location

WEIGHTS = "model.weights.h5"


def read(path: Path) -> tuple[Artifact, FileSet]:
    files = open_location(path)
    return parse(files), files


def kinds(artifact: Artifact) -> dict[str, int]:
    total: dict[str, int] = {}
    for member in artifact.members:
        for kind, size in member.map.kind_sizes().items():
            total[kind.value] = total.get(kind.value, 0) + size
    return total


def values(tensor: Tensor, files: FileSet) -> np.ndarray:
    """Read a tensor through its payload."""
    assert isinstance(tensor.payload, RawPayload)
    source = files.open_stream(tensor.payload.stream)
    data = b"".join(source.read_at(span.offset, span.size) for span in tensor.payload.spans)
    return np.frombuffer(data, tensor.dtype.name).reshape(tensor.shape)


def datasets(weights: bytes) -> dict[str, bytes]:
    """Return the bytes of every data set of a weights file, as h5py reads them."""
    found: dict[str, bytes] = {}

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item[()]).tobytes() + str((item.shape, item.dtype)).encode()

    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(add)
    return found


@pytest.mark.parametrize(
    "name", ["keras_zip/model.keras", "keras_zip/gzip_inside.keras", "archives/model.keras"]
)
def test_the_map_of_the_archive_is_whole(name: str) -> None:
    path = fixture_path(name)
    artifact, _ = read(path)
    sizes = kinds(artifact)
    assert artifact.format is FormatName.KERAS_ZIP
    assert (sizes["unattributed"], artifact.diagnostics) == (0, ())
    with zipfile.ZipFile(path) as archive:
        training = len('"compile_config": ') + len(
            json.dumps(json.loads(archive.read("config.json"))["compile_config"])
        )
        assert sizes["graph"] + training == archive.getinfo("config.json").file_size
        regions = {region.path: region.span for region in reversed(list(artifact.members[0].map))}
        config = archive.getinfo("config.json")
        assert regions[("config.json",)].offset == config.header_offset + 30 + len("config.json")
    assert artifact.facts["date_saved"] == "2026-01-01@00:00:00"


def test_extents_hold_what_h5py_reads() -> None:
    path = fixture_path("keras_zip/model.keras")
    artifact, files = read(path)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
        for tensor in artifact.tensors:
            expected = np.asarray(file[tensor.path][()])
            (extent,) = tensor.extents
            assert raw[extent.span.offset : extent.span.end] == expected.tobytes()
            assert np.array_equal(values(tensor, files), expected)


def test_tensors_are_named_by_the_layers_of_the_configuration() -> None:
    artifact, _ = read(fixture_path("keras_zip/model.keras"))
    layers = {
        tensor.path.rpartition("/vars/")[0]: tensor.layer
        for tensor in artifact.tensors
        if tensor.path.startswith("layers/")
    }
    assert layers == {
        "layers/dense": "encoder",
        "layers/batch_normalization": "norm",
        "layers/dense_1": "middle",
        "layers/dense_2": "head",
    }
    roles = {tensor.path: tensor.role for tensor in artifact.tensors}
    assert roles["layers/batch_normalization/vars/0"] is Role.WEIGHT
    assert roles["layers/batch_normalization/vars/2"] is Role.STATISTIC
    assert {role for name, role in roles.items() if name.startswith("optimizer/")} == {Role.OPTIMIZER}


@pytest.mark.tensorflow
def test_layers_are_those_that_keras_loads() -> None:
    import keras

    for name in ("keras_zip/model.keras", "keras_zip/deflated.keras"):
        path = fixture_path(name)
        artifact, files = read(path)
        model = keras.models.load_model(path)
        for layer in model.layers:
            ours = [values(tensor, files) for tensor in artifact.tensors if tensor.layer == layer.name]
            assert len(ours) == len(layer.weights)
            for mine, theirs in zip(ours, layer.weights, strict=True):
                assert np.array_equal(mine, np.asarray(theirs))
        optimizer = [tensor for tensor in artifact.tensors if tensor.role is Role.OPTIMIZER]
        assert len(optimizer) == len(model.optimizer.variables)
    with pytest.raises(Exception, match="weights"):
        keras.models.load_model(fixture_path("keras_zip/no_weights.keras"))


def test_every_way_of_packing_holds_the_same_tensors() -> None:
    def known(name: str) -> list[tuple[object, ...]]:
        artifact, _ = read(fixture_path(f"keras_zip/{name}"))
        assert kinds(artifact)["unattributed"] == 0
        return sorted(
            (t.path, t.dtype.name, t.shape, t.layer, t.role, t.logical_size) for t in artifact.tensors
        )

    expected = known("model.keras")
    assert known("deflated.keras") == expected
    assert known("streamed.keras") == expected
    assert known("folder") == expected
    assert known("gzip_inside.keras") == expected
    # The shards tell no names of layers, but all the rest.
    sharded = known("sharded")
    assert [(*row[:3], *row[4:]) for row in sharded] == [(*row[:3], *row[4:]) for row in expected]


def test_deflated_members_share_their_stored_bytes_out() -> None:
    path = fixture_path("keras_zip/deflated.keras")
    artifact, files = read(path)
    member = artifact.members[0]
    assert sum(region.span.size for region in member.map) == path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        stored = {info.filename: info.compress_size for info in archive.infolist()}
    shares: dict[str, int] = {}
    for region in member.map:
        if region.path[-1] not in ("local file header", "data descriptor") and region.path[0] in stored:
            shares[region.path[0]] = shares.get(region.path[0], 0) + region.span.size
    assert shares == stored
    for tensor in artifact.tensors:
        assert tensor.storage is Storage.COMPRESSED
        assert {extent.encoding for extent in tensor.extents} <= {"deflate"}
    owned: dict[int, int] = {}
    for region in member.map:
        if region.tensor is not None:
            owned[region.tensor] = owned.get(region.tensor, 0) + region.span.size
    assert owned == {
        number: tensor.stored_size for number, tensor in enumerate(artifact.tensors) if tensor.stored_size
    }
    plain, plain_files = read(fixture_path("keras_zip/model.keras"))
    for tensor, other in zip(artifact.tensors, plain.tensors, strict=True):
        assert np.array_equal(values(tensor, files), values(other, plain_files))


def test_a_flipped_byte_changes_the_tensor_that_the_map_names_and_nothing_else() -> None:
    path = fixture_path("archives/model.keras")
    artifact, _ = read(path)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(WEIGHTS)
        begin = info.header_offset + 30 + len(WEIGHTS)
        span = range(begin, begin + info.file_size)
    before = datasets(raw[span.start : span.stop])
    checked = {"tensor": 0, "free": 0}
    rng = random.Random(6)
    for region in artifact.members[0].map:
        offsets = [offset for offset in range(region.span.offset, region.span.end) if offset in span]
        if region.kind is RegionKind.TENSOR_DATA and region.tensor is not None:
            expected, sample = {artifact.tensors[region.tensor].path}, offsets
            checked["tensor"] += len(sample[::8])
        elif region.kind is RegionKind.FREE:
            expected, sample = set(), rng.sample(offsets, min(len(offsets), 24))
            checked["free"] += len(sample)
        else:
            continue
        for offset in sample[::8] if expected else sample:
            changed = bytearray(raw)
            changed[offset] ^= 0x55
            after = datasets(bytes(changed[span.start : span.stop]))
            assert {name for name in before if before[name] != after.get(name)} == expected, (
                f"byte {offset}: {region.path}"
            )
            assert after.keys() == before.keys()
    assert checked["tensor"] > 100
    assert checked["free"] > 100


def test_assets_are_assets() -> None:
    path = fixture_path("keras_zip/assets.keras")
    artifact, _ = read(path)
    with zipfile.ZipFile(path) as archive:
        assets = sum(info.file_size for info in archive.infolist() if info.filename.startswith("assets/"))
    assert kinds(artifact)["asset"] == assets


def test_pickled_weights_are_mapped_and_never_loaded() -> None:
    artifact, _ = read(fixture_path("keras_zip/npz.keras"))
    assert kinds(artifact)["unattributed"] == 0
    names = {tensor.path for tensor in artifact.tensors}
    assert {"layers/dense", "layers/dense_2", "optimizer"} <= names
    given = {tensor.path: tensor.name for tensor in artifact.tensors}
    assert (given["layers/dense"], given["layers/dense_2"], given["optimizer"]) == ("encoder", "head", "Adam")
    assert all(tensor.payload is None and "pickled" in tensor.payload_note for tensor in artifact.tensors)


def test_arrays_of_numbers_in_an_npz_are_tensors() -> None:
    arrays = {
        "layers/dense/0": np.arange(12, dtype="<f4").reshape(3, 4),
        "big": np.arange(3, dtype=">i8"),
        "flag": np.array(True),
    }
    out = io.BytesIO()
    np.savez(out, **arrays)
    data = pack({"config.json": b"{}", "metadata.json": b"{}", "model.weights.npz": out.getvalue()})
    files = MemoryFiles({"m.keras": data})
    artifact = parse(files)
    assert kinds(artifact)["unattributed"] == 0
    for tensor in artifact.tensors:
        (extent,) = tensor.extents
        assert data[extent.span.offset : extent.span.end] == arrays[tensor.path].tobytes()
        assert tensor.shape == arrays[tensor.path].shape


def test_what_is_missing_is_said_and_what_is_there_is_mapped() -> None:
    artifact, _ = read(fixture_path("keras_zip/no_weights.keras"))
    assert kinds(artifact)["unattributed"] == 0
    assert any("no weights" in diagnostic.problem for diagnostic in artifact.diagnostics)
    artifact = parse(
        MemoryFiles({"m.keras": pack({"config.json": b"not json", "model.weights.h5": b"no hdf5"})})
    )
    problems = " ".join(diagnostic.problem for diagnostic in artifact.diagnostics)
    assert "metadata.json" in problems
    assert "config.json" in problems
    assert kinds(artifact)["unattributed"] == len(b"no hdf5")


def test_bytes_before_and_behind_the_archive_are_free() -> None:
    artifact, _ = read(fixture_path("keras_zip/streamed.keras"))
    free = {
        region.path: region.span.size for region in artifact.members[0].map if region.kind is RegionKind.FREE
    }
    assert free[("before the archive",)] == len(b"#!/bin/sh\nexit 1\n")
    data = fixture_path("keras_zip/model.keras").read_bytes() + b"tail"
    region = parse(MemoryFiles({"m.keras": data})).members[0].map.at(len(data) - 1)
    assert (region.kind, region.path) == (RegionKind.FREE, ("trailing bytes",))


def test_every_shard_is_read_and_a_missing_one_is_said(tmp_path: Path) -> None:
    folder = fixture_path("keras_zip/sharded")
    artifact, files = read(folder / "model.weights.json")
    assert artifact.format is FormatName.WEIGHTS_HDF5
    assert len(artifact.members) == 8
    assert (kinds(artifact)["unattributed"], artifact.diagnostics) == (0, ())
    index = json.loads((folder / "model.weights.json").read_text())
    assert sum(tensor.logical_size for tensor in artifact.tensors) == index["metadata"]["total_size"]
    for tensor in artifact.tensors:
        with h5py.File(folder / tensor.extents[0].member) as shard:
            assert np.array_equal(values(tensor, files), shard[tensor.path][()])
    roles = {tensor.path: tensor.role for tensor in artifact.tensors}
    assert roles["layers/batch_normalization/vars/1"] is Role.WEIGHT
    assert roles["layers/batch_normalization/vars/3"] is Role.STATISTIC
    for path in folder.iterdir():
        if path.name != "model_00003.weights.h5":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    artifact, _ = read(tmp_path / "model.weights.json")
    assert [(item.severity, "model_00003" in item.problem) for item in artifact.diagnostics] == [
        (Severity.ERROR, True)
    ]


@pytest.mark.parametrize("shard", ["../secret.weights.h5", "/etc/passwd", "..\\secret.weights.h5", ""])
def test_a_shard_outside_the_folder_is_never_opened(tmp_path: Path, shard: str) -> None:
    (tmp_path / "secret.weights.h5").write_bytes(fixture_path("mlp/original.h5").read_bytes())
    (tmp_path / "inner").mkdir()
    index = tmp_path / "inner" / "m.weights.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"/layers/dense/vars": [shard]}}))
    artifact, _ = read(index)
    assert [member.name for member in artifact.members] == ["m.weights.json"]
    assert any("is not there" in diagnostic.problem for diagnostic in artifact.diagnostics)


def pack(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def test_a_bomb_is_refused() -> None:
    zeros = bytes(2**20)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(compressor.compress(zeros) for _ in range(1024)) + compressor.flush()
    data = bytearray(pack({"config.json": b"{}", "metadata.json": b"{}", WEIGHTS: b"x" * len(bomb)}))
    begin = data.index(b"x" * 100)
    data[begin : begin + len(bomb)] = bomb
    for signature, at in (
        (b"PK\x03\x04", 8),
        (b"PK\x01\x02", 10),
    ):  # say that it is deflated, and how long it is
        header = data.rindex(signature)
        data[header + at : header + at + 2] = b"\x08\0"
        data[header + at + 14 : header + at + 18] = (2**30).to_bytes(4, "little")

    def look(files: MemoryFiles) -> Artifact:
        artifact = parse(files)
        assert any("zip bomb" in diagnostic.problem for diagnostic in artifact.diagnostics)
        return artifact

    outcome = hold(iter([("1 GiB of zeros", MemoryFiles({"bomb.keras": bytes(data)}))]), look)
    assert outcome.maps + outcome.errors == 1


@pytest.mark.parametrize("name", ["keras_zip/deflated.keras", "keras_zip/no_weights.keras"])
def test_any_change_gives_a_map_or_an_error(name: str) -> None:
    files = load(fixture_path(name))
    primary = files.primary or ""
    data = fixture_path(name).read_bytes()
    hold(
        (f"mutation {number}", with_bytes(files, primary, changed))
        for number, changed in enumerate(mutations(data, 250, 8))
    )
    cuts = random.Random(9).sample(range(len(data)), 60)
    hold((f"cut at {size}", with_bytes(files, primary, data[:size])) for size in cuts)


def test_errors_of_strict_parsing_name_the_place() -> None:
    data = pack({"config.json": b"{}", "metadata.json": b"{}"})
    with pytest.raises(ModelInspectError, match=r"m\.keras"):
        parse(MemoryFiles({"m.keras": data}), strict=True)


def test_limits_hold_within_the_archive() -> None:
    data = fixture_path("keras_zip/model.keras").read_bytes()
    artifact = parse(MemoryFiles({"m.keras": data}), Limits(tensors=5))
    assert len(artifact.tensors) == 5
    assert any("limit is 5" in diagnostic.problem for diagnostic in artifact.diagnostics)


def test_a_file_that_is_cut_short_is_mapped_as_far_as_it_goes() -> None:
    data = fixture_path("keras_zip/model.keras").read_bytes()
    whole, _ = read(fixture_path("keras_zip/model.keras"))
    for size in (30_000, 37_400):  # within the weights, and within the central directory
        artifact = parse(MemoryFiles({"m.keras": data[:size]}))
        assert artifact.format is FormatName.KERAS_ZIP
        assert artifact.diagnostics
        assert kinds(artifact)["graph"] == kinds(whole)["graph"]
        known = {tensor.path: [extent.span for extent in tensor.extents] for tensor in whole.tensors}
        assert len(artifact.tensors) >= 10
        assert all(
            [extent.span for extent in tensor.extents] == known[tensor.path] for tensor in artifact.tensors
        )
    data = fixture_path("keras_zip/deflated.keras").read_bytes()
    artifact = parse(MemoryFiles({"m.keras": data[:6000]}))
    assert artifact.tensors
    assert any("end before" in diagnostic.problem for diagnostic in artifact.diagnostics)


@pytest.mark.corpus
@pytest.mark.parametrize("file", corpus_files("keras-zip"), ids=lambda file: file.path.parent.name)
def test_real_models_are_mapped_whole(file) -> None:
    artifact, _ = read(file.path)
    assert (kinds(artifact)["unattributed"], artifact.diagnostics) == (0, ())
    with zipfile.ZipFile(file.path) as archive:
        names = datasets(archive.read(WEIGHTS)).keys()
    assert {tensor.path for tensor in artifact.tensors} == set(names)


@pytest.mark.parametrize(
    "name", ["keras_zip/model.keras", "pruned_mlp/wrapped/model.keras", "keras_zip/deflated.keras"]
)
def test_the_settings_of_training_are_metadata_within_the_configuration(name: str) -> None:
    """The configuration is compact JSON as Keras writes it, so that what ``json.dumps`` makes of a part is
    what stands there.
    """
    path = fixture_path(name)
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json")
    training = json.loads(text)["compile_config"]
    written = f'"compile_config": {json.dumps(training)}'.encode()
    assert written in text
    member = read(path)[0].members[0]
    maps = [member.map, *(logical.map for logical in member.logical)]
    found = [region for each in maps for region in each if region.path[-1:] == ("compile_config",)]
    assert {region.kind for region in found} == {RegionKind.METADATA}
    assert found[-1].span.size == len(written)  # of a deflated member the last map is that of what it holds


@pytest.mark.parametrize(
    "text",
    [
        '{"compile_config": {}, "compile_config": 1, "config": {}}',
        '{"config": {"compile_config": 1}}',
        "[1, 2]",
        "{",
    ],
)
def test_a_configuration_of_any_form_is_claimed_whole(text: str) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("config.json", text)
        archive.writestr("metadata.json", "{}")
    artifact = parse(MemoryFiles({"m.keras": held.getvalue()}, location="m.keras"))
    assert sum(
        region.span.size
        for region in artifact.members[0].map
        if "config.json" in region.path and region.kind is not RegionKind.CONTAINER
    ) == len(text)
