"""Derives the flatbuffer schemas of the TFLite format as data, from schema sources or from classes that flatc
generated.

::

    python scripts/derive_tflite_schema.py model=schema_py_generated.py metadata=metadata_schema.fbs ... >
    schema.json

Each argument is ``NAME=FILE``; the file is a ``.fbs`` source or Python that ``flatc --python
--gen-object-api`` wrote. The result is what ``formats/tflite/schema.json`` holds: for each name its root
table, file identifier, tables, unions and enums. A field is ``[name, type]`` or ``[name, type, default]``;
types are in the words of the schema language (``int``, ``string``, ``[Tensor]``), ``union U`` takes two slots
as flatbuffers say, and ``[ubyte] 16`` has a forced alignment.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

ALIASES = {
    "int8": "byte",
    "uint8": "ubyte",
    "int16": "short",
    "uint16": "ushort",
    "int32": "int",
    "uint32": "uint",
    "int64": "long",
    "uint64": "ulong",
    "float32": "float",
    "float64": "double",
}
SCALARS = {"bool", "byte", "ubyte", "short", "ushort", "int", "uint", "long", "ulong", "float", "double"}

# What flatc's Python does not say: alignments, fields that are deprecated, and where a field's name ends in
# "_2".
ALIGNMENTS = {
    ("CustomQuantization", "custom"): 16,
    ("Buffer", "data"): 16,
    ("Uint16Vector", "values"): 4,
    ("Uint8Vector", "values"): 4,
}
DEPRECATED = {
    ("ResizeBilinearOptions", 0): ["new_height", "int"],
    ("ResizeBilinearOptions", 1): ["new_width", "int"],
    ("SignatureDef", 3): ["deprecated_tag", "string"],
}
RENAMED = {
    "builtin_options2": "builtin_options_2",
    "builtin_options2_type": "builtin_options_2_type",
    "dilation_wfactor": "dilation_w_factor",
    "dilation_hfactor": "dilation_h_factor",
}
ROOTS = {"SignatureDef": "Model", "ConversionMetadata": "ConversionMetadata"}


def main(arguments: list[str]) -> int:
    """Print the schemas of the files that the arguments name."""
    if not arguments or any("=" not in argument for argument in arguments):
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    schemas = {}
    for argument in arguments:
        name, _, file = argument.partition("=")
        schemas[name] = derive(Path(file).read_text(encoding="utf-8"), python=file.endswith(".py"))
    print(dump(schemas))
    return 0


def derive(text: str, *, python: bool) -> Schema:
    """Turn a schema source, or generated Python, into data."""
    return from_python(text) if python else from_fbs(text)


def dump(schemas: dict[str, Schema]) -> str:
    """Write schemas with one line for each table, union and enum."""
    parts = []
    for name, schema in schemas.items():
        lines = [f'"root": {json.dumps(schema["root"])}, "identifier": {json.dumps(schema["identifier"])}']
        for key in ("tables", "unions", "enums"):
            rows = [
                f"  {json.dumps(table)}: {json.dumps(value)}" for table, value in sorted(schema[key].items())
            ]
            lines.append(f'"{key}": {{\n' + ",\n".join(rows) + "\n }" if rows else f'"{key}": {{}}')
        parts.append(f'"{name}": {{\n ' + ",\n ".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}"


def from_fbs(text: str) -> Schema:
    """Read the schema language."""
    text = re.sub(r"//[^\n]*", "", text)
    unions = {
        name: ["NONE", *names(body)] for name, body in re.findall(r"\bunion\s+(\w+)\s*\{([^}]*)\}", text)
    }
    enums = {
        name: values(body)
        for name, _, body in re.findall(r"\benum\s+(\w+)\s*:\s*(\w+)[^{]*\{([^}]*)\}", text)
    }
    bases = {
        name: ALIASES.get(base, base)
        for name, base, _ in re.findall(r"\benum\s+(\w+)\s*:\s*(\w+)[^{]*\{([^}]*)\}", text)
    }
    tables = {
        name: fields(body, unions, bases)
        for name, body in re.findall(r"\btable\s+(\w+)[^{]*\{([^}]*)\}", text)
    }
    root = re.search(r"\broot_type\s+(\w+)", text)
    identifier = re.search(r'\bfile_identifier\s+"(....)"', text)
    return {
        "root": root.group(1) if root else "",
        "identifier": identifier.group(1) if identifier else "",
        "tables": tables,
        "unions": unions,
        "enums": enums,
    }


def names(body: str) -> list[str]:
    """Return the members of a union."""
    return [part.split("=")[0].strip() for part in body.split(",") if part.strip()]


def values(body: str) -> dict[str, int]:
    """Return the values of an enum."""
    found: dict[str, int] = {}
    following = 0
    for part in (part for part in body.split(",") if part.strip()):
        name, _, number = part.partition("=")
        following = int(number, 0) if number.strip() else following
        found[name.strip()] = following
        following += 1
    return found


def fields(body: str, unions: dict[str, list[str]], bases: dict[str, str]) -> list[list[Any]]:
    """Return the fields of a table, in the order of their slots."""
    found: list[list[Any]] = []
    for declaration in (part.strip() for part in body.split(";")):
        match = re.match(
            r"(\w+)\s*:\s*(\[?)\s*([\w.]+)\s*\]?\s*(?:=\s*([^\s(]+))?\s*(?:\((.*)\))?$",
            declaration,
            re.DOTALL,
        )
        if match is None:
            continue
        name, vector, kind, default, attributes = match.groups()
        kind = kind.rpartition(".")[2]
        if kind in unions:
            found.append([f"{name}_type", "[ubyte]" if vector else "ubyte"])
            kind = f"union {kind}"
        kind = ALIASES.get(kind, bases.get(kind, kind))
        alignment = re.search(r"force_align\s*:\s*(\d+)", attributes or "")
        row: list[Any] = [
            name,
            (f"[{kind}]" if vector else kind) + (f" {alignment.group(1)}" if alignment else ""),
        ]
        if default not in (None, "0", "false", "null"):
            row.append(number(default))
        found.append(row)
    return found


def number(text: str | None) -> int | float | bool | str:
    """Return the value of a default; the name of an enum's value stays a name."""
    for kind in (int, float):
        try:
            return kind(text or "0")
        except ValueError:
            continue
    return text == "true" if text in ("true", "True", "False") else str(text)


