"""Find the elements of constants in the attributes of a module, and decode their types: element type and
shape.
"""

from __future__ import annotations

from math import prod

from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    DTYPES,
    DType,
    ElementKind,
    Payload,
    Role,
    SplatPayload,
    Storage,
    Tensor,
    dense_size,
    opaque,
)
from modelinspect.encodings.mlir import Entry, MlirCursor
from modelinspect.errors import FormatError
from modelinspect.formats.base import Site
from modelinspect.formats.mlir.codes import DIALECTS, TEXT_TYPES, Codes
from modelinspect.sources.base import Source

HEAD = 32
"""The bytes before a constant's elements are fewer: code, number of its type, number of bytes."""
_SMALL_INT = 8


@dataclass(frozen=True, slots=True)
class Dense:
    """A constant whose elements are in the attribute.

    ``head`` bytes of framing come first, ``size`` of elements follow.
    """

    type: TensorType | None
    head: int
    size: int


def read_dense(cursor: MlirCursor, codes: Codes, size: int, types: Types) -> Dense | None:
    """Read the head of an attribute of ``size`` bytes; None where it is not a constant, or does not fit.

    Raises `FormatError`.
    """
    if cursor.varint() != codes.dense:
        return None
    type_ = types.tensor(cursor.varint())
    count = cursor.varint()
    if count != size - cursor.index:
        return None
    return Dense(type_, cursor.index, count)


def make_tensor(site: Site, name: str, type_: TensorType | None, offset: int, size: int) -> Tensor:
    """Describe the constant whose elements are the ``size`` bytes at ``offset``."""
    extents = (site.extent(offset, size),) if size else ()
    if type_ is None or not type_.is_static:
        note = "the type of this constant is not known" if type_ is None else "its shape is not fixed"
        dtype = opaque("unknown", 0) if type_ is None else type_.dtype
        return Tensor(name, dtype, (), Role.CONSTANT, Storage.DENSE, extents, size, None, None, note)
    dtype, payload, note = _layout(site, type_, offset, size)
    is_splat = isinstance(payload, SplatPayload)
    role = Role.WEIGHT if _is_weight(type_) and not is_splat and not note else Role.CONSTANT
    logical = dense_size(dtype, type_.shape) if dtype.bits else size
    storage = Storage.INLINE if is_splat else Storage.DENSE
    return Tensor(name, dtype, type_.shape, role, storage, extents, logical, None, payload, note)


def _layout(site: Site, type_: TensorType, offset: int, size: int) -> tuple[DType, Payload | None, str]:
    """Return the type of the elements as they are stored, how to read them, and why they cannot be read.

    A constant of one repeated value (a splat) holds one element. Elements narrower than a byte take a byte
    each, except for booleans, of which eight share one.
    """
    count, dtype, span = prod(type_.shape), type_.dtype, Span(offset, size)
    if dtype.kind is ElementKind.BOOL:
        return _booleans(site, dtype, count, span)
    if dtype.kind in (ElementKind.OPAQUE, ElementKind.STRING):
        return dtype, None, f"elements of type {dtype} are not numbers"
    stored = replace(dtype, bits=8) if 0 < dtype.bits < 8 else dtype
    if size == count * stored.bits // 8:
        note = (
            f"{dtype} elements take a byte each"
            if stored is not dtype and dtype.kind is ElementKind.FLOAT
            else ""
        )
        return stored, None if note else site.raw((span,)), note
    if size == stored.bits // 8:
        note = (
            f"{dtype} elements take a byte each"
            if stored is not dtype and dtype.kind is ElementKind.FLOAT
            else ""
        )
        return stored, None if note else SplatPayload(site.stream, span), note
    return stored, None, f"{size:,} bytes do not fit its type, {dtype} of shape {type_.shape}"


