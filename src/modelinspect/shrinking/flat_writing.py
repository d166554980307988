"""Write a tree of tables as a flatbuffer, without gaps or repetitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.core.records import dataclass, field
from modelinspect.encodings.flatbuffers.schema import Schema
from modelinspect.shrinking.flat_tree import Items, Node, Numbers, Record, Text
from modelinspect.shrinking.steps import NotShrinkableError


@dataclass(slots=True)
class _Placed:
    """Nodes in the order in which they are written, with their places; vtables by their contents."""

    places: dict[int, int] = field(default_factory=dict)
    vtables: dict[bytes, int] = field(default_factory=dict)
    layouts: dict[tuple[str, tuple[str, ...], tuple[str, ...]], _Layout] = field(default_factory=dict)
    pieces: list[tuple[int, bytes | Numbers]] = field(default_factory=list)
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
    rest = [node for node in order if not (isinstance(node, Numbers) and node.alignment >= 16)]
    for node in [*rest, *late]:
        _place(node, placed)
    if placed.end >= 1 << 31:
        raise NotShrinkableError("the model is larger than a flatbuffer may be")
    head = placed.places[id(root)].to_bytes(4, "little") + schema.identifier
    pieces: dict[int, bytes | Numbers] = {0: head, **dict(placed.pieces)}
    for node in order:
        at = placed.places[id(node)]
        pieces[at] = _record(node, at, placed) if isinstance(node, Record) else _vector(node, at, placed)
    done = 0
    for at in sorted(pieces):
        out(bytes(at - done))
        piece = pieces[at]
        done = at
        for block in [piece] if isinstance(piece, bytes) else _blocks(piece, copy):
            out(block)
            done += len(block)
    return done


def _blocks(numbers: Numbers, copy: Callable[[int, int], Iterator[bytes]]) -> Iterator[bytes]:
    yield numbers.count.to_bytes(4, "little")
    yield from copy(numbers.offset, numbers.size)


def _children(node: Node) -> list[Node]:
    match node:
        case Items():
            return node.items
        case Record():
            return [node.nodes[one.name] for one in node.type.fields if one.name in node.nodes]
        case _:
            return []


def _ordered(root: Record) -> list[Node]:
    """Return all nodes, each after everything that leads to it."""
    found: list[Node] = []
    seen: set[int] = set()
    pending: list[tuple[Node, bool]] = [(root, False)]
    while pending:
        node, done = pending.pop()
        if done:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending += [(child, False) for child in _children(node) if id(child) not in seen]
    return found[::-1]


def _place(node: Node, placed: _Placed) -> None:
    match node:
        case Record():
            layout = _layout(node, placed)
            size = layout.size
            if layout.vtable not in placed.vtables:
                placed.end = _aligned(placed.end, 2)
                placed.vtables[layout.vtable] = placed.end
                placed.pieces.append((placed.end, layout.vtable))
                placed.end += len(layout.vtable)
            at = _aligned(placed.end + 4, 8) - 4 if layout.wide else _aligned(placed.end, 4)
        case Numbers():
            at, size = _aligned(placed.end + 4, max(node.alignment, 4)) - 4, 4 + node.size
        case Text():
            at, size = _aligned(placed.end, 4), 5 + len(node.data)
        case Items():
            at, size = _aligned(placed.end, 4), 4 + 4 * len(node.items)
    placed.places[id(node)] = at
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


def _record(node: Record, at: int, placed: _Placed) -> bytes:
    layout = _layout(node, placed)
    out = bytearray((at - placed.vtables[layout.vtable]).to_bytes(4, "little", signed=True))
    for name, offset in layout.fields:
        inner = node.nodes.get(name)
        out += (
            node.inline[name]
            if inner is None
            else (placed.places[id(inner)] - at - offset).to_bytes(4, "little")
        )
    return bytes(out)


def _vector(node: Text | Numbers | Items, at: int, placed: _Placed) -> bytes | Numbers:
    match node:
        case Text():
            return len(node.data).to_bytes(4, "little") + node.data + b"\0"
        case Numbers():
            return node if node.data is None else node.count.to_bytes(4, "little") + node.data
        case Items():
            places = (placed.places[id(item)] - at - 4 - 4 * number for number, item in enumerate(node.items))
            return len(node.items).to_bytes(4, "little") + b"".join(
                place.to_bytes(4, "little") for place in places
            )


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
