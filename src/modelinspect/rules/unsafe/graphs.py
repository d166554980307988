"""Finds the nodes of graphs whose operator may be worth a word: those of the table, and those that TensorFlow has not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from modelinspect.core.artifact import Artifact, Document, DocumentKind
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import Limits
from modelinspect.core.span import Span
from modelinspect.encodings.protobuf import WireType, message_class
from modelinspect.encodings.protobuf.wire import Wire
from modelinspect.encodings.riegeli import chunks
from modelinspect.encodings.walk import Walk
from modelinspect.formats.graph.core_ops import core_ops
from modelinspect.formats.keras.config import read_json
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import NOWHERE, Place
from modelinspect.rules.unsafe.configs import sound_fields
from modelinspect.rules.unsafe.operator_table import OPERATORS
from modelinspect.rules.unsafe.places import open_document, place_of, read_document
from modelinspect.sources.base import MemorySource
from modelinspect.sources.files import FileSet

FLEX = "Flex"
"""What LiteRT puts before the name of a TensorFlow operator."""
_HEAD = 1 << 16
_TEXT_SIZE = 64 << 20
_NAME = 1_000
_KEPT = 10_000
_SAVERS = ("traced_save", "traced_restore")
"""What TensorFlow 2 calls the functions that save and restore (saved_model/functional_saver.py)."""
_STEPS: dict[str, dict[int, str]] = {
    "SavedModel": {2: "MetaGraphDef"},
    "MetaGraphDef": {2: "GraphDef", 3: "SaverDef"},
    "GraphDef": {1: "NodeDef", 2: "FunctionDefLibrary"},
    "FunctionDefLibrary": {1: "FunctionDef"},
    "FunctionDef": {1: "OpDef", 3: "NodeDef"},
}
"""The fields that lead to nodes, by message."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its operator, the function that it is in, whether a saver has it, the first bytes of its message."""

    op: str
    name: str = ""
    function: str = ""
    place: Place = NOWHERE
    in_saver: bool = False
    data: bytes = b""
    is_lite: bool = False


def nodes_of(subject: Subject) -> tuple[Node, ...]:
    """Return the nodes of graphs, functions and TFLite models whose operator may be worth a word."""
    return tuple(risky_nodes(subject.artifact, subject.files))


def risky_nodes(artifact: Artifact, files: FileSet) -> Iterator[Node]:
    """Yield nodes of the table's operators and of operators that TensorFlow has not, in the order of the documents."""
    left = _KEPT
    for document in artifact.documents:
        for node in _nodes_of(document, files):
            left -= 1
            if left < 0:
                return
            yield node
    yield from _lite(artifact, files)


def _nodes_of(document: Document, files: FileSet) -> Iterator[Node]:
    match document.kind:
        case DocumentKind.GRAPH if document.label == "Riegeli":
            yield from _in_records(document, files)
        case DocumentKind.GRAPH:
            source = open_document(document, files)
            if source is not None:
                yield from _Graph(Wire(source), document).nodes(document.label, source.size)
        case DocumentKind.GRAPH_TEXT:
            data = _binary(read_document(document, files, _TEXT_SIZE), document.label)
            for node in _Graph(Wire(MemorySource(data)), document).nodes(document.label, len(data)):
                yield replace(node, place=place_of(document.stream, None))
        case DocumentKind.TFJS_MODEL:
            yield from _in_json(document, files)


class _Graph:
    """One graph in binary form."""

    def __init__(self, wire: Wire, document: Document) -> None:
        self._wire = wire
        self._document = document
        self._functions: set[str] = set()
        self._scopes: tuple[str, ...] = ("save/", "save_1/")  # a Saver's own, as far as nobody has renamed it

    def nodes(self, label: str, size: int) -> Iterator[Node]:
        """Yield what is worth a word; a node that calls a function of the library by its name is not."""
        found = list(self._walk(label, 0, size))
        for node in found:
            if node.op in OPERATORS or node.op not in self._functions:
                saver = any(word in node.function for word in _SAVERS) or (not node.function and node.name.startswith(self._scopes))
                yield replace(node, in_saver=saver)

    def _walk(self, label: str, begin: int, end: int) -> Iterator[Node]:
        pending = [(label, begin, end, "")]
        while pending:
            kind, begin, end, function = pending.pop()
            if kind == "FunctionDef":
                function = self._function_name(begin, end)
                self._functions.add(function)
            for _, tag, value, stop in sound_fields(self._wire, begin, end):
                inner = _STEPS[kind].get(tag >> 3) if tag & 7 == WireType.BYTES else None
                if inner == "NodeDef":
                    yield from self._node(value, stop, function)
                elif inner == "SaverDef":
                    self._saver(value, stop)
                elif inner in _STEPS:
                    pending.append((inner, value, stop, function))

    def _node(self, begin: int, end: int, function: str) -> Iterator[Node]:
        texts = self._texts(begin, end, (1, 2))
        op = texts.get(2, "")
        if op and (op in OPERATORS or op not in core_ops()):
            place = place_of(self._document.stream, Span(self._document.span.offset + begin, end - begin))
            yield Node(op, texts.get(1, ""), function, place, data=self._wire.bytes(begin, min(end, begin + _HEAD)))

    def _function_name(self, begin: int, end: int) -> str:
        for _, tag, value, stop in sound_fields(self._wire, begin, end):
            if tag == 1 << 3 | WireType.BYTES:
                return self._texts(value, stop, (1,)).get(1, "")
        return ""

    def _saver(self, begin: int, end: int) -> None:
        """Take the scope of a saver's nodes: ``save/restore_all`` is in ``save/``."""
        scope, slash, _ = self._texts(begin, end, (3,)).get(3, "").rpartition("/")
        if slash:
            self._scopes = (*self._scopes, f"{scope}/")

    def _texts(self, begin: int, end: int, numbers: tuple[int, ...]) -> dict[int, str]:
        """Return texts by field number; the last of a field counts, as for every reader."""
        return {
            tag >> 3: self._wire.bytes(value, min(stop, value + _HEAD)).decode(errors="replace")
            for _, tag, value, stop in sound_fields(self._wire, begin, end)
            if tag & 7 == WireType.BYTES and tag >> 3 in numbers
        }


