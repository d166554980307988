"""What every format promises, over every fixture."""

from __future__ import annotations

import os
import pickle
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import NO_TENSOR, RegionKind
from modelinspect.core.tensors import Storage
from modelinspect.errors import FormatError
from modelinspect.formats.registry import parse
from modelinspect.sources.base import Source
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location
from tests.support.fixtures import FOLDER, fixture_names
from tests.support.golden import Golden
from tests.support.hostile import hold, load, mutations, with_bytes

NAMES = fixture_names()
MUTATIONS = int(os.environ.get("MODELINSPECT_MUTATIONS", "1000"))
"""Mutations of each format; the full check runs 20,000 (make mutations)."""
TRUNCATED_BYTES = int(os.environ.get("MODELINSPECT_TRUNCATED_BYTES", "600000"))
"""Bytes to parse for the truncations of one fixture; the full check cuts at every border (make mutations)."""

DAMAGED = {
    "archives/cut.h5.gz",
    "keras_zip/no_weights.keras",
    "tfjs/shard_missing/model.json",
    "unsafe/checksum.h5",
    "unsafe/tar_slip.tar",
    "unsafe/tfjs",
    "unsafe/twice.keras",
    "unsafe/zip_slip.zip",
}
"""Fixtures that lack something on purpose: the map tells what is there, a diagnostic what is not."""
READ_AHEAD = 64 * 1024
"""Bytes of a tensor that may be read beside the structure next to it."""

each_fixture = pytest.mark.parametrize("name", NAMES)
each_format = pytest.mark.parametrize("form", list(FormatName), ids=str)


def opened(name: str) -> Artifact:
    with open_location(FOLDER / name) as files:
        return parse(files)


def by_format() -> dict[FormatName, list[str]]:
    found: dict[FormatName, list[str]] = {form: [] for form in FormatName}
    for name in NAMES:
        found[opened(name).format].append(name)
    return found


@pytest.fixture(scope="module")
def grouped() -> dict[FormatName, list[str]]:
    return by_format()


@each_format
def test_every_format_has_a_fixture(form: FormatName, grouped: dict[FormatName, list[str]]) -> None:
    assert grouped[form]


@each_fixture
def test_the_members_are_the_files_on_disk_and_every_byte_is_named(name: str) -> None:
    artifact = opened(name)
    for member in artifact.members:
        file = (
            FOLDER / name / member.name if (FOLDER / name).is_dir() else (FOLDER / name).parent / member.name
        )
        assert member.size == file.stat().st_size
        if name not in DAMAGED:
            assert member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0, [
                r for r in member.map if r.kind is RegionKind.UNATTRIBUTED
            ][:5]
    assert bool(artifact.diagnostics) == (name in DAMAGED), artifact.diagnostics
    if (FOLDER / name).is_dir():
        assert artifact.size == sum(
            path.stat().st_size for path in (FOLDER / name).rglob("*") if path.is_file()
        )


@each_fixture
def test_regions_of_tensor_data_name_a_tensor_that_lists_them(name: str) -> None:
    artifact = opened(name)
    for member in artifact.members:
        columns = member.map.columns
        data = columns.kinds == RegionKind.TENSOR_DATA.code
        assert (columns.tensors[data] != NO_TENSOR).all()
        assert columns.tensors.max(initial=-1) < len(artifact.tensors)
        for index in data.nonzero()[0][:2000].tolist():
            region = member.map[index]
            assert region.tensor is not None
            extents = [e for e in artifact.tensors[region.tensor].extents if e.member == member.name]
            assert any(region.span.overlaps(extent.span) for extent in extents), (
                region,
                artifact.tensors[region.tensor].name,
            )


@each_fixture
def test_the_artifact_pickles(name: str) -> None:
    artifact = opened(name)
    assert pickle.loads(pickle.dumps(artifact)) == artifact


class RecordedFiles(MemoryFiles):
    """Files that remember which bytes were read."""

    def __init__(self, files: dict[str, bytes], primary: str | None = None, location: str = "memory") -> None:
        super().__init__(files, primary, location)
        self.read: dict[str, bytearray] = {name: bytearray(len(data)) for name, data in files.items()}

    def _open_source(self, name: str) -> Source:
        return _Recorded(super()._open_source(name), self.read[name])


class _Recorded(Source):
    def __init__(self, inner: Source, read: bytearray) -> None:
        self.inner, self.name, self.size, self.seen = inner, inner.name, inner.size, read

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.inner.read_into(offset, buffer)
        self.seen[offset : offset + len(buffer)] = b"\1" * len(buffer)


