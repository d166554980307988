"""Find the nodes of graphs whose operator may be worth a word: those of the table, and those that TensorFlow
has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import numpy as np

from modelinspect.core.artifact import Artifact, Document, DocumentKind, Member
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.names import LARGE_OPTIONS
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.encodings.json_objects import objects
from modelinspect.encodings.protobuf import WireType, message_class
from modelinspect.encodings.protobuf.wire import Wire
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.formats.graph.core_ops import core_ops
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import NOWHERE, Place
from modelinspect.rules.unsafe.configs import configs_of, sound_fields
from modelinspect.rules.unsafe.loading import Danger
from modelinspect.rules.unsafe.operator_table import OPERATORS, Risk
from modelinspect.rules.unsafe.places import open_document, place_of, read_document
from modelinspect.rules.unsafe.readings import documents_of
from modelinspect.sources.base import MemorySource
from modelinspect.sources.files import FileSet

FLEX = "Flex"
"""What LiteRT puts before the name of a TensorFlow operator."""
_HEAD = 1 << 16
_TEXT_SIZE = 64 << 20
_NAME = 1_000
_NAMED = 3
_OPERATORS = 2_000
"""Operators that are counted apart; the rest are counted together."""
_MANY = "(other operators)"
_WAITING = 100_000
_SHORTEST_NODE = 3
"""A message of no more bytes has no operator with a name."""
_OPTIONS_SIZE = 64 << 20
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


@dataclass(slots=True)
class Use:
    """An operator's nodes that are alike: in a saver or not, appending to a file or not; the first few by
    name, and how many there are.

    ``is_lite`` means that it is a custom operator of a TFLite model, ``at_load`` that loading a layer makes
    the node.
    """

    op: str
    place: Place = NOWHERE
    in_saver: bool = False
    to_file: bool = False
    is_lite: bool = False
    at_load: bool = False
    names: list[str] = field(default_factory=list)
    count: int = 0
    size: int = 0

    def add(self, name: str, place: Place) -> None:
        """Count one more node."""
        self.count += 1
        self.size += place.size or 0
        if name and len(self.names) < _NAMED:
            self.names.append(name)
        if self.count == 1 or (place.member, place.offset or 0) < (self.place.member, self.place.offset or 0):
            self.place = place


class Uses:
    """The operators worth a word, one entry for those that are alike: memory for each operator, not for each
    node.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, bool, bool, bool, bool], Use] = {}

    def add(
        self,
        op: str,
        name: str,
        place: Place,
        *,
        in_saver: bool = False,
        to_file: bool = False,
        is_lite: bool = False,
        at_load: bool = False,
    ) -> None:
        """Count a node."""
        key = (op, in_saver, to_file, is_lite, at_load)
        use = self.found.get(key)
        if use is None:
            if len(self.found) >= _OPERATORS:
                key = (_MANY, False, False, is_lite, False)
                op = _MANY
                use = self.found.get(key)
            if use is None:
                use = self.found[key] = Use(op, place, in_saver, to_file, is_lite, at_load)
        use.add(name, place)

    def merge(self, uses: Iterable[Use]) -> None:
        """Count what another search has counted."""
        for use in uses:
            key = (use.op, use.in_saver, use.to_file, use.is_lite, use.at_load)
            known = self.found.get(key)
            if known is None:
                self.found[key] = use
            else:
                known.count += use.count
                known.size += use.size
                known.names = (known.names + use.names)[:_NAMED]


def uses_of(subject: Subject) -> tuple[Use, ...]:
    """Return the operators of graphs, functions, layers and TFLite models that are worth a word."""
    uses = Uses()
    for document in documents_of(subject):
        _search(document, subject, uses)
    for located in subject.once(configs_of).of(Danger.NODE):
        op = located.evidence.needle
        if op in OPERATORS or op not in core_ops():
            uses.add(op, "TensorFlowOpLayer", located.place, at_load=True, to_file=False)
    _search_lite(subject.artifact, subject.files, uses)
    return tuple(uses.found.values())


