"""Holds random access to compressed runs against the bytes that were compressed."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.core.limits import MIB, Limits
from modelinspect.errors import FormatError, LimitError
from modelinspect.sources.base import MemorySource, Source
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource

NOISE = random.Random(7).randbytes(MIB)


def deflate(data: bytes, level: int = 9) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def open_deflated(data: bytes, limits: Limits | None = None) -> DecompressedSource:
    run = deflate(data)
    outer = MemorySource(b"before" + run + b"behind")
    return DecompressedSource(
        outer, 6, len(run), Codec.DEFLATE, len(data), crc=zlib.crc32(data), limits=limits
    )


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_read_gives_the_bytes_that_were_compressed(data: st.DataObject) -> None:
    whole = b"".join(
        part * count
        for part, count in data.draw(
            st.lists(st.tuples(st.binary(max_size=50), st.integers(0, 20_000)), max_size=5)
        )
    )
    source = open_deflated(whole)
    for _ in range(5):
        offset = data.draw(st.integers(0, len(whole)))
        size = data.draw(st.integers(0, len(whole) - offset))
        assert source.read_at(offset, size) == whole[offset : offset + size]


def test_reads_backwards_and_far_apart_give_the_right_bytes() -> None:
    whole = b"".join(NOISE[index : index + 200_000] + bytes(900_000) for index in range(0, MIB, 30_000))
    source = open_deflated(whole)
    rng = random.Random(1)
    for offset in [
        len(whole) - 10,
        0,
        20 * MIB,
        5 * MIB,
        *(rng.randrange(len(whole) - 500_000) for _ in range(60)),
    ]:
        size = min(rng.randrange(400_000), len(whole) - offset)
        assert source.read_at(offset, size) == whole[offset : offset + size]


def test_two_incompressible_halves_and_zeros_get_what_they_take_alone() -> None:
    first, zeros, last = NOISE[:300_000], bytes(4 * MIB), NOISE[300_000:600_000]
    whole = first + zeros + last
    source = open_deflated(whole)
    borders = [0, len(first), len(first) + len(zeros), len(whole)]
    positions = source.positions(borders)
    shares = [after - before for before, after in pairwise(positions)]
    assert sum(shares) == len(deflate(whole))
    for share, part in zip(shares, (first, zeros, last), strict=True):
        assert abs(share - len(deflate(part))) < 1024


def test_positions_do_not_depend_on_what_was_read_before() -> None:
    whole = (NOISE + bytes(3 * MIB)) * 6
    borders = sorted(random.Random(2).randrange(len(whole)) for _ in range(300))
    fresh = open_deflated(whole).positions(borders)
    used = open_deflated(whole)
    used.read_at(20 * MIB, 1000)
    used.read_at(10, 1000)
    assert fresh == sorted(fresh)
    assert all(abs(one - other) <= 64 for one, other in zip(fresh, used.positions(borders), strict=True))


class Repeated(Source):
    """A run made of one piece many times, so that the test itself holds little."""

    def __init__(self, head: bytes, piece: bytes, count: int, tail: bytes) -> None:
        self.name = "repeated"
        self._head, self._piece, self._tail = head, piece, tail
        self.size = len(head) + len(piece) * count + len(tail)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        for index in range(len(buffer)):
            buffer[index] = self._at(offset + index)

    def read_at(self, offset: int, size: int) -> bytes:
        out = bytearray()
        while len(out) < size:
            at = offset + len(out)
            if at < len(self._head):
                out += self._head[at : at + size - len(out)]
            elif at < self.size - len(self._tail):
                begin = (at - len(self._head)) % len(self._piece)
                out += self._piece[begin : begin + size - len(out)]
            else:
                begin = at - (self.size - len(self._tail))
                out += self._tail[begin : begin + size - len(out)]
        return bytes(out)

    def _at(self, offset: int) -> int:
        return self.read_at(offset, 1)[0]


def test_memory_stays_flat_however_large_the_member() -> None:
    stored = (
        b"\x00" + (50_000).to_bytes(2, "little") + (50_000 ^ 0xFFFF).to_bytes(2, "little") + NOISE[:50_000]
    )
    count = 8_000
    run = Repeated(b"", stored, count, deflate(b""))
    source = DecompressedSource(run, 0, run.size, Codec.DEFLATE, 50_000 * count)
    tracemalloc.start()
    source.decode_all()
    for offset in range(0, source.size - 100, 37_000_000):
        assert source.read_at(offset, 100) == (NOISE[:50_000] * 2)[offset % 50_000 : offset % 50_000 + 100]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.failure is None
    assert peak < 40 * MIB


def test_a_large_member_that_expands_too_far_is_refused() -> None:
    run = deflate(bytes(20 * MIB))
    outer = MemorySource(run)
    limits = Limits(large_size=10 * MIB)
    with pytest.raises(LimitError, match="zip bomb"):
        DecompressedSource(outer, 0, len(run), Codec.DEFLATE, 20 * MIB, limits=limits)
    packed = gzip.compress(bytes(20 * MIB))
    with pytest.raises(LimitError, match="zip bomb"):
        DecompressedSource(MemorySource(packed), 0, len(packed), Codec.GZIP, limits=limits)
    assert DecompressedSource(MemorySource(packed), 0, len(packed), Codec.GZIP).size == 20 * MIB


def test_a_size_that_the_archive_tells_wrongly_is_a_failure() -> None:
    run = deflate(NOISE)
    for told in (len(NOISE) - 1, len(NOISE) + 1):
        source = DecompressedSource(MemorySource(run), 0, len(run), Codec.DEFLATE, told)
        source.decode_all()
        assert source.failure is not None
    with pytest.raises(FormatError):
        DecompressedSource(MemorySource(run), 0, len(run), Codec.DEFLATE, len(NOISE) + 1).read_at(
            len(NOISE), 1
        )


def test_a_wrong_checksum_is_a_failure() -> None:
    run = deflate(NOISE)
    source = DecompressedSource(MemorySource(run), 0, len(run), Codec.DEFLATE, len(NOISE), crc=1)
    source.decode_all()
    assert source.failure is not None
    assert "CRC" in source.failure.problem


def test_a_damaged_stream_is_read_up_to_the_damage() -> None:
    whole = NOISE[:200_000] + bytes(200_000) + NOISE[200_000:400_000]
    run = bytearray(deflate(whole))
    run[-150_000:] = b"\xff" * 150_000
    source = DecompressedSource(MemorySource(bytes(run)), 0, len(run), Codec.DEFLATE, len(whole))
    assert source.read_at(1000, 300_000) == whole[1000:301_000]
    with pytest.raises(FormatError):
        source.read_at(len(whole) - 10, 10)
    positions = source.positions([0, 100_000, len(whole)])
    assert positions == sorted(positions)
    assert positions[-1] == source.stored_end < len(run)


def test_many_gzip_members_are_allowed_up_to_the_limit() -> None:
    member = gzip.compress(b"", mtime=0)
    many = member * 300
    assert DecompressedSource(MemorySource(many), 0, len(many), Codec.GZIP).size == 0
    with pytest.raises(LimitError):
        DecompressedSource(MemorySource(many), 0, len(many), Codec.GZIP, limits=Limits(members=100))


def test_every_byte_before_the_damage_is_read() -> None:
    whole = b"".join(bytes([number % 251]) * 40 + NOISE[number : number + 8] for number in range(9_000))
    run = bytearray(deflate(whole))
    place = len(run) // 2
    before = zlib.decompressobj(-15).decompress(bytes(run[:place]))
    run[place : place + 8] = b"\xff" * 8
    source = DecompressedSource(MemorySource(bytes(run)), 0, len(run), Codec.DEFLATE, len(whole))
    source.decode_all()
    assert source.failure is not None
    assert source.failure.offset is not None
    assert source.failure.offset >= len(before)
    assert source.read_at(0, len(before)) == whole[: len(before)] == before
    assert place - 64 <= source.stored_end <= place + 64


def test_a_wrong_gzip_checksum_loses_no_byte() -> None:
    data = bytearray(gzip.compress(NOISE[:5000]) + gzip.compress(NOISE[5000:9000]))
    data[-5] ^= 1
    source = DecompressedSource(MemorySource(bytes(data)), 0, len(data), Codec.GZIP)
    assert source.failure is not None
    assert source.read_at(0, source.size) == NOISE[:9000]
    assert len(source.frames) == 1
