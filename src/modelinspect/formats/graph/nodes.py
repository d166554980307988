"""Claim the bytes of nodes: their framing, what they are, and each attribute.

A node's tag and length are one region, its name, op, inputs and device another, and each attribute one of its
own, with the elements of its constants apart. Attributes repeat: what is known of one is kept by its bytes.
"""

from __future__ import annotations

from modelinspect.core import signatures
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact
from modelinspect.core.limits import Cost
from modelinspect.core.paths import PathId
from modelinspect.encodings.protobuf import parse_message
from modelinspect.encodings.protobuf.wire import Malformed, Wire, first_bytes, scan
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.graph.bodies import Body
from modelinspect.formats.graph.constants import Constant, find_constant
from modelinspect.formats.graph.node_attributes import BYTES_VALUE, Attribute, KnownAttributes, said, sound
from modelinspect.formats.graph.node_columns import ATTR, DEBUG_INFO, INPUT, NAME, OP
from modelinspect.formats.graph.node_runs import NodeRuns
from modelinspect.formats.graph.uses import GraphUses
from modelinspect.formats.mlir.module import parse_module

SMALL = 1 << 20
"""Messages up to this size are read whole; of larger ones the large values are passed over."""
_OBJECT_GRAPH_SIZE = 32


class NodeWalk:
    """Claims nodes of one member, and counts what it sees."""

    __slots__ = (
        "_claims",
        "_known",
        "_site",
        "constant_bytes",
        "constant_count",
        "modules",
        "ops",
        "runs",
        "uses",
        "wire",
    )

    def __init__(self, site: Site, wire: Wire) -> None:
        self._site = site
        self._claims = site.claims
        self._known = KnownAttributes()
        self.wire = wire
        self.ops: dict[bytes, int] = {}
        self.constant_bytes = 0
        self.constant_count = 0
        self.modules = _Modules(site)
        self.uses = GraphUses()
        self.runs = NodeRuns(site, wire, self.ops, self.uses, self._add, self._known)

    def node(
        self, start: int, begin: int, end: int, parent: PathId, scope: str, body: Body | None = None
    ) -> None:
        """Claim the NodeDef at ``[begin, end)``, whose tag is at ``start``, below the path ``parent``.

        ``scope`` goes before the names of its constants; ``body`` takes what the node does.
        """
        self._site.limits.spend(Cost.NODES, 1, self._site.source.name, start)
        if end - begin > SMALL:
            self._large(start, begin, end, parent, scope, body)
            return
        index = self.wire.load(begin, end - begin)
        data = self.wire.data
        last = index + end - begin
        shift = begin - index
        claims = self._claims
        broken: Malformed | None = None
        try:
            fields = scan(data, index, last)
        except Malformed as trouble:
            fields, broken = sound(data, index, trouble.index), trouble
        name = op = b""
        for _, tag, value, stop in fields:
            if tag == NAME:
                name = data[value:stop]
                break  # the first field, as it is written
        inputs: list[bytes] = []
        text = name.decode(errors="replace")
        path = claims.paths.add(parent, text)
        claims.claim(start, begin - start, RegionKind.CONTAINER, path)
        run = begin
        first = last
        attributes: list[Attribute | None] = []
        places: list[tuple[int, int]] = []
        for place, tag, value, stop in fields:
            if tag == ATTR:
                if place + shift > run:
                    claims.claim(run, place + shift - run, RegionKind.GRAPH, path)
                run = stop + shift
                first = min(first, place)
                attributes.append(
                    self._attribute(place + shift, data[value:stop], value + shift, path, text, scope)
                )
                places.append((place, stop))
            elif tag == INPUT:
                inputs.append(data[value:stop])
            elif tag == OP:
                op = data[value:stop]
            elif tag == DEBUG_INFO:
                claims.claim(run, place + shift - run, RegionKind.GRAPH, path)
                run = stop + shift
                claims.claim(
                    place + shift,
                    stop - place,
                    RegionKind.DEBUG,
                    claims.paths.child(path, "experimental_debug_info"),
                )
        self.ops[op] = self.ops.get(op, 0) + 1
        self.uses.add(name, op, inputs, scope.encode())
        known = [attribute for attribute in attributes if attribute is not None]
        skeleton, functions = said(known)
        if body is not None:
            body.add(name, op, inputs, skeleton, functions)
        if broken is None:
            claims.claim(run, end - run, RegionKind.GRAPH, path)
            if None not in attributes and sum(stop - place for place, stop in places) == last - first:
                self.runs.learn(
                    data[first:last],
                    [(place - first, stop - place) for place, stop in places],
                    known,
                    functions,
                )
        else:
            claims.claim(run, (fields[-1][3] + shift if fields else begin) - run, RegionKind.GRAPH, path)
            self._site.survive(broken.at(shift))

    def _attribute(
        self, start: int, entry: bytes, begin: int, path: PathId, node: str, scope: str
    ) -> Attribute | None:
        """Claim one entry of ``attr``; ``start`` and ``begin`` are the offsets of its tag and its first
        byte.
        """
        try:
            known = self._known.read(entry)
        except Malformed as trouble:
            self._site.survive(trouble.at(begin))
            return None
        here = self._claims.paths.add(path, known.part)
        if known.constants:
            self._constants(known.constants, start, begin, begin + len(entry), here, node, scope, known.part)
        elif known.module is not None:
            first, last = known.module
            self._module(start, begin + first, begin + last, begin + len(entry), here, node, scope)
        else:
            self._claims.claim(start, begin + len(entry) - start, RegionKind.GRAPH, here)
        return known

    def _constants(
        self,
        constants: tuple[Constant, ...],
        start: int,
        begin: int,
        end: int,
        path: PathId,
        node: str,
        scope: str,
        part: str,
    ) -> None:
        claims = self._claims
        name = scope + node if part == "attr value" else f"{scope}{node}:{part.removeprefix('attr ')}"
        place = start
        for index, constant in enumerate(constants):
            tensor = self._add(constant, name if len(constants) == 1 else f"{name}[{index}]", begin)
            kind = RegionKind.TENSOR_DATA
            inner = path
            if not constant.is_numeric:  # no weights: names of tensors to save, file names, vocabularies
                kind = RegionKind.GRAPH
                if not scope and self._is_object_graph(constant, begin):
                    kind, inner = RegionKind.METADATA, claims.paths.child(path, "TrackableObjectGraph")
            for offset, stop, _ in constant.extents:
                claims.claim(place, begin + offset - place, RegionKind.GRAPH, path)
                claims.claim(begin + offset, stop - offset, kind, inner, tensor)
                place = begin + stop
        claims.claim(place, end - place, RegionKind.GRAPH, path)

    def _module(
        self, start: int, begin: int, end: int, stop: int, path: PathId, node: str, scope: str
    ) -> None:
        """Claim the attribute at ``[start, stop)`` whose value at ``[begin, end)`` is a program."""
        self._claims.claim(start, begin - start, RegionKind.GRAPH, path)
        self._claims.claim(end, stop - end, RegionKind.GRAPH, path)
        self.constant_bytes += self.modules.parse(begin, end - begin, path, node, scope)

    def _is_object_graph(self, constant: Constant, shift: int) -> bool:
        """Return whether a string is the object graph, which the function that saves the variables puts into
        each checkpoint.
        """
        if (
            len(constant.extents) != 1
            or constant.shape
            or not _OBJECT_GRAPH_SIZE <= constant.data_size <= SMALL
        ):
            return False
        begin, end, _ = constant.extents[0]
        data = self.wire.bytes(shift + begin, shift + end)
        try:
            graph = first_bytes(data, 8) or b""  # string_val
            return graph[:1] == b"\x0a" and len(parse_message("TrackableObjectGraph", graph).nodes) > 1  # type: ignore[attr-defined]
        except (Malformed, FormatError):
            return False

    def _add(self, constant: Constant, name: str, shift: int) -> TensorId:
        self.constant_count += 1
        self.constant_bytes += constant.data_size
        return self._site.parsing.add_tensor(constant.tensor(name, self._site, shift))

    def _large(self, start: int, begin: int, end: int, parent: PathId, scope: str, body: Body | None) -> None:
        """Claim a node too large to be read whole."""
        claims = self._claims
        try:
            fields = list(self.wire.fields(begin, end))
        except FormatError as error:
            self._site.survive(error)
            return
        names = {
            tag: self.wire.bytes(value, stop)
            for _, tag, value, stop in fields
            if tag in (NAME, OP) and stop - value <= SMALL
        }
        text = names.get(NAME, b"").decode(errors="replace")
        op = names.get(OP, b"")
        self.ops[op] = self.ops.get(op, 0) + 1
        path = claims.paths.add(parent, text)
        claims.claim(start, begin - start, RegionKind.CONTAINER, path)
        for place, tag, value, stop in fields:
            if tag != ATTR:
                claims.claim(
                    place, stop - place, RegionKind.DEBUG if tag == DEBUG_INFO else RegionKind.GRAPH, path
                )
            elif stop - value <= SMALL:
                self._attribute(place, self.wire.bytes(value, stop), value, path, text, scope)
            else:
                try:
                    self._large_attribute(place, value, stop, path, text, scope)
                except FormatError as error:
                    self._site.survive(error)
        inputs = [
            self.wire.bytes(value, stop)
            for _, tag, value, stop in fields
            if tag == INPUT and stop - value <= SMALL
        ]
        self.uses.add(names.get(NAME, b""), op, inputs, scope.encode())
        if body is not None:
            body.add(names.get(NAME, b""), op, inputs, b"unread at %d" % begin, ())

    def _large_attribute(self, start: int, begin: int, end: int, path: PathId, node: str, scope: str) -> None:
        key = ""
        constants: list[Constant] = []
        module: tuple[int, int] | None = None
        for _, tag, value, stop in self.wire.fields(begin, end):
            if tag == 0x0A:
                key = self.wire.bytes(value, min(stop, value + SMALL)).decode(errors="replace")
            elif tag == 0x12:
                constants += [self._large_constant(*found) for found in self._tensors(value, stop)]
                module = self._large_module(value, stop)
        part = f"attr {key}"
        here = self._claims.paths.add(path, part)
        if module is not None and not constants:
            self._module(start, *module, end, here, node, scope)
        else:
            self._constants(tuple(constants), start, 0, end, here, node, scope, part)

    def _large_module(self, begin: int, end: int) -> tuple[int, int] | None:
        """Return where the program of a large AttrValue is, None where it holds none."""
        for _, tag, value, stop in self.wire.fields(begin, end):
            start = value + len(signatures.MLIR)
            if tag == BYTES_VALUE and stop > start and self.wire.bytes(value, start) == signatures.MLIR:
                return value, stop
        return None

    def _tensors(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return where the TensorProtos of a large AttrValue are, its own and those of its list."""
        found: list[tuple[int, int]] = []
        for _, tag, value, stop in self.wire.fields(begin, end):
            if tag == 8 << 3 | 2:
                found.append((value, stop))
            elif tag == 1 << 3 | 2:
                found += [
                    (inner, until)
                    for _, other, inner, until in self.wire.fields(value, stop)
                    if other == 8 << 3 | 2
                ]
        return found

    def _large_constant(self, begin: int, end: int) -> Constant:
        try:
            return find_constant(begin, end, self.wire.fields(begin, end), self.wire.bytes)
        except Malformed as trouble:
            raise trouble.at(begin, self.wire.source.name) from trouble


class _Modules:
    """The programs of one member, and the facts of each."""

    __slots__ = ("_site", "facts")

    def __init__(self, site: Site) -> None:
        self._site = site
        self.facts: list[dict[str, Fact]] = []

    def parse(self, offset: int, size: int, path: PathId, node: str, scope: str) -> int:
        """Claim the program at ``offset`` and return the bytes of its constants.

        ``scope`` is the function's name and a slash, empty for a node of the graph itself.
        """
        inner = self._site.window(offset, size, path)
        try:
            facts = parse_module(inner, f"{scope}{node}/")
        except FormatError as error:
            inner.survive(error)
            return 0
        place: dict[str, Fact] = {
            "node": node,
            "function": scope.removesuffix("/"),
            "offset": offset,
            "size": size,
        }
        self.facts.append(place | facts)
        constant_bytes = facts["constant_bytes"]
        return constant_bytes if isinstance(constant_bytes, int) else 0
