"""Holds the schema as data against what flatc generated for the installed TensorFlow, and the script that
derives it.
"""

from __future__ import annotations

import importlib.util
import json
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers
import pytest
from tests.support.corpus import PROJECT

from modelinspect.encodings.flatbuffers.schema import Shape
from modelinspect.encodings.flatbuffers.sheet import Sheet
from modelinspect.encodings.flatbuffers.tables import Reader
from modelinspect.formats.tflite.schema import dtype_of, schema
from modelinspect.sources.base import MemorySource

TEXT = files("modelinspect.formats.tflite").joinpath("schema.json").read_text()
HELD = json.loads(TEXT)


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "derive_tflite_schema", PROJECT / "scripts" / "derive_tflite_schema.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generated(name: str) -> Path:
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.origin is None:
        pytest.skip("TensorFlow is not installed")
    return Path(found.origin).parent / "lite" / "python" / f"{name}.py"


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("name", "file"),
    [("model", "schema_py_generated"), ("conversion", "conversion_metadata_schema_py_generated")],
)
def test_the_schema_holds_every_table_field_and_enum_of_the_installed_tensorflow(
    name: str, file: str
) -> None:
    theirs = script().derive(generated(file).read_text(), python=True)
    ours = HELD[name]
    assert set(theirs["tables"]) <= set(ours["tables"])
    for table, fields in theirs["tables"].items():
        assert ours["tables"][table][: len(fields)] == fields, table
    for union, members in theirs["unions"].items():
        assert ours["unions"][union][: len(members)] == members
    for enum, values in theirs["enums"].items():
        assert values.items() <= ours["enums"][enum].items(), enum


@pytest.mark.tensorflow
def test_numbers_that_the_generated_builder_writes_are_read_by_name() -> None:
    """The script reads the generated source; this runs it: every number of every table both know, written
    there and read here.
    """
    spec = importlib.util.spec_from_file_location("schema_py_generated", generated("schema_py_generated"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checked = 0
    for name, type in schema("model").tables.items():
        start = getattr(module, f"{name}Start", None)
        if start is None:
            continue
        adders = {key.lower(): getattr(module, key) for key in dir(module) if key.startswith(f"{name}Add")}
        numbers = {}
        builder = flatbuffers.Builder(64)
        start(builder)
        for field in type.fields:
            add = adders.get(f"{name}Add{field.name.replace('_', '')}".lower())
            if field.shape is Shape.SCALAR and not field.vector and add is not None:
                numbers[field.name] = (
                    True
                    if field.target == "bool"
                    else 1.5
                    if field.target in ("float", "double")
                    else 3 + field.slot
                )
                add(builder, numbers[field.name])
        builder.Finish(getattr(module, f"{name}End")(builder))
        data = bytes(builder.Output())
        table = Reader(Sheet(MemorySource(data)), schema("model")).table(
            int.from_bytes(data[:4], "little"), name
        )
        assert {key: table.value(key) for key in numbers} == numbers, name
        checked += len(numbers)
    assert checked > 200


@pytest.mark.tensorflow
def test_defaults_are_those_of_the_generated_classes() -> None:
    spec = importlib.util.spec_from_file_location("schema_py_generated", generated("schema_py_generated"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, type in schema("model").tables.items():
        empty: Any = getattr(module, f"{name}T", None)
        if empty is None:
            continue
        theirs = {key.lower(): value for key, value in vars(empty()).items()}
        for field in type.fields:
            key = field.name.replace("_", "")
            if field.shape is Shape.SCALAR and not field.vector and key in theirs:
                assert field.default == theirs[key], (name, field.name)


def test_what_newer_files_hold_is_named() -> None:
    tables = HELD["model"]["tables"]
    assert ["external_buffer", "uint"] in tables["Tensor"]
    assert [field[0] for field in tables["MultiAxisQuantization"]] == [
        "scales",
        "zero_points",
        "block_size",
        "quantized_dimensions",
    ]
    assert HELD["model"]["unions"]["QuantizationDetails"][3] == "MultiAxisQuantization"
    assert [str(dtype_of(code)) for code in (17, 18, 19, 20, 21, 22)] == [
        "int4",
        "bfloat16",
        "int2",
        "uint4",
        "float8_e4m3fn",
        "float8_e5m2",
    ]


def test_a_type_that_nobody_knows_has_a_name() -> None:
    assert str(dtype_of(99)) == "TensorType 99"
    assert dtype_of(99).bits == 0


def test_the_script_reads_the_schema_language() -> None:
    text = """
    // a comment
    namespace x; file_identifier "ABCD";
    enum Color : byte { RED = 1, GREEN, BLUE = 7 }
    union Any { Leaf, Tree }
    table Leaf { size:uint = 3; old:int (deprecated); color:Color; }
    table Tree { name:string; leaves:[Leaf]; any:Any; all:[Any]; data:[ubyte] (force_align: 16); big:bool = true; }
    root_type Tree;
    """  # noqa: E501
    found = script().derive(text, python=False)
    assert (found["root"], found["identifier"]) == ("Tree", "ABCD")
    assert found["enums"] == {"Color": {"RED": 1, "GREEN": 2, "BLUE": 7}}
    assert found["unions"] == {"Any": ["NONE", "Leaf", "Tree"]}
    assert found["tables"]["Leaf"] == [["size", "uint", 3], ["old", "int"], ["color", "byte"]]
    assert found["tables"]["Tree"] == [
        ["name", "string"],
        ["leaves", "[Leaf]"],
        ["any_type", "ubyte"],
        ["any", "union Any"],
        ["all_type", "[ubyte]"],
        ["all", "[union Any]"],
        ["data", "[ubyte] 16"],
        ["big", "bool", True],
    ]


def test_the_data_are_as_the_script_writes_them() -> None:
    assert script().dump(HELD) == TEXT.rstrip("\n")
