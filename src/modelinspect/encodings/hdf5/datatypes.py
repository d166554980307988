"""Read datatype messages (specification, section IV.A.2.d)."""

from __future__ import annotations

from math import prod

from modelinspect.core.tensors import ByteOrder
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.hdf5.element_types import CompoundMember, Datatype, FloatFormat, TypeClass
from modelinspect.encodings.hdf5.numbers import text
from modelinspect.encodings.hdf5.state import encoded_size
from modelinspect.errors import UnsupportedFeatureError

_CLASSES = tuple(TypeClass)
_NESTING = 32
"""libhdf5 itself cannot decode deeper types; each level takes a handful of bytes."""


def read_datatype(cursor: Cursor, depth: int = 0) -> Datatype:
    """Read a datatype and leave the cursor after it. Raises `FormatError`."""
    if depth > _NESTING:
        raise cursor.error(f"a datatype is nested deeper than {_NESTING} levels")
    head = cursor.u8()
    bits = cursor.uint(3)
    size = cursor.u32()
    version, number = head >> 4, head & 0x0F
    if number >= len(_CLASSES) or not 1 <= version <= 5:
        raise UnsupportedFeatureError(
            f"datatype class {number} version {version} is not read here", cursor.member, cursor.offset - 8
        )
    match _CLASSES[number]:
        case TypeClass.FIXED_POINT | TypeClass.BITFIELD as kind:
            bit_offset, precision = cursor.u16(), cursor.u16()
            return Datatype(
                kind,
                size,
                _order(bits),
                version,
                signed=bool(bits & 8),
                precision=precision,
                bit_offset=bit_offset,
            )
        case TypeClass.FLOATING_POINT as kind:
            return _float(cursor, bits, size, version, kind)
        case TypeClass.TIME as kind:
            return Datatype(kind, size, _order(bits), version, precision=cursor.u16())
        case TypeClass.STRING as kind:
            return Datatype(kind, size, version=version, padding=bits & 0x0F, utf8=(bits >> 4) & 0x0F == 1)
        case TypeClass.OPAQUE as kind:
            tag = cursor.take((bits & 0xFF) + 7 & ~7).split(b"\0", 1)[0]
            return Datatype(kind, size, version=version, tag=text(tag))
        case TypeClass.COMPOUND:
            return _compound(cursor, bits & 0xFFFF, size, version, depth)
        case TypeClass.REFERENCE as kind:
            # Types 1 to 4 hold, or may hold, the id of a global heap object.
            return Datatype(
                kind, size, version=version, reference_type=bits & 0x0F, has_heap_data=bits & 0x0F != 0
            )
        case TypeClass.ENUM:
            return _enum(cursor, bits & 0xFFFF, size, version, depth)
        case TypeClass.VLEN as kind:
            base = read_datatype(cursor, depth + 1)
            flavour = bits & 0x0F
            return Datatype(
                kind,
                size,
                version=version,
                base=base,
                vlen_string=flavour == 1,
                padding=(bits >> 4) & 0x0F,
                utf8=(bits >> 8) & 0x0F == 1,
                has_heap_data=True,
            )
        case TypeClass.ARRAY:
            return _array(cursor, size, version, depth)
        case TypeClass.COMPLEX as kind:
            return Datatype(kind, size, version=version, base=read_datatype(cursor, depth + 1))


def _order(bits: int) -> ByteOrder:
    return ByteOrder.BIG if bits & 1 else ByteOrder.LITTLE


def _float(cursor: Cursor, bits: int, size: int, version: int, kind: TypeClass) -> Datatype:
    bit_offset, precision = cursor.u16(), cursor.u16()
    exponent, exponent_size, mantissa, mantissa_size = (cursor.u8() for _ in range(4))
    layout = FloatFormat((bits >> 8) & 0xFF, exponent, exponent_size, mantissa, mantissa_size, cursor.u32())
    tag = "VAX" if bits & 0x41 == 0x41 else ""
    return Datatype(
        kind,
        size,
        _order(bits),
        version,
        signed=True,
        precision=precision,
        bit_offset=bit_offset,
        float_format=layout,
        tag=tag,
    )


def _name(cursor: Cursor, padded: bool) -> str:
    end = cursor.data.find(b"\0", cursor.index, cursor.end)
    if end < 0:
        raise cursor.error("a name in a datatype does not end")
    length = end - cursor.index
    name = cursor.take(length)
    cursor.skip(8 - length % 8 if padded else 1)
    return text(name)


def _compound(cursor: Cursor, count: int, size: int, version: int, depth: int) -> Datatype:
    if not count:
        raise cursor.error("a compound datatype has no members")
    members: list[CompoundMember] = []
    for _ in range(count):
        name = _name(cursor, version < 3)
        offset = cursor.uint(4 if version < 3 else encoded_size(size))
        dims: tuple[int, ...] = ()
        if version == 1:
            rank = cursor.u8()
            cursor.skip(3 + 4 + 4)
            dims = tuple(cursor.u32() for _ in range(4))[:rank]
        member = read_datatype(cursor, depth + 1)
        if dims:
            member = Datatype(
                TypeClass.ARRAY,
                member.size * prod(dims),
                version=1,
                base=member,
                dims=dims,
                has_heap_data=member.has_heap_data,
            )
        if offset + member.size > size:
            raise cursor.error(f"member {name} of a compound datatype lies outside of its {size:,} bytes")
        members.append(CompoundMember(name, offset, member))
    heap = any(member.datatype.has_heap_data for member in members)
    return Datatype(TypeClass.COMPOUND, size, version=version, members=tuple(members), has_heap_data=heap)


def _enum(cursor: Cursor, count: int, size: int, version: int, depth: int) -> Datatype:
    base = read_datatype(cursor, depth + 1)
    names = [_name(cursor, version < 3) for _ in range(count)]
    order = "big" if base.byte_order is ByteOrder.BIG else "little"
    values = {
        name: int.from_bytes(
            cursor.take(base.size), "big" if order == "big" else "little", signed=base.signed
        )
        for name in names
    }
    return Datatype(
        TypeClass.ENUM,
        size,
        base.byte_order,
        version,
        base.signed,
        base.precision,
        base.bit_offset,
        base=base,
        values=values,
    )


def _array(cursor: Cursor, size: int, version: int, depth: int) -> Datatype:
    rank = cursor.u8()
    if rank > 32:
        raise cursor.error(f"an array datatype has {rank} dimensions")
    if version < 3:
        cursor.skip(3)
    dims = tuple(cursor.u32() for _ in range(rank))
    if version < 3:
        cursor.skip(4 * rank)
    base = read_datatype(cursor, depth + 1)
    if base.size * prod(dims) != size:
        raise cursor.error(
            f"an array datatype of {size:,} bytes holds {prod(dims):,} elements of {base.size:,}"
        )
    return Datatype(
        TypeClass.ARRAY, size, version=version, base=base, dims=dims, has_heap_data=base.has_heap_data
    )
