"""The table format, held against a writer of its own, TensorFlow's files and hostile bytes."""

from __future__ import annotations

import random
from pathlib import Path

import cramjam
import pytest
from tests.support.corpus import corpus_files
from tests.support.fixtures import FOLDER
from tests.support.tables import MAGIC, TableFile, block, table, table_file, varint

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import ByteMap, RegionKind
from modelinspect.core.limits import Limits
from modelinspect.encodings.sstable import Table, mask, masked_crc32c
from modelinspect.encodings.sstable.table import Positions
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, LimitError, ModelInspectError
from modelinspect.sources.base import MemorySource
from modelinspect.sources.snappy import decompress

KEYS = [f"layer_{number // 7}/block_{number % 7}/kernel".encode() for number in range(300)]
ENTRIES = sorted(
    (key, bytes([number % 251]) * (number % 40)) for number, key in enumerate(dict.fromkeys(KEYS))
)


class Walked:
    """A table read to its end."""

    def __init__(self, data: bytes, *, lazy: bool = False, limits: Limits | None = None) -> None:
        self.reports: list[FormatError] = []
        limits = limits or Limits()
        self.claims = ByteMapBuilder("t", len(data), limits)
        self.table = Table(
            Walk(MemorySource(data, "t"), self.claims, limits, self.reports.append),
            lambda key: key.decode("utf8", "replace"),
            lazy=lazy,
        )
        self.entries: list[tuple[bytes, bytes]] = []
        self.places: list[int | None] = []
        for entry in self.table.entries():
            entry.claim_value(RegionKind.METADATA, "value")
            self.entries.append((entry.key, entry.read_value()))
            self.places.append(None if entry.block.place is None else entry.block.place + entry.value_offset)

    @property
    def map(self) -> ByteMap:
        built = self.claims.build()
        assert built.collision_count == 0
        return built.map


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize(("per_block", "interval"), [(1_000_000, 16), (10, 16), (1, 1), (50, 3)])
def test_every_entry_comes_back_whatever_the_size_of_blocks(
    per_block: int, interval: int, snappy: bool
) -> None:
    walked = Walked(table(ENTRIES, per_block=per_block, interval=interval, snappy=snappy))
    assert walked.entries == ENTRIES
    assert walked.reports == []
    assert walked.table.complete
    assert walked.table.unreferenced == 0
    assert walked.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0


@pytest.mark.parametrize("lazy", [False, True])
def test_values_stand_where_the_walk_says(lazy: bool) -> None:
    data = table(ENTRIES, per_block=20)
    walked = Walked(data, lazy=lazy)
    for (_, value), place in zip(walked.entries, walked.places, strict=True):
        assert place is not None
        assert data[place : place + len(value)] == value


def test_the_regions_of_a_table_are_its_blocks_and_footer() -> None:
    data, made = table_file(ENTRIES, per_block=40)
    regions = list(Walked(data).map)
    for number, (offset, size) in enumerate(made.places[:-2]):
        inside = [region for region in regions if offset <= region.span.offset < offset + size]
        assert inside[0].span.offset == offset
        assert inside[-1].span.end == offset + size
        assert {region.path[0] for region in inside} == {f"data block {number}"}
        assert inside[-1].path[1] == "num_restarts"
    trailers = [region.span for region in regions if region.path[-1] == "crc32c"]
    assert [span.offset for span in trailers] == [offset + size + 1 for offset, size in made.places]
    assert [region.path for region in regions[-4:]] == [
        ("footer", "metaindex handle"),
        ("footer", "index handle"),
        ("footer", "padding"),
        ("footer", "magic"),
    ]
    assert regions[-2].kind is RegionKind.FREE


def test_a_wrong_checksum_is_reported_and_the_block_still_read() -> None:
    data, made = table_file(ENTRIES, per_block=40)
    offset, size = made.places[2]
    broken = bytearray(data)
    broken[offset + size + 2] ^= 0x10
    walked = Walked(bytes(broken))
    assert [error.offset for error in walked.reports] == [offset + size + 1]
    assert "checksum" in walked.reports[0].problem
    assert not walked.table.complete
    assert walked.entries == ENTRIES


