"""Read a TensorBundle: an index of tensors, and the shards that hold their bytes.

Specification: tensorflow/core/protobuf/tensor_bundle.proto,
tensorflow/core/util/tensor_bundle/tensor_bundle.cc.

An index may have a million entries. Those with only known fields of BundleEntryProto, each at most once, are
read here; the protobuf package reads all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from modelinspect.core.artifact import Severity
from modelinspect.core.builder import Stencil
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Facts
from modelinspect.core.names import ATTRIBUTES
from modelinspect.core.records import dataclass, field
from modelinspect.core.span import Span
from modelinspect.core.tensors import ByteOrder, DType
from modelinspect.encodings.protobuf import message, parse_message
from modelinspect.encodings.protobuf.wire import Malformed, read_varint, scan
from modelinspect.encodings.sstable import Entry, Table, extended, mask
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.checkpoint.slices import TensorSlice, decode_key, from_proto
from modelinspect.formats.graph.data_types import data_type

OBJECT_CONFIG_SUFFIX = f"/{ATTRIBUTES}/OBJECT_CONFIG_JSON"
HEADER_KEY = b""
SHARD = re.compile(r"(?P<prefix>.*)\.data-(?P<shard>\d{5,})-of-(?P<count>\d{5,})", re.DOTALL)


@dataclass(slots=True)
class BundleEntry:
    """What the index says about one tensor, or of one slice of it.

    ``name`` is the key, for a slice that of its tensor. ``slices`` are those of a partitioned tensor, which
    has no bytes itself. ``tensor`` is the id in the artifact; None for slices, for the object graph and
    for layer configurations.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    shard: int
    span: Span
    crc32c: int
    slices: tuple[TensorSlice, ...] = ()
    slice: TensorSlice | None = None
    tensor: TensorId | None = None


@dataclass(slots=True)
class Bundle:
    """A TensorBundle as its index lists it. ``shards`` are the listed files by number."""

    index: str
    prefix: str
    shards: dict[int, str] = field(default_factory=dict)
    shard_count: int = 1
    byte_order: ByteOrder = ByteOrder.LITTLE
    producer: int = 0
    entries: list[BundleEntry] = field(default_factory=list)
    object_graph: bytes | None = None
    """The bytes of the TrackableObjectGraph, where the bundle has one."""
    facts: Facts = field(default_factory=Facts)
    unreferenced: int = 0
    complete: bool = True
    """Whether all of the index could be read, so what no entry names is nobody's."""


def read_index(parsing: Parsing, index: str, shard_names: Iterable[str]) -> Bundle:
    """Claim the index file and return what it says; the shards are not opened.

    ``shard_names`` are the listed files that may be shards of this prefix: a shard that is not among them is
    never opened, whatever the index says.
    """
    site = parsing.open(index)
    bundle = Bundle(index, index.removesuffix(".index"))
    table = Table(site.walk, key_name)
    reader = EntryReader()
    try:
        for entry in table.entries():
            try:
                _read_entry(bundle, site, entry, reader)
            except FormatError as error:
                bundle.complete = False
                site.survive(
                    FormatError(
                        f"entry {key_name(entry.key)[:200]}: {error.problem}",
                        index,
                        entry.block.stored_span.offset,
                        error.code,
                    )
                )
    except FormatError as error:
        bundle.complete = False
        site.survive(error, Severity.ERROR)
    bundle.complete &= table.complete
    bundle.unreferenced += table.unreferenced if table.complete else 0
    bundle.shards = _known_shards(bundle, shard_names)
    return bundle


def key_name(key: bytes) -> str:
    """Return the name of an index entry for paths: a tensor's, a slice's with its extents, or that of the
    header.
    """
    if key == HEADER_KEY:
        return "BundleHeaderProto"
    if key[:1] == b"\0":
        try:
            name, box = decode_key(key)
        except FormatError:
            return key.decode("utf-8", "backslashreplace")
        return f"{name} [{box}]"
    return key.decode("utf-8", "backslashreplace")


def _read_entry(bundle: Bundle, site: Site, entry: Entry, reader: EntryReader) -> None:
    if entry.key == HEADER_KEY:
        _read_header(bundle, _read_message("BundleHeaderProto", site, entry))
        return
    site.limits.allow("the list of index entries", len(bundle.entries) + 1, site.limits.tensors)
    said = reader.read(entry) if entry.key[:1] != b"\0" else None
    if said is not None:
        dtype, shape, shard, offset, size, crc32c = said
        name = entry.key.decode("utf-8", "backslashreplace")
        bundle.entries.append(BundleEntry(name, data_type(dtype), shape, shard, Span(offset, size), crc32c))
        return
    proto = _read_message("BundleEntryProto", site, entry)
    if entry.key[:1] == b"\0":
        name, box = decode_key(entry.key)
    else:
        name, box = entry.key.decode("utf-8", "backslashreplace"), None
    shape = tuple(dimension.size for dimension in proto.shape.dim)
    if (
        proto.shape.unknown_rank
        or any(size < 0 for size in shape)
        or proto.offset < 0
        or proto.size < 0
        or proto.shard_id < 0
    ):
        raise FormatError(
            f"a shape, place or size is negative or unknown (offset {proto.offset}, size {proto.size})"
        )
    slices = tuple(from_proto(part) for part in proto.slices)
    span = Span(proto.offset, proto.size)
    bundle.entries.append(
        BundleEntry(name, data_type(proto.dtype), shape, proto.shard_id, span, proto.crc32c, slices, box)
    )


