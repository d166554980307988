"""Gather what the documents of a preset say: versions, class, how it was quantized, and which weights stayed
float.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from modelinspect.core.facts import Fact
from modelinspect.core.tensors import ElementKind, Role, Tensor
from modelinspect.formats.keras.config import LayerConfig

_SHOWN = 20
_TEXT = 200
_METADATA = ("keras_version", "keras_hub_version", "keras_nlp_version", "date_saved")
_HUGGING_FACE = ("model_type", "torch_dtype", "dtype", "transformers_version")


def config_facts(config: object, metadata: object) -> dict[str, Fact]:
    """Return the facts of ``config.json`` and ``metadata.json``, of KerasHub or of Hugging Face."""
    facts: dict[str, Fact] = {}
    if isinstance(metadata, Mapping):
        facts |= _texts(metadata, _METADATA)
        count = metadata.get("parameter_count")
        if isinstance(count, int):
            facts["declared_parameters"] = count
    if not isinstance(config, Mapping):
        return facts
    settings = config.get("config")
    if isinstance(config.get("class_name"), str) and isinstance(settings, Mapping):
        facts["model_class"] = str(config["class_name"])[:_TEXT]
        facts |= {"model_name": name[:_TEXT]} if isinstance(name := settings.get("name"), str) else {}
        modes = _policy_modes(settings.get("dtype"))
        return facts | ({"quantized_layers": modes} if modes else {})
    facts |= _texts(config, _HUGGING_FACE)
    architectures = config.get("architectures")
    if isinstance(architectures, list):
        facts["model_class"] = ", ".join(str(one)[:_TEXT] for one in architectures[:_SHOWN])
    quantization = config.get("quantization_config")
    if isinstance(quantization, Mapping):
        listed = {
            key: value
            for key, value in quantization.items()
            if isinstance(value, str | int | float) and len(str(value)) < _TEXT
        }
        facts["quantization"] = dict(sorted(listed.items())[:_SHOWN])
    return facts


def _texts(values: Mapping[str, object], keys: Iterable[str]) -> dict[str, Fact]:
    return {key: value[:_TEXT] for key in keys if isinstance(value := values.get(key), str)}


def _policy_modes(policy: object) -> dict[str, Fact]:
    """Return the layers that a DTypePolicyMap quantizes, each with its mode; one policy for all layers is
    under the empty name.
    """
    settings = policy.get("config") if isinstance(policy, Mapping) else None
    if not isinstance(settings, Mapping):
        return {}
    if isinstance(mode := settings.get("mode"), str):
        return {"": mode[:_TEXT]}
    found: dict[str, Fact] = {}
    policies = settings.get("policy_map")
    for layer, one in policies.items() if isinstance(policies, Mapping) else ():
        inner = one.get("config") if isinstance(one, Mapping) else None
        mode = inner.get("mode") if isinstance(inner, Mapping) else None
        if isinstance(layer, str) and isinstance(mode, str):
            found[layer] = mode[:_TEXT]
    return found


def policies_of(config: object) -> dict[str, LayerConfig]:
    """Return what the configuration of a preset says about its quantized layers: one for each policy, by the
    layer's name.
    """
    settings = config.get("config") if isinstance(config, Mapping) else None
    policy = settings.get("dtype") if isinstance(settings, Mapping) else None
    listed = policy.get("config") if isinstance(policy, Mapping) else None
    policies = listed.get("policy_map") if isinstance(listed, Mapping) else None
    if not isinstance(policies, Mapping):
        return {}
    return {
        str(name): LayerConfig(str(name).rpartition("/")[2], "", {"dtype": one})
        for name, one in policies.items()
    }


def stayed_float(tensors: Iterable[Tensor]) -> dict[str, Fact] | None:
    """Return how many weights of 16 bits or more a quantized model still has; None where no weight is
    narrower.

    Only weights of two axes or more count: biases and norms are not quantized.
    """
    wide: list[Tensor] = []
    narrow: list[Tensor] = []
    for tensor in tensors:
        if tensor.role is Role.WEIGHT and len(tensor.shape) > 1:
            (wide if tensor.dtype.kind is ElementKind.FLOAT and tensor.dtype.bits >= 16 else narrow).append(
                tensor
            )
    if not narrow:
        return None
    wide.sort(key=lambda tensor: (-tensor.stored_size, tensor.name))
    return {
        "tensors": len(wide),
        "bytes": sum(tensor.stored_size for tensor in wide),
        "quantized_bytes": sum(tensor.stored_size for tensor in narrow),
        "largest": tuple(tensor.name for tensor in wide[:_SHOWN]),
    }


def chat_templates(value: object) -> Iterator[tuple[str, str]]:
    """Yield the templates of a document of Hugging Face, with their labels: one text, texts by name, or a
    list of both.
    """
    found = value.get("chat_template") if isinstance(value, Mapping) else None
    if isinstance(found, str):
        yield "chat_template", found
    elif isinstance(found, Mapping):
        yield from (
            (f"chat_template {name}"[:_TEXT], text) for name, text in found.items() if isinstance(text, str)
        )
    for entry in found if isinstance(found, list) else ():
        text = entry.get("template") if isinstance(entry, Mapping) else None
        if isinstance(text, str):
            yield f"chat_template {entry.get('name')}"[:_TEXT], text
