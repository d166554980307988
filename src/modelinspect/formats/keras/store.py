"""The layout of Keras 3's weights store (``layers/dense/vars/0``): which layer a path is of, what each
variable is for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from modelinspect.core.names import LAYER_DEPENDENCIES, WrapperName
from modelinspect.core.tensors import ElementKind, Role
from modelinspect.formats.keras.config import LayerConfig
from modelinspect.formats.keras.variables import Variable, plain_class, snake_case

CONTAINERS = frozenset({"layers", LAYER_DEPENDENCIES, "_operations"})
"""Parts of a path that only hold layers; tf_keras 2.12 wrote the second."""

OPTIMIZERS = frozenset({"optimizer", "_optimizer"})
METRICS = frozenset(
    {
        "metrics",
        "_metrics",
        "compiled_metrics",
        "_compile_metrics",
        "_loss_tracker",
        "loss_tracker",
        "compiled_loss",
    }
)
_CHILDREN = ("layer", "forward_layer", "backward_layer", "cell")
_COUNTED = re.compile(r"(.*?)(_\d+)?")
_PYTHON_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""The one class that a configuration and the store, whose paths come from the name in Python, name apart."""
_FLOAT8 = 6
"""How many helper variables a layer has that computes in float8."""


def split_path(path: str) -> tuple[str, int] | None:
    """Split ``/layers/dense/vars/0`` into the owner's path and the variable's index; None for a path of
    another layout.
    """
    owner, _, index = path.strip("/").rpartition("/")
    if not index.isascii() or not index.isdigit() or len(index) > 9:
        return None
    if owner == "vars":
        return "", int(index)
    return (owner[: -len("/vars")], int(index)) if owner.endswith("/vars") else None


def layer_of(owner: str, names: dict[str, str] | None = None) -> str | None:
    """Return the layer that an owner's path is of: by the names that a configuration gives, else the path
    itself.
    """
    parts = owner.split("/") if owner else []
    if not parts or parts[0] in OPTIMIZERS or parts[0] in METRICS:
        return None
    if names:
        for length in range(len(parts), 0, -1):
            known = names.get("/".join(parts[:length]))
            if known is not None:
                rest = [part for part in parts[length:] if part not in CONTAINERS]
                return "/".join((known, *rest))
    return "/".join(part for part in parts if part not in CONTAINERS) or None


def store_paths(model: LayerConfig) -> dict[str, LayerConfig]:
    """Return the layers of a configuration by their paths in the store, those beside each other in order."""
    found: dict[str, LayerConfig] = {}
    pending: list[tuple[str, LayerConfig]] = [("", model)]
    for path, layer in pending:  # grows meanwhile: layers beside each other stay in their order
        found[path] = layer
        prefix = f"{path}/" if path else ""
        for key in _CHILDREN:
            if key in layer.settings:  # hardly any layer has one
                value = layer.settings[key]
                child = next((item for item in layer.children if _is(value, item)), None)
                if child is not None:
                    pending.append((prefix + key, child))
        for key in ("layers", "cells"):
            listed = layer.settings.get(key)
            if isinstance(listed, list):
                ours = {id(value.get("config")) for value in listed if isinstance(value, dict)}
                pending += _numbered(
                    f"{prefix}{key}/", [item for item in layer.children if id(item.settings) in ours]
                )
    return found


def _is(value: object, layer: LayerConfig) -> bool:
    return isinstance(value, dict) and (value.get("config") is layer.settings)


def _numbered(prefix: str, layers: Sequence[LayerConfig]) -> list[tuple[str, LayerConfig]]:
    used: dict[str, int] = {}
    found: list[tuple[str, LayerConfig]] = []
    for layer in layers:
        kind = plain_class(layer.class_name)
        name = snake_case(_PYTHON_NAMES.get(kind, kind))
        count = used[name] = used.get(name, -1) + 1
        found.append((f"{prefix}{name}_{count}" if count else prefix + name, layer))
    return found


def roles(owner: str, variables: Sequence[Variable], class_name: str = "") -> list[Role]:
    """Say what each variable of an owner is for, from the owner's class (its path, where no configuration
    says).
    """
    parts = owner.split("/") if owner else [""]
    if parts[0] in OPTIMIZERS:
        return [Role.OPTIMIZER] * len(variables)
    if parts[0] in METRICS or "seed_generator" in parts[-1]:
        return [Role.OTHER] * len(variables)
    match = _COUNTED.fullmatch(parts[-1])
    known = snake_case(plain_class(class_name)) if class_name else (match.group(1) if match else parts[-1])
    count = len(variables)
    match known:
        case WrapperName.PRUNE:
            kept = sum(1 for variable in variables if variable.shape) // 2
        case WrapperName.CLUSTER | WrapperName.CLUSTER_ATTENTION:
            kept = sum(1 for variable in variables if variable.dtype.name == "int64")
        case WrapperName.QUANTIZE | WrapperName.QUANTIZE_V2:
            kept = next(
                (
                    i
                    for i, variable in enumerate(variables)
                    if variable.dtype.name == "int32" and not variable.shape
                ),
                count,
            )
        case WrapperName.QUANTIZE_LAYER:
            kept = 0
        case "batch_normalization" | "sync_batch_normalization":
            return [Role.WEIGHT] * max(count - 2, 0) + [Role.STATISTIC] * min(count, 2)
        case "normalization":
            return [Role.STATISTIC] * count
        case _:
            return _quantized(variables)
    return [Role.WEIGHT] * kept + [Role.PRUNING] * (count - kept)


def _quantized(variables: Sequence[Variable]) -> list[Role]:
    """Say what variables are for in a layer that Keras may have quantized: kernel, bias, then scales and zero
    points.

    See ``variable_serialization_spec`` of Keras's Dense, EinsumDense and Embedding; GPTQ's and AWQ's bias
    comes first. Of float8, a scale and the maxima that were seen follow for the inputs, the kernel and the
    gradients.
    """
    found = [Role.WEIGHT] * len(variables)
    if len(variables) > _FLOAT8 and [len(item.shape) for item in variables[-_FLOAT8:]] == [0, 1] * (
        _FLOAT8 // 2
    ):
        return found[:-_FLOAT8] + [Role.QUANTIZATION] * _FLOAT8
    whole = (ElementKind.INT, ElementKind.UINT)
    kernel = next(
        (
            i
            for i, item in enumerate(variables)
            if item.dtype.bits == 8 and item.dtype.kind in whole and item.shape
        ),
        None,
    )
    if kernel is None:
        return found
    first = kernel + 1
    if (
        kernel == 0
        and len(variables) > 2
        and len(variables[1].shape) == 1
        and variables[2].dtype.kind is ElementKind.FLOAT
    ):
        first = 2  # the bias
    return found[:first] + [Role.QUANTIZATION] * (len(variables) - first)
