"""The tree of paths in columns says the same as the table of paths."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelinspect.analyses.explain.partition import _words
from modelinspect.analyses.explain.paths import words_of
from modelinspect.core.paths import PathId, PathTable
from modelinspect.ledger.rollup import path_tree, structure, structures_of

NAMES = [
    "a",
    "b 12",
    "tensors[3]",
    "tensors[4]",
    "node",
    "/x",
    "snappy",
    "library[2]",
    "quantization",
    "padding",
    "sparsity",
    "x trailing",
    "op",
]


def table_of(paths: list[list[str]]) -> PathTable:
    table = PathTable()
    for path in paths:
        table.child(PathId(0), *path)
    return table


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=9), max_size=20), st.integers(0, 8))
def test_columns_say_what_each_path_says(paths: list[list[str]], depth: int) -> None:
    table = table_of(paths)
    tree = path_tree(table)
    structures, texts = structures_of(table)
    ancestors, words = tree.ancestors(depth), _words(tree)
    for path in range(len(table)):
        parts = table.parts(PathId(path))
        assert tree.depths[path] == len(parts)
        assert table.parts(PathId(int(ancestors[path]))) == parts[:depth]
        assert texts[structures[path]] == structure(parts)
        assert words[path] == words_of(parts)
    assert np.concatenate([[0], *tree.levels()]).tolist() == sorted(
        range(len(table)), key=lambda path: (tree.depths[path], path)
    )


def test_a_path_of_many_parts_costs_no_more_than_its_parts() -> None:
    table = table_of([[f"part {number}" for number in range(40_000)]])
    tree = path_tree(table)
    assert tree.depths[-1] == 40_000
    assert tree.ancestors(6)[-1] == 6
