"""Models inside archives are shrunk where they are; zipfile, tarfile and gzip read the result as before."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.limits import Limits
from modelinspect.errors import ModelInspectError
from modelinspect.reports.shrink import Outcome
from modelinspect.shrinking.packing import compare_package
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.sources.base import MemorySource
from tests.support.fixtures import fixture_path

TFLITE, H5 = "tflite/int8.tflite", "mlp/original.h5"


def begins(path: Path) -> dict[str, int]:
    """Return where the bytes of each member begin, by the local headers."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        found = {}
        for info in archive.infolist():
            header = data[info.header_offset : info.header_offset + 30]
            found[info.filename] = (
                info.header_offset
                + 30
                + int.from_bytes(header[26:28], "little")
                + int.from_bytes(header[28:30], "little")
            )
        return found


@pytest.mark.parametrize("alignment", [4, 64, 4096])
def test_stored_members_stay_stored_and_aligned(alignment: int, tmp_path: Path) -> None:
    path, out = tmp_path / "bundle.task", tmp_path / "small.task"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (
            ("a.tflite", fixture_path(TFLITE).read_bytes()),
            ("b.tflite", fixture_path("tflite/float.tflite").read_bytes()),
        ):
            info = zipfile.ZipInfo(name)
            gap = -(archive.start_dir + 30 + len(name)) % alignment
            gap += alignment * (0 < gap < 4)
            info.extra = b"\x35\xd9" + (gap - 4).to_bytes(2, "little") + bytes(gap - 4) if gap else b""
            archive.writestr(info, data)
        archive.writestr("labels.txt", "one\ntwo\n" * 50, zipfile.ZIP_DEFLATED)
    assert all(begin % alignment == 0 for name, begin in begins(path).items() if name.endswith(".tflite"))
    report = mi.shrink(path, out)
    assert report.after is not None, report.reason
    assert out.stat().st_size < path.stat().st_size
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out) as new:
        assert old.namelist() == new.namelist()
        assert [info.compress_type for info in new.infolist()] == [
            info.compress_type for info in old.infolist()
        ]
        assert old.read("labels.txt") == new.read("labels.txt")
        assert new.testzip() is None
        for name in ("a.tflite", "b.tflite"):
            (tmp_path / f"old_{name}").write_bytes(old.read(name))
            (tmp_path / f"new_{name}").write_bytes(new.read(name))
            assert mi.compare_content(tmp_path / f"old_{name}", tmp_path / f"new_{name}").same
    assert all(begin % alignment == 0 for name, begin in begins(out).items() if name.endswith(".tflite"))
    assert mi.shrink(out, in_place=True).outcome == Outcome.UNCHANGED


def test_a_gzip_file_keeps_its_name_and_time_and_its_model_reads_as_before(tmp_path: Path) -> None:
    path, out = tmp_path / "model.h5.gz", tmp_path / "small.h5.gz"
    with path.open("wb") as raw, gzip.GzipFile("first.h5", "wb", 1, raw, 1_600_000_000) as packed:
        packed.write(fixture_path(H5).read_bytes())
    report = mi.shrink(path, out)
    assert report.after is not None, report.reason
    assert out.stat().st_size < path.stat().st_size
    assert out.read_bytes()[4:8] == path.read_bytes()[4:8]
    assert out.read_bytes()[10:19] == b"first.h5\0"
    elements: list[dict[str, object]] = []
    for file in (path, out):
        with h5py.File(io.BytesIO(gzip.decompress(file.read_bytes()))) as opened:
            found: dict[str, object] = {}
            opened.visititems(
                lambda name, item, found=found: found.update(
                    {name: item[()].tobytes()} if hasattr(item, "dtype") else {}
                )
            )
            elements.append(found)
    assert elements[0] == elements[1] != {}


