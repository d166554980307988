"""Holds wrapped artifacts against the same artifacts without their wrapping."""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.fixtures import FOLDER, fixture_names, fixture_path
from tests.support.hostile import hold, load, mutations, with_bytes
from tests.support.work import bounded

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Storage
from modelinspect.errors import LimitError, UnknownFormatError
from modelinspect.formats.registry import parse
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles

Files = dict[str, bytes]


def as_zip(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def as_stored_zip(files: Files) -> bytes:
    return as_zip(files, zipfile.ZIP_STORED)


def as_tar(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def as_tar_gz(files: Files) -> bytes:
    return gzip.compress(as_tar(files), mtime=0)


def as_gzip(files: Files) -> bytes:
    (data,) = files.values()
    return gzip.compress(data, mtime=0)


WRAPPINGS = {as_gzip: ("gzip",), as_zip: ("zip",), as_stored_zip: ("zip",), as_tar_gz: ("gzip", "tar")}


def artifact_files(path: Path) -> Files:
    if path.is_dir():
        return {
            file.relative_to(path).as_posix(): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
    return {path.name: path.read_bytes()}


def kinds(artifact: Artifact) -> dict[str, int]:
    total: dict[str, int] = {}
    for member in artifact.members:
        for kind, size in member.map.kind_sizes().items():
            if size:
                total[kind.value] = total.get(kind.value, 0) + size
    return total


def facts(artifact: Artifact) -> dict[str, object]:
    return {
        key: value
        for key, value in artifact.facts.items()
        if key not in ("wrapped_in", "wrapped_name", "also_holds", "checkpoints")
    }


def plain(artifact: Artifact) -> list[object]:
    """Return what a tensor is, wherever it is stored."""
    return [replace(tensor, extents=(), payload=None, storage=Storage.DENSE) for tensor in artifact.tensors]


def single_files() -> list[str]:
    """Return the fixtures of one file that are no archives of other artifacts."""
    names = [
        name for name in fixture_names() if (FOLDER / name).is_file() and not name.startswith("archives/")
    ]
    names = [name for name in names if not name.endswith((".json", ".index", ".gz", ".tar", ".zip"))]
    return [name for name in names if (FOLDER / name).stat().st_size < 400_000]


def folders() -> list[str]:
    return [name for name in fixture_names() if (FOLDER / name).is_dir() and "/" in name][::2]


def wrapped(pack: Callable[[Files], bytes], files: Files) -> tuple[Artifact, MemoryFiles]:
    data = pack(files)
    memory = MemoryFiles({"wrapped": data})
    artifact = parse(memory)
    assert [member.name for member in artifact.members] == ["wrapped"]
    assert sum(kinds(artifact).values()) == artifact.size == len(data)
    return artifact, memory


@pytest.mark.parametrize("name", single_files())
def test_a_wrapped_file_tells_what_the_bare_file_tells(name: str) -> None:
    files = artifact_files(fixture_path(name))
    bare_files = MemoryFiles(files)
    try:
        bare = parse(bare_files)
    except UnknownFormatError:
        for pack in (as_gzip, as_zip, as_tar):
            with pytest.raises(UnknownFormatError):
                parse(MemoryFiles({"wrapped": pack(files)}))
        return
    counts = measure(bare, bare_files)
    for pack in (as_gzip, as_zip, as_stored_zip, as_tar_gz):
        artifact, memory = wrapped(pack, files)
        assert artifact.format is bare.format
        assert artifact.facts["wrapped_in"] == WRAPPINGS[pack]
        assert facts(artifact) == facts(bare)
        assert plain(artifact) == plain(bare)
        assert len(artifact.diagnostics) == len(bare.diagnostics)
        if pack is as_stored_zip:
            inner = [region for region in artifact.members[0].map if region.path[:1] == (Path(name).name,)]
            inner = [region for region in inner if region.path[1:] != ("local file header",)]
            named = [
                region for region in bare.members[0].map if region.kind is not RegionKind.UNATTRIBUTED
            ]  # which has no path
            expected = [(region.span.size, region.kind, region.path, region.tensor) for region in named]
            assert [
                (region.span.size, region.kind, region.path[1:], region.tensor) for region in inner
            ] == expected
            assert [tensor.stored_size for tensor in artifact.tensors] == [
                tensor.stored_size for tensor in bare.tensors
            ]
        else:
            assert all(tensor.storage is Storage.COMPRESSED for tensor in artifact.tensors if tensor.extents)
        if pack is as_gzip:
            assert measure(artifact, memory).tensors == counts.tensors


@pytest.mark.parametrize("name", folders())
@pytest.mark.parametrize("pack", [as_zip, as_stored_zip, as_tar_gz])
def test_a_wrapped_folder_tells_what_the_folder_tells(name: str, pack: Callable[[Files], bytes]) -> None:
    files = artifact_files(fixture_path(name))
    bare = parse(load(fixture_path(name)))
    for prefix in ("", "some/folder/"):
        artifact, _ = wrapped(pack, {f"{prefix}{file}": data for file, data in files.items()})
        assert artifact.format is bare.format
        assert facts(artifact) == facts(bare)
        assert plain(artifact) == plain(bare)
        assert len(artifact.diagnostics) == len(bare.diagnostics)


def test_the_wrappings_are_told_outermost_first() -> None:
    artifact = parse(load(fixture_path("archives/model.zip.gz")))
    assert artifact.format is FormatName.KERAS_HDF5
    assert artifact.facts["wrapped_in"] == ("gzip", "zip")
    assert artifact.facts["wrapped_name"] == "release/model.h5"
    assert {extent.encoding for tensor in artifact.tensors for extent in tensor.extents} == {"gzip+deflate"}
    assert kinds(artifact).get("unattributed", 0) == 0


def npy_model(parts: list[np.ndarray]) -> Files:
    """Make a model whose weights are a few arrays one after another, as TensorFlow.js stores them."""
    entries = [
        {"name": f"part{number}", "shape": list(part.shape), "dtype": "float32"}
        for number, part in enumerate(parts)
    ]
    text = json.dumps({"modelTopology": {}, "weightsManifest": [{"paths": ["w.bin"], "weights": entries}]})
    return {"model.json": text.encode(), "w.bin": b"".join(part.tobytes() for part in parts)}


def test_halves_and_zeros_get_what_they_take_alone() -> None:
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 2**32, 75_000, dtype="<u4").view("<f4") for _ in range(2)]
    parts = [noise[0], np.zeros(1_000_000, "<f4"), noise[1]]
    for pack, name in ((as_zip, "deflate"), (as_tar_gz, "gzip")):
        artifact, _ = wrapped(pack, npy_model(parts))
        for tensor, part in zip(artifact.tensors, parts, strict=True):
            assert abs(tensor.stored_size - len(zlib.compress(part.tobytes()))) < 1024
            assert {extent.encoding for extent in tensor.extents} == {name}
        assert kinds(artifact).get("unattributed", 0) == 0


def test_two_gzip_members_are_one_stream() -> None:
    one, two = (
        parse(load(fixture_path(f"archives/{name}"))) for name in ("model.h5.gz", "two_members.h5.gz")
    )
    assert plain(one) == plain(two)
    assert kinds(two).get("unattributed", 0) == 0
    headers = [region.span.size for region in two.members[0].map if region.path[-1] == "member header"]
    assert headers == [10, 10]


def test_a_cut_file_is_mapped_as_far_as_it_decodes() -> None:
    artifact = parse(load(fixture_path("archives/cut.h5.gz")))
    assert artifact.format is FormatName.KERAS_HDF5
    assert any("end before their stream does" in diagnostic.problem for diagnostic in artifact.diagnostics)
    assert kinds(artifact)["tensor-data"] > 0
    assert {diagnostic.member for diagnostic in artifact.diagnostics} == {"cut.h5.gz"}


@pytest.mark.parametrize("pack", [as_zip, as_tar, as_tar_gz])
def test_an_archive_without_a_model_is_said_to_be_one(pack: Callable[[Files], bytes]) -> None:
    with pytest.raises(
        UnknownFormatError, match=r"archive of 2 files that holds no known model: notes\.txt, other\.txt"
    ):
        parse(MemoryFiles({"wrapped": pack({"notes.txt": b"nothing", "other.txt": b"here"})}))
    with pytest.raises(UnknownFormatError, match="gzip of wrapped"):
        parse(MemoryFiles({"wrapped": gzip.compress(b"nothing here")}))


def test_the_largest_of_several_models_is_inspected_and_the_others_named() -> None:
    files = {name: fixture_path(f"mlp/{name}").read_bytes() for name in ("original.h5", "stripped.h5")}
    artifact, _ = wrapped(as_stored_zip, files)
    assert artifact.facts["wrapped_name"] == "original.h5"
    assert artifact.facts["also_holds"] == ("stripped.h5",)
    assert kinds(artifact)["asset"] == len(files["stripped.h5"])
    assert kinds(artifact).get("unattributed", 0) == 0


def test_files_beside_the_model_are_assets() -> None:
    files = {
        "__MACOSX/._m.h5": b"junk",
        "m/m.h5": fixture_path("mlp/stripped.h5").read_bytes(),
        "README": b"read me",
    }
    artifact, _ = wrapped(as_stored_zip, files)
    assert artifact.facts["wrapped_name"] == "m/m.h5"
    assert kinds(artifact)["asset"] == len(b"junk") + len(b"read me")


@pytest.mark.parametrize("pack", [as_zip, as_tar, as_gzip])
def test_archives_in_archives_are_opened_up_to_the_limit(pack: Callable[[Files], bytes]) -> None:
    data = fixture_path("mlp/stripped.h5").read_bytes()
    for depth in range(1, 6):
        data = pack({"inner": data})
        if depth <= Limits().archive_nesting:
            assert len(parse(MemoryFiles({"wrapped": data})).tensors) > 0
        else:
            with pytest.raises(LimitError, match="archives in archives"):
                parse(MemoryFiles({"wrapped": data}))


def test_members_outside_the_archive_are_never_opened() -> None:
    files = {"../../etc/passwd": b"x", "../model.h5": fixture_path("mlp/stripped.h5").read_bytes()}
    artifact, _ = wrapped(as_tar, files)
    assert sum("outside its folder" in diagnostic.problem for diagnostic in artifact.diagnostics) == 2
    assert [member.name for member in artifact.members] == ["wrapped"]


def test_encrypted_and_unknown_members_are_told_and_stay_unattributed() -> None:
    data = bytearray(as_stored_zip({"m.h5": fixture_path("mlp/stripped.h5").read_bytes(), "z": b"data" * 9}))
    local, central = data.rindex(b"PK\x03\x04"), data.rindex(b"PK\x01\x02")
    data[local + 8], data[central + 10] = 98, 98
    artifact = parse(MemoryFiles({"wrapped": bytes(data)}))
    assert any("ppmd" in diagnostic.problem for diagnostic in artifact.diagnostics)
    region = artifact.members[0].map.at(local + 40)
    assert (region.kind, region.path) == (RegionKind.UNATTRIBUTED, ("z",))
    data = bytearray(as_stored_zip({"m.h5": fixture_path("mlp/stripped.h5").read_bytes()}))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnknownFormatError, match="holds no known model"):
        parse(MemoryFiles({"wrapped": bytes(data)}))


