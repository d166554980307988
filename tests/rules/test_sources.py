"""Meaning is a type: no rule and no analysis decides by the words of a message."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelinspect

_SOURCES = Path(modelinspect.__file__).parent
_TEXTS = frozenset(("problem", "message", "reason", "payload_note", "notes", "words"))
"""Attributes and variables that hold sentences for people."""
_TESTS = frozenset(
    (
        "startswith",
        "endswith",
        "find",
        "index",
        "count",
        "partition",
        "rpartition",
        "split",
        "removeprefix",
        "removesuffix",
    )
)
_REGULAR = frozenset(("search", "match", "fullmatch", "findall", "finditer"))


def _files() -> list[Path]:
    return sorted(
        path
        for folder in ("rules", "analyses", "remedies", "networks")
        for path in (_SOURCES / folder).rglob("*.py")
    )


def _is_text(node: ast.expr) -> bool:
    """Return whether an expression is a text for people, also lowered or made a string."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in _TEXTS
        case ast.Call(func=ast.Attribute(value=inner, attr="lower" | "casefold" | "strip")):
            return _is_text(inner)
        case ast.Call(func=ast.Name(id="str"), args=[inner]):
            return _is_text(inner) or (isinstance(inner, ast.Name) and inner.id in ("error", "diagnostic"))
        case _:
            return False


def _readings(tree: ast.AST) -> Iterator[int]:
    """Yield the lines in which a text for people is searched, or compared with a part of one."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                for operator, before, after in zip(ops, sides, sides[1:], strict=False):
                    is_within = isinstance(operator, ast.In | ast.NotIn) and _is_text(after)
                    is_equal = isinstance(operator, ast.Eq | ast.NotEq) and any(
                        _is_text(one) and isinstance(other, ast.Constant) and other.value != ""
                        for one, other in ((before, after), (after, before))
                    )
                    if is_within or is_equal:
                        yield node.lineno
            case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _TESTS and _is_text(value):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr=name), args=arguments) if name in _REGULAR and any(
                map(_is_text, arguments)
            ):
                yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        "if 'truncated' in found.problem: pass",
        "found.message.startswith('gone')",
        "re.search('zip', entry.problem)",
        "_PATTERN.search(str(error))",
        "if diagnostic.problem == 'no file': pass",
        "'x' in found.problem.lower()",
    ],
)
def test_reading_a_message_is_noticed(source: str) -> None:
    assert list(_readings(ast.parse(source))) == [1]


def test_no_rule_and_no_analysis_reads_a_message() -> None:
    found = [
        f"{path.relative_to(_SOURCES)}:{line}"
        for path in _files()
        for line in _readings(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []
