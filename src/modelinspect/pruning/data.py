"""Make or read the samples that a network is trained on."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from msgspec import Struct

from modelinspect.pruning.errors import JobError

Array = Any
"""A numpy array; numpy is imported where it is used."""

HELD_BACK = 0.2
"""The share of the samples that is kept for measuring loss and metric."""


class InputFacts(Struct, frozen=True):
    """What the network takes: a sample's shape (None: any length), whether it counts words, and how many
    words there are.
    """

    shape: tuple[int | None, ...]
    integer: bool = False
    vocabulary: int = 2


class OutputFacts(Struct, frozen=True):
    """What the network gives for a sample, and the loss that fits it."""

    shape: tuple[int | None, ...]
    loss: str


class Samples(Struct, frozen=True):
    """Samples to train on and samples to measure with; a list holds an array per input or output."""

    x: list[Array]
    y: list[Array]
    test_x: list[Array]
    test_y: list[Array]
    synthetic: bool


def synthetic_samples(inputs: list[InputFacts], outputs: list[OutputFacts], count: int, seed: int) -> Samples:
    """Return seeded noise whose labels a linear map of it gives, so there is something to learn."""
    import numpy as np

    random = np.random.default_rng(seed)
    total = count + max(1, int(count * HELD_BACK))
    x = [_noise(random, facts, total) for facts in inputs]
    flat = np.concatenate([part.reshape(total, -1).astype("float32") for part in x], axis=1)
    flat = (flat - flat.mean()) / (flat.std() or 1.0)
    y = [_labels(random, flat, facts) for facts in outputs]
    return Samples(
        [part[:count] for part in x],
        [part[:count] for part in y],
        [part[count:] for part in x],
        [part[count:] for part in y],
        True,
    )


def read_samples(place: Path) -> Samples:
    """Read ``x`` and ``y`` (or ``x_train``, ``y_train``, ``x_test``, ``y_test``) of an ``.npz`` file.

    Raises `JobError`.
    """
    import numpy as np

    try:
        with np.load(place, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as problem:
        raise JobError(f"{place}: no such file") from problem
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
    ) as problem:
        raise JobError(f"{place}: not a readable .npz file") from problem
    x, y = _named(arrays, place, "x", "x_train"), _named(arrays, place, "y", "y_train")
    if not x.ndim or not y.ndim or len(x) != len(y) or len(x) < 2:
        raise JobError(
            f"{place}: x has the shape {x.shape} and y {y.shape}; both need the same number of samples, two"
            " or more"
        )
    if "x_test" in arrays and "y_test" in arrays:
        return Samples([x], [y], [arrays["x_test"]], [arrays["y_test"]], False)
    split = max(1, int(len(x) * (1 - HELD_BACK)))
    return Samples([x[:split]], [y[:split]], [x[split:]], [y[split:]], False)


def check_samples(samples: Samples, inputs: list[InputFacts], outputs: list[OutputFacts], place: str) -> None:
    """Raise `JobError` where the samples do not fit the network."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise JobError(
            f"{place}: an .npz file gives one input and one output; the network has {len(inputs)} and"
            f" {len(outputs)}"
        )
    for part, of in ((samples.x[0], "x"), (samples.test_x[0], "x_test")):
        if not _fits(part.shape[1:], inputs[0].shape):
            raise JobError(
                f"{place}: {of} has samples of the shape {_shape(part.shape[1:])}; the network takes"
                f" {_shape(inputs[0].shape)}"
            )
        if part.dtype.kind not in "fiub":
            raise JobError(f"{place}: {of} holds {part.dtype}, not numbers")
    wanted = (
        outputs[0].shape[:-1] if outputs[0].loss == "sparse_categorical_crossentropy" else outputs[0].shape
    )
    for part, of in ((samples.y[0], "y"), (samples.test_y[0], "y_test")):
        if part.dtype.kind not in "fiub":
            raise JobError(f"{place}: {of} holds {part.dtype}, not numbers")
        shape = part.shape[1:]
        if not (
            _fits(shape, wanted)
            or _fits(shape, (*wanted, 1))
            or (wanted[-1:] == (1,) and _fits(shape, wanted[:-1]))
        ):
            raise JobError(
                f"{place}: {of} has samples of the shape {_shape(shape)}; {outputs[0].loss} takes"
                f" {_shape(wanted)}"
            )
        classes = outputs[0].shape[-1]
        if (
            outputs[0].loss == "sparse_categorical_crossentropy"
            and classes
            and part.size
            and not 0 <= part.min() <= part.max() < classes
        ):
            raise JobError(
                f"{place}: {of} holds the classes {part.min()} to {part.max()}; the network has {classes}"
            )


def _noise(random: Any, facts: InputFacts, count: int) -> Array:
    shape = (count, *(16 if length is None else length for length in facts.shape))
    if facts.integer:
        return random.integers(0, max(1, facts.vocabulary), shape).astype("int32")
    return random.standard_normal(shape, dtype="float32")


def _labels(random: Any, flat: Array, facts: OutputFacts) -> Array:
    shape = tuple(1 if length is None else length for length in facts.shape)
    width = 1
    for length in shape:
        width *= length
    scores = (flat @ random.standard_normal((flat.shape[1], width), dtype="float32")).reshape(
        (len(flat), *shape)
    )
    match facts.loss:
        case "sparse_categorical_crossentropy":
            return scores.argmax(axis=-1).astype("int32")
        case "categorical_crossentropy":
            return (scores == scores.max(axis=-1, keepdims=True)).astype("float32")
        case "binary_crossentropy":
            return (scores > 0).astype("float32")
    return scores.astype("float32")


def _named(arrays: dict[str, Array], place: Path, *names: str) -> Array:
    for name in names:
        if name in arrays:
            return arrays[name]
    raise JobError(
        f"{place}: no array is named {' or '.join(names)}; there are {', '.join(sorted(arrays)) or 'none'}"
    )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        length in (None, given) for given, length in zip(shape, wanted, strict=True)
    )


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if length is None else str(length) for length in shape) or "()"
