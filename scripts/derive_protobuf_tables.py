"""Derive the protocol buffer tables of TensorFlow artifacts from TensorFlow's own descriptors.

usage: python scripts/derive_protobuf_tables.py [--check]

The result is ``src/modelinspect/encodings/protobuf/tables.txt``. It lists the messages and enumerations that
are in it now; to add one, write its ``message NAME`` line there and run this. ``--check`` writes nothing and
exits with 1 where the file is not up to date.

A line ``message NAME`` begins a message, ``enum NAME`` an enumeration. Each line below it is a field (number,
name, type) or a value (number, name). A type may have ``repeated`` or ``oneof GROUP`` before it; ``map<K,
V>`` is a repeated entry message with ``key = 1`` and ``value = 2``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

TABLES = (
    Path(__file__).resolve().parents[1] / "src" / "modelinspect" / "encodings" / "protobuf" / "tables.txt"
)
FOREIGN = ("saved_metadata", "profiler")
"""Messages of tf_keras, which the pool of TensorFlow does not have, stay as they are."""


def main() -> int:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    old = TABLES.read_text(encoding="utf-8")
    new = derive(old)
    if options.check:
        print("up to date" if new == old else "out of date; run: python scripts/derive_protobuf_tables.py")
        return int(new != old)
    TABLES.write_text(new, encoding="utf-8")
    return 0


def derive(old: str) -> str:
    """Return the tables of the messages and enumerations that a text lists."""
    pool = _pool()
    parts = []
    for block in _blocks(old):
        kind, name = block[0].split()
        try:
            parts.append(
                _enum(pool.FindEnumTypeByName(name))
                if kind == "enum"
                else _message(pool.FindMessageTypeByName(name))
            )
        except KeyError:
            parts.append("".join(f"{line}\n" for line in block))
    return "".join(parts)


def _blocks(text: str) -> list[list[str]]:
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(("message ", "enum ")):
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _pool() -> Any:
    """Return the descriptor pool once every message of TensorFlow (and of Keras, where it is there) is in
    it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from google.protobuf import descriptor_pool

    for package in ("tensorflow.core.framework", "tensorflow.core.protobuf", "tf_keras.protobuf"):
        try:
            folder = importlib.import_module(package)
        except ImportError:
            continue
        for module in pkgutil.iter_modules(folder.__path__):
            if module.name.endswith("_pb2"):
                importlib.import_module(f"{package}.{module.name}")
    return descriptor_pool.Default()


def _message(message: Any) -> str:
    rows = [
        f"  {field.number} {field.name} {_label(field)}{_type(field)}\n"
        for field in sorted(message.fields, key=lambda f: f.number)
    ]
    return f"message {message.full_name}\n" + "".join(rows)


def _enum(enum: Any) -> str:
    return f"enum {enum.full_name}\n" + "".join(f"  {value.number} {value.name}\n" for value in enum.values)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _label(field: Any) -> str:
    if _is_map(field):
        return ""
    if field.is_repeated:
        return "repeated "
    group = field.containing_oneof
    return f"oneof {group.name} " if group is not None and not group.name.startswith("_") else ""


def _type(field: Any) -> str:
    if _is_map(field):
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        return f"map<{_type(key)}, {_type(value)}>"
    if field.message_type is not None:
        return str(field.message_type.full_name)
    if field.enum_type is not None:
        return str(field.enum_type.full_name)
    return _SCALARS[field.type]


_SCALARS = {
    1: "double",
    2: "float",
    3: "int64",
    4: "uint64",
    5: "int32",
    6: "fixed64",
    7: "fixed32",
    8: "bool",
    9: "string",
    12: "bytes",
    13: "uint32",
    15: "sfixed32",
    16: "sfixed64",
    17: "sint32",
    18: "sint64",
}
"""Names of FieldDescriptorProto.Type."""

if __name__ == "__main__":
    sys.exit(main())
