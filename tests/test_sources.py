"""What the house rules say of every module: how long it is, and what it may catch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import modelinspect

_SOURCES = Path(modelinspect.__file__).parent
_MODULES = sorted(path.relative_to(_SOURCES).as_posix() for path in _SOURCES.rglob("*.py"))
_LONGEST = 400
_TABLES = frozenset({"remedies/table.py"})
"""Modules that are one table, which may be long."""
_CATCHES_ALL = {
    "pruning/worker/code.py": "the user's own code may raise anything",
    "pruning/worker/convert.py": (
        "TensorFlow's converter raises many kinds; each is its refusal, and is reported"
    ),
    "pruning/worker/keras_engine.py": "Keras raises every kind; all mean that it cannot load the file",
    "pruning/worker/tfmot_engine.py": "Keras raises every kind; all mean that it cannot load the file",
    "pruning/worker/saver.py": "converters raise every kind; a method that fails is a row with the reason",
    "scanning/looking.py": (
        "a mistake of ours in one of a hundred thousand models costs one row, which says so"
    ),
    "scanning/engine.py": "an executor of others, such as Dask, raises what its workers raise",
    "scanning/store.py": "a file system of fsspec raises the errors of whatever library it is on",
    "scanning/workers.py": "what a thread raises is raised again where its results are taken",
    "sources/remote.py": "a file system of fsspec raises the errors of whatever library it is on",
}
"""Every place that catches `Exception`, with its reason: other people's code, which documents no errors, and
rows of a scan.
"""
_LARGEST_SHARE = 0.20
"""Of the lines of the source in one folder."""


def _broad(tree: ast.AST) -> list[int]:
    """Return the lines that catch everything and do not raise it again after cleaning up."""
    caught = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    caught = [
        node for node in caught if not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]
    return [
        node.lineno
        for node in caught
        if node.type is None
        or any(
            isinstance(one, ast.Name) and one.id in ("Exception", "BaseException")
            for one in ast.walk(node.type)
        )
    ]


def _lines(module: str) -> int:
    return len((_SOURCES / module).read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("source", ["try: f()\nexcept: pass", "try: f()\nexcept (OSError, Exception): pass"])
def test_a_broad_handler_is_found(source: str) -> None:
    assert _broad(ast.parse(source)) == [2]


def test_only_the_listed_modules_catch_everything_each_once() -> None:
    found = {name: _broad(ast.parse((_SOURCES / name).read_text(encoding="utf-8"))) for name in _MODULES}
    assert {name: len(lines) for name, lines in found.items() if lines} == dict.fromkeys(_CATCHES_ALL, 1)


def test_no_module_is_longer_than_400_lines_but_tables() -> None:
    assert {name for name in _MODULES if _lines(name) > _LONGEST} <= _TABLES


def test_no_folder_grows_into_an_attic() -> None:
    sizes: dict[str, int] = {}
    for name in _MODULES:
        folder = name.split("/")[0]
        sizes[folder] = sizes.get(folder, 0) + _lines(name)
    assert max(sizes.values()) <= _LARGEST_SHARE * sum(sizes.values()), sizes
    assert sizes["analyses"] < 5_500, sizes["analyses"]
