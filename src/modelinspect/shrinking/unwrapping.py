"""Take pruning wrappers out of Keras configurations: each is replaced by the layer that it wraps, under that
layer's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelinspect.core.names import WrapperClass

_NESTING = 50
_NOT_LEGACY = ("module", "registered_name", "build_config")


def unwrapped(value: Any, *, legacy: bool = False) -> tuple[Any, dict[str, str]]:
    """Return a configuration without wrappers, and the names of wrapped layers by the names of their
    wrappers.

    A ``legacy`` configuration, of a model in HDF5, does not say where a layer's class is from or what it was
    built with.
    """
    names: dict[str, str] = {}
    bare = _without_wrappers(value, names, legacy, 0)
    return (_renamed(bare, names, 0) if names else bare), names


def _without_wrappers(value: Any, names: dict[str, str], legacy: bool, depth: int) -> Any:  # handed down
    if depth > _NESTING:
        return value
    if isinstance(value, list):
        return [_without_wrappers(item, names, legacy, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    name, config = value.get("class_name"), value.get("config")
    if (
        isinstance(name, str)
        and name.rpartition(">")[2] == WrapperClass.PRUNE
        and isinstance(config, dict)
        and isinstance(config.get("layer"), dict)
    ):
        inner = {key: item for key, item in config["layer"].items() if not (legacy and key in _NOT_LEGACY)}
        told = inner.get("config")
        own = told.get("name") if isinstance(told, dict) else None
        if isinstance(own, str):
            names[str(config.get("name", value.get("name", "")))] = own
            inner.update({"name": own} if "name" in value else {})
        inner.update({key: value[key] for key in ("inbound_nodes",) if key in value})
        return _without_wrappers(inner, names, legacy, depth + 1)
    return {key: _without_wrappers(item, names, legacy, depth + 1) for key, item in value.items()}


def _renamed(value: Any, names: Mapping[str, str], depth: int) -> Any:
    """Return a configuration in which uses of layers bear other names."""
    if depth > _NESTING:
        return value
    if isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            value = [names.get(value[0], value[0]), *value[1:]]
        return [_renamed(item, names, depth + 1) for item in value]
    if isinstance(value, dict):
        history = value.get("keras_history")
        if isinstance(history, list) and len(history) == 3 and isinstance(history[0], str):
            value = {**value, "keras_history": [names.get(history[0], history[0]), *history[1:]]}
        return {key: _renamed(item, names, depth + 1) for key, item in value.items()}
    return value
