"""The builder: whatever is claimed, the map tiles and the first claim holds."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import KINDS, ByteMap, RegionKind, TensorId
from modelinspect.core.limits import Limits
from modelinspect.errors import LimitError

SIZE = 60

claims = st.lists(
    st.tuples(st.integers(-5, SIZE + 5), st.integers(0, SIZE + 10), st.sampled_from(KINDS[:8])),
    max_size=25,
)
fills = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=5)


def labels(byte_map: ByteMap) -> list[tuple[RegionKind, tuple[str, ...]]]:
    return [(region.kind, region.path) for region in byte_map for _ in range(region.span.size)]


@given(claims, fills)
def test_every_byte_belongs_to_its_first_claim_then_to_its_smallest_fill(
    claims: list[tuple[int, int, RegionKind]], fills: list[tuple[int, int]]
) -> None:
    builder = ByteMapBuilder("m", SIZE)
    expected: list[tuple[RegionKind, tuple[str, ...]] | None] = [None] * SIZE
    for number, (offset, size, kind) in enumerate(claims):
        path = (f"claim {number}",)
        builder.claim(offset, size, kind, builder.path(*path))
        for byte in range(max(offset, 0), min(offset + size, SIZE)):
            expected[byte] = expected[byte] or (kind, path)
    for number, (offset, size) in enumerate(fills):
        size = min(size, SIZE - offset)
        builder.fill(offset, size, RegionKind.FREE, builder.path(f"fill {number}"))
    by_size = sorted(range(len(fills)), key=lambda number: min(fills[number][1], SIZE - fills[number][0]))
    for number in by_size:
        offset, size = fills[number]
        for byte in range(offset, min(offset + size, SIZE)):
            expected[byte] = expected[byte] or (RegionKind.FREE, (f"fill {number}",))
    built = builder.build()
    assert labels(built.map) == [label or (RegionKind.UNATTRIBUTED, ()) for label in expected]


@given(claims)
def test_claims_that_lose_bytes_are_collisions_and_others_are_not(
    claims: list[tuple[int, int, RegionKind]],
) -> None:
    builder = ByteMapBuilder("m", SIZE)
    held: set[int] = set()
    lost: list[tuple[int, int]] = []
    for offset, size, kind in claims:
        builder.claim(offset, size, kind, builder.path("x"))
        wanted = set(range(offset, offset + size))
        granted = {byte for byte in wanted - held if 0 <= byte < SIZE}
        if granted != wanted:
            lost.append((offset, size - len(granted)))
        held |= granted
    built = builder.build()
    assert sorted((collision.offset, collision.size) for collision in built.collisions) == sorted(lost)
    assert built.collision_count == len(lost)


@given(claims)
def test_claiming_in_columns_equals_claiming_one_by_one(claims: list[tuple[int, int, RegionKind]]) -> None:
    single, columns = ByteMapBuilder("m", SIZE), ByteMapBuilder("m", SIZE)
    path = single.path("p")
    assert columns.path("p") == path
    for offset, size, kind in claims:
        single.claim(offset, size, kind, path)
    columns.claim_many([c[0] for c in claims], [c[1] for c in claims], [c[2].code for c in claims], path)
    assert single.build().map == columns.build().map


def test_a_window_claims_on_the_same_map_from_its_own_zero() -> None:
    builder = ByteMapBuilder("m", 20)
    window = builder.window(8, 10, builder.path("inner.h5"))
    window.claim(2, 3, RegionKind.TENSOR_DATA, window.path("dataset"), TensorId(4))
    region = builder.build().map.at(11)
    assert (region.span.offset, region.span.size) == (10, 3)
    assert region.path == ("inner.h5", "dataset")
    assert region.tensor == 4


def test_a_collision_names_both_claims_and_the_bytes() -> None:
    builder = ByteMapBuilder("m", 10)
    builder.claim(0, 6, RegionKind.GRAPH, builder.path("first"))
    builder.claim(4, 4, RegionKind.GRAPH, builder.path("second"))
    (collision,) = builder.build().collisions
    assert (collision.offset, collision.size, collision.path, collision.holder) == (
        4,
        2,
        ("second",),
        ("first",),
    )


def test_more_regions_than_the_limits_allow_are_refused() -> None:
    builder = ByteMapBuilder("m", 10, Limits(regions=2))
    for offset in range(3):
        builder.claim(offset, 1, RegionKind.GRAPH, builder.root)
    with pytest.raises(LimitError, match="3 regions but the limit is 2"):
        builder.build()


def test_a_map_pickles_with_its_paths() -> None:
    builder = ByteMapBuilder("m", 10)
    builder.claim(3, 2, RegionKind.DEBUG, builder.path("a", "b"))
    byte_map = builder.build().map
    copy = pickle.loads(pickle.dumps(byte_map))
    assert copy == byte_map
    assert not copy.columns.offsets.flags.writeable


def test_the_kinds_of_a_map_sum_to_its_size() -> None:
    builder = ByteMapBuilder("m", 100)
    builder.claim(10, 20, RegionKind.ASSET, builder.root)
    sizes = builder.build().map.kind_sizes()
    assert sizes[RegionKind.ASSET] == 20
    assert sizes[RegionKind.UNATTRIBUTED] == 80
    assert sum(sizes.values()) == 100


def test_an_empty_member_has_an_empty_map() -> None:
    byte_map = ByteMapBuilder("m", 0).build().map
    assert len(byte_map) == 0
    with pytest.raises(IndexError):
        byte_map.at(0)


def test_the_columns_of_a_map_cannot_be_written() -> None:
    byte_map = ByteMapBuilder("m", 5).build().map
    with pytest.raises(ValueError, match="read-only"):
        byte_map.columns.sizes[0] = np.int64(1)
