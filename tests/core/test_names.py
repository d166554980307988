"""A name of a format and a file signature exist once: in `core.names` and `core.signatures`."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from enum import EnumType
from pathlib import Path

import pytest

import modelinspect
from modelinspect.core import names, signatures

_SOURCES = Path(modelinspect.__file__).parent
_HOME = ("core/names.py", "core/signatures.py")
_EXCEPT = ("remedies/", "core/facts.py")
"""Code that a person copies, and keys of facts, which happen to have the name of a file or field."""


def _names() -> dict[str, str]:
    """Return every name of `core.names` with what it is called there."""
    found: dict[str, str] = {}
    for key, value in vars(names).items():
        if key.isupper() and isinstance(value, str):
            found[value] = key
        elif isinstance(value, EnumType) and value.__module__ == names.__name__:
            found |= {str(member.value): f"{key}.{name}" for name, member in value.__members__.items()}
    return found


def _signatures() -> dict[bytes, str]:
    return {
        value: key for key, value in vars(signatures).items() if key.isupper() and isinstance(value, bytes)
    }


def _literals(tree: ast.AST) -> Iterator[str | bytes]:
    """Yield every text and every bytes of a module that is not a docstring; the parts of an f-string each."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str | bytes)
            and id(node) not in documentation
        ):
            yield node.value


def _modules() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(_SOURCES.rglob("*.py")):
        yield path.relative_to(_SOURCES).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _repeats(tree: ast.AST) -> list[str]:
    """Return the literals of a module that have a name elsewhere."""
    known, signs = _names(), _signatures()
    found: list[str] = []
    for literal in _literals(tree):
        if isinstance(literal, bytes):
            if literal in signs:
                found.append(f"signatures.{signs[literal]}")
                continue
            literal = literal.decode("latin-1")
        bare = literal.strip("/_") if literal.strip("/_") in known else literal
        if bare in known or ".ATTRIBUTES" in literal:
            found.append(f"names.{known.get(bare, 'ATTRIBUTES')}")
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = b'\\x89HDF\\r\\n\\x1a\\n'", ["signatures.HDF5"]),
        ("x = name.endswith('/.ATTRIBUTES/VARIABLE_VALUE')", ["names.KEY_END"]),
        ("x = f'prune_low_magnitude_{name}'", ["names.WrapperName.PRUNE"]),
        ("x = '/model_weights'", ["names.MODEL_WEIGHTS"]),
        ("x = b'CONVERSION_METADATA'", ["names.CONVERSION_METADATA"]),
        ("def f():\n    '''saved_model.pb'''", []),
    ],
)
def test_a_repeated_name_is_found(source: str, found: list[str]) -> None:
    assert _repeats(ast.parse(source)) == found


def test_names_and_signatures_exist_once() -> None:
    repeats = {
        module: found
        for module, tree in _modules()
        if module not in _HOME and not module.startswith(_EXCEPT) and (found := _repeats(tree))
    }
    assert not repeats, f"import them from core: {repeats}"


def test_no_two_modules_write_the_same_signature() -> None:
    modules: dict[bytes, set[str]] = defaultdict(set)
    for module, tree in _modules():
        for literal in _literals(tree):
            if isinstance(literal, bytes) and len(literal) > 2 and literal.strip(b"\0"):
                modules[literal].add(module)
    assert not {literal: found for literal, found in modules.items() if len(found) > 1}


def test_a_signature_and_a_name_have_one_meaning() -> None:
    assert len(_signatures()) == sum(
        isinstance(value, bytes) for key, value in vars(signatures).items() if key.isupper()
    )