def test_a_gzip_file_holds_the_form_of_the_model_that_gzip_makes_smallest(tmp_path: Path) -> None:
    """What HDF5 compressed takes more once gzip compresses it again."""
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        random = np.random.default_rng(0)
        for index in range(40):
            file[f"kernel_{index}"] = np.where(random.random(2_000) < 0.1, 1, 0).astype("f4")
    (tmp_path / "model.h5.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    packed = mi.shrink(tmp_path / "model.h5.gz")
    single = mi.shrink(path, tmp_path / "small.h5")
    assert packed.after is not None
    assert single.after is not None
    slack = len(b"model.h5\0")
    assert packed.after.size <= len(gzip.compress(path.read_bytes(), 9)) + slack
    assert packed.after.size < len(gzip.compress((tmp_path / "small.h5").read_bytes(), 9)) < single.after.size


def test_a_saved_model_and_a_checkpoint_in_tar_lose_their_duplicates_and_other_files_stay(
    tmp_path: Path,
) -> None:
    path, out = tmp_path / "models.tar", tmp_path / "small.tar"
    random = np.random.default_rng(0)
    with tarfile.open(path, "w") as archive:
        archive.add(fixture_path("saved_model_keras3/exported"), "models/exported")
        archive.add(fixture_path("checkpoint_tf1/shards"), "checkpoint")
        archive.addfile(*member("notes.txt", random.bytes(30_000)))
    report = mi.shrink(path, out)
    assert report.after is not None, report.reason
    with tarfile.open(path) as old, tarfile.open(out) as new:
        assert new.extractfile("notes.txt").read() == old.extractfile("notes.txt").read()  # type: ignore[union-attr]
        new.extractall(tmp_path / "new", filter="data")
        old.extractall(tmp_path / "old", filter="data")
    for name in ("models/exported", "checkpoint"):
        assert mi.compare_content(tmp_path / "old" / name, tmp_path / "new" / name).same
        assert (
            mi.inspect(tmp_path / "new" / name).artifact.size
            < mi.inspect(tmp_path / "old" / name).artifact.size
        )
    assert mi.shrink(out, in_place=True).outcome == Outcome.UNCHANGED


def member(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    return info, io.BytesIO(data)


@pytest.mark.parametrize("name", ["../outside.txt", "/absolute.txt", "a/../../b.txt"])
def test_names_that_lead_out_of_the_archive_are_refused_and_write_nothing(name: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (inside / "model.zip", inside / "model.tar"):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("model.h5", fixture_path(H5).read_bytes())
                archive.writestr(name, b"x")
        else:
            with tarfile.open(path, "w") as packed:
                packed.addfile(*member("model.h5", fixture_path(H5).read_bytes()))
                packed.addfile(*member(name, b"x"))
        report = mi.shrink(path, inside / f"small{path.suffix}")
        assert report.outcome == Outcome.REFUSED
        assert sorted(each.name for each in tmp_path.rglob("*") if each.is_file()) == sorted(
            each.name for each in inside.glob("model.*")
        )


def test_a_tar_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(*member("model.h5", fixture_path(H5).read_bytes()))
        link = tarfile.TarInfo("passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert mi.shrink(path, tmp_path / "small.tar").outcome == Outcome.REFUSED


def test_a_gzip_bomb_around_a_model_is_refused_within_limits(tmp_path: Path) -> None:
    path = tmp_path / "model.h5.gz"
    path.write_bytes(gzip.compress(fixture_path(H5).read_bytes() + bytes(32 << 20), 9))
    try:
        report = mi.shrink(path, tmp_path / "small.h5.gz", limits=Limits(decompressed_size=1 << 20))
    except ModelInspectError:
        report = None
    assert report is None or report.outcome == Outcome.REFUSED
    assert [each.name for each in tmp_path.iterdir()] == ["model.h5.gz"]


def test_the_witness_notices_a_changed_missing_or_added_member() -> None:
    def packed(**members: bytes) -> MemorySource:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return MemorySource(out.getvalue(), "model.zip")

    before = packed(a=b"1", b=b"2")
    assert compare_package(before, packed(a=b"1", b=b"2"), {}, frozenset()) == {"zipfile": 2}
    for after in (packed(a=b"1", b=b"3"), packed(a=b"1"), packed(a=b"1", b=b"2", c=b"3")):
        with pytest.raises(UnprovedError):
            compare_package(before, after, {}, frozenset())
