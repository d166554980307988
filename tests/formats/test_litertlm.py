"""Compare LiteRT-LM files with what their builder wrote and unpacks, and break them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from litert_lm_builder import litertlm_builder as lm
from litert_lm_builder import litertlm_header_schema_py_generated as generated
from litert_lm_builder.runtime.proto import embedding_metadata_pb2, executor_metadata_pb2
from tests.support.corpus import PROJECT
from tests.support.counting import CountingFiles
from tests.support.fixtures import fixture_path
from tests.support.flat import build
from tests.support.hostile import MemoryFiles, hold, with_bytes

import modelinspect as mi
from modelinspect.core.artifact import Artifact, DocumentKind, FormatName, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role
from modelinspect.errors import Code
from modelinspect.formats.litertlm import schema
from modelinspect.formats.litertlm.header import BLOCK
from modelinspect.formats.registry import parse
from modelinspect.sources.opening import open_location

NAMES = ["model", "twice", "deprecated"]
TFLITE = fixture_path("tflite/dense.tflite").read_bytes()


def path_of(name: str) -> Path:
    return fixture_path(f"litertlm/{name}.litertlm")


def opened(name: str) -> Artifact:
    with open_location(path_of(name)) as files:
        return parse(files)


def parsed(data: bytes) -> Artifact:
    return parse(MemoryFiles({"m.litertlm": data}, "m.litertlm"))


def kinds(artifact: Artifact) -> dict[RegionKind, int]:
    return artifact.members[0].map.kind_sizes()


Given = tuple[int, bytes]


def packed(
    sections: Sequence[Given], *, models: Sequence[str] = (), version: tuple[int, int, int] = (1, 7, 0)
) -> bytes:
    """Write a file as the builder does; ``models`` are the model types of the first sections."""
    items = [
        [generated.KeyValuePairT("model_type", generated.VData.StringValue, generated.StringValueT(model))]
        for model in models
    ]
    items += [[] for _ in range(len(sections) - len(items))]
    places: list[tuple[int, int]] = []
    offset = BLOCK
    for _, data in sections:
        places.append((offset, offset + len(data)))
        offset = -(-(offset + len(data)) // BLOCK) * BLOCK
    objects = [
        generated.SectionObjectT(items=held, beginOffset=begin, endOffset=end, dataType=kind)
        for held, (begin, end), (kind, _) in zip(items, places, sections, strict=True)
    ]
    return with_header(
        objects, version, {begin: data for (begin, _), (_, data) in zip(places, sections, strict=True)}
    )


def with_header(objects: list[object], version: tuple[int, int, int], contents: dict[int, bytes]) -> bytes:
    builder = flatbuffers.Builder(1024)
    root = generated.LiteRTLMMetaDataT(generated.SystemMetadataT([]), generated.SectionMetadataT(objects))
    builder.Finish(root.Pack(builder))
    return assembled(bytes(builder.Output()), version, contents)


def assembled(header: bytes, version: tuple[int, int, int], contents: dict[int, bytes]) -> bytes:
    data = bytearray(b"LITERTLM" + struct.pack("<IIIIQ", *version, 0, 32 + len(header)) + header)
    for begin, content in sorted(contents.items()):
        data += bytes(max(begin - len(data), 0))
        data[begin : begin + len(content)] = content
    return bytes(data)


def section(kind: int, begin: int, end: int) -> object:
    return generated.SectionObjectT(items=[], beginOffset=begin, endOffset=end, dataType=kind)


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_is_named(name: str) -> None:
    artifact = opened(name)
    assert artifact.format is FormatName.LITERTLM
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0
    assert not artifact.diagnostics


@pytest.mark.parametrize("name", ["model", "twice"])
def test_sections_are_the_parts_that_the_builder_unpacks(name: str, tmp_path: Path) -> None:
    lm.unpack(str(path_of(name)), str(tmp_path))
    data = path_of(name).read_bytes()
    parts = {
        path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.suffix not in (".toml", ".pbtext", ".textproto", ".pbtxt", ".json")
    }
    sections = opened(name).facts["sections"]
    stored = [data[told["offset"] : told["offset"] + told["size"]] for told in sections]  # type: ignore[index]
    binary = ("TFLiteModel", "TFLiteWeights", "SP_Tokenizer")
    assert {one for one, told in zip(stored, sections, strict=True) if told["type"] in binary} <= parts  # type: ignore[index]
    header = generated.LiteRTLMMetaData.GetRootAs(data, 32).SectionMetadata()
    expected = [
        (header.Objects(i).BeginOffset(), header.Objects(i).EndOffset())
        for i in range(header.ObjectsLength())
    ]
    assert [(told["offset"], told["offset"] + told["size"]) for told in sections] == expected  # type: ignore[index]


def test_metadata_has_the_values_that_were_given_to_the_builder() -> None:
    facts = opened("model").facts
    assert facts["litertlm_version"] == "1.7.0"
    told = dict(facts["system_metadata"])
    assert told.pop("uuid")
    assert told.pop("creation_timestamp")
    assert told == {"Authors": "a recipe", "answer": 42, "ratio": 0.5}
    by_type = {told["type"]: told for told in facts["sections"]}  # type: ignore[index]
    llm = by_type["LlmMetadataProto"]
    assert (llm["max_num_tokens"], llm["stop_tokens"], llm["llm_model_type"]) == (256, 1, "gemma3")
    assert llm["min_runtime_version"] == "0.9.0"
    assert by_type["SP_Tokenizer"]["entries"] == 43
    assert by_type["HF_Tokenizer_Zlib"]["entries"] == 60
    first = facts["sections"][0]
    assert first["items"] == {"backend_constraint": "cpu,gpu"}  # type: ignore[index,call-overload]


def test_the_chat_template_is_a_document_with_its_own_bytes() -> None:
    artifact = opened("model")
    (document,) = [one for one in artifact.documents if one.kind is DocumentKind.CHAT_TEMPLATE]
    with open_location(path_of("model")) as files:
        text = files.open_stream(document.stream).read_at(document.span.offset, document.span.size)
    assert text.startswith(b"{% for message in messages %}")


def test_the_messages_are_those_of_the_builder() -> None:
    spec = spec_from_file_location("derive", PROJECT / "scripts" / "derive_litertlm_messages.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.TARGET.read_text(encoding="utf-8") == script.text()


def test_the_header_schema_is_that_of_the_builder() -> None:
    ours = schema.header_schema(scalars_are_structs=False)
    union = {value: name for name, value in vars(generated.VData).items() if not name.startswith("_")}
    assert ours.unions["VData"] == tuple(union[index] for index in range(len(union)))
    types = {
        value: name for name, value in vars(generated.AnySectionDataType).items() if not name.startswith("_")
    }
    assert {int(kind): name for kind, name in schema.NAMES.items()} == types


def test_weights_in_a_section_of_their_own_belong_to_the_model_of_that_type() -> None:
    data = path_of("model").read_bytes()
    tensors = {tensor.name: tensor for tensor in opened("model").tensors}
    weight = tensors["prefill_decode:weight"]
    section = next(told for told in opened("model").facts["sections"] if told["type"] == "TFLiteWeights")  # type: ignore[index]
    (extent,) = weight.extents
    assert section["offset"] <= extent.span.offset < section["offset"] + section["size"]  # type: ignore[index,operator]
    external = fixture_path("tflite_handbuilt/external/model.tflite").with_name("weights.bin").read_bytes()
    assert data[extent.span.offset : extent.span.end] in external


@pytest.mark.tensorflow
def test_tensors_inside_equal_what_the_interpreter_reads_of_the_section() -> None:
    tf = pytest.importorskip("tensorflow")
    data = path_of("twice").read_bytes()
    artifact = opened("twice")
    checked = 0
    for told in artifact.facts["sections"]:
        begin, name = told["offset"], told["model"]  # type: ignore[index]
        interpreter = tf.lite.Interpreter(model_content=data[begin : begin + told["size"]])  # type: ignore[index,operator]
        values = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
        for tensor in artifact.tensors:
            if tensor.name.startswith(f"{name}:"):
                (extent,) = tensor.extents
                expected = interpreter.get_tensor(values[tensor.name.partition(":")[2]])
                assert data[extent.span.offset : extent.span.end] == expected.tobytes()
                checked += 1
    assert checked == 12


def test_tensors_that_two_sections_store_are_found_with_their_bytes() -> None:
    report = mi.inspect(path_of("twice")).to_dict()
    (finding,) = [one for one in report["findings"] if one["rule"] == "duplicate-tensors"]
    one = [
        tensor
        for tensor in opened("twice").tensors
        if tensor.name.startswith("embedder:") and tensor.role is Role.WEIGHT
    ]
    large = [tensor.stored_size for tensor in one if not tensor.name.endswith("arith.constant1")]
    assert finding["bytes"] == sum(large)


def test_a_deprecated_section_is_dead_bytes() -> None:
    artifact = opened("deprecated")
    size = artifact.facts["sections"][1]["size"]  # type: ignore[index,call-overload]
    assert artifact.facts["deprecated_bytes"] == size
    assert {tensor.name.partition(":")[0] for tensor in artifact.tensors} == {"prefill_decode"}
    free = [region for region in artifact.members[0].map if region.path[0].startswith("Deprecated")]
    assert [(region.kind, region.span.size) for region in free] == [(RegionKind.FREE, size)]


def test_bits_per_weight_count_scales_too() -> None:
    sections = {
        told["model"]: told for told in opened("model").facts["sections"] if told["type"] == "TFLiteModel"
    }  # type: ignore[index]
    assert sections["prefill_decode"]["bits_per_weight"] == 32
    assert (
        sections["embedder"]["bits_per_weight"] == 8 * (64 // 2 + 16 * 2) / 64
    )  # int4, and 16 float16 scales


def test_a_header_of_more_than_a_block_moves_the_first_section() -> None:
    builder = lm.LitertLmFileBuilder()
    for number in range(300):
        builder.add_system_metadata(lm.Metadata(key=f"key {number}", value="x" * 50, dtype=lm.DType.STRING))
    builder.add_generic_binary_data(str(fixture_path("tflite/dense.tflite")))
    import io

    stream = io.BytesIO()
    builder.build(stream)
    artifact = parsed(stream.getvalue())
    assert artifact.facts["sections"][0]["offset"] > BLOCK  # type: ignore[index,call-overload,operator]
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0
    assert len(artifact.facts["system_metadata"]) == 302


def test_padding_after_the_last_section_is_free() -> None:
    data = packed([(3, TFLITE)], models=["tf_lite_aux"])
    padded = data + bytes(-len(data) % BLOCK)
    artifact = parsed(padded)
    assert not artifact.diagnostics
    assert artifact.members[0].map.at(len(padded) - 1).kind is RegionKind.FREE


def old_header(value: int) -> bytes:
    """Return a header of 2025: the union of values points at a bare number."""
    builder = flatbuffers.Builder(256)
    key, name, text = builder.CreateString("answer"), builder.CreateString("who"), builder.CreateString("us")
    generated.StringValueStart(builder)
    generated.StringValueAddValue(builder, text)
    string = generated.StringValueEnd(builder)
    builder.Prep(4, 4)
    builder.PrependInt32(value)
    number = builder.Offset()
    pairs = []
    for one, kind, place in (
        (key, generated.VData.Int32, number),
        (name, generated.VData.StringValue, string),
    ):
        generated.KeyValuePairStart(builder)
        generated.KeyValuePairAddKey(builder, one)
        generated.KeyValuePairAddValueType(builder, kind)
        generated.KeyValuePairAddValue(builder, place)
        pairs.append(generated.KeyValuePairEnd(builder))
    generated.SystemMetadataStartEntriesVector(builder, 2)
    for pair in reversed(pairs):
        builder.PrependUOffsetTRelative(pair)
    entries = builder.EndVector()
    generated.SystemMetadataStart(builder)
    generated.SystemMetadataAddEntries(builder, entries)
    system = generated.SystemMetadataEnd(builder)
    generated.LiteRTLMMetaDataStart(builder)
    generated.LiteRTLMMetaDataAddSystemMetadata(builder, system)
    builder.Finish(generated.LiteRTLMMetaDataEnd(builder))
    return bytes(builder.Output())


def test_old_files_whose_numbers_are_structs_are_read_to_the_byte() -> None:
    artifact = parsed(assembled(old_header(-7), (1, 0, 0), {}))
    assert artifact.facts["system_metadata"] == {"answer": -7, "who": "us"}
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0
    assert not artifact.diagnostics


def test_both_metadata_types_are_recognized_by_their_fields_where_versions_number_them_differently() -> None:
    executor = executor_metadata_pb2.ExecutorMetadata()
    executor.llm_executor_metadata.max_history_size = 5
    embedding = embedding_metadata_pb2.EmbeddingMetadata(min_input_length=3, max_input_length=9)
    artifact = parsed(packed([(8, executor.SerializeToString()), (9, embedding.SerializeToString())]))
    first, second = artifact.facts["sections"]
    assert first["message"] == "ExecutorMetadata"  # type: ignore[index,call-overload]
    assert (second["message"], second["min_input_length"], second["max_input_length"]) == (
        "EmbeddingMetadata",
        3,
        9,
    )  # type: ignore[index,call-overload]
    assert not artifact.diagnostics


def external_model() -> tuple[bytes, bytes]:
    folder = fixture_path("tflite_handbuilt/external/model.tflite").parent
    return (folder / "model.tflite").read_bytes(), (folder / "weights.bin").read_bytes()


def test_weights_that_are_missing_are_an_error_and_fail_lint(tmp_path: Path) -> None:
    model, _ = external_model()
    data = packed([(3, model)], models=["tf_lite_prefill_decode"])
    assert [(d.severity, d.code) for d in parsed(data).diagnostics] == [(Severity.ERROR, Code.INCOMPLETE)]
    (tmp_path / "m.litertlm").write_bytes(data)
    assert "incomplete" in {
        finding["rule"] for finding in mi.lint(tmp_path / "m.litertlm").to_dict()["findings"]
    }


def test_weights_of_another_model_are_not_taken_and_those_of_none_are_free() -> None:
    model, weights = external_model()
    artifact = parsed(
        packed([(3, model), (7, weights)], models=["tf_lite_prefill_decode", "tf_lite_embedder"])
    )
    assert {d.severity for d in artifact.diagnostics} == {Severity.ERROR, Severity.WARNING}
    regions = {region.path[0]: region.kind for region in artifact.members[0].map}
    assert regions["TFLiteWeights embedder"] is RegionKind.FREE


def test_two_sections_of_weights_for_one_model_are_ambiguous() -> None:
    model, weights = external_model()
    artifact = parsed(packed([(3, model), (7, weights), (7, weights)], models=["tf_lite_prefill_decode"] * 3))
    assert Code.AMBIGUOUS in {d.code for d in artifact.diagnostics}


def test_a_section_of_an_unknown_type_stays_unattributed_and_is_named() -> None:
    artifact = parsed(packed([(99, b"something")]))
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 9
    assert [d.severity for d in artifact.diagnostics] == [Severity.NOTE]


def test_bytes_between_sections_are_reported() -> None:
    data = bytearray(packed([(1, b"one"), (1, b"two")]))
    data[BLOCK + 100 : BLOCK + 104] = b"here"
    artifact = parsed(bytes(data) + b"and after")
    assert {d.code for d in artifact.diagnostics} == {Code.TRAILING}
    assert kinds(artifact)[RegionKind.UNATTRIBUTED] == 0


def compressed(content: bytes, declared: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if declared is None else declared) + zlib.compress(content)


def test_a_size_that_does_not_fit_the_tokenizer_is_reported() -> None:
    content = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}}}).encode()
    assert not parsed(packed([(6, compressed(content))])).diagnostics
    assert parsed(packed([(6, compressed(content, len(content) + 5))])).diagnostics
    assert parsed(packed([(6, compressed(content, 3))])).diagnostics


def hostile() -> list[tuple[str, bytes]]:
    whole = packed([(3, TFLITE), (1, b"x")], models=["tf_lite_aux"])
    size = len(TFLITE)
    far = 1 << 63
    same = [section(3, BLOCK, BLOCK + size) for _ in range(2_000)]
    shifted = [section(3, BLOCK + 4 * number, BLOCK + size) for number in range(500)]
    bomb = compressed(bytes(200_000_000))
    return [
        ("header beyond the end", whole[:24] + struct.pack("<Q", far) + whole[32:]),
        ("header before its begin", whole[:24] + struct.pack("<Q", 3) + whole[32:]),
        ("section at 2^63", with_header([section(3, far, far + 5)], (1, 7, 0), {})),
        ("section of 2^63 bytes", with_header([section(3, BLOCK, far)], (1, 7, 0), {BLOCK: TFLITE})),
        ("ends before it begins", with_header([section(3, BLOCK + 9, BLOCK)], (1, 7, 0), {BLOCK: TFLITE})),
        ("begins in the header", with_header([section(3, 0, BLOCK)], (1, 7, 0), {BLOCK: TFLITE})),
        ("2,000 sections on one model", with_header(same, (1, 7, 0), {BLOCK: TFLITE})),
        ("500 overlapping models", with_header(shifted, (1, 7, 0), {BLOCK: TFLITE})),
        ("a zlib bomb", packed([(6, bomb)])),
        ("a zlib bomb with a small size", packed([(6, compressed(bytes(200_000_000), 1000))])),
        ("a size of 2^63", packed([(6, compressed(b"{}", far))])),
        ("no zlib at all", packed([(6, b"12345678not zlib")])),
        ("half a size", packed([(6, b"123")])),
        ("a deep message", packed([(5, nested_message(50_000))])),
        ("a tokenizer that is none", packed([(4, b"\xff" * 100)])),
        ("an empty file", b"LITERTLM"),
        ("an empty section", packed([(3, b""), (4, b""), (5, b""), (6, b"")])),
        ("a model in a model", packed([(3, whole)])),
    ]


def nested_message(depth: int) -> bytes:
    data = b""
    for _ in range(min(depth, 2_000)):
        size = b""
        length = len(data)
        while True:
            size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
            length >>= 7
            if not length:
                break
        data = b"\x0a" + size + data
    return data


@pytest.mark.parametrize(("label", "data"), hostile(), ids=[label for label, _ in hostile()])
def test_hostile_files_give_a_map_or_a_clear_error(label: str, data: bytes) -> None:
    outcome = hold(iter([(label, MemoryFiles({"m.litertlm": data}, "m.litertlm"))]))
    assert outcome.maps + outcome.errors == 1


def test_cut_anywhere_in_the_header_or_between_sections_it_gives_a_map_or_a_clear_error() -> None:
    data = path_of("model").read_bytes()
    files = MemoryFiles({"m.litertlm": data}, "m.litertlm")
    cuts = [*range(0, 1_200, 7), *range(BLOCK, len(data), BLOCK // 2)]
    outcome = hold((f"cut at {cut}", with_bytes(files, "m.litertlm", data[:cut])) for cut in cuts)
    assert outcome.maps
    assert outcome.errors


def test_of_a_file_of_megabytes_only_the_structure_is_read() -> None:
    big = build_model(3_000_000)
    files = CountingFiles(
        {"m.litertlm": packed([(3, big), (3, big)], models=["tf_lite_aux", "tf_lite_embedder"])}, "m.litertlm"
    )
    artifact = parse(files)
    assert sum(tensor.stored_size for tensor in artifact.tensors) == 6_000_000
    assert files.count < 500_000


def build_model(size: int) -> bytes:
    weights = np.ones(size, np.uint8)
    tensor = {"shape": [size], "type": 9, "buffer": 1, "name": "w"}
    graph = {"tensors": [tensor], "inputs": [], "outputs": [0], "operators": [], "name": "main"}
    return build(
        {
            "version": 3,
            "operator_codes": [],
            "subgraphs": [graph],
            "buffers": [{}, {"data": weights.tobytes()}],
            "description": "big",
        }
    )
