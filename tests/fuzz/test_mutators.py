"""Mutators keep what they do not change readable: each format's own reader still gets through most of what
they make.
"""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable

import h5py
import pytest

from modelinspect.encodings.hdf5.checksum import lookup3
from tests.fuzz.mutators import flatbuffer, hdf5, protobuf, sstable, zips
from tests.fuzz.mutators.choose import mutate
from tests.fuzz.mutators.havoc import havoc
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.tables import entry, header, table

RUNS = 200


def made(change: Callable[[bytes, random.Random], bytes], data: bytes) -> list[bytes]:
    return [change(data, random.Random(seed)) for seed in range(RUNS)]


def test_protobuf_messages_come_back_and_stay_messages() -> None:
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.graph_pb2 import GraphDef

    data = fixture_path("graph_def/frozen.pb").read_bytes()
    fields = protobuf.parse(data)
    assert fields is not None
    assert protobuf.serialize(fields) == data
    readable = 0
    for changed in made(protobuf.mutate, data):
        try:
            GraphDef.FromString(changed)
            readable += 1
        except DecodeError:
            pass
    assert readable > RUNS / 2


def test_checksums_of_changed_blocks_are_right() -> None:
    values = b"\0" * 24
    entries = [
        (b"", header(shards=1)),
        *((f"layer{n}/kernel".encode(), entry(1, [2], 8 * n, values[:8])) for n in range(3)),
    ]
    data = table(entries)
    sound = 0
    for changed in made(sstable.mutate, data):
        handles = sstable._handles(changed)
        if handles and all(
            sstable._checksum(changed[at : at + size + 1]) == changed[at + size + 1 : at + size + 5]
            for at, size in handles
        ):
            sound += 1
    assert sound > RUNS / 2


def test_archives_open_in_zipfile_with_right_checksums() -> None:
    data = fixture_path("keras_zip/deflated.keras").read_bytes()
    whole = 0
    for changed in made(lambda one, rng: zips.mutate(one, rng, havoc), data):
        try:
            with zipfile.ZipFile(io.BytesIO(changed)) as archive:
                whole += archive.testzip() is None
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            ValueError,
            EOFError,
            OSError,
            UnicodeDecodeError,
            RuntimeError,
            zlib.error,
        ):
            pass
    assert whole > RUNS / 4


@pytest.mark.parametrize("name", ["hdf5_structures/latest_chunked.h5", "hdf5_structures/latest_dense.h5"])
def test_checksums_of_changed_hdf5_structures_are_right(name: str) -> None:
    data = fixture_path(name).read_bytes()
    _, checked, addresses = hdf5.survey(data)
    assert len(checked) > 5
    assert len(addresses) > 5
    right = 0
    for changed in made(hdf5.mutate, data):
        right += all(
            lookup3(changed[begin:end]) == int.from_bytes(changed[end : end + 4], "little")
            for begin, end in checked
        )
    assert right > RUNS / 2
    with h5py.File(io.BytesIO(data)) as file:  # the fixture is one that the library reads
        assert len(file)


def test_runs_put_into_a_flatbuffer_leave_its_strings_where_references_lead() -> None:
    data = fixture_path("tflite/dense.tflite").read_bytes()
    layout = flatbuffer.survey(data)
    assert len(layout.tables) > 10
    changed = flatbuffer._insert(data, layout, random.Random(1))
    after = flatbuffer.survey(changed)
    assert len(changed) > len(data)
    assert len(after.tables) >= len(layout.tables)


@pytest.mark.parametrize("name", fixture_names(under="unsafe/"))
def test_any_file_can_be_changed(name: str) -> None:
    path = fixture_path(name)
    if path.is_file():
        data = path.read_bytes()
        assert any(mutate(data, random.Random(seed)) != data for seed in range(5))
