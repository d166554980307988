"""Holds the HDF5 walk against h5py and h5stat, value by value."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support.corpus import corpus, corpus_files
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.hdf5 import Walked, walk_bytes

from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.hdf5.element_types import TypeClass
from modelinspect.encodings.hdf5.model import Dataset, LayoutKind
from modelinspect.encodings.hdf5.values import attribute_value
from modelinspect.errors import FormatError
from modelinspect.sources.base import Source

FIXTURES = fixture_names(under="hdf5_structures/")
CORPUS = [
    file.name
    for file in corpus_files("keras-h5", "other-h5", "weights-h5")
    if file.name.endswith((".h5", ".hdf5"))
]
HALVES = 6
"""The corpus is tested in so many slices, so that a test's name says roughly where it failed."""


@cache
def walked(path: Path) -> Walked:
    return walk_bytes(path.read_bytes())


def readable(path: Path) -> bool:
    """Tell whether h5py opens the file and visits every object."""
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda _name, thing: len(thing.attrs.keys()) < 0 or None)
    except (OSError, RuntimeError, KeyError, ValueError):
        return False
    return True


def raw_offset(found: Dataset) -> int | None:
    return found.spans[0].offset if found.spans and found.layout is LayoutKind.CONTIGUOUS else None


def datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield each dataset once, hard links counted once."""
    seen: set[int] = set()
    pending: list[tuple[str, h5py.Group]] = [("", file)]
    while pending:
        path, group = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            if group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
                continue
            try:
                thing = group[name]
            except KeyError:
                continue  # h5py cannot open it, which says nothing of us
            full = f"{path}/{name}"
            if isinstance(thing, h5py.Group):
                pending.append((full, thing))
            elif isinstance(thing, h5py.Dataset) and h5py.h5o.get_info(thing.id).addr not in seen:
                seen.add(h5py.h5o.get_info(thing.id).addr)
                yield full, thing


def compare_data(path: Path) -> int:
    """Compare shapes, offsets and chunks with h5py's; return how many datasets were compared."""
    base = walked(path).file.superblock.offset
    ours = {one.header_offset - base: one for one in walked(path).file.datasets}
    count = 0
    with h5py.File(path, "r") as file:
        for name, theirs in datasets(file):
            found = ours[h5py.h5o.get_info(theirs.id).addr]
            count += 1
            if not theirs.is_virtual:  # h5py makes up the shape of those from their sources
                assert found.shape == (theirs.shape or ()), name
            if not found.datatype.has_heap_data:  # libhdf5 tells the size in memory of those
                assert found.datatype.size == theirs.id.get_type().get_size(), name
            if not theirs.id.get_create_plist().get_external_count():
                expected = theirs.id.get_offset()
                # Behind a user block h5py tells the undefined address plus the base.
                assert raw_offset(found) == (None if expected == base - 1 else expected), name
            if theirs.chunks is not None:
                compare_chunks(found, theirs, name, walked(path).walk.source)
            assert [step.number for step in found.filters] == [
                theirs.id.get_create_plist().get_filter(place)[0]
                for place in range(theirs.id.get_create_plist().get_nfilters())
            ]
            if theirs.chunks is None and found.layout is not LayoutKind.EXTERNAL:
                assert sum(span.size for span in found.spans) == theirs.id.get_storage_size(), name
    return count


def compare_chunks(found: Dataset, theirs: h5py.Dataset, name: str, source: Source) -> None:
    assert found.chunks is not None, name
    assert found.chunk_shape == theirs.chunks, name
    listed = [theirs.id.get_chunk_info(place) for place in range(theirs.id.get_num_chunks())]
    chunks = found.chunks
    # The walk says that chunks at an edge which the layout leaves unfiltered skip every filter; h5py's mask
    # does not.
    masks = [0 if mask == UNFILTERED_EDGE else mask for mask in chunks.masks]
    stored = sorted(zip(chunks.offsets, chunks.sizes, masks, strict=True))
    assert stored == sorted((info.byte_offset, info.size, info.filter_mask) for info in listed), name
    # By lookup: the list that libhdf5 iterates over miscounts where the unlimited axis is not the first.
    for row in range(len(chunks)):
        if any(at >= length for at, length in zip(chunks.coordinate(row), found.shape, strict=True)):
            continue
        mask, data = theirs.id.read_direct_chunk(chunks.coordinate(row))
        ours = source.read_at(chunks.offsets[row], chunks.sizes[row])
        assert (mask, data) == (masks[row], ours), f"{name} {chunks.coordinate(row)}"


