"""Turn HDF5 datatypes into element types."""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import DTYPES, ByteOrder, DType, ElementKind, opaque
from modelinspect.encodings.hdf5.element_types import Datatype, FloatFormat, TypeClass


@dataclass(frozen=True, slots=True)
class Elements:
    """What the elements of a dataset are; ``shape`` are the axes that an array datatype adds to the dataset's
    own.
    """

    dtype: DType
    byte_order: ByteOrder = ByteOrder.LITTLE
    shape: tuple[int, ...] = ()


def elements(datatype: Datatype, hint: str | None = None) -> Elements:
    """Return the element type; ``hint`` is the dtype that Keras notes beside opaque elements (bfloat16)."""
    match datatype.type_class:
        case TypeClass.FIXED_POINT:
            return Elements(_whole(datatype), datatype.byte_order)
        case TypeClass.FLOATING_POINT:
            return Elements(_float(datatype), datatype.byte_order)
        case TypeClass.BITFIELD:
            return Elements(
                DTYPES.get(f"uint{datatype.size * 8}", opaque("bitfield", datatype.size * 8)),
                datatype.byte_order,
            )
        case TypeClass.ENUM if datatype.base is not None:
            base = elements(datatype.base)
            return (
                Elements(DTYPES["bool"], base.byte_order) if datatype.is_bool and datatype.size == 1 else base
            )
        case TypeClass.ARRAY if datatype.base is not None:
            base = elements(datatype.base)
            return Elements(base.dtype, base.byte_order, datatype.dims + base.shape)
        case TypeClass.COMPLEX if datatype.base is not None:
            return _complex(elements(datatype.base), datatype)
        case TypeClass.COMPOUND if _is_complex(datatype):
            return _complex(elements(datatype.members[0].datatype), datatype)
        case TypeClass.OPAQUE:
            hinted = DTYPES.get(hint) if hint is not None else None
            fits = hinted is not None and hinted.bits == datatype.size * 8
            return Elements(hinted if hinted is not None and fits else opaque("opaque", datatype.size * 8))
        case TypeClass.STRING:
            return Elements(DType("string", ElementKind.STRING, datatype.size * 8))
        case TypeClass.VLEN:
            return Elements(DTYPES["string"] if datatype.vlen_string else opaque("vlen", 0))
        case _:
            return Elements(opaque(datatype.type_class.value, datatype.size * 8))


def _whole(datatype: Datatype) -> DType:
    """Return the type of whole bytes that holds the number; fewer bits of precision leave the others zero."""
    bits = datatype.size * 8
    name = f"{'int' if datatype.signed else 'uint'}{bits}"
    return DTYPES.get(name, opaque(name, bits))


_FLOATS = {
    (2, FloatFormat(15, 10, 5, 0, 10, 15)): "float16",
    (2, FloatFormat(15, 7, 8, 0, 7, 127)): "bfloat16",
    (4, FloatFormat(31, 23, 8, 0, 23, 127)): "float32",
    (8, FloatFormat(63, 52, 11, 0, 52, 1023)): "float64",
    (1, FloatFormat(7, 3, 4, 0, 3, 7)): "float8_e4m3fn",
    (1, FloatFormat(7, 2, 5, 0, 2, 15)): "float8_e5m2",
}


def _float(datatype: Datatype) -> DType:
    name = _FLOATS.get((datatype.size, datatype.float_format)) if datatype.float_format is not None else None
    return (
        DTYPES[name]
        if name is not None
        else opaque(f"float{datatype.precision or datatype.size * 8}", datatype.size * 8)
    )


def _is_complex(datatype: Datatype) -> bool:
    """Return whether a compound is what h5py writes for a complex number."""
    if [member.name for member in datatype.members] != ["r", "i"]:
        return False
    real, imaginary = datatype.members
    half = real.datatype.size
    return (
        real.datatype.type_class is TypeClass.FLOATING_POINT
        and imaginary.datatype == real.datatype
        and (real.offset, imaginary.offset, datatype.size) == (0, half, 2 * half)
    )


def _complex(part: Elements, datatype: Datatype) -> Elements:
    name = {"float32": "complex64", "float64": "complex128"}.get(part.dtype.name)
    return Elements(
        DTYPES[name] if name is not None else opaque("complex", datatype.size * 8), part.byte_order
    )
