"""Turn blocks and pictures into the plain values that the page's script draws; every name is made harmless
here.

Long columns are compressed, in characters that no markup can be made of.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from modelinspect.renderers.escape import plain, plain_lines
from modelinspect.renderers.hexdump import dump_lines
from modelinspect.renderers.layout import keep_numbers, worthwhile
from modelinspect.renderers.numbers import size_text
from modelinspect.reports.blocks import (
    Bars,
    Block,
    Cell,
    Column,
    Commands,
    Dump,
    Heading,
    Lines,
    Notes,
    Steps,
    Table,
)
from modelinspect.reports.pictures import Comparison, Picture, Ribbon, Tree

Plain = dict[str, Any]

_DUMP_WIDTH = 118
_NO_LINKS: Mapping[str, str] = {}
_LINKED = "location"
"""The key of the column whose cells are locations of models."""
_LONG_TABLE = 200
"""Rows from which on a table is packed."""


def drawn(block: Block | Picture, links: Mapping[str, str] = _NO_LINKS) -> Plain:
    """Return a block or picture as the page's script draws it; ``links`` are addresses of pages by
    location.
    """
    match block:
        case Heading():
            return _heading(block)
        case Bars():
            return _bars(block)
        case Steps():
            return _steps(block)
        case Table():
            return _table(block, links)
        case Notes():
            return _notes(block)
        case Lines():
            return {"type": "lines", "lines": [keep_numbers(plain(line.strip())) for line in block.lines]}
        case Commands():
            rows = [[plain(command.line), plain(command.purpose)] for command in block.commands]
            return {"type": "commands", "title": plain(block.title), "rows": rows}
        case Dump():
            lines = ("".join(text for text, _ in line).rstrip() for line in dump_lines(block, _DUMP_WIDTH))
            return {
                "type": "dump",
                "title": plain(block.title),
                "text": "\n".join(plain(line) for line in lines),
            }
        case Tree():
            return _tree(block)
        case Ribbon():
            return _ribbon(block)
        case Comparison():
            return _comparison(block)
        case _:
            assert_never(block)


def _heading(heading: Heading) -> Plain:
    details = [plain(detail) for detail in heading.details]
    return {
        "type": "heading",
        "subject": plain(heading.subject),
        "size": size_text(heading.size),
        "details": details,
    }


def _bars(bars: Bars) -> Plain:
    rows = [
        [plain(bar.label), _number(bar.size), None if bar.category is None else bar.category.code]
        for bar in bars.bars
    ]
    return {"type": "bars", "title": plain(bars.title), "total": _number(bars.total), "rows": rows}


def _steps(steps: Steps) -> Plain:
    rows = [[plain(step.label), _number(step.delta)] for step in steps.steps]
    return {
        "type": "steps",
        "title": plain(steps.title),
        "start": _number(steps.start),
        "end": _number(steps.end),
        "rows": rows,
    }


def _table(table: Table, links: Mapping[str, str]) -> Plain:
    rows = list(table.rows)
    kept = worthwhile([replace(column, machine_only=False) for column in table.columns], rows)
    columns = [_column(table.columns[index]) for index in kept]
    cells = [[_cell(row[index]) for row in rows] for index in kept]
    made: Plain = {"type": "table", "title": plain(table.title), "columns": columns, "count": len(rows)}
    made |= {"packed": _packed_json(cells)} if len(rows) > _LONG_TABLE else {"cells": cells}
    if table.rest is not None:
        made["rest"] = [_cell(table.rest[index]) for index in kept]
    for place, index in enumerate(kept):
        if table.columns[index].key == _LINKED and links:
            made["links"] = {"column": place, "rows": [links.get(str(row[index])) for row in rows]}
    return made


def _column(column: Column) -> list[str]:
    """Return the title and unit of a column, and ``bar`` for one whose numbers have bars."""
    return [plain(column.title), str(column.unit), *(["bar"] if column.bar else [])]


def _cell(cell: Cell) -> Cell:
    match cell:
        case None:
            return None
        case str():
            return plain(cell)
        case float():
            return round(cell, 9)
        case int():
            return _number(cell)


def _notes(notes: Notes) -> Plain:
    rows = [
        [
            plain(note.severity),
            plain(note.label),
            keep_numbers(plain(note.text)),
            keep_numbers(plain(note.remedy)),
            plain_lines(note.code),
        ]
        for note in notes.notes
    ]
    return {"type": "notes", "title": plain(notes.title), "rows": rows, "left": notes.left_out}


def _tree(tree: Tree) -> Plain:
    return {
        "type": "tree",
        "title": plain(tree.title),
        "levels": tree.levels,
        "packed": _packed_json(_tree_columns(tree)),
    }


def _tree_columns(tree: Tree) -> Plain:
    return {
        "labels": [plain(label) for label in tree.labels],
        "parents": tree.parents,
        "sizes": [_number(size) for size in tree.sizes],
        "categories": [-1 if category is None else category.code for category in tree.categories],
    }


def _comparison(comparison: Comparison) -> Plain:
    things = comparison.counterparts
    keys = {
        "labels": [plain(label) for label in things.labels],
        "kinds": things.kinds,
        "layers": [None if layer is None else plain(layer) for layer in things.layers],
        "before": [_number(size) for size in things.before],
        "after": [_number(size) for size in things.after],
        "leaf": [int(leaf) for leaf in things.leaf],
    }
    sides = [
        _tree_columns(comparison.before) | {"keys": comparison.before_keys},
        _tree_columns(comparison.after) | {"keys": comparison.after_keys},
    ]
    names = [plain(name) for name in comparison.names]
    return {
        "type": "compare",
        "title": plain(comparison.title),
        "names": names,
        "packed": _packed_json({"keys": keys, "sides": sides}),
    }


def _ribbon(ribbon: Ribbon) -> Plain:
    names = json.dumps(
        {
            "paths": [plain(name) for name in ribbon.path_names],
            "tensors": [plain(name) for name in ribbon.tensor_names],
        }
    )
    return {
        "type": "ribbon",
        "title": plain(ribbon.title),
        "count": len(ribbon),
        "files": [[plain(name), _number(size), runs] for name, size, runs in ribbon.files],
        "sizes": _packed(ribbon.sizes),
        "zeros": _packed(ribbon.zeros),
        "categories": _packed(ribbon.categories),
        "paths": _packed(ribbon.paths),
        "tensors": _packed(ribbon.tensors),
        "counts": _packed(ribbon.counts),
        "parents": _packed(ribbon.path_parents),
        "names": _packed(names.encode()),
    }


_LEVEL = 6
_IN_SCRIPT = re.compile("[<>&\u2028\u2029]")
_EXACT_IN_SCRIPTS = 2**53


def _packed(data: bytes, level: int = _LEVEL) -> str:
    """Return bytes compressed by gzip, in base64; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, level, mtime=0)).decode("ascii")


def _packed_json(value: Any) -> str:
    """Return a value as JSON, packed."""
    return _packed(as_json(value).encode())


def as_json(value: Any) -> str:
    """Return a value as JSON in ASCII that can be in a script element: it holds no character that markup
    begins with.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return _IN_SCRIPT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _number(value: int | float) -> int | float | str:
    """Return a number that a script reads exactly: a larger one as text."""
    return f"{value:,}" if isinstance(value, int) and abs(value) > _EXACT_IN_SCRIPTS else value
