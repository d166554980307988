"""Roles from object graphs: of checkpoints that TensorFlow wrote, and of graphs made to mislead."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.support.fixtures import fixture_path
from tests.support.work import bounded

from modelinspect.analyses.explain.compare import labels
from modelinspect.core.artifact import Artifact
from modelinspect.core.tensors import Role
from modelinspect.encodings.protobuf import message_class
from modelinspect.formats.base import parse_with
from modelinspect.formats.checkpoint import FORMAT
from modelinspect.formats.checkpoint.names import use_by_name
from modelinspect.formats.graph.object_graph import uses
from modelinspect.formats.graph.trackable import Node, Saved, Slot, read_trackable
from modelinspect.networks.subject import Subject
from modelinspect.reports.causes import Cause
from modelinspect.sources.opening import open_location


def opened(name: str) -> Artifact:
    with open_location(fixture_path(name)) as files:
        return parse_with(FORMAT, files)


def roles(artifact: Artifact) -> Counter[Role]:
    return Counter(tensor.role for tensor in artifact.tensors)


def by_layer(artifact: Artifact, role: Role) -> Counter[str | None]:
    return Counter(tensor.layer for tensor in artifact.tensors if tensor.role is role)


def saved(name: str, full_name: str = "") -> Node:
    return Node(saved=(Saved("VARIABLE_VALUE", full_name or name, name),))


def test_the_weights_of_keras_3_are_weights_though_the_optimizer_names_them() -> None:
    artifact = opened("checkpoint_keras3/training/model.index")
    below_optimizer = [
        tensor for tensor in artifact.tensors if tensor.path.startswith("optimizer/_trainable_variables/")
    ]
    assert len(below_optimizer) == 6
    assert {tensor.role for tensor in below_optimizer} == {Role.WEIGHT}
    assert by_layer(artifact, Role.WEIGHT) == {"hidden": 2, "normal": 2, "head": 2}
    # Six averages, six momentums, six velocities, a step and a learning rate.
    assert roles(artifact)[Role.OPTIMIZER] == 20
    assert by_layer(artifact, Role.STATISTIC) == {"normal": 2}


def test_variables_keep_their_own_names_beside_their_keys() -> None:
    names = opened("checkpoint_keras3/training/model.index").facts["variable_names"]
    assert names["optimizer/_trainable_variables/0/.ATTRIBUTES/VARIABLE_VALUE"] == "sequential/hidden/kernel"  # type: ignore[index,call-overload]


def test_averages_and_slots_tell_whose_they_are() -> None:
    artifact = opened("checkpoint_keras3/training/model.index")
    slots = artifact.facts["slot_variables"]
    assert isinstance(slots, tuple)
    assert Counter(slot["purpose"] for slot in slots) == {"average": 6, "momentums": 6, "velocities": 6}
    shapes = {tensor.path: tensor.shape for tensor in artifact.tensors}
    assert all(shapes[slot["tensor"]] == shapes[slot["of"]] for slot in slots)


def test_averages_are_explained_as_averages_and_slots_as_slots() -> None:
    artifact = opened("checkpoint_keras3/training/model.index")
    causes = Counter(labels(Subject(artifact, None)).values())
    assert (causes[Cause.EMA_SHADOW], causes[Cause.OPTIMIZER_STATE]) == (6, 14)


@pytest.mark.parametrize(("name", "optimizer"), [("adam", 14), ("legacy_adam", 17)])
def test_old_and_new_optimizers_keep_the_same_slots(name: str, optimizer: int) -> None:
    artifact = opened(f"checkpoint/{name}/model.index")
    assert roles(artifact)[Role.OPTIMIZER] == optimizer
    assert by_layer(artifact, Role.WEIGHT) == {"hidden": 2, "normal": 2, "head": 2}
    assert by_layer(artifact, Role.STATISTIC) == {"normal": 2}
    slots = artifact.facts["slot_variables"]
    assert isinstance(slots, tuple)
    assert len(slots) == 12
    shapes = {tensor.path: tensor.shape for tensor in artifact.tensors}
    assert all(shapes[slot["tensor"]] == shapes[slot["of"]] for slot in slots)


def test_masks_thresholds_and_steps_of_pruning_wrappers_are_pruning_state() -> None:
    artifact = opened("checkpoint/wrapped/model.index")
    pruning = [tensor.path for tensor in artifact.tensors if tensor.role is Role.PRUNING]
    assert Counter(name.split("/")[2] for name in pruning) == {"mask": 2, "threshold": 2, "pruning_step": 3}
    assert by_layer(artifact, Role.WEIGHT) == {"hidden": 2, "normal": 2, "head": 2}
    masks = {
        slot["tensor"]: slot["of"] for slot in artifact.facts["slot_variables"] if slot["purpose"] == "mask"
    }  # type: ignore[union-attr]
    assert sorted(masks.values()) == [
        "model/layer_with_weights-0/layer/kernel/.ATTRIBUTES/VARIABLE_VALUE",
        "model/layer_with_weights-2/layer/kernel/.ATTRIBUTES/VARIABLE_VALUE",
    ]


def test_tables_counters_strings_and_generators_are_no_weights() -> None:
    artifact = opened("checkpoint/objects/model.index")
    weights = {tensor.path.split("/")[1] for tensor in artifact.tensors if tensor.role is Role.WEIGHT}
    assert weights == {"half", "none", "flags", "kernel"}
    assert artifact.facts["hash_tables"] == (
        "module/table/.ATTRIBUTES/table-keys",
        "module/table/.ATTRIBUTES/table-values",
    )


def test_an_exports_second_copies_are_found_by_checksum() -> None:
    artifact = opened("checkpoint_keras3/export/variables.index")
    groups = artifact.facts["duplicate_tensors"]
    assert isinstance(groups, tuple)
    pairs = {frozenset(name.partition("/")[0] for name in group) for group in groups}
    assert pairs == {frozenset({"variables", "_all_variables"})}
    repeated = {name for group in groups for name in group}
    weights = {tensor.path for tensor in artifact.tensors if tensor.role in (Role.WEIGHT, Role.STATISTIC)}
    assert repeated == weights


def test_slots_that_the_graph_lists_are_slots_whatever_their_names() -> None:
    optimizer = Node(slots=(Slot(2, "m", 3),))
    nodes = (
        Node((("weights", 2), ("trainer", 1))),
        optimizer,
        saved("weights/kernel", "dense/kernel"),
        saved("some/kernel"),
    )
    found = uses(nodes)
    assert found["some/kernel"].role is Role.OPTIMIZER
    assert (found["some/kernel"].purpose, found["some/kernel"].of, found["some/kernel"].layer) == (
        "m",
        "weights/kernel",
        "dense",
    )
    assert found["weights/kernel"].role is Role.WEIGHT


def test_a_layer_named_like_an_optimizers_slot_keeps_its_weights() -> None:
    nodes = (Node((("layer", 1),)), Node((("m", 2), ("mask", 3))), saved("layer/m"), saved("layer/mask"))
    assert {use.role for use in uses(nodes).values()} == {Role.WEIGHT}


@pytest.mark.parametrize("edges", [("mean", "variance", "count"), ("adapt_mean", "adapt_variance", "count")])
def test_what_a_normalization_layer_learns_is_a_statistic(edges: tuple[str, ...]) -> None:
    nodes = (
        Node(tuple((edge, number) for number, edge in enumerate(edges, 1))),
        *(saved(edge) for edge in edges),
    )
    assert {use.role for use in uses(nodes).values()} == {Role.STATISTIC}
    alone = (Node((("mean", 1),)), saved("mean"))
    assert uses(alone)["mean"].role is Role.WEIGHT


def test_a_weight_that_only_the_optimizer_leads_to_is_still_a_weight() -> None:
    nodes = (
        Node((("optimizer", 1),)),
        Node((("_iterations", 2), ("_trainable_variables", 3), ("_momentums", 4))),
        saved("step"),
        Node((("0", 5),)),
        Node((("0", 6),)),
        saved("w", "dense/kernel"),
        saved("m", "adam/dense_kernel_momentum"),
    )
    found = uses(nodes)
    assert [found[key].role for key in ("step", "w", "m")] == [Role.OPTIMIZER, Role.WEIGHT, Role.OPTIMIZER]
    assert found["m"].of == "w"


def test_cycles_and_edges_to_nowhere_end() -> None:
    graph = message_class("TrackableObjectGraph")()
    for number in range(50):
        node = graph.nodes.add()  # type: ignore[attr-defined]
        node.children.add(node_id=(number + 1) % 50, local_name="next")
        node.children.add(node_id=10**6, local_name="nowhere")
        node.children.add(node_id=-1, local_name="before")
        node.slot_variables.add(original_variable_node_id=77, slot_variable_node_id=-3, slot_name="m")
        node.attributes.add(name="VARIABLE_VALUE", full_name=f"v{number}", checkpoint_key=f"k{number}")
    nodes = read_trackable(graph.SerializeToString())
    assert len(uses(nodes)) == 50


@pytest.mark.parametrize("edge", ["pruning_step", "_iterations", "layer", "0"])
def test_a_graph_of_many_wrappers_costs_no_square(edge: str) -> None:
    count = 10_000
    nodes = tuple(
        Node(((edge, (n + 1) % count), ("layer", (n * 7) % count), ("pruning_vars", (n * 3) % count)))
        for n in range(count)
    )
    with bounded():
        uses(nodes)


def test_no_graph_tells_nothing() -> None:
    assert uses(()) == {}
    assert read_trackable(b"") == ()


NAMES = {
    "dense/kernel",
    "dense/mask",
    "dense/threshold",
    "other/mask",
    "bert/encoder/kernel",
    "block/weights",
}


@pytest.mark.parametrize(
    ("name", "role", "purpose", "of"),
    [
        ("dense/kernel/Adam", Role.OPTIMIZER, "Adam", "dense/kernel"),
        ("dense/kernel/Adam_1", Role.OPTIMIZER, "Adam", "dense/kernel"),
        ("dense/kernel/Momentum", Role.OPTIMIZER, "Momentum", "dense/kernel"),
        ("dense/kernel/RMSProp_1", Role.OPTIMIZER, "RMSProp", "dense/kernel"),
        ("bert/encoder/kernel/adam_m", Role.OPTIMIZER, "adam_m", "bert/encoder/kernel"),
        ("bert/encoder/kernel_slot_vr", Role.OPTIMIZER, "slot_vr", "bert/encoder/kernel"),
        ("dense/kernel/ExponentialMovingAverage", Role.OPTIMIZER, "average", "dense/kernel"),
        ("gone/kernel/Adam", Role.OPTIMIZER, "Adam", None),
        ("beta1_power", Role.OPTIMIZER, "beta1_power", None),
        ("train/beta2_power_1", Role.OPTIMIZER, "beta2_power_1", None),
        ("global_step", Role.OTHER, "counter", None),
        ("bn/moving_mean", Role.STATISTIC, "statistic", None),
        ("dense/mask", Role.PRUNING, "mask", "dense/kernel"),
        ("dense/threshold", Role.PRUNING, "threshold", "dense/kernel"),
        ("other/mask", Role.WEIGHT, "weight", None),
        ("Adam/kernel", Role.WEIGHT, "weight", None),
        ("dense/kernel", Role.WEIGHT, "weight", None),
    ],
)
def test_names_of_tensorflow_1_tell_slots_and_masks(
    name: str, role: Role, purpose: str, of: str | None
) -> None:
    use = use_by_name(name, NAMES)
    assert (use.role, use.purpose, use.of) == (role, purpose, of)


@pytest.mark.parametrize(
    ("names", "scales"),
    [
        (
            (
                "net/hidden/kernel",
                "net/hidden/bias",
                "hidden/kernel_scale",
                "hidden/kernel_zero",
                "hidden/g_idx",
            ),
            3,
        ),
        (
            (
                "net/hidden/kernel",
                "hidden/kernel_scale",
                "hidden/inputs_scale",
                "hidden/outputs_grad_amax_history",
            ),
            3,
        ),
        (("net/table/embeddings", "table/embeddings_scale"), 1),
        (("net/block/kernel", "net/block/scale"), 0),
        (("net/a/kernel", "net/b/kernel_scale"), 0),
    ],
)
def test_what_keras_keeps_beside_a_quantized_kernel_is_quantization(
    names: tuple[str, ...], scales: int
) -> None:
    nodes = (
        Node(tuple((f"v{number}", number) for number, _ in enumerate(names, 1))),
        *(saved(f"key/{name}", name) for name in names),
    )
    found = [use.role for use in uses(nodes).values()]
    assert (found.count(Role.QUANTIZATION), found.count(Role.WEIGHT)) == (scales, len(names) - scales)
