"""The sentences of causes count what is there by construction: slots, copies, checkpoints, helpers of each
kind.
"""

from __future__ import annotations

import numpy as np
import pytest

from modelinspect.analyses.explain.compare import explain
from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.tensors import Role, Storage
from modelinspect.formats.keras.archive import keeps_averages, moving_averages
from modelinspect.networks.copies import duplicates
from modelinspect.networks.optimizer_state import optimizer_text
from modelinspect.networks.subject import Subject
from modelinspect.reports.explain import CauseEntry
from modelinspect.rules.wasteful.dense_zeros import dense_kernels
from tests.rules.wasteful.test_examples import kernel, model, side
from tests.support.artifacts import Build

SHAPES = ((8, 4), (4,), (4, 2), (2,))


def trained(
    optimizer: str,
    slots: int,
    *,
    shapes: tuple[tuple[int, ...], ...] = SHAPES,
    scaled: bool = False,
    averages: int = 0,
) -> Build:
    """Return a .keras file as Keras writes it: weights, then the optimizer's numbered variables."""
    build = Build("m.keras", FormatName.KERAS_ZIP, {"optimizer": optimizer})
    rng = np.random.default_rng(7)

    def put(name: str, shape: tuple[int, ...], role: Role) -> None:
        build.tensor(name, shape, role=role, data=rng.normal(size=shape).astype("<f4").tobytes())

    for index, shape in enumerate(SHAPES):
        put(f"layers/dense_{index}/vars/0", shape, Role.WEIGHT)
    for owner in ("optimizer/inner_optimizer", "optimizer") if scaled else ("optimizer",):
        put(f"{owner}/vars/0", (), Role.OPTIMIZER)
        whole = [*shapes * averages, *(shape for shape in shapes for _ in range(slots))]
        for index, shape in enumerate(whole):
            put(f"{owner}/vars/{index + 1}", shape, Role.OPTIMIZER)
    if averages:
        build.facts["slot_variables"] = tuple(
            {"tensor": name, "purpose": "average"} for name in moving_averages(build.artifact().tensors)
        )
    return build


def cause(before: Build, after: Build, name: str) -> CauseEntry:
    return next(entry for entry in explain(side(before), side(after)).causes if entry.cause == name)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (trained("Adam", 2), "(Adam): 2 slots for each of 46 weights"),
        (trained("Adam", 2, shapes=SHAPES[2:]), "(Adam): 2 slots for each of 10 of the 46 weights"),
        (trained("Adam", 3, shapes=SHAPES[:1]), "(Adam): 3 slots for each of 32 of the 46 weights"),
        (trained("Unknown", 1, shapes=SHAPES[:1]), "(Unknown): 2 tensors, 0.7 times the weights"),
        (trained("Unknown", 1, shapes=SHAPES[3:]), "(Unknown): 2 tensors"),
        (trained("Adam", 2, averages=1), "(Adam): 2 slots for each of 46 weights"),
        (
            trained("Adam", 2, scaled=True),
            (
                "(Adam): 2 slots for each of 46 weights, stored twice, by LossScaleOptimizer and the"
                " optimizer in it"
            ),
        ),
    ],
    ids=["all", "frozen", "frozen-amsgrad", "unknown", "hardly-any", "averages", "scaled"],
)
def test_the_slots_of_each_weight_are_counted(build: Build, said: str) -> None:
    assert optimizer_text(side(build)) in (f"optimizer state {said}", f"optimizer state{said}")


def test_several_checkpoints_have_slots_for_the_weights_of_one() -> None:
    build = Build("folder", FormatName.CHECKPOINT, {"checkpoints": ("ckpt-1", "ckpt-2"), "optimizer": "Adam"})
    for number in (1, 2):
        build.tensor("dense/kernel", (64, 64), data=kernel(seed=number).tobytes())
        build.tensor("dense/kernel/m", (64, 64), role=Role.OPTIMIZER, data=kernel(seed=number + 2).tobytes())
    assert optimizer_text(side(build)).endswith("1 slot for each of 4,096 weights, in each of 2 checkpoints")
    one = model(kernel(), location="ckpt-1", format=FormatName.CHECKPOINT)
    assert cause(one, build, "structure-change").message == "checkpoints of the model: 1 before, 2 after"


def test_another_optimizer_is_told_with_what_it_keeps() -> None:
    before, after = trained("SGD", 1), trained("Adam", 2)
    entry = cause(before, after, "optimizer-state")
    assert (
        entry.message
        == "more: optimizer state: before, 1 slot for each of 46 weights (SGD); after, 2 slots for each of 46"
        " weights (Adam)"
    )
    assert entry.delta == 46 * 4
    assert sorted(place.bytes for place in entry.evidence) == [
        8,
        16,
        32,
        128,
    ]  # the slots that came, and none that moved


def test_averages_among_numbered_slots_are_a_cause_of_their_own() -> None:
    before, after = trained("Adam", 2), trained("Adam", 2, averages=1)
    causes = {entry.cause: entry for entry in explain(side(before), side(after)).causes}
    assert causes.keys() == {"ema-shadow"}
    assert causes["ema-shadow"].message == "added: a moving average beside each of 4 variables"
    assert causes["ema-shadow"].delta == 46 * 4