def _binary(text: bytes, name: str) -> bytes:
    from google.protobuf import text_format

    parsed = message_class(name)()
    try:
        text_format.Parse(text, parsed, allow_unknown_field=True)
        binary: bytes = parsed.SerializePartialToString()
    except (text_format.ParseError, ValueError, RecursionError, OverflowError):  # parsing has told
        return b""
    return binary


def _in_records(document: Document, files: FileSet) -> Iterator[Node]:
    """Look for the operators' names in the records of a chunked model: each may be any part of the graph."""
    source = open_document(document, files)
    if source is None:
        return
    walk = Walk(source, ByteMapBuilder(source.name, source.size), Limits(), lambda error: None)
    for chunk in chunks(walk):
        for record in chunk.records:
            for op, _ in named_operators(record.data):
                yield Node(op, place=place_of(document.stream, Span(chunk.begin, chunk.end - chunk.begin)))


def named_operators(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the table's operators that stand somewhere in bytes as the ``op`` of a node does, binary or text, and the offset of each."""
    for op in OPERATORS:
        name = op.encode()
        for before, after in ((bytes((2 << 3 | WireType.BYTES, len(op))), b""), (b'"', b'"'), (b"'", b"'")):
            index = data.find(before + name + after)
            if index >= 0:
                yield op, index + len(before)
                break


def _in_json(document: Document, files: FileSet) -> Iterator[Node]:
    """Yield the nodes of a TensorFlow.js graph model."""
    value = read_json(read_document(document, files, _TEXT_SIZE))
    topology = value.get("modelTopology") if isinstance(value, Mapping) else None
    if not isinstance(topology, Mapping):
        return
    library = topology.get("library")
    functions = library.get("function") if isinstance(library, Mapping) else None
    lists = [("", topology.get("node"))]
    for function in functions if isinstance(functions, list) else []:
        if isinstance(function, Mapping):
            signature = function.get("signature")
            name = signature.get("name") if isinstance(signature, Mapping) else None
            lists.append((str(name), function.get("nodeDef")))
    known = {name for name, _ in lists}
    for function, nodes in lists:
        for node in nodes if isinstance(nodes, list) else []:
            op = node.get("op") if isinstance(node, Mapping) else None
            if isinstance(op, str) and op and (op in OPERATORS or op not in core_ops() | known):
                yield Node(op, str(node.get("name")), function, place_of(document.stream, document.span))


def _lite(artifact: Artifact, files: FileSet) -> Iterator[Node]:
    """Yield the custom operators of a TFLite model."""
    counts = artifact.facts.get("custom_operators")
    if isinstance(counts, Mapping):
        places = _operator_places(artifact, files)
        for name in counts:
            yield Node(name, place=places.get(name, Place(artifact.members[0].name)), is_lite=True)


def _operator_places(artifact: Artifact, files: FileSet) -> dict[str, Place]:
    """Return where a TFLite model names its custom operators, as far as its map tells."""
    found: dict[str, Place] = {}
    for member in artifact.members:
        table = member.map.path_table
        named = [index for index, name in enumerate(table.names) if name == "custom_code"]
        for row in np.flatnonzero(np.isin(member.map.columns.paths, named)).tolist():
            span = member.map[row].span
            if span.size <= _NAME:
                name = files.open(member.name).read_at(span.offset, span.size).decode(errors="replace")
                found.setdefault(name, Place(member.name, span.offset, span.size))
    return found
