"""Claim runs of nodes that end as others did: what was learned of the attributes of one applies to all, in
columns.

Most nodes of a large graph have a name, an op, some inputs and the same few attributes as many others.
`NodeWalk` reads the first of them field by field; of the others this looks at the fields before the
attributes and compares the rest, also where a constant differs in nothing but its elements.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.limits import Cost
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.protobuf.wire import Wire
from modelinspect.formats.base import Site
from modelinspect.formats.graph.bodies import Body
from modelinspect.formats.graph.constants import Constant
from modelinspect.formats.graph.node_attributes import Attribute, Ending, Endings, KnownAttributes, compose
from modelinspect.formats.graph.node_columns import (
    ATTR,
    INPUT,
    NAME,
    OP,
    PASSED,
    SHORT,
    Heads,
    distinct,
    joined,
    read_heads,
)
from modelinspect.formats.graph.uses import NORMALIZATION, GraphUses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PENDING = 1 << 15
_FEWEST, _MOST = 64, 1 << 15
"""How many nodes are read in columns at once; fewer are not worth it."""


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

    __slots__ = ("_add", "_attributes", "_pending", "_run", "_site", "_uses", "_wire", "endings", "ops")

    def __init__(
        self,
        site: Site,
        wire: Wire,
        ops: dict[bytes, int],
        uses: GraphUses,
        add: Callable[[Constant, str, int], TensorId],
        attributes: KnownAttributes,
    ) -> None:
        self._site = site
        self._wire = wire
        self._add = add
        self._uses = uses
        self._attributes = attributes
        self.ops = ops
        self.endings = Endings()
        self._pending = _Pending()
        self._run = _FEWEST
        """How many nodes to read in columns; 0 where too few end as others did."""
        site.parsing.at_finish(self._flush)

    def claim(
        self, tag: int, offset: int, end: int, parent: PathId, scope: str, body: Body | None
    ) -> tuple[int, int]:
        """Claim nodes with that tag from ``offset`` on, up to the first whose ending is not known.

        Return where that one begins and how many were claimed. ``scope`` goes before the names of their
        constants; ``body`` takes what they do.
        """
        index = self._wire.load(offset, 1)
        shift = offset - index
        last = min(end - shift, len(self._wire.data))
        count, more = 0, 1
        while more:
            if body is None and self._run:
                index, more = self._in_columns(tag, index, last, shift, parent, scope)
                count += more
            index, more = self._in_turn(tag, index, last, shift, parent, scope, body)
            count += more
            if body is not None or not self._run:
                break
        if len(self._pending.starts) >= _PENDING:
            self._flush()
        return index + shift, count

    def _in_columns(
        self, tag: int, index: int, last: int, shift: int, parent: PathId, scope: str
    ) -> tuple[int, int]:
        """Claim nodes of no function in columns; return where the next one begins, and how many they are."""
        count = 0
        while True:
            heads = read_heads(self._wire.data, index, last, tag, self._run)
            claimed = self._columns(heads, shift, parent, scope) if len(heads) else 0
            if claimed:
                index = int(heads.stops[claimed - 1])
            count += claimed
            if not heads.is_whole or claimed < len(heads):
                self._run = max(claimed, _FEWEST) if claimed * 4 >= _FEWEST else 0
                return index, count
            if claimed < self._run:  # the nodes or what is read ahead of them end
                return index, count
            self._run = min(self._run * 4, _MOST)

    def _in_turn(
        self, tag: int, index: int, last: int, shift: int, parent: PathId, scope: str, body: Body | None
    ) -> tuple[int, int]:
        """Claim nodes one after another; return where the next one begins, and how many they are."""
        data, pending = self._wire.data, self._pending
        want_inputs = body is not None
        ops, find, add_below = self.ops, self.endings.find, self._site.claims.paths.add_below
        uses, prefix = self._uses, scope.encode()
        count = streak = 0
        while index + 3 < last and data[index] == tag:
            if body is None and streak >= _FEWEST and not self._run:
                self._run = _FEWEST  # many end as others did: columns are worth it again
                break
            size, begin = data[index + 1], index + 2
            if size >= SHORT:
                if data[begin] >= SHORT:
                    break
                size, begin = size & 0x7F | data[begin] << 7, begin + 1
            stop = begin + size
            head = _head(data, begin, stop, want_inputs) if stop <= last else None
            if head is None:
                break
            name, op, inputs, place = head
            tail = data[place:stop]
            ending = find(tail)
            streak += 1
            if ending is None:
                ending = self._compose(tail, index + shift) if body is not None or not self._run else None
                if ending is None:
                    break
                streak = 0
            text = name.decode(errors="replace")
            pending.starts.append(index + shift)
            pending.begins.append(begin + shift)
            pending.endings.append(place + shift)
            pending.which.append(self._number(ending))
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
        return index, count

    def learn(
        self,
        data: bytes,
        places: list[tuple[int, int]],
        attributes: list[Attribute],
        functions: tuple[str, ...],
    ) -> None:
        """Have nodes known that end with the same attributes, whose offsets and sizes in ``data`` are
        ``places``.
        """
        ending = compose(places, attributes, functions)
        if ending is not None:
            self.endings.learn(data, ending)

    def _compose(self, tail: bytes, offset: int) -> Ending | None:
        """Learn how the node at that offset ends from its attributes; None where that takes `NodeWalk`."""
        ending = self._attributes.ending(tail)
        if ending is not None:
            self._site.limits.spend(Cost.NODES, 1, self._site.source.name, offset)
            self.endings.learn(tail, ending)
        return ending

    def _columns(self, heads: Heads, shift: int, parent: PathId, scope: str) -> int:
        """Claim nodes of no function up to the first whose ending is not known; return how many."""
        import numpy as np

        data = self._wire.data
        tails, codes = distinct(data, heads.bytes, heads.endings, heads.stops)
        found = [self.endings.find(tail) for tail in tails]
        pending = self._pending
        numbers = np.array([self._number(ending) for ending in found], dtype=np.int32)
        which = numbers[codes]
        count = len(which) if (which >= 0).all() else int(np.argmin(which >= 0))
        if not count:
            return 0
        which, heads = which[:count], heads.first(count)
        pending.which.frombytes(which.tobytes())
        for column, values in (
            (pending.starts, heads.starts),
            (pending.begins, heads.begins),
            (pending.endings, heads.endings),
        ):
            column.frombytes((values + shift).tobytes())
        pending.paths.frombytes(self._paths(heads, which, parent).tobytes())
        held = np.array([ending is not None and ending.held is not None for ending in found], dtype=np.bool_)
        rows = np.flatnonzero(held[codes[:count]])
        for code, begin, op, place in zip(
            *(column[rows].tolist() for column in (codes, heads.begins, heads.ops, heads.endings)),
            strict=True,
        ):
            ending = found[code]
            assert ending is not None  # narrows
            assert ending.held is not None  # narrows
            constant = ending.held
            text = data[begin + 2 : op].decode(errors="replace")
            place += shift + constant.shift
            tensor = self._add(constant.constant, f"{scope}{text}{constant.suffix}", place)
            if constant.constant.extents:
                pending.tensors.append(tensor)
        self._count_ops(heads, scope.encode())
        return count

    def _number(self, ending: Ending | None) -> int:
        """Return the number of an ending among those of the nodes that wait; -1 for none."""
        if ending is None:
            return -1
        pending = self._pending
        number = pending.numbers.setdefault(id(ending), len(pending.known))
        if number == len(pending.known):
            pending.known.append(ending)
        return number

    def _paths(self, heads: Heads, which: NDArray[np.int32], parent: PathId) -> NDArray[np.int32]:
        """Add the paths of nodes and of their attributes; return those of the nodes."""
        import numpy as np

        known = self._pending.known
        parts: list[str | None] = [part for ending in known for part in (None, *ending.parts)]
        lengths = np.array([1 + len(ending.parts) for ending in known], dtype=np.int64)
        firsts, counts = (np.cumsum(lengths) - lengths)[which], lengths[which]
        rows = np.cumsum(counts) - counts
        table = self._site.claims.paths
        paths = (rows + len(table)).astype(np.int32)
        total = int(counts.sum())
        chosen = np.repeat(firsts - rows, counts) + np.arange(total)
        parents = np.repeat(paths, counts)
        parents[rows] = parent
        names, ends = joined(heads.bytes, heads.begins + 2, heads.ops)
        plain = np.array(parts, dtype=object)[chosen].tolist()
        table.add_objects(array("i", parents.tobytes()), names, ends, plain, rows)
        return paths

    def _count_ops(self, heads: Heads, prefix: bytes) -> None:
        """Count the nodes by op, and keep those that say what a constant is for."""
        import numpy as np

        data, uses = self._wire.data, self._uses
        names, codes = distinct(data, heads.bytes, heads.ops + 2, heads.fields)
        for op, count in zip(names, np.bincount(codes).tolist(), strict=True):
            self.ops[op] = self.ops.get(op, 0) + count
        normalizes = data.find(NORMALIZATION, int(heads.starts[0]), int(heads.stops[-1])) >= 0
        wanted = np.array([uses.wants(op, NORMALIZATION if normalizes else b"") for op in names])
        for row in np.flatnonzero(wanted[codes]).tolist():
            begin, place, fields, end = (
                int(column[row]) for column in (heads.begins, heads.ops, heads.fields, heads.endings)
            )
            uses.add(data[begin + 2 : place], data[place + 2 : fields], _inputs(data, begin, end), prefix)

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
    if begin + 4 > stop or data[begin] != NAME or data[begin + 1] >= SHORT:
        return None
    place = begin + 2 + data[begin + 1]
    name = data[begin + 2 : place]
    if place + 2 > stop or data[place] != OP or data[place + 1] >= SHORT:
        return None
    behind = place + 2 + data[place + 1]
    op = data[place + 2 : behind]
    inputs: list[bytes] = []
    while behind < stop and data[behind] != ATTR:
        place = behind
        if place + 2 > stop or data[place + 1] >= SHORT or data[place] not in PASSED:
            return None
        behind = place + 2 + data[place + 1]
        if want_inputs and data[place] == INPUT:
            inputs.append(data[place + 2 : behind])
    return (name, op, inputs, behind) if behind <= stop else None
