"""Graphs on their own, against TensorFlow's reading of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.corpus import corpus, corpus_files
from tests.support.fixtures import fixture_path
from tests.support.work import CALLS, bounded

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import ElementKind, Role, Storage, Tensor
from modelinspect.errors import ModelInspectError
from modelinspect.formats.base import Parsing
from modelinspect.formats.graph.graph_def import FORMAT
from modelinspect.formats.registry import parse
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks
from modelinspect.measure.run import measure
from modelinspect.sources.files import FileSet, MemoryFiles

FROZEN = "graph_def/frozen.pb"


def parsed(data: bytes, name: str = "graph.pb") -> Artifact:
    return parse(MemoryFiles({name: data}))


def detected(data: bytes, name: str = "graph.pb") -> bool:
    return FORMAT.detect(Parsing(MemoryFiles({name: data})))


def elements(tensor: Tensor, files: FileSet) -> np.ndarray[Any, Any]:
    """Read all elements of a tensor through `measure`."""
    size = tensor.dtype.bits // 8
    out = np.zeros(tensor.element_count * size, np.uint8)
    for block in blocks(tensor, Reading(files, Limits(), bytearray())):
        data = np.asarray(block.data)[: block.count * size]
        repeated = np.tile(data, block.repeat)
        out[block.first * size : block.first * size + len(repeated)] = repeated
    return out


def graph_def(data: bytes) -> Any:
    tf = pytest.importorskip("tensorflow")
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(data)
    return graph


@pytest.mark.tensorflow
def test_nodes_and_attributes_take_what_tensorflow_counts() -> None:
    data = fixture_path(FROZEN).read_bytes()
    graph = graph_def(data)
    artifact = parsed(data)
    sizes: dict[tuple[str, ...], int] = {}
    for region in artifact.members[0].map:
        if region.path[:1] == ("node",) and region.kind is not RegionKind.CONTAINER:
            sizes[region.path[:2]] = sizes.get(region.path[:2], 0) + region.span.size
    assert sizes == {("node", node.name): node.ByteSize() for node in graph.node}
    assert artifact.facts["node_count"] == len(graph.node)
    ops: dict[str, int] = {}
    for node in graph.node:
        ops[node.op] = ops.get(node.op, 0) + 1
    assert artifact.facts["ops"] == dict(sorted(ops.items()))
    assert artifact.facts["producer"] == graph.versions.producer


@pytest.mark.tensorflow
def test_constants_equal_make_ndarray() -> None:
    tf = pytest.importorskip("tensorflow")
    data = fixture_path(FROZEN).read_bytes()
    protos = {node.name: node.attr["value"].tensor for node in graph_def(data).node if node.op == "Const"}
    artifact = parsed(data)
    files = MemoryFiles({"graph.pb": data})
    assert {tensor.name for tensor in artifact.tensors} == set(protos)
    for tensor in artifact.tensors:
        expected = tf.make_ndarray(protos[tensor.name])
        is_kernel = (
            tensor.name == "matmul/ReadVariableOp/resource"
        )  # the one constant that a multiplication reads
        assert (tensor.role, tensor.storage) == (Role.WEIGHT if is_kernel else Role.CONSTANT, Storage.INLINE)
        assert tensor.shape == expected.shape
        assert tensor.dtype.name == tf.as_dtype(protos[tensor.name].dtype).name
        if tensor.dtype.kind is not ElementKind.STRING:
            assert elements(tensor, files).tobytes() == expected.tobytes(), tensor.name
            assert tensor.logical_size == expected.nbytes
    stored = {tensor.name: tensor.stored_size for tensor in artifact.tensors}
    assert stored["splat"] == 4
    assert stored["zeros"] == 0


TYPED = [
    ("float16", [1.0, -0.0, 3.5]),
    ("bfloat16", [1.0, -0.0, 3.5]),
    ("float32", [1.5, -2.0, 0.0]),
    ("float64", [1.5, -2.0, 0.0]),
    ("int8", [-3, 0, 4]),
    ("uint8", [200, 0, 4]),
    ("int16", [-300, 0, 4]),
    ("uint16", [60000, 0, 4]),
    ("int32", [-70000, 0, 4]),
    ("int64", [-(2**40), 0, 4]),
    ("uint32", [2**31, 0, 4]),
    ("uint64", [2**63, 0, 4]),
    ("bool", [True, False, True]),
    ("complex64", [1 + 2j, -3j, 0]),
    ("complex128", [1 + 2j, -3j, 0]),
    ("float8_e5m2", [1.5, -2.0, 0.0]),
    ("float8_e4m3fn", [1.5, -2.0, 0.0]),
]
FIELDS = {
    "float16": "half_val",
    "bfloat16": "half_val",
    "float32": "float_val",
    "float64": "double_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "float8_e5m2": "float8_val",
    "float8_e4m3fn": "float8_val",
}


@pytest.mark.tensorflow
@pytest.mark.parametrize(("name", "values"), TYPED, ids=[name for name, _ in TYPED])
@pytest.mark.parametrize("count", [3, 7], ids=["all values", "the last for the rest"])
def test_typed_values_of_every_type_equal_make_ndarray(name: str, values: list[Any], count: int) -> None:
    tf = pytest.importorskip("tensorflow")
    array = np.array(values).astype(tf.as_dtype(name).as_numpy_dtype)
    graph = tf.compat.v1.GraphDef()
    node = graph.node.add(name="c", op="Const")
    proto = node.attr["value"].tensor
    proto.dtype = tf.as_dtype(name).as_datatype_enum
    proto.tensor_shape.dim.add(size=count)
    field = FIELDS.get(name, "int_val")
    if field == "float8_val":
        proto.float8_val = array.tobytes()
    elif field == "half_val":
        proto.half_val[:] = array.view("uint16").tolist()
    elif "complex" in field:
        getattr(proto, field)[:] = array.view(array.real.dtype).tolist()
    else:
        getattr(proto, field)[:] = array.tolist()
    data = graph.SerializeToString()
    artifact = parsed(data)
    expected = tf.make_ndarray(proto)
    assert expected.shape == (count,)
    assert elements(artifact.tensors[0], MemoryFiles({"graph.pb": data})).tobytes() == expected.tobytes()


@pytest.mark.tensorflow
def test_a_flipped_byte_changes_the_node_that_it_is_mapped_to() -> None:
    """Every byte of the file: TensorFlow refuses the graph, or the node that the region names differs and no
    other.
    """
    data = bytearray(fixture_path(FROZEN).read_bytes())
    before = [node.SerializeToString(deterministic=True) for node in graph_def(bytes(data)).node]
    names = [node.name for node in graph_def(bytes(data)).node]
    artifact = parsed(bytes(data))
    map_ = artifact.members[0].map
    seen = refused = 0
    for place in range(len(data)):
        region = map_.at(place)
        data[place] ^= 0x11
        try:
            graph = graph_def(bytes(data))
        except Exception as error:  # google.protobuf.message.DecodeError
            assert "DecodeError" in type(error).__name__
            refused += 1
            continue
        finally:
            data[place] ^= 0x11
        after = [node.SerializeToString(deterministic=True) for node in graph.node]
        if region.kind is RegionKind.CONTAINER:
            continue
        if region.path[0] != "node":
            assert after == before, (place, region)
            continue
        assert len(after) == len(before), (place, region)
        changed = [names[index] for index, node in enumerate(after) if node != before[index]]
        assert changed in ([region.path[1]], []), (place, region)  # none: a bool that stays true
        seen += len(changed)
        if region.kind is RegionKind.TENSOR_DATA:
            assert region.tensor is not None
            assert artifact.tensors[region.tensor].name == region.path[1]
    assert seen > len(data) / 2
    assert refused


def test_text_and_binary_tell_the_same_facts() -> None:
    binary = parsed(fixture_path(FROZEN).read_bytes())
    text = parsed(fixture_path("graph_def/frozen.pbtxt").read_bytes(), "graph.pbtxt")
    assert text.format is FormatName.GRAPH_DEF
    assert {**text.facts, "is_text": False} == dict(binary.facts)
    nodes = {region.path[:2] for region in binary.members[0].map if region.path[:1] == ("node",)}
    assert {region.path[:2] for region in text.members[0].map if region.path[:1] == ("node",)} == nodes


def test_each_byte_of_text_belongs_to_its_node() -> None:
    data = (
        b'# a graph\nnode {\n  name: "a"\n  op: "Const"\n  attr { key: "T" value { type: DT_FLOAT } }\n}\n'
        b'node <\n name: "b" op: \'No\' "Op" >\nversions { producer: 3 }\n'
    )
    artifact = parsed(data)
    member = artifact.members[0]
    assert not artifact.diagnostics
    at = {
        text: member.map.at(data.index(text.encode())).path
        for text in ('"a"', "DT_FLOAT", "'No'", "producer")
    }
    assert at == {
        '"a"': ("node", "a"),
        "DT_FLOAT": ("node", "a", "attr T"),
        "'No'": ("node", "b"),
        "producer": ("versions",),
    }
    assert artifact.facts["node_count"] == 2
    assert artifact.facts["ops"] == {"Const": 1, "NoOp": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 64,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"PK\x03\x04" + bytes(100),
        b"\x1f\x8b\x08" + bytes(100),
        b"node server.js { listen: 80 }\n",
        b"name: \"caffe\"\nlayer { name: 'data' type: 'Input' }\n",
        b"item { id: 1 name: 'cat' }\n",
        b'{"node": {"name": "a"}}',
        b"\x08\x07\x12\x07pytorch\x1a\x031.9:\x10\n\x05\n\x01x\x12\x01y",  # an ONNX model: ir_version, producer_name, …  # noqa: E501
        b"\x0a\x05AlexN\xa2\x06\x10\x0a\x04data\x12\x04Data\x22\x04data",  # a Caffe net: name, layer
        b"\x0a\x03abc\x12\x03def",
        b"\x22\x02\x08\x1b",  # versions alone prove nothing
        b"The quick brown fox jumps over the lazy dog.\n" * 20,
    ],
)
def test_other_files_are_no_graphs(data: bytes) -> None:
    assert not detected(data)


@pytest.mark.corpus
@pytest.mark.parametrize(
    "form", ["tflite", "other-h5", "keras-h5", "weights-h5", "keras-zip", "checkpoint", "tfjs"]
)
def test_real_files_of_other_formats_are_no_graphs(form: str) -> None:
    for file in corpus_files(form):
        if file.name.endswith((".meta", ".pb")):
            continue
        with file.path.open("rb") as opened:
            assert not detected(opened.read(1 << 16), file.path.name), file.name


@pytest.mark.corpus
@pytest.mark.tensorflow
def test_every_graph_that_tensorflow_parses_is_clean() -> None:
    tf = pytest.importorskip("tensorflow")
    count = 0
    for file in corpus_files("graphdef", "checkpoint"):
        if not file.name.endswith((".pb", ".meta")) or "/assets.extra/" in file.name:
            continue
        data = file.path.read_bytes()
        message = tf.compat.v1.MetaGraphDef() if file.name.endswith(".meta") else tf.compat.v1.GraphDef()
        message.ParseFromString(data)
        if not detected(data):
            graph = message.graph_def if file.name.endswith(".meta") else message
            assert not graph.node, file.name
            continue
        artifact = parsed(data, file.path.name)
        assert not artifact.diagnostics, file.name
        assert artifact.members[0].map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0, file.name
        count += 1
    assert count > 5


def blob(number: int, data: bytes) -> bytes:
    size, out = len(data), bytearray([number << 3 | 2])
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size]) + data


def test_a_broken_node_hides_no_other() -> None:
    good = blob(1, blob(1, b"a") + blob(2, b"NoOp"))
    bad = blob(1, blob(1, b"b") + blob(2, b"NoOp") + b"\x2a\x7f")
    artifact = parsed(good + bad + good.replace(b"a", b"c"))
    member = artifact.members[0]
    assert member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 2
    assert [d.offset for d in artifact.diagnostics] == [len(good) + len(bad) - 2]
    assert member.map.at(len(good) + len(bad) + 3).path == ("node", "c")


def test_fields_in_any_order_and_unknown_ones_belong_to_their_node() -> None:
    node = (
        blob(2, b"NoOp")
        + blob(15, b"later")
        + blob(3, b"x")
        + blob(1, b"late")
        + blob(5, blob(1, b"T") + blob(2, b"\x30\x01"))
    )
    data = blob(1, blob(1, b"a") + blob(2, b"NoOp")) + blob(1, node)
    artifact = parsed(data)
    assert not artifact.diagnostics
    paths = [region.path for region in artifact.members[0].map]
    assert paths[-2:] == [("node", "late"), ("node", "late", "attr T")]


def test_deep_nesting_in_an_attribute_is_told() -> None:
    inner = b"\x30\x01"
    for _ in range(10_000):
        inner = blob(10, blob(2, blob(1, b"f") + blob(2, inner)))  # func { attr { value } }
    data = blob(1, blob(1, b"a") + blob(2, b"NoOp") + blob(5, blob(1, b"f") + blob(2, inner)))
    artifact = parsed(data)
    assert "deeper than 100" in artifact.diagnostics[0].problem
    assert artifact.members[0].map.kind_sizes()[RegionKind.UNATTRIBUTED] > 0


def test_shapes_that_no_memory_holds_are_named_and_not_allocated() -> None:
    dim = blob(2, b"\x08" + b"\xff" * 8 + b"\x7f")
    tensor = b"\x08\x01" + blob(2, dim * 3) + blob(5, b"\0\0\x80\x3f")
    data = blob(1, blob(1, b"a") + blob(2, b"Const") + blob(5, blob(1, b"value") + blob(2, blob(8, tensor))))
    artifact = parsed(data)
    assert artifact.tensors[0].payload is None
    assert "more elements" in artifact.tensors[0].payload_note
    assert not artifact.diagnostics


def test_a_shape_of_a_hundred_thousand_axes_costs_no_time() -> None:
    dim = blob(2, b"\x08" + b"\xff" * 8 + b"\x7f")
    tensor = b"\x08\x01" + blob(2, dim * 80_000) + blob(5, b"\0\0\x80\x3f")
    data = blob(1, blob(1, b"a") + blob(2, b"Const") + blob(5, blob(1, b"value") + blob(2, blob(8, tensor))))
    with bounded():
        artifact = parsed(data)
    assert artifact.tensors[0].payload is None


def test_mutated_texts_give_a_map_or_a_clear_error() -> None:
    data = fixture_path("graph_def/frozen.pbtxt").read_bytes()
    rng = random.Random(11)
    maps = 0
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            match rng.randrange(3):
                case 0:
                    changed[rng.randrange(len(changed))] = rng.choice(b'{}<>[]":,;-\\\n#x\xff\0')
                case 1:
                    del changed[rng.randrange(len(changed)) :]
                    changed += b"{"
                case _:
                    place = rng.randrange(len(changed))
                    changed[place:place] = rng.choice([b"{" * 300, b"<", b'"', b"[", b"node {", b"\\x"])
        try:
            artifact = parsed(bytes(changed), "graph.pbtxt")
        except ModelInspectError:
            continue
        maps += 1
        if artifact.members[0].map.kind_sizes()[RegionKind.UNATTRIBUTED]:
            assert artifact.diagnostics
    assert maps > 50


def test_a_large_constant_is_not_read(tmp_path: Path) -> None:
    tensor = (
        b"\x08\x01" + blob(2, blob(2, b"\x08" + bytes([0x80, 0x80, 0x80, 0x04]))) + blob(4, bytes(32 << 20))
    )
    node = blob(1, b"big") + blob(2, b"Const") + blob(5, blob(1, b"value") + blob(2, blob(8, tensor)))
    data = blob(1, node) + blob(1, blob(1, b"after") + blob(2, b"NoOp"))
    read = 0

    class Counting(MemoryFiles):
        def _open_source(self, name: str) -> Any:
            source = super()._open_source(name)
            inner = source.read_at

            def read_at(offset: int, size: int) -> bytes:
                nonlocal read
                read += size
                return inner(offset, size)

            source.__class__ = type(
                "Spy", (type(source),), {"read_at": staticmethod(read_at), "__slots__": ()}
            )
            return source

    artifact = parse(Counting({"graph.pb": data}))
    assert artifact.tensors[0].shape == (8 << 20,)
    assert artifact.tensors[0].stored_size == 32 << 20
    assert not artifact.diagnostics
    assert read < 8 << 20


def constants(files: FileSet) -> dict[str, tuple[object, ...]]:
    """Return what is known of constants by name, their zeros included."""
    artifact = parse(files)
    found = measure(artifact, files).tensors
    return {
        tensor.name: (tensor.dtype, tensor.shape, tensor.role, one.zero_count, one.negative_zero_count)
        for tensor, one in zip(artifact.tensors, found, strict=True)
    }


def test_constants_in_text_are_those_of_the_binary_form() -> None:
    binary, text = (
        MemoryFiles({name: fixture_path(name).read_bytes()}) for name in (FROZEN, "graph_def/frozen.pbtxt")
    )
    assert constants(text) == constants(binary)
    artifact = parse(text)
    data = fixture_path("graph_def/frozen.pbtxt").read_bytes()
    for region in artifact.members[0].map:
        if region.kind is RegionKind.TENSOR_DATA:
            written = data[region.span.offset : region.span.end]
            assert written[:1] in b"\"'-.0123456789ftn", written
            assert not written[-1:].isspace(), written


@pytest.mark.tensorflow
@pytest.mark.corpus
def test_constants_of_texts_in_the_corpus_have_the_zeros_that_tensorflow_reads() -> None:
    tf = pytest.importorskip("tensorflow")
    from google.protobuf import text_format

    compared = 0
    for file in corpus_files("graphdef", "savedmodel"):
        data = (corpus() / file.name).read_bytes()
        if not data.strip():
            continue
        graph = tf.compat.v1.GraphDef()
        try:
            text_format.Parse(data, graph)
        except (text_format.ParseError, ValueError):
            continue
        expected = {}
        for node in graph.node:
            if (
                node.attr["value"].HasField("tensor")
                and tf.as_dtype(node.attr["value"].tensor.dtype).is_numpy_compatible
            ):
                array = tf.make_ndarray(node.attr["value"].tensor)
                if array.dtype.kind in "fiub":
                    expected[node.name] = (array.shape, int((array == 0).sum()))
        found = constants(MemoryFiles({"graph.pbtxt": data}))
        assert {name: (found[name][1], found[name][3]) for name in expected} == expected, file.name
        compared += len(expected)
    assert compared > 10


def test_text_that_is_no_tensor_stays_graph() -> None:
    text = (
        b'node { name: "c" op: "Const" attr { key: "value" value { tensor { dtype: DT_NONSENSE float_val: 1.0'
        b" } } } }\n"
    )
    artifact = parsed(text * 2, "g.pbtxt")
    assert artifact.tensors == ()
    assert artifact.members[0].map.kind_sizes()[RegionKind.TENSOR_DATA] == 0


def test_values_of_a_text_constant_are_one_run_whichever_way_they_are_written() -> None:
    for written, run in (
        (b"float_val: 1 float_val: -0.0", b"1 float_val: -0.0"),
        (b"float_val: [1, -0.0]", b"[1, -0.0]"),
    ):
        text = (
            b'node { name: "c" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape'
            b" { dim { size: 2 } } %s } } } }"
        )
        files = MemoryFiles({"g.pbtxt": text % written})
        artifact = parse(files)
        extent = artifact.tensors[0].extents[0]
        assert (text % written)[extent.span.offset : extent.span.end] == run
        assert [(one.zero_count, one.negative_zero_count) for one in measure(artifact, files).tensors] == [
            (1, 1)
        ]


def test_a_text_constant_that_is_too_long_to_read_says_so() -> None:
    tensor = b"tensor { dtype: DT_FLOAT tensor_shape { dim { size: 9 } } float_val: 0 }"
    text = b'node { name: "c" op: "Const" attr { key: "value" value { %s } } }' % tensor
    files = MemoryFiles({"g.pbtxt": text})
    found = measure(parse(files), files, Limits(structure_size=20))
    assert "a constant's text needs" in found[0].reason


def test_many_values_a_line_each_are_one_run_and_take_no_longer_for_it() -> None:
    lines = b"\n".join(b"        float_val: %d" % (number % 2) for number in range(200_000))
    shape = b"tensor_shape { dim { size: 200000 } }"
    text = (
        b'node { name: "c" op: "Const" attr { key: "value" value { tensor { dtype: DT_FLOAT\n%s\n%s } } } }'
        % (lines, shape)
    )
    files = MemoryFiles({"g.pbtxt": text})
    with bounded(10 * CALLS):
        artifact = parse(files)
    assert len(artifact.tensors[0].extents) == 1
    assert measure(artifact, files)[0].zero_count == 100_000
