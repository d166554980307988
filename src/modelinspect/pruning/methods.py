"""List the stages and the ways of saving a model, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase

from msgspec import Struct

from modelinspect.core.names import WEIGHTS_H5
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.errors import JobError


class Stage(StrEnum):
    """What is saved: the model as it was; with tfmot's wrappers and without them; as the Keras 3 callback
    left it.
    """

    ORIGINAL = "original"
    WRAPPED = "wrapped"
    STRIPPED = "stripped"
    PRUNED = "pruned"


ENGINE_STAGES: dict[Engine, tuple[Stage, ...]] = {
    Engine.TFMOT: (Stage.ORIGINAL, Stage.WRAPPED, Stage.STRIPPED),
    Engine.KERAS: (Stage.ORIGINAL, Stage.PRUNED),
}


class Method(Struct, frozen=True):
    """A way of saving.

    ``path`` is its artifact within a stage's folder; ``of`` is the method whose artifact it packs.
    """

    name: str
    path: str
    about: str
    of: str = ""
    engines: tuple[Engine, ...] = tuple(Engine)


def _tflite() -> Iterable[Method]:
    modes = {
        "float32": "TFLiteConverter without optimizations",
        "float16": "TFLiteConverter with float16 weights",
        "dynamic-int8": "TFLiteConverter, dynamic range: int8 weights, float arithmetic",
        "int8": "TFLiteConverter, full int8 with a representative dataset",
        "int16": "TFLiteConverter, int8 weights and int16 activations with a representative dataset",
    }
    for mode, about in modes.items():
        yield Method(f"tflite-{mode}", f"{mode}.tflite", about)
        sparse = f"{about}, and Optimize.EXPERIMENTAL_SPARSITY"
        if mode == "int16":
            sparse += "; not to ship: the interpreter refuses its convolutions or computes other results"
        yield Method(f"tflite-{mode}-sparse", f"{mode}-sparse.tflite", sparse)


SAVING = (
    Method("h5", "model.h5", "model.save as HDF5, with the optimizer where there is one"),
    Method("h5-no-optimizer", "no-optimizer.h5", "model.save as HDF5 with include_optimizer=False"),
    Method("weights-h5", WEIGHTS_H5, "model.save_weights as .weights.h5"),
    Method("keras", "model.keras", "model.save as .keras"),
    Method(
        "weights-h5-sharded",
        "weights-sharded",
        "model.save_weights as .weights.json with two shards",
        engines=(Engine.KERAS,),
    ),
    Method(
        "keras-int8", "int8.keras", "quantize('int8') of a copy, saved as .keras", engines=(Engine.KERAS,)
    ),
    Method(
        "keras-int4", "int4.keras", "quantize('int4') of a copy, saved as .keras", engines=(Engine.KERAS,)
    ),
    Method("orbax", "orbax", "Orbax, as keras.callbacks.OrbaxCheckpoint writes it", engines=(Engine.KERAS,)),
    Method("saved-model", "saved-model", "tf.saved_model.save"),
    Method(
        "saved-model-keras", "saved-model-keras", "model.save with save_format='tf'", engines=(Engine.TFMOT,)
    ),
    Method(
        "saved-model-no-traces",
        "saved-model-no-traces",
        "model.save with save_traces=False",
        engines=(Engine.TFMOT,),
    ),
    Method("saved-model-export", "saved-model-export", "model.export: only the serving function"),
    Method("checkpoint", "checkpoint", "tf.train.Checkpoint"),
    *_tflite(),
)
PACKING = (
    Method(
        "hdf5-gzip",
        "gzip.h5",
        "the HDF5 file without optimizer, its datasets under HDF5's gzip filter",
        "h5-no-optimizer",
    ),
    Method("keras-deflate", "deflate.keras", "the .keras file, its zip members deflated", "keras"),
)
GZ = "gz"
"""The method that adds a ``.gz`` beside every file that gains by it."""

GZ_GAIN = 0.05
"""The least share of a file that gzip must save for a ``.gz`` to be kept."""

METHODS: dict[str, Method] = {method.name: method for method in (*SAVING, *PACKING)}
NAMES: tuple[str, ...] = (*METHODS, GZ)


def choose_methods(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that the patterns name, in the table's order; all for no pattern.

    Raises `JobError`.
    """
    if not patterns:
        return NAMES
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in NAMES):
            raise JobError(f"no saving method matches {pattern!r}; there are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if any(fnmatchcase(name, pattern) for pattern in patterns))


def choose_stages(names: Sequence[str]) -> tuple[Stage, ...]:
    """Return the stages of those names in their order; all for none. Raises `JobError`."""
    if unknown := [name for name in names if name not in tuple(Stage)]:
        raise JobError(f"no stage is named {unknown[0]!r}; there are {', '.join(Stage)}")
    return tuple(stage for stage in Stage if not names or stage in names)


def for_engine(
    engine: Engine, stages: Sequence[Stage], methods: Sequence[str]
) -> tuple[tuple[Stage, ...], tuple[str, ...]]:
    """Return those of the stages and methods that an engine has. Raises `JobError` where none is left."""
    known = ENGINE_STAGES[engine]
    possible = [name for name in NAMES if name not in METHODS or engine in METHODS[name].engines]
    if not set(known) & set(stages):
        raise JobError(f"the {engine} engine has the stages {', '.join(known)}, not {', '.join(stages)}")
    if not set(possible) & set(methods):
        raise JobError(
            f"the {engine} engine has no method {', '.join(methods)}; it has {', '.join(possible)}"
        )
    return tuple(stage for stage in known if stage in stages), tuple(
        name for name in possible if name in methods
    )


def with_sources(methods: Sequence[str]) -> tuple[str, ...]:
    """Return the saving methods that have to run: those asked for and those that a packing method packs."""
    needed = set(methods) | {METHODS[name].of for name in methods if name in METHODS}
    return tuple(method.name for method in SAVING if method.name in needed)
