"""Holds members of zip archives that bzip2 and LZMA compress against the same members as Python's zipfile
reads them.
"""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.core.limits import MIB, Limits
from modelinspect.errors import FormatError, ModelInspectError
from modelinspect.sources.base import MemorySource
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource

METHODS = [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
_CODECS = {zipfile.ZIP_BZIP2: Codec.BZIP2, zipfile.ZIP_LZMA: Codec.LZMA}


def repack(source: Path, target: Path, method: int) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return target


def compressed(data: bytes, method: int, tmp_path: Path) -> tuple[bytes, int, int]:
    """Return an archive of one member, and where its stored bytes are."""
    path = tmp_path / "one.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a", data)
        info = archive.getinfo("a")
    whole = path.read_bytes()
    return whole, info.header_offset + 30 + len("a"), info.compress_size


@pytest.mark.parametrize("method", METHODS)
def test_a_model_compressed_otherwise_has_the_same_tensors(method: int, tmp_path: Path) -> None:
    packed = repack(fixture_path("keras_zip/model.keras"), tmp_path / "packed.keras", method)
    plain, found = mi.inspect(fixture_path("keras_zip/model.keras")), mi.inspect(packed)

    def told(report: mi.InspectReport) -> list[tuple[str, int, int | None]]:
        return [(entry.name, entry.logical_size, entry.zero_count) for entry in report.tensors]

    assert told(found) == told(plain)
    assert {entry.storage for entry in found.tensors} == {"compressed"}
    assert sum(found.to_dict()["categories"].values()) == packed.stat().st_size
    assert found.to_dict()["categories"]["unattributed"] == 0
    assert not found.diagnostics
    assert "missing-data" not in {entry.rule for entry in found.findings}


@pytest.mark.parametrize("method", METHODS)
def test_tensors_take_their_part_of_what_is_compressed(method: int, tmp_path: Path) -> None:
    packed = repack(fixture_path("keras_zip/model.keras"), tmp_path / "packed.keras", method)
    for entry in mi.inspect(packed).tensors:
        if entry.logical_size >= 4096:
            assert 0.1 * entry.logical_size < entry.stored_size < 1.3 * entry.logical_size


def test_the_bytes_of_a_block_are_shared_out_over_what_it_decodes_to(tmp_path: Path) -> None:
    """bzip2 decodes blocks of 900,000 bytes; one of random bytes is followed by blocks of zeros."""
    data = random.Random(1).randbytes(900_000) + bytes(90_000_000)
    whole, begin, size = compressed(data, zipfile.ZIP_BZIP2, tmp_path)
    source = DecompressedSource(MemorySource(whole), begin, size, Codec.BZIP2, len(data))
    positions = source.positions([0, 300_000, 600_000, 950_000, len(data)])
    assert positions == sorted(positions)
    assert positions[0] == 0
    assert positions[-1] == size
    assert positions[1] == pytest.approx(size / 3, rel=0.05)
    assert positions[2] == pytest.approx(2 * size / 3, rel=0.05)
    assert positions[3] > 0.99 * size


@pytest.mark.parametrize("method", METHODS)
def test_any_offset_reads_the_bytes_that_were_compressed(method: int, tmp_path: Path) -> None:
    draw = random.Random(method)
    data = draw.randbytes(700_000) + b"weights" * 20_000
    whole, offset, size = compressed(data, method, tmp_path)
    source = DecompressedSource(MemorySource(whole), offset, size, _CODECS[method], len(data))
    for _ in range(40):
        begin = draw.randrange(len(data))
        length = draw.randrange(min(9_000, len(data) - begin) + 1)
        assert source.read_at(begin, length) == data[begin : begin + length]
    source.decode_all()
    assert (source.failure, source.stored_end) == (None, size)
    borders = [0, 1_000, 300_000, len(data)]
    positions = source.positions(borders)
    assert positions == sorted(positions)
    assert positions[-1] == size


@pytest.mark.parametrize("method", METHODS)
def test_a_stream_that_is_cut_or_changed_is_an_error_of_its_own(method: int, tmp_path: Path) -> None:
    draw = random.Random(7)
    packed = repack(fixture_path("keras_zip/model.keras"), tmp_path / "packed.keras", method).read_bytes()
    broken = tmp_path / "broken.keras"
    for _ in range(40):
        data = bytearray(packed)
        for _ in range(draw.randrange(1, 5)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        broken.write_bytes(data[: draw.randrange(len(data) // 2, len(data) + 1)])
        try:
            report = mi.inspect(broken)
        except ModelInspectError:
            continue
        assert sum(report.to_dict()["categories"].values()) == broken.stat().st_size


def test_a_dictionary_larger_than_memory_is_refused(tmp_path: Path) -> None:
    whole, offset, size = compressed(b"data" * 100, zipfile.ZIP_LZMA, tmp_path)
    data = bytearray(whole)
    data[offset + 5 : offset + 9] = b"\xff\xff\xff\xff"
    source = DecompressedSource(MemorySource(bytes(data)), offset, size, Codec.LZMA, 400)
    with pytest.raises(FormatError, match="dictionary"):
        source.read_at(0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_is_not_decoded(method: int, tmp_path: Path) -> None:
    whole, offset, size = compressed(bytes(8 * MIB), method, tmp_path)
    with pytest.raises(ModelInspectError, match="zip bomb"):
        DecompressedSource(
            MemorySource(whole), offset, size, _CODECS[method], 8 * MIB, limits=Limits(expansion=100)
        )


@pytest.mark.parametrize("method", METHODS)
def test_no_more_is_decoded_than_the_archive_says(method: int, tmp_path: Path) -> None:
    whole, offset, size = compressed(bytes(8 * MIB), method, tmp_path)
    source = DecompressedSource(MemorySource(whole), offset, size, _CODECS[method], 1_000)
    source.decode_all()
    assert source.failure is not None
