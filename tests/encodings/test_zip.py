"""Holds the walk of zip archives against Python's zipfile."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.claims import BuiltMap
from modelinspect.core.limits import Limits
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip import ZipDirectory, find_end_record, walk_zip
from modelinspect.errors import FormatError, LimitError
from modelinspect.sources.base import MemorySource


def look(data: bytes, limits: Limits | None = None) -> tuple[ZipDirectory, BuiltMap, list[str]]:
    """Walk an archive, claim the data of its members as assets, and return what was found and what was
    reported.
    """
    claims = ByteMapBuilder("test.zip", len(data))
    problems: list[str] = []
    walk = Walk(
        MemorySource(data, "test.zip"),
        claims,
        limits or Limits(),
        lambda error: problems.append(error.problem),
    )
    directory = walk_zip(walk)
    for member in directory.members:
        if member.data is not None:
            claims.claim(
                member.data.offset, member.data.size, RegionKind.ASSET, claims.path(member.name, "data")
            )
    return directory, claims.build(), problems


def pack(
    members: list[tuple[str, bytes]],
    method: int = zipfile.ZIP_STORED,
    comment: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
        archive.comment = comment
    return prefix + out.getvalue()


class Pipe(io.RawIOBase):
    """A file that cannot seek, so that zipfile writes data descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def pack_to_pipe(members: list[tuple[str, bytes]], *, force_zip64: bool = False) -> bytes:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, data in members:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=force_zip64) as file:
                file.write(data)
    return bytes(pipe.data)


def assert_like_zipfile(data: bytes) -> None:
    """Compare offsets, sizes, checksums and bytes with zipfile's, and see that every byte is known."""
    directory, built, problems = look(data)
    assert problems == []
    assert directory.complete
    assert not built.collisions
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        assert [member.name for member in directory.members] == [info.filename for info in infos]
        for member, info in zip(directory.members, infos, strict=True):
            assert member.data is not None
            header = data[info.header_offset : info.header_offset + 30]
            names = struct.unpack("<HH", header[26:30])
            assert member.header_offset == info.header_offset
            assert member.data.offset == info.header_offset + 30 + sum(names)
            assert (member.data.size, member.size, member.crc) == (
                info.compress_size,
                info.file_size,
                info.CRC,
            )
            stored = data[member.data.offset : member.data.end]
            assert (stored if member.is_stored else zlib.decompress(stored, -15)) == archive.read(info)
    unknown = [
        region
        for region in built.map
        if region.kind is RegionKind.UNATTRIBUTED and region.span.offset >= directory.begin
    ]
    assert unknown == []


MEMBERS = [
    ("config.json", b"{}" * 40),
    ("weights/a.bin", bytes(range(256)) * 8),
    ("empty", b""),
    ("žluť.txt", b"x"),
]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_offsets_are_those_of_zipfile(method: int, comment: bytes) -> None:
    assert_like_zipfile(pack(MEMBERS, method, comment))


def test_bytes_before_the_archive_shift_every_offset() -> None:
    data = pack(MEMBERS, prefix=b"#!/bin/sh\n" * 9)
    assert_like_zipfile(data)
    assert look(data)[0].begin == 90


@pytest.mark.parametrize("force_zip64", [False, True])
def test_data_descriptors_are_found_behind_the_data(force_zip64: bool) -> None:
    data = pack_to_pipe(MEMBERS, force_zip64=force_zip64)
    assert_like_zipfile(data)
    regions = [region for region in look(data)[1].map if region.path[-1] == "data descriptor"]
    assert {region.span.size for region in regions} == {24 if force_zip64 else 16}


def test_zip64_sizes_and_records_are_read() -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w") as archive,
        archive.open(zipfile.ZipInfo("a"), "w", force_zip64=True) as file,
    ):
        file.write(b"abc")
    data = out.getvalue()
    assert_like_zipfile(data)
    # The end records as zipfile writes them for more members than 16 bits count.
    many = pack([(f"{number:05}", b"") for number in range(65_600)])
    assert b"PK\x06\x06" in many
    limits = Limits()
    limits.ledger.stored = len(
        many
    )  # what opening the file notes: an archive may have more members the larger it is
    directory, built, problems = look(many, limits)
    assert (len(directory.members), problems, directory.complete) == (65_600, [], True)
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0


