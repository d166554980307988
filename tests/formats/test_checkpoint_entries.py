"""Entries that are read without the protobuf package say what it would have read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tables import entry, header, table

from modelinspect.core.artifact import Artifact
from modelinspect.formats.checkpoint.bundle import EntryReader
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles


def parsed(index: bytes) -> Artifact:
    return parse(
        MemoryFiles({"model.index": index, "model.data-00000-of-00001": bytes(4_000)}, "model.index")
    )


def told(artifact: Artifact) -> object:
    regions = [
        [(region.span, region.kind, region.path, region.tensor) for region in member.map]
        for member in artifact.members
    ]
    return regions, artifact.tensors, artifact.facts, artifact.diagnostics


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(0, 5), snappy=st.booleans())
def test_entries_are_the_same_without_the_short_way(seed: int, flips: int, snappy: bool) -> None:
    rng = random.Random(seed)
    rows = [(b"", header())]
    for number in range(12):
        shape = rng.choice(((), (2,), (300, 1), (1, 1, 5), (0,)))
        value = bytearray(
            entry(
                rng.choice((1, 3, 7, 9, 14, 99)),
                shape,
                rng.randrange(4_000),
                bytes(rng.choice((0, 4, 8, 300))),
            )
        )
        for _ in range(flips if number % 3 else 0):
            place = rng.randrange(len(value) + 1)
            match rng.randrange(3):
                case 0:
                    value[place : place + 1] = bytes(
                        [rng.choice((0, 1, 8, 0x12, 0x28, 0x35, 0x7F, 0x80, 0xFF))]
                    )
                case 1:
                    value[place:place] = rng.choice(
                        (
                            b"\x08\x03",
                            b"\x28\x80\x80\x01",
                            b"\x28" + b"\xff" * 9 + b"\x01",
                            b"\x12\x00",
                            b"\x3a\x00",
                        )
                    )
                case _:
                    del value[place:]
        rows.append((b"variable_%02d" % number, bytes(value)))
    index = table(rows, snappy=snappy)
    found = told(parsed(index))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntryReader, "read", lambda self, entry: None)
        assert told(parsed(index)) == found


def test_usual_entries_take_the_short_way() -> None:
    taken: list[bool] = []
    read = EntryReader.read
    rows = [
        (b"", header()),
        *((b"v%d" % number, entry(1, (2,), 8 * number, bytes(8))) for number in range(5)),
    ]

    def counted(self: EntryReader, entry: object) -> object:
        said = read(self, entry)  # type: ignore[arg-type]
        taken.append(said is not None)
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EntryReader, "read", counted)
        parsed(table(rows))
    assert taken[-5:] == [True] * 5
