"""Any bytes give a walk or a `FormatError`, in little time and memory, and trouble is said aloud."""

from __future__ import annotations

import tracemalloc

import h5py
import pytest
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.hdf5 import Walked, walk_bytes
from tests.support.hostile import mutations
from tests.support.work import bounded

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.encodings.hdf5.checksum import lookup3, wrong_checksums
from modelinspect.encodings.hdf5.values import attribute_value
from modelinspect.errors import FormatError, UnsupportedFeatureError

UNDEFINED = b"\xff" * 8
FIXTURES = fixture_names(under="hdf5_structures/")
MUTATIONS_EACH = 40
SECONDS = 2.0


def fixture(name: str) -> bytes:
    return fixture_path(f"hdf5_structures/{name}").read_bytes()


def problems(walked: Walked) -> str:
    return " | ".join(report.problem for report in walked.reports)


def superblock(root: int, size: int) -> bytes:
    """A version 2 superblock with a right checksum."""
    body = (
        b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00"
        + bytes(8)
        + UNDEFINED
        + size.to_bytes(8, "little")
        + root.to_bytes(8, "little")
    )
    return body + lookup3(body).to_bytes(4, "little")


def header(*messages: tuple[int, bytes]) -> bytes:
    """A version 2 object header."""
    body = b"".join(
        bytes((kind,)) + len(data).to_bytes(2, "little") + b"\0" + data for kind, data in messages
    )
    front = b"OHDR\x02\x02" + len(body).to_bytes(4, "little") + body
    return front + lookup3(front).to_bytes(4, "little")


def test_lookup3_is_the_function_that_its_author_published() -> None:
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_checksums_of_many_structures_are_those_of_each() -> None:
    bodies = [
        bytes((number * 7 + place) % 251 for place in range(length))
        for length in (1, 11, 12, 13, 24, 100)
        for number in range(40)
    ]
    whole = [body + lookup3(body).to_bytes(4, "little") for body in bodies]
    assert list(wrong_checksums(whole)) == []
    whole[3] = whole[3][:-1] + bytes((whole[3][-1] ^ 1,))
    whole[200] = bytes((whole[200][0] ^ 128,)) + whole[200][1:]
    assert sorted(wrong_checksums(whole)) == [3, 200]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89HDF", b"not HDF5 at all" * 100, b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n\x09" + bytes(100)],
)
def test_what_has_no_readable_superblock_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        walk_bytes(data)


def test_a_version_that_is_not_known_is_named() -> None:
    with pytest.raises(UnsupportedFeatureError, match="superblock version 9"):
        walk_bytes(b"\x89HDF\r\n\x1a\n\x09" + bytes(100))


@pytest.mark.parametrize("name", FIXTURES)
def test_every_mutation_gives_a_walk_or_a_format_error(name: str) -> None:
    for changed in mutations(fixture_path(name).read_bytes(), MUTATIONS_EACH, 7):
        with bounded():
            try:
                found = walk_bytes(changed)
                for _, attribute in found.attributes():
                    try:
                        attribute_value(attribute, found.walk)
                    except FormatError:
                        continue
            except FormatError:
                continue
            assert not found.sizes()[RegionKind.UNATTRIBUTED] or found.reports or found.built.collision_count


@pytest.mark.parametrize(
    "name", ["old_contiguous.h5", "latest_dense.h5", "latest_chunked.h5", "old_strings.h5"]
)
def test_a_truncation_at_any_border_says_what_is_missing(name: str) -> None:
    data = fixture(name)
    for region in walk_bytes(data).map:
        try:
            found = walk_bytes(data[: region.span.end])
        except FormatError:
            continue
        if region.span.end < len(data):
            assert "truncated" in problems(found)
            assert not found.file.complete


