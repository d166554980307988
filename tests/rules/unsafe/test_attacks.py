"""What an attacker would try to have a loader run what lint does not see: each form was once overlooked."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from flatbuffers import flexbuffers

import modelinspect as mi
from modelinspect.encodings.protobuf import message_class
from modelinspect.rules.unsafe.loading import Danger, evidence
from tests.rules.unsafe.configurations import CODE, layer
from tests.support.flat import build, model

LAMBDA = layer("Lambda", function={"class_name": "__lambda__", "config": {"code": CODE}}, arguments={})


def rules(path: Path) -> dict[str, str]:
    return {found.rule: str(found.severity) for found in mi.lint(path, measure=False).findings}


def sequential(one: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [one]}}


HONEST = sequential(layer("Dense", units=2))


def write_keras(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], config: bytes = b"") -> Path:
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("config.json", config or json.dumps(HONEST).encode())
        archive.writestr("model.weights.h5", weights.getvalue())
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_configuration_in_another_encoding_is_read_as_json_reads_it(tmp_path: Path, encoding: str) -> None:
    """Keras gives the bytes to ``json.loads``, which recognizes UTF-16 and UTF-32."""
    config = json.dumps(sequential(LAMBDA)).encode(encoding)
    assert rules(write_keras(tmp_path / "m.keras", config=config))["lambda-code"] == "error"


def unicode_path(name: str, other: str) -> zipfile.ZipInfo:
    """Return a member whose Unicode Path field (APPNOTE 4.6.9) has another name than its header."""
    told = other.encode()
    info = zipfile.ZipInfo(name)
    info.extra = struct.pack("<HHBL", 0x7075, 5 + len(told), 1, zlib.crc32(name.encode("cp437"))) + told
    return info


@pytest.mark.parametrize(
    ("name", "other", "is_odd"),
    [
        ("x.json", "config.json", True),
        ("config_.json", "config.json", True),
        ("config.json", "\u043aonfig.json", True),
        ("assets/w?rter.txt", "assets/w\u00f6rter.txt", False),
        ("assets/w#U00f6rter.txt", "assets/w\u00f6rter.txt", False),
        ("assets/words.txt", "assets/words.txt", False),
    ],
)
def test_a_member_with_two_names_is_ambiguous(tmp_path: Path, name: str, other: str, is_odd: bool) -> None:
    """Python's zipfile takes the second name from 3.12 on."""
    path = write_keras(
        tmp_path / "m.keras", (unicode_path(name, other), json.dumps(sequential(LAMBDA)).encode())
    )
    assert ("ambiguous-archive" in rules(path)) is is_odd


def directory_of(archive: bytes) -> tuple[bytes, bytes, int]:
    """Return what is before the central directory of an archive, the directory, and its entries."""
    end = archive.rfind(b"PK\5\6")
    count, size, start = struct.unpack_from("<HII", archive, end + 10)
    return archive[:start], archive[start : start + size], count


def moved(directory: bytes, by: int) -> bytes:
    """Return a central directory whose members are further behind."""
    out, at = bytearray(directory), 0
    while at < len(out):
        struct.pack_into("<I", out, at + 42, struct.unpack_from("<I", out, at + 42)[0] + by)
        at += 46 + sum(struct.unpack_from("<HHH", out, at + 28))
    return bytes(out)


def zip64(count: int, size: int, start: int) -> bytes:
    return struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)


@pytest.mark.parametrize("is_full", [True, False])
def test_two_directories_of_an_archive_are_ambiguous_and_that_of_python_is_read(
    tmp_path: Path, is_full: bool
) -> None:
    """The end record or the zip64 locator leads to an honest one, and zipfile takes the other."""
    honest = write_keras(tmp_path / "honest.keras").read_bytes()
    config = json.dumps(sequential(LAMBDA)).encode()
    unsafe = write_keras(tmp_path / "unsafe.keras", config=config).read_bytes()
    (first, seen, count), (second, taken, more) = directory_of(honest), directory_of(unsafe)
    data = first + second
    start, record = len(data), len(data) + len(seen)
    data += seen + (zip64(count, len(seen), start) if is_full else b"")
    place = len(data)
    data += moved(taken, len(first)) + zip64(more, len(taken), place)
    data += struct.pack("<4sIQI", b"PK\6\7", 0, record if is_full else len(data) - 56, 1)
    plain = (0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1) if is_full else (count, count, len(seen), start)
    path = tmp_path / "m.keras"
    path.write_bytes(data + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, *plain, 0))
    with zipfile.ZipFile(path) as archive:
        assert archive.read("config.json") == config
    found = rules(path)
    assert (found["lambda-code"], found["ambiguous-archive"]) == ("error", "error")


