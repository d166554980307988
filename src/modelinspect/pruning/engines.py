"""Choose what prunes a model, tfmot or the Keras 3 callback, from the model's configuration and before
TensorFlow is loaded.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.modelfile import ModelFile, ModelKind


class Engine(StrEnum):
    """What prunes: tfmot with tf_keras, or `MagnitudePruning` with Keras 3."""

    TFMOT = "tfmot"
    KERAS = "keras"


BACKENDS = ("tensorflow", "jax", "torch")
"""What Keras 3 computes with."""

AUTO = "auto"
ENGINES = (AUTO, *Engine)


class EngineChoice(Struct, frozen=True):
    """The engine of a run and the reason for it."""

    engine: Engine
    reason: str


def choose_engine(wanted: str, model: str, facts: ModelFile | None) -> EngineChoice:
    """Return the engine for a model file, or for an architecture where ``facts`` is None.

    Raises `JobError` for an unknown engine, `PruningError` where the engine that was asked for cannot load
    the file.
    """
    if wanted not in ENGINES:
        raise JobError(f"no engine is named {wanted!r}; there are {', '.join(ENGINES)}")
    if facts is None:
        if wanted == AUTO:
            return EngineChoice(
                Engine.TFMOT,
                f"both engines build {model}, and tfmot also shows the wrapped stage; --engine keras uses"
                " Keras 3",
            )
        return EngineChoice(Engine(wanted), f"--engine {wanted}, and both engines build {model}")
    engine, reason = _fitting(facts)
    if wanted == AUTO:
        return EngineChoice(engine, reason)
    if engine is not Engine(wanted) and (advice := _refused(Engine(wanted), facts)):
        raise PruningError(f"{model}: {reason}, and {advice}")
    return EngineChoice(Engine(wanted), f"--engine {wanted}; {reason}")


def _fitting(facts: ModelFile) -> tuple[Engine, str]:
    if facts.kind is ModelKind.SAVED_MODEL:
        return Engine.TFMOT, "it is a SavedModel of Keras 2"
    if facts.kind is ModelKind.WEIGHTS:
        return Engine.KERAS, "it is weights beside a configuration of Keras 3"
    if facts.written_by_keras_3:
        return Engine.KERAS, f"it was written by Keras {facts.keras_version}"
    version = (
        f"Keras {facts.keras_version}" if facts.keras_version else "a Keras that did not write its version"
    )
    return Engine.TFMOT, f"it was written by {version}"


def _refused(engine: Engine, facts: ModelFile) -> str:
    """Say why an engine cannot load a file that the other one fits; empty where it may be able to."""
    if engine is Engine.TFMOT:
        return (
            "tfmot prunes tf_keras models, which cannot load it; leave out --engine tfmot, or build the"
            " network again with TF_USE_LEGACY_KERAS=1 and copy the weights"
        )
    if facts.kind is ModelKind.SAVED_MODEL:
        return "Keras 3 cannot train a SavedModel; leave out --engine keras, or give the .keras or .h5 file"
    return ""
