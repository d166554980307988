"""Read global heap collections (specification, section III.E): each object, the free object, and what is left
over.

Elements lead to their objects: vlen data, region references, and what these hold in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from struct import Struct

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.encodings.hdf5.element_types import Datatype, TypeClass
from modelinspect.encodings.hdf5.model import COLLECTION
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, State
from modelinspect.errors import FormatError


@dataclass(slots=True)
class Collection:
    """A global heap collection: offset and size of each object's data, and which of them something led to."""

    path: PathId
    objects: dict[int, tuple[int, int]] = field(default_factory=dict)
    claimed: set[int] = field(default_factory=set)


class GlobalHeaps:
    """The global heap collections that were met, each read once."""

    __slots__ = ("_collections", "_head", "_pointer", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self._collections: dict[int, Collection | FormatError] = {}
        width = {2: "H", 4: "I", 8: "Q"}
        self._head = Struct("<HH4x" + width[state.length_size])
        self._pointer = Struct("<" + width[state.offset_size] + "I")

    @property
    def offset_size(self) -> int:
        """The bytes of a file address."""
        return self.state.offset_size

    @property
    def pointer_size(self) -> int:
        """The bytes of an object's id: the collection's address and the object's index."""
        return self._pointer.size

    def pointer(self, data: bytes, index: int) -> tuple[int, int]:
        """Return collection and index of the id that is in bytes."""
        collection, number = self._pointer.unpack_from(data, index)
        return collection, number

    def is_null(self, collection: int) -> bool:
        """Return whether an address says that there is no object."""
        return collection in (0, self.state.undefined)

    def collection(self, address: int) -> Collection:
        """Return a collection. Raises `FormatError`, the same each time."""
        known = self._collections.get(address)
        if known is None:
            try:
                known = self._read(address)
            except FormatError as error:
                known = error
            self._collections[address] = known
        if isinstance(known, FormatError):
            raise known
        return known

    def object_span(self, collection: int, index: int) -> Span:
        """Return where an object's data are. Raises `FormatError`."""
        found = self.collection(collection).objects.get(index)
        if found is None:
            raise self.state.error(
                f"the global heap collection has no object {index}", self.state.base + collection
            )
        return Span(*found)

    def claim(
        self, collection: int, index: int, kind: RegionKind, path: PathId, tensor: TensorId = NO_TENSOR
    ) -> Span:
        """Claim an object's data for what leads to it; the first that does holds it. Raises `FormatError`."""
        span = self.object_span(collection, index)
        heap = self.collection(collection)
        if index not in heap.claimed:
            heap.claimed.add(index)
            self.state.claim(span.offset, span.size, kind, path, tensor)
        return span

    def finish(self) -> None:
        """Claim the objects that nothing leads to: lost space, when everything was read."""
        kind = FREE if self.state.complete else CONTAINER
        for collection in self._collections.values():
            if isinstance(collection, Collection):
                path = self.state.paths.child(collection.path, "unreferenced object")
                for index, (offset, size) in collection.objects.items():
                    if index not in collection.claimed:
                        self.state.claim(offset, size, kind, path)

    def _read(self, address: int) -> Collection:
        state = self.state
        head_size = 8 + state.length_size
        head = state.cursor(address, head_size, "global heap collection")
        head.expect(COLLECTION)
        version = head.u8()
        if version != 1:
            raise state.unsupported(f"global heap collection version {version} is not read here", head.base)
        head.skip(3)
        size = state.length(head)
        if size < head_size:
            raise head.error(f"a global heap collection has {size} bytes")
        data = state.read(address, size, "global heap collection")
        state.totals.global_heaps += size
        path = state.claims.path(f"global heap collection {address:#x}")
        collection = Collection(path)
        self._read_objects(collection, data, head_size, state.base + address)
        return collection

    def _read_objects(self, collection: Collection, data: bytes, index: int, base: int) -> None:
        state, claim, head = self.state, self.state.claim, self._head
        paths, path, objects = state.paths, collection.path, collection.objects
        framing, padding, size = paths.child(path, "object header"), paths.child(path, "padding"), len(data)
        claim(base, index, CONTAINER, path)
        while index + head.size <= size:
            number, _references, length = head.unpack_from(data, index)
            if number == 0:
                # The free object's size counts its own header; 0 where the rest is too short for one.
                claim(base + index, head.size, CONTAINER, paths.child(path, "free object header"))
                claim(
                    base + index + head.size, size - index - head.size, FREE, paths.child(path, "free object")
                )
                return
            begin = index + head.size
            if length > size - begin:
                raise state.error(
                    f"object {number} of a global heap collection needs {length:,} bytes", base + index
                )
            if number in objects:
                raise state.error(f"a global heap collection has two objects {number}", base + index)
            claim(base + index, head.size, CONTAINER, framing)
            objects[number] = (base + begin, length)
            index = min(begin + (length + 7) // 8 * 8, size)
            claim(base + begin + length, index - begin - length, FREE, padding)
        claim(base + index, size - index, FREE, paths.child(path, "slack"))


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
                found = _pointer_of(holder, elements, start + place, heaps)
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


def _pointer_of(holder: Datatype, elements: bytes, at: int, heaps: GlobalHeaps) -> tuple[int, int] | None:
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
