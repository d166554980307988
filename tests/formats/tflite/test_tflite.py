"""Parses TFLite models: facts, roles, layouts outside the flatbuffer, and files that are broken or
hostile.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.flat import build, model
from tests.support.hostile import hold, mutations
from tests.support.work import bounded

from modelinspect.core.artifact import Artifact
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact
from modelinspect.core.limits import Limits
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    DTYPES,
    Role,
    SparseAxis,
    SparsePayload,
    Storage,
    Stream,
    Tensor,
    dense_size,
)
from modelinspect.errors import FormatError, ModelInspectError
from modelinspect.formats.base import parse_with
from modelinspect.formats.registry import parse
from modelinspect.formats.tflite import FORMAT
from modelinspect.measure.blocks import Reading
from modelinspect.measure.run import measure
from modelinspect.measure.sparse import densify
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.opening import open_location

SMALL = [name for name in fixture_names(under="tflite", suffix=".tflite") if "grew" not in name]


def opened(name: str) -> Artifact:
    with open_location(fixture_path(name)) as files:
        return parse(files)


def parsed(data: bytes, **more: bytes) -> Artifact:
    return parse_with(
        FORMAT,
        MemoryFiles(
            {"m.tflite": data, **{name.replace("_", "."): part for name, part in more.items()}}, "m.tflite"
        ),
    )


def kinds(artifact: Artifact) -> dict[RegionKind, int]:
    return artifact.members[0].map.kind_sizes()


def roles(artifact: Artifact) -> dict[str, Role]:
    return {tensor.name: tensor.role for tensor in artifact.tensors}


def fact(artifact: Artifact, *keys: str) -> Fact:
    value: Any = artifact.facts
    for key in keys:
        value = value[key]
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "modes"),
    [
        ("float", ()),
        ("float16", (1001,)),
        ("dynamic", (1002,)),
        ("int8", (1003,)),
        ("int16", (1004,)),
        ("sparse", (3001,)),
        ("sparse_4x1", (3002,)),
        ("sparse_int8_16x1", (1003, 3002)),
        ("sparse_int8", (1003, 3001)),
    ],
)
def test_the_modes_of_the_conversion_are_told(name: str, modes: tuple[int, ...]) -> None:
    artifact = opened(f"tflite/{name}.tflite")
    assert fact(artifact, "conversion", "modes") == modes
    assert fact(artifact, "conversion", "model_type") == "KERAS_MODEL"
    assert str(fact(artifact, "min_runtime_version")).count(".") == 2


def test_the_operators_are_counted_and_the_subgraphs_listed() -> None:
    artifact = opened("tflite/control_flow.tflite")
    assert fact(artifact, "operators", "WHILE") == 1
    assert fact(artifact, "operators", "IF") == 1
    subgraphs = artifact.facts["subgraphs"]
    assert isinstance(subgraphs, tuple)
    assert len(subgraphs) == 5
    flex = opened("tflite/flex.tflite")
    assert fact(flex, "custom_operators") == {"FlexMatrixInverse": 1}
    paths = {"/".join(region.path) for region in flex.members[0].map}
    assert any(path.endswith("custom_options/NodeDef") for path in paths)


def test_signatures_name_their_inputs_and_outputs() -> None:
    artifact = opened("tflite/signatures.tflite")
    found = artifact.facts["signatures"]
    assert isinstance(found, dict)
    assert sorted(found) == ["decode", "encode"]
    assert list(fact(artifact, "signatures", "encode", "inputs")) == ["x"]  # type: ignore[arg-type]


def test_weights_are_constants_of_operators_that_have_weights() -> None:
    found = roles(opened("tflite/float.tflite"))
    assert found.pop("arith.constant") is Role.CONSTANT
    assert set(found.values()) == {Role.WEIGHT}


def test_weights_are_found_behind_dequantize_and_densify() -> None:
    for name in ("float16", "sparse", "sparse_float16"):
        artifact = opened(f"tflite/{name}.tflite")
        kernel = max(artifact.tensors, key=lambda tensor: tensor.logical_size)
        assert kernel.role is Role.WEIGHT, name


def test_weights_are_found_in_the_bodies_of_loops() -> None:
    found = roles(opened("tflite/recurrent.tflite"))
    assert found["while/MatMul"] is Role.WEIGHT
    assert found["recurrent/embedding/embedding_lookup"] is Role.WEIGHT
    assert found["strided_slice_2"] is Role.CONSTANT


def test_densify_operators_are_told_and_blocks_that_the_kernels_read_have_none() -> None:
    assert fact(opened("tflite/sparse.tflite"), "operators", "DENSIFY") == 1
    for name in ("sparse_4x1", "sparse_int8_16x1"):
        assert "densify" not in opened(f"tflite/{name}.tflite").facts


def test_packed_files_are_assets_and_the_metadata_is_read() -> None:
    artifact = opened("tflite/metadata.tflite")
    assert fact(artifact, "associated_files") == {"labels.txt": 18, "vocabulary.txt": 6}
    assert fact(artifact, "model_metadata", "author") == "the fixtures"
    assert kinds(artifact)[RegionKind.ASSET] == 24


def test_an_archive_of_no_files_is_framing() -> None:
    artifact = opened("tflite/metadata_empty.tflite")
    last = artifact.members[0].map[len(artifact.members[0].map) - 1]
    assert (last.span.size, last.kind) == (22, RegionKind.CONTAINER)
    assert artifact.facts["associated_files"] == {}


def test_buffers_outside_the_flatbuffer_are_claimed_with_their_pads() -> None:
    artifact = opened("tflite_handbuilt/offsets.tflite")
    spans = [tensor.extents[0].span for tensor in artifact.tensors]
    assert [span.size for span in spans] == [32, 36, 7]
    assert spans[1].offset == spans[0].end
    regions = [region for region in artifact.members[0].map if region.span.offset >= spans[2].end]
    assert [region.kind for region in regions] == [RegionKind.FREE, RegionKind.GRAPH]
    assert regions[1].path == ("large custom options of Mixer",)


def test_external_buffers_are_read_from_the_file_beside_the_model() -> None:
    with open_location(fixture_path("tflite_handbuilt/external/model.tflite")) as files:
        artifact = parse(files)
        assert [member.name for member in artifact.members] == ["model.tflite", "weights.bin"]
        assert [tensor.extents[0].member for tensor in artifact.tensors] == ["weights.bin"] * 2
        assert measure(artifact, files)[0].zero_count == 0


def test_an_external_file_that_is_missing_is_told() -> None:
    data = fixture_path("tflite_handbuilt/external/model.tflite").read_bytes()
    artifact = parsed(data)
    assert any("'weights.bin'" in diagnostic.problem for diagnostic in artifact.diagnostics)
    assert artifact.tensors == ()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "m.tflite", ""])
def test_an_external_file_is_never_looked_for_elsewhere(name: str) -> None:
    content = model([{"shape": [4], "name": "w", "external_buffer": 5}], [])
    content |= {
        "external_buffer_groups": [{"name": name}],
        "external_buffers": [{"id": 5, "group": 0, "offset": 0, "length": 16}],
    }
    artifact = parsed(build(content))
    assert [member.name for member in artifact.members] == ["m.tflite"]
    assert artifact.tensors == ()
    assert artifact.diagnostics


def test_narrow_types_have_their_sizes() -> None:
    artifact = opened("tflite_handbuilt/narrow.tflite")
    found = {
        tensor.name: (tensor.dtype.name, tensor.element_count, tensor.logical_size)
        for tensor in artifact.tensors
    }
    assert found["int4"] == ("int4", 5, 3)
    assert found["int2"] == ("int2", 9, 3)
    assert found["words"][2] == 28
    assert artifact.facts["variable_tensors"] == ("state",)
    assert fact(artifact, "buffers", "unused") == 1
    assert any(
        region.path[-1] == "unused" and region.kind is RegionKind.FREE for region in artifact.members[0].map
    )


def test_the_scales_of_blocks_are_quantization() -> None:
    artifact = opened("tflite_handbuilt/blockwise.tflite")
    assert roles(artifact) == {"weight": Role.WEIGHT, "scales": Role.QUANTIZATION}
    assert artifact.facts["quantized_tensors"] == {"block": 1}
    assert roles(opened("tflite_handbuilt/multi_axis.tflite"))["zero points"] is Role.QUANTIZATION


def test_quantization_along_an_axis_is_told() -> None:
    artifact = opened("tflite/int8.tflite")
    kernel = max(artifact.tensors, key=lambda tensor: tensor.logical_size)
    assert kernel.quantization is not None
    assert (len(kernel.quantization.scales), kernel.quantization.axis) == (16, 0)
    assert kinds(artifact)[RegionKind.QUANTIZATION] > 12 * 16


def test_byte_code_behind_the_flatbuffer_is_named() -> None:
    artifact = opened("tflite_handbuilt/byte_code.tflite")
    last = artifact.members[0].map[len(artifact.members[0].map) - 1]
    assert (last.span.size, last.kind, last.path[0]) == (
        200,
        RegionKind.COMPILED,
        "byte code/DISPATCH_OP/partition_0",
    )


def test_tables_of_values_belong_to_the_compressed_tensor() -> None:
    tensor = opened("tflite_handbuilt/lookup_tables.tflite").tensors[0]
    assert tensor.storage is Storage.COMPRESSED
    assert [extent.span.size for extent in tensor.extents] == [16, 4]


def test_debug_metadata_is_debug() -> None:
    assert kinds(opened("tflite_handbuilt/debug.tflite"))[RegionKind.DEBUG] > 30


def test_a_size_before_the_model_is_framing() -> None:
    artifact = opened("tflite_handbuilt/size_prefixed.tflite")
    assert artifact.members[0].map[0].path == ("size prefix",)
    assert artifact.diagnostics == ()


def test_buffers_that_tensors_share_are_claimed_once() -> None:
    tensors = [{"shape": [4], "name": name, "buffer": 1} for name in ("a", "b", "c")]
    artifact = parsed(build(model(tensors, [{"data": bytes(16)}])))
    assert [(tensor.name, tensor.aliases) for tensor in artifact.tensors] == [("a", ("b", "c"))]
    assert fact(artifact, "buffers", "shared") == 1


def test_tensors_of_one_name_are_told_apart() -> None:
    tensors = [{"shape": [4], "name": "same", "buffer": index} for index in (1, 2)]
    artifact = parsed(build(model(tensors, [{"data": bytes(16)}, {"data": bytes(16)}])))
    assert [tensor.name for tensor in artifact.tensors] == ["same", "same (tensor 1 of main)"]


def test_models_in_a_task_archive_are_found() -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("detector.tflite", fixture_path("tflite/float.tflite").read_bytes())
        archive.writestr("labels.txt", "a\nb\n")
    artifact = parse(MemoryFiles({"model.task": stream.getvalue()}))
    assert artifact.format == "tflite"
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0
    assert len(artifact.tensors) == 6


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_model_of_a_task_archive_is_mapped_and_measured(method: int) -> None:
    models = {
        "a/detector.tflite": "sparse_int8",
        "b/landmarks.tflite": "float",
        "c/gestures.tflite": "control_flow",
    }
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, fixture in models.items():
            archive.writestr(name, fixture_path(f"tflite/{fixture}.tflite").read_bytes())
        archive.writestr("labels.txt", "a\nb\n")
    files = MemoryFiles({"model.task": stream.getvalue()})
    artifact = parse(files)
    assert artifact.diagnostics == ()
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0
    alone = {
        name: parse(MemoryFiles({"m.tflite": fixture_path(f"tflite/{fixture}.tflite").read_bytes()}))
        for name, fixture in models.items()
    }
    main = str(artifact.facts["wrapped_name"])
    others = artifact.facts["other_models"]
    assert isinstance(others, dict)
    assert sorted([main, *others]) == sorted(models)
    assert others == {name: one.facts for name, one in alone.items() if name != main}
    counts = Counter[str]()
    for one in alone.values():
        counts.update(one.facts["operators"])
    assert artifact.facts["operators"] == dict(sorted(counts.items()))
    uses = {
        ("" if name == main else f"{name}:") + path: by
        for name, one in alone.items()
        for path, by in one.facts["tensor_uses"].items()
    }
    assert artifact.facts["tensor_uses"] == uses
    (expanded,) = artifact.facts["densify"]
    assert expanded["input"] in {tensor.path for tensor in artifact.tensors}  # type: ignore[index, call-overload]
    measures = {
        tensor.name: found
        for tensor, found in zip(artifact.tensors, measure(artifact, files).tensors, strict=True)
    }
    expected: dict[str, object] = {}
    for name, one in alone.items():
        prefix = "" if name == main else f"{name}:"
        own = MemoryFiles({"m.tflite": fixture_path(f"tflite/{models[name]}.tflite").read_bytes()})
        found = measure(one, own).tensors
        expected |= {
            f"{prefix}{tensor.name}": count for tensor, count in zip(one.tensors, found, strict=True)
        }
    assert measures == expected


def test_a_broken_model_of_a_task_archive_leaves_the_others() -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("large.tflite", fixture_path("tflite/float.tflite").read_bytes())
        archive.writestr("small.tflite", b"\x1c\0\0\0TFL3" + bytes(8))
    artifact = parse(MemoryFiles({"model.task": stream.getvalue()}))
    assert len(artifact.tensors) == 6
    assert artifact.diagnostics


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", bytes(64), b"\x1c\0\0\0TFL4" + bytes(64), b"TFL3" + bytes(100)]
)
def test_a_wrong_identifier_is_no_tflite_model(data: bytes) -> None:
    with pytest.raises(ModelInspectError):
        parse(MemoryFiles({"m.tflite": data}))


def test_trailing_bytes_are_told() -> None:
    data = fixture_path("tflite/float.tflite").read_bytes() + b"Estimated count of operations: 12\n"
    artifact = parsed(data)
    assert artifact.facts["trailing_bytes"] == 34
    assert artifact.members[0].map[len(artifact.members[0].map) - 1].path == ("trailing bytes",)


@pytest.mark.parametrize(
    ("offset", "size"), [(2**63, 16), (2**64 - 8, 16), (100, 2**63), (10**9, 16), (8, 16)]
)
def test_a_buffer_that_claims_bytes_beyond_the_file_is_told(offset: int, size: int) -> None:
    artifact = parsed(
        build(model([{"shape": [4], "name": "w", "buffer": 1}], [{"offset": offset, "size": size}]))
    )
    assert artifact.diagnostics


@pytest.mark.parametrize("shape", [[2**31 - 1] * 4, [-1, 4], [0], [2**31 - 1]])
def test_shapes_that_no_buffer_fills_are_survived(shape: list[int]) -> None:
    data = build(model([{"shape": shape, "name": "w", "buffer": 1}], [{"data": bytes(16)}]))
    files = MemoryFiles({"m.tflite": data})
    artifact = parse_with(FORMAT, files)
    with bounded():
        measure(artifact, files)
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0


def test_thousands_of_operators_that_share_long_inputs_are_cheap() -> None:
    """One vector of a hundred thousand inputs for two thousand operators: reading it for each would take
    minutes.
    """
    import flatbuffers

    from modelinspect.formats.tflite.schema import schema

    b = flatbuffers.Builder(1 << 20)
    inputs = b.CreateNumpyVector(np.zeros(100_000, dtype=np.int32))

    def table(name: str, **fields: int) -> int:
        type = schema("model").tables[name]
        b.StartObject(len(type.fields))
        for field, place in fields.items():
            b.PrependUOffsetTRelativeSlot(type.by_name[field].slot, place, 0)
        return int(b.EndObject())

    def offsets(places: list[int]) -> int:
        b.StartVector(4, len(places), 4)
        for place in reversed(places):
            b.PrependUOffsetTRelative(place)
        return int(b.EndVector())

    operators = offsets([table("Operator", inputs=inputs) for _ in range(2000)])
    b.Finish(table("Model", subgraphs=offsets([table("SubGraph", operators=operators)])), b"TFL3")
    with bounded():
        artifact = parsed(bytes(b.Output()))
    assert any("share so much" in diagnostic.problem for diagnostic in artifact.diagnostics)


@pytest.mark.parametrize("alignment", [16, 32, 64])
def test_padding_before_an_aligned_vector_is_free_however_long(alignment: int) -> None:
    """Compilers for Edge TPU align buffers by up to 64 bytes: all zeros before the vector are padding."""
    import flatbuffers

    from modelinspect.formats.tflite.schema import schema

    b = flatbuffers.Builder(1024)

    def table(name: str, **fields: int) -> int:
        type = schema("model").tables[name]
        b.StartObject(len(type.fields))
        for field, place in fields.items():
            b.PrependUOffsetTRelativeSlot(type.by_name[field].slot, place, 0)
        return int(b.EndObject())

    def vector(data: bytes) -> int:
        b.StartVector(1, len(data), alignment)
        for byte in reversed(data):
            b.PrependByte(byte)
        return int(b.EndVector())

    def offsets(places: list[int]) -> int:
        b.StartVector(4, len(places), 4)
        for place in reversed(places):
            b.PrependUOffsetTRelative(place)
        return int(b.EndVector())

    buffers = [table("Buffer"), *(table("Buffer", data=vector(bytes(range(1, 6)))) for _ in range(3))]
    b.Finish(table("Model", buffers=offsets(buffers)), b"TFL3")
    artifact = parsed(bytes(b.Output()))
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0
    assert artifact.diagnostics == ()
    longest = max(region.span.size for region in artifact.members[0].map if region.path[-1:] == ("padding",))
    assert longest > alignment // 4


def test_subgraphs_that_are_one_table_are_read_once() -> None:
    content = build(model([{"shape": [4], "name": "w"}], []))
    artifact = parsed(content)
    assert artifact.diagnostics == ()


@pytest.mark.parametrize("name", SMALL)
def test_mutated_a_model_gives_a_map_or_a_clear_error(name: str) -> None:
    data = fixture_path(name).read_bytes()

    def inputs() -> Any:
        for number, changed in enumerate(mutations(data, 60, len(data))):
            yield f"{name} {number}", MemoryFiles({"m.tflite": changed})

    def look(files: MemoryFiles) -> Artifact:
        artifact = parse(files)
        measure(artifact, files)
        return artifact

    hold(inputs(), look)  # type: ignore[arg-type]


def payload(
    values: bytes, axes: list[SparseAxis], order: tuple[int, ...] = (0, 1), blocks: tuple[int, ...] = ()
) -> SparsePayload:
    return SparsePayload(Stream("x"), Span(0, len(values)), tuple(axes), order, blocks)


def decode(data: bytes, payload: SparsePayload, shape: tuple[int, ...]) -> list[int]:
    dtype = DTYPES["int8"]
    tensor = Tensor("t", dtype, shape, Role.WEIGHT, Storage.SPARSE, (), dense_size(dtype, shape))
    return np.frombuffer(
        densify(payload, tensor, Reading(MemoryFiles({"x": data}), Limits(), bytearray())), dtype=np.int8
    ).tolist()


def test_rows_compressed_by_columns_decode_in_the_order_of_their_traversal() -> None:
    """[[0, 1], [2, 3]] with columns first: column 0 keeps 2 at row 1, column 1 keeps 1 and 3."""
    data = bytes([2, 1, 3]) + bytes([0, 1, 3]) + bytes([1, 0, 1])
    axes = [SparseAxis(2), SparseAxis(0, Span(3, 3), 1, Span(6, 3), 1)]
    assert decode(data, payload(data[:3], axes, (1, 0)), (2, 2)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "index", [b"\0\1\4\1\0\1", b"\1\1\3\1\0\1", b"\0\1\3\1\0\2", b"\0\2\1\1\0\1", b"\0\0\2\1\0\1"]
)
def test_an_index_that_does_not_fit_is_an_error(index: bytes) -> None:
    data = bytes([2, 1, 3]) + index
    axes = [SparseAxis(2), SparseAxis(0, Span(3, 3), 1, Span(6, 3), 1)]
    with pytest.raises(FormatError):
        decode(data, payload(data[:3], axes), (2, 2))


@pytest.mark.parametrize(
    ("order", "blocks"), [((0, 0), ()), ((0,), ()), ((0, 5), ()), ((0, 1), (0,)), ((0, 1, 2), (7,))]
)
def test_an_order_that_does_not_fit_is_an_error(order: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    axes = [SparseAxis(2) for _ in order]
    with pytest.raises(FormatError):
        decode(bytes(4), payload(bytes(4), axes, order, blocks), (2, 2))


def test_dense_axes_of_a_billion_places_are_refused() -> None:
    axes = [SparseAxis(1 << 15), SparseAxis(1 << 15)]
    with pytest.raises(ModelInspectError):
        decode(bytes(4), payload(bytes(4), axes), (1 << 15, 1 << 15))


def test_parsing_strictly_refuses_a_broken_model() -> None:
    data = bytearray(fixture_path("tflite/float.tflite").read_bytes())
    place = next(
        region.span.offset
        for region in parsed(bytes(data)).members[0].map
        if region.path == ("buffers", "length")
    )
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(FormatError):
        parse_with(FORMAT, MemoryFiles({"m.tflite": bytes(data)}), strict=True)


def test_a_model_can_be_opened_by_path(tmp_path: Path) -> None:
    (tmp_path / "renamed.bin").write_bytes(fixture_path("tflite/float.tflite").read_bytes())
    with open_location(tmp_path / "renamed.bin") as files:
        assert parse(files).format == "tflite"
