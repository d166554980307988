"""Say what the models of other frameworks are, and what only stands for a model."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.errors import UnknownFormatError
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles

TFLITE = fixture_path("tflite/dense.tflite").read_bytes()


def said(data: bytes, name: str = "model.bin") -> str:
    with pytest.raises(UnknownFormatError) as caught:
        parse(MemoryFiles({name: data}, name))
    line = str(caught.value)
    assert "\n" not in line
    return line


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return out.getvalue()


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


CACHE = struct.pack("<Q32sQQ", 1, b"identity", 64, 40) + bytes(48)
ONNX = b"\x08\x08" + field(2, b"pytorch") + field(3, b"2.4") + b"\x3a" + bytes([40]) + bytes(40)
CORE_ML = b"\x08\x05" + field(2, field(1, field(1, b"image")))
CORE_ML_1 = bytes.fromhex(
    "080112200a0e0a01781a092a070a010410c08004520e0a01791a092a070a010210c08004a21f460a440a01641201781a"
    "0179e20838080410025001a201220a200000803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f"
    "aa010a0a080000000000000000"
)
"""A network of one layer as coremltools 9.0 writes it: version 1, like that of a SavedModel."""
ONNX_TEXT = bytes.fromhex(
    "080a320568656c6c6f3a6d0a110a01780a017712017922064d61744d756c1201672a2b0804080210014201774a200000"
    "803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f5a130a0178120e0a0c080112080a0208010a"
    "02080462130a0179120e0a0c080112080a0208010a0208024202101c"
)
"""A multiplication as onnx 1.23 writes it, with a text about the model and no producer."""
GRAPH = b"".join(
    field(1, field(2, name) + field(3, b"IMAGE:in") + field(4, b"IMAGE:out"))
    for name in (b"CropCalculator", b"InferenceCalculator")
)


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"GGUF" + bytes(40), "m.gguf", "GGUF"),
        (ONNX, "m.onnx", "ONNX"),
        (b"\x08\x07\x3a" + bytes([40]) + bytes(40), "m.onnx", "ONNX"),
        (ONNX_TEXT, "m.onnx", "ONNX"),
        (CORE_ML, "m.mlmodel", "Core ML"),
        (CORE_ML_1, "m.mlmodel", "Core ML"),
        (
            zipped("m.mlpackage/Manifest.json", "m.mlpackage/Data/com.apple.CoreML/model.mlmodel"),
            "m.zip",
            "Core ML",
        ),
        (struct.pack("<I", 56) + b"ET12eh00" + bytes(60), "m.pte", "ExecuTorch"),
        (zipped("archive/data.pkl", "archive/version", "archive/data/0"), "m.pt", "PyTorch checkpoint"),
        (zipped("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"), "m.pt", "TorchScript"),
        (zipped("m/archive_format", "m/models/model.json", "m/data/weights/w0"), "m.pt2", ".pt2"),
        (GRAPH, "graph.binarypb", "MediaPipe graph"),
        (b'node {\n  calculator: "InferenceCalculator"\n}\n', "graph.pbtxt", "MediaPipe graph"),
        (CACHE, "m.bin", "XNNPACK"),
        (b"anything at all, binary \xff\xfe", "m.xnnpack_cache", "XNNPACK"),
        (b"\x80\x02}q\x00.", "m.pkl", "pickle"),
        (b"../../blobs/0123456789abcdef", "m.h5", "../../blobs/0123456789abcdef"),
        (b"model-v2.tflite\n", "m.tflite", "model-v2.tflite"),
        (b"\x12\x08fingered", "fingerprint.pb", "SavedModel"),
        (b"\x0a\x05hello", "data_spec.pb", "Yggdrasil"),
    ],
)
def test_a_file_of_another_framework_is_named(data: bytes, name: str, words: str) -> None:
    assert words in said(data, name)


def test_a_program_of_jax_export_is_named_with_the_place_of_its_byte_code() -> None:
    jax = pytest.importorskip("jax")
    from jax import export

    data = bytes(export.export(jax.jit(lambda x: x + 1))(jax.ShapeDtypeStruct((3,), "float32")).serialize())
    assert (
        f"jax.export serialized: its StableHLO begins at byte {data.find(b'ML' + bytes([0xEF]) + b'R')}"
        in said(data)
    )


def array(data: bytes, style: str) -> bytes:
    match style:
        case "xxd":
            body = ",\n".join(
                "  " + ", ".join(f"0x{byte:02x}" for byte in data[at : at + 12])
                for at in range(0, len(data), 12)
            )
            return (
                f"unsigned char model_tflite[] = {{\n{body}\n}};\nunsigned int model_tflite_len ="
                f" {len(data)};\n".encode()
            )
        case _:
            body = ",".join(str(byte) for byte in data)
            return f'#include "model.h"\nalignas(16) const uint8_t g_model[] = {{{body}}};\n'.encode()


@pytest.mark.parametrize("style", ["xxd", "decimal"])
def test_an_array_in_a_program_is_named_with_its_bytes_and_its_model(style: str) -> None:
    line = said(array(TFLITE, style), "model.cc")
    assert f"a C array of {len(TFLITE):,} bytes" in line
    assert "a TFLite model" in line


def test_an_array_of_something_else_is_not_called_a_model() -> None:
    assert "which is not a model" in said(array(bytes(range(200)), "xxd"), "image.h")


def test_an_array_that_does_not_end_is_not_counted_as_whole() -> None:
    assert "more than" in said(array(TFLITE, "xxd")[:20_000], "model.cc")


def folder(*names: str) -> str:
    with pytest.raises(UnknownFormatError) as caught:
        parse(MemoryFiles(dict.fromkeys(names, b"content"), None, "folder"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("Manifest.json", "Data/com.apple.CoreML/model.mlmodel"), "Core ML"),
        (("header.pb", "data_spec.pb", "done"), "Yggdrasil"),
        (("keras_metadata.pb", "variables/variables.index"), "without saved_model.pb"),
        (("config.json", "notes.txt"), "no weights"),
        (("labels.txt", "a/model.tflite", "config.json"), "a/model.tflite"),
    ],
)
def test_a_folder_of_another_kind_is_named_or_the_file_to_inspect(names: tuple[str, ...], words: str) -> None:
    assert words in folder(*names)


def test_every_command_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.pte"
    path.write_bytes(struct.pack("<I", 56) + b"ET12eh00" + bytes(60))
    for call in (mi.inspect, mi.lint, mi.plan, mi.explain):
        with pytest.raises(UnknownFormatError, match="ExecuTorch"):
            call(path)


def test_settings_in_json_are_still_called_json() -> None:
    assert "a JSON file" in said(json.dumps({"learning_rate": 0.1}).encode(), "settings.json")
