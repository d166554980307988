"""Decode the values of attributes into plain Python."""

from __future__ import annotations

import struct
from math import ldexp, prod

from modelinspect.core.limits import Cost
from modelinspect.core.tensors import ByteOrder
from modelinspect.encodings.hdf5.element_types import Datatype, FloatFormat, TypeClass
from modelinspect.encodings.hdf5.model import Attribute, Value
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError, UnsupportedFeatureError

_MAX_VALUES = 1_000_000
"""Elements of an attribute's value that are decoded at most."""
_IEEE = {
    2: ("e", FloatFormat(15, 10, 5, 0, 10, 15)),
    4: ("f", FloatFormat(31, 23, 8, 0, 23, 127)),
    8: ("d", FloatFormat(63, 52, 11, 0, 52, 1023)),
}


def attribute_value(attribute: Attribute, walk: Walk) -> Value:
    """Decode an attribute's value. Raises `FormatError`."""
    shape = attribute.dataspace.shape
    if shape is None:
        return None
    walk.limits.allow(
        f"attribute {attribute.name}", prod(shape), _MAX_VALUES, walk.source.name, attribute.span.offset
    )
    data = attribute.read(walk.source, walk.limits)
    decoder = _Decoder(attribute, walk)
    size = attribute.datatype.size
    values = (
        [
            decoder.element(attribute.datatype, data[at : at + size])
            for at in range(0, prod(shape) * size, size)
        ]
        if size
        else []
    )
    return _nest(values, shape)


def _nest(values: list[Value], shape: tuple[int, ...]) -> Value:
    if not shape:
        return values[0] if values else None
    for length in reversed(shape[1:]):
        values = [tuple(values[at : at + length]) for at in range(0, len(values), length)] if length else []
    return tuple(values)


class _Decoder:
    """Decodes elements, following vlen pointers of one attribute."""

    __slots__ = ("_attribute", "_left", "_strings", "_walk")

    def __init__(self, attribute: Attribute | None, walk: Walk | None) -> None:
        self._attribute = attribute
        self._walk = walk
        self._left = _MAX_VALUES
        self._strings: dict[tuple[int, int], str] = {}

    def _error(self, problem: str) -> FormatError:
        member = self._walk.source.name if self._walk is not None else ""
        return UnsupportedFeatureError(
            problem, member, self._attribute.span.offset if self._attribute is not None else None
        )

    def element(self, kind: Datatype, data: bytes) -> Value:
        """Decode one element."""
        self._left -= 1
        if len(data) < kind.size or self._left < 0:
            raise self._error("a value has fewer bytes than its type, or too many parts")
        match kind.type_class:
            case TypeClass.FIXED_POINT | TypeClass.BITFIELD | TypeClass.TIME:
                return _integer(kind, data)
            case TypeClass.FLOATING_POINT:
                return _float(kind, data)
            case TypeClass.STRING:
                return text(_trim(data, kind.padding))
            case TypeClass.ENUM:
                number = _integer(kind, data)
                return bool(number) if kind.is_bool else number
            case TypeClass.COMPOUND:
                return tuple(
                    self.element(part.datatype, data[part.offset : part.offset + part.datatype.size])
                    for part in kind.members
                )
            case TypeClass.ARRAY | TypeClass.COMPLEX if kind.base is not None:
                dims = kind.dims if kind.type_class is TypeClass.ARRAY else (2,)
                size = kind.base.size
                parts = (
                    [
                        self.element(kind.base, data[at : at + size])
                        for at in range(0, prod(dims) * size, size)
                    ]
                    if size
                    else []
                )
                if (
                    kind.type_class is TypeClass.COMPLEX
                    and isinstance(parts[0], float)
                    and isinstance(parts[1], float)
                ):
                    return complex(parts[0], parts[1])
                return _nest(parts, dims)
            case TypeClass.VLEN:
                return self._vlen(kind, data)
            case _:
                return bytes(data)

    def _vlen(self, kind: Datatype, data: bytes) -> Value:
        attribute, walk, base = self._attribute, self._walk, kind.base
        if attribute is None or walk is None or attribute.heaps is None or base is None:
            raise self._error("vlen data cannot be followed here")
        width = attribute.heaps.offset_size
        if len(data) < 8 + width:
            raise self._error(f"a vlen pointer has {len(data)} bytes")
        count = int.from_bytes(data[:4], "little")
        collection = int.from_bytes(data[4 : 4 + width], "little")
        stored = b""
        if count and collection not in (0, (1 << 8 * width) - 1):
            span = attribute.heaps.object_span(
                collection, int.from_bytes(data[4 + width : 8 + width], "little")
            )
            if count * base.size > span.size:
                raise self._error(
                    f"vlen data need {count * base.size:,} bytes but their object has {span.size:,}"
                )
            known = self._strings.get((span.offset, count)) if kind.vlen_string else None
            if known is not None:  # many pointers may lead to one object, which is read once
                return known
            walk.limits.allow(
                "vlen data", span.size, walk.limits.structure_size, walk.source.name, span.offset
            )
            walk.limits.spend(Cost.COPIED, count * base.size, walk.source.name, span.offset)
            stored = walk.source.read_at(span.offset, count * base.size)
            if kind.vlen_string:
                string = self._strings[span.offset, count] = text(stored.split(b"\0", 1)[0])
                return string
        if kind.vlen_string:
            return ""
        size = base.size
        return (
            tuple(self.element(base, stored[at : at + size]) for at in range(0, len(stored), size))
            if size
            else ()
        )


