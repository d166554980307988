"""What loaders make code of is found wherever a configuration says it, and what Keras serializes is not."""

from __future__ import annotations

import base64
import io
import json
import marshal
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelinspect
from modelinspect.core.limits import Limits
from modelinspect.reports.lint import LintFinding
from modelinspect.rules.unsafe.class_names import names
from modelinspect.rules.unsafe.loading import Danger, evidence
from modelinspect.rules.unsafe.symbols import is_tensor_function, symbol_risk

CODE = base64.b64encode(marshal.dumps((lambda x: x).__code__)).decode()


def dangers(item: dict[str, object]) -> set[Danger]:
    return {found.danger for found in evidence(item)}


def keras_file(path: Path, config: object, *, weights: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights or empty_hdf5())
    return path


def empty_hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("layers")
    return buffer.getvalue()


def hdf5_file(path: Path, config: object, name: str = "model_config") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs[name] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
    return path


def unsafe(path: Path, **settings: object) -> dict[str, list[LintFinding]]:
    by_rule: dict[str, list[LintFinding]] = {}
    for finding in modelinspect.lint(path, select=["unsafe"], **settings).findings:  # type: ignore[arg-type]
        by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


def sequential(*layers: object) -> dict[str, object]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


@pytest.mark.parametrize(
    "item",
    [
        {"class_name": "__lambda__", "config": {"value": CODE}},
        {"class_name": "__lambda__", "config": {"value": [CODE, None, None]}},
        {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}},
        {"class_name": "__lambda__", "config": {"code": [CODE, None, None]}},
        {"class_name": "__lambda__", "config": [CODE, None, None]},
        {
            "class_name": "Lambda",
            "config": {"name": "l", "function": [CODE, None, None], "function_type": "lambda"},
        },
        {
            "class_name": "Lambda",
            "config": {"function": {"class_name": "__tuple__", "items": [CODE, None, None]}},
        },
        {"class_name": "Package>Lambda", "config": {"mask": [CODE, None, None], "mask_type": "lambda"}},
        {
            "class_name": "Lambda",
            "config": {"output_shape": [CODE, None, None], "output_shape_type": "lambda"},
        },
        {"class_name": "TorchModuleWrapper", "config": {"module": "gAJ9cQAu"}},
        {"anything": CODE},
        {"anything": base64.encodebytes(marshal.dumps((lambda x: x).__code__)).decode()},
        {"anything": "\xe3\0\0\0\0" + "x" * 40},
    ],
)
def test_byte_code_is_found_in_every_form(item: dict[str, object]) -> None:
    assert Danger.LAMBDA_CODE in dangers(item)


@pytest.mark.parametrize(
    "text",
    ["4w is how a sentence may begin, and go on", "Yellow", "c\x01" * 30, "4wAB" + "é" * 30, CODE[:10]],
)
def test_text_that_only_begins_like_byte_code_is_text(text: str) -> None:
    assert dangers({"value": text}) == set()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("os", "system"),
        ("keras.utils", "get_file"),
        ("keras.config", "enable_unsafe_deserialization"),
        ("keras.saving", "load_model"),
        ("keras.src.utils.python_utils", "func_load"),
        ("tf_keras.src.utils.generic_utils", "func_load"),
        ("tensorflow.python.framework.load_library", "load_op_library"),
        ("tensorflow.python.lib.io.file_io", "write_string_to_file"),
        ("numpy", "loadtxt"),
        ("pip._internal", "main"),
    ],
)
@pytest.mark.parametrize("as_function", [True, False])
def test_functions_of_known_packages_are_imports(module: str, name: str, as_function: bool) -> None:
    item: dict[str, object] = {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": name,
    }
    if not as_function:
        item = {"module": module, "class_name": name, "config": {}}
    assert dangers(item) == {Danger.IMPORT}