def test_every_flipped_bit_of_a_block_breaks_its_checksum() -> None:
    data, made = table_file(ENTRIES[:20])
    for offset, size in made.places:
        for place in range(offset, offset + size + 5, 3):
            broken = bytearray(data)
            broken[place] ^= 1 << place % 8
            try:
                walked = Walked(bytes(broken))
            except FormatError:
                continue
            assert walked.reports, f"byte {place}"


def test_bytes_between_blocks_are_unreferenced_where_everything_was_read() -> None:
    made = TableFile()
    first = made.add(block([(b"a", b"1")]))
    made.data += b"hidden!"
    second = made.add(block([(b"b", b"2")]))
    metaindex = made.add(block([]))
    data = made.finish(metaindex, made.add(block([(b"a", first), (b"b", second)], 1)))
    walked = Walked(data)
    assert walked.entries == [(b"a", b"1"), (b"b", b"2")]
    assert walked.table.unreferenced == len(b"hidden!")
    region = walked.map.at(data.index(b"hidden!"))
    assert (region.kind, region.path, region.span.size) == (RegionKind.FREE, ("unreferenced",), 7)


def test_a_footer_that_points_into_itself_is_an_error() -> None:
    data = table(ENTRIES)
    for target in (len(data) - 48, len(data) - 8, len(data), 2**63, len(data) - 50):
        handle = varint(target) + varint(8)
        broken = data[:-48] + (handle + handle).ljust(40, b"\0") + MAGIC
        with pytest.raises(FormatError, match="does not end before the footer"):
            Walked(broken)


def test_blocks_that_the_index_names_again_and_again_are_read_once() -> None:
    made = TableFile()
    handle = made.add(block([(b"k%04d" % number, b"v" * 60) for number in range(500)]))
    metaindex = made.add(block([]))
    index = made.add(block([(b"k%04d" % number, handle) for number in range(3000)], 1))
    walked = Walked(made.finish(metaindex, index))
    assert any("overlap" in error.problem for error in walked.reports)
    assert len(walked.entries) <= 2000


def test_keys_that_share_more_than_there_was_are_reported() -> None:
    contents = varint(3) + varint(1) + varint(0) + b"x" + bytes(4) + (1).to_bytes(4, "little")
    made = TableFile()
    handle = made.add(contents)
    metaindex = made.add(block([]))
    walked = Walked(made.finish(metaindex, made.add(block([(b"x", handle)], 1))))
    assert "shares 3 bytes" in walked.reports[0].problem


def test_few_bytes_cannot_ask_for_gigabytes_of_keys() -> None:
    body = b"".join(varint(shared) + varint(1) + varint(0) + b"k" for shared in range(60_000))
    made = TableFile()
    handle = made.add(body + bytes(4) + (1).to_bytes(4, "little"))
    metaindex = made.add(block([]))
    walked = Walked(made.finish(metaindex, made.add(block([(b"z", handle)], 1))))
    assert isinstance(walked.reports[0], LimitError)
    assert sum(len(key) for key, _ in walked.entries) < 64 * len(body)


def test_keys_out_of_order_are_reported() -> None:
    walked = Walked(table([(b"b", b""), (b"a", b"")]))
    assert "not in order" in walked.reports[0].problem


def test_restart_points_that_hit_no_entry_are_reported() -> None:
    contents = bytearray(block(ENTRIES[:40], 16))
    contents[-12:-8] = (7).to_bytes(4, "little")
    made = TableFile()
    handle = made.add(bytes(contents))
    metaindex = made.add(block([]))
    walked = Walked(made.finish(metaindex, made.add(block([(b"z", handle)], 1))))
    assert "restart points" in walked.reports[0].problem


@pytest.mark.parametrize("count", [2**32 - 1, 2**31, 1000])
def test_more_restart_points_than_the_block_holds_are_reported(count: int) -> None:
    made = TableFile()
    handle = made.add(bytes(8) + count.to_bytes(4, "little"))
    metaindex = made.add(block([]))
    walked = Walked(made.finish(metaindex, made.add(block([(b"z", handle)], 1))))
    assert "restart points do not fit" in walked.reports[0].problem


