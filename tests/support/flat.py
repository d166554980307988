"""Builds flatbuffers of plain dictionaries, by the schemas of the TFLite format and the flatbuffers
package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from modelinspect.encodings.flatbuffers.schema import Field, Schema, Shape
from modelinspect.formats.tflite.schema import schema

TYPES = {
    "bool": np.bool_,
    "byte": np.int8,
    "ubyte": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "long": np.int64,
    "ulong": np.uint64,
    "float": np.float32,
    "double": np.float64,
}


def build(
    values: Mapping[str, Any], name: str = "model", root: str | None = None, identifier: bytes | None = None
) -> bytes:
    """Return a flatbuffer.

    Tables are dictionaries, vectors are sequences, a union is ``(member, dictionary)``.
    """
    form = schema(name)
    builder = flatbuffers.Builder(1 << 16)
    top = _table(builder, form, root or form.root, values)
    file_identifier = form.identifier if identifier is None else identifier
    builder.Finish(top, file_identifier) if file_identifier else builder.Finish(top)
    return bytes(builder.Output())


def _table(builder: Any, form: Schema, name: str, values: Mapping[str, Any]) -> int:
    type = form.tables[name]
    places: dict[int, int] = {}
    unknown = set(values) - set(type.by_name)
    assert not unknown, f"{name} has no {unknown}"
    for field in type.fields:
        value = values.get(field.name)
        if value is not None and not field.inline:
            places[field.slot] = _behind(builder, form, field, value)
    builder.StartObject(len(type.fields))
    for field in type.fields:
        if field.slot in places:
            builder.PrependUOffsetTRelativeSlot(field.slot, places[field.slot], 0)
        elif field.inline and field.name in values:
            _scalar(builder, field, values[field.name])
        elif field.inline and field.name.endswith("_type") and field.name[:-5] in values:
            union = type.by_name[field.name[:-5]]
            if union.shape is Shape.UNION:
                builder.PrependUint8Slot(
                    field.slot, form.unions[union.target].index(values[union.name][0]), 0
                )
    return int(builder.EndObject())


def _scalar(builder: Any, field: Field, value: Any) -> None:
    kind = {
        "bool": "Bool",
        "byte": "Int8",
        "ubyte": "Uint8",
        "short": "Int16",
        "ushort": "Uint16",
        "int": "Int32",
    } | {
        "uint": "Uint32",
        "long": "Int64",
        "ulong": "Uint64",
        "float": "Float32",
        "double": "Float64",
    }
    getattr(builder, f"Prepend{kind[field.target]}Slot")(field.slot, value, None)


def _behind(builder: Any, form: Schema, field: Field, value: Any) -> int:
    if not field.vector:
        match field.shape:
            case Shape.STRING:
                return int(builder.CreateString(value))
            case Shape.UNION:
                return _table(builder, form, value[0], value[1])
            case _:
                return _table(builder, form, field.target, value)
    if field.shape is Shape.SCALAR:
        return _numbers(builder, field, value)
    if field.shape is Shape.STRING:
        places = [int(builder.CreateString(text)) for text in value]
    elif field.shape is Shape.UNION:
        places = [_table(builder, form, member, content) for member, content in value]
    else:
        places = [_table(builder, form, field.target, content) for content in value]
    return _offsets(builder, places)


def _numbers(builder: Any, field: Field, value: Sequence[Any] | bytes) -> int:
    data = (
        np.frombuffer(value, dtype=np.uint8)
        if isinstance(value, bytes)
        else np.asarray(value, dtype=TYPES[field.target])
    )
    if field.alignment > 4 and field.alignment > field.size:
        builder.Prep(field.alignment, data.nbytes)
    return int(builder.CreateNumpyVector(data))


def _offsets(builder: Any, places: list[int]) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def model(
    tensors: Sequence[Mapping[str, Any]],
    buffers: Sequence[Mapping[str, Any]],
    operators: Sequence[Mapping[str, Any]] = (),
    codes: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return the dictionary of a model with one subgraph; the empty buffer 0 comes by itself."""
    graph = {"tensors": tensors, "inputs": [], "outputs": [], "operators": operators, "name": "main"}
    return {
        "version": 3,
        "operator_codes": list(codes),
        "subgraphs": [graph],
        "description": "hand-built",
        "buffers": [{}, *buffers],
        **more,
    }
