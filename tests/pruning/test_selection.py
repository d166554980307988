"""Which layers are pruned, and why others are not."""

from __future__ import annotations

import pytest

from modelinspect.pruning.errors import JobError
from modelinspect.pruning.selection import (
    LayerFacts,
    Pattern,
    Selection,
    WeightFacts,
    select,
    validate_pattern,
)

LAYERS = (
    LayerFacts("conv", "Conv2D", True, (WeightFacts("kernel", (3, 3, 1, 12)),)),
    LayerFacts("flatten", "Flatten", True),
    LayerFacts("inner/dense", "Dense", True, (WeightFacts("kernel", (128, 10)),)),
    LayerFacts("head", "Dense", True, (WeightFacts("kernel", (10, 10)),)),
    LayerFacts("mine", "MyLayer", False),
)


def chosen(selection: Selection, pattern: Pattern | None = None) -> dict[str, str]:
    return {
        decision.layer.name: decision.reason for decision in select(LAYERS, selection, pattern or Pattern())
    }


def test_every_layer_with_prunable_weights_is_chosen_and_each_other_has_a_reason() -> None:
    reasons = chosen(Selection())
    assert [name for name, reason in reasons.items() if not reason] == ["conv", "inner/dense", "head"]
    assert reasons["flatten"] == "Flatten has no weights that tfmot prunes"
    assert "does not know MyLayer" in reasons["mine"]


def test_patterns_match_names_within_nested_models() -> None:
    reasons = chosen(Selection(layers=("inner/*",)))
    assert [name for name, reason in reasons.items() if not reason] == ["inner/dense"]
    assert reasons["head"] == "no --layers pattern matches (inner/*)"


def test_an_excluded_layer_says_so() -> None:
    assert (
        chosen(Selection(types=("Dense",), exclude=("head",)))["head"]
        == "an --exclude pattern matches (head)"
    )


def test_blocks_leave_out_kernels_that_are_no_matrices() -> None:
    assert chosen(Selection(), Pattern((4, 1)))["conv"] == "has a weight with 4 dimensions, and blocks take 2"


def test_m_by_n_sparsity_takes_matrices_and_convolutions() -> None:
    assert chosen(Selection(), Pattern(m_by_n=(2, 4)))["conv"] == ""


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(layers=("hed",)), "no layer matches 'hed'; there are head"),
        (Selection(exclude=("nope*",)), "no layer matches 'nope*'"),
        (
            Selection(types=("LSTM",)),
            "no layer has the type 'LSTM'; there are Conv2D, Dense, Flatten, MyLayer",
        ),
        (Selection(layers=("mine",)), "layer 'mine' cannot be pruned: tfmot does not know MyLayer"),
        (Selection(types=("Flatten",)), "layer 'flatten' cannot be pruned"),
        (Selection(layers=("fl*",)), "nothing to prune"),
    ],
)
def test_a_selection_that_cannot_be_is_refused_with_what_there_is(selection: Selection, message: str) -> None:
    with pytest.raises(JobError) as raised:
        chosen(selection)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "pattern",
    [
        Pattern((0, 1)),
        Pattern(pooling="SUM"),
        Pattern(m_by_n=(4, 4)),
        Pattern(m_by_n=(0, 4)),
        Pattern((4, 1), m_by_n=(2, 4)),
    ],
)
def test_a_pattern_that_tfmot_refuses_is_refused_first(pattern: Pattern) -> None:
    with pytest.raises(JobError):
        validate_pattern(pattern)
