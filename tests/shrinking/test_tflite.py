"""TFLite models written again: run by the interpreter, read by the schema's own classes, checked by the
flatbuffers rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelinspect as mi
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Storage
from modelinspect.formats.registry import parse
from modelinspect.formats.tflite.schema import schema
from modelinspect.reports.shrink import Outcome
from modelinspect.shrinking.flat_tree import TreeReader
from modelinspect.shrinking.places import Place
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.run import shrink
from modelinspect.shrinking.steps import Options
from modelinspect.shrinking.tflite_witness import compare_models
from modelinspect.sources.base import MemorySource
from modelinspect.sources.opening import open_location
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.flat import build

MODELS = fixture_names(suffix=".tflite")
RUNS = [name for name in MODELS if not name.startswith(("unsafe", "tflite_handbuilt")) and "flex" not in name]


def run(path: Path, *, delegates: bool) -> list[Any] | str:
    """Run a model on seeded inputs and return its outputs, or why the interpreter refuses it."""
    import tensorflow as tf

    kinds = tf.lite.experimental.OpResolverType
    kind = kinds.AUTO if delegates else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = tf.lite.Interpreter(str(path), experimental_op_resolver_type=kind)
    except ValueError as error:  # the model is not built
        return str(error)
    try:
        interpreter.allocate_tensors()
        return _invoke(interpreter)
    except RuntimeError as error:
        return str(error)


def _invoke(interpreter: Any) -> list[Any]:
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = random.uniform(0, 1, size=detail["shape"])
        scaled = values * 4 if np.issubdtype(detail["dtype"], np.integer) else values
        interpreter.set_tensor(detail["index"], scaled.astype(detail["dtype"]))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", RUNS)
def test_the_interpreter_gives_the_same_outputs(name: str, tmp_path: Path) -> None:
    for drop in ((), ("names", "unreachable")):
        output = tmp_path / f"{len(drop)}.tflite"
        report = mi.shrink(fixture_path(name), output, drop=drop)
        sparse = any(tensor.storage is Storage.SPARSE for tensor in mi.open(fixture_path(name)).tensors)
        assert report.outcome != Outcome.REFUSED or sparse or name.endswith("metadata_empty.tflite"), (
            report.reason
        )
        if report.after is None:
            continue
        for delegates in (True, False):
            before, again, after = (
                run(path, delegates=delegates) for path in (fixture_path(name), fixture_path(name), output)
            )
            assert isinstance(before, str) == isinstance(again, str) == isinstance(after, str), (
                before,
                again,
                after,
            )
            for one, other in (
                () if isinstance(before, str) or isinstance(after, str) else zip(before, after, strict=True)
            ):
                np.testing.assert_array_equal(one, other)


def operands(path: Path) -> list[Any]:
    """Return what each operator is and takes, read by TensorFlow's classes of the schema: no interpreter here
    has `TFLM_DECODE`.
    """
    from tensorflow.lite.python import schema_py_generated as generated

    model = generated.ModelT.InitFromObj(generated.Model.GetRootAsModel(path.read_bytes(), 0))
    found: list[Any] = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            taken = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
            held = [(one.type, [*one.shape], model.buffers[one.buffer].data) for one in taken]
            held = [(kind, shape, None if data is None else bytes(data)) for kind, shape, data in held]
            found.append((code.builtinCode, code.customCode, bytes(operator.customOptions or b""), held))
    return found


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("micro_compression")])
@pytest.mark.parametrize("drop", [(), ("names", "unreachable")])
def test_decode_operators_take_the_same_bytes(name: str, drop: tuple[str, ...], tmp_path: Path) -> None:
    report = mi.shrink(fixture_path(name), tmp_path / "small.tflite", drop=drop)
    assert report.after is not None, report.reason
    expected = operands(fixture_path(name))
    assert any(code == b"TFLM_DECODE" for _, code, _, _ in expected)
    assert operands(tmp_path / "small.tflite") == expected


@pytest.mark.parametrize("name", MODELS)
def test_buffers_are_aligned_to_16_bytes(name: str, tmp_path: Path) -> None:
    report = mi.shrink(fixture_path(name), tmp_path / "small.tflite")
    if report.after is None:
        return
    data = (tmp_path / "small.tflite").read_bytes()
    model = TreeReader(MemorySource(data), schema("model"), Limits()).read()
    nodes = [buffer.nodes["data"] for buffer in model.records("buffers") if "data" in buffer.nodes]
    assert all(node.offset % 16 == 0 for node in nodes)  # type: ignore[union-attr]


def test_equal_constants_share_a_buffer_and_unused_ones_go(tmp_path: Path) -> None:
    tensors = [
        {"name": name, "shape": [64], "type": 0, "buffer": number} for name, number in (("a", 1), ("b", 2))
    ]
    graph = {"tensors": tensors, "inputs": [0], "outputs": [1], "operators": []}
    buffers = [{}, *({"data": content} for content in (b"W", b"W", b"N"))]
    weights = np.arange(64, dtype="f4").tobytes()
    path = tmp_path / "a.tflite"
    contents = {b"W": weights, b"N": b"nobody names these bytes" * 9}
    buffers = [{"data": contents[each["data"]]} if each else {} for each in buffers]
    path.write_bytes(build({"version": 3, "operator_codes": [], "subgraphs": [graph], "buffers": buffers}))
    report = mi.shrink(path, tmp_path / "b.tflite")
    assert report.after is not None, report.reason
    data = (tmp_path / "b.tflite").read_bytes()
    assert data.count(weights) == 1
    assert b"nobody" not in data
    saved = {step.step: step.saved for step in report.steps}
    assert saved["share-buffers"] == len(weights)
    assert saved["drop-unreachable"] == 9 * 24


def test_the_witness_notices_a_changed_weight_operator_or_shape(tmp_path: Path) -> None:
    data = fixture_path("tflite/float.tflite").read_bytes()
    model = TreeReader(MemorySource(data), schema("model"), Limits()).read()
    buffer = max(
        (one.nodes["data"] for one in model.records("buffers") if "data" in one.nodes),
        key=lambda node: node.size,
    )  # type: ignore[union-attr]
    operator = model.records("subgraphs")[0].records("operators")[0]
    places = [buffer.offset + 5, data.rindex(bytes(operator.nodes["inputs"].data))]  # type: ignore[union-attr]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(UnprovedError):
            compare_models(MemorySource(data), MemorySource(bytes(changed)), named=True, limits=Limits())
    assert compare_models(MemorySource(data), MemorySource(data), named=True, limits=Limits()) > 2


def model_with_unknown_metadata(unnamed: bytes) -> bytes:
    """Return a model with equal buffers 1 and 2, a tensor that nothing uses, and buffer 4, which at most the
    metadata names.
    """
    tensors = [
        {"name": name, "shape": [64], "type": 0, "buffer": number}
        for name, number in (("a", 1), ("b", 2), ("idle", 0))
    ]
    graph = {"tensors": tensors, "inputs": [0], "outputs": [1], "operators": []}
    weights = np.arange(64, dtype="f4").tobytes()
    buffers = [{}, {"data": weights}, {"data": weights}, {"data": b"\4\0\0\0"}, {"data": unnamed}]
    metadata = [{"name": "names_a_buffer", "buffer": 3}]
    return build(
        {"version": 3, "operator_codes": [], "subgraphs": [graph], "buffers": buffers, "metadata": metadata}
    )


def test_tensors_and_buffers_keep_their_numbers_where_unknown_metadata_may_name_them(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(model_with_unknown_metadata(b"table" * 8))
    report = mi.shrink(path, tmp_path / "b.tflite", drop=["names", "unreachable"])
    assert report.after is not None, report.reason
    model = TreeReader(MemorySource((tmp_path / "b.tflite").read_bytes()), schema("model"), Limits()).read()
    assert [tensor.number("buffer") for tensor in model.records("subgraphs")[0].records("tensors")] == [
        1,
        2,
        0,
    ]
    assert len(model.records("buffers")) == 5
    assert b"table" * 8 in (tmp_path / "b.tflite").read_bytes()


def test_the_witness_notices_a_changed_buffer_that_only_unknown_metadata_may_name() -> None:
    one, other = (MemorySource(model_with_unknown_metadata(table * 8)) for table in (b"table", b"tabla"))
    compare_models(one, other, named=True, limits=Limits())
    compare_models(one, one, named=True, numbered=True, limits=Limits())
    with pytest.raises(UnprovedError):
        compare_models(one, other, named=True, numbered=True, limits=Limits())


def test_a_name_goes_and_another_tensor_with_its_bytes_stays(tmp_path: Path) -> None:
    tensors = [{"name": name, "shape": [64], "type": 0, "buffer": 1} for name in ("idle", "used")]
    graph = {"tensors": tensors, "inputs": [1], "outputs": [1], "operators": []}
    path = tmp_path / "a.tflite"
    path.write_bytes(
        build(
            {
                "version": 3,
                "operator_codes": [],
                "subgraphs": [graph],
                "buffers": [{}, {"data": b"abcd" * 64}],
            }
        )
    )
    report = mi.shrink(path, tmp_path / "b.tflite", drop=["names", "unreachable"])
    assert report.proof is not None, report.reason
    assert (report.proof.tensors, report.proof.equal) == (2, 1)
    assert [tensor.shape for tensor in mi.open(tmp_path / "b.tflite").tensors] == [(64,)]


@pytest.mark.parametrize("drop", [(), ("unreachable",), ("names", "unreachable")])
@pytest.mark.parametrize("other", [{"shape": [8, 8], "type": 0}, {"shape": [64], "type": 2}])
@pytest.mark.parametrize("buffer", [1, 2])
def test_equal_bytes_of_another_shape_or_type_are_no_reason_to_refuse(
    drop: tuple[str, ...], other: dict[str, Any], buffer: int, tmp_path: Path
) -> None:
    tensors = [
        {"name": "idle", "shape": [64], "type": 0, "buffer": 1},
        {"name": "used", "buffer": buffer, **other},
    ]
    graph = {"tensors": tensors, "inputs": [1], "outputs": [1], "operators": []}
    buffers = [{}, *({"data": data} for data in (b"abcd" * 64, b"abcd" * 64, b"unused" * 64))]
    path = tmp_path / "a.tflite"
    path.write_bytes(build({"version": 3, "operator_codes": [], "subgraphs": [graph], "buffers": buffers}))
    report = mi.shrink(path, tmp_path / "b.tflite", drop=drop)
    assert report.after is not None, report.reason


def test_dropping_names_keeps_signatures(tmp_path: Path) -> None:
    report = mi.shrink(fixture_path("tflite/signatures.tflite"), tmp_path / "small.tflite", drop=["names"])
    assert report.after is not None, report.reason
    signatures = [
        mi.open(path).facts["signatures"]
        for path in (fixture_path("tflite/signatures.tflite"), tmp_path / "small.tflite")
    ]
    keys = [
        {key: {side: sorted(value[side]) for side in ("inputs", "outputs")} for key, value in each.items()}
        for each in signatures
    ]
    assert keys[0] == keys[1]


def test_a_file_that_is_open_is_shrunk_as_one_that_is_not_and_stays_open() -> None:
    path = fixture_path("pruned_mlp/stripped/float32.tflite")
    closed = shrink(str(path), Options(), Place())
    with open_location(path, Limits()) as files:
        artifact = parse(files, Limits())
        opened = shrink(str(path), Options(), Place(), opened=(artifact, files))
        assert files.open(files.primary or "").read_at(4, 4) == b"TFL3"
    assert opened.after is not None
    assert closed.after is not None
    assert (opened.after.size, opened.proof, opened.steps) == (closed.after.size, closed.proof, closed.steps)
