"""Read the entries of an index as TensorFlow writes them: known fields of BundleEntryProto, each at most
once.

An index may have a million entries. What they say is read here without the protobuf package, which reads all
others.
"""

from __future__ import annotations

from modelinspect.core.builder import Stencil
from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.protobuf import parse_message
from modelinspect.encodings.protobuf.wire import Malformed, read_varint
from modelinspect.encodings.sstable import Entry
from modelinspect.errors import FormatError

_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CRC32C = 0x08, 0x12, 0x18, 0x20, 0x28, 0x35
_NAMES = {
    _DTYPE: "dtype",
    _SHAPE: "shape",
    _SHARD: "shard_id",
    _OFFSET: "offset",
    _SIZE: "size",
    _CRC32C: "crc32c",
}
_MOST = {_DTYPE: 1 << 31, _SHARD: 1 << 31, _OFFSET: 1 << 63, _SIZE: 1 << 63}
"""From where on a field's value would be negative."""

Said = tuple[int, tuple[int, ...], int, int, int, int]
"""The number of a data type, a shape, a shard, an offset, a size and a checksum."""


class EntryReader:
    """Reads and claims entries, and keeps shapes and layouts by their bytes: most repeat."""

    __slots__ = ("_shapes", "_stencils")

    def __init__(self) -> None:
        self._shapes: dict[bytes, tuple[int, ...] | None] = {}
        self._stencils: dict[tuple[int, ...], Stencil] = {}

    def read(self, entry: Entry) -> Said | None:
        """Claim an entry's value field by field and return what it says; None, and nothing claimed, where it
        is not as usual.
        """
        data = entry.read_value()
        values = {_DTYPE: 0, _SHARD: 0, _OFFSET: 0, _SIZE: 0, _CRC32C: 0}
        shape: tuple[int, ...] = ()
        layout: list[int] = []
        index, end = 0, len(data)
        while index < end:
            start, tag = index, data[index]
            index += 1
            if tag in _MOST:
                value = data[index] if index < end else 0x80
                index += 1
                if value >= 0x80:
                    try:
                        value, index = read_varint(data, start + 1, end)
                    except Malformed:
                        return None
                    if value >= _MOST[tag]:
                        return None
                values[tag] = value
            elif tag == _SHAPE:
                if index >= end or data[index] >= 0x80:
                    return None
                index += 1 + data[index]
                known = self._shape(data[start + 2 : index]) if index <= end else None
                if known is None:
                    return None
                shape = known
            elif tag == _CRC32C:
                index += 4
                values[tag] = int.from_bytes(data[start + 1 : index], "little")
            else:
                return None
            layout += (tag, index - start)
        if index != end or not layout:
            return None
        key = tuple(layout)
        stencil = self._stencils.get(key)
        if stencil is None:
            if len(set(key[::2])) < len(key[::2]):
                return None
            rows = [
                (size, RegionKind.METADATA, _NAMES[tag])
                for tag, size in zip(key[::2], key[1::2], strict=True)
            ]
            stencil = self._stencils[key] = Stencil.of(rows)
        entry.block.claims.stamp(stencil, entry.value_offset, entry.path)
        return values[_DTYPE], shape, values[_SHARD], values[_OFFSET], values[_SIZE], values[_CRC32C]

    def _shape(self, data: bytes) -> tuple[int, ...] | None:
        """Return the lengths of a TensorShapeProto, None where one of them is unknown or the message is
        broken.
        """
        if data not in self._shapes:
            try:
                proto = parse_message("TensorShapeProto", data)
            except FormatError:
                return None
            shape = tuple(dimension.size for dimension in proto.dim)  # type: ignore[attr-defined]
            self._shapes[data] = None if proto.unknown_rank or any(size < 0 for size in shape) else shape  # type: ignore[attr-defined]
        return self._shapes[data]
