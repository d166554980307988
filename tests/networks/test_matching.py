"""Which tensor of one artifact is which of another: by name, content, layer and order, across formats."""

from __future__ import annotations

from functools import cache

import pytest

from modelinspect import api
from modelinspect.analyses.diff import diff
from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role
from modelinspect.networks.matching import MatchedBy, match_tensors
from modelinspect.networks.names import canonical_name
from modelinspect.networks.subject import Subject
from tests.rules.wasteful.test_examples import kernel, side
from tests.support.artifacts import Build
from tests.support.fixtures import fixture_path

STRIPPED = "pruned_mlp/stripped/model.h5"
OTHERS = [
    "pruned_mlp/stripped/model.keras",
    "pruned_mlp/stripped/model.weights.h5",
    "pruned_mlp/stripped/checkpoint",
    "pruned_mlp/stripped/saved-model",
    "pruned_mlp/stripped/saved-model-export",
    "pruned_mlp/stripped/float32.tflite",
    "pruned_mlp/stripped/float32-sparse.tflite",
    "pruned_mlp/stripped/float16.tflite",
    "pruned_mlp/stripped/int8.tflite",
    "pruned_mlp/stripped/dynamic-int8-sparse.tflite",
    "pruned_mlp/wrapped/model.h5",
    "pruned_mlp/wrapped/model.keras",
    "pruned_mlp/wrapped/checkpoint",
    "pruned_mlp/original/model.h5",
    "pruned_mlp/original/float32.tflite",
    "pruned_mlp/original/saved-model-keras",
]


@cache
def read(name: str, measure: bool = True) -> Subject:
    return api.side(fixture_path(name), measure=measure)


def kernels(before: Subject, after: Subject) -> list[tuple[int, ...]]:
    """Return the lengths of each kernel before with those of what it is paired with."""
    found = []
    for pair in match_tensors(before, after):
        if (
            pair.before is not None
            and len(before.tensor(pair.before).shape) == 2
            and before.tensor(pair.before).role is Role.WEIGHT
        ):
            assert pair.after is not None, before.tensor(pair.before).name
            found.append((*sorted(before.tensor(pair.before).shape), *sorted(after.tensor(pair.after).shape)))
    return found


@pytest.mark.parametrize("measure", [True, False], ids=["measured", "unmeasured"])
@pytest.mark.parametrize("name", OTHERS)
def test_every_weight_has_its_counterpart_in_every_format(name: str, measure: bool) -> None:
    before, after = read(STRIPPED, measure), read(name, measure)
    assert kernels(before, after) == [(10, 128, 10, 128)] * 2
    pairs = [
        pair for pair in match_tensors(before, after) if pair.before is not None and pair.after is not None
    ]
    assert len(pairs) == 4
    layers = {
        before.tensor(pair.before).layer: after.tensor(pair.after)
        for pair in pairs
        if pair.before is not None and pair.after is not None
    }
    assert "dense_1" in (layers["dense_1"].name + str(layers["dense_1"].layer)) or name.startswith(
        "pruned_mlp/stripped/int8"
    )


@pytest.mark.parametrize(
    ("name", "layer", "canonical"),
    [
        ("model_weights/dense/kernel:0", "dense", "dense/kernel"),
        ("prune_low_magnitude_dense/kernel", None, "dense/kernel"),
        ("quant_dense/dense/kernel", None, "dense/kernel"),
        ("layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE", "dense", "layer_with_weights-0/kernel"),
        ("layers/prune_low_magnitude_1/layer/vars/0", "dense_1", "dense_1/0"),
        ("layers/prune_low_magnitude_1/vars/1", "prune_low_magnitude_dense_1", "dense_1/1"),
        ("prune_low_magnitude_1/kernel", None, "prune_low_magnitude_1/kernel"),
        ("__inference__traced_save_227/num_shards", None, "__inference__traced_save/num_shards"),
    ],
)
def test_names_lose_their_writers_decoration(name: str, layer: str | None, canonical: str) -> None:
    build = Build()
    build.tensor(name, (2, 2), layer=layer)
    assert canonical_name(build.artifact().tensors[0]) == canonical


