"""Walks flatbuffers that the flatbuffers package builds, and hostile ones written by hand."""

from __future__ import annotations

import struct

import flatbuffers
import pytest
from tests.support.hostile import mutations
from tests.support.work import bounded

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.claims import BuiltMap
from modelinspect.core.limits import Limits
from modelinspect.encodings.flatbuffers.schema import schema_from
from modelinspect.encodings.flatbuffers.state import Labels
from modelinspect.encodings.flatbuffers.tables import Reader, Table
from modelinspect.encodings.flatbuffers.walker import Document, walk_flatbuffer
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.sources.base import MemorySource

SCHEMA = schema_from(
    {
        "root": "Monster",
        "identifier": "MONS",
        "structs": {"Vec3": [12, 4]},
        "tables": {
            "Monster": [
                ["name", "string"],
                ["health", "short", 100],
                ["position", "Vec3"],
                ["scores", "[long]"],
                ["weapon_type", "ubyte"],
                ["weapon", "union Weapon"],
                ["friends", "[Monster]"],
                ["words", "[string]"],
                ["gear_type", "[ubyte]"],
                ["gear", "[union Weapon]"],
                ["path", "[Vec3]"],
                ["blob", "[ubyte] 16"],
                ["angry", "bool"],
            ],
            "Sword": [["damage", "int"]],
            "Bow": [["range", "double"]],
        },
        "unions": {"Weapon": ["NONE", "Sword", "Bow"]},
        "enums": {},
    }
)
LABELS = Labels(
    RegionKind.GRAPH, {}, {("Monster", "name"): RegionKind.METADATA}, frozenset({("Monster", "blob")})
)


def walk(data: bytes, end: int | None = None) -> tuple[Document, BuiltMap, list[FormatError]]:
    source = MemorySource(data, "m")
    claims = ByteMapBuilder("m", len(data))
    errors: list[FormatError] = []
    document = walk_flatbuffer(Walk(source, claims, Limits(), errors.append), SCHEMA, LABELS, end=end)
    for content in document.contents:
        claims.claim(content.offset, content.size, RegionKind.TENSOR_DATA, content.path)
    return document, claims.build(), errors


def unattributed(built: BuiltMap) -> int:
    return built.map.kind_sizes()[RegionKind.UNATTRIBUTED]


def monster(friends: int = 2) -> bytes:
    b = flatbuffers.Builder(64)

    def table(slots: dict[int, tuple[str, object, object]], count: int = 13) -> int:
        b.StartObject(count)
        for slot, (kind, value, default) in slots.items():
            getattr(b, f"Prepend{kind}Slot")(slot, value, default)
        return int(b.EndObject())

    def offsets(places: list[int]) -> int:
        b.StartVector(4, len(places), 4)
        for place in reversed(places):
            b.PrependUOffsetTRelative(place)
        return int(b.EndVector())

    sword = table({0: ("Int32", 7, 0)}, 1)
    bow = table({0: ("Float64", 2.5, 0)}, 1)
    others = [
        table({0: ("UOffsetTRelative", b.CreateString(f"friend {i}"), 0), 12: ("Bool", True, False)})
        for i in range(friends)
    ]
    words = offsets([b.CreateString(text) for text in ("", "a", "pqrst")])
    gear = offsets([sword, bow])
    gear_types = b.CreateByteVector(bytes([1, 2]))
    blob = b.CreateByteVector(bytes(range(5)))
    b.StartVector(8, 3, 8)
    for value in (3, 2, 1):
        b.PrependInt64(value)
    scores = b.EndVector()
    b.StartVector(12, 2, 4)
    for value in range(6):
        b.PrependFloat32(float(value))
    path = b.EndVector()
    name, friend = b.CreateString("Orc"), offsets(others)
    b.StartObject(13)
    b.PrependInt16Slot(1, 80, 100)
    b.Prep(4, 12)
    for value in (3.0, 2.0, 1.0):
        b.PrependFloat32(value)
    b.PrependStructSlot(2, b.Offset(), 0)
    for slot, place in (
        (0, name),
        (3, scores),
        (5, sword),
        (6, friend),
        (7, words),
        (8, gear_types),
        (9, gear),
        (10, path),
        (11, blob),
    ):
        b.PrependUOffsetTRelativeSlot(slot, place, 0)
    b.PrependUint8Slot(4, 1, 0)
    b.Finish(b.EndObject(), b"MONS")
    return bytes(b.Output())


