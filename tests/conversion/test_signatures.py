"""What `plan` says of SavedModels without a configuration is what the converter makes of their signatures."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.accuracy.plan_reality import FORMS, PAGE
from benchmarks.accuracy.signature_networks import WAYS
from benchmarks.accuracy.signature_reality import BEGIN, END, LATER, Outcome, outcomes, table, unpacked

import modelinspect as mi
from modelinspect.encodings.protobuf import message_class
from tests.support.fixtures import fixture_path
from tests.support.work import CALLS, bounded

PROJECT = Path(__file__).resolve().parents[2]
MUTATED = ("cnn-3-0", "module-nested-1-2", "text-3-0", "attention-3-0", "module-images-1-1", "unet-3-0")
MUTATIONS = 12


@pytest.fixture(scope="module")
def saved() -> Iterator[Path]:
    with unpacked() as folder:
        yield folder


@pytest.fixture(scope="module")
def found(saved: Path) -> list[Outcome]:
    return list(outcomes(saved))


def test_networks_were_saved_in_every_way(found: list[Outcome]) -> None:
    assert {one.network.keras for one in found} == set(WAYS.values())
    assert len({one.network for one in found}) > 300


def test_what_is_labelled_exact_is_equal_to_the_byte(found: list[Outcome]) -> None:
    exact = [one for one in found if one.basis == "exact"]
    assert len(exact) > 800
    assert [one for one in exact if one.predicted != one.real] == []


def test_every_prediction_is_within_its_stated_error(found: list[Outcome]) -> None:
    assert [one for one in found if one.real and one.error > one.stated + 1e-9] == []


def test_what_is_told_is_known_within_two_percent_and_most_to_the_byte(found: list[Outcome]) -> None:
    told = [one for one in found if one.real and one.is_told]
    assert max(one.error for one in told) <= 0.02
    assert len(told) / len([one for one in found if one.real]) > 0.9
    later = [one for one in told if one.network.seed >= LATER]
    assert len(later) > 150
    assert sum(one.predicted == one.real for one in later) / len(later) > 0.9


def test_the_page_shows_these_predictions_as_they_are(found: list[Outcome]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == table(found), (
        "run: python benchmarks/accuracy/signature_reality.py --write"
    )


def test_downloads_are_predicted_too(saved: Path) -> None:
    (entry,) = mi.plan(saved / "module-dense-1-0", only=["tflite-float32"]).options
    assert entry.download_size is not None
    assert entry.download_size < entry.size


def test_an_operation_that_is_not_known_is_named(saved: Path) -> None:
    report = mi.plan(saved / "recurrent-3-0")
    assert not [entry for entry in report.options if entry.option.startswith("tflite-")]
    assert any(
        "tflite-float32" in line and "not known how TensorListReserve converts" in line
        for line in report.left_out
    )


def test_several_signatures_become_as_many_subgraphs_and_are_left_out(saved: Path, tmp_path: Path) -> None:
    def add_a_signature(model: Any) -> None:
        (graph,) = model.meta_graphs
        graph.signature_def["other"].CopyFrom(graph.signature_def["serving_default"])
        for child in graph.object_graph_def.nodes[
            0
        ].children:  # which the converter takes for what Keras exports
            child.local_name = child.local_name.replace("serve", "compute")

    report = mi.plan(_changed(saved / "module-dense-1-0", tmp_path, add_a_signature))
    assert not [entry for entry in report.options if entry.option.startswith("tflite-")]
    assert any("2 signatures" in line for line in report.left_out)


def test_a_signature_of_another_name_is_converted_under_it(saved: Path, tmp_path: Path) -> None:
    def rename(model: Any) -> None:
        (graph,) = model.meta_graphs
        graph.signature_def["scores"].CopyFrom(graph.signature_def["serving_default"])
        del graph.signature_def["serving_default"]

    plain = mi.plan(saved / "module-dense-1-0", only=["tflite-float32"]).options[0].size
    renamed = (
        mi.plan(_changed(saved / "module-dense-1-0", tmp_path, rename), only=["tflite-float32"])
        .options[0]
        .size
    )
    assert abs(plain - renamed) <= 16
    assert plain != renamed


@pytest.mark.parametrize(
    ("name", "reason"),
    [("text", "not in saved_model.pb"), ("vocabulary", "its input words is of another type")],
)
def test_what_has_neither_a_graph_nor_layers_to_predict_from_says_why(name: str, reason: str) -> None:
    assert any(
        "tflite-float32" in line and reason in line
        for line in mi.plan(fixture_path(f"saved_model/{name}")).left_out
    )


def test_a_savedmodel_in_an_archive_is_predicted_as_the_folder_is(saved: Path, tmp_path: Path) -> None:
    folder = saved / "module-dense-1-0"
    packed = shutil.make_archive(str(tmp_path / "saved"), "gztar", folder)
    sizes = [mi.plan(path, only=["tflite-float32"]).options[0].size for path in (folder, packed)]
    assert sizes[0] == sizes[1]


def test_lengths_that_are_not_known_are_left_out(saved: Path, tmp_path: Path) -> None:
    def forget(model: Any) -> None:
        (graph,) = model.meta_graphs
        for given in graph.signature_def["serving_default"].inputs.values():
            given.tensor_shape.dim[1].size = -1

    report = mi.plan(_changed(saved / "module-images-1-1", tmp_path, forget))
    assert any("lengths that are not known" in line for line in report.left_out)


@pytest.mark.parametrize("name", MUTATED)
def test_mutated_graphs_give_a_plan_or_an_error(name: str, saved: Path, tmp_path: Path) -> None:
    draw = random.Random(name)
    for number in range(MUTATIONS):
        path = _changed(
            saved / name,
            tmp_path / str(number),
            lambda model: [_mutate(model, draw) for _ in range(draw.randint(1, 4))],
        )
        with bounded(10 * CALLS):
            try:
                mi.plan(path, only=["tflite-float32"])
            except mi.ModelInspectError:
                continue


@pytest.mark.parametrize("name", ["cnn-3-0", "module-nested-1-2"])
def test_broken_bytes_give_a_plan_or_an_error(name: str, saved: Path, tmp_path: Path) -> None:
    draw = random.Random(name)
    path = tmp_path / "saved"
    shutil.copytree(saved / name, path)
    sound = (path / "saved_model.pb").read_bytes()
    for _ in range(MUTATIONS):
        data = bytearray(sound)
        for _ in range(draw.randint(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        (path / "saved_model.pb").write_bytes(data[: draw.choice((len(data), draw.randrange(len(data))))])
        try:
            mi.plan(path, only=["tflite-float32"])
        except mi.ModelInspectError:
            continue


def test_functions_that_call_one_another_often_end(saved: Path, tmp_path: Path) -> None:
    """Each of 30 functions calls the next twice: 2 to the 30 calls, if they were followed."""

    def nest(model: Any) -> None:
        (graph,) = model.meta_graphs
        library = graph.graph_def.library
        called = _entry(graph).node_def[0].attr["f"].func.name
        for depth in range(30):
            function = library.function.add()
            function.CopyFrom(next(one for one in library.function if one.signature.name == called))
            function.signature.name = f"nested_{depth}"
            del function.node_def[:]
            arguments = [argument.name for argument in function.signature.input_arg]
            for place in (0, 1):
                node = function.node_def.add(name=f"call_{place}", op="StatefulPartitionedCall")
                node.input.extend([f"call_{place - 1}:output:0" if place else arguments[0], *arguments[1:]])
                node.attr["f"].func.name = f"nested_{depth - 1}" if depth else called
            for output in function.ret:
                function.ret[output] = "call_1:output:0"
        _entry(graph).node_def[0].attr["f"].func.name = "nested_29"

    path = _changed(saved / "module-nested-1-2", tmp_path, nest)
    with bounded(10 * CALLS):
        report = mi.plan(path)
        assert any(
            "its functions are called more than" in line or "nested too deep" in line
            for line in report.left_out
        )


def test_constants_that_would_grow_beyond_memory_are_not_computed(saved: Path, tmp_path: Path) -> None:
    """A million by a million elements, of two constants of one element each that stand for all of theirs."""

    def grow(model: Any) -> None:
        (graph,) = model.meta_graphs
        functions = graph.graph_def.library.function
        function = next(
            one
            for one in functions
            if any(node.op == "Softmax" for node in one.node_def) and "wrapper" not in one.signature.name
        )
        for name, lengths in (("tall", (1 << 20, 1)), ("wide", (1, 1 << 20))):
            node = function.node_def.add(name=name, op="Const")
            node.attr["value"].tensor.dtype = node.attr["dtype"].type = 1
            node.attr["value"].tensor.float_val.append(1.5)
            for length in lengths:
                node.attr["value"].tensor.tensor_shape.dim.add(size=length)
        function.node_def.add(name="huge", op="Mul", input=["tall:output:0", "wide:output:0"])
        for one in functions:
            if one.signature.name == function.signature.name:
                next(node for node in one.node_def if node.op == "Softmax").input[0] = "huge:z:0"

    report = mi.plan(_changed(saved / "module-nested-1-2", tmp_path, grow))
    assert any("too large a constant" in line for line in report.left_out)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("way", "part"), [("module", "images"), ("module", "nested"), ("export", "inception")]
)
def test_networks_that_are_drawn_anew_are_predicted_as_tensorflow_converts_them(
    way: str, part: str, tmp_path: Path
) -> None:
    script = PROJECT / "benchmarks" / "accuracy" / "signature_networks.py"
    subprocess.run(
        [sys.executable, str(script), way, str(tmp_path), part, "--seeds", "900"],
        check=True,
        capture_output=True,
        timeout=1800,
    )
    made = sorted(path.parent for path in tmp_path.glob("*/done"))
    assert made
    for folder in made:
        for entry in mi.plan(folder / "saved", only=tuple(FORMS)).options:
            real = (folder / f"{FORMS[entry.option]}.tflite").stat().st_size
            assert abs(entry.size - real) <= (entry.error or 0) * real, (folder.name, entry)


def _changed(source: Path, target: Path, change: Any) -> Path:
    """Copy a SavedModel and change its messages."""
    path = target / "saved"
    shutil.copytree(source, path)
    model = message_class("SavedModel")()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    change(model)
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    return path


def _entry(graph: Any) -> Any:
    """Return the function that the signature calls."""
    node = next(node for node in graph.graph_def.node if node.name == "StatefulPartitionedCall")
    return next(
        one for one in graph.graph_def.library.function if one.signature.name == node.attr["f"].func.name
    )


def _mutate(model: Any, draw: random.Random) -> None:
    """Change one thing of a graph."""
    (graph,) = model.meta_graphs
    functions = [
        function for function in graph.graph_def.library.function if "traced" not in function.signature.name
    ]
    function = draw.choice(functions)
    node = draw.choice(function.node_def)
    match draw.randrange(9):
        case 0 if node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(
                [f"{draw.choice(function.node_def).name}:output:0", "nothing", "", "a:b:c:d"]
            )
        case 1:
            node.op = draw.choice(
                [
                    "Mul",
                    "Reshape",
                    "MatMul",
                    "StridedSlice",
                    "Tile",
                    "GatherV2",
                    "Einsum",
                    "Conv2D",
                    "Unknown",
                    "",
                ]
            )
        case 2:
            for key in list(node.attr):
                if draw.random() < 0.5:
                    del node.attr[key]
        case 3:
            for key in node.attr:
                node.attr[key].list.i[:] = [
                    draw.choice([0, -1, 1, 3, 1 << 40]) for _ in range(draw.randrange(6))
                ]
        case 4 if "value" in node.attr:
            del node.attr["value"].tensor.tensor_shape.dim[:]
            for _ in range(draw.randrange(4)):
                node.attr["value"].tensor.tensor_shape.dim.add(
                    size=draw.choice([-1, 0, 1, 2, 1 << 20, 1 << 62])
                )
        case 5:
            del node.input[:]
        case 6:
            graph.object_graph_def.concrete_functions[function.signature.name].bound_inputs.append(
                draw.choice([-1, 0, 1, 10**6])
            )
        case 7:
            for given in graph.signature_def["serving_default"].inputs.values():
                given.tensor_shape.dim.add(size=draw.choice([-1, 0, 7, 1 << 50]))
        case _:
            for item in graph.object_graph_def.nodes:
                for child in item.children:
                    child.node_id = draw.choice([child.node_id, child.node_id, 0, -5, 10**6])
