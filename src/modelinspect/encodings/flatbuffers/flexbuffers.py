"""Read flexbuffers: schemaless values whose root is at the end.

The layout is that of flatbuffers.dev, "FlexBuffers": the last byte is the width of the root, the one before
it its type and the width of what it points to. Vectors have their count before them and, where their elements
differ in type, a byte of type for each after. A map is a vector of values with the offset of its vector of
keys, and that one's width, before the count.
"""

from __future__ import annotations

from enum import IntEnum
from struct import unpack
from typing import Any

from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError


class FlexType(IntEnum):
    """The types of flexbuffers, by their numbers."""

    NULL = 0
    INT = 1
    UINT = 2
    FLOAT = 3
    KEY = 4
    STRING = 5
    INDIRECT_INT = 6
    INDIRECT_UINT = 7
    INDIRECT_FLOAT = 8
    MAP = 9
    VECTOR = 10
    VECTOR_INT = 11
    VECTOR_UINT = 12
    VECTOR_FLOAT = 13
    VECTOR_KEY = 14
    VECTOR_STRING = 15
    VECTOR_INT2 = 16
    VECTOR_UINT2 = 17
    VECTOR_FLOAT2 = 18
    VECTOR_INT3 = 19
    VECTOR_UINT3 = 20
    VECTOR_FLOAT3 = 21
    VECTOR_INT4 = 22
    VECTOR_UINT4 = 23
    VECTOR_FLOAT4 = 24
    BLOB = 25
    BOOL = 26
    VECTOR_BOOL = 36


_ELEMENTS = {
    FlexType.VECTOR_INT: FlexType.INT,
    FlexType.VECTOR_UINT: FlexType.UINT,
    FlexType.VECTOR_FLOAT: FlexType.FLOAT,
    FlexType.VECTOR_KEY: FlexType.KEY,
    FlexType.VECTOR_STRING: FlexType.STRING,
    FlexType.VECTOR_BOOL: FlexType.BOOL,
}
_INLINE = (FlexType.NULL, FlexType.INT, FlexType.UINT, FlexType.FLOAT, FlexType.BOOL)
_INDIRECT = {
    FlexType.INDIRECT_INT: FlexType.INT,
    FlexType.INDIRECT_UINT: FlexType.UINT,
    FlexType.INDIRECT_FLOAT: FlexType.FLOAT,
}


@dataclass(frozen=True, slots=True)
class FlexSpan:
    """Bytes of a flexbuffer: framing (counts, offsets, types) or a value, and what they are."""

    offset: int
    size: int
    framing: bool
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flex:
    """A flexbuffer that was read whole.

    ``spans`` are disjoint, sorted, and cover all but its padding. ``root`` is the root's value; of maps and
    vectors only what is directly in the root: what lies deeper shows as None. Blobs and strings are bytes and
    text.
    """

    root: Any
    spans: tuple[FlexSpan, ...]


@dataclass(frozen=True, slots=True)
class _Reference:
    """Where a value is, how wide it is there, and its type and the width of what it points to."""

    position: int
    parent_width: int
    type: FlexType
    width: int
    path: tuple[str, ...]


def read_flex(data: bytes, limit: int) -> Flex:
    """Read a flexbuffer that fills ``data``.

    Raises `FormatError` where the bytes are none, or hold more than ``limit`` values.
    """
    return _Reading(data, limit).run()


