"""The schema against TensorFlow's own descriptors, and the private classes beside TensorFlow's."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from tests.support.corpus import PROJECT

from modelinspect.encodings.protobuf import message, message_class, parse_message, schema
from modelinspect.encodings.protobuf.schema import SCALARS
from modelinspect.errors import FormatError

NOT_IN_TENSORFLOW = {name for name in schema().messages if "proto_splitter" in name}
"""Messages of tensorflow/tools/proto_splitter, which the Python package does not carry."""


@cache
def descriptors() -> Any:
    pytest.importorskip("tensorflow")
    import tensorflow.core.protobuf.fingerprint_pb2
    import tensorflow.core.protobuf.tensor_bundle_pb2
    import tensorflow.core.util.saved_tensor_slice_pb2  # noqa: F401
    import tf_keras.protobuf.saved_metadata_pb2  # noqa: F401
    from google.protobuf import descriptor_pool

    return descriptor_pool.Default()


def type_name(field: Any) -> str:
    if field.message_type is not None:
        return str(field.message_type.full_name)
    if field.enum_type is not None:
        return str(field.enum_type.full_name)
    names = {getattr(type(field), f"TYPE_{name.upper()}"): name for name in SCALARS}
    return names[field.type]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", sorted(set(schema().messages) - NOT_IN_TENSORFLOW))
def test_every_field_is_tensorflows(name: str) -> None:
    theirs = descriptors().FindMessageTypeByName(name)
    ours = schema().messages[name]
    assert {f.number: f.name for f in theirs.fields} == {f.number: f.name for f in ours.fields.values()}
    for field in theirs.fields:
        mine = ours.fields[field.number]
        assert mine.repeated == field.is_repeated, field.full_name
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        assert (mine.message is not None and mine.message.is_entry) == is_map, field.full_name
        if is_map:
            assert mine.message is not None
            entry = field.message_type.fields_by_number
            assert [mine.message.fields[n].type for n in (1, 2)] == [type_name(entry[n]) for n in (1, 2)], (
                field.full_name
            )
        else:
            assert mine.type == type_name(field), field.full_name
        assert (mine.oneof is not None) == (field.containing_oneof is not None), field.full_name


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", sorted(name for name in schema().enums if "proto_splitter" not in name))
def test_every_enumeration_is_tensorflows(name: str) -> None:
    theirs = descriptors().FindEnumTypeByName(name)
    assert {value.number: value.name for value in theirs.values} == dict(schema().enums[name].values)


def test_a_name_without_a_package_is_tensorflows() -> None:
    assert message("NodeDef").name == "tensorflow.NodeDef"
    assert message("google.protobuf.Any").by_name["type_url"].number == 1
    with pytest.raises(KeyError):
        message("NoSuchMessage")


def test_every_message_has_a_private_class() -> None:
    for name in schema().messages:
        assert message_class(name).DESCRIPTOR.full_name == name


def test_bytes_that_are_no_message_raise_a_format_error() -> None:
    with pytest.raises(FormatError, match=r"no tensorflow\.NodeDef"):
        parse_message("NodeDef", b"\x0a\x05ab", "graph.pb", 7)


OURS = (
    "from modelinspect.encodings.protobuf import message_class; C = message_class('GraphDef'); m = C();"
    " m.node.add().name = 'a'"
)
THEIRS = "import tensorflow.core.framework.graph_pb2 as g; t = g.GraphDef(); t.node.add().name = 'a'"


@pytest.mark.tensorflow
@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "theirs first"])
def test_the_classes_live_beside_tensorflows(order: tuple[str, str]) -> None:
    code = "\n".join(
        [*order, "assert m.SerializeToString() == t.SerializeToString(); assert type(m) is not type(t)"]
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["derive_protobuf_tables", "derive_core_ops"])
def test_the_lists_of_the_package_are_what_tensorflow_says(name: str) -> None:
    pytest.importorskip("tensorflow")
    script = PROJECT / "scripts" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout
