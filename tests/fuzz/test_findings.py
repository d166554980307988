"""The smallest input of each kind that fuzzing found, as long as it is clear what it holds."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest

from modelinspect.conversion.references import check_references
from modelinspect.conversion.tree import Node, Vector
from modelinspect.core.dtypes import DTYPES, opaque
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    ByteOrder,
    PackedPayload,
    RawPayload,
    SparseAxis,
    SparsePayload,
    Stream,
    ZeroPoints,
)
from modelinspect.encodings.zarr import read_array
from modelinspect.formats.registry import parse
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.facts import Aspect
from modelinspect.measure.run import measure
from modelinspect.sources.files import MemoryFiles
from tests.fuzz.cases import Case
from tests.fuzz.drive import run_one
from tests.support.hostile import require_whole
from tests.support.tensors import artifact_of, tensor


@pytest.mark.parametrize("order", [(0, 1, 1), (0, 0), (0,), (1, 2), ()])
def test_a_sparse_index_of_other_axes_than_the_tensor_is_not_read(order: tuple[int, ...]) -> None:
    axes = (SparseAxis(2), SparseAxis(2))
    payload = SparsePayload(Stream("m"), Span(0, 16), axes, order, ())
    found = measure(artifact_of(tensor("float32", (2, 2), payload)), MemoryFiles({"m": bytes(16)}, "m"))
    assert "traversal order" in found.tensors[0].reason


@pytest.mark.parametrize(
    ("shape", "axes", "order", "blocks"),
    [
        ((0, 2**62), (SparseAxis(0), SparseAxis(2**62)), (0, 1), ()),
        ((2**62, 2**62, 0), (SparseAxis(2**62), SparseAxis(2**62), SparseAxis(0)), (0, 1, 2), ()),
        (
            (2, 2),
            (SparseAxis(2, Span(0, 12), 4, Span(12, 0), 4), SparseAxis(1), SparseAxis(2**31 - 1)),
            (0, 1, 2),
            (1,),
        ),
        (
            (2, 2),
            (SparseAxis(2), SparseAxis(1), *(SparseAxis(2**31 - 1) for _ in range(3))),
            (0, 1, 2, 3, 4),
            (1, 1, 1),
        ),
    ],
)
def test_a_sparse_index_of_any_lengths_takes_no_memory(
    shape: tuple[int, ...], axes: tuple[SparseAxis, ...], order: tuple[int, ...], blocks: tuple[int, ...]
) -> None:
    payload = SparsePayload(Stream("m"), Span(0, 16), axes, order, blocks)
    found = measure(artifact_of(tensor("float32", shape, payload)), MemoryFiles({"m": bytes(16)}, "m"))
    assert found.tensors[0].zero_count is None
    assert found.tensors[0].reason


@pytest.mark.parametrize("length", [2**63 + 5, 2**40])
def test_zero_points_of_a_matrix_of_any_height_are_within_the_limits(length: int) -> None:
    raw = RawPayload(Stream("m"), (Span(0, 2),), ByteOrder.LITTLE)
    zeros = ZeroPoints(raw, (1, 2), True, 0, size=length)
    packed = PackedPayload(raw, (length, 1), 1, 4, 2, True, zeros=zeros)
    files = MemoryFiles({"m": bytes(16)}, "m")
    found = measure(artifact_of(tensor("int4", (length, 2), packed)), files)
    assert found.tensors[0].zero_count is None
    assert "limit" in found.tensors[0].reason


@pytest.mark.parametrize("codec", [{"id": []}, {"id": {}}, {"id": 1}, {}, [], "zstd"])
def test_a_compressor_that_is_not_named_by_a_string_is_not_read(codec: object) -> None:
    document = {"shape": [2], "chunks": [2], "dtype": "<f4", "compressor": codec}
    assert "is not read" in read_array(json.dumps(document).encode(), "m", ".zarray").note


def test_a_type_that_cannot_be_read_never_has_the_name_of_one_that_can() -> None:
    assert all(opaque(name, 24).name not in DTYPES for name in DTYPES)
    assert opaque("vlen", 0).name == "vlen"


def test_floats_of_three_bytes_are_not_taken_for_those_of_four() -> None:
    """Their precision is stated apart from their size: 32 bits in 3 bytes."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["kernel"] = np.arange(4, dtype="<f4")
    data = bytearray(out.getvalue())
    at = data.index(b"\x11\x20\x1f\x00\x04\x00\x00\x00")
    data[at + 4] = 3
    files = MemoryFiles({"m.h5": bytes(data)}, "m.h5")
    artifact = parse(files)
    assert [one.dtype.name for one in artifact.tensors] == ["opaque float32"]
    found = measure(artifact, files, aspects=(Aspect.ENTROPY,))
    assert found.tensors[0].value_bits is None


GRAPH: dict[str, Any] = {
    "tensors": 2,
    "operators": [{"code": 0, "inputs": [0, -1], "outputs": [1]}],
    "inputs": [0],
    "outputs": [1],
}


def tree(**changes: Any) -> Node:
    """Return a model of one operator and two tensors, with other numbers in it."""
    graph = GRAPH | changes
    operators = [
        Node(
            "Operator",
            {"opcode_index": one["code"], **{name: vector(one[name]) for name in ("inputs", "outputs")}},
        )
        for one in graph["operators"]
    ]
    tensors = [Node("Tensor", {"buffer": graph.get("buffer", 0)}) for _ in range(graph["tensors"])]
    node = Node(
        "SubGraph",
        {name: vector(graph[name]) for name in ("inputs", "outputs")},
        lists={"operators": operators, "tensors": tensors},
    )
    entry = Node("Metadata", {"buffer": graph.get("entry", 0)})
    lists = {"subgraphs": [node], "operator_codes": [Node("OperatorCode")], "buffers": [Node("Buffer")]}
    return Node("Model", lists={**lists, "metadata": [entry]})


def vector(values: list[int]) -> Vector:
    return Vector(len(values), 4, -1, tuple(values))


@pytest.mark.parametrize(
    "changes",
    [
        {"operators": [{"code": 1, "inputs": [0], "outputs": [1]}]},
        {"operators": [{"code": 0, "inputs": [2], "outputs": [1]}]},
        {"operators": [{"code": 0, "inputs": [0], "outputs": [-1]}]},
        {"operators": [{"code": 0, "inputs": [-2], "outputs": [1]}]},
        {"inputs": [2]},
        {"outputs": [-1]},
        {"tensors": 1},
        {"buffer": 1},
        {"entry": -1},
    ],
)
def test_a_model_that_names_parts_which_are_not_there_is_not_converted(changes: dict[str, Any]) -> None:
    check_references(tree())
    with pytest.raises(UnmeasurableError, match="is not there"):
        check_references(tree(**changes))


def test_bytes_before_an_archive_of_arrays_are_free() -> None:
    arrays = io.BytesIO()
    np.savez(arrays, kernel=np.ones(3, np.float32))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": []}}')
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.npz", b"\x89HDF\r\n\x1a\n" + arrays.getvalue() + b"after")
    case = Case((("m.keras", out.getvalue()),), "m.keras")
    artifact = parse(case.open())
    require_whole(artifact, "the archive")
    assert not artifact.diagnostics
    assert run_one("lint", case)
