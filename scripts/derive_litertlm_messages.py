"""Write formats/litertlm/messages.txt: the fields of LiteRT-LM's metadata messages, from the descriptors of
litert-lm-builder.

usage: python scripts/derive_litertlm_messages.py
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

TARGET = (
    Path(__file__).resolve().parent.parent / "src" / "modelinspect" / "formats" / "litertlm" / "messages.txt"
)
MODULES = (
    "llm_metadata",
    "token",
    "sampler_params",
    "llm_model_type",
    "executor_metadata",
    "embedding_metadata",
    "embedding_model_type",
)


def text() -> str:
    """Return the table: a line for each message and enumeration, and one for each of their fields and
    values.
    """
    lines: list[str] = []
    for name in MODULES:
        file = import_module(f"litert_lm_builder.runtime.proto.{name}_pb2").DESCRIPTOR
        for message in file.message_types_by_name.values():
            lines += _message(message)
        for enum in file.enum_types_by_name.values():
            lines += _enum(enum)
    return "\n".join(lines) + "\n"


def _message(message: Any) -> Iterator[str]:
    yield f"message {message.full_name}"
    for field in sorted(message.fields, key=lambda field: field.number):
        yield f"  {field.number} {field.name} {_label(field)}{_type(field)}"
    for inner in message.nested_types:
        yield from _message(inner)
    for enum in message.enum_types:
        yield from _enum(enum)


def _enum(enum: Any) -> Iterator[str]:
    yield f"enum {enum.full_name}"
    yield from (f"  {value.number} {value.name}" for value in enum.values)


def _label(field: Any) -> str:
    if field.is_repeated:
        return "repeated "
    group = field.containing_oneof
    return f"oneof {group.name} " if group is not None and not group.name.startswith("_") else ""


def _type(field: Any) -> str:
    if field.message_type is not None:
        return str(field.message_type.full_name)
    if field.enum_type is not None:
        return str(field.enum_type.full_name)
    names = {
        getattr(type(field), name): name[5:].lower() for name in dir(type(field)) if name.startswith("TYPE_")
    }
    return str(names[field.type])


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(TARGET)
