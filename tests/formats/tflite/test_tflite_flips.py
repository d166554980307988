"""Flips every byte of small models, and asks TensorFlow's object API what changed.

Bytes of framing are left out: what they lead to when they change is anything, also for the object API, which
follows offsets unchecked.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from tests.support.fixtures import fixture_path
from tests.support.tflite_oracle import interpreter, object_model, rest, tensors

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import Region, RegionKind
from modelinspect.formats.base import parse_with
from modelinspect.formats.tflite import FORMAT
from modelinspect.sources.files import MemoryFiles

pytestmark = pytest.mark.tensorflow
MODELS = [
    "tflite/sparse_int8_16x1",
    "tflite/signatures",
    "tflite/flex",
    "tflite_handbuilt/blockwise",
    "tflite_handbuilt/offsets",
    "tflite_handbuilt/narrow",
    "tflite_handbuilt/debug",
    "tflite_handbuilt/custom_quantization",
]
ALLOWED = {
    RegionKind.TENSOR_DATA: {"bytes"},
    RegionKind.QUANTIZATION: {"quantization", "details"},
    RegionKind.SPARSE_INDEX: {"sparsity"},
    RegionKind.METADATA: {"name"},
    RegionKind.GRAPH: {"type", "shape", "bytes", "variable"},
    RegionKind.DEBUG: set(),
    RegionKind.ASSET: set(),
    RegionKind.FREE: set(),
}


def flipped(data: bytes, offset: int) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 1
    return bytes(changed)


def owners(region: Region, artifact: Artifact) -> set[str] | tuple[int, int] | None:
    """Return whose byte it is: names of tensors that share it, a tensor by its place, or nobody's."""
    if region.kind is RegionKind.TENSOR_DATA and region.tensor is not None:
        tensor = artifact.tensors[region.tensor]
        return {tensor.name, *tensor.aliases}
    place = re.match(r"subgraphs\[(\d+)\]/tensors\[(\d+)\]/", "/".join(region.path))
    return (int(place.group(1)), int(place.group(2))) if place else None


def changes(
    before: dict[tuple[int, int], dict[str, Any]], after: dict[tuple[int, int], dict[str, Any]]
) -> dict[tuple[int, int], set[str]]:
    assert before.keys() == after.keys()
    found = {}
    for place, was in before.items():
        keys = {
            key
            for key, value in was.items()
            if value != after[place][key] and repr(value) != repr(after[place][key])
        }
        if keys:
            found[place] = keys
    return found


@pytest.mark.parametrize("name", MODELS)
def test_a_flipped_byte_changes_what_the_map_says_and_nothing_else(name: str) -> None:
    data = fixture_path(f"{name}.tflite").read_bytes()
    artifact = parse_with(FORMAT, MemoryFiles({"m.tflite": data}))
    whole = object_model(data)
    before, other = tensors(whole, data), rest(whole)
    tried = 0
    for region in artifact.members[0].map:
        if (
            region.kind is RegionKind.CONTAINER
            or region.path[-1].endswith("_type")
            or region.path[-2:] == ("buffers", "offset")
        ):
            continue
        owner = owners(region, artifact)
        outside = re.match(r"buffers\[\d+\]/(offset|size)$", "/".join(region.path)) is not None
        for offset in range(region.span.offset, region.span.end):
            tried += 1
            bad = flipped(data, offset)
            model = object_model(bad)
            found = changes(before, tensors(model, bad))
            told = f"byte {offset} ({region.kind}, {'/'.join(region.path)}) changed {found}"
            if outside:
                assert all(keys == {"bytes"} for keys in found.values()), told
                continue
            for keys in found.values():
                assert keys <= ALLOWED[region.kind], told
            match owner:
                case set():
                    assert found, told
                    assert {before[place]["name"] or f"tensor {place[1]}" for place in found} <= owner, told
                case tuple():
                    assert set(found) <= {owner}, told
                case None:
                    assert not found, told
            if {"custom_options", "composite_attributes"} & set(region.path):
                continue  # the object API shows a flexbuffer as bytes, its padding included
            if (
                region.kind
                in (
                    RegionKind.FREE,
                    RegionKind.TENSOR_DATA,
                    RegionKind.QUANTIZATION,
                    RegionKind.SPARSE_INDEX,
                )
                or owner
            ):
                assert rest(model) == other, told
            if region.path[-1] in ("scale", "zero_point", "name") and isinstance(owner, tuple):
                assert found, told
    assert tried > len(data) / 5


def test_the_interpreter_sees_a_tensors_byte_change_that_tensor_alone() -> None:
    """Bytes of constants only: they cannot lead the interpreter astray."""
    data = fixture_path("tflite/float.tflite").read_bytes()
    artifact = parse_with(FORMAT, MemoryFiles({"m.tflite": data}))

    def values(content: bytes) -> dict[str, bytes]:
        reader = interpreter(content)
        reader.allocate_tensors()
        stored = {tensor.name for tensor in artifact.tensors}
        return {
            d["name"]: reader.get_tensor(d["index"]).tobytes()
            for d in reader.get_tensor_details()
            if d["name"] in stored
        }

    before = values(data)
    assert before.keys() == {tensor.name for tensor in artifact.tensors}
    for tensor in artifact.tensors:
        if tensor.dtype.name != "float32":  # sizes: another shape is no longer the same model
            continue
        span = tensor.extents[0].span
        for offset in {span.offset, span.offset + span.size // 2, span.end - 1}:
            after = values(flipped(data, offset))
            assert {name for name in before if before[name] != after[name]} == {tensor.name}


def test_the_interpreter_sees_no_change_in_padding() -> None:
    data = fixture_path("tflite/float.tflite").read_bytes()
    artifact = parse_with(FORMAT, MemoryFiles({"m.tflite": data}))
    changed = bytearray(data)
    for region in artifact.members[0].map:
        if region.kind is RegionKind.FREE:
            changed[region.span.offset : region.span.end] = b"\xa5" * region.span.size
    outputs = []
    for content in (data, bytes(changed)):
        reader = interpreter(content)
        reader.allocate_tensors()
        for detail in reader.get_input_details():  # memory that nobody set would differ from run to run
            reader.set_tensor(detail["index"], np.full(detail["shape"], 0.5, dtype=detail["dtype"]))
        reader.invoke()
        outputs.append([reader.get_tensor(d["index"]).tobytes() for d in reader.get_output_details()])
    assert changed != data
    assert outputs[0] == outputs[1]
