"""Which objects of an HDF5 file stay, and under which names, once a model is saved without training state."""

from __future__ import annotations

import json
from typing import Any

from modelinspect.core.names import MODEL_WEIGHTS, OPTIMIZER_WEIGHTS, WrapperName
from modelinspect.formats.keras.config import read_json
from modelinspect.shrinking.unwrapping import unwrapped

HELPERS = ("mask", "threshold", "pruning_step")
_OF_TRAINING = ("optimizer", OPTIMIZER_WEIGHTS, "metrics", "_metrics")


def is_no_training(path: str) -> bool:
    """Return whether an object stays when only weights and the architecture are saved."""
    return path.split("/")[1] not in _OF_TRAINING


def untrained(path: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an object without the training configuration."""
    return {name: value for name, value in values.items() if not (path == "/" and name == "training_config")}


def is_no_helper(path: str) -> bool:
    """Return whether an object stays once wrappers are stripped: what a wrapper holds beside its layer
    goes.
    """
    parts = path.split("/")[1:]
    if not is_no_training(path) or parts[-1].split(":")[0] in HELPERS:
        return False
    if parts[0] == MODEL_WEIGHTS:
        return True
    return not (
        len(parts) > 2
        and parts[-2 if len(parts) == 3 else 1].startswith(WrapperName.PRUNE)
        and parts[2] == "vars"
    )


def unwrapped_path(path: str) -> str:
    """Return where an object is once the wrapper around its layer is gone."""
    parts = path.split("/")
    if parts[1] == MODEL_WEIGHTS:
        named = [
            part.removeprefix(f"{WrapperName.PRUNE}_") if number == 2 else part
            for number, part in enumerate(parts)
        ]
        if len(parts) > 3 and parts[2].startswith(
            WrapperName.PRUNE
        ):  # loading makes the variables again, in the wrapper's scope
            named[3] = _scoped(parts[3])
        return "/".join(named)
    wrapped = any(part.startswith(WrapperName.PRUNE) for part in parts)
    named = [
        f"dense{part.removeprefix(WrapperName.PRUNE)}" if part.startswith(WrapperName.PRUNE) else part
        for part in parts
    ]
    return "/".join(part for part in named if part != "layer") if wrapped else path


def unwrapped_attributes(path: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an object once wrappers are gone: lists of names, and the configuration."""
    kept = dict(untrained(path, values))
    for name in ("weight_names", "layer_names"):
        if name in kept:
            kept[name] = _unwrapped_names(
                kept[name], name, wrapped=path.rpartition("/")[2].startswith(WrapperName.PRUNE)
            )
    config = kept.get("model_config")
    if isinstance(config, str | bytes):
        value = read_json(config)
        if isinstance(value, dict):
            kept["model_config"] = json.dumps(unwrapped(value, legacy=True)[0])
    return kept


def _scoped(name: str) -> str:
    """Return the name that a variable gets when the wrapper builds its layer."""
    return name if name.startswith(WrapperName.PRUNE) else f"{WrapperName.PRUNE}_{name}"


def _unwrapped_names(names: Any, kind: str, *, wrapped: bool) -> Any:
    """Return names of layers without the wrapper's prefix, or names of weights without its helpers."""
    import numpy as np

    texts = [
        name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
        for name in np.asarray(names).tolist()
    ]
    if kind == "layer_names":
        kept = [text.removeprefix(f"{WrapperName.PRUNE}_") for text in texts]
    else:
        kept = [text for text in texts if text.rsplit("/", 1)[-1].split(":")[0] not in HELPERS]
        kept = [_scoped(text) for text in kept] if wrapped else kept
    if kept == texts:
        return names
    if not kept:
        return np.array([], dtype="f8")
    if np.asarray(names).dtype.kind == "O":
        return np.array(kept, dtype=object)
    return np.array([text.encode("utf-8", "surrogateescape") for text in kept], dtype="S")
