"""Name the element types that TensorFlow numbers.

Specification: tensorflow/core/framework/types.proto, enum DataType.
"""

from __future__ import annotations

from modelinspect.core.tensors import DTYPES, DType, opaque

_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
    33: "float4_e2m1fn",
}
_REFERENCE = 100
"""DT_*_REF is the type's number plus this (graphs of TensorFlow 1)."""


def data_type(number: int) -> DType:
    """Return the element type of a DataType number; an opaque one where it is not known."""
    name = _NAMES.get(number - _REFERENCE if number > _REFERENCE else number)
    return DTYPES[name] if name is not None else opaque(f"DataType {number}", 0)