def test_a_checkpoint_is_matched_by_the_names_of_its_variables() -> None:
    before, after = read(STRIPPED, False), read("pruned_mlp/stripped/checkpoint", False)
    assert {pair.by for pair in match_tensors(before, after) if pair.before is not None} == {MatchedBy.NAME}


def test_a_tensor_that_is_stored_twice_is_paired_once() -> None:
    one, twice = Build("one.h5"), Build("two.h5")
    one.tensor("a/kernel", (64, 64), data=kernel().tobytes())
    for name in ("x/kernel", "y/kernel"):
        twice.tensor(name, (64, 64), data=kernel().tobytes())
    pairs = match_tensors(side(one), side(twice))
    assert [(pair.before, pair.after, pair.by) for pair in pairs] == [
        (0, 0, MatchedBy.CONTENT),
        (None, 1, None),
    ]


def paired(before: Build, after: Build, *, measured: bool = True) -> dict[str, str | None]:
    """Return the name of each tensor before with that of what it is paired with."""
    one, other = (side(build) if measured else Subject(build.artifact(), None) for build in (before, after))
    pairs = match_tensors(one, other)
    assert {(pair.after, pair.before) for pair in match_tensors(other, one)} == {
        (pair.before, pair.after) for pair in pairs
    }
    named = {None: None, **{index: tensor.name for index, tensor in enumerate(other.artifact.tensors)}}
    return {one.tensor(pair.before).name: named[pair.after] for pair in pairs if pair.before is not None}


@pytest.mark.parametrize("measured", [True, False], ids=["measured", "unmeasured"])
def test_the_heads_of_attention_are_found_in_a_matrix(measured: bool) -> None:
    before, after = Build("m.keras"), Build("m.tflite")
    before.tensor("layers/mha/query_dense/vars/0", (64, 4, 16), data=kernel().tobytes(), layer="mha/query")
    after.tensor("model/mha/query/MatMul", (64, 64), data=kernel().T.tobytes(), layer="mha/query")
    assert paired(before, after, measured=measured) == {
        "layers/mha/query_dense/vars/0": "model/mha/query/MatMul"
    }


def test_a_vector_of_weights_is_no_shape_of_a_tensor() -> None:
    before, after = Build("m.keras"), Build("m.tflite")
    before.tensor("layers/dense/vars/1", (2,), layer="dense")
    after.tensor("model/Tensordot/free", (2,), dtype="int32", role=Role.CONSTANT)
    assert paired(before, after, measured=False) == {"layers/dense/vars/1": None}


def test_a_slot_is_paired_with_what_is_for_the_same() -> None:
    before, after = Build("m.h5"), Build("m.h5")
    for build, model, purposes in (
        (before, "model_4", ("momentum", "velocity")),
        (after, "model", ("average", "momentum", "velocity")),
    ):
        build.tensor(f"{model}/mid/kernel", (8, 4), layer="mid")
        for purpose in purposes:
            build.tensor(
                f"optimizer_weights/adam/{model}_mid_kernel_{purpose}",
                (8, 4),
                role=Role.OPTIMIZER,
                layer="mid",
            )
    found = paired(before, after, measured=False)
    assert (
        found["optimizer_weights/adam/model_4_mid_kernel_velocity"]
        == "optimizer_weights/adam/model_mid_kernel_velocity"
    )
    assert (
        found["optimizer_weights/adam/model_4_mid_kernel_momentum"]
        == "optimizer_weights/adam/model_mid_kernel_momentum"
    )


def test_the_slots_of_a_layer_follow_its_weights_where_keras_numbered_it_otherwise() -> None:
    before, after = Build("m.h5"), Build("m.h5")
    for build, number in ((before, ""), (after, "_7")):
        for layer, shape in ((f"dense{number}", (8, 4)), (f"conv2d{number}", (3, 3, 2, 5))):
            build.tensor(f"{layer}/kernel", shape, layer=layer)
            for purpose in "mv":
                build.tensor(f"Adam/{purpose}/{layer}/kernel", shape, role=Role.OPTIMIZER)
    found = paired(before, after, measured=False)
    assert all(other == name.replace("/kernel", "_7/kernel") for name, other in found.items()), found


def test_slots_that_are_numbered_are_no_pair_where_their_shapes_differ() -> None:
    before, after = Build("m.keras"), Build("m.keras")
    before.tensor("optimizer/vars/3", (8,), role=Role.OPTIMIZER)
    after.tensor("optimizer/vars/3", (8, 8), role=Role.OPTIMIZER)
    assert paired(before, after, measured=False) == {"optimizer/vars/3": None}


