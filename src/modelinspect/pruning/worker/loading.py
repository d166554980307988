"""Load a model file with tf_keras, after it was judged safe, and say what to do where tf_keras cannot."""

from __future__ import annotations

from pathlib import Path

import tf_keras

from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.modelfile import ModelFile, ModelKind, look_at, refuse_code
from modelinspect.pruning.worker.code import custom_objects
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.reasons import reason_of


def load(place: Path, *, allow_code: bool, code: str | None) -> Network:
    """Return the network of a model file. Raises `JobError` or `PruningError`."""
    facts = look_at(place)
    if not allow_code:
        refuse_code(place, facts)
    if code:
        tf_keras.utils.get_custom_objects().update(custom_objects(Path(code)))
    try:
        if facts.kind is ModelKind.KERAS:
            network = tf_keras.models.load_model(place, safe_mode=not allow_code)
        else:
            network = tf_keras.models.load_model(place)
    except Exception as problem:  # Keras raises every kind; all mean that it cannot load the file
        raise PruningError(_advice(place, facts, problem)) from problem
    if not isinstance(network, tf_keras.Sequential) and not getattr(network, "_is_graph_network", False):
        raise PruningError(f"{place}: a subclassed model; tfmot prunes Sequential and functional models")
    if not network.built or not network.inputs:
        raise PruningError(
            f"{place}: the model does not say the shape of its input, so it has no weights yet"
        )
    return network


def _advice(place: Path, facts: ModelFile, problem: Exception) -> str:
    reason = reason_of(problem)
    if facts.written_by_keras_3:
        return (
            f"{place}: written by Keras {facts.keras_version}, and tfmot prunes tf_keras models, which cannot"
            f" load it ({reason}); build the network again with TF_USE_LEGACY_KERAS=1, copy the weights"
            " (get_weights, set_weights), save it and prune that file"
        )
    if "Unknown layer" in reason or "Unknown" in reason or "custom" in reason:
        return f"{place}: {reason}; give the file that defines it with --code FILE.py --allow-code"
    return f"{place}: tf_keras cannot load it: {reason}"
