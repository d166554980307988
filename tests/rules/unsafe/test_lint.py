"""Each rule about unsafe content finds what was made for it, where it stands, and nothing in what is
harmless.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
import zipfile
import zlib
from pathlib import Path

import h5py
import pytest

import modelinspect
from modelinspect.analyses.lint import lint_artifact
from modelinspect.core.limits import Limits
from modelinspect.errors import ModelInspectError, UsageError
from modelinspect.formats.graph.core_ops import core_ops
from modelinspect.formats.registry import parse
from modelinspect.measure.free import find_hidden
from modelinspect.networks.subject import Subject
from modelinspect.reports.lint import LintFinding
from modelinspect.rules.base import Group
from modelinspect.rules.registry import choose, unsafe_rules
from modelinspect.rules.unsafe.odd_bytes import looks_like
from modelinspect.rules.unsafe.operator_table import OPERATORS
from tests.support.fixtures import fixture_names, fixture_path
from tests.support.hostile import load, mutations, with_bytes

FOUND = {
    "checksum.h5": {"checksum", "unread-bytes"},
    "config_import.keras": {"config-import", "lambda-layer"},
    "crc.keras": {"checksum", "lambda-layer"},
    "custom.tflite": {"custom-operator"},
    "custom_object.keras": {"custom-object"},
    "decode_raw.pb": {"decode-operator"},
    "eager_py_func.pb": {"code-operator"},
    "external_link.h5": {"external-link"},
    "external_storage.h5": {"external-storage"},
    "external_weights.keras": {"external-storage"},
    "flex_read_file.tflite": {"file-read-operator"},
    "hidden.h5": {"hidden-content"},
    "lambda_keras3.h5": {"lambda-code"},
    "lambda_keras3.keras": {"lambda-code"},
    "lambda_named.keras": {"lambda-layer"},
    "lambda_savedmodel": {"lambda-code"},
    "lambda_tf_keras.h5": {"lambda-code"},
    "matching_files.pb": {"file-read-operator"},
    "print.pb": {"print-operator"},
    "print_to_file.pb": {"file-write-operator"},
    "py_func.pb": {"code-operator"},
    "py_func.pbtxt": {"code-operator"},
    "read_file.pb": {"file-read-operator"},
    "reading_function": {"file-read-operator"},
    "save_outside.pb": {"checkpoint-operator"},
    "tar_slip.tar": {"path-outside", "archive-link", "custom-operator"},
    "tfjs": {"path-outside", "file-read-operator", "incomplete"},
    "trailing.h5": {"trailing-data"},
    "twice.keras": {"lambda-code", "lambda-layer", "ambiguous-archive"},
    "virtual.h5": {"virtual-dataset"},
    "write_file.pb": {"file-write-operator"},
    "zip_slip.zip": {"path-outside", "custom-operator"},
}
"""What each fixture of ``fixtures/unsafe`` was made for."""
MODELS = ("mlp", "saved_model", "keras_hdf5", "keras_zip")
ELSEWHERE = {
    *(
        "archive-bomb",
        "asset-code",
        "asset-operator",
        "config-file",
        "flex-operator",
        "load-call",
        "network-operator",
    ),
    *("pickled-array", "template-code", "template-load", "unknown-call", "unread-operator", "xla-program"),
}
"""Rules whose example is another fixture, or made here."""


def found(path: Path | str, *select: str) -> dict[str, list[LintFinding]]:
    by_rule: dict[str, list[LintFinding]] = {}
    for finding in modelinspect.lint(path, select=select or ("unsafe",)).findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


@pytest.mark.parametrize("name", FOUND)
def test_every_unsafe_fixture_is_found_for_what_it_is_and_for_nothing_else(name: str) -> None:
    assert set(found(fixture_path(f"unsafe/{name}"))) == FOUND[name]


def test_every_unsafe_fixture_is_in_the_list_and_every_rule_has_an_example() -> None:
    assert {name.removeprefix("unsafe/") for name in fixture_names(under="unsafe/")} == set(FOUND)
    assert {rule.id for rule in unsafe_rules()} == {
        rule for rules in FOUND.values() for rule in rules
    } | ELSEWHERE


@pytest.mark.parametrize(
    "name", [name for name in fixture_names() if name.split("/")[0] in MODELS and "streamed" not in name]
)
def test_models_as_they_are_saved_have_nothing_unsafe(name: str) -> None:
    rules = {rule for rule, findings in found(fixture_path(name)).items() if findings[0].severity != "note"}
    known = {
        "no_weights": {"incomplete", "unread-bytes"},
        "npz": {"pickled-array"},
    }  # Keras pickles what it puts into an .npz
    assert rules <= next((allowed for part, allowed in known.items() if part in name), set())


@pytest.mark.parametrize(
    ("name", "rule", "text"),
    [
        ("lambda_tf_keras.h5", "lambda-code", b'"4wEAAA'),
        ("lambda_keras3.keras", "lambda-code", b'"4wEAAA'),
        ("config_import.keras", "config-import", b'"os"'),
        ("py_func.pb", "code-operator", b"PyFunc"),
        ("external_link.h5", "external-link", b"../secret.h5"),
        ("flex_read_file.tflite", "file-read-operator", b"FlexReadFile"),
        ("hidden.h5", "hidden-content", b"#!/bin/sh"),
        ("trailing.h5", "trailing-data", b"PK\x03\x04"),
        ("zip_slip.zip", "path-outside", None),
    ],
)
def test_a_finding_names_the_bytes_that_it_is_about(name: str, rule: str, text: bytes | None) -> None:
    path = fixture_path(f"unsafe/{name}")
    finding = found(path)[rule][0]
    assert finding.member == path.name
    assert finding.offset is not None
    data = path.read_bytes()
    if text is None:
        assert data[finding.offset :].startswith(b"PK\x03\x04")
    else:
        assert finding.size is not None
        assert text in data[finding.offset : finding.offset + finding.size]


def test_the_length_of_byte_code_is_that_of_its_base64() -> None:
    path = fixture_path("unsafe/lambda_keras3.keras")
    config = json.loads(zipfile.ZipFile(path).read("config.json"))
    code = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Lambda")["config"][
        "function"
    ]["config"]["code"]
    assert base64.b64decode(code)
    assert found(path)["lambda-code"][0].bytes == len(code)


def test_content_is_found_through_two_wrappings(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(fixture_path("unsafe/lambda_tf_keras.h5"), "model.h5")
    path = tmp_path / "model.zip.gz"
    path.write_bytes(gzip.compress(packed.getvalue()))
    assert found(path)["lambda-code"][0].offset == 0


def test_an_archive_bomb_is_a_finding_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite.gz"
    path.write_bytes(gzip.compress(bytes(4 << 20)))
    report = modelinspect.lint(path, limits=Limits(large_size=1 << 20))
    assert [finding.rule for finding in report.findings] == ["archive-bomb"]
    assert report.artifact.size == path.stat().st_size
    assert report.artifact.format == ""


def test_a_layer_that_reads_a_file_when_it_is_loaded_is_found(tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}
    layer = {
        "class_name": "StringLookup",
        "config": {"name": "words", "vocabulary": "https://example.com/words.txt"},
    }
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({**config, "config": {"name": "s", "layers": [layer]}})
    assert "https://example.com/words.txt" in found(tmp_path / "m.h5")["config-file"][0].message


@pytest.mark.parametrize("library", ["earliest", "latest"])
@pytest.mark.parametrize("size", [10, 70_000])
def test_code_is_found_wherever_hdf5_puts_the_attribute(tmp_path: Path, library: str, size: int) -> None:
    code = base64.b64encode(b"x" * size).decode()
    layer = {
        "class_name": "Lambda",
        "config": {"name": "l", "function": [code, None, None], "function_type": "lambda"},
    }
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}})
    with h5py.File(tmp_path / "m.h5", "w", libver=library) as file:
        for number in range(20):  # many attributes stand in a heap
            file.attrs[f"other {number}"] = number
        file.attrs["model_config"] = text
    finding = found(tmp_path / "m.h5")["lambda-code"][0]
    assert finding.bytes == len(code)
    assert finding.offset is not None
    assert finding.size is not None
    assert (tmp_path / "m.h5").read_bytes()[finding.offset : finding.offset + finding.size] == json.dumps(
        code
    ).encode()


def test_programs_among_the_assets_are_found(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(fixture_path("unsafe/custom.tflite"), "model.tflite")
        archive.writestr("setup.py", "print('hello')")
        archive.writestr("labels.txt", "cat")
    assert [finding.message.split()[0] for finding in found(path)["asset-code"]] == ["setup.py"]


def test_operators_of_the_network_and_of_assets_are_told_apart(tmp_path: Path) -> None:
    def node(name: bytes, op: bytes) -> bytes:
        inner = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(op)]) + op
        return b"\x0a" + bytes([len(inner)]) + inner

    (tmp_path / "g.pb").write_bytes(
        node(b"x", b"Placeholder") + node(b"a", b"RpcCall") + node(b"b", b"InitializeTableFromTextFileV2")
    )
    rules = found(tmp_path / "g.pb")
    assert set(rules) == {"network-operator", "asset-operator"}
    assert rules["network-operator"][0].severity == "error"
    assert rules["asset-operator"][0].severity == "note"


def test_a_broken_graph_is_searched_for_operators(tmp_path: Path) -> None:
    data = fixture_path("unsafe/write_file.pb").read_bytes()
    whole = data.index(b"WriteFile")
    (tmp_path / "saved_model.pb").write_bytes(b"\x12" + bytes([200]) + data[whole - 10 : whole + 20])
    assert "unread-operator" in found(tmp_path / "saved_model.pb")


@pytest.mark.parametrize("name", fixture_names(under="checkpoint"))
def test_the_tensors_of_sound_checkpoints_fit_their_checksums(name: str) -> None:
    assert "checksum" not in found(fixture_path(name))


def test_a_changed_byte_of_a_checkpoint_is_found_by_its_checksum(tmp_path: Path) -> None:
    shutil.copytree(fixture_path("saved_model/affine"), tmp_path / "m")
    shard = next((tmp_path / "m" / "variables").glob("*.data-*"))
    tensor = next(
        one
        for one in modelinspect.open(tmp_path / "m").tensors
        if one.dtype.bits and one.extents and "variables" in one.extents[0].member
    )
    data = bytearray(shard.read_bytes())
    data[tensor.extents[0].span.offset] ^= 1
    shard.write_bytes(data)
    finding = found(tmp_path / "m")["checksum"][0]
    assert tensor.name.split("/")[0] in finding.message
    assert (finding.member, finding.offset) == (f"variables/{shard.name}", tensor.extents[0].span.offset)
    assert "checksum" not in {one.rule for one in modelinspect.lint(tmp_path / "m", measure=False).findings}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_changed_bytes_give_a_report_or_an_error_that_says_why(name: str) -> None:
    plain, chosen = load(fixture_path(f"unsafe/{name}")), choose(["unsafe"])
    for member in plain.names() if plain.primary is None else (plain.primary,):
        for data in mutations(plain._files[member], 25, zlib.crc32(name.encode())):
            files = with_bytes(plain, member, data)
            try:
                artifact = parse(files)
            except ModelInspectError:
                continue
            lint_artifact(
                Subject(artifact, hidden=find_hidden(artifact, files), open_files=files), chosen
            ).to_dict()


def test_a_broken_text_is_searched_for_operators(tmp_path: Path) -> None:
    text = fixture_path("unsafe/py_func.pbtxt").read_text()
    (tmp_path / "g.pbtxt").write_text("node { name: 'a' op: 'Const' }\n}}\n" + text)
    assert "unread-operator" in found(tmp_path / "g.pbtxt")


def test_a_configuration_that_is_no_json_is_said_not_to_be_checked(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential", '
        file.attrs["keras_version"] = "2.0"
    assert "not readable as JSON" in found(tmp_path / "m.h5")["unread-bytes"][0].message


def test_savers_may_save(tmp_path: Path) -> None:
    assert "checkpoint-operator" not in found(fixture_path("saved_model/affine"))


def test_the_flex_operators_of_a_harmless_model_are_a_note() -> None:
    assert [finding.severity for finding in found(fixture_path("tflite/flex.tflite"))["flex-operator"]] == [
        "note"
    ]


def test_the_table_lists_operators_that_tensorflow_has() -> None:
    """Those that it has not are of its former or neighbouring packages, or of nobody: named so that they
    stand out.
    """
    unknown = set(OPERATORS) - core_ops()
    assert len(unknown) < 50
    assert {"PyFunc", "ReadFile", "WriteFile", "PrintV2", "EagerPyFunc"} <= core_ops() & set(OPERATORS)


def test_rules_are_chosen_by_id_pattern_and_group() -> None:
    assert [rule.id for rule in choose(["external-*"])] == ["external-link", "external-storage"]
    assert {rule.group for rule in choose(["wasteful"])} == {Group.WASTEFUL}
    assert "checksum" not in {rule.id for rule in choose([], ["checksum"])}
    with pytest.raises(UsageError, match="did you mean checksum"):
        choose(["cheksum"])


def test_rules_are_sorted_and_give_a_reason() -> None:
    rules = unsafe_rules()
    assert [rule.id for rule in rules] == sorted(rule.id for rule in rules)
    assert all(rule.reason.endswith((".", ")")) for rule in rules)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x7fELF\2\1\1", "a Linux program"),
        (b"\x80\x04\x95abc.", "a pickle"),
        (b"__import__('os')", "Python or shell code"),
        (bytes(9), ""),
    ],
)
def test_bytes_are_told_by_how_they_begin(data: bytes, name: str) -> None:
    assert looks_like(data) == name


def test_the_same_trouble_at_many_places_of_a_cut_file_is_one_finding(tmp_path: Path) -> None:
    data = fixture_path("tflite/control_flow.tflite").read_bytes()
    cut = tmp_path / "cut.tflite"
    for tenths in range(1, 10):
        cut.write_bytes(data[: len(data) * tenths // 10])
        messages = [
            finding.message.partition(";")[0]
            for finding in modelinspect.lint(cut).findings
            if finding.rule == "incomplete"
        ]
        assert len(messages) == len(set(messages)), tenths
        assert messages
