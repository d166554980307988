"""Find the elements of a TensorProto in its bytes.

Specification: tensorflow/core/framework/tensor.proto; how the typed values are read: Tensor::FromProto in
tensor.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod

from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    DType,
    ElementKind,
    Extent,
    Payload,
    ProtobufPayload,
    Role,
    Storage,
    Tensor,
    dense_size,
)
from modelinspect.encodings.protobuf.wire import FieldAt, read_varint, scan
from modelinspect.formats.base import Site
from modelinspect.formats.graph.data_types import data_type

DTYPE, SHAPE, CONTENT = 1, 2, 4
VALUES = frozenset({5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18})
"""The numbers of float_val, double_val and the other fields of typed values."""
_PACKED_RAW = {5: "float32", 6: "float64", 9: "complex64", 12: "complex128"}
"""Fields whose packed values are little-endian elements as they are in memory."""
LARGEST = 1 << 63
RANK = 254
"""The axes that a TensorShape can have (TensorShapeRep::MaxDimensions)."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A TensorProto: what it says about its elements, and where they are (offset, end, encoding)."""

    dtype: DType
    shape: tuple[int, ...]
    extents: tuple[tuple[int, int, str], ...]
    begin: int
    end: int
    is_raw: bool
    note: str
    data_size: int
    """The bytes of its elements as they are stored, and as they are in memory."""
    logical_size: int

    @property
    def is_numeric(self) -> bool:
        """Return whether its elements are numbers."""
        return self.dtype.kind not in (ElementKind.STRING, ElementKind.OPAQUE)

    def tensor(self, name: str, site: Site, shift: int) -> Tensor:
        """Describe it as a tensor of the artifact; ``shift`` is added to its offsets."""
        base = site.claims.base + shift
        member = site.claims.member
        if len(self.extents) == 1:  # of most constants, of which there may be 100,000
            begin, end, encoding = self.extents[0]
            extents: tuple[Extent, ...] = (Extent(member, Span(base + begin, end - begin), encoding),)
        else:
            extents = tuple(
                Extent(member, Span(base + begin, end - begin), encoding)
                for begin, end, encoding in self.extents
            )
        payload: Payload | None = None
        if not self.note:
            if not self.is_raw:
                payload = ProtobufPayload(site.stream, Span(shift + self.begin, self.end - self.begin))
            elif base == shift:
                payload = site.raw(
                    (extents[0].span,) if len(extents) == 1 else tuple(extent.span for extent in extents)
                )
            else:
                payload = site.raw(tuple(Span(shift + begin, end - begin) for begin, end, _ in self.extents))
        return Tensor(
            name,
            self.dtype,
            self.shape,
            Role.CONSTANT,
            Storage.INLINE,
            extents,
            self.logical_size,
            None,
            payload,
            self.note,
        )


def find_constant(
    begin: int, end: int, fields: Iterable[FieldAt], read: Callable[[int, int], bytes]
) -> Constant:
    """Describe the TensorProto at ``[begin, end)`` from its fields; ``read`` gives the bytes of small ones.

    Raises `Malformed`.
    """
    number = 0
    shape: tuple[int, ...] | None = ()
    content: list[tuple[int, int, str]] = []
    values: list[tuple[int, int, str]] = []
    packed: int | None = None
    for start, tag, value, stop in fields:
        field = tag >> 3
        if field == DTYPE and tag & 7 == 0:
            number = read_varint(read(value, stop), 0, stop - value)[0]
        elif field == SHAPE and tag & 7 == 2:
            shape = _shape(read(value, stop))
        elif tag == CONTENT << 3 | 2:
            content = [(value, stop, "raw")] if stop > value else []
        elif field in VALUES:
            if _is_packed(tag):
                packed = field if not values else None
                values.append((value, stop, "raw" if field in _PACKED_RAW else "varint"))
            elif values and values[-1][1] == start and values[-1][2] == "protobuf":
                values[-1] = (values[-1][0], stop, "protobuf")
            else:
                values.append((start, stop, "protobuf"))
    dtype = data_type(number)
    note = _note(dtype, shape)
    shape = shape if shape is not None and not (note and prod(shape) >= LARGEST) else ()
    extents = tuple(extent for extent in content or values if extent[1] > extent[0])
    held = sum(extent[1] - extent[0] for extent in extents)
    plain = bool(content) or (
        len(values) == 1 and packed is not None and _PACKED_RAW.get(packed) == dtype.name
    )
    size = dense_size(dtype, shape)
    is_raw = plain and dtype.bits >= 8 and held == size
    return Constant(dtype, shape, extents, begin, end, is_raw, note, held, size)


def _is_packed(tag: int) -> bool:
    return tag & 7 == 2 and tag >> 3 not in (
        8,
        14,
        15,
        18,
    )  # string_val, resource_handle_val, variant_val; float8_val is one string


def _note(dtype: DType, shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "its shape is not fully known"
    if prod(shape) >= LARGEST:
        return "its shape has more elements than can be counted"
    if dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE):
        return f"elements of type {dtype} are not numbers"
    return ""


def _shape(data: bytes) -> tuple[int, ...] | None:
    """Return the lengths of a TensorShapeProto, None where one is unknown."""
    lengths: list[int] = []
    unknown = False
    for _, tag, begin, stop in scan(data, 0, len(data)):
        if tag == 3 << 3:
            unknown = unknown or read_varint(data, begin, stop)[0] != 0
        elif tag == 2 << 3 | 2:
            length = 0
            for _, inner, place, end in scan(data, begin, stop):
                if inner == 1 << 3:
                    length = read_varint(data, place, end)[0]
            unknown = unknown or length >= LARGEST or len(lengths) == RANK
            lengths.append(length)
            if unknown:
                break
    return None if unknown else tuple(lengths)