@given(
    members=st.lists(
        st.tuples(st.text("abc/é", min_size=1, max_size=8), st.binary(max_size=300), st.booleans()),
        max_size=6,
    ),
    comment=st.binary(max_size=30).filter(lambda comment: b"PK" not in comment),
    prefix=st.binary(max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_any_archive_of_zipfile_is_read_as_zipfile_reads_it(
    members: list[tuple[str, bytes, bool]], comment: bytes, prefix: bytes
) -> None:
    out = io.BytesIO()
    names: set[str] = set()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data, deflated in members:
            if name not in names and not name.startswith("/") and name.isprintable():
                names.add(name)
                archive.writestr(
                    zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
                )
        archive.comment = comment
    assert_like_zipfile(prefix + out.getvalue())


def test_a_deleted_member_is_free_space() -> None:
    data = bytearray(pack([("first", b"1" * 50), ("second", b"2" * 60)]))
    directory, _, _ = look(bytes(data))
    first = directory.members[0]
    entry = data.index(b"PK\x01\x02")
    size = 46 + len("first")
    del data[entry : entry + size]
    end = data.index(b"PK\x05\x06")
    struct.pack_into("<HHI", data, end + 8, 1, 1, size + 1)
    directory, built, problems = look(bytes(data))
    assert ([member.name for member in directory.members], problems) == (["second"], [])
    assert directory.begin == first.data.end if first.data else False
    # In the middle, where both ends are known to be members, the gap is proven to be free.
    three = bytearray(pack([("a", b"1" * 9), ("b", b"2" * 9), ("c", b"3" * 9)]))
    entry = three.index(b"PK\x01\x02", three.index(b"PK\x01\x02") + 4)
    del three[entry : entry + 47]
    struct.pack_into("<HHI", three, three.index(b"PK\x05\x06") + 8, 2, 2, 94)
    directory, built, problems = look(bytes(three))
    assert ([member.name for member in directory.members], problems) == (["a", "c"], [])
    assert built.map.kind_sizes()[RegionKind.FREE] == 31 + 9
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\up", "C:/windows", "a/../../b"])
def test_a_name_that_leads_outside_is_reported(name: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"data")
    directory, built, problems = look(out.getvalue())
    assert any("outside its folder" in problem for problem in problems)
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0
    assert len(directory.members) == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_with_one_name_the_last_counts() -> None:
    data = pack([("a", b"one"), ("a", b"two!")])
    directory, _, problems = look(data)
    assert any("twice" in problem for problem in problems)
    found = directory.find("a")
    assert found is not None
    assert found.size == 4
    assert zipfile.ZipFile(io.BytesIO(data)).read("a") == b"two!"


@pytest.mark.parametrize(("method", "word"), [(98, "ppmd"), (9, "deflate64"), (77, "an unknown method")])
def test_other_methods_are_named_and_not_read(method: int, word: str) -> None:
    data = bytearray(pack([("a", b"data" * 99)]))
    data[8] = data[data.index(b"PK\x01\x02") + 10] = method
    directory, _, problems = look(bytes(data))
    assert word in directory.members[0].problem
    assert any(word in problem for problem in problems)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bzip2_and_lzma_are_read(method: int) -> None:
    directory, _, problems = look(pack([("a", b"data" * 99)], method))
    assert (directory.members[0].problem, problems) == ("", [])


def test_encryption_is_named() -> None:
    data = bytearray(pack([("a", b"data")]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert look(bytes(data))[0].members[0].problem == "is encrypted"


def test_members_that_overlap_are_not_read() -> None:
    """As in David Fifield's zip bomb: many entries of the central directory share one local header."""
    data = bytearray(pack([("a", b"0" * 1000)]))
    entry = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    header = bytes(data[entry:end])
    many = bytes(data[:entry]) + header * 50 + bytes(data[end:])
    patched = bytearray(many)
    struct.pack_into("<HHI", patched, many.index(b"PK\x05\x06") + 8, 50, 50, len(header) * 50)
    directory, _, problems = look(bytes(patched))
    assert sum(member.problem == "" for member in directory.members) == 1
    assert sum("overlaps" in problem for problem in problems) == 49
    assert not directory.complete


def test_local_and_central_header_must_agree() -> None:
    data = bytearray(pack([("name", b"data")]))
    data[30] = ord("g")
    directory, _, problems = look(bytes(data))
    assert "another name" in directory.members[0].problem
    assert len(problems) == 1


def test_more_members_than_allowed_are_refused() -> None:
    with pytest.raises(LimitError):
        look(pack([(str(number), b"") for number in range(20)]), Limits(members=10))


def test_what_is_no_archive_has_no_end_record() -> None:
    assert find_end_record(MemorySource(b"PK\x03\x04" + bytes(100))) is None
    with pytest.raises(FormatError):
        look(b"nothing of the kind")


def test_without_an_end_members_are_found_by_their_local_headers() -> None:
    data = pack(MEMBERS)
    whole, _, _ = look(data)
    directory = data.index(b"PK\x01\x02")
    found, built, problems = look(data[: directory + 3])
    assert [(member.name, member.data) for member in found.members] == [
        (member.name, member.data) for member in whole.members
    ]
    assert (len(problems), found.complete) == (1, False)
    assert built.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 3
    last = whole.members[1].data
    assert last is not None
    found, _, problems = look(data[: last.end - 1])
    assert [member.name for member in found.members] == ["config.json", "weights/a.bin"]
    assert "are left" in problems[-1]


def test_every_truncation_gives_a_directory_or_an_error() -> None:
    data = pack(MEMBERS, zipfile.ZIP_DEFLATED, b"comment", b"prefix")
    for size in range(len(data)):
        try:
            _, built, _ = look(data[:size])
        except FormatError:
            continue
        assert built.map.size == size


def test_any_changed_byte_gives_a_directory_or_an_error() -> None:
    data = pack(MEMBERS, zipfile.ZIP_DEFLATED, b"comment")
    for index in range(len(data)):
        for value in (0, 0xFF, data[index] ^ 1):
            changed = bytearray(data)
            changed[index] = value
            try:
                look(bytes(changed))
            except FormatError:
                continue
