"""Chunked SavedModels.

Open-source TensorFlow cannot write them: the files here are made by the specification of Riegeli.
"""

from __future__ import annotations

from typing import Any

import cramjam
import pytest

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.protobuf import message_class
from modelinspect.encodings.riegeli import BLOCK, BLOCK_HEADER, SIGNATURE
from modelinspect.errors import ModelInspectError
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles

FIRST_64 = bytes.fromhex(
    "83af70d10d884a3f0000000000000000400000000000000091bac23c9287e1a90000000000000000e19f13c0e9b1c37273000000000000000000000000000000"
)
"""The bytes that the specification gives for the beginning of every file."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class Writer:
    """Writes Riegeli files as the specification says, hashes left zero."""

    def __init__(self) -> None:
        self.out = bytearray(FIRST_64)

    def put(self, data: bytes) -> None:
        while data:
            if len(self.out) % BLOCK == 0:
                self.out += bytes(BLOCK_HEADER)
            room = BLOCK - len(self.out) % BLOCK
            self.out += data[:room]
            data = data[room:]

    def chunk(self, records: list[bytes], codec: str = "") -> int:
        begin = len(self.out)
        sizes, values = b"".join(varint(len(record)) for record in records), b"".join(records)
        if codec:
            encode = getattr(cramjam, codec).compress
            sizes, values = (varint(len(part)) + bytes(encode(part)) for part in (sizes, values))
        data = (
            bytes([{"": 0, "brotli": ord("b"), "zstd": ord("z")}[codec]])
            + varint(len(sizes))
            + sizes
            + values
        )
        count, decoded = len(records), sum(map(len, records))
        self.put(
            bytes(8)
            + len(data).to_bytes(8, "little")
            + bytes(8)
            + b"r"
            + count.to_bytes(7, "little")
            + decoded.to_bytes(8, "little")
        )
        self.put(data)
        while len(self.out) < begin + count or 0 < len(self.out) % BLOCK <= BLOCK_HEADER:
            self.out += b"\0"
        return begin


def model(codec: str = "", nodes: int = 3) -> tuple[bytes, dict[str, int]]:
    """Return a file of a SavedModel in three records: itself, a node of its graph, the content of a
    constant.
    """
    base: Any = message_class("SavedModel")(saved_model_schema_version=1)
    graph = base.meta_graphs.add().graph_def
    for number in range(nodes):
        graph.node.add(name=f"node_{number}", op="NoOp")
    large: Any = message_class("NodeDef")(name="large", op="Const")
    writer = Writer()
    records = [base.SerializeToString(), large.SerializeToString(), bytes(range(256)) * 700]
    begins = [writer.chunk(records[:2], codec), writer.chunk(records[2:], codec)]
    metadata: Any = message_class("proto_splitter.ChunkMetadata")()
    positions = [begins[0], begins[0] + 1, begins[1]]
    for position, record in zip(positions, records, strict=True):
        metadata.chunks.add(offset=position, size=len(record), type=1)
    metadata.message.chunk_index = 0
    tags = [("field", 2), ("index", 0), ("field", 2), ("field", 1), ("index", nodes)]
    content = [*tags, ("field", 5), ("map_key", "value"), ("field", 8), ("field", 4)]
    for index, path in ((1, tags), (2, content)):
        field = metadata.message.chunked_fields.add()
        field.message.chunk_index = index
        for kind, value in path:
            tag = field.field_tag.add()
            if kind == "map_key":
                tag.map_key.s = value
            else:
                setattr(tag, kind, value)
    last = writer.chunk([metadata.SerializeToString()], codec)
    return bytes(writer.out), {"base": begins[0], "content": begins[1], "metadata": last}


def opened(data: bytes) -> Artifact:
    return parse(MemoryFiles({"saved_model.cpb": data, "fingerprint.pb": b""}))


def test_the_signature_is_that_of_the_specification() -> None:
    assert FIRST_64.startswith(SIGNATURE)


def test_records_are_named_by_the_fields_that_they_are() -> None:
    data, places = model()
    artifact = opened(data)
    assert artifact.diagnostics == ()
    member = artifact.member("saved_model.cpb")
    assert member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0
    content = "SavedModel.meta_graphs[0].graph_def.node[3].attr['value'].tensor.tensor_content"
    assert artifact.facts["record_fields"] == (
        "SavedModel",
        "SavedModel.meta_graphs[0].graph_def.node[3]",
        content,
        "ChunkMetadata",
    )
    assert member.map.at(data.index(b"node_0")).path == ("chunk 1", "SavedModel")
    assert member.map.at(data.index(b"large")).path == (
        "chunk 1",
        "SavedModel.meta_graphs[0].graph_def.node[3]",
    )
    pieces = [region for region in member.map if region.path == ("chunk 2", content)]
    assert sum(region.span.size for region in pieces) == 256 * 700
    assert len(pieces) == 3  # block headers stand between
    assert member.map.at(BLOCK).path == ("block header",)
    assert member.map.at(places["metadata"]).kind is RegionKind.CONTAINER


@pytest.mark.parametrize("codec", ["brotli", "zstd"])
def test_compressed_chunks_are_named_by_their_records(codec: str) -> None:
    data, places = model(codec)
    artifact = opened(data)
    assert artifact.diagnostics == ()
    member = artifact.member("saved_model.cpb")
    assert member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0
    assert member.map.at(places["base"] + 60).path == (
        "chunk 1",
        "SavedModel, SavedModel.meta_graphs[0].graph_def.node[3]",
    )


@pytest.mark.parametrize("codec", ["", "brotli"])
def test_cut_or_changed_it_gives_a_map_or_a_clear_error(codec: str) -> None:
    data, _ = model(codec)
    maps = 0
    for place in [*range(0, 400, 3), *range(400, len(data), 5_003)]:
        for changed in (data[:place], data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]):
            try:
                artifact = opened(changed)
            except ModelInspectError:
                continue
            maps += 1
            member = artifact.member("saved_model.cpb")
            if member.map.kind_sizes()[RegionKind.UNATTRIBUTED]:
                assert artifact.diagnostics
    assert maps > 100


def test_a_chunk_that_lies_about_its_size_allocates_nothing() -> None:
    writer = Writer()
    begin = writer.chunk([b"x" * 100], "brotli")
    data = bytearray(writer.out)
    data[begin + 32 : begin + 40] = (1 << 60).to_bytes(8, "little")
    assert "limit" in opened(bytes(data)).diagnostics[0].problem
