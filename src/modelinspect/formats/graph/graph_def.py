"""Read graphs on their own: GraphDef and MetaGraphDef, binary or text, known by only their structure.

Specification: tensorflow/core/framework/graph.proto, tensorflow/core/protobuf/meta_graph.proto. There is no
magic number: a file is a graph where its first fields are those of the message and hold sound nodes,
functions or versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from modelinspect.core.artifact import DocumentKind, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Facts
from modelinspect.encodings.protobuf import MessageType, WireType, message
from modelinspect.encodings.protobuf.text import Token, tokens
from modelinspect.encodings.protobuf.wire import FieldAt, Malformed, Wire, scan
from modelinspect.errors import FormatError
from modelinspect.formats.base import About, Parsing, Site
from modelinspect.formats.graph.facts import graph_facts
from modelinspect.formats.graph.messages import MessageWalk
from modelinspect.formats.graph.text import parse_text
from modelinspect.formats.graph.uses import assign_roles
from modelinspect.formats.lookalikes import is_foreign_graph
from modelinspect.sources.base import Source

_LOOKED_AT = 12
"""Fields that are looked at before a file is believed to be a graph."""
_NODE_SIZE = 1 << 16
_NODE_NAME = re.compile(rb"[A-Za-z0-9_.][A-Za-z0-9_.:>/\\-]*")
_OP_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.:>/\\-]*")
_VERSION = re.compile(rb"(\d+\.\d+[0-9A-Za-z.+_-]*)?")
_TEXT_SIZE = 1 << 16
_TEXT_FIRST: dict[str, dict[str, tuple[str, ...]]] = {
    "GraphDef": {
        "node": ("name", "op"),
        "library": ("function", "gradient"),
        "versions": ("producer", "min_consumer"),
    },
    "MetaGraphDef": {
        "meta_info_def": ("meta_graph_version", "stripped_op_list", "tags", "tensorflow_version", "any_info"),
        "graph_def": ("node", "library", "versions"),
    },
    "SavedModel": {"saved_model_schema_version": (), "meta_graphs": ("meta_info_def", "graph_def")},
}
"""For each message the fields that a text of it begins with, and what their values begin with."""


class GraphDefFormat:
    """A GraphDef (a frozen ``.pb``), a MetaGraphDef (``.meta``), or one of them as text (``.pbtxt``)."""

    name = FormatName.GRAPH_DEF
    about = About(
        title="GraphDef and MetaGraphDef",
        names=(FormatName.GRAPH_DEF,),
        files=("`*.pb`", "`*.meta`", "`*.pbtxt`"),
        page="saved_model.md",
        limitations=(
            "Facts of a `.pbtxt` are read up to 1 MiB of text, the values of one constant up to 16 MiB.",
            (
                "Functions of more than 4 MiB are compared piece by piece; one that holds a constant above 1"
                " MiB is equal to no other."
            ),
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the one file is a graph."""
        return parsing.primary is not None and _find(parsing.files.open(parsing.primary)) is not None

    def parse(self, parsing: Parsing) -> FormatName:
        """Claim the graph's bytes, add its constants as tensors, and say what is known."""
        if parsing.primary is None:
            raise FormatError("a graph is one file, not a directory", parsing.files.location)
        site = parsing.open(parsing.primary)
        found = _find(site.source)
        if found is None:
            raise FormatError("neither a GraphDef nor a MetaGraphDef", site.source.name, 0)
        name, is_text = found
        parsing.facts.update(parse_graph(site, name, is_text=is_text))
        return FormatName.SAVED_MODEL if name == "SavedModel" else self.name


FORMAT = GraphDefFormat()


def parse_graph(site: Site, name: str = "MetaGraphDef", *, is_text: bool = False) -> Facts:
    """Claim a file that is one message of that name, and return its facts; a checkpoint's ``.meta`` file is
    one.
    """
    kind = RegionKind.GRAPH if name == "GraphDef" else RegionKind.METADATA
    site.document(DocumentKind.GRAPH_TEXT if is_text else DocumentKind.GRAPH, label=name)
    first = site.parsing.tensor_count
    if is_text:
        facts, uses = parse_text(site, message(name), kind, {})
    else:
        walk = MessageWalk(site)
        walk.root(message(name), kind)
        facts, uses = graph_facts(walk, {}), walk.nodes.uses
    if facts.get("variable_count") == 0:  # what is frozen into it
        assign_roles(site.parsing, uses, first)
    return {"message": name, "is_text": is_text, **facts}


def _find(source: Source) -> tuple[str, bool] | None:
    """Return which message a file is, and whether it is text; None where it is none of them."""
    head = source.read_at(0, min(source.size, _TEXT_SIZE))
    if is_foreign_graph(head):
        return None
    wire = Wire(source)
    for name in ("GraphDef", "MetaGraphDef", "SavedModel"):
        if _looks_like(wire, message(name), 0, source.size):
            return name, False
    for name in _TEXT_FIRST:
        if _reads_like(head, name):
            return name, True
    return None


