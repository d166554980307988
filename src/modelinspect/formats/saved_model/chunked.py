"""Read chunked SavedModels (``.cpb``): a Riegeli file whose records are parts of one message, and last how to
join them.

Specification: tensorflow/tools/proto_splitter/chunk.proto and merge.cc. Each record is labelled by the field
that it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Facts
from modelinspect.encodings.protobuf import Field, MessageType, parse_message
from modelinspect.encodings.riegeli import SIGNATURE, Chunk, Record, chunks
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site

_METADATA, _TRANSPOSED = ord("m"), ord("t")


def parse_chunked(site: Site, type_: MessageType) -> Facts:
    """Claim the chunks of the file, each record as the field that it is."""
    found = list(chunks(site.walk))
    if site.source.size < len(SIGNATURE) or site.source.read_at(0, len(SIGNATURE)) != SIGNATURE:
        site.diagnose("the file does not begin as a Riegeli file does", 0)
    records = [record for chunk in found for record in chunk.records]
    fields = _fields(site, records, type_)
    for number, chunk in enumerate(found):
        _claim(site, number, chunk, fields)
    return {
        "chunks": len(found),
        "records": len(records),
        "record_fields": tuple(fields[record.position] for record in records),
    }


def _claim(site: Site, number: int, chunk: Chunk, fields: Mapping[int, str]) -> None:
    claims = site.claims
    name = f"chunk {number}"
    if chunk.type == _TRANSPOSED:
        site.diagnose("the records of a transposed chunk are not read", chunk.begin)
        return
    compressed = not any(record.stored for record in chunk.records)
    if compressed:
        # Records of one chunk are compressed together; what is in them is named, but not where in it.
        words = [fields[record.position] for record in chunk.records[:3]]
        path = claims.path(name, ", ".join(words)) if words else claims.path(name)
        kind = (
            RegionKind.GRAPH
            if chunk.records
            else RegionKind.METADATA
            if chunk.type == _METADATA
            else RegionKind.CONTAINER
        )
        for span in chunk.values:
            claims.claim(span.offset, span.size, kind, path)
        return
    for record in chunk.records:
        field = fields[record.position]
        kind = RegionKind.METADATA if field == "ChunkMetadata" else RegionKind.GRAPH
        for span in record.stored:
            claims.claim(span.offset, span.size, kind, claims.path(name, field))


def _fields(site: Site, records: list[Record], type_: MessageType) -> dict[int, str]:
    """Return what each record is, by its position: the field of the message, as the last record says."""
    names = {record.position: "record" for record in records}
    if not records:
        return names
    try:
        metadata: Any = parse_message(
            "proto_splitter.ChunkMetadata", records[-1].data, site.source.name, records[-1].position
        )
    except FormatError as error:
        site.survive(error)
        return names
    names[records[-1].position] = "ChunkMetadata"
    positions = [chunk.offset for chunk in metadata.chunks]
    pending: list[tuple[Any, MessageType | None, str]] = [
        (metadata.message, type_, type_.name.rpartition(".")[2])
    ]
    while pending:
        message, known, path = pending.pop()
        if message.HasField("chunk_index") and message.chunk_index < len(positions):
            position = positions[message.chunk_index]
            if position in names:
                names[position] = path
        for field in message.chunked_fields:
            pending.append((field.message, *_field(known, path, field.field_tag)))
    return names


def _field(known: MessageType | None, path: str, tags: Any) -> tuple[MessageType | None, str]:
    """Follow field numbers, indices and map keys from a message; return the type that they lead to and its
    path.
    """
    field: Field | None = None
    for tag in tags:
        match tag.WhichOneof("kind"):
            case "field":
                field = None if known is None else known.fields.get(tag.field)
                path += f".{tag.field if field is None else field.name}"
                known = None if field is None else field.message
            case "index":
                path += f"[{tag.index}]"
            case "map_key":
                kind = tag.map_key.WhichOneof("type")
                path += f"[{getattr(tag.map_key, kind)!r}]" if kind is not None else "[]"
                value = None if known is None else known.fields.get(2)
                known = value.message if value is not None and known is not None and known.is_entry else known
    return known, path