@pytest.mark.parametrize(("averages", "slots"), [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)])
def test_averages_are_the_first_of_the_optimizers_variables(averages: int, slots: int) -> None:
    names = moving_averages(trained("Adam", slots, averages=averages).artifact().tensors)
    assert names == tuple(f"optimizer/vars/{index + 1}" for index in range(len(SHAPES) if averages else 0))


def test_only_an_optimizer_that_says_so_keeps_averages() -> None:
    assert keeps_averages({"optimizer": {"config": {"use_ema": True}}})
    assert not keeps_averages({"optimizer": {"config": {"use_ema": False}}})
    assert not keeps_averages({"optimizer": "adam"})
    assert not keeps_averages(None)


def test_copies_are_counted_also_where_all_have_one_name() -> None:
    """Layers of subclassed models call their variables alike."""
    before, after = (Build("m", FormatName.SAVED_MODEL) for _ in range(2))
    for build, places in ((before, ("variables",)), (after, ("variables", "_all_variables"))):
        for place in places:
            for index in range(5):
                build.tensor(
                    "block/kernel", (64, 64), data=kernel(seed=index).tobytes(), path=f"{place}/{index}"
                )
    entry = cause(before, after, "export-duplicate")
    assert entry.message == "added: 5 variables written a second time under another name"
    assert entry.delta == 5 * 4 * 64 * 64


@pytest.mark.parametrize(
    ("variable", "said", "remedy", "name"),
    [
        (
            "layers/prune_low_magnitude/vars/1",
            "masks, thresholds and steps of pruning wrappers",
            "strip_pruning",
            "pruning-state",
        ),
        (
            "layers/cluster_weights/vars/1",
            "the centroids of clustering wrappers, and for each weight the index",
            "strip_clustering",
            "pruning-state",
        ),
        (
            "layers/quantize_wrapper_v2/vars/3",
            "ranges and steps of quantization-aware training",
            "TFLiteConverter",
            "quantization-aware-training",
        ),
    ],
)
def test_helpers_are_told_by_what_wraps_a_numbered_layer(
    variable: str, said: str, remedy: str, name: str
) -> None:
    before, after = (Build("m.keras", FormatName.KERAS_ZIP) for _ in range(2))
    for build in (before, after):
        build.tensor("layers/dense/vars/0", (64, 64), data=kernel().tobytes())
    after.tensor(variable, (64, 64), role=Role.PRUNING, data=kernel(seed=2).tobytes())
    entry = cause(before, after, name)
    assert entry.message.startswith(f"added: {said}")
    assert remedy in entry.remedy


def test_vectors_of_two_values_are_no_copies_of_each_other() -> None:
    """The bias of an LSTM begins as zeros, and ones for the forget gate."""
    build = Build("m.h5")
    bias = np.repeat(np.array([0, 1, 0, 0], "<f4"), 16)
    for name in ("forward", "backward"):
        build.tensor(f"{name}/lstm_cell/bias", bias.shape, data=bias.tobytes())
    assert duplicates(side(build)) == []


def test_a_constant_that_is_stored_as_one_element_is_no_kernel() -> None:
    build = model(kernel(), location="m", format=FormatName.CHECKPOINT)
    build.tensor(
        "dense/kernel/Adam/Initializer/zeros",
        (64, 64),
        role=Role.CONSTANT,
        storage=Storage.INLINE,
        pieces=(4,),
        zeros=4_096,
    )
    assert dense_kernels(Subject(build.artifact(), build.measurements(), {})).zeros == 0


def test_functions_are_told_with_the_bodies_that_stand_twice() -> None:
    def traced(*bodies: str) -> Build:
        build = model(kernel(), location="m", format=FormatName.SAVED_MODEL)
        build.facts["functions"] = tuple({"body": body, "size": 100} for body in bodies)
        (
            build.region("graph_def / library / function", 100 * len(bodies), RegionKind.GRAPH)
            if bodies
            else None
        )
        return build

    def said(before: Build, after: Build) -> str:
        return cause(before, after, "traced-functions").message.split(": ", 1)[1]

    assert said(traced(), traced("a", "b")) == "0 before, 2 after"
    assert (
        said(traced(), traced("a", "a"))
        == "0 before, 2 after; 100 bytes of those after are bodies that another function also has"
    )
    assert (
        said(traced("a", "a"), traced("a"))
        == "2 before, 1 after; 100 bytes of those before are bodies that another function also has"
    )
    twice = said(traced("a", "a"), traced("a", "a", "a"))
    assert (
        twice == "2 before, 3 after; 100 bytes before and 200 after are bodies that another function also has"
    )


