"""Load the schemas of the TFLite format, which `scripts/derive_tflite_schema.py` derives from their
sources.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from modelinspect.core.tensors import DTYPES, DType, opaque
from modelinspect.encodings.flatbuffers.schema import Schema, schema_from


@cache
def _sources() -> dict[str, Any]:
    text = files("modelinspect.formats.tflite").joinpath("schema.json").read_text(encoding="utf-8")
    sources: dict[str, Any] = json.loads(text)
    return sources


@cache
def schema(name: str) -> Schema:
    """Return a schema: ``model``, ``conversion``, ``metadata``, ``debug``, ``compression`` or ``runtime``."""
    return schema_from(_sources()[name])


@cache
def dtype_of(code: int) -> DType:
    """Return the element type of a `TensorType`."""
    name = schema("model").enum_name("TensorType", code).lower()
    return DTYPES.get(name) or opaque(f"TensorType {name}", 0)
