"""Samples: made from a seed, or read and held against the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modelinspect.pruning.data import InputFacts, OutputFacts, check_samples, read_samples, synthetic_samples
from modelinspect.pruning.errors import JobError

INPUT, OUTPUT = InputFacts((28, 28)), OutputFacts((10,), "sparse_categorical_crossentropy")


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def good(count: int = 20) -> dict[str, np.ndarray]:
    return {"x": np.zeros((count, 28, 28), "float32"), "y": np.arange(count) % 10}


def test_the_same_seed_makes_the_same_samples() -> None:
    one, other = (synthetic_samples([INPUT], [OUTPUT], 50, 7) for _ in range(2))
    assert np.array_equal(one.x[0], other.x[0])
    assert np.array_equal(one.y[0], other.y[0])
    assert len(one.x[0]) == 50
    assert len(one.test_x[0]) == 10
    assert not np.array_equal(one.x[0], synthetic_samples([INPUT], [OUTPUT], 50, 8).x[0])


def test_labels_of_seeded_samples_fit_their_loss() -> None:
    facts = [
        OutputFacts((4,), loss)
        for loss in (
            "sparse_categorical_crossentropy",
            "categorical_crossentropy",
            "binary_crossentropy",
            "mse",
        )
    ]
    samples = synthetic_samples([InputFacts((5, None), True, 30), InputFacts((3,))], facts, 40, 1)
    assert samples.x[0].max() < 30
    assert samples.x[0].dtype.kind == "i"
    assert [part.shape for part in samples.y] == [(40,), (40, 4), (40, 4), (40, 4)]
    assert set(np.unique(samples.y[1].sum(axis=1))) == {1.0}
    assert len(np.unique(samples.y[0])) > 1


def test_a_file_is_split_into_samples_to_train_and_to_measure_with(tmp_path: Path) -> None:
    samples = read_samples(npz(tmp_path / "d.npz", **good()))
    assert (len(samples.x[0]), len(samples.test_x[0])) == (16, 4)
    check_samples(samples, [INPUT], [OUTPUT], "d.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x": np.zeros((20, 28, 27)), "y": np.zeros(20)},
            "x has samples of the shape 28x27; the network takes 28x28",
        ),
        ({"x": np.zeros((20, 28, 28)), "y": np.zeros((20, 3))}, "y has samples of the shape 3"),
        ({"x": np.zeros((20, 28, 28)), "y": np.full(20, 10)}, "the classes 10 to 10; the network has 10"),
        ({"x": np.zeros((20, 28, 28)), "y": np.array(["a"] * 20)}, "y holds <U1, not numbers"),
        ({"x": np.zeros((20, 28, 28)), "y": np.zeros(19)}, "the same number of samples"),
        ({"x": np.zeros((20, 28, 28))}, "no array is named y or y_train; there are x"),
        ({"x": np.array([object()] * 3), "y": np.zeros(3)}, "not a readable .npz"),
    ],
)
def test_samples_that_do_not_fit_are_refused_by_name_and_shape(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(JobError) as raised:
        check_samples(read_samples(npz(tmp_path / "d.npz", **arrays)), [INPUT], [OUTPUT], "d.npz")
    assert message in str(raised.value)


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("text.npz", "single.npy", "missing.npz"):
        with pytest.raises(JobError):
            read_samples(tmp_path / name)