def _booleans(site: Site, dtype: DType, count: int, span: Span) -> tuple[DType, Payload | None, str]:
    if span.size == count:
        return dtype, site.raw((span,)), ""
    if span.size == -(-count // 8) and count > 8:
        return replace(dtype, bits=1), site.raw((span,)), ""
    if span.size == 1:
        # Up to eight bits, or one value for all: the byte 0xFF means the same either way, others may not.
        return dtype, None, "one byte may be one value for all elements, or one bit for each"
    return dtype, None, f"{span.size:,} bytes do not fit {count:,} booleans"


def _is_weight(type_: TensorType) -> bool:
    """Return whether a constant is what a model learns: an array of floats, or of integers as narrow as
    quantized weights.
    """
    kind, bits = type_.dtype.kind, type_.dtype.bits
    is_value = kind in (ElementKind.FLOAT, ElementKind.COMPLEX) or (
        kind in (ElementKind.INT, ElementKind.UINT) and bits <= _SMALL_INT
    )
    return is_value and bool(type_.shape) and prod(type_.shape) > 1


_RANK = 254
_DEPTH = 8
_TYPE_SIZE = 1 << 16
_LARGEST = 1 << 62
_UNKNOWN = opaque("unknown", 0)


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a tensor: what its elements are and its shape.

    A length that the program leaves open is -1.
    """

    dtype: DType
    shape: tuple[int, ...]

    @property
    def is_static(self) -> bool:
        """Return whether the shape is known and small enough to be counted."""
        return min(self.shape, default=0) >= 0 and prod(self.shape) < _LARGEST


class Types:
    """Decodes the types of one module when a constant asks for them."""

    def __init__(self, source: Source, base: int, entries: list[Entry], dialects: list[str]) -> None:
        self._source = source
        self._base = base
        self._entries = entries
        self._dialects = dialects
        self._tensors: dict[int, TensorType | None] = {}
        self._elements: dict[int, DType] = {}

    def tensor(self, index: int) -> TensorType | None:
        """Return the tensor type with that number, None where it is another type or cannot be read."""
        if index not in self._tensors:
            try:
                self._tensors[index] = self._decode_tensor(index)
            except FormatError:
                self._tensors[index] = None
        return self._tensors[index]

    def _open(self, index: int) -> tuple[Codes | None, MlirCursor] | None:
        """Return the codes of a type's dialect (None: it is written as text) and a cursor over it."""
        if not 0 <= index < len(self._entries):
            return None
        entry = self._entries[index]
        data = self._source.read_at(self._base + entry.offset, min(entry.size, _TYPE_SIZE))
        cursor = MlirCursor(data, self._source.name, self._base + entry.offset, "a type")
        if not entry.is_custom:
            return None, cursor
        codes = DIALECTS.get(self._dialects[entry.dialect] if entry.dialect < len(self._dialects) else "")
        return None if codes is None else (codes, cursor)

    def _decode_tensor(self, index: int) -> TensorType | None:
        opened = self._open(index)
        if opened is None:
            return None
        codes, cursor = opened
        if codes is None:
            return None
        code = cursor.varint()
        if code not in (codes.ranked, codes.ranked_with_encoding):
            return None
        if code == codes.ranked_with_encoding:
            cursor.varint()
        shape = cursor.svarints(_RANK)
        shape = tuple(length if length >= 0 else -1 for length in shape)
        return TensorType(self._element(cursor.varint(), 0), shape)

    def _element(self, index: int, depth: int) -> DType:
        found = self._elements.get(index)
        if found is None:
            found = self._elements[index] = self._decode_element(index, depth)
        return found

    def _decode_element(self, index: int, depth: int) -> DType:
        opened = self._open(index) if depth < _DEPTH else None
        if opened is None:
            return _UNKNOWN
        codes, cursor = opened
        if codes is None:
            return TEXT_TYPES.get(cursor.data.removesuffix(b"\0").decode(errors="replace"), _UNKNOWN)
        code = cursor.varint()
        if code in codes.elements:
            return codes.elements[code]
        if code == codes.complex:
            part = self._element(cursor.varint(), depth + 1)
            return (
                DTYPES.get(f"complex{2 * part.bits}", _UNKNOWN)
                if part.kind is ElementKind.FLOAT
                else _UNKNOWN
            )
        if code in codes.quantized:
            cursor.varint()
            return self._element(cursor.varint(), depth + 1)
        if code == codes.integer:
            width = cursor.varint()
            return _integer(width >> 2, width & 3)
        return _UNKNOWN


def _integer(width: int, signedness: int) -> DType:
    """Return the type of an integer; a signedness of 2 is unsigned (IntegerType::SignednessSemantics)."""
    if width == 1:
        return DTYPES["bool"]
    return DTYPES.get(f"{'uint' if signedness == 2 else 'int'}{width}", _UNKNOWN)
