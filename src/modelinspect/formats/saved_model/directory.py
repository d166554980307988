"""Pass each file of a SavedModel directory to its parser, and read chunked SavedModels (``.cpb``).

These are a Riegeli file whose records are parts of one message, and last how to join them:
tensorflow/tools/proto_splitter/chunk.proto and merge.cc. Each record is labelled by the field that it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, Facts, add_facts
from modelinspect.core.names import (
    FINGERPRINT_PB,
    KERAS_METADATA_MESSAGE,
    KERAS_METADATA_PB,
    SAVED_MODEL_CPB,
    SAVED_MODEL_PB,
    SAVED_MODEL_PBTXT,
)
from modelinspect.encodings.protobuf import Field, MessageType, message, parse_message
from modelinspect.encodings.riegeli import SIGNATURE, Chunk, Record, chunks
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.checkpoint import read_bundle
from modelinspect.formats.graph.facts import graph_facts
from modelinspect.formats.graph.messages import MessageWalk
from modelinspect.formats.graph.text import parse_text
from modelinspect.formats.graph.uses import assign_roles

MODEL_FILES = (SAVED_MODEL_CPB, SAVED_MODEL_PB, SAVED_MODEL_PBTXT)
"""In the order in which TensorFlow's loader looks for them (tensorflow/cc/saved_model/reader.cc)."""
VARIABLES = "variables/variables"
_MESSAGES = {
    FINGERPRINT_PB: ("FingerprintDef", RegionKind.METADATA),
    KERAS_METADATA_PB: (KERAS_METADATA_MESSAGE, RegionKind.METADATA),
    "debug/saved_model_debug_info.pb": ("GraphDebugInfo", RegionKind.DEBUG),
}
"""Files that are one message each."""
_LAYERS_SIZE = 64 << 20


def parse_directory(parsing: Parsing) -> None:
    """Claim every file, add the tensors, and set the facts."""
    names = (parsing.primary,) if parsing.primary is not None else parsing.names()
    layers = layer_names(parsing) if KERAS_METADATA_PB in names else {}
    model = [name for name in MODEL_FILES if name in names]
    facts: Facts = {}
    for name in reversed(model):  # the file that the loader takes has the last word
        facts |= _graph(parsing.open(name), name, layers)
    parsing.facts.update(facts)
    taken = {*model, *_variables(parsing, names, facts)}
    for name in names:
        if name in _MESSAGES:
            one_message(parsing.open(name), *_MESSAGES[name])
        elif name not in taken:
            site = parsing.open(name)
            folder = name.partition("/")[0] if "/" in name else "file"
            site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path(folder))
    if KERAS_METADATA_PB in names:
        parsing.open(KERAS_METADATA_PB).document(DocumentKind.KERAS_METADATA)
        parsing.facts["keras_layers"] = len(layers)


def _graph(site: Site, name: str, layers: dict[int, str]) -> Facts:
    if name == SAVED_MODEL_CPB:
        site.document(DocumentKind.GRAPH, label="Riegeli")
        return _parse_chunked(site, message("SavedModel"))
    site.document(
        DocumentKind.GRAPH_TEXT if name == SAVED_MODEL_PBTXT else DocumentKind.GRAPH, label="SavedModel"
    )
    first = site.parsing.tensor_count
    if name == SAVED_MODEL_PBTXT:
        facts, uses = parse_text(site, message("SavedModel"), RegionKind.METADATA, layers)
    else:
        walk = MessageWalk(site)
        walk.root(message("SavedModel"), RegionKind.METADATA)
        facts, uses = graph_facts(walk, layers), walk.nodes.uses
    if facts.get("variable_count") == 0:  # its weights are constants
        assign_roles(site.parsing, uses, first)
    return facts


def _variables(parsing: Parsing, names: Iterable[str], facts: Facts) -> list[str]:
    """Read the checkpoint of the variables; return the files that belong to it."""
    files = [name for name in names if name == f"{VARIABLES}.index" or name.startswith(f"{VARIABLES}.data-")]
    if f"{VARIABLES}.index" in files:
        bundle = read_bundle(parsing, f"{VARIABLES}.index", files)
        add_facts(
            parsing.facts,
            {key: cast("Fact", fact) for key, fact in bundle.facts.items() if key not in parsing.facts},
        )
        return files
    site = parsing.open(next(name for name in MODEL_FILES if name in names))
    if files:
        for name in files:
            parsing.open(name)
        parsing.open(files[0]).diagnose(
            f"{VARIABLES}.index is missing: nothing says what the shards hold", 0, Severity.ERROR
        )
    elif parsing.primary is None and facts.get("variable_count"):
        site.diagnose(
            f"the graph has {facts['variable_count']} variables but there is no {VARIABLES}.index",
            severity=Severity.NOTE,
        )
    return files


def one_message(site: Site, name: str, kind: RegionKind) -> None:
    """Claim a file that is one message, each of its messages a region."""
    MessageWalk(site).root(message(name), kind)


def layer_names(parsing: Parsing) -> dict[int, str]:
    """Return the names of Keras layers by their node in the object graph, as keras_metadata.pb lists them."""
    source = parsing.files.open(KERAS_METADATA_PB)
    if source.size > min(_LAYERS_SIZE, parsing.limits.structure_size):
        return {}
    try:
        metadata = parse_message(KERAS_METADATA_MESSAGE, source.read_at(0, source.size))
    except FormatError:  # the walk over the file says so
        return {}
    names: dict[int, str] = {}
    for node in metadata.nodes:  # type: ignore[attr-defined]
        if not node.identifier.endswith(("layer", "model", "network", "sequential")):
            continue
        try:
            config = json.loads(node.metadata)
        except (ValueError, RecursionError):
            continue
        name = config.get("name") if isinstance(config, dict) else None
        if isinstance(name, str):
            names[node.node_id] = name
    return names


_METADATA, _TRANSPOSED = ord("m"), ord("t")


def _parse_chunked(site: Site, type_: MessageType) -> Facts:
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
