"""Holds the walk of gzip members against Python's gzip."""

from __future__ import annotations

import gzip
import io
import random
import zlib

import pytest

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.encodings.gzip import header_size, original_name, walk_gzip
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.sources.base import MemorySource
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource

TEXT = b"a model " * 500


def look(data: bytes) -> tuple[DecompressedSource, dict[tuple[str, ...], int], list[str]]:
    """Decode and walk; return the decoder, the sizes of the claimed paths and what was reported."""
    source = MemorySource(data, "test.gz")
    decoded = DecompressedSource(source, 0, len(data), Codec.GZIP)
    claims = ByteMapBuilder("test.gz", len(data))
    problems: list[str] = []
    walk = Walk(source, claims, Limits(), lambda error: problems.append(error.problem))
    walk_gzip(walk, decoded.frames, broken=decoded.failure is not None)
    sizes: dict[tuple[str, ...], int] = {}
    for region in claims.build().map:
        if region.kind is not RegionKind.UNATTRIBUTED:
            sizes[region.path] = region.span.size
    return decoded, sizes, problems


def header(flags: int, fields: bytes = b"") -> bytes:
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + fields


def test_header_and_trailer_are_claimed() -> None:
    decoded, sizes, problems = look(gzip.compress(TEXT, mtime=0))
    assert sizes == {("member header",): 10, ("CRC32 and ISIZE",): 8}
    assert (decoded.read_at(0, decoded.size), problems) == (TEXT, [])


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (8, b"model.h5\0"),
        (16, b"a comment\0"),
        (4, b"\x03\x00abc"),
        (2, b"\0\0"),
        (4 + 8 + 16 + 2, b"\x02\x00xymodel\0comment\0\0\0"),
    ],
)
def test_every_optional_field_belongs_to_the_header(flags: int, fields: bytes) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = header(flags, fields)
    if flags & 2:
        head = head[:-2] + (zlib.crc32(head[:-2]) & 0xFFFF).to_bytes(2, "little")
    body = deflate.compress(TEXT) + deflate.flush()
    data = head + body + zlib.crc32(TEXT).to_bytes(4, "little") + len(TEXT).to_bytes(4, "little")
    assert gzip.decompress(data) == TEXT
    _, sizes, _ = look(data)
    assert sizes[("member header",)] == 10 + len(fields)


def test_the_original_name_is_read() -> None:
    out = io.BytesIO()
    with gzip.GzipFile("weights.h5", "wb", fileobj=out, mtime=0) as file:
        file.write(TEXT)
    assert original_name(MemorySource(out.getvalue())) == "weights.h5"
    assert original_name(MemorySource(gzip.compress(TEXT))) == ""


def test_members_follow_each_other() -> None:
    data = (
        gzip.compress(TEXT[:100], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(TEXT[100:], mtime=0)
    )
    decoded, sizes, problems = look(data)
    assert decoded.read_at(0, decoded.size) == TEXT == gzip.decompress(data)
    assert {path[0] for path in sizes} == {"member 0", "member 1", "member 2"}
    assert [frame.logical_offset for frame in decoded.frames] == [0, 100, 100]
    assert problems == []


def test_padding_is_free_and_garbage_is_reported() -> None:
    _, sizes, problems = look(gzip.compress(TEXT) + bytes(20))
    assert (sizes[("trailing bytes",)], problems) == (20, [])
    _, sizes, problems = look(gzip.compress(TEXT) + b"garbage")
    assert sizes[("trailing bytes",)] == 7
    assert len(problems) == 1


def test_a_wrong_checksum_is_a_failure() -> None:
    data = bytearray(gzip.compress(TEXT))
    data[-6] ^= 1
    decoded, _, _ = look(bytes(data))
    assert decoded.failure is not None
    assert "incorrect data check" in decoded.failure.problem


def test_a_cut_file_decodes_as_far_as_it_goes() -> None:
    noise = random.Random(1).randbytes(100_000)
    data = gzip.compress(noise)
    decoded, sizes, _ = look(data[:50_000])
    assert 49_000 < decoded.size < 50_000
    assert decoded.read_at(0, decoded.size) == noise[: decoded.size]
    assert decoded.failure is not None
    assert sizes == {("member header",): 10}


def test_a_header_without_an_end_is_an_error() -> None:
    for size in range(10):
        with pytest.raises(FormatError):
            header_size(MemorySource(header(8, b"name")[:size]), 0)
    with pytest.raises(FormatError):
        header_size(MemorySource(header(8, b"name" * 100)), 0)
