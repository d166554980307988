"""Build the protobuf package's message classes from our schema, in its own pool.

TensorFlow registers messages of the same names in the package's default pool; a second registration there
would end in an error, whichever came first. A private pool knows nothing of it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from modelinspect.encodings.protobuf.schema import Field, MessageType, Schema, message, schema
from modelinspect.errors import FormatError, InvariantError

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

PACKAGES = (
    "google.protobuf",
    "tensorflow.error",
    "tensorflow.proto_splitter",
    "tensorflow",
    "third_party.py.tf_keras.protobuf",
    "proto_splitter",
)
"""The packages of the schema, each after those that it needs."""


def message_class(name: str) -> type[Message]:
    """Return the class of a message: by its full name, or its name in the package ``tensorflow``.

    Raises `KeyError`.
    """
    return _class(message(name).name)


def parse_message(name: str, data: bytes, member: str = "", offset: int | None = None) -> Message:
    """Parse the bytes of a message with the protobuf package. Raises `FormatError`."""
    from google.protobuf.message import DecodeError

    parsed = message_class(name)()
    try:
        parsed.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        raise FormatError(
            f"these {len(data):,} bytes are no {message(name).name}: {error}", member, offset
        ) from error
    return parsed


@cache
def _class(name: str) -> type[Message]:
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def _pool() -> DescriptorPool:
    from google.protobuf.descriptor_pool import DescriptorPool

    pool = DescriptorPool()
    for file in descriptor_files(schema()):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def descriptor_files(tables: Schema) -> list[FileDescriptorProto]:
    """Describe the schema as the protobuf package wants it: a file for each package."""
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    files: list[FileDescriptorProto] = []
    for package in PACKAGES:
        file = FileDescriptorProto(name=f"modelinspect/{package}.proto", package=package, syntax="proto3")
        file.dependency.extend(known.name for known in files)
        files.append(file)
    by_package = {file.package: file for file in files}
    made: dict[str, DescriptorProto] = {}
    for name in sorted(tables.messages, key=lambda name: (name.count("."), name)):
        outer, _, inner = name.rpartition(".")
        place = made[outer].nested_type if outer in made else by_package[outer].message_type
        made[name] = place.add(name=inner)
    for name, descriptor in made.items():
        _describe(tables.messages[name], descriptor)
    for name, enum in tables.enums.items():
        outer, _, inner = name.rpartition(".")
        enum_type = (
            made[outer].enum_type.add(name=inner)
            if outer in made
            else by_package[outer].enum_type.add(name=inner)
        )
        enum_type.options.allow_alias = False
        for number, value in sorted(enum.values.items(), key=lambda item: (item[0] != 0, item[0])):
            enum_type.value.add(name=value, number=number)
    return files


def _describe(type_: MessageType, descriptor: DescriptorProto) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    groups: dict[str, int] = {}
    for field in type_.fields.values():
        made = descriptor.field.add(name=field.name, number=field.number)
        made.label = (
            FieldDescriptorProto.LABEL_REPEATED if field.repeated else FieldDescriptorProto.LABEL_OPTIONAL
        )
        if field.message is not None:
            made.type = FieldDescriptorProto.TYPE_MESSAGE
            made.type_name = f".{field.message.name}"
            if field.message.is_entry:
                entry = descriptor.nested_type.add(name=field.message.name.rpartition(".")[2])
                entry.options.map_entry = True
                _describe(field.message, entry)
        elif field.enum is not None:
            made.type = FieldDescriptorProto.TYPE_ENUM
            made.type_name = f".{field.enum.name}"
        else:
            made.type = _scalar(field)
        if field.oneof is not None:
            if field.oneof not in groups:
                groups[field.oneof] = len(descriptor.oneof_decl)
                descriptor.oneof_decl.add(name=field.oneof)
            made.oneof_index = groups[field.oneof]


def _scalar(field: Field) -> FieldDescriptorProto.Type.ValueType:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    kind: FieldDescriptorProto.Type.ValueType | None = getattr(
        FieldDescriptorProto, f"TYPE_{field.type.upper()}", None
    )
    if kind is None:
        raise InvariantError(f"field {field.name} has the type {field.type}, which the tables do not list")
    return kind
