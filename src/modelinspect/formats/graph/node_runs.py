"""Claim runs of nodes that end as others did: what was learned of the attributes of one applies to all, in
columns.

Most nodes of a large graph have a name, an op, some inputs and the same few attributes as many others.
`NodeWalk` reads the first of them field by field; of the others this looks at the fields before the
attributes and compares the rest, also where a constant differs in nothing but its elements.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.protobuf.wire import Wire
from modelinspect.formats.base import Site
from modelinspect.formats.graph.bodies import Body
from modelinspect.formats.graph.constants import Constant
from modelinspect.formats.graph.uses import GraphUses

NAME, OP, INPUT, DEVICE, ATTR, DEBUG_INFO = 0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x32
"""The tags of a NodeDef's fields."""

_SIZE = 2_048
_COUNT = 50_000
_SHORT = 0x80
_PENDING = 1 << 15
_PASSED = (INPUT, DEVICE)


@dataclass(frozen=True, slots=True)
class Held:
    """A constant of an attribute: its offsets count from ``shift`` after the first attribute's tag;
    ``suffix`` ends its name.
    """

    constant: Constant
    shift: int
    suffix: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The attributes of a node: their regions, the parts of their paths, and what a body needs of them."""

    rows: tuple[tuple[int, int, int, int, bool], ...]
    """Offset from the first attribute, size, code of the kind, which of ``parts``, whether the constant's."""
    parts: tuple[str, ...]
    skeletons: tuple[bytes, ...]
    functions: tuple[str, ...]
    held: Held | None = None
    """The one constant, which has one extent at most."""
    entry: tuple[int, int] = (0, 0)
    """Where the entry is whose bytes are a skeleton too; nowhere where ``skeletons`` are all."""

    def skeleton(self, data: bytes) -> bytes:
        """Return the attributes without the names of functions; ``data`` are their bytes."""
        begin, end = self.entry
        return b"\0".join(sorted((*self.skeletons, data[begin:end])) if end else self.skeletons)


class Endings:
    """The endings that are known: by their bytes, or by their bytes but for the elements of a constant."""

    __slots__ = ("_count", "_holes", "_whole")

    def __init__(self) -> None:
        self._whole: dict[bytes, Ending] = {}
        self._holes: dict[int, dict[tuple[int, int], dict[bytes, Ending]]] = {}
        self._count = 0

    def find(self, data: bytes) -> Ending | None:
        """Return what is known of attributes."""
        found = self._whole.get(data)
        if found is None:
            for (begin, end), known in self._holes.get(len(data), {}).items():
                found = known.get(data[:begin] + data[end:])
                if found is not None:
                    break
        return found

    def learn(self, data: bytes, ending: Ending) -> None:
        """Keep an ending, with a hole where the elements of its constant are as they are in memory."""
        if self._count >= _COUNT:
            self._whole.clear()
            self._holes.clear()
            self._count = 0
        held = ending.held
        if held is not None and held.constant.is_raw and len(held.constant.extents) == 1:
            begin, end, _ = held.constant.extents[0]
            hole = begin + held.shift, end + held.shift
            rest = data[: hole[0]] + data[hole[1] :]
            if len(rest) <= _SIZE:
                self._holes.setdefault(len(data), {}).setdefault(hole, {})[rest] = ending
                self._count += 1
        elif len(data) <= _SIZE:
            self._whole[data] = ending
            self._count += 1


@dataclass(slots=True)
class _Pending:
    """Nodes whose regions are not claimed yet, in columns."""

    starts: array[int] = field(default_factory=lambda: array("q"))
    begins: array[int] = field(default_factory=lambda: array("q"))
    endings: array[int] = field(default_factory=lambda: array("q"))
    """Where the tag of each node, its first field and its first attribute are."""
    which: array[int] = field(default_factory=lambda: array("i"))
    """The ending of each, as a number in ``known``."""
    paths: array[int] = field(default_factory=lambda: array("i"))
    """The path of each; those of its attributes follow."""
    tensors: array[int] = field(default_factory=lambda: array("i"))
    """The constants of those that have one with an extent."""
    known: list[Ending] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)


