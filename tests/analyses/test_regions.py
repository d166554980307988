"""Regions are chosen by file, range or offset."""

from __future__ import annotations

import pytest

from modelinspect.analyses.regions import map_regions, reader
from modelinspect.core.bytemap import RegionKind
from modelinspect.errors import SelectionError
from tests.support.artifacts import Build, pruned_network


def two_files() -> Build:
    build = Build("folder")
    build.region("header", 10, RegionKind.CONTAINER, member="a", data=bytes(range(10)))
    build.tensor("t", (4,), member="b")
    return build


def test_all_regions_tile_every_file() -> None:
    artifact = pruned_network().artifact()
    end = 0
    for region in map_regions(artifact).to_dict()["regions"]:
        assert region["offset"] == end
        end += region["size"]
    assert end == artifact.size


@pytest.mark.parametrize("at", [0, 95, 96, 1_923, 7_042, 43_914])
def test_the_region_at_an_offset_holds_it(at: int) -> None:
    (region,) = map_regions(pruned_network().artifact(), at=at).to_dict()["regions"]
    assert region["offset"] <= at < region["offset"] + region["size"]


def test_the_region_of_a_weight_names_its_tensor() -> None:
    (region,) = map_regions(pruned_network().artifact(), at=2_000).to_dict()["regions"]
    assert region["tensor"] == "dense/prune_low_magnitude_dense/kernel:0"
    assert region["kind"] == "tensor-data"


def test_an_offset_in_several_files_needs_the_name_of_one() -> None:
    with pytest.raises(SelectionError, match=r"has 2 files; name one with --member: a, b"):
        map_regions(two_files().artifact(), at=3)
    assert [entry.member for entry in map_regions(two_files().artifact(), at=3, member="b").entries()] == [
        "b"
    ]


def test_a_file_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(SelectionError, match="has no file c; it has a, b"):
        map_regions(two_files().artifact(), member="c")


@pytest.mark.parametrize("at", [10, 10**30])
def test_an_offset_behind_the_end_is_answered_with_the_last_byte(at: int) -> None:
    with pytest.raises(SelectionError, match="its bytes are 0 to 9"):
        map_regions(two_files().artifact(), member="a", at=at)


def test_an_empty_file_has_no_byte_and_no_regions() -> None:
    build = Build()
    build.region("", 0, RegionKind.CONTAINER)
    with pytest.raises(SelectionError, match="is empty"):
        map_regions(build.artifact(), at=0)
    assert list(map_regions(build.artifact()).entries()) == []
    assert list(map_regions(build.artifact(), size=10).entries()) == []


def test_a_range_takes_the_regions_that_it_touches() -> None:
    offsets = [
        entry.offset for entry in map_regions(pruned_network().artifact(), offset=95, size=2).entries()
    ]
    assert offsets == [0, 96]
    assert [
        entry.offset for entry in map_regions(pruned_network().artifact(), offset=96, size=1).entries()
    ] == [96]
    assert len(list(map_regions(pruned_network().artifact(), offset=96).entries())) == 18


def test_bytes_are_read_where_they_are_asked_for() -> None:
    build = two_files()
    report = map_regions(build.artifact(), member="a", read=reader(build.files()))
    assert [entry.hex for entry in report.entries()] == ["00010203040506070809"]


def test_json_written_line_by_line_is_the_same_object() -> None:
    import json

    build = two_files()
    for read in (None, reader(build.files())):
        report = map_regions(build.artifact(), read=read)
        assert json.loads("\n".join(report.json_lines())) == report.to_dict()
