"""Types and shapes of the elements of HDF5 datasets and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import prod

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder


class TypeClass(StrEnum):
    """The datatype classes; their order is the specification's class number."""

    FIXED_POINT = "fixed-point"
    FLOATING_POINT = "floating-point"
    TIME = "time"
    STRING = "string"
    BITFIELD = "bitfield"
    OPAQUE = "opaque"
    COMPOUND = "compound"
    REFERENCE = "reference"
    ENUM = "enum"
    VLEN = "vlen"
    ARRAY = "array"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """Where sign, exponent and mantissa are in a floating-point number, in bits from the lowest."""

    sign: int
    exponent: int
    exponent_size: int
    mantissa: int
    mantissa_size: int
    exponent_bias: int


@dataclass(frozen=True, slots=True)
class CompoundMember:
    """A member of a compound datatype, ``offset`` bytes into an element."""

    name: str
    offset: int
    datatype: Datatype


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype. ``size`` is the bytes of one element as stored (a vlen element is its pointer).

    ``signed``, ``precision`` and ``bit_offset`` are of numbers; ``float_format`` of floating-point numbers;
    ``padding`` (0 NUL-terminated, 1 NUL-padded, 2 space-padded) and ``utf8`` of strings, fixed and vlen;
    ``tag`` of opaque types (and "VAX" where a floating-point number has that byte order); ``base`` of enum,
    vlen, array and complex types; ``values`` (by member name) of enums; ``dims`` of arrays. ``committed`` is
    the header offset of the committed datatype that it was read from.
    """

    type_class: TypeClass
    size: int
    byte_order: ByteOrder = ByteOrder.LITTLE
    version: int = 1
    signed: bool = False
    precision: int = 0
    bit_offset: int = 0
    float_format: FloatFormat | None = None
    padding: int = 0
    utf8: bool = False
    vlen_string: bool = False
    reference_type: int = 0
    tag: str = ""
    members: tuple[CompoundMember, ...] = ()
    base: Datatype | None = None
    values: Mapping[str, int] | None = None
    dims: tuple[int, ...] = ()
    has_heap_data: bool = False
    """Elements hold pointers into the global heap (vlen data, region references), on any level."""

    @property
    def is_string(self) -> bool:
        """Return whether elements are text, fixed or vlen."""
        return self.type_class is TypeClass.STRING or self.vlen_string

    @property
    def is_bool(self) -> bool:
        """Return whether it is the enum that h5py writes for bool."""
        return (
            self.type_class is TypeClass.ENUM
            and self.values is not None
            and dict(self.values) == {"FALSE": 0, "TRUE": 1}
        )


@dataclass(frozen=True, slots=True)
class Dataspace:
    """A dataspace: ``shape`` is None for a null dataspace and () for a scalar; ``maxshape`` has None where it
    is unlimited.
    """

    shape: tuple[int, ...] | None
    maxshape: tuple[int | None, ...] | None = None

    @property
    def count(self) -> int:
        """The number of elements."""
        return 0 if self.shape is None else prod(self.shape)