class NodeRuns:
    """Claims runs of nodes of one member, many at a time and the last ones when all parsers are through."""

    __slots__ = ("_add", "_pending", "_site", "_uses", "_wire", "endings", "ops")

    def __init__(
        self,
        site: Site,
        wire: Wire,
        ops: dict[bytes, int],
        uses: GraphUses,
        add: Callable[[Constant, str, int], TensorId],
    ) -> None:
        self._site = site
        self._wire = wire
        self._add = add
        self._uses = uses
        self.ops = ops
        self.endings = Endings()
        self._pending = _Pending()
        site.parsing.at_finish(self._flush)

    def claim(
        self, tag: int, offset: int, end: int, parent: PathId, scope: str, body: Body | None
    ) -> tuple[int, int]:
        """Claim nodes with that tag from ``offset`` on, up to the first whose ending is not known.

        Return where that one begins and how many were claimed. ``scope`` goes before the names of their
        constants; ``body`` takes what they do.
        """
        wire = self._wire
        pending = self._pending
        index = wire.load(offset, 1)
        data, shift = wire.data, offset - index
        last = min(end - shift, len(data))
        want_inputs = body is not None
        ops, find, add_below = self.ops, self.endings.find, self._site.claims.paths.add_below
        uses, prefix = self._uses, scope.encode()
        count = 0
        while index + 3 < last and data[index] == tag:
            size, begin = data[index + 1], index + 2
            if size >= _SHORT:
                if data[begin] >= _SHORT:
                    break
                size, begin = size & 0x7F | data[begin] << 7, begin + 1
            stop = begin + size
            head = _head(data, begin, stop, want_inputs) if stop <= last else None
            if head is None:
                break
            name, op, inputs, place = head
            tail = data[place:stop]
            ending = find(tail)
            if ending is None:
                break
            text = name.decode(errors="replace")
            number = pending.numbers.get(id(ending))
            if number is None:
                number = pending.numbers[id(ending)] = len(pending.known)
                pending.known.append(ending)
            pending.starts.append(index + shift)
            pending.begins.append(begin + shift)
            pending.endings.append(place + shift)
            pending.which.append(number)
            pending.paths.append(add_below(parent, text, ending.parts))
            held = ending.held
            if held is not None:
                tensor = self._add(held.constant, f"{scope}{text}{held.suffix}", place + shift + held.shift)
                if held.constant.extents:
                    pending.tensors.append(tensor)
            ops[op] = ops.get(op, 0) + 1
            if uses.wants(op, name):
                uses.add(name, op, inputs if want_inputs else _inputs(data, begin, place), prefix)
            if body is not None:
                body.add(name, op, inputs, ending.skeleton(tail), ending.functions)
            index = stop
            count += 1
        if len(pending.starts) >= _PENDING:
            self._flush()
        return index + shift, count

    def _flush(self) -> None:
        """Claim the regions of the nodes that wait: of each its framing, its own fields, and those of its
        attributes.
        """
        import numpy as np

        pending, self._pending = self._pending, _Pending()
        if not pending.starts:
            return
        which, paths = (
            np.frombuffer(pending.which, dtype=np.int32),
            np.frombuffer(pending.paths, dtype=np.int32),
        )
        starts, begins, endings = (
            np.frombuffer(column, dtype=np.int64)
            for column in (pending.starts, pending.begins, pending.endings)
        )
        table = np.array([row for ending in pending.known for row in ending.rows], dtype=np.int64).reshape(
            -1, 5
        )
        lengths = np.array([len(ending.rows) for ending in pending.known], dtype=np.int64)
        firsts, count = (np.cumsum(lengths) - lengths)[which], lengths[which]
        rows = np.cumsum(count + 2) - (count + 2)
        before = np.cumsum(count) - count
        within = np.arange(int(count.sum())) - np.repeat(before, count)
        attributes = table[np.repeat(firsts, count) + within]
        at = np.repeat(rows + 2, count) + within

        total = len(at) + 2 * len(rows)
        offsets, sizes = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
        kinds, where = np.empty(total, dtype=np.int8), np.repeat(paths, count + 2)
        offsets[rows], sizes[rows], kinds[rows] = starts, begins - starts, RegionKind.CONTAINER.code
        offsets[rows + 1], sizes[rows + 1], kinds[rows + 1] = begins, endings - begins, RegionKind.GRAPH.code
        offsets[at], sizes[at], kinds[at] = (
            np.repeat(endings, count) + attributes[:, 0],
            attributes[:, 1],
            attributes[:, 2],
        )
        where[at] += attributes[:, 3].astype(np.int32) + 1
        tensors = np.full(total, NO_TENSOR, dtype=np.int32)
        tensors[at[attributes[:, 4] != 0]] = pending.tensors
        self._site.claims.claim_many(offsets, sizes, kinds, where, tensors)


def _inputs(data: bytes, begin: int, end: int) -> list[bytes]:
    """Return the inputs of a node whose short fields before its attributes are ``[begin, end)``."""
    found: list[bytes] = []
    while begin < end:
        stop = begin + 2 + data[begin + 1]
        if data[begin] == INPUT:
            found.append(data[begin + 2 : stop])
        begin = stop
    return found


def _head(
    data: bytes, begin: int, stop: int, want_inputs: bool
) -> tuple[bytes, bytes, list[bytes], int] | None:
    """Return name, op and inputs of a node, and where its attributes begin; None where its fields are longer
    or in another order.
    """
    if begin + 4 > stop or data[begin] != NAME or data[begin + 1] >= _SHORT:
        return None
    place = begin + 2 + data[begin + 1]
    name = data[begin + 2 : place]
    if place + 2 > stop or data[place] != OP or data[place + 1] >= _SHORT:
        return None
    behind = place + 2 + data[place + 1]
    op = data[place + 2 : behind]
    inputs: list[bytes] = []
    while behind < stop and data[behind] != ATTR:
        place = behind
        if place + 2 > stop or data[place + 1] >= _SHORT or data[place] not in _PASSED:
            return None
        behind = place + 2 + data[place + 1]
        if want_inputs and data[place] == INPUT:
            inputs.append(data[place + 2 : behind])
    return (name, op, inputs, behind) if behind <= stop else None
