"""Read V1 checkpoints: one table whose values hold the tensors themselves.

Specification: tensorflow/core/util/saved_tensor_slice.proto, tensorflow/core/util/tensor_slice_writer.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, field, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    DecompressStep,
    DType,
    Extent,
    JoinedPayload,
    Payload,
    ProtobufPayload,
    RawPayload,
    Role,
    Storage,
    Stream,
    Tensor,
    dense_size,
)
from modelinspect.encodings.protobuf import WireType, message, parse_message
from modelinspect.encodings.sstable import Entry, Table
from modelinspect.encodings.sstable.block import varint32
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.checkpoint.bundle import key_name
from modelinspect.formats.checkpoint.names import use_by_name
from modelinspect.formats.checkpoint.slices import TensorSlice, decode_key, runs
from modelinspect.formats.graph.data_types import data_type
from modelinspect.sources.snappy import SNAPPY

_META, _DATA = 1, 2  # fields of SavedTensorSlices
_SLICE_DATA = 3  # field of SavedSlice
_CONTENT = 4  # field tensor_content of TensorProto; typed values have higher numbers
_PACKED_AS_IN_MEMORY = {"float32": 5, "float64": 6, "complex64": 9, "complex128": 12}
_META_TAG = _META << 3 | WireType.BYTES
_HEAD = 16


@dataclass(slots=True)
class _Part:
    """A slice of a variable as it is stored: the stream that holds its TensorProto, and its elements where
    they are as in memory.
    """

    box: TensorSlice
    stream: Stream
    spans: tuple[Span, ...] | None
    proto: Span | None


@dataclass(slots=True)
class _Variable:
    """A tensor that the meta data lists, and what was found of it."""

    id: TensorId
    dtype: DType
    shape: tuple[int, ...]
    extents: list[Extent] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)
    stored_size: int = 0
    compressed: bool = False


def is_v1(parsing: Parsing, name: str) -> bool:
    """Return whether the first entry of a table is the meta data of a V1 checkpoint."""
    source = parsing.files.open(name)
    scratch = Walk(
        source, ByteMapBuilder(name, source.size, parsing.limits), parsing.limits, lambda _error: None
    )
    try:
        first = next(Table(scratch, key_name, lazy=True).entries(), None)
        return (
            first is not None
            and first.key == b""
            and first.block.contents.read_at(first.value_offset, 1)[0] == _META_TAG
        )
    except FormatError:
        return False


def read_v1(parsing: Parsing, names: Sequence[str], name_prefix: str = "") -> None:
    """Map the files of a V1 checkpoint: one, or its shards.

    Tensors are named by their names after ``name_prefix``.
    """
    reader = _Reader(parsing, name_prefix)
    for name in names:
        reader.read(name)
    reader.finish()


class _Reader:
    def __init__(self, parsing: Parsing, name_prefix: str) -> None:
        self._parsing = parsing
        self._prefix = name_prefix
        self._variables: dict[str, _Variable] = {}

    def read(self, name: str) -> None:
        """Claim a file; elements are passed over unread in blocks that are not compressed."""
        site = self._parsing.open(name)
        table = Table(site.walk, key_name, lazy=True)
        try:
            for entry in table.entries():
                try:
                    if entry.key == b"":
                        self._read_meta(site, entry)
                    else:
                        self._read_slice(site, entry)
                except FormatError as error:
                    table.complete = False
                    place = (
                        entry.block.stored_span.offset
                        if entry.block.place is None
                        else entry.block.place + entry.value_offset
                    )
                    site.survive(
                        FormatError(f"{key_name(entry.key)[:200]}: {error.problem}", name, place, error.code)
                    )
        except FormatError as error:
            site.survive(error)

    def _read_meta(self, site: Site, entry: Entry) -> None:
        site.limits.allow("the meta data of the checkpoint", entry.value_size, site.limits.structure_size)
        entry.claim_value(RegionKind.METADATA, "SavedTensorSliceMeta")
        meta: Any = parse_message("SavedTensorSlices", entry.read_value(), site.source.name)
        self._parsing.facts.setdefault("producer", meta.meta.versions.producer)
        for one in meta.meta.tensor:
            if one.name in self._variables:
                continue
            shape = tuple(dimension.size for dimension in one.shape.dim)
            if one.shape.unknown_rank or any(size < 0 for size in shape):
                raise FormatError(f"the shape of {one.name} is not known")
            dtype = data_type(one.type)
            shape = shape if prod(shape) < 1 << 62 else ()
            tensor = Tensor(
                self._prefix + one.name,
                dtype,
                shape,
                Role.OTHER,
                Storage.INLINE,
                (),
                dense_size(dtype, shape),
            )
            self._variables[one.name] = _Variable(self._parsing.add_tensor(tensor), dtype, shape)

    def _read_slice(self, site: Site, entry: Entry) -> None:
        name, box = decode_key(entry.key)
        variable = self._variables.get(name)
        if variable is None:
            raise FormatError("the meta data does not list it")
        variable.compressed |= entry.block.place is None
        part = _Part(box, _stream(site, entry), (), None)
        end = entry.value_offset + entry.value_size
        for number, begin, stop in _claimed(entry, entry.path, entry.value_offset, end, "SavedTensorSlices"):
            if number == _DATA:
                for inner, inner_begin, inner_stop in _claimed(entry, entry.path, begin, stop, "SavedSlice"):
                    if inner == _SLICE_DATA:
                        self._read_proto(
                            site, entry, variable, part, Span(inner_begin, inner_stop - inner_begin)
                        )
                    else:
                        _claim(entry, inner_begin, inner_stop, "SavedSlice", inner)
            else:
                _claim(entry, begin, stop, "SavedTensorSlices", number)
        variable.parts.append(part)

    def _read_proto(self, site: Site, entry: Entry, variable: _Variable, part: _Part, proto: Span) -> None:
        block = entry.block
        found: list[Span] = []
        plain = True
        data_path = block.claims.paths.add(entry.path, "TensorProto values")
        for number, begin, stop in _claimed(entry, entry.path, proto.offset, proto.end, "TensorProto"):
            if number < _CONTENT:
                _claim(entry, begin, stop, "TensorProto", number)
                continue
            block.claims.claim(begin, stop - begin, RegionKind.TENSOR_DATA, data_path, variable.id)
            plain &= number in (_CONTENT, _PACKED_AS_IN_MEMORY.get(variable.dtype.name))
            found.append(Span(begin, stop - begin))
        for span in found:
            stored = block.stored(span.offset, span.size)
            if stored.size:
                variable.extents.append(
                    site.extent(stored.offset, stored.size, "raw" if block.place is not None else SNAPPY)
                )
        shift = block.place or 0
        part.proto = proto.shifted(shift)
        part.spans = tuple(span.shifted(shift) for span in found) if plain else None

    def finish(self) -> None:
        """Say what is known of the variables now that all their slices were seen."""
        for name, variable in self._variables.items():
            use = use_by_name(name, self._variables)
            role = use.role
            if role is Role.WEIGHT and (
                not variable.dtype.bits
                or (not variable.shape and variable.dtype.kind.value in ("int", "uint"))
            ):
                role = Role.OTHER
            payload, note = self._payload(variable)
            tensor = self._parsing.tensor(variable.id)
            storage = Storage.COMPRESSED if variable.compressed else Storage.INLINE
            better = replace(
                tensor,
                role=role,
                layer=use.layer,
                extents=tuple(variable.extents),
                payload=payload,
                payload_note=note,
                storage=storage,
            )
            self._parsing.replace_tensor(variable.id, better)
        facts = self._parsing.facts
        known = facts.get("variables", 0)
        facts["checkpoint_version"] = 1
        facts["variables"] = len(self._variables) + (known if isinstance(known, int) else 0)

    def _payload(self, variable: _Variable) -> tuple[Payload | None, str]:
        size = variable.dtype.bits // 8
        boxes = [part.box.within(variable.shape) for part in variable.parts]
        fitting = [box for box in boxes if box is not None]
        if not variable.parts or not size or len(fitting) < len(boxes):
            return None, (
                "its slices are missing or do not fit its shape" if size else "its elements differ in size"
            )
        whole = len(fitting) == 1 and fitting[0].lengths == variable.shape
        if whole and variable.parts[0].spans is None and variable.parts[0].proto is not None:
            return ProtobufPayload(variable.parts[0].stream, variable.parts[0].proto), ""
        pieces = runs(variable.shape, fitting)
        joined: list[RawPayload] = []
        for piece in pieces or ():
            part, box = variable.parts[piece.part], fitting[piece.part]
            if part.spans is None or len(part.spans) != 1 or part.spans[0].size != prod(box.lengths) * size:
                return None, "its slices are not stored as they are in memory"
            span = Span(part.spans[0].offset + piece.offset * size, piece.count * size)
            if joined and joined[-1].stream == part.stream:
                joined[-1] = replace(joined[-1], spans=(*joined[-1].spans, span))
            else:
                joined.append(RawPayload(part.stream, (span,)))
        if pieces is None:
            return None, "its slices do not tile it"
        return joined[0] if len(joined) == 1 else JoinedPayload(tuple(joined)), ""


def _stream(site: Site, entry: Entry) -> Stream:
    """Return the stream of an entry's block: the file, or what the block decodes to."""
    block = entry.block
    if block.place is not None:
        return site.stream
    return site.stream.then(
        DecompressStep(block.stored_span.offset, block.stored_span.size, SNAPPY, block.contents.size)
    )


