"""Read the configuration of a Keras model (``model_config``, ``config.json``) as a tree of layers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from modelinspect.core.facts import Fact
from modelinspect.core.records import dataclass, field
from modelinspect.encodings.json_objects import memory_of

_NESTING = 50
_TEXT_SIZE = 64 * 2**20

COMPILE_CONFIG = "compile_config"
"""The key of the settings of training in the configuration of a `.keras` file."""
_KERAS = frozenset({"", "keras", "tf_keras", "tensorflow"})
_WRAPPED_KEYS = ("layer", "cell", "forward_layer", "backward_layer")


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """A layer or a model; ``children`` are the layers within, a wrapper's wrapped layer first.

    ``module`` is the Python module of its class, where the configuration says it; ``inputs`` the shape that
    it was built for; ``build`` all that the configuration says about what it was built for.
    """

    name: str
    class_name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    children: tuple[LayerConfig, ...] = ()
    registered_name: str = ""
    module: str = ""
    inputs: tuple[int | None, ...] = ()
    build: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_of_keras(self) -> bool:
        """Return whether its class is one of Keras' own, as far as the configuration says."""
        packages = {name.rpartition(">")[0] for name in (self.class_name, self.registered_name)}
        return packages <= {"", "Keras", "keras"} and self.module.partition(".")[0] in _KERAS

    def walk(self) -> Iterator[LayerConfig]:
        """Yield the layer and all within it, outermost first."""
        pending = [self]
        while pending:
            layer = pending.pop()
            yield layer
            pending.extend(reversed(layer.children))

    @property
    def is_wrapper(self) -> bool:
        """Return whether it wraps one other layer."""
        return isinstance(self.settings.get("layer"), Mapping)


def read_config(text: str | bytes) -> LayerConfig | None:
    """Read a model's configuration from JSON; None where it is not one."""
    value = read_json(text)
    return model_config(value)


def read_json(text: str | bytes) -> object:
    """Read JSON that a file holds; None where it is not JSON, nests too deep, or its values need more memory
    than any model's.
    """
    if len(text) > _TEXT_SIZE or memory_of(text) > 2 * _TEXT_SIZE:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def model_config(value: object) -> LayerConfig | None:
    """Return the tree of layers of a parsed configuration; None where it is none."""
    return _layer(value, 0)


def compile_config(config: object) -> Mapping[str, object] | None:
    """Return the settings of training in the configuration of a `.keras` file, None where it has none."""
    found = config.get(COMPILE_CONFIG) if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else None


def pruning_settings(model: LayerConfig) -> tuple[Fact, ...]:
    """Return what tfmot's wrappers were reported: for each wrapped layer the schedule, the sparsity that it
    ends at, and the block.

    ``target`` is None where the schedule's configuration does not say it.
    """
    found: list[Fact] = []
    for layer in model.walk():
        schedule = layer.settings.get("pruning_schedule")
        if not isinstance(schedule, Mapping) or not layer.children:
            continue
        settings = schedule.get("config")
        options = settings if isinstance(settings, Mapping) else {}
        target = options.get("final_sparsity", options.get("target_sparsity"))
        name, begin = schedule.get("class_name"), options.get("begin_step")
        found.append(
            {
                "layer": layer.children[0].name,
                "schedule": name if isinstance(name, str) else None,
                "target": float(target) if isinstance(target, int | float) else None,
                "begin_step": begin if isinstance(begin, int) else None,
                "block_size": _pair(layer.settings.get("block_size")),
                "m_by_n": _pair(layer.settings.get("sparsity_m_by_n")),
            }
        )
    return tuple(found)


def computing_policy(layer: LayerConfig) -> str:
    """Return the name of a layer's dtype policy, such as float32, mixed_float16 or int8_from_float32; ""
    where none is given.

    Keras names a quantized layer's way of quantizing and what it was before apart.
    """
    policy = layer.settings.get("dtype")
    if isinstance(policy, Mapping):
        inner = policy.get("config")
        config = inner if isinstance(inner, Mapping) else {}
        mode, source = config.get("mode"), config.get("source_name")
        policy = f"{mode}_from_{source}" if isinstance(mode, str) else config.get("name")
    return policy if isinstance(policy, str) else ""


def quantization_mode(layer: LayerConfig) -> str:
    """Return how Keras quantized a layer (int8, int4, float8, gptq, awq, ternary), "" where it did not."""
    mode, quantized, _ = computing_policy(layer).partition("_from_")
    return mode.partition("/")[0] if quantized else ""


def quantized_layers(model: LayerConfig) -> dict[str, str]:
    """Return the layers that Keras quantized, each with its mode: int8, int4/128, float8 and others."""
    policies = ((layer.name, computing_policy(layer)) for layer in model.walk())
    return {name: policy.partition("_from_")[0] for name, policy in policies if name and "_from_" in policy}


def mixed_precision(model: LayerConfig) -> dict[str, int]:
    """Return how many layers compute in 16 bits and keep variables of 32, by the name of the policy."""
    policies = Counter(computing_policy(layer) for layer in model.walk())
    return {name: count for name, count in sorted(policies.items()) if name.startswith("mixed_")}


def _pair(value: object) -> tuple[int, ...] | None:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(length, int) for length in value):
        return tuple(value)
    return None


def _layer(value: object, depth: int) -> LayerConfig | None:
    if not isinstance(value, Mapping) or depth > _NESTING:
        return None
    class_name, settings = value.get("class_name"), value.get("config")
    if not isinstance(class_name, str):
        return None
    if isinstance(settings, list):  # Keras 1 and 2.0 to 2.2: a Sequential's config is the list of its layers
        settings = {"layers": settings}
    if not isinstance(settings, Mapping):
        settings = {}
    name = settings.get("name", value.get("name"))
    registered, module = value.get("registered_name"), value.get("module")
    build = value.get("build_config")
    children = tuple(_children(settings, depth))
    return LayerConfig(
        name if isinstance(name, str) else "",
        class_name,
        settings,
        children,
        registered if isinstance(registered, str) else "",
        module if isinstance(module, str) else "",
        _input_shape(build),
        build if isinstance(build, Mapping) else {},
    )


def _input_shape(build: object) -> tuple[int | None, ...]:
    shape = build.get("input_shape") if isinstance(build, Mapping) else None
    if not isinstance(shape, list) or not all(length is None or isinstance(length, int) for length in shape):
        return ()
    return tuple(shape)


def _children(settings: Mapping[str, object], depth: int) -> Iterator[LayerConfig]:
    for key in _WRAPPED_KEYS:
        if key in settings:  # hardly any layer has one: models of many layers cost less
            wrapped = _layer(settings[key], depth + 1)
            if wrapped is not None:
                yield wrapped
    for key in ("layers", "cells"):
        layers = settings.get(key)
        for item in layers if isinstance(layers, list) else []:
            layer = _layer(item, depth + 1)
            if layer is not None:
                yield layer
    model = _layer(settings["model"], depth + 1) if "model" in settings else None
    if model is not None:
        yield model
