"""Read attribute messages, wherever they are (specification, section IV.A.2.m), and claims their parts."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TypeVar

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.span import Span
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.datatypes import read_datatype
from modelinspect.encodings.hdf5.element_types import Dataspace, Datatype
from modelinspect.encodings.hdf5.globalheap import GlobalHeaps, heap_pointers
from modelinspect.encodings.hdf5.headers import SHARED, Message
from modelinspect.encodings.hdf5.messages import MESSAGE_LABELS, read_dataspace
from modelinspect.encodings.hdf5.model import Attribute
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.encodings.hdf5.sharing import SharedMessages, read_place
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, METADATA, State
from modelinspect.errors import FormatError

_HEAD = Struct("<BBHHH")
_DATATYPE, _DATASPACE, _ATTRIBUTE = 0x03, 0x01, 0x0C
_Value = TypeVar("_Value")


class MessageReader:
    """Reads message bodies, following shared ones; equal bodies are read once."""

    __slots__ = ("_cache", "committed", "heaps", "shared", "state")

    def __init__(self, state: State, heaps: GlobalHeaps, shared: SharedMessages) -> None:
        self.state = state
        self.heaps = heaps
        self.shared = shared
        self.committed: Callable[[int], Datatype] = self._no_committed
        self._cache: dict[tuple[int, bytes], tuple[object, int]] = {}

    def _no_committed(self, address: int) -> Datatype:
        raise self.state.error("no committed datatype is here", self.state.base + address)

    def parse(
        self, kind: int, body: bytes, offset: int, read: Callable[[Cursor], _Value]
    ) -> tuple[_Value, int]:
        """Return what a message body says and how many of its bytes say it. Raises `FormatError`."""
        known = self._cache.get((kind, body))
        if known is None:
            cursor = Cursor(body, self.state.name, offset, MESSAGE_LABELS[kind])
            known = (read(cursor), cursor.index)
            self._cache[kind, body] = known
        return known  # type: ignore[return-value]

    def body(
        self, kind: int, flags: int, body: bytes, offset: int, read: Callable[[Cursor], _Value]
    ) -> tuple[_Value, int]:
        """Do as `parse` does, and follow a shared message; the size is then that of the reference."""
        if not flags & SHARED:
            return self.parse(kind, body, offset, read)
        cursor = Cursor(body, self.state.name, offset, "shared message")
        place = read_place(cursor, self.state)
        if place.heap_id is not None:
            found = self.shared.find(kind, place.heap_id)
            return (
                self.parse(kind, found.data, offset if found.offset is None else found.offset, read)[0],
                cursor.index,
            )
        if kind != _DATATYPE or place.header is None:
            raise self.state.unsupported(
                f"a message of type {kind:#06x} in another object's header is not read here", offset
            )
        return self.committed(place.header), cursor.index  # type: ignore[return-value]

    def datatype(self, flags: int, body: bytes, offset: int) -> tuple[Datatype, int]:
        """Read a datatype message."""
        return self.body(_DATATYPE, flags, body, offset, read_datatype)

    def dataspace(self, flags: int, body: bytes, offset: int) -> tuple[Dataspace, int]:
        """Read a dataspace message."""
        return self.body(_DATASPACE, flags, body, offset, self._dataspace)

    def _dataspace(self, cursor: Cursor) -> Dataspace:
        return read_dataspace(cursor, self.state.length_size)

    def attribute_message(self, message: Message, object_path: str, path: PathId) -> Attribute:
        """Read and claim an attribute message of an object header. Raises `FormatError`."""
        if message.flags & SHARED:
            cursor = Cursor(message.body, self.state.name, message.offset, "shared message")
            place = read_place(cursor, self.state)
            used = message.offset - message.head + cursor.index
            self.state.claim(message.head, used, CONTAINER, path)
            self.state.claim(message.head + used, len(message.body) - cursor.index, FREE, path)
            if place.heap_id is None:
                raise self.state.unsupported(
                    "an attribute in another object's header is not read here", message.offset
                )
            return self.shared_attribute(place.heap_id, object_path, path)
        return self.attribute(message.body, message.offset, message.head, object_path, path)

    def shared_attribute(self, heap_id: bytes, object_path: str, path: PathId) -> Attribute:
        """Read an attribute of the shared message heap, and claim it when it is met first."""
        found = self.shared.find(_ATTRIBUTE, heap_id)
        if self.shared.first_use(_ATTRIBUTE, heap_id):
            return self.attribute(found.data, found.offset, found.offset, object_path, path)
        return self.attribute(found.data, found.offset, None, object_path, path)

    def attribute(
        self, body: bytes, offset: int | None, head: int | None, object_path: str, path: PathId
    ) -> Attribute:
        """Read an attribute; claim it where ``head``, the offset from which its framing counts, is given."""
        state = self.state
        where = offset or 0
        if len(body) < 9:
            raise state.error(f"an attribute message has {len(body)} bytes", offset)
        version, flags, name_size, type_size, space_size = _HEAD.unpack_from(body)
        index = 8
        if version == 3:
            index = 9
        elif not 1 <= version <= 2:
            raise state.unsupported(f"attribute version {version} is not read here", offset)
        if version == 1:
            flags = 0
        pad = 7 if version == 1 else 0
        type_at = index + (name_size + pad & ~pad)
        space_at = type_at + (type_size + pad & ~pad)
        data_at = space_at + (space_size + pad & ~pad)
        if data_at > len(body):
            raise state.error(f"an attribute message needs {data_at:,} bytes but has {len(body):,}", offset)
        name = text(body[index : index + name_size].split(b"\0", 1)[0])
        datatype, _ = self.datatype(
            SHARED if flags & 1 else 0, body[type_at : type_at + type_size], where + type_at
        )
        space, _ = self.dataspace(
            SHARED if flags & 2 else 0, body[space_at : space_at + space_size], where + space_at
        )
        size = space.count * datatype.size
        if size > len(body) - data_at:
            raise state.error(
                f"attribute {name} needs {size:,} bytes but {len(body) - data_at:,} are left", offset
            )
        data = body[data_at : data_at + size]
        spans: tuple[Span, ...] = ()
        if head is not None and offset is not None:
            kind = state.policy.attribute_kind(object_path, name)
            own = state.paths.add(path, name)
            value_path = state.paths.add(own, "data")
            claim = state.claim
            claim(head, offset + index - head, CONTAINER, own)
            claim(offset + index, name_size, METADATA, state.paths.add(own, "name"))
            claim(offset + index + name_size, data_at - index - name_size, CONTAINER, own)
            claim(offset + data_at, size, kind, value_path)
            claim(offset + data_at + size, len(body) - data_at - size, FREE, own)
            if datatype.has_heap_data:
                spans = self._claim_heap(datatype, data, kind, state.paths.add(own, "global heap data"))
        elif datatype.has_heap_data and offset is None:
            kind = state.policy.attribute_kind(object_path, name)
            spans = self._claim_heap(datatype, data, kind, state.paths.child(path, name))
        span = Span(offset + data_at, size) if offset is not None else Span(0, 0)
        return Attribute(name, datatype, space, span, spans, None if offset is not None else data, self.heaps)

    def _claim_heap(
        self, datatype: Datatype, data: bytes, kind: RegionKind, path: PathId
    ) -> tuple[Span, ...]:
        spans: list[Span] = []
        for collection, index in heap_pointers(datatype, data, self.heaps):
            try:
                spans.append(self.heaps.claim(collection, index, kind, path))
            except FormatError as error:
                self.state.survive(error)
        return tuple(spans)