def test_every_byte_of_a_built_flatbuffer_is_named() -> None:
    data = monster()
    document, built, errors = walk(data)
    assert errors == []
    assert document.complete
    assert document.end == len(data)
    assert built.collisions == ()
    assert unattributed(built) == 0
    assert built.map.kind_sizes()[RegionKind.METADATA] == len("Orc") + 2 * len("friend 0")
    assert built.map.kind_sizes()[RegionKind.TENSOR_DATA] == 5


def test_the_values_are_those_that_were_built() -> None:
    root = walk(monster())[0].root
    assert (root.string("name"), root.value("health"), root.numbers("scores")) == ("Orc", 80, (1, 2, 3))
    weapon = root.table("weapon")
    assert isinstance(weapon, Table)
    assert weapon.value("damage") == 7
    friends = list(root.tables("friends"))
    assert [friend.string("name") for friend in friends] == ["friend 0", "friend 1"]
    assert [friend.value("health") for friend in friends] == [100, 100]
    assert root.strings("words") == ["", "a", "pqrst"]
    assert not root.has("angry")


def test_a_table_that_two_fields_share_is_claimed_once() -> None:
    built = walk(monster())[1]
    assert built.collision_count == 0
    assert sum(region.path[-1] == "damage" for region in built.map) == 1


def test_a_vtable_that_many_tables_share_is_claimed_once() -> None:
    built = walk(monster(50))[1]
    assert built.collision_count == 0
    assert sum(region.path[-1] == "vtable" for region in built.map) < 8


def test_padding_that_is_not_zero_is_unattributed_and_told() -> None:
    data = bytearray(monster())
    for region in walk(bytes(data))[1].map:
        if region.path == ("padding",):
            data[region.span.offset] = 7
            _, built, errors = walk(bytes(data))
            assert unattributed(built) == region.span.size
            assert any("belong to no" in error.problem for error in errors)
            data[region.span.offset] = 0


def with_gap(gap: bytes) -> bytes:
    """Return a flatbuffer with bytes between its identifier and its root, which every offset survives."""
    data = monster()
    root = int.from_bytes(data[:4], "little")
    return (root + len(gap)).to_bytes(4, "little") + data[4:8] + gap + data[8:]


@pytest.mark.parametrize("size", [4, 16, 44, 56])
def test_zeros_before_a_vector_of_forced_alignment_are_padding(size: int) -> None:
    """The compilers for the Edge TPU leave 16 to 44 of them."""
    document, built, errors = walk(with_gap(bytes(size)))
    assert errors == []
    assert document.complete
    assert unattributed(built) == 0
    assert built.map.kind_sizes()[RegionKind.FREE] >= size


def test_zeros_longer_than_any_alignment_are_no_padding() -> None:
    _, built, errors = walk(with_gap(bytes(128)))
    assert unattributed(built) >= 128
    assert errors


@pytest.mark.parametrize("shape", [(4, 4), (8, 12, 4, 8), (10, 12, 4, 0, 8, 0)])
def test_a_vtable_that_nothing_uses_any_more_is_free(shape: tuple[int, ...]) -> None:
    vtable = b"".join(value.to_bytes(2, "little") for value in (shape if len(shape) > 2 else (4, 4)))
    vtable = len(vtable).to_bytes(2, "little") + vtable[2:]
    gap = vtable + bytes(-len(vtable) % 4)
    document, built, errors = walk(with_gap(gap))
    assert (errors, document.complete, unattributed(built)) == ([], True, 0)