def plain(value: object) -> object:
    """Turn what h5py reads into what the walk says."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return tuple(plain(item) for item in value)
    if isinstance(value, np.ndarray | np.generic):
        listed = value.tolist()
        return plain(listed)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def comparable(kind: object) -> bool:
    """Tell whether an attribute's value is plain text or numbers on both sides."""
    return getattr(kind, "type_class", None) in (
        TypeClass.FIXED_POINT,
        TypeClass.FLOATING_POINT,
        TypeClass.STRING,
        TypeClass.ENUM,
    ) or bool(getattr(kind, "vlen_string", False))


def compare_attributes(path: Path) -> int:
    """Compare the values of attributes with h5py's; return how many were compared."""
    found, count = walked(path), 0
    with h5py.File(path, "r") as file:
        for where, attribute in found.attributes():
            if where not in file or not comparable(attribute.datatype):
                continue
            try:
                theirs = file[where].attrs[attribute.name]
            except (OSError, TypeError, UnicodeDecodeError, ValueError):
                continue  # h5py cannot, which says nothing of us
            if attribute.datatype.size > 8 and attribute.datatype.float_format is not None:
                continue  # long doubles, which plain Python has not
            ours = attribute_value(attribute, found.walk)
            expected = plain(theirs)
            same = ours == expected or (
                isinstance(expected, float | tuple)
                and np.array_equal(np.array(ours), np.array(expected), equal_nan=True)
            )
            assert same, f"{where} {attribute.name}: {ours!r} is not {expected!r}"
            count += 1
    return count


def compare_objects(path: Path) -> None:
    """Compare the objects with what h5py meets."""
    found = walked(path).file
    with h5py.File(path, "r") as file:
        counts = {h5py.Group: 1, h5py.Dataset: 0, h5py.Datatype: 0}  # visit leaves the root out

        def visit(_name: str, thing: object) -> None:
            counts[type(thing)] += 1

        file.visititems(visit)
        linked = [one for one in found.datatypes if one.path.startswith("/")]
        assert (len(found.groups), len(found.datasets), len(linked)) == tuple(counts.values())
        for group in found.groups:
            assert set(group.attributes) == set(file[group.path].attrs.keys()), group.path


UNFILTERED_EDGE = 0xFFFFFFFF
DEVELOPMENT = ("fsm_aggr_persist.h5", "paged_persist.h5")
"""Files whose file space info message has a layout that no release of HDF5 reads."""
STAT_ROWS = {
    "Superblock": "superblock",
    "Superblock extension": "superblock_extension",
    "User block": "user_block",
    "Groups": ("group_headers", "group_headers_unused"),
    "Datasets(exclude compact data)": ("dataset_headers", "dataset_headers_unused"),
    "Datatypes": ("datatype_headers", "datatype_headers_unused"),
    "Groups: B-tree/List": "group_btrees",
    "Groups: Heap": "group_heaps",
    "Attributes: B-tree/List": "attribute_btrees",
    "Attributes: Heap": "attribute_heaps",
    "Chunked datasets: Index": "chunk_indexes",
    "Datasets: Heap": "dataset_heaps",
    "Shared Messages: Header": "shared_headers",
    "Shared Messages: B-tree/List": "shared_btrees",
    "Shared Messages: Heap": "shared_heaps",
    "Free-space managers: Header": "free_space_headers",
}


