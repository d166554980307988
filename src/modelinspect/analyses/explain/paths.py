"""What structures of each format are there for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntFlag
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


class Word(IntFlag):
    """What the parts of a path say that decides a cause."""

    EMBEDDED = 1
    FUNCTIONS = 2
    OBJECT_GRAPH = 4
    TRAINING = 8
    QUANTIZATION = 16
    SPARSITY = 32
    ALIGNED = 64
    TRAILING = 128


def path_cause(format: FormatName, kind: RegionKind, words: Word) -> Cause:
    """Return the cause of bytes that store no tensor, from what the parser saw and what the path to it says
    (`words_of`).
    """
    if words & Word.EMBEDDED:
        return Cause.EMBEDDED_DATA
    match kind:
        case RegionKind.GRAPH:
            return Cause.TRACED_FUNCTIONS if words & Word.FUNCTIONS else Cause.GRAPH_DEFINITION
        case RegionKind.METADATA | RegionKind.CONTAINER:
            return _described(format, kind, words)
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
            if words & Word.TRAILING:
                return Cause.TRAILING_BYTES
            return Cause.ALIGNMENT if words & Word.ALIGNED else Cause.FRAGMENTATION
        case RegionKind.UNATTRIBUTED:
            return Cause.UNEXPLAINED
        case RegionKind.COMPILED:
            return Cause.COMPILED_PROGRAM
        case _:
            assert_never(kind)


def _described(format: FormatName, kind: RegionKind, words: Word) -> Cause:
    """Return the cause of bytes that describe something or frame it: what they belong to says."""
    if (
        kind is RegionKind.CONTAINER and format is FormatName.TFLITE
    ):  # tables that only quantized or sparse tensors have
        if words & Word.QUANTIZATION:
            return Cause.QUANTIZATION
        if words & Word.SPARSITY:
            return Cause.SPARSE_ENCODING
    if words & Word.OBJECT_GRAPH:
        return Cause.OBJECT_GRAPH
    if words & Word.TRAINING:
        return Cause.TRAINING_CONFIG
    if format is FormatName.SAVED_MODEL and words & Word.FUNCTIONS:
        return Cause.TRACED_FUNCTIONS
    return Cause.METADATA if kind is RegionKind.METADATA else Cause.CONTAINER_OVERHEAD


def words_of(parts: Iterable[str]) -> Word:
    """Return what the parts of a path say."""
    found = Word(0)
    for part in parts:
        found |= Word(word_code(part))
    return found


def word_code(part: str) -> int:
    """Return what one part of a path says, as the number of a `Word`: paths are many, and most parts say
    nothing.
    """
    named, inside = _NAMED(part), _INSIDE(part)
    if named is None and inside is None:
        return 0
    code = 0 if named is None else _MEANINGS.get(named[0], 0)
    if named is not None and named.end() == len(part):
        code |= _WHOLE.get(part, 0)
    if inside is not None:
        code |= Word.TRAILING.value * any(word in part for word in _TRAILING) | Word.ALIGNED.value * any(
            word in part for word in _ALIGNED
        )
    return code


_WHOLE = {
    PATH_PART: Word.EMBEDDED.value,
    "quantization": Word.QUANTIZATION.value,
    "sparsity": Word.SPARSITY.value,
}
"""What a part says that is exactly these words."""
_MEANINGS = {
    **dict.fromkeys(_FUNCTIONS, Word.FUNCTIONS.value),
    **dict.fromkeys(_OBJECT_GRAPH, Word.OBJECT_GRAPH.value),
    **dict.fromkeys(_TRAINING, Word.TRAINING.value),
}
"""What a part says that is one of these words, whatever is after it in brackets or quotes."""
_NAMED = re.compile(f"({'|'.join(re.escape(word) for word in (*_MEANINGS, *_WHOLE))})(?=[\\[ :]|\\Z)").match
_INSIDE = re.compile("|".join(re.escape(word) for word in (*_TRAILING, *_ALIGNED))).search
