"""The codes of the dialects whose attributes and types are decoded: ``vhlo`` and ``builtin``.

Sources: stablehlo/dialect/VhloBytecode.cpp (AttributeCode, TypeCode),
mlir/include/mlir/IR/BuiltinDialectBytecode.td.
"""

from __future__ import annotations

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import DTYPES, DType, ElementKind


@dataclass(frozen=True, slots=True)
class Codes:
    """What the codes of one dialect mean.

    ``attributes`` names them; the others are the codes that are decoded, or -1.
    """

    attributes: dict[int, str]
    types: dict[int, str]
    elements: dict[int, DType]
    dense: int
    resource: int
    locations: frozenset[int]
    ranked: int
    ranked_with_encoding: int
    complex: int
    quantized: frozenset[int]
    integer: int


def _float(name: str, bits: int = 8) -> DType:
    return DType(name, ElementKind.FLOAT, bits)


VHLO = Codes(
    attributes={
        1: "ArrayV1Attr",
        2: "BooleanV1Attr",
        3: "ComparisonDirectionV1Attr",
        4: "ComparisonTypeV1Attr",
        5: "CustomCallApiVersionV1Attr",
        6: "DictionaryV1Attr",
        7: "FftTypeV1Attr",
        8: "FloatV1Attr",
        9: "IntegerV1Attr",
        10: "OutputOperandAliasV1Attr",
        11: "PrecisionV1Attr",
        12: "RngAlgorithmV1Attr",
        13: "RngDistributionV1Attr",
        14: "StringV1Attr",
        15: "TensorV1Attr",
        16: "TransposeV1Attr",
        17: "TypeV1Attr",
        18: "TypeExtensionsV1Attr",
        19: "ResultAccuracyModeV1Attr",
        20: "ResultAccuracyV1Attr",
        21: "SubAxisInfoV1Attr",
        22: "AxisRefV1Attr",
        23: "ReplicaGroupMeshAxesV1Attr",
        24: "MeshAxisV1Attr",
        25: "MeshV1Attr",
    },
    types={
        1: "ComplexV1Type",
        8: "FunctionV1Type",
        20: "RankedTensorV1Type",
        21: "RankedTensorV1TypeWithEncoding",
        22: "TokenV1Type",
        23: "TupleV1Type",
        24: "UniformQuantizedV1Type",
        25: "UnrankedTensorV1Type",
        26: "WitnessV1Type",
        30: "UniformQuantizedPerAxisV1Type",
        33: "NoneV1Type",
        41: "RankedBufferV1Type",
    },
    elements={
        0: DTYPES["bool"],
        2: DTYPES["bfloat16"],
        3: DTYPES["float16"],
        4: DTYPES["float32"],
        5: DTYPES["float64"],
        6: DTYPES["float8_e4m3fn"],
        7: DTYPES["float8_e5m2"],
        9: DTYPES["int64"],  # index
        10: DTYPES["int4"],
        11: DTYPES["int8"],
        12: DTYPES["int16"],
        13: DTYPES["int32"],
        14: DTYPES["int64"],
        15: DTYPES["uint4"],
        16: DTYPES["uint8"],
        17: DTYPES["uint16"],
        18: DTYPES["uint32"],
        19: DTYPES["uint64"],
        27: DTYPES["float8_e4m3fnuz"],
        28: DTYPES["float8_e5m2fnuz"],
        29: DTYPES["float8_e4m3b11fnuz"],
        31: DTYPES["int2"],
        32: DTYPES["uint2"],
        35: _float("float8_e4m3"),
        36: _float("float8_e3m4"),
        37: DTYPES["float4_e2m1fn"],
        38: _float("float6_e2m3fn", 6),
        39: _float("float6_e3m2fn", 6),
        40: _float("float8_e8m0fnu"),
    },
    dense=15,
    resource=-1,
    locations=frozenset(),
    ranked=20,
    ranked_with_encoding=21,
    complex=1,
    quantized=frozenset((24, 30)),
    integer=-1,
)

BUILTIN = Codes(
    attributes={
        0: "ArrayAttr",
        1: "DictionaryAttr",
        2: "StringAttr",
        3: "StringAttrWithType",
        4: "FlatSymbolRefAttr",
        5: "SymbolRefAttr",
        6: "TypeAttr",
        7: "UnitAttr",
        8: "IntegerAttr",
        9: "FloatAttr",
        10: "CallSiteLoc",
        11: "FileLineColLoc",
        12: "FusedLoc",
        13: "FusedLocWithMetadata",
        14: "NameLoc",
        15: "UnknownLoc",
        16: "DenseResourceElementsAttr",
        17: "DenseArrayAttr",
        18: "DenseIntOrFPElementsAttr",
        19: "DenseStringElementsAttr",
        20: "SparseElementsAttr",
        21: "DistinctAttr",
        22: "FileLineColRange",
    },
    types={
        0: "IntegerType",
        2: "FunctionType",
        9: "ComplexType",
        10: "MemRefType",
        11: "MemRefTypeWithMemSpace",
        12: "NoneType",
        13: "RankedTensorType",
        14: "RankedTensorTypeWithEncoding",
        15: "TupleType",
        16: "UnrankedTensorType",
        17: "UnrankedMemRefType",
        18: "UnrankedMemRefTypeWithMemSpace",
        19: "VectorType",
        20: "VectorTypeWithScalableDims",
    },
    elements={
        1: DTYPES["int64"],  # index
        3: DTYPES["bfloat16"],
        4: DTYPES["float16"],
        5: DTYPES["float32"],
        6: DTYPES["float64"],
        22: DTYPES["float8_e5m2"],
        23: _float("float8_e4m3"),
        24: DTYPES["float8_e4m3fn"],
        25: DTYPES["float8_e5m2fnuz"],
        26: DTYPES["float8_e4m3fnuz"],
        27: DTYPES["float8_e4m3b11fnuz"],
        28: _float("float8_e3m4"),
        29: DTYPES["float4_e2m1fn"],
        30: _float("float6_e2m3fn", 6),
        31: _float("float6_e3m2fn", 6),
        32: _float("float8_e8m0fnu"),
    },
    dense=18,
    resource=16,
    locations=frozenset((10, 11, 12, 13, 14, 15, 22)),
    ranked=13,
    ranked_with_encoding=14,
    complex=9,
    quantized=frozenset(),
    integer=0,
)

DIALECTS = {"vhlo": VHLO, "builtin": BUILTIN}

TEXT_TYPES = {
    "f8E4M3FN": DTYPES["float8_e4m3fn"],
    "f8E5M2": DTYPES["float8_e5m2"],
    "f8E4M3FNUZ": DTYPES["float8_e4m3fnuz"],
    "f8E5M2FNUZ": DTYPES["float8_e5m2fnuz"],
    "f8E4M3B11FNUZ": DTYPES["float8_e4m3b11fnuz"],
    "f8E4M3": _float("float8_e4m3"),
    "f8E3M4": _float("float8_e3m4"),
    "f8E8M0FNU": _float("float8_e8m0fnu"),
    "f4E2M1FN": DTYPES["float4_e2m1fn"],
}
"""Element types that ``builtin`` wrote as text before they had codes."""