def _trim(data: bytes, padding: int) -> bytes:
    """Take a fixed string out of its padding: 0 ends at a NUL, 1 is filled up with NULs, 2 with spaces."""
    if padding == 2:
        return data.rstrip(b" ")
    return data.rstrip(b"\0") if padding == 1 else data.split(b"\0", 1)[0]


def _raw(kind: Datatype, data: bytes) -> int:
    return int.from_bytes(data[: kind.size], "big" if kind.byte_order is ByteOrder.BIG else "little")


def _integer(kind: Datatype, data: bytes) -> int:
    bits = kind.precision or 8 * kind.size
    value = _raw(kind, data) >> kind.bit_offset & (1 << bits) - 1
    return value - (1 << bits) if kind.signed and value >> (bits - 1) else value


def _float(kind: Datatype, data: bytes) -> float:
    layout = kind.float_format
    if kind.tag:
        raise UnsupportedFeatureError(f"{kind.tag} floating-point numbers are not read here")
    code, ieee = _IEEE.get(kind.size, ("", None))
    if layout is None or layout == ieee:
        if not code:
            raise UnsupportedFeatureError(f"floating-point numbers of {kind.size} bytes are not read here")
        value: float = struct.unpack(
            (">" if kind.byte_order is ByteOrder.BIG else "<") + code, data[: kind.size]
        )[0]
        return value
    # Other layouts (bfloat16, x87, …): sign, exponent and mantissa with an implied leading bit.
    raw = _raw(kind, data)
    exponent = raw >> layout.exponent & (1 << layout.exponent_size) - 1
    mantissa = raw >> layout.mantissa & (1 << layout.mantissa_size) - 1
    sign = -1.0 if raw >> layout.sign & 1 else 1.0
    if layout.exponent_size == 0 or layout.exponent_size > 11:
        raise UnsupportedFeatureError(
            f"floating-point numbers with {layout.exponent_size} bits of exponent are not read here"
        )
    if exponent == (1 << layout.exponent_size) - 1:
        return sign * float("inf") if not mantissa else float("nan")
    fraction = mantissa / (1 << layout.mantissa_size)
    try:
        return sign * ldexp(fraction + (1.0 if exponent else 0.0), max(exponent, 1) - layout.exponent_bias)
    except OverflowError:
        return sign * float("inf")


def text_of(attribute: Attribute, walk: Walk) -> str | None:
    """Return the value of a scalar text, None where it is something else or cannot be read."""
    try:
        value = attribute_value(attribute, walk) if attribute.datatype.is_string else None
    except FormatError:
        return None
    return value if isinstance(value, str) else None


def texts_of(attribute: Attribute, walk: Walk) -> tuple[str, ...] | None:
    """Return the values of a one-dimensional array of texts, None where it is something else or cannot be
    read.
    """
    try:
        value = attribute_value(attribute, walk) if attribute.datatype.is_string else None
    except FormatError:
        return None
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, tuple) else None
