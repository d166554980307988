"""Name the element types of tensors."""

from __future__ import annotations

from enum import StrEnum

from modelinspect.core.records import dataclass


class ElementKind(StrEnum):
    """How the bits of an element are to be read."""

    FLOAT = "float"
    COMPLEX = "complex"
    INT = "int"
    UINT = "uint"
    BOOL = "bool"
    STRING = "string"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True)
class DType:
    """An element type. ``bits`` is the size of one element; 0 where elements differ in size."""

    name: str
    kind: ElementKind
    bits: int

    @property
    def has_negative_zero(self) -> bool:
        """Return whether the type has a zero with the sign bit set; the float8 ``fnuz`` types use that
        pattern for NaN.
        """
        return (
            self.kind in (ElementKind.FLOAT, ElementKind.COMPLEX)
            and not self.name.endswith("fnuz")
            and self.name != "float8_e8m0fnu"
        )

    def __str__(self) -> str:
        return self.name


def _table() -> dict[str, DType]:
    rows: list[tuple[ElementKind, str, int]] = [
        (ElementKind.FLOAT, "float16", 16),
        (ElementKind.FLOAT, "bfloat16", 16),
        (ElementKind.FLOAT, "float32", 32),
        (ElementKind.FLOAT, "float64", 64),
        (ElementKind.FLOAT, "float8_e4m3fn", 8),
        (ElementKind.FLOAT, "float8_e4m3fnuz", 8),
        (ElementKind.FLOAT, "float8_e4m3b11fnuz", 8),
        (ElementKind.FLOAT, "float8_e5m2", 8),
        (ElementKind.FLOAT, "float8_e5m2fnuz", 8),
        (ElementKind.FLOAT, "float4_e2m1fn", 4),
        (ElementKind.COMPLEX, "complex64", 64),
        (ElementKind.COMPLEX, "complex128", 128),
        (ElementKind.BOOL, "bool", 8),
        (ElementKind.STRING, "string", 0),
        (ElementKind.OPAQUE, "resource", 0),
        (ElementKind.OPAQUE, "variant", 0),
    ]
    rows += [(ElementKind.INT, "ternary", 2)]
    rows += [(ElementKind.INT, f"int{bits}", bits) for bits in (2, 4, 8, 16, 32, 64)]
    rows += [(ElementKind.UINT, f"uint{bits}", bits) for bits in (1, 2, 4, 8, 16, 32, 64)]
    rows += [
        (ElementKind.INT, f"q{name}", bits) for name, bits in (("int8", 8), ("int16", 16), ("int32", 32))
    ]
    rows += [(ElementKind.UINT, f"q{name}", bits) for name, bits in (("uint8", 8), ("uint16", 16))]
    return {name: DType(name, kind, bits) for kind, name, bits in rows}


DTYPES: dict[str, DType] = _table()
"""The element types of TensorFlow, Keras and LiteRT by name."""


def opaque(name: str, bits: int) -> DType:
    """Return a type whose elements cannot be read as numbers; ``bits`` is 0 where elements differ in size.

    Names come from files: one that a known type has gets another, because code chooses by known names.
    """
    return DType(f"opaque {name}" if name in DTYPES else name, ElementKind.OPAQUE, bits)


PICKLED = "object"
"""The name of the element type of arrays of Python objects, which numpy stores as a pickle."""
