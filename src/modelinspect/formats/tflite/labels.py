"""What the fields of the TFLite schemas are: graph, metadata, quantization, sparse index."""

from __future__ import annotations

from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.flatbuffers.state import Labels

_INDEX = ("SparsityParameters", "DimensionMetadata", "Int32Vector", "Uint16Vector", "Uint8Vector")
_QUANTIZATION = (
    "QuantizationParameters",
    "CustomQuantization",
    "BlockwiseQuantization",
    "MultiAxisQuantization",
)
_METADATA = ("Metadata", "SignatureDef", "TensorMap", "ExternalBufferGroup")

MODEL = Labels(
    RegionKind.GRAPH,
    {
        **dict.fromkeys(_INDEX, RegionKind.SPARSE_INDEX),
        **dict.fromkeys(_QUANTIZATION, RegionKind.QUANTIZATION),
        **dict.fromkeys(_METADATA, RegionKind.METADATA),
    },
    {
        ("Model", "version"): RegionKind.METADATA,
        ("Model", "description"): RegionKind.METADATA,
        ("Model", "metadata_buffer"): RegionKind.METADATA,
        ("SubGraph", "name"): RegionKind.METADATA,
        ("SubGraph", "debug_metadata_index"): RegionKind.DEBUG,
        ("Tensor", "name"): RegionKind.METADATA,
        ("Operator", "debug_metadata_index"): RegionKind.DEBUG,
    },
    frozenset(
        {
            ("Buffer", "data"),
            ("Operator", "custom_options"),
            ("StableHLOCompositeOptions", "composite_attributes"),
        }
    ),
)
METADATA = Labels(RegionKind.METADATA)
DEBUG = Labels(RegionKind.DEBUG)