def from_python(text: str) -> Schema:
    """Read classes that flatc generated with the object API."""
    bodies = dict(re.findall(r"^class (\w+)\(object\):\n(.*?)(?=^class |\Z)", text, re.DOTALL | re.MULTILINE))
    creators = set(re.findall(r"^def (\w+)Creator\(", text, re.MULTILINE))
    enumerations = {
        name: {key: int(value) for key, value in re.findall(r"^    (\w+) = (-?\d+)$", body, re.MULTILINE)}
        for name, body in bodies.items()
        if "_tab" not in body
        and f"class {name}T(object)" not in text
        and not (name.endswith("T") and name[:-1] in bodies)
    }
    unions = {name: list(enumerations[name]) for name in creators if name in enumerations}
    tables = {
        name: generated_fields(name, text, bodies)
        for name in bodies
        if re.search(rf"^def {name}Start\(", text, re.MULTILINE)
    }
    identifier = re.search(r'BufferHasIdentifier\(buf, offset, b"((?:\\x\w\w){4})"', text)
    return {
        "root": next((root for marker, root in ROOTS.items() if marker in tables), ""),
        "identifier": bytes.fromhex(identifier.group(1).replace("\\x", "")).decode() if identifier else "",
        "tables": tables,
        "unions": unions,
        "enums": {name: found for name, found in enumerations.items() if name not in unions},
    }


def generated_fields(name: str, text: str, bodies: dict[str, str]) -> list[list[Any]]:
    """Return the fields of a table from its accessors and its builder's functions."""
    start = text.index(f"\ndef {name}Start(")
    end = text.index(f"\ndef {name}End(")
    count = int(re.search(r"StartObject\((\d+)\)", text[start:]).group(1))  # type: ignore[union-attr]
    added = re.findall(
        rf"^def {name}Add(\w+)\(.*?\n    builder\.Prepend\w+Slot\((\d+), .*?, ([^,\n]+)\)$",
        text[start:end],
        re.MULTILINE,
    )
    slots: dict[int, list[Any]] = {}
    for field, slot, default in added:
        kind = generated_type(name, field, bodies)
        label = snake(field)
        alignment = ALIGNMENTS.get((name, label))
        row: list[Any] = [label, kind + (f" {alignment}" if alignment else "")]
        if default not in ("0", "0.0", "False"):
            row.append(number(default))
        slots[int(slot)] = row
    for slot in range(count):
        if slot not in slots:
            if (name, slot) not in DEPRECATED:
                raise SystemExit(
                    f"{name} has a slot {slot} that the generated Python does not name; say in DEPRECATED"
                    " what it is"
                )
            slots[slot] = DEPRECATED[name, slot]
    return [slots[slot] for slot in range(count)]


def generated_type(table: str, field: str, bodies: dict[str, str]) -> str:
    """Return the type of a field, as its accessor reads it."""
    accessor = re.search(rf"    def {field}\(self.*?(?=\n    # |\ndef |\Z)", bodies[table], re.DOTALL)
    if accessor is None:
        raise SystemExit(f"{table} has no accessor {field}")
    body = accessor.group(0)
    if "_tab.Union(" in body:
        attribute = field[0].lower() + field[1:]
        union = re.search(rf"self\.{attribute} = (\w+)Creator\(", bodies[f"{table}T"])
        return f"union {union.group(1)}" if union else "union"
    vector = "_tab.Vector(" in body
    if inner := re.search(r"obj = (\w+)\(\)", body):
        kind = inner.group(1)
    elif "_tab.String(" in body:
        kind = "string"
    else:
        flags = re.search(r"number_types\.(\w+)Flags, ", body)
        kind = ALIASES.get(flags.group(1).lower(), flags.group(1).lower()) if flags else "?"
    return f"[{kind}]" if vector else kind


def snake(name: str) -> str:
    """Return a name of the schema from flatc's way of writing it."""
    label = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return RENAMED.get(label, label)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
