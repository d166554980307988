"""Reads the configurations of an artifact as plain JSON values; nothing in them is ever built or run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from modelinspect.core.artifact import Artifact, Document, DocumentKind
from modelinspect.core.span import Span
from modelinspect.encodings.protobuf import WireType
from modelinspect.encodings.protobuf.wire import FieldAt, Wire
from modelinspect.errors import FormatError
from modelinspect.formats.keras.config import read_json
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Place
from modelinspect.rules.unsafe.places import open_document, place_of, read_document
from modelinspect.sources.files import FileSet

_SIZE = 64 << 20
_OBJECTS = 1_000_000
_NODES, _METADATA = 1, 5
"""Fields on the way from a SavedMetadata to a layer's configuration (tf_keras/protobuf/saved_metadata.proto)."""
_META_GRAPHS, _OBJECT_GRAPH, _OBJECTS_FIELD, _USER_OBJECT, _USER_METADATA = 2, 7, 1, 4, 3
"""Fields on the way from a SavedModel to the metadata of its objects, where Keras kept configurations before TensorFlow 2.5."""


@dataclass(frozen=True, slots=True)
class Config:
    """A JSON value, where its text stands, and the text: to find in it what a rule has found in the value."""

    value: object
    place: Place
    text: str

    def objects(self) -> Iterator[Mapping[str, object]]:
        """Yield every JSON object within, outermost first, up to a number that no model has."""
        pending: list[object] = [self.value]
        for _ in range(_OBJECTS):
            if not pending:
                return
            value = pending.pop()
            if isinstance(value, Mapping):
                yield value
                pending.extend(reversed(list(value.values())))
            elif isinstance(value, list):
                pending.extend(reversed(value))

    def find(self, needle: object) -> Place:
        """Return where a string's JSON form stands; the whole text where it is not found or compressed."""
        where = self.place
        if where.offset is None or where.within is not None or not isinstance(needle, str):
            return where
        quoted = json.dumps(needle)
        index = self.text.find(quoted)
        if index < 0:
            quoted = json.dumps(needle, ensure_ascii=False)
            index = self.text.find(quoted)
        if index < 0:
            return where
        before, size = len(self.text[:index].encode("utf-8", "replace")), len(quoted.encode("utf-8", "replace"))
        return Place(where.member, where.offset + before, size)


def configs_of(subject: Subject) -> tuple[Config, ...]:
    """Return the configurations of models, layers and training."""
    return tuple(read_configs(subject.artifact, subject.files))


def read_configs(artifact: Artifact, files: FileSet) -> Iterator[Config]:
    """Yield every configuration that can be read as JSON."""
    for document in artifact.documents:
        match document.kind:
            case DocumentKind.KERAS_CONFIG | DocumentKind.TFJS_MODEL:
                yield from _json(read_document(document, files, _SIZE), place_of(document.stream, document.span))
            case DocumentKind.KERAS_METADATA:
                yield from _saved(document, files, (_NODES, _METADATA))
            case DocumentKind.GRAPH if document.label == "SavedModel":
                path = (_META_GRAPHS, _OBJECT_GRAPH, _OBJECTS_FIELD, _USER_OBJECT, _USER_METADATA)
                yield from _saved(document, files, path)


def _json(data: bytes, place: Place) -> Iterator[Config]:
    text = data.rstrip(b"\0").decode("utf-8", "replace")
    value = read_json(text)
    if isinstance(value, dict | list):
        yield Config(value, place, text)


def unread_configs(artifact: Artifact, files: FileSet) -> Iterator[Place]:
    """Yield where configurations stand that cannot be read as JSON, or are longer than any model's."""
    for document in artifact.documents:
        if document.kind is DocumentKind.KERAS_CONFIG:
            place = place_of(document.stream, document.span)
            if next(_json(read_document(document, files, _SIZE), place), None) is None:
                yield place


def _saved(document: Document, files: FileSet, path: tuple[int, ...]) -> Iterator[Config]:
    """Yield the JSON texts at the end of a path of field numbers through a message; what is broken ends before its time."""
    source = open_document(document, files)
    if source is None:
        return
    wire = Wire(source)
    pending = [(0, source.size, 0)]
    while pending:
        begin, end, depth = pending.pop()
        for _, tag, value, stop in sound_fields(wire, begin, end):
            if tag != path[depth] << 3 | WireType.BYTES:
                continue
            if depth + 1 < len(path):
                pending.append((value, stop, depth + 1))
            elif stop - value <= _SIZE:
                yield from _json(wire.bytes(value, stop), place_of(document.stream, Span(value, stop - value)))


def sound_fields(wire: Wire, begin: int, end: int) -> Iterator[FieldAt]:
    """Yield the fields of a message up to the first that is broken; parsing has told of that."""
    with suppress(FormatError):
        yield from wire.fields(begin, end)