def test_a_small_file_cannot_ask_for_much_memory() -> None:
    huge = (1 << 40).to_bytes(8, "little")
    # A data layout that is contiguous and huge, an attribute info that leads anywhere, a filter pipeline of
    # 255.
    layout = b"\x03\x01" + (48).to_bytes(8, "little") + huge
    space = b"\x02\x01\x00\x01" + huge
    number = b"\x11\x20\x1f\x00\x04\x00\x00\x00\x00\x00\x20\x00\x17\x08\x00\x17\x7f\x00\x00\x00"
    messages = (
        (1, space),
        (3, number),
        (8, layout),
        (0x15, b"\0\0" + (48).to_bytes(8, "little") * 2),
        (0x0B, b"\x02\xff"),
    )
    body = header(*messages)
    data = superblock(48, 48 + len(body)) + body
    assert len(data) < 250
    tracemalloc.start()
    found = walk_bytes(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    assert "dataset's raw data needs 1,099,511,627,776 bytes" in problems(found)


def test_object_headers_that_continue_in_a_circle_end() -> None:
    front = 48
    block = (
        b"OCHK"
        + bytes((0x10,))
        + (16).to_bytes(2, "little")
        + b"\0"
        + (120).to_bytes(8, "little")
        + (28).to_bytes(8, "little")
    )
    block += lookup3(block).to_bytes(4, "little")
    body = header(
        (0x10, (120).to_bytes(8, "little") + len(block).to_bytes(8, "little")),
        (0x02, b"\0\0" + UNDEFINED * 2),
    )
    data = (superblock(front, 200) + body).ljust(120, b"\0") + block
    found = walk_bytes(data.ljust(200, b"\0"))
    assert "circle" in problems(found)


def test_a_group_within_itself_is_walked_once() -> None:
    found = walk_bytes(fixture("latest_links.h5"))
    group = next(group for group in found.file.groups if group.aliases and group.path != "/")
    assert found.clean
    assert found.file.root is not None
    assert "/group/up" in found.file.root.aliases
    assert {group.path, *group.aliases} == {"/group", "/same group"}
    data = found.file.datasets[0]
    assert {data.path, *data.aliases} == {"/group/data", "/hard"}


def test_soft_and_external_links_are_told_and_never_followed() -> None:
    links = {
        link.path: (link.kind.value, link.file, link.target)
        for link in walk_bytes(fixture("latest_links.h5")).file.links
    }
    assert links == {
        "/soft": ("soft", "", "/group/data"),
        "/dangling": ("soft", "", "/nowhere"),
        "/external": ("external", "other.h5", "/data"),
    }


def test_a_wrong_checksum_is_reported_and_nothing_is_called_free_then() -> None:
    data = bytearray(fixture("latest_contiguous.h5"))
    place = data.find(b"OHDR", 60)
    data[place + 8] ^= 0xFF
    found = walk_bytes(bytes(data))
    assert "checksum of the object header is wrong" in problems(found)
    assert found.sizes()[RegionKind.UNATTRIBUTED] > 0


def test_bytes_behind_the_end_of_file_address_are_trailing_bytes() -> None:
    found = walk_bytes(fixture("old_trailing.h5"))
    last = found.map[len(found.map) - 1]
    assert (last.path, last.kind, last.span.size) == (("trailing bytes",), RegionKind.FREE, 57)
    assert found.clean


def test_files_elsewhere_are_named_and_not_opened() -> None:
    found = walk_bytes(fixture("old_external.h5")).file.datasets[0]
    assert [(file.name, file.offset) for file in found.external_files] == [("raw.bin", 0), ("more.bin", 16)]
    assert not found.spans


def test_b_tree_slots_that_nothing_uses_are_free() -> None:
    found = walk_bytes(fixture("old_contiguous.h5"))
    free = sum(
        region.span.size
        for region in found.map
        if region.kind is RegionKind.FREE and region.path[-1] == "unused keys and children"
    )
    nodes = sum(1 for region in found.map if region.path[-1] == "B-tree node")
    # Five groups with one node each: 544 bytes, of which 24 and two keys and one child are used.
    assert (nodes, free) == (5, 5 * (544 - 24 - 8 - 16))


def test_many_objects_over_one_structure_cost_no_more_than_the_file() -> None:
    # 1,000 groups share one dense attribute heap, a megabyte long: it must not be read 1,000 times.
    with h5py.File("many.h5", "w", driver="core", backing_store=False, libver="latest") as file:
        inner = file.create_group("inner")
        for number in range(1000):
            inner.attrs[f"{number}"] = "x" * 1000
        dense = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
        dense.set_attr_phase_change(0, 0)
        for number in range(1000):
            h5py.Group(h5py.h5g.create(file.id, f"group{number:04}".encode(), gcpl=dense)).attrs["a"] = 1
        file.flush()
        data = bytearray(file.id.get_file_image())
    found = walk_bytes(bytes(data))
    messages = {
        region.path[0]: region.span
        for region in found.map
        if region.path[-1:] == ("message 0x0015 attribute info",)
    }
    source = messages["/inner"]
    for path, span in messages.items():
        if path != "/inner":
            data[span.offset : span.offset + span.size] = data[source.offset : source.offset + source.size]
    with bounded():
        assert "belongs to two objects" in problems(walk_bytes(bytes(data)))


def test_the_limit_on_objects_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = walk_bytes(fixture("old_many_links.h5"), Limits(objects=10))
    assert "limit is 10" in problems(found)
    assert len(found.file.groups) == 10


def test_a_deflate_bomb_among_vlen_pointers_ends_at_the_limit(tmp_path: object) -> None:
    path = f"{tmp_path}/bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "bomb", (3_000_000,), h5py.string_dtype(), chunks=(3_000_000,), compression="gzip"
        )[0] = "x"
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read()
    found = walk_bytes(data, Limits(block_size=1 << 20))
    assert len(data) < 300_000
    assert "limit is 1,048,576" in problems(found)