@pytest.mark.parametrize(
    "item",
    [
        {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"},
        {
            "module": "keras.activations",
            "class_name": "function",
            "config": "gelu",
            "registered_name": "gelu",
        },
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}, "registered_name": None},
        {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": {},
            "registered_name": "Functional",
        },
        {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {}, "registered_name": "Add"},
        {"module": "keras.optimizers", "class_name": "Adam", "config": {}, "registered_name": None},
        {
            "module": "keras",
            "class_name": "DTypePolicy",
            "config": {"name": "float32"},
            "registered_name": None,
        },
        {
            "module": "tensorflow.python.ops.nn_ops",
            "class_name": "function",
            "config": "softmax_v2",
            "registered_name": "softmax_v2",
        },
        {
            "module": "tensorflow.python.framework.tensor",
            "class_name": "__typespec__",
            "spec_name": "TensorSpec",
            "config": [[1], "float32"],
        },
        {"class_name": "Custom>Adam", "module": "keras.optimizers", "config": {}, "registered_name": "Adam"},
    ],
)
def test_what_keras_serializes_itself_is_nothing(item: dict[str, object]) -> None:
    assert dangers(item) <= {Danger.CUSTOM}
    assert item.get("class_name") == "Custom>Adam" or not dangers(item)


@pytest.mark.parametrize(
    ("symbol", "danger"),
    [
        ("io.write_file", Danger.LOAD_CALL),
        ("compat.v1.write_file", Danger.LOAD_CALL),
        ("raw_ops.WriteFile", Danger.LOAD_CALL),
        ("io.gfile.copy", Danger.LOAD_CALL),
        ("load_op_library", Danger.LOAD_CALL),
        ("py_function", Danger.LOAD_CALL),
        ("keras.utils.get_file", Danger.LOAD_CALL),
        ("saved_model.load", Danger.LOAD_CALL),
        ("print", Danger.LOAD_CALL),
        ("map_fn", Danger.UNKNOWN_CALL),
        ("no.such.symbol", Danger.UNKNOWN_CALL),
        ("raw_ops.NoSuchOperator", Danger.UNKNOWN_CALL),
    ],
)
@pytest.mark.parametrize("kind", ["TFOpLambda", "SlicingOpLambda"])
def test_a_called_symbol_is_judged_by_what_it_does(kind: str, symbol: str, danger: Danger) -> None:
    assert dangers({"class_name": kind, "config": {"name": "op", "function": symbol}}) == {danger}


@pytest.mark.parametrize(
    "symbol",
    [
        "math.add",
        "nn.relu",
        "reshape",
        "__operators__.getitem",
        "raw_ops.AddV2",
        "image.resize",
        "cast",
        "einsum",
    ],
)
def test_arithmetic_is_called_without_a_word(symbol: str) -> None:
    assert is_tensor_function(symbol)
    assert symbol_risk(symbol) is None
    assert dangers({"class_name": "TFOpLambda", "config": {"function": symbol}}) == set()


def test_no_symbol_is_harmless_and_risky_at_once() -> None:
    risky = {symbol for symbol in names().tensor_functions if symbol_risk(symbol) is not None}
    assert risky == set()


@pytest.mark.parametrize(
    "node", ['name: "w"\nop: "WriteFile"', {"name": "w", "op": "WriteFile"}, "\n\x01w\x12\tWriteFile"]
)
def test_the_node_of_a_layer_is_judged_like_any_node(tmp_path: Path, node: object) -> None:
    layer = {
        "class_name": "TensorFlowOpLayer",
        "config": {"name": "op", "node_def": node, "constants": {"0": "x"}},
    }
    assert (
        unsafe(hdf5_file(tmp_path / "m.h5", sequential(layer)))["file-write-operator"][0].severity == "error"
    )


@pytest.mark.parametrize("place", ["layer", "loss", "metric", "optimizer", "compile_config"])
def test_byte_code_is_found_in_every_part_of_a_model(tmp_path: Path, place: str) -> None:
    code: object = {"class_name": "__lambda__", "config": {"value": CODE}}
    config = sequential(
        {"class_name": "Dense", "config": {"activation": code if place == "layer" else "relu"}}
    )
    if place != "layer":
        config["compile_config"] = {place: code}
    found = unsafe(keras_file(tmp_path / "m.keras", config))["lambda-code"]
    assert len(found) == 1  # the same code is one finding
    assert found[0].severity == "error"


def test_the_configuration_of_training_is_read_too(tmp_path: Path) -> None:
    path = hdf5_file(
        tmp_path / "m.h5",
        {"loss": {"class_name": "__lambda__", "config": {"value": CODE}}},
        "training_config",
    )
    assert "lambda-code" in unsafe(path)


def test_code_behind_a_million_numbers_is_found(tmp_path: Path) -> None:
    config = {
        "padding": list(range(1_000_000)),
        **sequential({"class_name": "__lambda__", "config": {"value": CODE}}),
    }
    assert "lambda-code" in unsafe(keras_file(tmp_path / "m.keras", config))


