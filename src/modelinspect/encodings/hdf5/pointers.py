"""Find the global heap objects that elements lead to: vlen data, region references, and what these hold in
turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from modelinspect.encodings.hdf5.element_types import Datatype, TypeClass
from modelinspect.encodings.hdf5.globalheap import GlobalHeaps

_REGION, _OBJECT2, _REGION2, _ATTRIBUTE = 1, 2, 3, 4
_NESTING = 32


def _places(datatype: Datatype, at: int, heaps: GlobalHeaps) -> list[tuple[int, Datatype]]:
    """Return where in an element the pointers are, and the types that hold them."""
    if not datatype.has_heap_data:
        return []
    match datatype.type_class:
        case TypeClass.VLEN | TypeClass.REFERENCE:
            return [(at, datatype)]
        case TypeClass.COMPOUND:
            return [
                place
                for member in datatype.members
                for place in _places(member.datatype, at + member.offset, heaps)
            ]
        case TypeClass.ARRAY if datatype.base is not None:
            inner = _places(datatype.base, 0, heaps)
            size, count = datatype.base.size, prod(datatype.dims)
            return [(at + number * size + place, kind) for number in range(count) for place, kind in inner]
        case _:
            return []


def heap_pointers(datatype: Datatype, data: bytes, heaps: GlobalHeaps) -> Iterator[tuple[int, int]]:
    """Yield collection and index of each object that elements lead to, on every level.

    Raises `FormatError`.
    """
    pending = [(datatype, data, 0)]
    seen: set[tuple[int, int, int]] = set()
    while pending:
        kind, elements, depth = pending.pop()
        if not kind.size or len(elements) < kind.size or not elements.strip(b"\0"):
            continue  # all zeros lead nowhere
        places = _places(kind, 0, heaps)
        for start in range(0, len(elements) - kind.size + 1, kind.size):
            for place, holder in places:
                found = pointer_of(holder, elements, start + place, heaps)
                if found is None:
                    continue
                yield found
                inner = holder.base
                if (
                    inner is not None
                    and inner.has_heap_data
                    and depth < _NESTING
                    and (*found, depth) not in seen
                ):
                    seen.add((*found, depth))
                    span = heaps.object_span(*found)
                    pending.append((inner, heaps.state.source.read_at(span.offset, span.size), depth + 1))


def pointer_of(holder: Datatype, elements: bytes, at: int, heaps: GlobalHeaps) -> tuple[int, int] | None:
    """Return the object that one vlen datum or reference leads to, None where it leads nowhere."""
    size = heaps.pointer_size
    if holder.type_class is TypeClass.VLEN:
        if at + 4 + size > len(elements) or elements[at : at + 4] == b"\0\0\0\0":
            return None
        at += 4
    elif holder.reference_type == _REGION:
        if at + size > len(elements):
            return None
    else:
        # References of HDF5 1.12: type, flags, size, then an id where the reference itself does not fit.
        if (
            at + 6 + size > len(elements)
            or (elements[at] == _OBJECT2 and not elements[at + 1] & 1)
            or elements[at] < _OBJECT2
        ):
            return None
        at += 6
    collection, index = heaps.pointer(elements, at)
    return None if heaps.is_null(collection) else (collection, index)