@pytest.mark.parametrize(
    ("one", "other", "plain"),
    [
        ("mid/kernel", "net/mid/MatMul;net/mid/Relu;net/mid/BiasAdd", "mid/kernel"),
        ("mid/0", "net/mid/MatMul", "net/mid/MatMul"),
        ("StatefulPartitionedCall_1", "out/0", "out/0"),
        ("Adam/m/mid/kernel", "optimizer/7", "Adam/m/mid/kernel"),
    ],
)
def test_a_counterpart_has_the_plainer_of_its_names_in_both_orders(one: str, other: str, plain: str) -> None:
    build = {one: Build("a.h5"), other: Build("b.h5")}
    for dtype, (name, each) in zip(("float32", "float16"), build.items(), strict=True):
        each.tensor(name, (64, 64), dtype=dtype, data=kernel().astype(dtype).tobytes())
    found = [
        cause(build[a], build[b], "dtype-change").evidence[0].tensor for a, b in ((one, other), (other, one))
    ]
    assert found == [plain, plain]


def test_a_key_of_a_checkpoint_is_called_as_its_variable_was() -> None:
    key = "model/_operations/1/_kernel/.ATTRIBUTES/VARIABLE_VALUE"
    build = Build("m", FormatName.CHECKPOINT)
    build.tensor(key, (2, 2))
    build.tensor("net/mid/kernel", (2, 2), path=key.replace("1", "2"))
    unnamed, named = build.artifact().tensors
    subject = Subject(build.artifact())
    assert subject.name(unnamed) == "model/_operations/1/_kernel"
    assert subject.name(named) == "net/mid/kernel"


def test_what_tf_keras_does_not_load_again_is_not_told_to_be_loaded() -> None:
    """Of a quantize layer it writes three variables to a .keras archive, and asks for five when it reads
    them.
    """
    build = trained("Adam", 2)
    build.region("config.json", 4, RegionKind.GRAPH)
    build.tensor("layers/quantize_wrapper_v2/vars/0", (64, 64), data=kernel().tobytes())
    build.tensor("layers/quantize_wrapper_v2/layer/vars/0", (64, 64), data=kernel().tobytes())
    build.tensor("layers/quantize_wrapper_v2/vars/3", (), role=Role.PRUNING)
    build.facts["weights"] = "model.weights.h5"
    causes = {entry.cause: entry for entry in explain(None, side(build)).causes}
    assert "load_model" not in "".join(entry.remedy for entry in causes.values())
    assert "TFLiteConverter.from_keras_model(model)" in causes["wrapper-duplicate"].remedy


def test_a_bias_of_two_axes_is_no_kernel() -> None:
    """Recurrent layers and the heads of attention have such, and all begin as zeros."""
    build = Build("m.h5")
    build.tensor("mha/key/kernel", (64, 64), data=kernel(zeros=0.5).tobytes(), layer="mha/key")
    build.tensor("mha/key/bias", (4, 16), data=bytes(256), layer="mha/key")
    build.tensor("gru/gru_cell/bias:0", (2, 48), data=bytes(384), layer="gru")
    for name in ("layers/gru/cell/vars/2", "layers/mha/key_dense/vars/1"):
        build.tensor(name, (2, 48), data=bytes(384), layer="numbered")
    report = explain(None, side(build))
    assert [entry.tensor for entry in report.pruning] == ["mha/key/kernel"]
    assert report.summary[1].startswith(
        "50.0 % of the kernel elements are zero, stored in 4 bytes each: 8,192 bytes"
    )


@pytest.mark.parametrize(("nodes", "told"), [(0, ""), (7, "from_config")])
def test_a_model_of_tensorflow_1_is_not_told_to_be_copied_by_keras(nodes: int, told: str) -> None:
    build = Build("m", FormatName.SAVED_MODEL, {"object_graph_nodes": nodes, "optimizer": "Adam"})
    build.tensor("dense/kernel", (64, 64), data=kernel().tobytes())
    build.tensor("dense/kernel/Adam", (64, 64), role=Role.OPTIMIZER, data=kernel(seed=2).tobytes())
    remedy = next(
        entry.remedy for entry in explain(None, side(build)).causes if entry.cause == "optimizer-state"
    )
    assert told in remedy
    assert bool(remedy) is bool(told)


def test_what_becomes_of_batch_normalizations_is_told_in_both_orders() -> None:
    before, after = Build("m.h5"), Build("m.tflite", FormatName.TFLITE)
    before.tensor("conv/kernel", (64, 64), data=kernel().tobytes(), layer="conv")
    after.tensor("net/conv/kernel", (64, 64), data=kernel(seed=2).tobytes())
    for layer in ("bn", "bn_1"):
        for name, role in (
            ("gamma", Role.WEIGHT),
            ("beta", Role.WEIGHT),
            ("moving_mean", Role.STATISTIC),
            ("moving_variance", Role.STATISTIC),
        ):
            before.tensor(f"{layer}/{name}", (64,), role=role, data=kernel(8, 8).tobytes(), layer=layer)
    said = (
        "; the converter folds the 2 batch normalizations into convolutions, or keeps a factor and an offset"
        " of four vectors"
    )
    for one, other in ((before, after), (after, before)):
        assert cause(one, other, "structure-change").message.endswith(said)
    assert said not in cause(before, model(kernel(), location="m.h5"), "structure-change").message
