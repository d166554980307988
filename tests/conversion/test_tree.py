"""Reading a flatbuffer's objects: what costs more than the file is refused, and honest files are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

import modelinspect as mi
from modelinspect.conversion.tree import Node, read_tree
from modelinspect.core.limits import Limits
from modelinspect.errors import LimitError
from modelinspect.formats.tflite.schema import schema
from modelinspect.sources.base import MemorySource
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.flat import build


def read(data: bytes) -> Node:
    return read_tree(MemorySource(data, "model.tflite"), schema("model"), Limits())


def shared(count: int, rank: int) -> bytes:
    """Return a model whose subgraph lists one tensor of many dimensions ``count`` times."""
    builder = flatbuffers.Builder(1 << 16)
    shape = builder.CreateNumpyVector(np.full(rank, 70_000, np.int32))
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, shape, 0)
    tensor = builder.EndObject()
    tensors = references(builder, [tensor] * count)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
    graph = references(builder, [builder.EndObject()])
    builder.StartObject(3)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(2, graph, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    return bytes(builder.Output())


def references(builder: Any, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def model(tensors: int, rank: int) -> bytes:
    many = [
        {"shape": [1] * rank if index == tensors - 1 else [index + 70_000], "buffer": 0}
        for index in range(tensors)
    ]
    return build({"version": 3, "buffers": [{}], "subgraphs": [{"tensors": many}]})


def test_a_tensor_that_every_entry_refers_to_is_refused_before_it_is_read_as_often() -> None:
    data = shared(2_000, 1_000)
    with pytest.raises(LimitError, match="shared"):
        read(data)


def test_tables_that_are_not_shared_are_read_whole() -> None:
    root = read(model(2_000, 1_000))
    tensors = root.lists["subgraphs"][0].lists["tensors"]
    assert [tensor.vector("shape").count for tensor in tensors] == [1] * 1_999 + [1_000]


def test_a_plan_says_which_forms_shared_tables_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "shared.tflite"
    path.write_bytes(shared(2_000, 1_000))
    report = mi.plan(path, only=["tflite-float32", "tflite-dynamic-int8"])
    assert not report.options
    assert len(report.left_out) == 1


@pytest.mark.parametrize("name", fixture_names(suffix=".tflite"))
def test_every_fixture_is_within_what_a_writer_shares(name: str) -> None:
    data = fixture_path(name).read_bytes()
    try:
        read(data)
    except LimitError as error:
        pytest.fail(str(error))
    except mi.FormatError:  # fields that are not read here
        pass