def zeros_after(head: bytes, megabytes: int) -> bytes:
    """Gzip bytes and many zeros behind them; the zeros are one deflated piece again and again, its checksum
    is left out.
    """
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    piece = compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return begin + piece * megabytes + b"\3\0" + bytes(8)


def test_bombs_are_refused_in_time_and_memory() -> None:
    zeros = zeros_after(b"", 1024)
    nested = gzip.compress(gzip.compress(zeros))
    many = as_zip(
        {
            f"{number}.zip": as_zip({f"{inner}.txt": bytes(10_000) for inner in range(16)})
            for number in range(16)
        }
    )
    # A model that is a bomb behind its first bytes: HDF5 whose data set is a gigabyte of zeros.
    tail = zeros_after(fixture_path("mlp/stripped.h5").read_bytes(), 1024)
    inputs = {"gzip": zeros, "nested gzip": nested, "zips of zips": many, "model and zeros": tail}

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in inputs.values():
        with bounded(200_000), pytest.raises((LimitError, UnknownFormatError)):
            parse(MemoryFiles({"bomb": data}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    "name", ["model.h5.gz", "model.zip", "model.zip.gz", "saved_model.tar", "saved_model.tar.gz"]
)
def test_any_change_gives_a_map_or_an_error(name: str) -> None:
    files = load(fixture_path(f"archives/{name}"))
    data = fixture_path(f"archives/{name}").read_bytes()
    hold(
        (f"mutation {number}", with_bytes(files, name, changed))
        for number, changed in enumerate(mutations(data, 150, 3))
    )
    cuts = random.Random(4).sample(range(len(data)), 40)
    hold((f"cut at {size}", with_bytes(files, name, data[:size])) for size in cuts)


def test_names_of_all_kinds_may_stand_beside_each_other() -> None:
    model = fixture_path("mlp/stripped.h5").read_bytes()
    names = ["/etc/passwd", "a/b/../c", "", "//", "a\nb", "ž" * 300, "a/" * 40 + "deep"]
    artifact, _ = wrapped(as_tar, {**dict.fromkeys(names, b"x"), "m/model.h5": model})
    assert artifact.facts["wrapped_name"] == "m/model.h5"
    with pytest.raises(UnknownFormatError) as caught:
        parse(MemoryFiles({"wrapped": as_tar(dict.fromkeys(names, b"x"))}))
    assert "\n" not in str(caught.value)
