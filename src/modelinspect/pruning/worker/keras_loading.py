"""Load a model file with Keras 3, after it was judged safe, and say what to do where Keras cannot."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

from modelinspect.core.names import CONFIG_JSON, WEIGHTS_H5, WEIGHTS_INDEX
from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.modelfile import ModelFile, ModelKind, look_at, refuse_code
from modelinspect.pruning.worker.code import custom_objects
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.reasons import reason_of


def load(place: Path, *, allow_code: bool, code: str | None, warn: Callable[[str], None]) -> Network:
    """Return the network of a model file; ``warn`` is given what Keras warned about.

    Raises `JobError` or `PruningError`.
    """
    facts = look_at(place)
    if not allow_code:
        refuse_code(place, facts)
    if code:
        keras.saving.get_custom_objects().update(custom_objects(Path(code)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        network = _loaded(place, facts, allow_code, warn)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            warn(f"{place.name}: Keras warns: {reason_of(ValueError(str(warning.message)))}")
    if not getattr(network, "inputs", None) or not network.built:
        raise PruningError(
            f"{place}: a subclassed model ({type(network).__name__}) does not say the shape of its input, so"
            " it cannot be trained here; use modelinspect.MagnitudePruning in the code that trains it"
        )
    return network


def version_of(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _loaded(place: Path, facts: ModelFile, allow_code: bool, warn: Callable[[str], None]) -> Network:
    try:
        if facts.kind is ModelKind.WEIGHTS:
            return _with_weights(place, safe_mode=not allow_code)
        try:
            return keras.models.load_model(place, safe_mode=not allow_code)
        except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as problem:
            # the second try shows whether compiling raised it, or the network itself
            network = keras.models.load_model(place, safe_mode=not allow_code, compile=False)
            warn(f"{place.name}: its optimizer could not be loaded and starts again: {reason_of(problem)}")
            return network
    except Exception as problem:  # all mean that Keras cannot load the file
        raise PruningError(_advice(place, facts, problem)) from problem


def _with_weights(place: Path, *, safe_mode: bool) -> Network:
    folder = place if place.is_dir() else place.parent
    names = (WEIGHTS_H5, WEIGHTS_INDEX) if place.is_dir() else (place.name,)
    weights = next(folder / name for name in names if (folder / name).is_file())
    config = json.loads((folder / CONFIG_JSON).read_bytes())
    network = keras.saving.deserialize_keras_object(config, safe_mode=safe_mode)
    network.load_weights(weights)
    return network


def _advice(place: Path, facts: ModelFile, problem: Exception) -> str:
    reason = reason_of(problem)
    if facts.foreign or facts.code:
        return (
            f"{place}: {reason}; give the file that defines its own classes with --code FILE.py --allow-code"
        )
    return f"{place}: Keras {keras.__version__} cannot load it: {reason}"