def test_an_unknown_compression_is_reported() -> None:
    data, made = table_file(ENTRIES)
    offset, size = made.places[0]
    broken = bytearray(data)
    broken[offset + size] = 4
    walked = Walked(bytes(broken))
    assert "compression type 4" in walked.reports[0].problem
    assert walked.entries == []


def test_a_snappy_block_that_announces_too_much_is_not_decoded() -> None:
    with pytest.raises(LimitError, match="decodes to 2,000,000,000 bytes"):
        decompress(varint(2_000_000_000) + b"\0" * 100, Limits())
    with pytest.raises(FormatError, match="cannot decode to"):
        decompress(varint(1_000_000) + b"\0" * 100, Limits())
    with pytest.raises(FormatError):
        decompress(b"\xff" * 9, Limits())
    with pytest.raises(FormatError):
        decompress(b"", Limits())


@pytest.mark.parametrize("seed", range(6))
def test_snappy_positions_tell_what_each_decoded_byte_costs(seed: int) -> None:
    rng = random.Random(seed)
    noise = rng.randbytes(rng.choice((10, 300, 70_000)))
    plain = noise + bytes(rng.randrange(5000)) + noise[: rng.randrange(len(noise))] + rng.randbytes(50)
    stored = bytes(cramjam.snappy.compress_raw(plain))
    assert decompress(stored, Limits()) == plain
    positions = Positions(stored)
    places = [positions.stored(offset) for offset in range(0, len(plain) + 1, max(len(plain) // 997, 1))]
    assert places == sorted(places)
    assert positions.stored(len(plain)) == len(stored)
    # Noise cannot be compressed: its bytes stand in the stored block one for one.
    assert abs((positions.stored(len(noise)) - positions.stored(0)) - len(noise)) <= 16


def test_stored_bytes_of_a_snappy_block_go_to_the_entries_that_need_them() -> None:
    noise = random.Random(1).randbytes(20_000)
    data = table([(b"noise", noise), (b"zeros", bytes(200_000))], snappy=True)
    costs: dict[str, int] = {}
    walked = Walked(data)
    for region in walked.map:
        if region.path[-1] == "value":
            costs[region.path[-2]] = costs.get(region.path[-2], 0) + region.span.size
    alone = {
        "noise": len(cramjam.snappy.compress_raw(noise)),
        "zeros": len(cramjam.snappy.compress_raw(bytes(200_000))),
    }
    assert all(abs(costs[name] - alone[name]) < 1024 for name in alone), (costs, alone)
    assert walked.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0


def test_the_mask_is_that_of_tensorflow() -> None:
    assert mask(0) == 0xA282EAD8
    assert masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_any_bytes_end_in_a_walk_or_an_error() -> None:
    rng = random.Random(7)
    samples = [table(ENTRIES[:60], per_block=9, snappy=snappy) for snappy in (False, True)]
    for number in range(3000):
        data = bytearray(samples[number % 2])
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        cut = data[: rng.randrange(len(data))] if number % 5 == 0 else data
        try:
            walked = Walked(bytes(cut))
        except ModelInspectError:
            continue
        unattributed = walked.claims.build().map.kind_sizes()[RegionKind.UNATTRIBUTED]
        assert not unattributed or walked.reports, f"sample {number}"


def test_tables_that_tensorflow_wrote_are_clean() -> None:
    found = sorted((FOLDER).glob("checkpoint*/**/*.index"))
    assert found
    for path in found:
        walked = Walked(path.read_bytes())
        assert walked.reports == []
        assert walked.table.unreferenced == 0
        assert walked.entries[0][0] == b""


@pytest.mark.corpus
def test_tables_of_the_corpus_are_clean() -> None:
    paths: list[Path] = [file.path for file in corpus_files("checkpoint") if file.name.endswith(".index")]
    assert len(paths) > 40
    for path in paths:
        walked = Walked(path.read_bytes())
        assert (walked.reports, walked.table.unreferenced) == ([], 0), path
