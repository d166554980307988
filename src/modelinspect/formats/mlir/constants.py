"""Find the elements of constants in the attributes of a module."""

from __future__ import annotations

from math import prod

from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
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
from modelinspect.encodings.mlir import MlirCursor
from modelinspect.formats.base import Site
from modelinspect.formats.mlir.codes import Codes
from modelinspect.formats.mlir.types import TensorType, Types

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
