"""A result that keeps training state names the option that removes it, and the bytes."""

from __future__ import annotations

import pytest

import modelinspect as mi
from tests.support.corpus import PROJECT

MLP = PROJECT / "fixtures" / "pruned_mlp"


@pytest.mark.parametrize(
    "path",
    [
        "original/model.h5",
        "original/model.keras",
        "original/model.weights.h5",
        "original/checkpoint",
        "wrapped/model.h5",
        "original/saved-model-keras",
    ],
)
def test_the_note_counts_what_dropping_removes(path: str) -> None:
    kept = mi.shrink(MLP / path)
    state = sum(
        tensor.stored_size
        for tensor in mi.inspect(MLP / path).tensors
        if tensor.role in ("optimizer", "pruning")
    )
    assert kept.notes == (
        f"{state:,} bytes of the original are training state and stay; --drop training removes them",
    )
    dropped = mi.shrink(MLP / path, drop=["training"])
    assert kept.after is not None
    assert dropped.after is not None
    assert dropped.after.size < kept.after.size
    assert not any("training state" in note for note in dropped.notes)


@pytest.mark.parametrize(
    "path",
    ["original/no-optimizer.h5", "stripped/model.keras", "original/float32.tflite", "stripped/saved-model"],
)
def test_no_note_where_nothing_would_go(path: str) -> None:
    assert not any("training state" in note for note in mi.shrink(MLP / path).notes)
