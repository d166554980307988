"""A model is read the same whether its flatbuffer was walked before or each table is read when it is
reached.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import Limits
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.encodings.flatbuffers.walker import root_table, walk_flatbuffer
from modelinspect.encodings.walk import Walk
from modelinspect.errors import FormatError
from modelinspect.formats.tflite.labels import MODEL
from modelinspect.formats.tflite.model import read_model
from modelinspect.formats.tflite.schema import schema
from modelinspect.sources.local_files import LocalSource
from tests.support.fixtures import fixture_names, fixture_path

PATHS = [
    path for name in fixture_names(suffix=".tflite") if (path := fixture_path(name)).stat().st_size < 200_000
]


def described(root: Table) -> list[object]:
    """Return all that following channels reads of a model."""
    troubles: list[FormatError] = []
    model = read_model(root, troubles.append)
    rows = [row for graph in model.subgraphs for row in graph.tensors if row is not None]
    seen: list[object] = [(row.name, row.shape, row.type, row.buffer, row.is_sparse) for row in rows]
    for graph in model.subgraphs:
        seen.append((graph.name, graph.inputs, graph.outputs))
        for operator in graph.operators:
            options = operator.table.table("builtin_options")
            fields = (
                []
                if options is None
                else [(item.name, options.value(item.name)) for item in options.type.inline if item.scalar]
            )
            seen.append((operator.code, operator.inputs, operator.outputs, fields))
    return [*seen, model.buffers, model.codes, troubles]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_model_that_was_not_walked_is_read_as_one_that_was(path: Path) -> None:
    source = LocalSource(path)
    if source.read_at(4, 4) != b"TFL3":
        pytest.skip("a size is before the flatbuffer")
    troubles: list[FormatError] = []
    document = walk_flatbuffer(
        Walk(source, ByteMapBuilder("m", source.size, Limits()), Limits(), troubles.append),
        schema("model"),
        MODEL,
    )
    if troubles:
        pytest.skip("what is damaged is always walked")
    assert described(root_table(source, schema("model"))) == described(document.root)
