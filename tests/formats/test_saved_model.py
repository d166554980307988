"""SavedModels, against TensorFlow's reading of them."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.corpus import corpus_files
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.hostile import load

from modelinspect.core.artifact import Artifact, FormatName, Member, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.limits import Limits
from modelinspect.core.tensors import ElementKind, Role
from modelinspect.formats.registry import parse
from modelinspect.measure.blocks import Reading
from modelinspect.measure.readers import blocks
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location

NAMES = [
    name
    for name in fixture_names()
    if name.startswith(("saved_model", "graph_def/old")) and not name.endswith("/text")
]

each_model = pytest.mark.parametrize("name", NAMES)


def opened(path: Path) -> Artifact:
    with open_location(path) as files:
        return parse(files)


def theirs(data: bytes) -> Any:
    pytest.importorskip("tensorflow")
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString(data)
    return model


def model_bytes(name: str) -> bytes:
    return (fixture_path(name) / "saved_model.pb").read_bytes()


def payload_sizes(
    member: Member, depth: Mapping[tuple[str, ...], int] | None = None
) -> dict[tuple[str, ...], int]:
    """Return the bytes below every path, all prefixes of all paths."""
    sizes: dict[tuple[str, ...], int] = {}
    for region in member.map:
        for length in range(1, len(region.path) + 1):
            path = region.path[:length]
            sizes[path] = sizes.get(path, 0) + region.span.size
    return sizes


def varint_size(value: int) -> int:
    return max((value.bit_length() + 6) // 7, 1)


def framed(message: Any) -> int:
    """The bytes of a message with its tag (below 16) and length."""
    size = message.ByteSize()
    return int(1 + varint_size(size) + size)


@pytest.mark.tensorflow
@each_model
def test_messages_take_what_tensorflow_counts(name: str) -> None:
    data = model_bytes(name)
    model = theirs(data)
    sizes = payload_sizes(opened(fixture_path(name)).member("saved_model.pb"))
    assert sum(size for path, size in sizes.items() if len(path) == 1) == len(data)
    for number, meta in enumerate(model.meta_graphs):
        root = (f"meta_graphs[{number}]",)
        assert sizes[root] == framed(meta)
        assert sizes[*root, "graph_def"] == framed(meta.graph_def)
        assert sizes[*root, "meta_info_def"] == framed(meta.meta_info_def)
        if meta.HasField("object_graph_def"):
            assert sizes[*root, "object_graph_def"] == framed(meta.object_graph_def)
            for index, node in enumerate(meta.object_graph_def.nodes):
                assert sizes[*root, "object_graph_def", f"nodes[{index}]"] == framed(node)
        for key in meta.signature_def:
            entry = type(meta).SignatureDefEntry(key=key, value=meta.signature_def[key])
            assert sizes[*root, "signature_def", key] == framed(entry)
        for node in meta.graph_def.node:
            assert sizes[*root, "graph_def", "node", node.name] == framed(node)
        for function in meta.graph_def.library.function:
            path = (*root, "graph_def", "library", "function", function.signature.name)
            assert sizes[path] == framed(function)
            for node in function.node_def:
                assert sizes[*path, "node_def", node.name] == framed(node)
                for key in node.attr:
                    entry = type(node).AttrEntry(key=key, value=node.attr[key])
                    assert sizes[*path, "node_def", node.name, f"attr {key}"] == framed(entry)


@pytest.mark.tensorflow
@each_model
def test_counts_and_signatures_are_tensorflows(name: str) -> None:
    model = theirs(model_bytes(name))
    facts = opened(fixture_path(name)).facts
    metas = list(model.meta_graphs)
    assert facts["tensorflow_version"] == metas[0].meta_info_def.tensorflow_version
    assert facts["node_count"] == sum(len(meta.graph_def.node) for meta in metas)
    assert facts["function_count"] == sum(len(meta.graph_def.library.function) for meta in metas)
    assert facts["function_node_count"] == sum(
        len(f.node_def) for meta in metas for f in meta.graph_def.library.function
    )
    functions = facts["functions"]
    assert isinstance(functions, tuple)
    assert [(f["name"], f["nodes"], f["size"]) for f in functions] == [  # type: ignore[call-overload,index]
        (f.signature.name, len(f.node_def), framed(f))
        for meta in metas
        for f in meta.graph_def.library.function
    ]
    graphs = facts["meta_graphs"]
    assert isinstance(graphs, tuple)
    for meta, graph in zip(metas, graphs, strict=True):
        assert isinstance(graph, Mapping)
        assert graph["tags"] == tuple(meta.meta_info_def.tags)
        signatures = graph["signatures"]
        assert isinstance(signatures, Mapping)
        assert sorted(signatures) == sorted(meta.signature_def)
        for key, signature in meta.signature_def.items():
            mine = signatures[key]
            assert isinstance(mine, Mapping)
            for side in ("inputs", "outputs"):
                for word, info in getattr(signature, side).items():
                    shape = (
                        None
                        if info.tensor_shape.unknown_rank
                        else tuple(d.size if d.size >= 0 else None for d in info.tensor_shape.dim)
                    )
                    found = mine[side][word]  # type: ignore[index,call-overload]
                    assert (found["name"], found["shape"]) == (info.name, shape)  # type: ignore[index,call-overload]


@pytest.mark.tensorflow
def test_signatures_are_those_that_saved_model_cli_shows() -> None:
    path = fixture_path("saved_model/affine")
    code = (
        "from tensorflow.python.tools import saved_model_cli as c; c.main() if False else"
        f" c._show_all({str(path)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    signatures = opened(path).facts["signatures"]
    assert isinstance(signatures, Mapping)
    shown = {line.split("'")[1] for line in done.stdout.splitlines() if line.startswith("signature_def['")}
    assert set(signatures) == shown


def constants(model: Any) -> Iterator[tuple[str, Any]]:
    for meta in model.meta_graphs:
        for scope, nodes in (
            ("", meta.graph_def.node),
            *((f"{f.signature.name}/", f.node_def) for f in meta.graph_def.library.function),
        ):
            for node in nodes:
                for key, value in node.attr.items():
                    if value.WhichOneof("value") == "tensor":
                        yield scope + node.name + ("" if key == "value" else f":{key}"), value.tensor


@pytest.mark.tensorflow
@each_model
def test_constants_equal_make_ndarray(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    expected = sorted(constants(theirs(model_bytes(name))), key=lambda item: item[0])
    artifact = opened(fixture_path(name))
    found = sorted((t for t in artifact.tensors if t.role is Role.CONSTANT), key=lambda tensor: tensor.path)
    assert [tensor.path for tensor in found] == [key for key, _ in expected]
    with open_location(fixture_path(name)) as files:
        for tensor, (_, proto) in zip(found, expected, strict=True):
            array = tf.make_ndarray(proto)
            assert tensor.shape == array.shape
            if (
                tensor.dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE)
                or len([t for t in found if t.path == tensor.path]) > 1
            ):
                continue
            size = tensor.dtype.bits // 8
            values = np.zeros(array.size * size, np.uint8)
            for block in blocks(tensor, Reading(files, Limits(), bytearray())):
                data = np.tile(np.asarray(block.data)[: block.count * size], block.repeat)
                values[block.first * size : block.first * size + len(data)] = data
            assert values.tobytes() == array.tobytes(), tensor.path


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["saved_model/affine", "saved_model/keras_no_traces"])
def test_a_flipped_byte_changes_what_it_is_mapped_to(name: str) -> None:
    """A seeded sample of bytes: TensorFlow refuses the file, or only the node, signature or object that the
    path names differs.
    """
    data = bytearray(model_bytes(name))
    before = pieces(theirs(bytes(data)))
    names = [
        function.signature.name for function in theirs(bytes(data)).meta_graphs[0].graph_def.library.function
    ]
    member = opened(fixture_path(name)).member("saved_model.pb")
    changes = 0
    for place in sorted(random.Random(7).sample(range(len(data)), 400)):
        region = member.map.at(place)
        data[place] ^= 0x21
        try:
            after = pieces(theirs(bytes(data)), names)
        except Exception as error:
            assert "DecodeError" in type(error).__name__
            continue
        finally:
            data[place] ^= 0x21
        if region.kind is RegionKind.CONTAINER:
            continue
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        # A changed key of a map is another entry: what stood there is gone, what is there is new.
        gone = {key for key in changed if key in before}
        assert all(region.path[: len(key)] == key for key in gone), (place, region, gone)
        changes += bool(gone)
    assert changes > 150


def pieces(model: Any, names: list[str] | None = None) -> dict[tuple[str, ...], bytes]:
    """Return the serialized parts of a model by the paths that we give them; ``names`` are those of its
    functions.
    """
    found: dict[tuple[str, ...], bytes] = {}
    for number, meta in enumerate(model.meta_graphs):
        root = f"meta_graphs[{number}]"
        for index, node in enumerate(meta.object_graph_def.nodes):
            found[root, "object_graph_def", f"nodes[{index}]"] = node.SerializeToString(deterministic=True)
        for key, signature in meta.signature_def.items():
            found[root, "signature_def", key] = signature.SerializeToString(deterministic=True)
        graph = (root, "graph_def")
        for node in meta.graph_def.node:
            found[*graph, "node", node.name] = node.SerializeToString(deterministic=True)
        functions = meta.graph_def.library.function
        for index, function in enumerate(functions):
            name = names[index] if names is not None and index < len(names) else function.signature.name
            for node in function.node_def:
                path = (*graph, "library", "function", name, "node_def", node.name)
                found[path] = node.SerializeToString(deterministic=True)
    return found


def canonical(function: Any, bodies: Mapping[str, str]) -> tuple[Any, ...]:
    """Return a function without its names: nodes and arguments by their number, callees by their body."""
    numbers = {node.name: f"node {index}" for index, node in enumerate(function.node_def)}
    numbers |= {arg.name: f"argument {index}" for index, arg in enumerate(function.signature.input_arg)}

    def reference(text: str) -> str:
        name, colon, rest = text.removeprefix("^").partition(":")
        return ("^" if text[0] == "^" else "") + numbers[name] + colon + rest

    def attribute(value: Any) -> bytes:
        if value.HasField("func"):
            return bodies[value.func.name].encode()
        return bytes(value.SerializeToString(deterministic=True))

    nodes = [
        (
            node.op,
            tuple(map(reference, node.input)),
            tuple(sorted((key, attribute(value)) for key, value in node.attr.items())),
        )
        for node in function.node_def
    ]
    return (*nodes, tuple(sorted(map(reference, function.ret.values()))))


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["saved_model/wrapped", "saved_model/keras", "saved_model/affine"])
def test_functions_that_differ_in_names_alone_have_one_body(name: str) -> None:
    facts = opened(fixture_path(name)).facts["functions"]
    assert isinstance(facts, tuple)
    bodies = {f["name"]: f["body"] for f in facts}  # type: ignore[call-overload,index]
    functions = theirs(model_bytes(name)).meta_graphs[0].graph_def.library.function
    forms: dict[Any, set[str]] = {}
    for function in functions:
        forms.setdefault(canonical(function, bodies), set()).add(bodies[function.signature.name])
    assert all(len(found) == 1 for found in forms.values())
    assert len(forms) == len(set(bodies.values()))
    assert len(forms) < len(bodies) or name != "saved_model/wrapped"


@pytest.mark.tensorflow
def test_a_body_tells_weights_apart_but_not_names(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    class Twice(tf.Module):  # type: ignore[misc,name-defined]
        @tf.function  # type: ignore[misc]
        def one(self, x: Any) -> Any:
            return self.scaled(x, 2.0, "left") + 1.0

        @tf.function  # type: ignore[misc]
        def two(self, y: Any) -> Any:
            return self.scaled(y, 2.0, "right") + 1.0

        @tf.function  # type: ignore[misc]
        def three(self, z: Any) -> Any:
            return self.scaled(z, 3.0, "left") + 1.0

        def scaled(self, x: Any, by: float, name: str) -> Any:
            with tf.name_scope(name):
                return tf.multiply(x, by, name=name)

    module = Twice()
    spec = tf.TensorSpec([2], tf.float32)
    names = {}
    for word in ("one", "two", "three"):
        names[word] = getattr(module, word).get_concrete_function(spec)
    tf.saved_model.save(module, str(tmp_path / "m"))
    functions = opened(tmp_path / "m").facts["functions"]
    assert isinstance(functions, tuple)
    bodies = {f["name"].rstrip("0123456789"): f["body"] for f in functions}  # type: ignore[call-overload,index,union-attr]
    assert bodies["__inference_one_"] == bodies["__inference_two_"]
    assert bodies["__inference_one_"] != bodies["__inference_three_"]


def test_functions_name_the_layers_that_they_trace() -> None:
    functions = opened(fixture_path("saved_model/keras")).facts["functions"]
    assert isinstance(functions, tuple)
    layers = {f["name"].rstrip("0123456789"): f["layer"] for f in functions}  # type: ignore[call-overload,index,union-attr]
    assert layers["__inference_hidden_layer_call_fn_"] == "hidden"
    assert layers["__inference_norm_layer_call_and_return_conditional_losses_"] == "norm"


def test_variables_have_the_roles_of_the_object_graph() -> None:
    artifact = opened(fixture_path("saved_model/keras"))
    roles = {role: sum(1 for tensor in artifact.tensors if tensor.role is role) for role in Role}
    assert roles[Role.WEIGHT] >= 4
    assert roles[Role.OPTIMIZER] >= 8
    assert roles[Role.STATISTIC] >= 2


@each_model
def test_strings_in_the_graph_are_no_weights(name: str) -> None:
    artifact = opened(fixture_path(name))
    member = artifact.member("saved_model.pb")
    for region in member.map:
        if region.tensor is not None and artifact.tensors[region.tensor].dtype.kind is ElementKind.STRING:
            assert region.kind is (
                RegionKind.METADATA if region.path[-1] == "TrackableObjectGraph" else RegionKind.GRAPH
            )


@each_model
def test_every_file_of_the_directory_is_a_member(name: str) -> None:
    artifact = opened(fixture_path(name))
    folder = fixture_path(name)
    assert {m.name: m.size for m in artifact.members} == {
        p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*") if p.is_file()
    }


def test_stray_files_are_assets() -> None:
    files = dict(load(fixture_path("saved_model/vocabulary"))._files)
    files |= {
        "README.txt": b"hello",
        "assets.extra/config.pb": b"\x01",
        "nested/deep/file": b"",
        "variables/old.tmp": b"xx",
    }
    artifact = parse(MemoryFiles(files))
    assert artifact.size == sum(map(len, files.values()))
    assert artifact.member("README.txt").map[0].kind is RegionKind.ASSET
    assert artifact.member("variables/old.tmp").map[0].kind is RegionKind.ASSET
    assert not artifact.diagnostics


def test_missing_variables_are_told() -> None:
    files = {
        name: data
        for name, data in load(fixture_path("saved_model/keras"))._files.items()
        if not name.startswith("variables/")
    }
    artifact = parse(MemoryFiles(files))
    assert artifact.format is FormatName.SAVED_MODEL
    assert "no variables/variables.index" in artifact.diagnostics[0].problem
    assert all(m.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0 for m in artifact.members)


def test_shards_without_an_index_are_unattributed_and_told() -> None:
    files = dict(load(fixture_path("saved_model/keras"))._files)
    del files["variables/variables.index"]
    artifact = parse(MemoryFiles(files))
    shard = artifact.member("variables/variables.data-00000-of-00001")
    assert shard.map.kind_sizes()[RegionKind.UNATTRIBUTED] == shard.size
    assert any(d.severity is Severity.ERROR and d.member == shard.name for d in artifact.diagnostics)


def test_the_file_alone_is_a_saved_model_too(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(model_bytes("saved_model/keras"))
    artifact = opened(tmp_path / "saved_model.pb")
    assert artifact.format is FormatName.SAVED_MODEL
    assert [m.name for m in artifact.members] == ["saved_model.pb"]
    assert not artifact.diagnostics


def test_the_file_beside_its_variables_stands_for_its_folder() -> None:
    folder = fixture_path("saved_model/keras")
    assert opened(folder / "saved_model.pb").size == opened(folder).size


def test_a_saved_model_of_another_name_is_known_by_its_structure() -> None:
    artifact = parse(MemoryFiles({"export.pb": model_bytes("saved_model/keras_no_traces")}))
    assert artifact.format is FormatName.SAVED_MODEL


def test_text_and_binary_tell_the_same_facts() -> None:
    binary = opened(fixture_path("saved_model/vocabulary"))
    text = opened(fixture_path("saved_model/text"))
    assert not text.diagnostics
    assert text.facts["signatures"] == binary.facts["signatures"]
    assert text.facts["ops"] == binary.facts["ops"]
    mine, other = text.facts["functions"], binary.facts["functions"]
    assert isinstance(mine, tuple)
    assert isinstance(other, tuple)
    assert [(f["name"], f["body"], f["layer"]) for f in mine] == [  # type: ignore[call-overload,index]
        (f["name"], f["body"], f["layer"])
        for f in other  # type: ignore[call-overload,index]
    ]

    def owners(member: Member) -> set[tuple[str, ...]]:
        paths = (region.path for region in member.map if "function" in region.path or "node" in region.path)
        return {path[: 5 if path[2:3] == ("node",) else 6] for path in paths}

    # Text writes maps in the order of their keys, and no fields that are empty; the owners are the same.
    assert owners(text.member("saved_model.pbtxt")) == owners(binary.member("saved_model.pb"))


@pytest.mark.corpus
@pytest.mark.tensorflow
def test_every_model_that_tensorflow_parses_is_clean() -> None:
    count = 0
    for file in corpus_files("savedmodel"):
        if file.path.name != "saved_model.pb":
            continue
        try:
            theirs(file.path.read_bytes())
        except Exception as error:
            assert "DecodeError" in type(error).__name__
            continue
        artifact = opened(file.path.parent)
        for member in artifact.members:
            assert member.map.kind_sizes()[RegionKind.UNATTRIBUTED] == 0, (file.name, member.name)
        assert all("variables.index" in d.problem for d in artifact.diagnostics), file.name
        count += 1
    assert count > 50