def _looks_like(wire: Wire, type_: MessageType, begin: int, end: int) -> bool:
    """Return whether the first fields of ``[begin, end)`` are those of a GraphDef, MetaGraphDef or
    SavedModel.

    What is after sound ones may be broken, or of a later version: it is a graph all the same.
    """
    proofs = 0
    try:
        for _, tag, value, stop in islice(_before_the_break(wire, begin, end, wire.source.size), _LOOKED_AT):
            field = type_.fields.get(tag >> 3)
            if field is None or tag & 7 != field.wire:
                break
            if field.message is None:
                continue
            proof = _is_sound(wire, field.message, value, min(stop, wire.source.size))
            if proof is False:
                break
            proofs += proof is True
    except (FormatError, Malformed):
        return proofs > 0
    return proofs > 0


def _before_the_break(wire: Wire, begin: int, end: int, size: int) -> Iterator[FieldAt]:
    """Yield fields, the last of them cut short where it goes past the end of the file."""
    rest = wire.fields(begin, end)
    place = begin
    while True:
        try:
            found = next(rest)
        except StopIteration:
            return
        except FormatError:
            # Only a field of bytes can be looked into without its end.
            data = wire.bytes(place, min(place + 20, end))
            if len(data) > 2 and data[0] & 0x87 == WireType.BYTES:
                length = next((index for index in range(1, len(data)) if data[index] < 0x80), len(data))
                yield place, data[0], place + length + 1, size
            raise
        place = found[3]
        yield found


def _is_sound(wire: Wire, type_: MessageType, begin: int, end: int) -> bool | None:
    """Return whether a message is what it should be; None where it proves nothing either way."""
    match type_.name.removeprefix("tensorflow."):
        case "NodeDef":
            return _is_node(wire, begin, end)
        case "GraphDef" | "MetaGraphDef":
            return (
                True
                if begin < end and _looks_like(wire, type_, begin, end)
                else None
                if begin == end
                else False
            )
        case "FunctionDefLibrary":
            return _all_fields(
                wire, type_, begin, end, {1: message("FunctionDef"), 2: message("GradientDef")}
            )
        case "MetaGraphDef.MetaInfoDef":
            return _has_version(wire, begin, end) and _all_fields(
                wire, type_, begin, end, {2: message("OpList")}
            )
        case _:
            return None if _all_fields(wire, type_, begin, end, {}) is not False else False


def _all_fields(
    wire: Wire, type_: MessageType, begin: int, end: int, inner: dict[int, MessageType]
) -> bool | None:
    """Return whether the first fields are known ones, and the first message of each that ``inner`` names is
    sound too.
    """
    count = 0
    try:
        for _, tag, value, stop in islice(wire.fields(begin, end), _LOOKED_AT):
            field = type_.fields.get(tag >> 3)
            if field is None or (
                tag & 7 != field.wire and not (field.packable and tag & 7 == WireType.BYTES)
            ):
                return False
            if field.number in inner and _all_fields(wire, inner[field.number], value, stop, {}) is False:
                return False
            count += 1
    except FormatError:
        return None if count else False
    return True if count else None


def _has_version(wire: Wire, begin: int, end: int) -> bool:
    """Return whether tensorflow_version is one, where it is; a keras_metadata.pb has other text in that
    field.
    """
    try:
        for _, tag, value, stop in islice(wire.fields(begin, end), _LOOKED_AT):
            if (
                tag == 5 << 3 | WireType.BYTES
                and _VERSION.fullmatch(wire.bytes(value, min(stop, value + 100))) is None
            ):
                return False
    except FormatError:
        return True  # reported by `_all_fields`
    return True


def _is_node(wire: Wire, begin: int, end: int) -> bool:
    """Return whether a message is a NodeDef: a name and an op as TensorFlow allows them, and only known
    fields.
    """
    known = message("NodeDef").fields
    data = wire.bytes(begin, min(end, begin + _NODE_SIZE))
    try:
        fields = scan(data, 0, len(data))
    except Malformed as trouble:
        if end - begin <= _NODE_SIZE and trouble.index == 0:
            return False
        try:
            fields = scan(data, 0, trouble.index)  # a large constant, or a file cut short
        except Malformed:
            return False
    texts = {tag: data[value:stop] for _, tag, value, stop in fields if tag in (0x0A, 0x12)}
    return (
        all(tag >> 3 in known and tag & 7 == known[tag >> 3].wire for _, tag, _, _ in fields)
        and _NODE_NAME.fullmatch(texts.get(0x0A, b"")) is not None
        and _OP_NAME.fullmatch(texts.get(0x12, b"")) is not None
    )


def _reads_like(head: bytes, name: str) -> bool:
    """Return whether text begins as a message in text form does."""
    if b"\0" in head:
        return False
    found: list[Token] = []
    try:
        found += islice(tokens(head), 6)
    except FormatError:
        return False
    words = [token.text for token in found if token.text != ":"]
    if len(words) < 3 or words[0] not in _TEXT_FIRST[name]:
        return False
    inside = _TEXT_FIRST[name][words[0]]
    if not inside:
        return words[1].isdigit()
    return words[1] in ("{", "<") and words[2] in inside
