"""What structures of each format are there for."""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.names import OBJECT_GRAPH_KEY
from modelinspect.formats.embedded import PATH_PART
from modelinspect.reports.causes import Cause

_ALIGNED = ("padding", "alignment")
_TRAILING = ("trailing", "after the end")
_OBJECT_GRAPH = ("object_graph_def", "TrackableObjectGraph", OBJECT_GRAPH_KEY, "SavedObjectGraph")
_TRAINING = ("training_config", "compile_config")
_FUNCTIONS = ("library", "function_library")


def path_cause(format: FormatName, kind: RegionKind, parts: tuple[str, ...]) -> Cause:
    """Return the cause of bytes that store no tensor, from what the parser saw and where it was."""
    if PATH_PART in parts:
        return Cause.EMBEDDED_DATA
    match kind:
        case RegionKind.GRAPH:
            return Cause.TRACED_FUNCTIONS if _names(parts, _FUNCTIONS) else Cause.GRAPH_DEFINITION
        case RegionKind.METADATA | RegionKind.CONTAINER:
            return _described(format, kind, parts)
        case RegionKind.TENSOR_DATA:
            return Cause.CONSTANT_FOLDING
        case RegionKind.SPARSE_INDEX:
            return Cause.SPARSE_ENCODING
        case RegionKind.QUANTIZATION:
            return Cause.QUANTIZATION
        case RegionKind.ASSET:
            return Cause.ASSETS
        case RegionKind.DEBUG:
            return Cause.DEBUG_INFO
        case RegionKind.FREE:
            if _says(parts, _TRAILING):
                return Cause.TRAILING_BYTES
            return Cause.ALIGNMENT if _says(parts, _ALIGNED) else Cause.FRAGMENTATION
        case RegionKind.UNATTRIBUTED:
            return Cause.UNEXPLAINED
        case RegionKind.COMPILED:
            return Cause.COMPILED_PROGRAM
        case _:
            assert_never(kind)


def _described(format: FormatName, kind: RegionKind, parts: tuple[str, ...]) -> Cause:
    """Return the cause of bytes that describe something or frame it: what they belong to says."""
    if kind is RegionKind.CONTAINER and format is FormatName.TFLITE and (served := _served(parts)) is not None:
        return served
    if _names(parts, _OBJECT_GRAPH):
        return Cause.OBJECT_GRAPH
    if _names(parts, _TRAINING):
        return Cause.TRAINING_CONFIG
    if format is FormatName.SAVED_MODEL and _names(parts, _FUNCTIONS):
        return Cause.TRACED_FUNCTIONS
    return Cause.METADATA if kind is RegionKind.METADATA else Cause.CONTAINER_OVERHEAD


def _served(parts: tuple[str, ...]) -> Cause | None:
    """Return what the tables of a TFLite tensor are there for that only quantized or sparse tensors have."""
    if "quantization" in parts:
        return Cause.QUANTIZATION
    return Cause.SPARSE_ENCODING if "sparsity" in parts else None


def _names(parts: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Return whether a part is one of the words, whatever is after it in brackets or quotes."""
    return any(_is_one(part, words) for part in parts)


@lru_cache(maxsize=1 << 14)
def _is_one(part: str, words: tuple[str, ...]) -> bool:
    return any(part == word or part.startswith((f"{word}[", f"{word} ", f"{word}:")) for word in words)


def _says(parts: tuple[str, ...], words: tuple[str, ...]) -> bool:
    return any(_has_one(part, words) for part in parts)


@lru_cache(maxsize=1 << 14)
def _has_one(part: str, words: tuple[str, ...]) -> bool:
    return any(word in part for word in words)