@each_fixture
def test_parsing_reads_no_weights(name: str) -> None:
    """Of tensors stored apart from structure no more than a read-ahead; elements in messages and compressed
    ones are passed by reading.
    """
    plain = load(FOLDER / name)
    if plain.primary is None and len(plain._files) == 1:
        pytest.skip("a folder of one file")
    files = RecordedFiles(plain._files, plain.primary, plain.location)
    artifact = parse(files)
    for tensor in artifact.tensors:
        if tensor.storage is not Storage.DENSE or tensor.stored_size < 2 * READ_AHEAD:
            continue
        for extent in tensor.extents:
            if extent.encoding != "raw" or extent.member.endswith((".pb", ".meta", ".pbtxt", ".cpb")):
                continue
            seen = sum(files.read[extent.member][extent.span.offset : extent.span.end])
            assert seen <= READ_AHEAD, f"{tensor.name}: {seen} of its {extent.span.size} bytes were read"


def truncations(name: str) -> Iterator[tuple[str, MemoryFiles]]:
    """Yield the fixture cut at borders of its regions: all of them, or a seeded sample that stays within the
    bytes to parse.
    """
    files = load(FOLDER / name)
    artifact = parse(files)
    cuts = sorted(
        {(member.name, int(offset)) for member in artifact.members for offset in member.map.columns.offsets}
    )
    allowed = max(TRUNCATED_BYTES // max(artifact.size, 1), 6)
    if len(cuts) > allowed:
        cuts = sorted(random.Random(zlib.crc32(name.encode())).sample(cuts, allowed))
    for number, (member, border) in enumerate(cuts):
        cut = border + number % 2
        yield f"{name}: {member} cut at {cut}", with_bytes(files, member, files._files[member][:cut])


@each_fixture
def test_truncated_at_any_border_it_gives_a_map_or_a_clear_error(name: str) -> None:
    outcome = hold(truncations(name))
    assert outcome.maps + outcome.errors > 0


def mutated(names: list[str], count: int) -> Iterator[tuple[str, MemoryFiles]]:
    share = max(count // max(len(names), 1), 1)
    for name in names:
        files = load(FOLDER / name)
        members = [m.name for m in parse(files).members]
        for index, member in enumerate(members):
            seed = zlib.crc32(f"{name}/{member}".encode())
            for number, data in enumerate(
                mutations(files._files[member], max(share // len(members), 1), seed)
            ):
                yield (
                    f"{name}: {member}, mutation {number} of seed {seed} ({index})",
                    with_bytes(files, member, data),
                )


@each_format
def test_mutated_it_gives_a_map_or_a_clear_error(
    form: FormatName, grouped: dict[FormatName, list[str]]
) -> None:
    small = [name for name in grouped[form] if opened(name).size < 100_000] or grouped[form][:1]
    outcome = hold(mutated(small, MUTATIONS))
    assert outcome.maps > outcome.errors / 10


@each_fixture
def test_strict_parsing_refuses_what_a_diagnostic_tells(name: str) -> None:
    files = load(FOLDER / name)
    member = parse(files).members[0]
    for border in (member.size // 3, member.size // 2):
        cut = with_bytes(files, member.name, files._files[member.name][:border])
        try:
            told = parse(cut).diagnostics
        except FormatError:
            continue
        except Exception as error:  # another ModelInspectError: the format is no longer recognised
            assert type(error).__module__ == "modelinspect.errors"
            continue
        if any(diagnostic.severity != "note" for diagnostic in told):
            with pytest.raises(FormatError):
                parse(cut, strict=True)


@each_fixture
def test_the_facts_equal_the_golden_file(name: str, golden: Golden) -> None:
    artifact = opened(name)
    kinds: dict[str, int] = {}
    for member in artifact.members:
        for kind, size in member.map.kind_sizes().items():
            kinds[kind] = kinds.get(kind, 0) + size
    expected = {
        "format": artifact.format,
        "size": artifact.size,
        "members": {
            member.name: {"size": member.size, "regions": len(member.map)} for member in artifact.members
        },
        "kinds": {kind: size for kind, size in kinds.items() if size},
        "tensors": [
            {
                "name": tensor.name,
                "layer": tensor.layer,
                "role": tensor.role,
                "dtype": tensor.dtype.name,
                "shape": tensor.shape,
                "storage": tensor.storage,
                "stored_size": tensor.stored_size,
                "logical_size": tensor.logical_size,
            }
            for tensor in artifact.tensors
        ],
    }
    text = msgspec.json.format(msgspec.json.encode(expected), indent=1).decode() + "\n"
    golden.check(name.replace("/", "__") + ".json", text)


def test_no_golden_file_is_left_over() -> None:
    folder = Path(__file__).parent / "golden"
    known = {name.replace("/", "__") + ".json" for name in NAMES}
    assert {path.name for path in folder.glob("*.json")} <= known
