"""Rows by any keys sum to the artifact's size."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect import api
from modelinspect.analyses.summary import zero_counts
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId, PathTable
from modelinspect.errors import SelectionError
from modelinspect.ledger.attribution import attribute
from modelinspect.ledger.rollup import Key, parse_keys, roll_up, structure, structures_of
from tests.support.artifacts import Build, pruned_network
from tests.support.fixtures import fixture_path


def rows(build: Build, *keys: Key, top: int | None = None) -> list[tuple[tuple[str | None, ...] | None, int]]:
    ledger = attribute(build.artifact(), zero_counts(build.measurements()))
    return [(row.values, row.size) for row in roll_up(ledger, keys, top)]


@pytest.mark.parametrize("keys", [keys for count in (1, 2, 3) for keys in permutations(Key, count)][:150])
def test_rows_sum_to_the_size_for_any_keys(keys: tuple[Key, ...]) -> None:
    build = pruned_network()
    found = rows(build, *keys)
    assert sum(size for _, size in found) == build.artifact().size
    assert len({values for values, _ in found}) == len(found)
    assert [size for _, size in found] == sorted((size for _, size in found), reverse=True)


def test_the_layers_of_a_network_are_rolled_up() -> None:
    found = dict(rows(pruned_network(), Key.LAYER))
    assert found == {(None,): 22_875, ("dense",): 10_756, ("dense_1",): 10_284}


def test_layers_by_category_say_where_the_zeros_are() -> None:
    found = dict(rows(pruned_network(), Key.LAYER, Key.CATEGORY))
    assert found["dense", "zero-weights"] == 4_096
    assert found["dense_1", "dense-weights"] == 1_024 + 40


def test_the_remainder_row_holds_what_top_leaves_out() -> None:
    everything, some = rows(pruned_network(), Key.CATEGORY), rows(pruned_network(), Key.CATEGORY, top=2)
    assert some[:2] == everything[:2]
    assert some[2] == (None, sum(size for _, size in everything[2:]))
    assert rows(pruned_network(), Key.CATEGORY, top=99) == everything


def test_paths_are_told_with_their_parts() -> None:
    found = dict(rows(pruned_network(), Key.PATH))
    assert found["/model_weights/dense / object header",] == 272


def test_the_same_path_in_two_files_is_one_row_by_path_and_two_by_member() -> None:
    build = Build()
    build.region("header", 3, RegionKind.CONTAINER, member="a")
    build.region("header", 4, RegionKind.CONTAINER, member="b")
    assert rows(build, Key.PATH) == [(("header",), 7)]
    assert rows(build, Key.MEMBER, Key.PATH) == [(("b", "header"), 4), (("a", "header"), 3)]


def test_an_artifact_without_bytes_has_no_rows() -> None:
    assert rows(Build(), Key.CATEGORY, Key.PATH) == []


def test_keys_are_read_by_name_once_each() -> None:
    assert parse_keys(["layer", "category", "layer"]) == (Key.LAYER, Key.CATEGORY)


def test_a_misspelt_key_is_answered_with_the_one_that_is_meant() -> None:
    with pytest.raises(SelectionError, match=r"'catgory'; did you mean category\?"):
        parse_keys(["catgory"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (
            ("/model_weights/dense", "B-tree node", "unused keys and children"),
            "B-tree node / unused keys and children",
        ),
        (("/", "object header", "message 0x0000 NIL"), "object header / message 0x0000 NIL"),
        (("global heap collection 0x800", "free object"), "global heap collection / free object"),
        (
            ("meta_graphs[0]", "graph_def", "library", "function", "f_12", "node_def", "x"),
            "meta_graphs / graph_def / library / function",
        ),
        (
            ("meta_graphs[0]", "graph_def", "node", "node", "attr value"),
            "meta_graphs / graph_def / node / attr value",
        ),
        (("subgraphs[0]", "tensors[31]", "name"), "subgraphs / tensors / name"),
        (("model.weights.h5", "/layers/dense", "superblock"), "model.weights.h5 / superblock"),
        (("data block 3", "dense/kernel", "dtype"), "data block / dtype"),
        (("data block 0", "snappy", "dense/kernel", "key"), "data block / snappy / key"),
        (("/only/a/name",), "/only/a/name"),
        ((), ""),
    ],
)
def test_a_structure_is_a_path_without_the_names_of_single_objects(path: tuple[str, ...], kind: str) -> None:
    assert structure(path) == kind


PARTS = (
    "/a",
    "/b",
    "node",
    "op",
    "data block 0",
    "data block 1",
    "snappy",
    "name",
    "other name",
    "message 0x10",
    "key",
)


@pytest.mark.parametrize(
    "name", ["mlp/original.h5", "saved_model/affine", "tflite/sparse.tflite", "checkpoint/adam"]
)
def test_the_structures_of_a_whole_table_equal_those_of_single_paths(name: str) -> None:
    for member in api.open(fixture_path(name)).members:
        table = member.map.path_table
        codes, texts = structures_of(table)
        assert [texts[code] for code in codes] == [
            structure(table.parts(PathId(path))) for path in range(len(table))
        ]


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 40), st.sampled_from(PARTS)), max_size=40))
def test_structures_of_any_table_equal_those_of_single_paths(steps: list[tuple[int, str]]) -> None:
    table = PathTable()
    for parent, name in steps:
        table.add(PathId(parent % len(table)), name)
    codes, texts = structures_of(table)
    assert [texts[code] for code in codes] == [
        structure(table.parts(PathId(path))) for path in range(len(table))
    ]
