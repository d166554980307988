"""Checkpoints that lack files, contradict themselves, are cut, or are changed, also behind right
checksums.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from tests.encodings.test_sstable import Walked
from tests.formats.test_checkpoint import V1, beside, in_memory, look
from tests.support.fixtures import fixture_path
from tests.support.hostile import hold, mutations, with_bytes
from tests.support.tables import bundle, entry, header, table

from modelinspect.core.tensors import Role
from modelinspect.errors import FormatError
from modelinspect.sources.files import MemoryFiles


def test_an_index_without_shards_gives_the_map_of_the_index_and_an_error() -> None:
    files = beside(fixture_path("checkpoint/adam/model.index"))
    artifact = in_memory({"model.index": files["model.index"]})
    assert [member.name for member in artifact.members] == ["model.index"]
    assert "shard model.data-00000-of-00001 is missing" in artifact.diagnostics[0].problem
    assert {tensor.role for tensor in artifact.tensors} > {Role.WEIGHT}
    assert all(tensor.payload is None and "missing" in tensor.payload_note for tensor in artifact.tensors)
    with pytest.raises(FormatError):
        look(MemoryFiles({"model.index": files["model.index"]}, "model.index"), strict=True)


def test_a_shard_that_is_cut_short_keeps_the_tensors_before_the_cut() -> None:
    files = beside(fixture_path("checkpoint_tf1/shards/model.index"))
    whole = {tensor.path: tensor for tensor in in_memory(files).tensors}
    cut = files["model.data-00001-of-00002"][:200]
    artifact = in_memory({**files, "model.data-00001-of-00002": cut})
    assert ["cut short" in d.problem and d.offset == 200 for d in artifact.diagnostics] == [True]
    for tensor in artifact.tensors:
        if tensor.dtype.name == "string":
            continue
        ends = [
            extent.span.end
            for extent in whole[tensor.path].extents
            if extent.member == "model.data-00001-of-00002"
        ]
        assert (tensor.payload is not None) == all(end <= 200 for end in ends), tensor.path


def test_shards_without_an_index_are_unattributed_with_an_error() -> None:
    files = beside(fixture_path("checkpoint_tf1/shards/model.index"))
    del files["model.index"]
    artifact = in_memory(files, "model.data-00000-of-00002")
    assert [member.name for member in artifact.members] == [
        "model.data-00000-of-00002",
        "model.data-00001-of-00002",
    ]
    assert "index model.index is missing" in artifact.diagnostics[0].problem
    folder = look(
        MemoryFiles(
            {
                **files,
                "checkpoint": b'model_checkpoint_path: "model"\n',
                "other.index": table([(b"", header())]),
            }
        )
    )
    assert "index model.index is missing" in folder.diagnostics[0].problem


def test_an_index_opens_no_file_that_is_not_a_listed_shard_of_its_prefix() -> None:
    data = b"\0" * 8
    entries = [(b"", header(shards=2**31 - 1)), (b"a", entry(1, [2], 0, data, shard=2**30))]
    files = {
        "model.index": table(entries),
        "model.data-00000-of-00001": data,
        "other.data-00000-of-00001": data,
        "secret": data,
    }
    artifact = in_memory(files)
    assert {member.name for member in artifact.members} == {"model.index", "model.data-00000-of-00001"}
    assert "is missing" in artifact.diagnostics[0].problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (entry(1, [3], 0, bytes(8)), "its shape 12"),
        (entry(99, [2], 0, bytes(8)), "DataType 99"),
        (entry(1, [2**62, 2**62], 0, bytes(8)), "gives 8 bytes"),
        (entry(1, [-2], 0, bytes(8)), "negative"),
        (entry(7, [2**60], 0, bytes(8)), "do not fit"),
        (entry(7, [2], 0, bytes(8)), "strings of a tensor need 6 bytes"),
        (entry(21, [1], 0, bytes(8)), "are after the variants"),
        (entry(1, [2], 4, bytes(8)), "cut short"),
        (entry(1, [2], 2**62, bytes(8)), "cut short"),
        (b"\xff\xff", "BundleEntryProto"),
        (entry(1, [4], 0, b"", slices=[]), "gives 0 bytes"),
    ],
)
def test_entries_that_their_bytes_contradict_are_reported(value: bytes, problem: str) -> None:
    artifact = in_memory(
        {"model.index": table([(b"", header()), (b"a", value)]), "model.data-00000-of-00001": bytes(8)}
    )
    assert problem in " ".join(diagnostic.problem for diagnostic in artifact.diagnostics)
    assert all(tensor.logical_size < 2**62 for tensor in artifact.tensors)


def test_entries_that_overlap_are_reported_and_every_byte_has_one_owner() -> None:
    data = bytes(16)
    entries = [(b"", header()), (b"a", entry(1, [3], 0, data[:12])), (b"b", entry(1, [2], 8, data[:8]))]
    artifact = in_memory({"model.index": table(entries), "model.data-00000-of-00001": data})
    assert "b claims 4 bytes that a holds" in [d.problem for d in artifact.diagnostics]


def test_a_wrong_length_checksum_of_strings_is_reported() -> None:
    stored = b"\x01\x02" + bytes(4) + b"abc"
    artifact = in_memory(
        {
            "model.index": table([(b"", header()), (b"s", entry(7, [2], 0, stored))]),
            "model.data-00000-of-00001": stored,
        }
    )
    assert "checksum of string lengths" in artifact.diagnostics[0].problem


def hand_made() -> dict[str, MemoryFiles]:
    """Return checkpoints that no fixture has."""
    tensors = {f"layer_{n}/kernel": np.full((n + 1, 5), n, "float32") for n in range(12)}
    v1 = Walked(fixture_path(V1[0]).read_bytes()).entries
    found = {
        "snappy": MemoryFiles(bundle(tensors, snappy=True, per_block=4), "model.index"),
        "blocks": MemoryFiles(bundle(tensors, per_block=1, align=16), "model.index"),
        "big": MemoryFiles(bundle(tensors, big=True), "model.index"),
        "v1 snappy": MemoryFiles({"model": table(v1, per_block=5, snappy=True)}),
    }
    for name in (
        "checkpoint/objects/model.index",
        "checkpoint_tf1/shards/model.index",
        "checkpoint_tf1/v1/model.ckpt",
    ):
        path = fixture_path(name)
        found[name] = MemoryFiles(beside(path), path.name)
    return found


def test_mutated_checkpoints_give_a_map_or_a_clear_error() -> None:
    def inputs() -> Any:
        for label, files in hand_made().items():
            for member in files._files:
                for number, data in enumerate(mutations(files._files[member], 250, len(member))):
                    yield f"{label}: {member}, mutation {number}", with_bytes(files, member, data)

    outcome = hold(inputs(), look)
    assert outcome.maps > 1000


def test_checkpoints_cut_anywhere_give_a_map_or_a_clear_error() -> None:
    def inputs() -> Any:
        for label, files in hand_made().items():
            for member, data in files._files.items():
                for cut in range(0, len(data), max(len(data) // 60, 1)):
                    yield f"{label}: {member} cut at {cut}", with_bytes(files, member, data[:cut])

    assert hold(inputs(), look).maps > 300


def resealed(data: bytes, rng: random.Random) -> bytes:
    """Change entries of an index and put its checksums right, so that what lies behind them is reached."""
    entries = []
    for key, value in Walked(data).entries:
        changed = bytearray(value)
        if key and changed and rng.random() < 0.2:
            changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        entries.append((key, bytes(changed)))
    return table(entries)


def test_changed_entries_behind_right_checksums_give_a_map_or_a_clear_error() -> None:
    rng = random.Random(11)
    samples = [files for label, files in hand_made().items() if "v1" not in label]

    def inputs() -> Any:
        for number in range(1500):
            files = samples[number % len(samples)]
            index = next(name for name in files._files if name.endswith(".index"))
            yield f"sample {number}", with_bytes(files, index, resealed(files._files[index], rng))

    assert hold(inputs(), look).maps == 1500


def test_shards_of_another_count_than_the_index_says_are_unattributed_with_a_diagnostic() -> None:
    data = b"\1" * 8
    files = {
        "model.index": table([(b"", header(shards=1))]),
        "model.data-00000-of-00002": data,
        "model.data-00001-of-00002": data,
    }
    artifact = in_memory(files)
    assert {member.name for member in artifact.members} == set(files)
    assert [found.member for found in artifact.diagnostics] == [
        "model.data-00000-of-00002",
        "model.data-00001-of-00002",
    ]
