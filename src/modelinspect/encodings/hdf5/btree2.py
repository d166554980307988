"""Walk v2 B-trees (specification, section III.A.2) and yield their records as bytes."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.encodings.hdf5.state import State, encoded_size

_FRAMING = 10
"""Signature, version, type and checksum of a node."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A v2 B-tree's header. ``root`` is None where the tree has no record."""

    kind: int
    node_size: int
    record_size: int
    depth: int
    root: int | None
    root_count: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one node, one after another; ``offset`` is where the first one is."""

    data: bytes
    count: int
    record_size: int
    offset: int

    def each(self) -> Iterator[bytes]:
        """Yield each record."""
        size = self.record_size
        for index in range(self.count):
            yield self.data[index * size : (index + 1) * size]


class BTree2:
    """A v2 B-tree: claims its header and nodes; ``stored_size`` sums them."""

    __slots__ = ("path", "state", "stored_size", "tree")

    def __init__(self, state: State, address: int, kinds: tuple[int, ...], path: PathId) -> None:
        self.state = state
        self.path = path
        state.enter(address, "v2 B-tree")
        size = 22 + state.offset_size + state.length_size
        cursor = state.cursor(address, size, "v2 B-tree header")
        cursor.expect(b"BTHD")
        version, kind = cursor.u8(), cursor.u8()
        if version != 0:
            raise state.unsupported(f"v2 B-tree version {version} is not read here", cursor.base)
        if kind not in kinds:
            raise state.error(
                f"a v2 B-tree of type {kind} is where one of type {' or '.join(map(str, kinds))} must",
                cursor.base,
            )
        node_size, record_size, depth = cursor.u32(), cursor.u16(), cursor.u16()
        cursor.skip(2)
        root, root_count, record_count = state.address(cursor), cursor.u16(), state.length(cursor)
        if not record_size or node_size < _FRAMING + record_size or depth > 32:
            raise state.error("the sizes of a v2 B-tree's header are impossible", cursor.base)
        self.tree = Tree(
            kind,
            node_size,
            record_size,
            depth,
            None if root == state.undefined else root,
            root_count,
            record_count,
        )
        self.stored_size = size
        state.verify(cursor.data, "v2 B-tree header", cursor.base)
        state.container(address, size, size, path)

    def nodes(self) -> Iterator[Records]:
        """Claim the nodes and yield their records, those of inner nodes before their children's."""
        state, tree = self.state, self.tree
        if tree.root is None or not tree.root_count:
            return
        node_path = state.paths.child(self.path, "node")
        seen: set[int] = set()
        counts = self._child_sizes()
        pending = [(tree.root, tree.root_count, tree.depth)]
        while pending:
            address, count, depth = pending.pop()
            if address in seen:
                state.survive(state.error("a v2 B-tree leads in a circle", state.base + address))
                continue
            seen.add(address)
            found = state.guard(self._node, address, count, depth, node_path, counts)
            if found is not None:
                records, children = found
                yield records
                pending += [(child, size, depth - 1) for child, size in reversed(children)]

    def _child_sizes(self) -> list[tuple[int, int]]:
        """Return for each depth the bytes of a child's record count and of the records below it."""
        tree, state = self.tree, self.state
        most = (tree.node_size - _FRAMING) // tree.record_size
        width = encoded_size(most)
        total, total_width = most, 0
        sizes = [(0, 0)]
        for _ in range(tree.depth):
            pointer = state.offset_size + width + total_width
            sizes.append((width, total_width))
            here = max((tree.node_size - _FRAMING - pointer) // (tree.record_size + pointer), 0)
            total = (here + 1) * total + here
            total_width = encoded_size(total)
        return sizes

    def _node(
        self, address: int, count: int, depth: int, path: PathId, sizes: list[tuple[int, int]]
    ) -> tuple[Records, list[tuple[int, int]]]:
        state, tree = self.state, self.tree
        what = "v2 B-tree node"
        width, total_width = sizes[depth]
        pointers = (count + 1) * (state.offset_size + width + total_width) if depth else 0
        used = _FRAMING + count * tree.record_size + pointers
        if used > tree.node_size:
            raise state.error(f"a v2 B-tree node says that it has {count:,} records", state.base + address)
        state.locate(address, tree.node_size, what)
        cursor = state.cursor(address, used, what)
        cursor.expect(b"BTIN" if depth else b"BTLF")
        version, kind = cursor.u8(), cursor.u8()
        if version != 0 or kind != tree.kind:
            raise state.error(f"a v2 B-tree node has version {version} and type {kind}", cursor.base)
        records = Records(cursor.take(count * tree.record_size), count, tree.record_size, cursor.base + 6)
        children: list[tuple[int, int]] = []
        if depth:
            for _ in range(count + 1):
                child = state.address(cursor)
                children.append((child, cursor.uint(width)))
                cursor.skip(total_width)
        state.verify(cursor.data, what, cursor.base)
        state.container(address, used, tree.node_size, path)
        self.stored_size += tree.node_size
        return records, children
