"""GraphDefs lose only what no output needs, only on request; TensorFlow runs the result as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.encodings.protobuf import message_class
from modelinspect.reports.shrink import Outcome
from tests.support.fixtures import fixture_path


def graph_def() -> Any:
    """Return a graph of an output, a constant that nothing reads, and two functions of which one is
    called.
    """
    graph = message_class("GraphDef")()

    def node(name: str, op: str, *inputs: str) -> Any:
        made = graph.node.add(name=name, op=op)
        made.input.extend(inputs)
        return made

    node("x", "Placeholder")
    node("unused", "Const").attr["value"].tensor.tensor_content = bytes(4000)
    call = node("call", "PartitionedCall", "x")
    call.attr["f"].func.name = "kept"
    node("output", "Identity", "call")
    for name in ("kept", "inner", "lost"):
        graph.library.function.add().signature.name = name
    graph.library.function[0].node_def.add(name="deep", op="StatelessIf").attr[
        "then_branch"
    ].func.name = "inner"
    return graph


def test_nothing_goes_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(graph_def().SerializeToString())
    report = mi.shrink(path, tmp_path / "small.pb")
    assert report.outcome == Outcome.REFUSED
    assert [each.name for each in tmp_path.iterdir()] == ["graph.pb"]


def test_unread_constants_and_functions_that_nothing_calls_go_and_are_listed(tmp_path: Path) -> None:
    path, out = tmp_path / "graph.pb", tmp_path / "small.pb"
    path.write_bytes(graph_def().SerializeToString())
    report = mi.shrink(path, out, drop=["unreachable"])
    assert report.after is not None, report.reason
    made = message_class("GraphDef").FromString(out.read_bytes())
    assert [node.name for node in made.node] == ["x", "call", "output"]
    assert [each.signature.name for each in made.library.function] == ["kept", "inner"]
    assert list(report.notes) == ["dropped nodes: unused", "dropped functions: lost"]
    assert mi.shrink(out, in_place=True, drop=["unreachable"]).outcome == Outcome.UNCHANGED


def test_a_graph_of_constants_alone_keeps_them(tmp_path: Path) -> None:
    graph = message_class("GraphDef")()
    graph.node.add(name="a", op="Const").attr["value"].tensor.tensor_content = bytes(400)
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    assert mi.shrink(tmp_path / "graph.pb", drop=["unreachable"]).outcome == Outcome.UNCHANGED


@pytest.mark.tensorflow
@pytest.mark.slow
def test_tensorflow_computes_the_same_from_what_is_left(tmp_path: Path) -> None:
    import tensorflow as tf

    path, out = fixture_path("graph_def/frozen.pb"), tmp_path / "small.pb"
    assert mi.shrink(path, out, drop=["unreachable"]).after is not None
    results = []
    for file in (path, out):
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(file.read_bytes()), name="")
        with tf.compat.v1.Session(graph=graph) as session:
            x = graph.get_tensor_by_name("x:0")
            values = np.random.default_rng(0).normal(size=[size or 3 for size in x.shape]).astype("f4")
            results.append(session.run("Identity:0", {x: values}))
    np.testing.assert_array_equal(*results)
