"""Kinds, roles, storage and zeros become categories, and every byte stays counted once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelinspect.analyses.summary import zero_counts
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role, Storage
from modelinspect.errors import InvariantError
from modelinspect.ledger.attribution import Ledger, attribute
from modelinspect.reports.categories import CATEGORIES, Category
from tests.support.artifacts import Build, pruned_network


def sizes(build: Build, *, measured: bool = True) -> dict[str, int]:
    ledger = attribute(build.artifact(), zero_counts(build.measurements()) if measured else None)
    return {str(category): size for category, size in ledger.category_sizes().items() if size}


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        (RegionKind.GRAPH, "graph"),
        (RegionKind.METADATA, "metadata"),
        (RegionKind.TENSOR_DATA, "dense-weights"),
        (RegionKind.SPARSE_INDEX, "sparse-index"),
        (RegionKind.QUANTIZATION, "quantization"),
        (RegionKind.ASSET, "assets"),
        (RegionKind.DEBUG, "debug"),
        (RegionKind.CONTAINER, "container"),
        (RegionKind.FREE, "free"),
        (RegionKind.UNATTRIBUTED, "unattributed"),
        (RegionKind.COMPILED, "compiled"),
    ],
)
def test_every_kind_has_a_category(kind: RegionKind, category: str) -> None:
    build = Build()
    build.region("something", 7, kind)
    assert sizes(build) == {category: 7}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("storage", list(Storage))
def test_the_role_decides_before_the_storage(role: Role, storage: Storage) -> None:
    build = Build()
    build.tensor("t", (4, 4), role=role, storage=storage)
    of_role = {
        Role.OPTIMIZER: "optimizer-state",
        Role.PRUNING: "pruning-state",
        Role.QUANTIZATION: "quantization",
    }
    of_storage = {Storage.COMPRESSED: "compressed-weights", Storage.SPARSE: "sparse-values"}
    assert sizes(build) == {of_role.get(role) or of_storage.get(storage, "dense-weights"): 64}


def test_the_index_of_a_sparse_tensor_is_counted_apart_from_its_values() -> None:
    build = Build()
    tensor = build.tensor("t", (4, 4), storage=Storage.SPARSE)
    build.region("t / segments", 12, RegionKind.SPARSE_INDEX, tensor=tensor)
    assert sizes(build) == {"sparse-values": 64, "sparse-index": 12}


def test_text_that_belongs_to_a_tensor_stays_metadata() -> None:
    build = Build()
    tensor = build.tensor("t", (2,))
    build.region("t / name", 9, RegionKind.METADATA, tensor=tensor)
    assert sizes(build) == {"dense-weights": 8, "metadata": 9}


def test_zeros_of_a_model_tensor_are_taken_from_its_dense_bytes() -> None:
    build = Build()
    build.tensor("t", (10,), zeros=7)
    assert sizes(build) == {"zero-weights": 28, "dense-weights": 12}


def test_without_measuring_zeros_stay_within_the_dense_weights() -> None:
    build = Build()
    build.tensor("t", (10,), zeros=7)
    assert sizes(build, measured=False) == {"dense-weights": 40}


@pytest.mark.parametrize("role", [Role.OPTIMIZER, Role.PRUNING])
def test_zeros_of_slots_and_masks_are_no_zero_weights(role: Role) -> None:
    build = Build()
    build.tensor("t", (10,), role=role, zeros=10)
    assert "zero-weights" not in sizes(build)


def test_zeros_of_compressed_tensors_have_no_bytes_of_their_own() -> None:
    build = Build()
    build.tensor("t", (10,), storage=Storage.COMPRESSED, zeros=10, pieces=(13,))
    assert sizes(build) == {"compressed-weights": 13}


def test_elements_narrower_than_a_byte_round_their_zeros_down_to_whole_bytes() -> None:
    build = Build()
    build.tensor("t", (10,), dtype="int4", zeros=5)
    assert sizes(build) == {"zero-weights": 2, "dense-weights": 3}


def test_one_value_that_stands_for_many_never_counts_more_zero_bytes_than_it_stores() -> None:
    build = Build()
    build.tensor("splat", (1000,), zeros=1000, pieces=(4,))
    assert sizes(build) == {"zero-weights": 4}


def test_a_tensor_over_several_files_shares_its_zeros_out_exactly() -> None:
    build = Build()
    build.tensor("t", (100,), zeros=33, pieces=(1, 150, 7, 242))
    assert sizes(build) == {"zero-weights": 132, "dense-weights": 268}


def test_shares_of_tensors_too_large_for_64_bit_products_are_exact() -> None:
    from modelinspect.ledger.attribution import _share_out

    build = Build()
    build.tensor("t", (4,), zeros=1)
    total = 3 * 2**40
    shares = _share_out(
        build.artifact(),
        {0: total // 8},
        np.array([2**40, 2**40 + 1, 2**40 - 1]),
        np.zeros(3, dtype=np.int32),
    )
    assert int(shares.sum()) == total // 2
    assert shares.tolist() == [2**39, 2**39, 2**39]


def test_a_ledger_that_does_not_sum_to_the_artifact_cannot_exist() -> None:
    build = Build()
    build.tensor("t", (4,))
    ledger = attribute(build.artifact())
    with pytest.raises(InvariantError, match=r"sum to 17 bytes of 16"):
        Ledger(
            ledger.artifact,
            ledger.members,
            ledger.sizes + 1,
            ledger.kinds,
            ledger.categories,
            ledger.paths,
            ledger.tensors,
        )


def test_an_artifact_without_bytes_has_an_empty_ledger() -> None:
    assert sizes(Build()) == {}


def test_the_example_network_is_attributed_to_the_byte() -> None:
    assert sizes(pruned_network()) == {
        "graph": 1_234,
        "metadata": 321,
        "container": 96 + 2 * 272,
        "free": 200,
        "optimizer-state": 4 * 5_120,
        "pruning-state": 2 * (5_120 + 4),
        "zero-weights": 2 * 1_024 * 4,
        "dense-weights": 2 * 256 * 4 + 552,
    }


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_categories_sum_to_the_size_whatever_is_in_the_artifact(data: st.DataObject) -> None:
    build = Build()
    for index in range(data.draw(st.integers(0, 6))):
        member = data.draw(st.sampled_from(["a", "b"]))
        if data.draw(st.booleans()):
            build.region(
                "r",
                data.draw(st.integers(1, 50)),
                data.draw(st.sampled_from(list(RegionKind))),
                member=member,
            )
        else:
            count = data.draw(st.integers(1, 40))
            pieces = tuple(data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=4)))
            role, storage = data.draw(st.sampled_from(list(Role))), data.draw(st.sampled_from(list(Storage)))
            zeros = data.draw(st.none() | st.integers(0, count))
            build.tensor(
                f"t{index}", (count,), role=role, storage=storage, zeros=zeros, pieces=pieces, member=member
            )
    artifact = build.artifact()
    ledger = attribute(artifact, zero_counts(build.measurements()))
    by_category = ledger.category_sizes()
    assert sum(by_category.values()) == artifact.size
    assert list(by_category) == list(CATEGORIES)
    assert (ledger.sizes > 0).all()
    unmeasured = attribute(artifact).category_sizes()
    assert unmeasured[Category.ZERO_WEIGHTS] == 0
    assert (
        unmeasured[Category.DENSE_WEIGHTS]
        == by_category[Category.ZERO_WEIGHTS] + by_category[Category.DENSE_WEIGHTS]
    )