def test_a_copy_does_not_stand_in_the_way_of_what_was_converted() -> None:
    """Keras 3's export writes each variable twice; the converter made other elements of both."""
    before, after = Build("saved", FormatName.SAVED_MODEL), Build("m.tflite", FormatName.TFLITE)
    for place in ("variables", "_all_variables"):
        for index in range(2):
            before.tensor(f"{place}/{index}", (64, 64), data=kernel(seed=index).tobytes())
    for index in range(2):
        after.tensor(
            f"converted/{index}", (64, 64), dtype="float16", data=kernel(seed=index).astype("<f2").tobytes()
        )
    found = paired(before, after)
    assert found == {
        "variables/0": "converted/0",
        "variables/1": "converted/1",
        "_all_variables/0": None,
        "_all_variables/1": None,
    }


def test_a_frozen_mask_is_no_counterpart_of_a_kernel() -> None:
    pruned = kernel(zeros=0.5)
    before, after = Build("wrapped.tflite", FormatName.TFLITE), Build("m.tflite", FormatName.TFLITE)
    before.tensor("mul/mask", (64, 64), role=Role.CONSTANT, data=(pruned != 0).astype("<f4").tobytes())
    before.tensor("mul/kernel", (64, 64), role=Role.CONSTANT, data=pruned.tobytes())
    before.facts["tensor_uses"] = {"mul/mask": ("MUL",), "mul/kernel": ("MUL",)}
    after.tensor("other", (64, 64), role=Role.CONSTANT, dtype="float16", data=pruned.astype("<f2").tobytes())
    assert paired(before, after) == {"mul/mask": None, "mul/kernel": "other"}


def test_the_kernel_of_a_layer_is_found_whatever_its_lengths() -> None:
    before, after = Build("m.h5"), Build("m.keras")
    before.tensor("hidden/kernel", (20, 96), layer="hidden")
    after.tensor("layers/dense/vars/0", (20, 48), dtype="int8", layer="hidden")
    assert paired(before, after, measured=False) == {"hidden/kernel": "layers/dense/vars/0"}


def by_layer(before: Build, after: Build) -> dict[str | None, tuple[int, int]]:
    found, turned = (diff(side(one), side(other)).layers for one, other in ((before, after), (after, before)))
    assert {entry.layer: (entry.after, entry.before) for entry in turned} == {
        entry.layer: (entry.before, entry.after) for entry in found
    }
    return {entry.layer: (entry.before, entry.after) for entry in found}


def test_a_layer_is_one_row_whatever_wraps_it_and_where_the_format_knows_none() -> None:
    before, after = Build("m.h5"), Build("m.tflite", FormatName.TFLITE)
    before.tensor(
        "prune_low_magnitude_mid/kernel", (64, 64), data=kernel().tobytes(), layer="prune_low_magnitude_mid"
    )
    before.tensor(
        "prune_low_magnitude_mid/mask",
        (64, 64),
        role=Role.PRUNING,
        data=kernel(seed=2).tobytes(),
        layer="prune_low_magnitude_mid",
    )
    after.tensor("net/mid/MatMul", (64, 64), data=kernel().T.tobytes())
    assert by_layer(before, after) == {"mid": (32_768, 16_384)}


def test_a_layer_in_a_model_and_one_of_another_name_are_one_row_each() -> None:
    before, after = Build("m.h5"), Build("m.keras")
    for seed, (one, other) in enumerate((("inner/mid", "mid"), ("old", "new"))):
        before.tensor(f"{one}/kernel", (64, 64), data=kernel(seed=seed).tobytes(), layer=one)
        before.tensor(f"{one}/bias", (64,), data=bytes(256), layer=one)
        after.tensor(f"{other}/kernel", (64, 64), data=kernel(seed=seed).tobytes(), layer=other)
        after.tensor(f"{other}/bias", (64,), data=bytes(256), layer=other)
    before.region("header", 10, RegionKind.CONTAINER)
    assert by_layer(before, after) == {"mid": (16_640, 16_640), "new": (16_640, 16_640), None: (10, 0)}