@pytest.mark.parametrize("key", ["function", "output_shape"])
@pytest.mark.parametrize("code", [CODE, f"!{CODE}", f"\n~~{CODE}"])
def test_code_of_a_lambda_layer_is_found_as_text_too(key: str, code: str) -> None:
    """`func_load` takes a text, and base64 passes over characters that are not of its alphabet."""
    config = {
        "name": "l",
        "function": "relu",
        "function_type": "function",
        key: code,
        f"{key}_type": "lambda",
    }
    found = [one.danger for one in evidence({"class_name": "Lambda", "config": config})]
    assert Danger.LAMBDA_CODE in found


@pytest.mark.parametrize(
    "symbol",
    [
        "lite.experimental.load_delegate",
        "compat.v1.lite.Interpreter",
        "experimental.register_filesystem_plugin",
        "__internal__.saved_model.load_partial",
        "__internal__.distribute.multi_process_runner.run",
        "compat.v1.app.run",
        "keras.utils.plot_model",
        "keras.export.ExportArchive",
        "mlir.experimental.write_bytecode",
        "compat.v1.resource_loader.load_resource",
        "rpc_client",
        "py_func_stateless",
        "eager_py_func",
        "delete_file",
    ],
)
def test_exported_functions_that_do_more_than_compute_are_errors(symbol: str) -> None:
    found = list(evidence({"class_name": "TFOpLambda", "config": {"name": "w", "function": symbol}}))
    assert [one.danger for one in found] == [Danger.LOAD_CALL]


@pytest.mark.parametrize("path", ["/models/other", {"class_name": "__bytes__", "config": "/models/other"}])
def test_a_layer_that_loads_another_model_is_named_however_its_path_is_written(path: object) -> None:
    config = {"name": "t", "filepath": path, "call_endpoint": "serve"}
    found = list(evidence({"module": "keras.layers", "class_name": "TFSMLayer", "config": config}))
    assert [one.danger for one in found] == [Danger.FILE]
    assert "/models/other" in found[0].message


def test_a_private_method_of_a_class_is_a_warning() -> None:
    config = {"name": "w", "cls_symbol": "RaggedTensor", "method_name": "__subclasses__"}
    assert [one.danger for one in evidence({"class_name": "ClassMethod", "config": config})] == [
        Danger.UNKNOWN_CALL
    ]
    config["method_name"] = "from_row_splits"
    assert not list(evidence({"class_name": "ClassMethod", "config": config}))


def test_a_flex_operator_is_judged_by_options_after_the_flatbuffer_too(tmp_path: Path) -> None:
    node = message_class("NodeDef")()
    node.op = "PyFunc"  # type: ignore[attr-defined]
    builder = flexbuffers.Builder()
    with builder.Vector():
        builder.String("PyFunc")
        builder.String(node.SerializeToString().decode("latin-1"))
    options = bytes(builder.Finish())

    def made(offset: int) -> bytes:
        code = {"builtin_code": 32, "deprecated_builtin_code": 32, "custom_code": "FlexNoOp", "version": 1}
        large = {"large_custom_options_offset": offset, "large_custom_options_size": len(options)}
        tensors = [{"name": name, "shape": [1], "buffer": 0} for name in ("in", "out")]
        return build(
            model(tensors, [], [{"opcode_index": 0, "inputs": [0], "outputs": [1], **large}], [code])
        )

    size = len(made(1 << 20))
    path = tmp_path / "m.tflite"
    path.write_bytes(made(size) + options)
    assert rules(path)["code-operator"] == "error"


def test_metadata_of_a_saved_model_may_begin_with_spaces(tmp_path: Path) -> None:
    def field(number: int, data: bytes) -> bytes:
        assert len(data) < 1 << 14
        return bytes((number << 3 | 2, len(data) & 127 | 128, len(data) >> 7)) + data

    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01" + field(2, field(2, field(1, field(2, b"NoOp")))))
    metadata = b" \n" + json.dumps(LAMBDA).encode()
    (tmp_path / "keras_metadata.pb").write_bytes(field(1, field(5, metadata)))
    assert rules(tmp_path)["lambda-code"] == "error"


@pytest.mark.parametrize("suffix", ["h5", "keras", "tflite"])
def test_a_model_among_the_assets_of_another_is_named(tmp_path: Path, suffix: str) -> None:
    """No loader of the outer model reads it, and lint did not: it says so."""
    inner = io.BytesIO()
    if suffix == "h5":
        with h5py.File(inner, "w") as file:
            file.attrs["model_config"] = json.dumps(sequential(LAMBDA))
    elif suffix == "keras":
        inner.write(write_keras(tmp_path / "inner.keras").read_bytes())
    else:
        inner.write(build(model([{"name": "t", "shape": [1], "buffer": 0}], [], [], [])))
    path = write_keras(tmp_path / "m.keras", (f"assets/inner.{suffix}", inner.getvalue()))
    assert rules(path) == {"incomplete": "warning"}
    assert rules(write_keras(tmp_path / "n.keras", ("assets/words.txt", b"one\ntwo\nthree\n"))) == {}
    assert np.array_equal(mi.open(path).members[0].map.columns.sizes.sum(), path.stat().st_size)
