"""Write a tree of tables as a flatbuffer, without gaps or repetitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Schema
from modelinspect.shrinking.flat_tree import Items, Node, Numbers, Record, Text
from modelinspect.shrinking.steps import NotShrinkableError


@dataclass(slots=True)
class _Placed:
    """What is known while nodes are given their places: vtables by their contents, tables by their fields."""

    vtables: dict[bytes, int] = field(default_factory=dict)
    layouts: dict[tuple[str, tuple[str, ...], tuple[str, ...]], _Layout] = field(default_factory=dict)
    end: int = 8


def write_tree(
    root: Record, schema: Schema, out: Callable[[bytes], object], copy: Callable[[int, int], Iterator[bytes]]
) -> int:
    """Write a tree and return its size; ``copy`` yields bytes of the source for vectors that were not read.

    Parents come before what they lead to, as offsets are unsigned; vectors of a ``data`` field come last, as
    converters write them.
    """
    order = _ordered(root)
    placed = _Placed()
    late = [node for node in order if isinstance(node, Numbers) and node.alignment >= 16]
    if late:
        order = [node for node in order if not (isinstance(node, Numbers) and node.alignment >= 16)]
        order += late
    for node in order:
        _place(node, placed)
    if placed.end >= 1 << 31:
        raise NotShrinkableError("the model is larger than a flatbuffer may be")
    vtables = [(at, vtable) for vtable, at in placed.vtables.items()]  # in order of their places
    vtables.reverse()
    done = 8
    out(root.place.to_bytes(4, "little") + schema.identifier)
    for node in order:  # later nodes have higher places, and a vtable is before the first table that has it
        if vtables and vtables[-1][0] < node.place:
            at, vtable = vtables.pop()
            out(bytes(at - done) + vtable)
            done = at + len(vtable)
        out(bytes(node.place - done))
        done = node.place
        piece = _record(node, placed) if isinstance(node, Record) else _vector(node)
        for block in [piece] if isinstance(piece, bytes) else _blocks(piece, copy):
            out(block)
            done += len(block)
    for node in order:
        node.place = 0
    return done


def _blocks(numbers: Numbers, copy: Callable[[int, int], Iterator[bytes]]) -> Iterator[bytes]:
    yield numbers.count.to_bytes(4, "little")
    yield from copy(numbers.offset, numbers.size)


def _children(node: Items | Record) -> list[Node]:
    if isinstance(node, Items):
        return node.items
    nodes = node.nodes
    if len(nodes) < 2:
        return [*nodes.values()]
    return [nodes[one.name] for one in node.type.fields if one.name in nodes]


def _ordered(root: Record) -> list[Node]:
    """Return all nodes, each after everything that leads to it."""
    found: list[Node] = []
    pending: list[tuple[Node, bool]] = [(root, False)]
    while pending:
        node, done = pending.pop()
        if done:
            found.append(node)
        elif not node.place:
            node.place = -1
            if isinstance(node, Text | Numbers):  # nothing is below
                found.append(node)
                continue
            pending.append((node, True))
            pending += [(child, False) for child in _children(node) if not child.place]
    found.reverse()
    return found


def _place(node: Node, placed: _Placed) -> None:
    match node:
        case Record():
            layout = _layout(node, placed)
            size = layout.size
            if layout.vtable not in placed.vtables:
                placed.end = _aligned(placed.end, 2)
                placed.vtables[layout.vtable] = placed.end
                placed.end += len(layout.vtable)
            at = _aligned(placed.end + 4, 8) - 4 if layout.wide else _aligned(placed.end, 4)
        case Numbers():
            at, size = _aligned(placed.end + 4, max(node.alignment, 4)) - 4, 4 + node.size
        case Text():
            at, size = _aligned(placed.end, 4), 5 + len(node.data)
        case Items():
            at, size = _aligned(placed.end, 4), 4 + 4 * len(node.items)
    node.place = at
    placed.end = at + size


@dataclass(frozen=True, slots=True)
class _Layout:
    """How tables with the same fields are written: the fields with their places, the size, the vtable, and
    whether fields are wide.
    """

    fields: list[tuple[str, int]]
    size: int
    vtable: bytes
    wide: bool


def _layout(record: Record, placed: _Placed) -> _Layout:
    """Return how a table is written; fields of 8 bytes come first."""
    key = record.type.name, tuple(record.inline), tuple(record.nodes)
    found = placed.layouts.get(key)
    if found is not None:
        return found
    present = [one for one in record.type.fields if one.name in record.inline or one.name in record.nodes]
    present.sort(key=lambda one: (-one.inline_size, one.slot))
    size, slots, fields = 4, {}, []
    for one in present:
        fields.append((one.name, size))
        slots[one.slot] = size
        size += one.inline_size
    last = max(slots, default=-1)
    vtable = b"".join(
        value.to_bytes(2, "little")
        for value in (6 + 2 * last, size, *(slots.get(n, 0) for n in range(last + 1)))
    )
    placed.layouts[key] = made = _Layout(fields, size, vtable, any(one.inline_size >= 8 for one in present))
    return made


def _record(node: Record, placed: _Placed) -> bytes:
    layout, at = _layout(node, placed), node.place
    out = bytearray((at - placed.vtables[layout.vtable]).to_bytes(4, "little", signed=True))
    for name, offset in layout.fields:
        inner = node.nodes.get(name)
        out += node.inline[name] if inner is None else (inner.place - at - offset).to_bytes(4, "little")
    return bytes(out)


def _vector(node: Text | Numbers | Items) -> bytes | Numbers:
    match node:
        case Text():
            return len(node.data).to_bytes(4, "little") + node.data + b"\0"
        case Numbers():
            return node if node.data is None else node.count.to_bytes(4, "little") + node.data
        case Items():
            first = node.place + 4
            places = (item.place - first - 4 * number for number, item in enumerate(node.items))
            return len(node.items).to_bytes(4, "little") + b"".join(
                place.to_bytes(4, "little") for place in places
            )


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