def test_what_a_limit_leaves_out_is_incomplete(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "m.keras", {**sequential(), "padding": "x" * 10_000})
    found = unsafe(path, limits=Limits(document_size=5_000))
    assert found["incomplete"][0].severity == "warning"


def test_both_readings_of_a_file_that_is_two_are_checked(tmp_path: Path) -> None:
    bad = sequential(
        {
            "class_name": "Lambda",
            "config": {"name": "l", "function": [CODE, None, None], "function_type": "lambda"},
        }
    )
    good = keras_file(tmp_path / "good.keras", sequential())
    front = hdf5_file(tmp_path / "front.h5", bad)
    for name in ("both.keras", "both.h5"):
        path = tmp_path / name
        path.write_bytes(front.read_bytes() + good.read_bytes())
        found = unsafe(path)
        assert found["ambiguous-archive"][0].severity == "error"
        assert "lambda-code" in found


def test_a_name_with_a_nul_is_what_python_cuts_it_to(tmp_path: Path) -> None:
    path = keras_file(
        tmp_path / "m.keras", sequential({"class_name": "__lambda__", "config": {"value": CODE}})
    )
    data = path.read_bytes().replace(b"config.json", b"config\0json")
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert "config" in archive.namelist()
    archived = tmp_path / "archived.keras"
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr(
            "config.json_", json.dumps(sequential({"class_name": "__lambda__", "config": {"value": CODE}}))
        )
        archive.writestr("model.weights.h5", empty_hdf5())
    archived.write_bytes(archived.read_bytes().replace(b"config.json_", b"config.json\0"))
    found = unsafe(archived)
    assert {"ambiguous-archive", "lambda-code"} <= set(found)


def test_of_two_attributes_of_one_name_both_are_checked(tmp_path: Path) -> None:
    bad = json.dumps(
        sequential(
            {"class_name": "Lambda", "config": {"function": [CODE, None, None], "function_type": "lambda"}}
        )
    )
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequential())
        file.attrs["model_confih"] = np.bytes_(bad)
        file.attrs["keras_version"] = "2.15.0"
    path = tmp_path / "m.h5"
    path.write_bytes(path.read_bytes().replace(b"model_confih", b"model_config"))
    with h5py.File(path) as file:
        assert file.attrs["model_config"] == json.dumps(sequential())  # the library takes the first
    assert {"ambiguous-archive", "lambda-code"} <= set(unsafe(path))


def test_a_pickled_array_is_named_and_a_plain_one_is_not(tmp_path: Path) -> None:
    for array, expected in (
        (np.array([{"a": 1}], dtype=object), True),
        (np.zeros(3, dtype=np.float32), False),
    ):
        buffer = io.BytesIO()
        np.savez(buffer, a=array)
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", json.dumps(sequential()))
            archive.writestr("model.weights.npz", buffer.getvalue())
        assert ("pickled-array" in unsafe(tmp_path / "m.keras")) is expected


def test_every_model_of_a_folder_and_of_an_archive_is_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    keras_file(folder / "good.keras", sequential())
    bad = keras_file(
        folder / "bad.keras", sequential({"class_name": "__lambda__", "config": {"value": CODE}})
    )
    with zipfile.ZipFile(tmp_path / "models.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(bad, "inner.keras")
    for place in (folder, tmp_path / "models.zip"):
        found = unsafe(place)["lambda-code"]
        assert any(finding.message.startswith("bad.keras: ") for finding in found)
    assert any(finding.message.startswith("more.zip: ") for finding in unsafe(folder)["lambda-code"])


def test_ten_thousand_harmless_nodes_hide_nothing(tmp_path: Path) -> None:
    def node(name: bytes, op: bytes) -> bytes:
        inner = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(op)]) + op
        return b"\x0a" + bytes([len(inner)]) + inner

    many = b"".join(node(b"n%d" % number, b"DecodeRaw") for number in range(12_000))
    (tmp_path / "g.pb").write_bytes(many + node(b"run", b"PyFunc") + node(b"write", b"WriteFile"))
    found = unsafe(tmp_path / "g.pb")
    assert {"code-operator", "file-write-operator", "decode-operator"} <= set(found)
    assert "12,000 nodes" in found["decode-operator"][0].message


def test_an_operator_that_holds_a_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "g.pb").write_bytes(b"\x0a\x12\x0a\x01x\x12\x0dXlaCallModule")
    assert unsafe(tmp_path / "g.pb")["xla-program"][0].severity == "note"