def _read_message(name: str, site: Site, entry: Entry) -> Any:
    """Claim the value of an entry field by field, and return it. Raises `FormatError` where it is broken."""
    data = entry.read_value()
    proto = parse_message(name, data, site.source.name)
    claims, fields = entry.block.claims, message(name).fields
    add, claim = claims.paths.add, claims.claim
    try:
        found = scan(data, 0, len(data))
    except Malformed as trouble:
        raise trouble.at(0, site.source.name) from trouble
    for start, tag, _, stop in found:
        known = fields.get(tag >> 3)
        path = add(entry.path, known.name if known is not None else f"field {tag >> 3}")
        claim(entry.value_offset + start, stop - start, RegionKind.METADATA, path)
    return proto


def _read_header(bundle: Bundle, proto: Any) -> None:
    bundle.shard_count = proto.num_shards
    bundle.byte_order = ByteOrder.BIG if proto.endianness else ByteOrder.LITTLE
    bundle.producer = proto.version.producer


def _known_shards(bundle: Bundle, names: Iterable[str]) -> dict[int, str]:
    """Return the shards of the bundle among listed names, by number."""
    found: dict[int, str] = {}
    for name in names:
        match = SHARD.fullmatch(name)
        if match and match["prefix"] == bundle.prefix and int(match["count"]) == bundle.shard_count:
            found[int(match["shard"])] = name
    return found


def expected_size(dtype: DType, shape: tuple[int, ...]) -> int | None:
    """Return the bytes that a tensor takes in a shard; None where elements differ in size or the type is not
    known.
    """
    if dtype.bits == 0:
        return None
    return prod(shape) * max(
        dtype.bits // 8, 1
    )  # elements narrower than a byte take one each, as in TensorFlow's memory


def duplicates(
    entries: Iterable[BundleEntry], paths: Mapping[TensorId, str], names: Mapping[TensorId, str]
) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the groups of tensors that agree in type, shape, size and CRC-32C.

    No data is read. ``paths`` and ``names`` are those of the tensors.

    Single elements must have one name too, and so must tensors of only zeros or only ones, which their
    checksum betrays: equal counters and fresh biases are not copies of each other.
    """
    groups: dict[tuple[DType, tuple[int, ...], int, int], list[TensorId]] = {}
    for entry in entries:
        if entry.tensor is not None and not entry.slices and 0 not in entry.shape:
            groups.setdefault((entry.dtype, entry.shape, entry.span.size, entry.crc32c), []).append(
                entry.tensor
            )
    found: list[list[TensorId]] = []
    left = _COMPUTED_MOST
    for (dtype, shape, size, checksum), group in groups.items():
        if len(group) > 1:
            left -= 2 * size  # an index may claim any sizes; what it asks to compute has an end
            if prod(shape) > 1 and (
                left < 0 or checksum not in [_repeated(pattern, size) for pattern in _patterns(dtype)]
            ):
                found.append(group)
            else:
                found += _of_one_name(group, names)
    return tuple(tuple(paths[tensor] for tensor in group) for group in found)


def _of_one_name(group: Iterable[TensorId], names: Mapping[TensorId, str]) -> list[list[TensorId]]:
    alike: dict[str, list[TensorId]] = {}
    for tensor in group:
        alike.setdefault(names[tensor], []).append(tensor)
    return [same for same in alike.values() if len(same) > 1]


def _patterns(dtype: DType) -> list[bytes]:
    """Return zero and one as they are in memory, 64 KiB of each."""
    found = [b"\0"]
    if dtype.name in _ONES:
        found.append(_ONES[dtype.name])
    return [pattern * (_PATTERN // len(pattern)) for pattern in found]


def _repeated(pattern: bytes, size: int) -> int:
    """Return the masked checksum of ``size`` bytes of a pattern that goes on."""
    checksum = 0
    while size > 0:
        checksum = extended(checksum, pattern if size >= len(pattern) else pattern[:size])
        size -= len(pattern)
    return mask(checksum)


_ONES = {"float32": b"\0\0\x80?", "float64": b"\0" * 6 + b"\xf0?", "float16": b"\0<", "bfloat16": b"\x80?"}
_PATTERN = 1 << 16
_COMPUTED_MOST = 1 << 29
"""Bytes of zeros and ones whose checksums are computed for one index, a tenth of a second's worth."""


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

_Said = tuple[int, tuple[int, ...], int, int, int, int]
"""The number of a data type, a shape, a shard, an offset, a size and a checksum."""


class EntryReader:
    """Reads and claims entries, and keeps shapes and layouts by their bytes: most repeat."""

    __slots__ = ("_shapes", "_stencils")

    def __init__(self) -> None:
        self._shapes: dict[bytes, tuple[int, ...] | None] = {}
        self._stencils: dict[tuple[int, ...], Stencil] = {}

    def read(self, entry: Entry) -> _Said | None:
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
