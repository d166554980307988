"""Compares tensors, their bytes and what sparse ones hold with TensorFlow's readers."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.corpus import CorpusFile, corpus_files
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.tflite_oracle import interpreter, object_model, tensors

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.formats.base import parse_with
from modelinspect.formats.tflite import FORMAT
from modelinspect.formats.tflite.schema import dtype_of
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location

pytestmark = pytest.mark.tensorflow
CONVERTED = fixture_names(under="tflite/", suffix=".tflite")
PLAIN = [
    name
    for name in fixture_names(under="tflite", suffix=".tflite")
    if "external" not in name and "size_prefixed" not in name
]


def parsed(data: bytes) -> tuple[Artifact, MemoryFiles]:
    files = MemoryFiles({"m.tflite": data})
    return parse_with(FORMAT, files), files


def named(artifact: Artifact) -> dict[str, Tensor]:
    return {name: tensor for tensor in artifact.tensors for name in (tensor.name, *tensor.aliases)}


def dense(tensor: Tensor, files: MemoryFiles) -> bytes:
    return b"".join(bytes(block.data) for block in blocks(tensor, Reading(files, Limits(), bytearray())))


def require_equal(data: bytes) -> int:
    """Compare every stored tensor with the object API; return how many there are."""
    artifact, _ = parsed(data)
    ours = named(artifact)
    stored = 0
    for (g, t), theirs in tensors(object_model(data), data).items():
        if not theirs["bytes"]:
            continue
        stored += 1
        name = theirs["name"] or f"tensor {t}"
        tensor = ours.get(name)
        if (
            tensor is None
            or tensor.dtype != dtype_of(theirs["type"])
            or bytes_of(tensor, data) != theirs["bytes"]
        ):
            again = [
                other
                for other_name, other in ours.items()
                if other_name.startswith(f"{name} (tensor {t} of ")
            ]
            tensor = next((other for other in again if bytes_of(other, data) == theirs["bytes"]), tensor)
        assert tensor is not None, (g, t, name)
        assert bytes_of(tensor, data) == theirs["bytes"], name
        if name == tensor.name:  # an alias shares the bytes, not always the type
            assert tensor.dtype == dtype_of(theirs["type"])
            assert tensor.shape == theirs["shape"]
            require_same_quantization(tensor, theirs["quantization"])
        assert (tensor.storage is Storage.SPARSE) == (theirs["sparsity"] is not None)
    return stored


def bytes_of(tensor: Tensor, data: bytes) -> bytes:
    return data[tensor.extents[0].span.offset : tensor.extents[0].span.end]


def require_same_quantization(tensor: Tensor, theirs: Any) -> None:
    scales, points, axis, _, _, details = theirs or ((), (), 0, (), (), 0)
    if not scales or details:
        assert tensor.quantization is None
        return
    assert tensor.quantization is not None
    assert tensor.quantization.scales == scales
    assert tensor.quantization.zero_points == (points or (0,) * len(scales))
    assert tensor.quantization.axis == (axis if len(scales) > 1 else None)


@pytest.mark.parametrize("name", PLAIN)
def test_stored_tensors_equal_the_object_api(name: str) -> None:
    assert require_equal(fixture_path(name).read_bytes()) >= (0 if "byte_code" in name else 1)


@pytest.mark.corpus
def test_stored_tensors_of_the_corpus_equal_the_object_api() -> None:
    files = [file for file in corpus_files("tflite") if file.size < 60_000]
    total = 0
    for file in files[::6]:
        data = file.path.read_bytes()
        if data[4:8] == b"TFL3":
            total += require_equal(data)
    assert total > 100 or not files


@pytest.mark.parametrize("name", [name for name in CONVERTED if "flex" not in name])
def test_stored_tensors_equal_the_interpreters(name: str) -> None:
    data = fixture_path(name).read_bytes()
    artifact, files = parsed(data)
    reader = interpreter(data)
    reader.allocate_tensors()
    checked = 0
    for detail in reader.get_tensor_details():
        tensor = named(artifact).get(detail["name"])
        if (
            tensor is None
            or tensor.name != detail["name"]
            or tensor.storage is Storage.SPARSE
            or tensor.dtype.name == "string"
        ):
            continue
        value = reader.get_tensor(detail["index"])
        if value.nbytes != tensor.logical_size:
            continue
        assert value.tobytes() == dense(tensor, files), detail["name"]
        assert value.shape == tensor.shape
        assert value.dtype.name == tensor.dtype.name
        parameters = detail["quantization_parameters"]
        if tensor.quantization is not None:
            assert tuple(parameters["scales"].tolist()) == tensor.quantization.scales
            assert tuple(parameters["zero_points"].tolist()) == tensor.quantization.zero_points
        checked += 1
    assert checked >= 1


SPARSE = [name for name in CONVERTED if "sparse" in name or "after" in name]


@pytest.mark.parametrize("name", [name for name in SPARSE if "1.tflite" not in name])
def test_sparse_tensors_decode_to_what_densify_yields(name: str) -> None:
    data = fixture_path(name).read_bytes()
    artifact, files = parsed(data)
    reader = interpreter(data)
    details = {
        detail["name"]: detail for detail in reader.get_tensor_details()
    }  # preparing renames the outputs of DENSIFY
    reader.allocate_tensors()
    reader.set_tensor(
        reader.get_input_details()[0]["index"],
        np.zeros_like(reader.get_tensor(reader.get_input_details()[0]["index"])),
    )
    reader.invoke()
    pairs = artifact.facts["densify"]
    assert isinstance(pairs, tuple)
    assert pairs
    for pair in pairs:
        assert isinstance(pair, dict)
        sparse = named(artifact)[str(pair["input"])]
        dense_tensor = reader.get_tensor(details[str(pair["output"])]["index"])
        assert dense_tensor.tobytes() == dense(sparse, files)
        assert dense_tensor.shape == sparse.shape


@pytest.mark.parametrize(("sparse", "plain"), [("sparse", "dense"), ("grew_after", "grew_before")])
def test_a_sparse_tensor_has_the_values_and_zeros_of_its_dense_form(sparse: str, plain: str) -> None:
    forms = []
    for name in (sparse, plain):
        artifact, files = parsed(fixture_path(f"tflite/{name}.tflite").read_bytes())
        kernel = max(artifact.tensors, key=lambda tensor: tensor.logical_size)
        counts = measure(artifact, files)[artifact.tensors.index(kernel)]
        values = np.frombuffer(
            dense(kernel, files), dtype=kernel.dtype.name
        )  # by value: the converter drops the sign of -0.0
        forms.append((values.tolist(), kernel.logical_size, counts.zero_count))
    assert forms[0] == forms[1]


def test_blocks_of_a_sparse_tensor_hold_their_zeros() -> None:
    artifact, files = parsed(fixture_path("tflite/sparse_int8_16x1.tflite").read_bytes())
    kernel = next(tensor for tensor in artifact.tensors if tensor.storage is Storage.SPARSE)
    values = np.frombuffer(dense(kernel, files), dtype=np.int8).reshape(kernel.shape)
    blocks16 = values.reshape(32, 4, 16)
    kept = (blocks16 != 0).any(axis=2).sum()
    assert kernel.stored_size == kept * 16
    facts = artifact.facts["sparse_tensors"]
    assert isinstance(facts, tuple)
    assert isinstance(facts[0], dict)
    assert facts[0] == {
        **facts[0],
        "block_shape": (16,),
        "block_map": (1,),
        "kept_values": kept * 16,
        "dense_bytes": 2048,
        "index_width": 1,
    }


def test_the_sparse_index_of_16_bits_is_told_and_costs_more_than_it_saves() -> None:
    artifact, _ = parsed(fixture_path("tflite/grew_after.tflite").read_bytes())
    facts = artifact.facts["sparse_tensors"]
    assert isinstance(facts, tuple)
    entry = facts[0]
    assert isinstance(entry, dict)
    assert (entry["index_width"], entry["segment_width"]) == (2, 2)
    assert int(str(entry["value_bytes"])) + int(str(entry["index_bytes"])) > int(str(entry["dense_bytes"]))


def analyzer_total(path: Path) -> int | None:
    """Return the analyzer's total of data buffers in bytes."""
    import tensorflow as tf

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        tf.lite.experimental.Analyzer.analyze(model_path=str(path))
    found = re.search(r"Total data buffer size:\s*(\d+) bytes", out.getvalue())
    return int(found.group(1)) if found else None


