"""Read the configurations of an artifact object by object; nothing in them is ever built or run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from modelinspect.core.artifact import Document, DocumentKind
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.encodings.json_objects import as_utf8, objects
from modelinspect.encodings.protobuf import WireType
from modelinspect.encodings.protobuf.wire import FieldAt, Wire
from modelinspect.errors import FormatError, LimitError
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Place
from modelinspect.rules.unsafe.loading import Danger, Evidence, evidence
from modelinspect.rules.unsafe.places import open_document, place_of, read_document
from modelinspect.rules.unsafe.readings import documents_of

_NODES, _METADATA = 1, 5
"""Fields on the way from a SavedMetadata to a layer's configuration
(tf_keras/protobuf/saved_metadata.proto).
"""
_META_GRAPHS, _OBJECT_GRAPH, _OBJECTS_FIELD, _USER_OBJECT, _USER_METADATA = 2, 7, 1, 4, 3
"""Fields on the way from a SavedModel to the metadata of its objects, where Keras kept configurations before
TensorFlow 2.5.
"""
_KEPT = 1_000
"""Findings of one kind that are kept; nobody reads more."""


@dataclass(frozen=True, slots=True)
class Located:
    """Evidence, and where its text is."""

    evidence: Evidence
    place: Place
    count: int = 1


@dataclass(frozen=True, slots=True)
class Unread:
    """A configuration that was not read, or not to its end, and why."""

    place: Place
    problem: str
    is_limit: bool


@dataclass(slots=True)
class Configs:
    """What the configurations of an artifact have loaders do, each once, and those that could not be read."""

    found: dict[tuple[Danger, str], Located] = field(default_factory=dict)
    unread: list[Unread] = field(default_factory=list)
    left_out: int = 0

    def of(self, danger: Danger) -> list[Located]:
        """Return the evidence of a kind."""
        return [located for (kind, _), located in self.found.items() if kind is danger]

    def add(self, item: Evidence, text: bytes, where: Place, kept: dict[Danger, int]) -> None:
        """Keep evidence, unless the same was found or there is more of the kind than anybody reads."""
        key = (item.danger, item.needle if item.danger is Danger.LAMBDA_CODE else item.message)
        known = self.found.get(key)
        if known is not None:
            better = (
                item if known.evidence.is_guess else known.evidence
            )  # the object around a text says what it is for
            self.found[key] = Located(better, known.place, known.count + 1)
        elif kept.get(item.danger, 0) < _KEPT:
            kept[item.danger] = kept.get(item.danger, 0) + 1
            self.found[key] = Located(item, _find(text, where, item.needle))
        else:
            self.left_out += 1


def configs_of(subject: Subject) -> Configs:
    """Return what the configurations of models, layers and training have loaders do."""
    configs = Configs()
    kept: dict[Danger, int] = {}
    for document in documents_of(subject):
        for text, place in _texts(document, subject, configs):
            try:
                for item in objects(text, subject.limits, place.member):
                    if _INTERESTING.isdisjoint(item):
                        continue
                    for one in evidence(item):
                        configs.add(one, text, place, kept)
            except FormatError as error:
                if document.kind is not DocumentKind.TFJS_MODEL:  # parsing has reported it
                    configs.unread.append(Unread(place, error.problem, isinstance(error, LimitError)))
    return configs


_INTERESTING = frozenset(("class_name", "module", "code", "value", "function", "node_def"))


def _texts(document: Document, subject: Subject, configs: Configs) -> Iterator[tuple[bytes, Place]]:
    """Yield the JSON texts of a document."""
    most = subject.limits.document_size
    match document.kind:
        case DocumentKind.KERAS_CONFIG | DocumentKind.TFJS_MODEL:
            place = place_of(document.stream, document.span)
            size = document.span.size if document.data is None else len(document.data)
            if size > most:
                configs.unread.append(
                    Unread(
                        place, f"a configuration of {size:,} bytes is longer than the limit of {most:,}", True
                    )
                )
                return
            data = read_document(document, subject.files, most)
            yield as_utf8(data).rstrip(b"\0"), place
        case DocumentKind.KERAS_METADATA:
            yield from _saved(document, subject, (_NODES, _METADATA), configs)
        case DocumentKind.GRAPH if document.label == "SavedModel":
            path = (_META_GRAPHS, _OBJECT_GRAPH, _OBJECTS_FIELD, _USER_OBJECT, _USER_METADATA)
            yield from _saved(document, subject, path, configs)


def _saved(
    document: Document, subject: Subject, path: tuple[int, ...], configs: Configs
) -> Iterator[tuple[bytes, Place]]:
    """Yield the JSON texts at the end of a path of field numbers through a message; what is broken ends
    before its time.
    """
    source = open_document(document, subject.files)
    if source is None:
        return
    wire, most = Wire(source), subject.limits.document_size
    pending = [(0, source.size, 0)]
    while pending:
        begin, end, depth = pending.pop()
        for _, tag, value, stop in sound_fields(wire, begin, end):
            if tag != path[depth] << 3 | WireType.BYTES:
                continue
            place = place_of(document.stream, Span(value, stop - value))
            if depth + 1 < len(path):
                pending.append((value, stop, depth + 1))
            elif stop - value > most:
                problem = f"a configuration of {stop - value:,} bytes is longer than the limit of {most:,}"
                configs.unread.append(Unread(place, problem, True))
            else:
                text = wire.bytes(value, stop)
                if text.lstrip()[:1] in (b"{", b"["):  # the metadata of other objects is text of other kinds
                    yield text, place


def sound_fields(wire: Wire, begin: int, end: int) -> Iterator[FieldAt]:
    """Yield the fields of a message up to the first that is broken; parsing has reported that."""
    with suppress(FormatError):
        yield from wire.fields(begin, end)


def _find(text: bytes, where: Place, needle: str) -> Place:
    """Return where a string's JSON form is; the whole text where it is not found or compressed."""
    if where.offset is None or where.within is not None:
        return where
    for quoted in (json.dumps(needle), json.dumps(needle, ensure_ascii=False)):
        written = quoted.encode("utf-8", "replace")
        index = text.find(written)
        if index >= 0:
            return Place(where.member, where.offset + index, len(written))
    return where