def _claim(entry: Entry, begin: int, end: int, type_: str, number: int) -> None:
    """Claim the value of a field as meta data."""
    claims = entry.block.claims
    known = message(type_).fields.get(number)
    path = claims.paths.child(entry.path, type_, known.name if known is not None else f"field {number}")
    claims.claim(begin, end - begin, RegionKind.METADATA, path)


def _claimed(entry: Entry, path: PathId, offset: int, end: int, type_: str) -> Iterator[tuple[int, int, int]]:
    """Claim the tags and lengths of a message and yield number, begin and end of each value; values are not
    read.
    """
    claims = entry.block.claims
    framing = claims.paths.child(path, type_, "tags and lengths")
    while offset < end:
        head = entry.block.contents.read_at(offset, min(_HEAD, end - offset))
        tag, index = varint32(head, 0)
        begin = offset + index
        match tag & 7:
            case WireType.BYTES:
                size, index = varint32(head, index)
                begin = offset + index
                stop = begin + size
            case WireType.VARINT:
                stop = begin + next(
                    (place + 1 for place, byte in enumerate(head[index:]) if byte < 0x80), end
                )
            case WireType.FIXED32:
                stop = begin + 4
            case WireType.FIXED64:
                stop = begin + 8
            case wire:
                raise FormatError(f"field {tag >> 3} of {type_} has the wire type {wire}")
        if stop > end:
            raise FormatError(
                f"field {tag >> 3} of {type_} needs {stop - begin:,} bytes but {end - begin:,} are left"
            )
        claims.claim(offset, begin - offset, RegionKind.CONTAINER, framing)
        yield tag >> 3, begin, stop
        offset = stop