@pytest.mark.parametrize(
    "name",
    ["float", "float16", "dynamic", "int8", "int16", "dense", "grew_before", "signatures", "control_flow"],
)
def test_the_total_of_data_buffers_equals_the_analyzers(name: str) -> None:
    path = fixture_path(f"tflite/{name}.tflite")
    artifact, _ = parsed(path.read_bytes())
    data = artifact.members[0].map.kind_sizes()[RegionKind.TENSOR_DATA]
    metadata = artifact.facts["metadata"]
    assert isinstance(metadata, dict)
    assert analyzer_total(path) == data + sum(int(str(size)) for size in metadata.values())


@pytest.mark.parametrize(
    ("name", "theirs", "stored"),
    [
        ("tflite_handbuilt/offsets", 19, 75 + 19),
        ("tflite_handbuilt/external/model", 0, 288),
        ("tflite/grew_after", 13_562, 13_562 + 26_517),
    ],
)
def test_the_analyzer_misses_data_outside_the_flatbuffer_and_sparse_indices(
    name: str, theirs: int, stored: int
) -> None:
    """The list of docs/formats/tflite.md: the analyzer's total, and what is stored."""
    path = fixture_path(f"{name}.tflite")
    with open_location(path) as files:
        artifact = parse_with(FORMAT, files)
    sizes = [member.map.kind_sizes() for member in artifact.members]
    ours = sum(size[RegionKind.TENSOR_DATA] + size[RegionKind.SPARSE_INDEX] for size in sizes)
    metadata = artifact.facts.get("metadata", {})
    assert isinstance(metadata, dict)
    assert ours + sum(int(str(size)) for size in metadata.values()) == stored
    assert analyzer_total(path) == theirs


def corpus_entry(file: CorpusFile) -> tuple[bool, bool]:
    """Return whether TensorFlow loads a file, and whether its map is clean."""
    data = file.path.read_bytes()
    try:
        interpreter(data)
    except (ValueError, RuntimeError):
        return False, False
    artifact, _ = parsed(data)
    unattributed = sum(member.map.kind_sizes()[RegionKind.UNATTRIBUTED] for member in artifact.members)
    return True, unattributed == 0 and all(
        diagnostic.severity == "note" for diagnostic in artifact.diagnostics
    )


@pytest.mark.corpus
def test_what_the_interpreter_loads_is_clean() -> None:
    loaded = 0
    for file in corpus_files("tflite"):
        loads, clean = corpus_entry(file)
        assert clean or not loads, file.name
        loaded += loads
    assert loaded > 400 or not corpus_files("tflite")