@pytest.mark.parametrize("gap", [b"\x08\0\x0c\0\x04\0\x40\0", b"\x08\0\x0c\0\x02\0\x08\0", b"secretly"])
def test_what_only_resembles_a_vtable_is_reported(gap: bytes) -> None:
    _, built, errors = walk(with_gap(gap))
    assert unattributed(built) >= len(gap)
    assert errors


def test_an_identifier_of_another_kind_of_file_is_not_claimed() -> None:
    data = bytearray(monster())
    data[4:8] = b"ELSE"
    _, built, errors = walk(bytes(data))
    assert unattributed(built) >= 4
    assert errors


def test_a_field_that_the_schema_does_not_know_is_unattributed_and_told() -> None:
    b = flatbuffers.Builder(64)
    b.StartObject(15)
    b.PrependInt32Slot(14, 5, 0)
    b.PrependInt16Slot(1, 80, 100)
    b.Finish(b.EndObject(), b"MONS")
    _, built, errors = walk(bytes(b.Output()))
    assert unattributed(built) == 4
    assert "slot 14" in errors[0].problem


def test_a_union_member_that_the_schema_does_not_know_is_unattributed_and_told() -> None:
    data = bytearray(monster())
    place = next(region.span.offset for region in walk(bytes(data))[1].map if region.path == ("weapon_type",))
    data[place] = 9
    _, _, errors = walk(bytes(data))
    assert any("no member 9" in error.problem for error in errors)


def place_of(data: bytes, *path: str) -> int:
    return next(region.span.offset for region in walk(data)[1].map if region.path == path)


@pytest.mark.parametrize("count", [0x7FFFFFFF, 0xFFFFFFFF, 0x20000000, 1 << 31])
def test_a_vector_of_billions_of_elements_is_refused(count: int) -> None:
    data = bytearray(monster())
    for path in (
        ("scores", "length"),
        ("friends", "length"),
        ("name", "length"),
        ("words", "length"),
        ("path", "length"),
        ("blob", "length"),
    ):
        changed = bytearray(data)
        place = place_of(bytes(data), *path)
        changed[place : place + 4] = (count & 0xFFFFFFFF).to_bytes(4, "little")
        with bounded():
            _, _, errors = walk(bytes(changed))
        assert any("longer than what is left" in error.problem for error in errors)


@pytest.mark.parametrize("offset", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000])
def test_an_offset_that_leads_nowhere_is_told(offset: int) -> None:
    data = monster()
    for field in ("name", "scores", "weapon", "friends", "gear"):
        place = place_of(data, f"{field} offset")
        changed = data[:place] + struct.pack("<I", offset) + data[place + 4 :]
        document, built, errors = walk(changed)
        assert errors or built.collisions
        assert not document.complete or built.collisions