def _search(document: Document, subject: Subject, uses: Uses) -> None:
    files = subject.files
    match document.kind:
        case DocumentKind.GRAPH if document.label == "Riegeli":
            _search_records(document, subject, uses)
        case DocumentKind.GRAPH:
            source = open_document(document, files)
            if source is not None:
                _Graph(Wire(source), document, uses).search(document.label, source.size)
        case DocumentKind.GRAPH_TEXT:
            text = read_document(document, files, _TEXT_SIZE)
            data = _binary(text, document.label)
            _Graph(Wire(MemorySource(data)), document, uses, has_places=False).search(
                document.label, len(data)
            )
        case DocumentKind.TFJS_MODEL:
            _search_json(document, subject, uses)


class _Graph:
    """One graph in binary form."""

    def __init__(self, wire: Wire, document: Document, uses: Uses, *, has_places: bool = True) -> None:
        self._wire = wire
        self._document = document
        self._uses = uses
        self._has_places = has_places
        self._found = Uses()
        self._checkpoints: list[tuple[str, str, str, Place]] = []
        self._functions: set[str] = set()
        self._scopes: tuple[str, ...] = ("save/", "save_1/")  # a Saver's own, as far as nobody has renamed it

    def search(self, label: str, size: int) -> None:
        """Count what is worth a word; a node that calls a function of the library by its name is not.

        Functions and savers are after the nodes that they describe, so what is counted is looked at again in
        the end.
        """
        pending = [(label, 0, size, "")]
        while pending:
            kind, begin, end, function = pending.pop()
            if kind == "FunctionDef":
                function = self._function_name(begin, end)
                self._functions.add(function)
            steps = _STEPS[kind]
            for _, tag, value, stop in sound_fields(self._wire, begin, end):
                inner = steps.get(tag >> 3) if tag & 7 == WireType.BYTES else None
                if inner == "NodeDef":
                    if stop - value > _SHORTEST_NODE:
                        self._node(value, stop, function)
                elif inner == "SaverDef":
                    self._saver(value, stop)
                elif inner in _STEPS and stop > value:
                    pending.append((inner, value, stop, function))
        for op, name, function, place in self._checkpoints:
            in_saver = any(word in function for word in _SAVERS) or (
                not function and name.startswith(self._scopes)
            )
            self._found.add(op, name, place, in_saver=in_saver)
        self._uses.merge(
            use for use in self._found.found.values() if use.op in OPERATORS or use.op not in self._functions
        )

    def _node(self, begin: int, end: int, function: str) -> None:
        texts = self._texts(begin, end, (1, 2))
        op = texts.get(2, "")
        if not op or (op not in OPERATORS and op in core_ops()):
            return
        name = texts.get(1, "")
        to_file = op == "PrintV2" and b"file://" in self._wire.bytes(begin, min(end, begin + _HEAD))
        place = place_of(
            self._document.stream,
            Span(self._document.span.offset + begin, end - begin) if self._has_places else None,
        )
        if op in OPERATORS and OPERATORS[op][0] is Risk.CHECKPOINT and len(self._checkpoints) < _WAITING:
            self._checkpoints.append((op, name, function, place))
            return
        self._found.add(op, f"{name} in function {function}" if function else name, place, to_file=to_file)

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
    except (text_format.ParseError, ValueError, RecursionError, OverflowError):  # parsing has reported it
        return b""
    return binary


def _search_records(document: Document, subject: Subject, uses: Uses) -> None:
    """Look for the operators' names in the records of a chunked model: each may be any part of the graph."""
    source = open_document(document, subject.files)
    if source is None:
        return
    from modelinspect.encodings.riegeli import chunks  # few models are chunked

    walk = Walk(source, ByteMapBuilder(source.name, source.size), subject.limits, lambda error: None)
    for chunk in chunks(walk):
        for record in chunk.records:
            for op, _ in named_operators(record.data):
                uses.add(op, "", place_of(document.stream, Span(chunk.begin, chunk.end - chunk.begin)))


