"""Holds the walk of tar archives against Python's tarfile."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.claims import BuiltMap
from modelinspect.core.limits import Limits
from modelinspect.encodings.tar import TarDirectory, is_tar, walk_tar
from modelinspect.encodings.walk import Walk
from modelinspect.errors import LimitError
from modelinspect.sources.base import MemorySource

LONG = "folder/" * 20 + "file.bin"


def look(data: bytes, limits: Limits | None = None) -> tuple[TarDirectory, BuiltMap, list[str]]:
    """Walk an archive, claim the data of its files, and return what was found and what was reported."""
    claims = ByteMapBuilder("test.tar", len(data))
    problems: list[str] = []
    directory = walk_tar(
        Walk(MemorySource(data), claims, limits or Limits(), lambda error: problems.append(error.problem))
    )
    for member in directory.members:
        claims.claim(member.data.offset, member.data.size, RegionKind.ASSET, claims.path(member.name, "data"))
    return directory, claims.build(), problems


def pack(files: list[tuple[str, bytes]], form: int, folder: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        if folder:
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def assert_like_tarfile(data: bytes) -> None:
    directory, built, problems = look(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [
            (info.name, info.offset_data, info.size) for info in archive.getmembers() if info.isfile()
        ]
    assert [(member.name, member.data.offset, member.data.size) for member in directory.members] == expected
    assert (problems, directory.complete, directory.end) == ([], True, len(data))
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0
    assert not built.collisions


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_offsets_are_those_of_tarfile(form: int) -> None:
    files = [("a", b""), ("b/c", b"x" * 512), ("d", b"y" * 513)]
    assert_like_tarfile(pack(files, form, "b"))
    assert_like_tarfile(pack([*files, (LONG, b"long")], form))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_may_be_long_and_in_any_script(form: int) -> None:
    assert_like_tarfile(pack([("žluťoučký/" * 30 + "kůň", b"1"), ("next", b"2")], form))


@given(
    files=st.lists(st.tuples(st.text("abé/", min_size=1, max_size=150), st.binary(max_size=1200)), max_size=5)
)
@settings(max_examples=60, deadline=None)
def test_any_archive_of_tarfile_is_read_as_tarfile_reads_it(files: list[tuple[str, bytes]]) -> None:
    named = {name.strip("/") or "x": data for name, data in files}
    assert_like_tarfile(pack(list(named.items()), tarfile.PAX_FORMAT))


def test_links_are_not_followed() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    directory, built, problems = look(out.getvalue())
    assert directory.members == ()
    assert any("symbolic link" in problem for problem in problems)
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0


def test_sparse_files_are_named_and_not_read() -> None:
    header = bytearray(pack([("sparse", b"x" * 512)], tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[257:265] = b"ustar  \0"
    header[386:410] = b"00000000000\x0000000001000\0"
    header[482] = 0
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    directory, built, problems = look(bytes(header))
    assert "sparse" in directory.members[0].problem
    assert any("sparse" in problem for problem in problems)
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0


def test_names_that_lead_outside_are_reported() -> None:
    _, _, problems = look(pack([("../../etc/passwd", b"x")], tarfile.USTAR_FORMAT))
    assert any("outside its folder" in problem for problem in problems)


def test_a_wrong_checksum_ends_the_walk() -> None:
    data = bytearray(pack([("a", b"1"), ("b", b"2")], tarfile.USTAR_FORMAT))
    data[1024] ^= 1
    directory, built, problems = look(bytes(data))
    assert ([member.name for member in directory.members], directory.complete) == (["a"], False)
    assert len(problems) == 1
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == len(data) - 1024


def test_bytes_behind_the_end_are_free_and_reported() -> None:
    _, built, problems = look(pack([("a", b"1")], tarfile.USTAR_FORMAT) + b"more")
    assert len(problems) == 1
    assert built.map.kind_sizes()[RegionKind.FREE] > 4


def test_more_files_than_allowed_are_refused() -> None:
    with pytest.raises(LimitError):
        look(pack([(str(number), b"") for number in range(20)], tarfile.USTAR_FORMAT), Limits(members=10))


def test_what_is_no_archive_is_known_by_its_checksum() -> None:
    assert is_tar(MemorySource(pack([("a", b"1")], tarfile.USTAR_FORMAT)))
    assert not is_tar(MemorySource(bytes(512)))
    assert not is_tar(MemorySource(b"a" * 512))
    assert not is_tar(MemorySource(b"a"))


def test_any_changed_byte_gives_a_directory() -> None:
    data = pack([("a", b"1" * 600), (LONG, b"2")], tarfile.PAX_FORMAT)
    for index in range(len(data) - 9000):
        for value in (0, 0xFF, data[index] ^ 1):
            changed = bytearray(data)
            changed[index] = value
            try:
                look(bytes(changed))
            except LimitError:
                continue
