"""Claim runs of equal messages that are one region each, as the objects of an object graph."""

from __future__ import annotations

from array import array

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.encodings.protobuf import Field, MessageType, WireType
from modelinspect.encodings.protobuf.wire import Wire
from modelinspect.formats.base import Site
from modelinspect.formats.graph.layout import LAYOUT, Step
from modelinspect.formats.graph.node_columns import SHORT


def has_label(known: Field, type_: MessageType) -> bool:
    """Return whether the messages of a repeated field are known by what they begin with: a map's key, or a
    name.
    """
    first = type_.fields.get(1)
    return (
        known.repeated
        and first is not None
        and first.type == "string"
        and not first.repeated
        and first.name in ("key", "name")
    )


def field_of_runs(type_: MessageType) -> Field | None:
    """Return a field of a message that is many messages, each claimed whole and known by its number."""
    labels = LAYOUT.get(type_.name, {})
    for known in type_.fields.values():
        if known.number < 16 and known.repeated and known.message and known.wire is WireType.BYTES:
            is_whole = known.name not in labels or labels[known.name].step is Step.CLAIM
            if is_whole and not has_label(known, known.message):
                return known
    return None


def claim_run(
    site: Site, wire: Wire, known: Field, kind: RegionKind, count: int, begin: int, end: int, path: PathId
) -> tuple[int, int]:
    """Claim messages of a field from ``begin`` on, up to one that is longer than 16 KiB, or another field.

    Return where that is, and how many there are by now; ``count`` are those before them.
    """
    index = wire.load(begin, 1)
    data, shift = wire.data, begin - index
    last = min(end - shift, len(data))
    tag = known.number << 3 | known.wire
    offsets, sizes = array("q"), array("q")
    while index + 3 < last and data[index] == tag:
        size, value = data[index + 1], index + 2
        if size >= SHORT:
            if data[value] >= SHORT:
                break
            size, value = size & 0x7F | data[value] << 7, value + 1
        if value + size > last:
            break
        offsets.append(index + shift)
        offsets.append(value + shift)
        sizes.append(value - index)
        sizes.append(size)
        index = value + size
    found = len(offsets) // 2
    if found:
        import numpy as np

        claims = site.claims
        first = claims.paths.add_many(
            array("i", [path]) * found, [f"{known.name}[{number}]" for number in range(count, count + found)]
        )
        claims.claim_many(
            np.frombuffer(offsets, dtype=np.int64),
            np.frombuffer(sizes, dtype=np.int64),
            np.tile(np.array([RegionKind.CONTAINER.code, kind.code], dtype=np.int8), found),
            np.repeat(np.arange(first, first + found, dtype=np.int32), 2),
        )
    return index + shift, count + found