class _Reading:
    def __init__(self, data: bytes, limit: int) -> None:
        self.data = data
        self.limit = limit
        self.spans: dict[tuple[int, int], FlexSpan] = {}
        self.seen: set[tuple[int, FlexType, int]] = set()
        self.stack: list[_Reference] = []

    def run(self) -> Flex:
        data = self.data
        if len(data) < 3:
            raise FormatError("a flexbuffer has three bytes at least")
        width, packed = data[-1], data[-2]
        if width not in (1, 2, 4, 8) or len(data) < 2 + width:
            raise FormatError(f"a flexbuffer's root cannot be {width} bytes wide")
        root = self._reference(len(data) - 2 - width, width, packed, ())
        self._add(len(data) - 2, 2, True, ("root type",))
        self._visit(root)
        while self.stack:
            self._follow(self.stack.pop())
        return Flex(self._value(root, 1), self._tiled())

    def _reference(self, position: int, parent_width: int, packed: int, path: tuple[str, ...]) -> _Reference:
        try:
            type = FlexType(packed >> 2)
        except ValueError as error:
            raise FormatError(f"a flexbuffer has no type {packed >> 2}", offset=position) from error
        return _Reference(position, parent_width, type, 1 << (packed & 3), path)

    def _uint(self, position: int, width: int) -> int:
        if position < 0 or position + width > len(self.data):
            raise FormatError("a flexbuffer's value is outside", offset=max(position, 0))
        return int.from_bytes(self.data[position : position + width], "little")

    def _target(self, reference: _Reference) -> int:
        target = reference.position - self._uint(reference.position, reference.parent_width)
        if not 0 <= target <= reference.position:
            raise FormatError("a flexbuffer's offset leads outside", offset=reference.position)
        return target

    def _add(self, offset: int, size: int, framing: bool, path: tuple[str, ...]) -> None:
        if offset < 0 or offset + size > len(self.data):
            raise FormatError("a flexbuffer's value is longer than what is left", offset=max(offset, 0))
        if size:
            self.spans.setdefault((offset, size), FlexSpan(offset, size, framing, path))
            if len(self.spans) > self.limit:
                raise FormatError("a flexbuffer has too many values")

    def _visit(self, reference: _Reference) -> None:
        """Claim what is in place, and come back for what it points to."""
        self._add(
            reference.position,
            reference.parent_width,
            reference.type not in _INLINE,
            reference.path or ("root",),
        )
        if reference.type not in _INLINE:
            self.stack.append(reference)

    def _follow(self, reference: _Reference) -> None:
        target, width, type, path = self._target(reference), reference.width, reference.type, reference.path
        if (target, type, width) in self.seen:
            return
        self.seen.add((target, type, width))
        if type in _INDIRECT:
            self._add(target, width, False, path)
        elif type is FlexType.KEY:
            self._add(target, self._key_size(target), False, path)
        elif type in (FlexType.STRING, FlexType.BLOB):
            size = self._uint(target - width, width)
            self._add(target - width, width, True, (*path, "length"))
            self._add(target, size + (type is FlexType.STRING), False, path)
        elif FlexType.VECTOR_INT2 <= type <= FlexType.VECTOR_FLOAT4:
            self._add(target, width * ((type - FlexType.VECTOR_INT2) // 3 + 2), False, path)
        else:
            self._elements(target, width, type, path)

    def _key_size(self, target: int) -> int:
        end = self.data.find(b"\0", target)
        if end < 0:
            raise FormatError("a flexbuffer's key does not end", offset=target)
        return end + 1 - target

    def _elements(self, target: int, width: int, type: FlexType, path: tuple[str, ...]) -> None:
        count = self._uint(target - width, width)
        if count * width > len(self.data) - target:
            raise FormatError("a flexbuffer's vector is longer than what is left", offset=target)
        self._add(target - width, width, True, (*path, "length"))
        names = [f"[{index}]" for index in range(count)]
        if type is FlexType.MAP:
            self._keys(target, width, path)
            names = [key.decode("utf-8", "replace") for key in self._key_names(target, width, count)]
        if type in (FlexType.MAP, FlexType.VECTOR):
            self._add(target + count * width, count, True, (*path, "types"))
            for index, name in enumerate(names):
                packed = self._uint(target + count * width + index, 1)
                self._visit(self._reference(target + index * width, width, packed, (*path, name)))
        elif _ELEMENTS[type] in _INLINE:
            self._add(target, count * width, False, path)
        else:
            for index, name in enumerate(names):
                self._visit(_Reference(target + index * width, width, _ELEMENTS[type], 1, (*path, name)))

    def _keys(self, target: int, width: int, path: tuple[str, ...]) -> None:
        """Claim the offset of a map's vector of keys, and that vector's width, which are before the count."""
        self._add(target - 3 * width, 2 * width, True, (*path, "keys offset"))
        self.stack.append(
            _Reference(
                target - 3 * width,
                width,
                FlexType.VECTOR_KEY,
                self._uint(target - 2 * width, width),
                (*path, "keys"),
            )
        )

    def _key_names(self, target: int, width: int, count: int) -> list[bytes]:
        place = target - 3 * width
        keys, wide = place - self._uint(place, width), self._uint(target - 2 * width, width)
        if wide not in (1, 2, 4, 8) or keys < 0 or self._uint(keys - wide, wide) != count:
            raise FormatError("a flexbuffer's map has other keys than values", offset=place)
        found = []
        for index in range(count):
            start = keys + index * wide - self._uint(keys + index * wide, wide)
            if start < 0:
                raise FormatError("a flexbuffer's key is outside", offset=place)
            found.append(self.data[start : start + self._key_size(start) - 1])
        return found

    def _value(self, reference: _Reference, depth: int) -> Any:
        type, width = reference.type, reference.width
        if type in _INLINE:
            return self._number(reference.position, reference.parent_width, type)
        target = self._target(reference)
        if type in _INDIRECT:
            return self._number(target, width, _INDIRECT[type])
        if type is FlexType.KEY:
            return self.data[target : target + self._key_size(target) - 1].decode("utf-8", "replace")
        if type in (FlexType.STRING, FlexType.BLOB):
            raw = self.data[target : target + self._uint(target - width, width)]
            return raw.decode("utf-8", "replace") if type is FlexType.STRING and raw.isascii() else raw
        if type not in (FlexType.MAP, FlexType.VECTOR) or not depth:
            return None
        count = self._uint(target - width, width)
        packed = self.data[target + count * width : target + count * width + count]
        values = [
            self._value(self._reference(target + i * width, width, packed[i], ()), depth - 1)
            for i in range(count)
        ]
        if type is FlexType.VECTOR:
            return tuple(values)
        names = [key.decode("utf-8", "replace") for key in self._key_names(target, width, count)]
        return dict(zip(names, values, strict=True))

    def _number(self, position: int, width: int, type: FlexType) -> Any:
        raw = self._uint(position, width)
        if type is FlexType.FLOAT:
            code = {2: "<e", 4: "<f", 8: "<d"}.get(width)
            return unpack(code, self.data[position : position + width])[0] if code else None
        if type is FlexType.BOOL:
            return bool(raw)
        if type is FlexType.INT and raw >> (8 * width - 1):
            return raw - (1 << 8 * width)
        return None if type is FlexType.NULL else raw

    def _tiled(self) -> tuple[FlexSpan, ...]:
        """Return the spans sorted.

        Raises `FormatError` where two overlap, or where what is between is not a padding.
        """
        spans = sorted(self.spans.values(), key=lambda span: span.offset)
        end = 0
        for span in spans:
            if span.offset < end:
                raise FormatError("a flexbuffer's values overlap", offset=span.offset)
            if span.offset - end >= 8 or any(self.data[end : span.offset]):
                raise FormatError("a flexbuffer has bytes that belong to no value", offset=end)
            end = span.offset + span.size
        return tuple(spans)
