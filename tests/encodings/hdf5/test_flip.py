"""The flip oracle: change one byte, let h5py read the file, and see that the map said what would happen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.support.fixtures import fixture_path
from tests.support.hdf5 import Walked, walk_bytes
from tests.support.hdf5_flip import Patch, differences

from modelinspect.core.bytemap import Region, RegionKind
from modelinspect.encodings.hdf5.checksum import lookup3
from modelinspect.encodings.hdf5.element_types import TypeClass
from modelinspect.encodings.hdf5.state import State

WHOLE = (
    "old_contiguous.h5",
    "latest_contiguous.h5",
    "old_compact.h5",
    "latest_compact.h5",
    "old_chunked.h5",
    "latest_chunked.h5",
    "old_strings.h5",
    "latest_strings.h5",
    "latest_dense.h5",
    "old_deleted.h5",
    "latest_deleted.h5",
    "old_links.h5",
    "old_user_block.h5",
)
"""Every byte of these that the map calls tensor data or free is changed."""
SAMPLED = (
    "latest_indexes.h5",
    "latest_many_chunks.h5",
    "old_many_chunks.h5",
    "old_filters.h5",
    "latest_filters.h5",
    "latest_heaps.h5",
    "latest_links.h5",
    "old_types.h5",
    "latest_types.h5",
    "old_deleted_strings.h5",
    "latest_free_space.h5",
    "latest_deleted_managed.h5",
    "latest_paged.h5",
    "latest_shared_list.h5",
    "latest_shared_tree.h5",
    "old_many_links.h5",
    "old_references.h5",
    "old_trailing.h5",
    "latest_user_block.h5",
)
"""A seeded sample of each region of these is changed."""
PER_REGION = 2
AT_ONCE = 64
MOST = 400


class Sums:
    """The checksummed structures of a file, so that a changed byte keeps its structure whole."""

    def __init__(self, data: bytes, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = data
        self.spans: list[tuple[int, int, str]] = []
        verify = State.verify

        def noting(state: State, what_data: bytes, what: str, offset: int) -> None:
            self.spans.append(
                (offset, len(what_data) - (4 if "direct block" in what and "fractal" in what else 0), what)
            )
            verify(state, what_data, what, offset)

        monkeypatch.setattr(State, "verify", noting)
        self.walked: Walked = walk_bytes(data)
        monkeypatch.setattr(State, "verify", verify)
        assert self.walked.clean, path.name

    def patch(self, changes: list[tuple[int, int]]) -> Patch:
        """Return the change of some bytes (offset and mask), and the checksums that follow from it."""
        changed = bytearray(self.data)
        for offset, mask in changes:
            changed[offset] ^= mask
        patch: Patch = [(offset, bytes((changed[offset],)).hex()) for offset, _ in changes]
        for start, size, what in self.spans:
            if not any(start <= offset < start + size for offset, _ in changes):
                continue
            if "direct block" in what:
                place = self._place_in_block(start, size)
                zeroed = changed[start : start + size]
                zeroed[place : place + 4] = bytes(4)
                patch.append((start + place, lookup3(bytes(zeroed)).to_bytes(4, "little").hex()))
            else:
                patch.append(
                    (
                        start + size - 4,
                        lookup3(bytes(changed[start : start + size - 4])).to_bytes(4, "little").hex(),
                    )
                )
        return patch

    def _place_in_block(self, start: int, size: int) -> int:
        """Find where a fractal heap's direct block keeps its checksum."""
        block = self.data[start : start + size]
        for place in range(13, 22):
            stored = int.from_bytes(block[place : place + 4], "little")
            if lookup3(block[:place] + bytes(4) + block[place + 4 :]) == stored:
                return place
        raise AssertionError(f"no checksum in the direct block at {start}")


def check(path: Path, sums: Sums, places: list[tuple[int, Region]]) -> None:
    """Change each place and compare what differs with what the map says of it.

    Free bytes are changed many at once: where nothing differs then, none of them did anything; else each is
    tried alone.
    """
    rng = random.Random(1)
    free = [(offset, region) for offset, region in places if region.kind is RegionKind.FREE]
    groups = [free[start : start + AT_ONCE] for start in range(0, len(free), AT_ONCE)]
    patches = [sums.patch([(offset, rng.randrange(1, 256)) for offset, _ in group]) for group in groups]
    alone = [(offset, region) for offset, region in places if region.kind is not RegionKind.FREE]
    for group, differ in zip(groups, differences(path, patches), strict=True):
        alone += group if differ else []
    patches = [sums.patch([(offset, rng.randrange(1, 256))]) for offset, _ in alone]
    names = [(one.path, *one.aliases) for one in sums.walked.file.datasets]
    wrong: list[str] = []
    for (offset, region), differ in zip(alone, differences(path, patches), strict=True):
        allowed = set() if region.tensor is None else {f"data {name}" for name in names[region.tensor]}
        if (
            differ == ["crash"]
            and region.tensor is not None
            and sums.walked.file.datasets[region.tensor].datatype.has_heap_data
        ):
            continue  # libhdf5 follows a changed pointer wherever it leads
        if not set(differ) <= allowed:
            wrong.append(f"byte {offset:,} of {region.path} ({region.kind}) changes {differ}")
        elif not differ and region.tensor is not None and must_differ(sums, region):
            wrong.append(f"byte {offset:,} of {region.path} ({region.kind}) changes nothing")
    assert not wrong, f"{len(wrong)} of {len(places)}: {wrong[:5]}"


def must_differ(sums: Sums, region: Region) -> bool:
    """Return whether each bit of a region is an element's: data without chunks are, but for references,
    pointers and text behind a NUL.
    """
    one = sums.walked.file.datasets[region.tensor or 0]
    opaque = (
        one.datatype.has_heap_data or one.datatype.is_string or one.datatype.type_class is TypeClass.REFERENCE
    )
    return one.chunks is None and not opaque


@pytest.mark.parametrize("name", WHOLE)
def test_every_byte_does_what_the_map_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fixture_path(f"hdf5_structures/{name}")
    sums = Sums(path.read_bytes(), path, monkeypatch)
    kinds = (RegionKind.FREE, RegionKind.TENSOR_DATA)
    places = [
        (offset, region)
        for region in sums.walked.map
        if region.kind in kinds
        for offset in range(region.span.offset, region.span.end)
    ]
    assert len(places) > 100
    check(path, sums, places)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_sample_of_bytes_does_what_the_map_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fixture_path(f"hdf5_structures/{name}")
    sums = Sums(path.read_bytes(), path, monkeypatch)
    rng = random.Random(name)
    places: list[tuple[int, Region]] = []
    for region in sums.walked.map:
        if region.kind in (RegionKind.FREE, RegionKind.TENSOR_DATA):
            span = range(region.span.offset, region.span.end)
            places += [(offset, region) for offset in rng.sample(span, min(PER_REGION, len(span)))]
    check(path, sums, sorted(rng.sample(places, min(MOST, len(places))), key=lambda place: place[0]))