def named_operators(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the table's operators that are somewhere in bytes as the ``op`` of a node does, binary or text,
    and the offset of each.
    """
    for op in OPERATORS:
        name = op.encode()
        for before, after in ((bytes((2 << 3 | WireType.BYTES, len(op))), b""), (b'"', b'"'), (b"'", b"'")):
            index = data.find(before + name + after)
            if index >= 0:
                yield op, index + len(before)
                break


def _search_json(document: Document, subject: Subject, uses: Uses) -> None:
    """Count the nodes of a TensorFlow.js graph model; functions end after their nodes, so nodes wait for
    them.
    """
    text = read_document(document, subject.files, subject.limits.document_size)
    place = place_of(document.stream, document.span)
    waiting: list[tuple[str, str]] = []
    functions: set[str] = set()
    named: list[tuple[str, str, str]] = []
    with suppress(FormatError):  # reported by `configs_of`, and by parsing
        for item in objects(text, subject.limits, place.member):
            op = item.get("op")
            if isinstance(op, str) and op and (op in OPERATORS or op not in core_ops()):
                if len(waiting) + len(named) < _WAITING:
                    waiting.append((op, str(item.get("name"))))
            elif "nodeDef" in item:
                signature = item.get("signature")
                function = str(signature.get("name")) if isinstance(signature, Mapping) else ""
                functions.add(function)
                named += [(op, name, function) for op, name in waiting]
                waiting = []
    for op, name, function in (*named, *((op, name, "") for op, name in waiting)):
        if op in OPERATORS or op not in functions:
            uses.add(op, f"{name} in function {function}" if function else name, place)


def _search_lite(artifact: Artifact, files: FileSet, uses: Uses) -> None:
    """Count the custom operators of all TFLite models of the artifact, and what the NodeDef in the options of
    a Flex operator names.
    """
    names = list(artifact.facts.get("custom_operators", ()))
    if not names:
        return
    places = _operator_places(artifact, files)
    for name in names:
        uses.add(name, "", places.get(name, Place(artifact.members[0].name)), is_lite=True)
    if any(name.startswith(FLEX) for name in names):
        known = {name.removeprefix(FLEX) for name in names}
        for op, place in _options(artifact, files):
            if op not in known:
                uses.add(f"{FLEX}{op}", "", place, is_lite=True)


def options_beyond(subject: Subject) -> int:
    """Return how many bytes of custom options are not searched for the NodeDef of a Flex operator."""
    if not any(name.startswith(FLEX) for name in subject.artifact.facts.get("custom_operators", ())):
        return 0
    sizes = [span.size for member in subject.artifact.members for span in _option_spans(member)]
    return max(sum(sizes) - _OPTIONS_SIZE, 0)


def _options(artifact: Artifact, files: FileSet) -> Iterator[tuple[str, Place]]:
    """Yield the table's operators that custom options name as a NodeDef does: that is the one that a Flex
    kernel runs.
    """
    left, seen = _OPTIONS_SIZE, set()
    for member in artifact.members:
        for span in _option_spans(member):
            left -= span.size
            if left < 0:  # `options_beyond` says how much is not searched
                return
            data = files.open(member.name).read_at(span.offset, span.size)
            if data not in seen:
                seen.add(data)
                for op, index in named_operators(data):
                    yield op, Place(member.name, span.offset + index, len(op))


def _option_spans(member: Member) -> Iterator[Span]:
    """Yield where custom options are: in the flatbuffer, or after it where they are large."""
    table = member.map.path_table
    named = [
        index
        for index, (name, parent) in enumerate(zip(table.names, table.parents, strict=True))
        if "custom_options" in (name, table.names[parent]) or name.startswith(LARGE_OPTIONS)
    ]
    for row in np.flatnonzero(np.isin(member.map.columns.paths, named)).tolist():
        yield member.map[row].span


def _operator_places(artifact: Artifact, files: FileSet) -> dict[str, Place]:
    """Return where a TFLite model names its custom operators, as far as its map says."""
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