@pytest.mark.parametrize("root", [0, 3, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_root_outside_the_buffer_is_an_error(root: int) -> None:
    with pytest.raises(FormatError, match="root table"):
        walk(struct.pack("<I", root) + monster()[4:])


def test_a_table_that_is_its_own_friend_ends() -> None:
    """The vector of friends points back at the root: offsets only lead forward, so this wraps round 2**32."""
    data = monster()
    place = place_of(data, "friends", "offsets")
    root = int.from_bytes(data[:4], "little")
    changed = data[:place] + struct.pack("<I", (root - place) % (1 << 32)) + data[place + 4 :]
    _, _, errors = walk(changed)
    assert any("leads past the end" in error.problem for error in errors)


def test_tables_that_point_at_each_other_through_one_vector_are_claimed_once() -> None:
    """A hundred friends that are one table: reached a hundred times, claimed once."""
    b = flatbuffers.Builder(64)
    b.StartObject(13)
    b.PrependInt16Slot(1, 80, 100)
    friend = b.EndObject()
    b.StartVector(4, 100, 4)
    for _ in range(100):
        b.PrependUOffsetTRelative(friend)
    friends = b.EndVector()
    b.StartObject(13)
    b.PrependUOffsetTRelativeSlot(6, friends, 0)
    b.Finish(b.EndObject(), b"MONS")
    _, built, errors = walk(bytes(b.Output()))
    assert (errors, built.collision_count, unattributed(built)) == ([], 0, 0)


def test_a_vtable_inside_the_data_of_another_collides() -> None:
    data = bytearray(monster())
    root = int.from_bytes(data[:4], "little")
    blob = next(content.offset for content in walk(bytes(data))[0].contents)
    data[blob : blob + 4] = struct.pack("<HH", 4, 4)
    data[root : root + 4] = struct.pack("<i", root - blob)
    _, built, errors = walk(bytes(data))
    assert built.collisions or unattributed(built)
    assert errors or built.collisions


def test_vectors_that_overlap_a_thousandfold_end_the_walk_soon() -> None:
    """Vectors of tables at every fourth byte, each as long as the rest: following all would take the square
    of the size.
    """
    size = 400_000
    count = 20_000
    data = bytearray(size)
    vtable = struct.pack("<HH7H", 18, 8, 0, 0, 0, 0, 0, 0, 4)
    data[0:8] = struct.pack("<I", 40) + b"MONS"
    data[8 : 8 + len(vtable)] = vtable
    data[40:48] = struct.pack("<iI", 32, 4)
    data[48:52] = struct.pack("<I", count)
    for index in range(count):
        holder = 52 + 4 * index
        table = 100_000 + 8 * index
        data[holder : holder + 4] = struct.pack("<I", table - holder)
        data[table : table + 8] = struct.pack(
            "<iI", table - 8, size - 80_004 - table - 4 + 4 * (index % 1000)
        )
    for index in range(1000):
        place = size - 80_004 + 4 * index
        data[place : place + 4] = struct.pack("<I", 18_000)
    with bounded():
        document, _, errors = walk(bytes(data))
    assert any("they overlap" in error.problem for error in errors)
    assert not document.sound


def test_truncated_anywhere_it_gives_a_map_or_an_error() -> None:
    data = monster()
    for size in range(len(data)):
        try:
            document, built, errors = walk(data[:size])
        except FormatError:
            continue
        assert errors or built.collisions or unattributed(built) == 0
        assert not document.complete or unattributed(built) == 0 or errors


def test_mutated_it_gives_a_map_or_an_error() -> None:
    for changed in mutations(monster(), 1500, 11):
        try:
            document, built, errors = walk(changed)
        except FormatError:
            continue
        if unattributed(built):
            assert errors or built.collisions or document.end < len(changed)


def test_a_flatbuffer_far_into_weights_reads_only_its_structures() -> None:
    b = flatbuffers.Builder(64)
    blob = b.CreateByteVector(bytes(3_000_000))
    b.StartObject(13)
    b.PrependUOffsetTRelativeSlot(11, blob, 0)
    b.Finish(b.EndObject(), b"MONS")

    class Counted(MemorySource):
        read = 0

        def read_into(self, offset: int, buffer: memoryview) -> None:
            Counted.read += len(buffer)
            super().read_into(offset, buffer)

    data = bytes(b.Output())
    source = Counted(data, "m")
    claims = ByteMapBuilder("m", len(data))
    document = walk_flatbuffer(Walk(source, claims, Limits(), lambda error: None), SCHEMA, LABELS)
    assert document.complete
    assert Counted.read < 4096


def test_a_reader_refuses_positions_outside() -> None:
    document = walk(monster())[0]
    reader: Reader = document.root.reader
    with pytest.raises(FormatError):
        reader.table(len(monster()), "Monster")
    with pytest.raises(FormatError):
        reader.table(1 << 40, "Monster")
