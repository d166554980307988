"""Claim the bytes of a message as its layout says, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, assert_never

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.protobuf import Field, MessageType, WireType, message, parse_message
from modelinspect.encodings.protobuf.wire import FieldAt, Malformed, Wire, check, first_bytes, scan
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.graph.bodies import Body, Digest, Hashes
from modelinspect.formats.graph.core_ops import core_op_names
from modelinspect.formats.graph.layout import LAYOUT, RUNS, Label, Step
from modelinspect.formats.graph.message_runs import claim_run, field_of_runs, has_label
from modelinspect.formats.graph.node_columns import SHORT
from modelinspect.formats.graph.nodes import NodeWalk

PARSED = frozenset(
    {
        "meta_info_def",
        "signature_def",
        "object_graph_def",
        "asset_file_def",
        "versions",
        "collection_def",
        "registered_gradients",
    }
)
"""Fields whose messages `Found` keeps, read by the protobuf package."""
PARSED_SIZE = 64 << 20
"""Larger ones are claimed but not read."""
_SIGNATURE, _NODE_DEF, _RESULT = 0x0A, 0x1A, 0x22
"""The tags of fields of a FunctionDef."""
FUNCTION_SIZE = 4 << 20
"""Functions and object graphs up to this size are checked as one message."""


@dataclass(slots=True)
class Function:
    """A function of the library: where it is, and what is in it."""

    name: str
    offset: int
    size: int
    nodes: int = 0
    constant_bytes: int = 0
    digest: Digest | None = None


@dataclass(slots=True)
class Found:
    """What a walk over one MetaGraphDef or GraphDef saw, for the facts."""

    messages: dict[str, list[Any]] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    nodes: int = 0
    constant_bytes: int = 0


class MessageWalk:
    """Claims the messages of one member.

    A message that the layout descends into is framing (its tag and length) and fields; one that it claims
    whole is checked first, and left unattributed where it is broken.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.wire = Wire(site.source)
        self.nodes = NodeWalk(site, self.wire)
        self.found: list[Found] = []
        self._current = Found()
        self._is_sound = False
        self._hashes = Hashes()
        self._signature: tuple[int, bytes, list[FieldAt]] = -1, b"", []
        """The first signature of the function at hand: where it is, its bytes and its fields."""

    def root(self, type_: MessageType, kind: RegionKind) -> None:
        """Claim the whole source as one message."""
        if type_.name != "tensorflow.SavedModel":
            self.found.append(self._current)
        if (
            type_.name == "tensorflow.TrackableObjectGraph"
        ):  # of the others, messages in them are parsed to be kept
            self._is_sound = self._accepts(type_, 0, self.site.source.size)
        self.message(type_, 0, self.site.source.size, self.site.claims.root, kind)

    def message(self, type_: MessageType, begin: int, end: int, path: PathId, kind: RegionKind) -> None:
        """Claim the fields of a message that is at ``[begin, end)``; trouble is reported and hides the rest
        of it.
        """
        claims = self.site.claims
        counts: dict[int, int] = {}
        labels = LAYOUT.get(type_.name, {})
        run_tag = _node_tag(type_)
        run = field_of_runs(type_) if self._is_sound and not run_tag else None
        if run is not None:
            run_tag = run.number << 3 | run.wire

        def claim(offset: int) -> int:
            if run is None:
                return self._graph_nodes(run_tag, offset, end, path)
            label = labels.get(run.name) or Label(kind)
            before = counts.get(run.number, -1) + 1
            offset, count = claim_run(self.site, self.wire, run, label.kind, before, offset, end, path)
            counts[run.number] = count - 1
            return offset

        try:
            for start, tag, value, stop in self._fields(begin, end, run_tag, claim):
                known = type_.fields.get(tag >> 3)
                if known is None or not _fits(known, tag):
                    claims.claim(start, stop - start, kind, claims.paths.child(path, f"field {tag >> 3}"))
                elif known.message is None:
                    claims.claim(start, stop - start, kind, claims.paths.child(path, known.name))
                else:
                    count = counts[known.number] = counts.get(known.number, -1) + 1
                    label = labels.get(known.name) or Label(kind)
                    self._submessage(known, known.message, label, count, (start, value, stop), path)
        except FormatError as error:
            self.site.survive(error)

    def _fields(self, begin: int, end: int, node_tag: int, claim: Callable[[int], int]) -> Iterator[FieldAt]:
        """Yield the fields of a message but for the nodes, or others of that tag, which ``claim`` claims from
        an offset on; it returns where they end.
        """
        while begin < end:
            if node_tag and self.wire.bytes(begin, begin + 1)[0] == node_tag:
                begin = claim(begin)
            for field_at in self.wire.fields(begin, end):
                yield field_at
                begin = field_at[3]
                if field_at[1] == node_tag or (node_tag and self._is_next(node_tag, begin, end)):
                    break

    def _is_next(self, tag: int, offset: int, end: int) -> bool:
        """Return whether a field with a tag of one byte is next, as far as that is read already."""
        index = offset - self.wire.base
        return offset < end and 0 <= index < len(self.wire.data) and self.wire.data[index] == tag

    def _graph_nodes(self, tag: int, begin: int, end: int, path: PathId) -> int:
        """Claim nodes of a graph in a run and return where it ends."""
        before = self.nodes.constant_bytes
        offset, count = self.nodes.runs.claim(
            tag, begin, end, self.site.claims.paths.child(path, "node"), "", None
        )
        self._current.nodes += count
        self._current.constant_bytes += self.nodes.constant_bytes - before
        return offset

    def _submessage(
        self,
        known: Field,
        type_: MessageType,
        label: Label,
        count: int,
        place: tuple[int, int, int],
        path: PathId,
    ) -> None:
        start, begin, end = place
        claims = self.site.claims
        current = self._current
        match label.step:
            case Step.NODE:
                current.nodes += 1
                before = self.nodes.constant_bytes
                self.nodes.node(start, begin, end, claims.paths.child(path, known.name), "")
                current.constant_bytes += self.nodes.constant_bytes - before
            case Step.FUNCTION:
                self._function(start, begin, end, claims.paths.child(path, known.name))
            case Step.CLAIM:
                self._claim(known, type_, label.kind, count, place, path)
            case Step.DESCEND:
                here = claims.paths.child(path, known.name)
                claims.claim(start, begin - start, RegionKind.CONTAINER, here)
                was_sound = self._is_sound
                self._is_sound = (
                    known.name in PARSED and self._parse(known.name, type_, begin, end)
                ) or was_sound
                self.message(type_, begin, end, here, label.kind)
                self._is_sound = was_sound
            case Step.META_GRAPH:
                here = claims.paths.child(path, f"{known.name}[{count}]")
                claims.claim(start, begin - start, RegionKind.CONTAINER, here)
                self._current = Found()
                self.found.append(self._current)
                self.message(type_, begin, end, here, label.kind)
            case _:
                assert_never(label.step)

    def _claim(
        self,
        known: Field,
        type_: MessageType,
        kind: RegionKind,
        count: int,
        place: tuple[int, int, int],
        path: PathId,
    ) -> None:
        """Claim a message whole, after a look whether it is sound."""
        start, begin, end = place
        claims = self.site.claims
        label = self._label(known, type_, begin, end)
        here = claims.paths.child(path, known.name)
        if label is not None:
            here = claims.paths.add(here, label)
        elif known.repeated:
            here = claims.paths.add(path, f"{known.name}[{count}]")
        claims.claim(start, begin - start, RegionKind.CONTAINER, here)
        if not self._is_sound and not (known.name in PARSED and self._parse(known.name, type_, begin, end)):
            self.site.limits.allow(
                "a message", end - begin, self.site.limits.structure_size, self.site.source.name, begin
            )
            index = self.wire.load(begin, end - begin)
            try:
                check(self.wire.data, index, index + end - begin, type_)
            except Malformed as trouble:
                self.site.survive(trouble.at(begin - index))
                return
        claims.claim(begin, end - begin, kind, here)

    def _label(self, known: Field, type_: MessageType, begin: int, end: int) -> str | None:
        """Return what names one of many: a map's key, or the name that the message itself begins with."""
        if not has_label(known, type_):
            return None
        if end - begin > self.site.limits.structure_size:
            return None
        try:
            name = first_bytes(self.wire.bytes(begin, end), 1)
        except Malformed:
            return None
        return "" if name is None else name.decode(errors="replace")

    def _parse(self, name: str, type_: MessageType, begin: int, end: int) -> bool:
        """Keep the message, and return whether the protobuf package accepts it."""
        if end - begin > PARSED_SIZE or type_.is_entry:
            return self._parse_entry(name, type_, begin, end)
        try:
            parsed = parse_message(type_.name, self.wire.bytes(begin, end), self.site.source.name, begin)
        except FormatError:
            return False
        self._current.messages.setdefault(name, []).append(parsed)
        return True

    def _parse_entry(self, name: str, type_: MessageType, begin: int, end: int) -> bool:
        value = type_.fields.get(2)
        if value is None or value.message is None or end - begin > PARSED_SIZE:
            return False
        data = self.wire.bytes(begin, end)
        try:
            key = (first_bytes(data, 1) or b"").decode()
            parsed = parse_message(
                value.message.name, first_bytes(data, 2) or b"", self.site.source.name, begin
            )
        except (Malformed, FormatError, UnicodeDecodeError):
            return False
        self._current.messages.setdefault(name, []).append((key, parsed))
        return True

    def _function(self, start: int, begin: int, end: int, parent: PathId) -> None:
        claims = self.site.claims
        name = self._function_name(begin, end)
        path = claims.paths.add(parent, name)
        claims.claim(start, begin - start, RegionKind.CONTAINER, path)
        function = Function(name, start, end - start)
        self._current.functions.append(function)
        nodes = claims.paths.add(path, "node_def")
        scope = f"{name}/"
        body = Body()
        before = self.nodes.constant_bytes
        type_ = message("FunctionDef")
        counts: dict[int, int] = {}
        was_sound = self._is_sound
        self._is_sound = was_sound or self._accepts(type_, begin, end)
        run = run_end = run_tag = 0
        run_path = path

        def claim(offset: int) -> int:
            offset, count = self.nodes.runs.claim(_NODE_DEF, offset, end, nodes, scope, body)
            function.nodes += count
            return offset

        try:
            for place, tag, value, stop in self._fields(begin, end, _NODE_DEF, claim):
                known = type_.fields.get(tag >> 3)
                if tag == _NODE_DEF:
                    function.nodes += 1
                    self.nodes.node(place, value, stop, nodes, scope, body)
                elif tag in RUNS and self._is_sound:
                    if tag != run_tag or place != run_end:
                        claims.claim(run, run_end - run, RegionKind.GRAPH, run_path)
                        run, run_tag, run_path = place, tag, claims.paths.child(path, RUNS[tag])
                    run_end = stop
                    if tag == _RESULT:
                        self._result(body, value, stop)
                elif known is None or known.message is None or not _fits(known, tag):
                    word = f"field {tag >> 3}" if known is None else known.name
                    claims.claim(place, stop - place, RegionKind.GRAPH, claims.paths.child(path, word))
                else:
                    count = counts[known.number] = counts.get(known.number, -1) + 1
                    self._claim(known, known.message, RegionKind.GRAPH, count, (place, value, stop), path)
                    if tag == _SIGNATURE:
                        self._arguments(body, value, stop)
                    elif tag == _RESULT:
                        self._result(body, value, stop)
        except FormatError as error:
            self.site.survive(error)
        claims.claim(run, run_end - run, RegionKind.GRAPH, run_path)
        self._is_sound = was_sound
        function.digest = body.digest(core_op_names(), self._hashes)
        function.constant_bytes = self.nodes.constant_bytes - before

    def _accepts(self, type_: MessageType, begin: int, end: int) -> bool:
        """Return whether the protobuf package accepts a message of modest size: far quicker than to check
        what is in it piece by piece.
        """
        if end - begin > FUNCTION_SIZE:
            return False
        try:
            parse_message(type_.name, self.wire.bytes(begin, end))
        except FormatError:
            return False
        return True

    def _function_name(self, begin: int, end: int) -> str:
        """Return the name in a function's first signature, and keep what else is in that."""
        self._signature = -1, b"", []
        try:
            for _, tag, value, stop in self.wire.fields(begin, end):
                if tag == _SIGNATURE:
                    data = self.wire.bytes(value, stop)
                    fields = scan(data, 0, len(data))
                    self._signature = value, data, fields
                    name = next((data[place:until] for _, tag, place, until in fields if tag == 0x0A), b"")
                    return name.decode(errors="replace")
        except (FormatError, Malformed):
            return ""
        return ""

    def _arguments(self, body: Body, begin: int, end: int) -> None:
        """Pass a function the names of its arguments, signature.input_arg."""
        place, data, fields = self._signature
        with suppress(Malformed):
            if place != begin:
                data = self.wire.bytes(begin, end)
                fields = scan(data, 0, len(data))
            for _, tag, value, stop in fields:
                if tag != 0x12:
                    continue
                is_name = self._is_sound and stop > value + 1 and data[value] == 0x0A
                if is_name and data[value + 1] < SHORT and value + 2 + data[value + 1] <= stop:
                    body.arguments.append(data[value + 2 : value + 2 + data[value + 1]])  # first, of most
                else:
                    body.arguments.append(first_bytes(data[value:stop], 1) or b"")

    def _result(self, body: Body, begin: int, end: int) -> None:
        """Pass a function what one of its results is, the value of an entry of ret."""
        data = self.wire.bytes(begin, end)
        place = 2 + data[1] if len(data) > 1 and data[0] == 0x0A else len(data)
        if (
            place + 1 < len(data)
            and data[place] == 0x12
            and data[1] < SHORT
            and data[place + 1] < SHORT
            and place + 2 + data[place + 1] == len(data)
        ):  # as TensorFlow writes it: a short key and a short value
            body.results.append(data[place + 2 :])
            return
        with suppress(Malformed):
            body.results.append(first_bytes(data, 2) or b"")


def _node_tag(type_: MessageType) -> int:
    """Return the tag of a message's nodes, of which it may have millions; 0 where it has none."""
    labels = LAYOUT.get(type_.name, {})
    tags = (
        known.number << 3 | known.wire
        for known in type_.fields.values()
        if known.name in labels and labels[known.name].step is Step.NODE
    )
    return next(tags, 0)


def _fits(known: Field, tag: int) -> bool:
    """Return whether the wire type is one that the field may have; others make it an unknown field."""
    wire = tag & 7
    return wire == known.wire or (known.packable and wire == WireType.BYTES)