def h5stat(path: Path) -> dict[str, tuple[int, ...]] | None:
    """Return h5stat's table of metadata, and the raw data; None where it cannot read the file."""
    done = subprocess.run(
        ["h5stat", "-F", "-S", "-s", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode or "unable" in done.stderr.lower():
        return None
    rows: dict[str, tuple[int, ...]] = {}
    section = ""
    for line in done.stdout.splitlines():
        match = re.match(r"\t(\t?)([^:\t]+):(?: (\d+)(?:/(\d+))?)?$", line) or re.match(
            r" ( )(Raw data): (\d+)() bytes$", line
        )
        if match is None:
            continue
        inner, name, first, second = match.groups()
        if first is None:
            section = name
            continue
        key = f"{section}: {name}" if inner == "\t" and not section.startswith("Object headers") else name
        rows[key] = (int(first), int(second)) if second else (int(first),)
    return rows


def compare_stat(path: Path) -> None:
    rows = h5stat(path)
    if rows is None:
        return
    found = walked(path)
    totals = found.file.totals
    compact = sum(
        one.spans[0].size for one in found.file.datasets if one.layout is LayoutKind.COMPACT and one.spans
    )
    for row, names in STAT_ROWS.items():
        if row in rows:
            expected = tuple(
                getattr(totals, name) for name in ((names,) if isinstance(names, str) else names)
            )
            if row == "Chunked datasets: Index":
                # h5stat leaves out 29 addresses of each extensible array; that they are there, its checksum
                # says.
                arrays = sum("extensible array header" in region.path for region in found.map)
                expected = (expected[0] - 29 * 8 * arrays,)
            if row == "Shared Messages: B-tree/List" and b"SMLI" not in path.read_bytes():
                continue  # h5stat counts lists that were never allocated
            if row == "Free-space managers: Header" and path.name in DEVELOPMENT:
                continue
            if row.startswith("Datasets(exclude"):
                expected = (expected[0] - compact, expected[1])
            assert rows[row] == expected[: len(rows[row])], row
    if (
        "Raw data" in rows
    ):  # what the data sets' own bytes take: heap objects that they lead to are metadata to h5stat
        assert rows["Raw data"] == (
            sum(span.size for one in found.file.datasets for span in one.raw_spans()),
        )


@pytest.mark.parametrize("name", FIXTURES)
def test_every_byte_of_a_fixture_is_named_and_nothing_collides(name: str) -> None:
    found = walked(fixture_path(name))
    assert found.reports == []
    assert found.clean
    assert found.file.complete
    assert found.policy.surveyed == 1
    assert found.policy.paths == [one.path for one in found.file.datasets]


@pytest.mark.parametrize("name", FIXTURES)
def test_datasets_and_chunks_stand_where_h5py_says(name: str) -> None:
    compare_data(fixture_path(name))


@pytest.mark.parametrize("name", FIXTURES)
def test_attributes_have_the_values_that_h5py_reads(name: str) -> None:
    compare_attributes(fixture_path(name))


@pytest.mark.parametrize("name", FIXTURES)
def test_objects_are_those_that_h5py_visits(name: str) -> None:
    compare_objects(fixture_path(name))


@pytest.mark.skipif(shutil.which("h5stat") is None, reason="h5stat is not installed (Debian: hdf5-tools)")
@pytest.mark.parametrize("name", FIXTURES)
def test_totals_by_structure_equal_those_of_h5stat(name: str) -> None:
    compare_stat(fixture_path(name))


@pytest.mark.parametrize("name", FIXTURES)
def test_tensor_regions_are_the_raw_data_and_nothing_else(name: str) -> None:
    found = walked(fixture_path(name))
    by_tensor: dict[int, int] = {}
    for region in found.map:
        assert (region.tensor is not None) == (region.kind is RegionKind.TENSOR_DATA)
        if region.tensor is not None:
            by_tensor[region.tensor] = by_tensor.get(region.tensor, 0) + region.span.size
    for place, one in enumerate(found.file.datasets):
        assert by_tensor.get(place, 0) == one.stored_size, one.path


@pytest.mark.corpus
@pytest.mark.parametrize("slice_", range(HALVES))
def test_the_corpus_agrees_with_h5py_and_h5stat(slice_: int) -> None:
    compared = 0
    for name in CORPUS[slice_::HALVES]:
        path = corpus() / name
        if not readable(path):
            continue
        found = walked(path)
        if found.clean:
            try:
                compared += compare_data(path) + compare_attributes(path)
                compare_objects(path)
                if shutil.which("h5stat"):
                    compare_stat(path)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error
        walked.cache_clear()
    assert compared > 100


@pytest.mark.corpus
def test_at_least_99_of_100_readable_files_are_clean_and_the_others_say_why() -> None:
    clean, troubled = 0, []
    for name in CORPUS:
        path = corpus() / name
        try:
            found = walk_bytes(path.read_bytes())
        except FormatError:
            assert not readable(path), f"{name} is refused, but h5py reads it"
            continue
        if found.clean:
            clean += 1
            continue
        assert found.reports or found.built.collision_count, (
            f"{name}: bytes are unattributed and nothing says why"
        )
        if readable(path):
            troubled.append((name, str(found.reports[:1])))
    assert clean > 300
    assert len(troubled) <= (clean + len(troubled)) // 100, troubled
