"""The tables of LiteRT-LM files: the flatbuffer of their header, and the messages in their metadata sections.

Sources: ``schema/core/litertlm_header_schema.fbs`` of google-ai-edge/LiteRT-LM; ``messages.txt`` is written
by ``scripts/derive_litertlm_messages.py``.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from importlib.resources import files

from modelinspect.encodings.flatbuffers.schema import Schema, schema_from
from modelinspect.encodings.protobuf.schema import MessageType, parse_tables

_SCALARS: dict[str, tuple[str, int]] = {
    "UInt8": ("ubyte", 1),
    "Int8": ("byte", 1),
    "UInt16": ("ushort", 2),
    "Int16": ("short", 2),
    "UInt32": ("uint", 4),
    "Int32": ("int", 4),
    "Float32": ("float", 4),
    "Bool": ("bool", 1),
    "UInt64": ("ulong", 8),
    "Int64": ("long", 8),
    "Double": ("double", 8),
}
_UNION = [
    "NONE",
    "UInt8",
    "Int8",
    "UInt16",
    "Int16",
    "UInt32",
    "Int32",
    "Float32",
    "Bool",
    "StringValue",
    "UInt64",
    "Int64",
    "Double",
]


class SectionType(IntEnum):
    """What a section holds (``AnySectionDataType``)."""

    NONE = 0
    GENERIC_BINARY_DATA = 1
    DEPRECATED = 2
    TFLITE_MODEL = 3
    SP_TOKENIZER = 4
    LLM_METADATA = 5
    HF_TOKENIZER_ZLIB = 6
    TFLITE_WEIGHTS = 7
    EMBEDDING_METADATA = 8
    EXECUTOR_METADATA = 9
    TTS_METADATA = 10
    ASR_METADATA = 11


NAMES: dict[SectionType, str] = {
    SectionType.NONE: "NONE",
    SectionType.GENERIC_BINARY_DATA: "GenericBinaryData",
    SectionType.DEPRECATED: "Deprecated",
    SectionType.TFLITE_MODEL: "TFLiteModel",
    SectionType.SP_TOKENIZER: "SP_Tokenizer",
    SectionType.LLM_METADATA: "LlmMetadataProto",
    SectionType.HF_TOKENIZER_ZLIB: "HF_Tokenizer_Zlib",
    SectionType.TFLITE_WEIGHTS: "TFLiteWeights",
    SectionType.EMBEDDING_METADATA: "EmbeddingMetadataProto",
    SectionType.EXECUTOR_METADATA: "ExecutorMetadataProto",
    SectionType.TTS_METADATA: "TtsMetadataProto",
    SectionType.ASR_METADATA: "AsrMetadataProto",
}
"""The names that the schema gives the types."""


@cache
def header_schema(*, scalars_are_structs: bool) -> Schema:
    """Return the schema of the header; files of 2025 keep the scalars of metadata as structs, later ones as
    tables.
    """
    tables: dict[str, list[list[str]]] = {
        "LiteRTLMMetaData": [["system_metadata", "SystemMetadata"], ["section_metadata", "SectionMetadata"]],
        "SystemMetadata": [["entries", "[KeyValuePair]"]],
        "SectionMetadata": [["objects", "[SectionObject]"]],
        "SectionObject": [
            ["items", "[KeyValuePair]"],
            ["begin_offset", "ulong"],
            ["end_offset", "ulong"],
            ["data_type", "ubyte"],
        ],
        "KeyValuePair": [["key", "string"], ["value_type", "ubyte"], ["value", "union VData"]],
        "StringValue": [["value", "string"]],
    }
    if not scalars_are_structs:
        tables |= {name: [["value", kind]] for name, (kind, _) in _SCALARS.items()}
    structs = {name: [size, size] for name, (_, size) in _SCALARS.items()} if scalars_are_structs else {}
    data = {
        "root": "LiteRTLMMetaData",
        "identifier": "",
        "tables": tables,
        "unions": {"VData": _UNION},
        "enums": {},
        "structs": structs,
    }
    return schema_from(data)


def scalar_kind(name: str) -> str | None:
    """Return the scalar type that a member of the union of values holds, None for a string."""
    found = _SCALARS.get(name)
    return found[0] if found is not None else None


@cache
def message(name: str) -> MessageType:
    """Return a message of the metadata sections by its name in the package ``litert.lm.proto``."""
    text = files("modelinspect.formats.litertlm").joinpath("messages.txt").read_text(encoding="utf-8")
    return parse_tables(text).messages[f"litert.lm.proto.{name}"]
