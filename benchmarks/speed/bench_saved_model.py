"""SavedModels and graphs: EfficientNetB7 against saved_model_cli, and a synthetic GraphDef of 1,000,000
nodes.

EfficientNetB7 is built with weights=None and saved by tf_keras: a saved_model.pb of 13 MB, 38,000 nodes in
3,600 functions. In the synthetic graph every tenth node is a constant, the others have two inputs and an
attribute.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.speed.harness import MIB, Row, faster, modelinspect, process, shown, under, under_memory

NODES = 1_000_000

_MAKE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import tf_keras
tf_keras.applications.EfficientNetB7(weights=None).save(sys.argv[1], save_format="tf")
"""
_THEIRS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from tensorflow.python.tools import saved_model_cli
sys.argv = ["saved_model_cli", "show", "--all", "--dir", sys.argv[1]]
saved_model_cli.main()
"""
_LOOP = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from tensorflow.core.framework.graph_pb2 import GraphDef
graph = GraphDef()
graph.ParseFromString(open(sys.argv[1], "rb").read())
seen = {}
for node in graph.node:
    seen[node.op] = seen.get(node.op, 0) + len(node.name) + len(node.input) + node.ByteSize()
"""
"""What a script would do: read each node's operator, name, inputs and size."""


def bench(folder: Path) -> list[Row]:
    """Map EfficientNetB7 as a whole, show it with TensorFlow's tool, and map graphs of two sizes."""
    model = folder / "efficientnetb7"
    if not model.exists():
        process(*_python(_MAKE, model), times=1)
    structure = modelinspect("inspect", "--no-measure", "--format", "json", model)
    measured = modelinspect("inspect", "--format", "json", model)
    theirs = process(*_python(_THEIRS, model), times=1)
    rows = [
        under("EfficientNetB7, structure", structure, 2.0),
        under("EfficientNetB7, measured", measured, 2.5),
        under_memory("peak memory of that", measured.memory, 120 * 10**6),
        Row("saved_model_cli show --all", f"{shown(theirs)}, {theirs.memory / MIB:.0f} MiB"),
        faster("EfficientNetB7, measured, against saved_model_cli", measured, theirs, 25),
    ]
    tenth, whole = (_graph(folder, count) for count in (NODES // 10, NODES))
    small = modelinspect("inspect", "--no-measure", "--format", "json", tenth, times=1)
    large = modelinspect("inspect", "--no-measure", "--format", "json", whole, times=1)
    loop = process(*_python(_LOOP, whole), times=1)
    ratio = large.processor / small.processor
    return [
        *rows,
        Row("GraphDef of 100,000 nodes, structure", shown(small)),
        under(f"GraphDef of 1,000,000 nodes, {whole.stat().st_size / 1e6:.0f} MB, structure", large, 25.0),
        under_memory("peak memory of that", large.memory, 400 * 10**6),
        Row(
            "protobuf's ParseFromString and a loop over the nodes",
            f"{shown(loop)}, {loop.memory / MIB:.0f} MiB",
        ),
        faster("GraphDef of 1,000,000 nodes, against that loop", large, loop, 1),
        Row("a million nodes to a tenth of them", f"{ratio:.1f} times", "< 12 times (linear)", ratio < 12),
    ]


def _python(code: str, *arguments: Path) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def _graph(folder: Path, nodes: int) -> Path:
    """Write a GraphDef of so many nodes, about 95 bytes each."""
    path = folder / f"graph_{nodes}.pb"
    if path.exists():
        return path
    number_type = _field(5, _field(1, b"T") + _field(2, b"\x30\x01"))
    tensor = b"\x08\x01" + _field(2, _field(2, b"\x08\x03")) + _field(4, b"\0\0\x80\x3f" * 3)
    value = _field(5, _field(1, b"dtype") + _field(2, b"\x30\x01")) + _field(
        5, _field(1, b"value") + _field(2, _field(8, tensor))
    )
    with path.open("wb") as file:
        for index in range(nodes):
            name = b"model/block_%06d/layer/op_%07d" % (index // 100, index)
            if index % 10 == 0:
                node = _field(1, name) + _field(2, b"Const") + value
            else:
                before = b"model/block_%06d/layer/op_%07d" % ((index - 1) // 100, index - 1)
                node = (
                    _field(1, name) + _field(2, b"AddV2") + _field(3, before) + _field(3, b"x") + number_type
                )
            file.write(_field(1, node))
    return path


def _field(number: int, data: bytes) -> bytes:
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + data
