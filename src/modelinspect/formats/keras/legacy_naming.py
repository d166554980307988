"""Name the datasets of Keras's HDF5 files: whole models, and weights by layer (Keras 1 to 3, tf_keras)."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.names import MODEL_WEIGHTS, OPTIMIZER_WEIGHTS, TOP_LEVEL_WEIGHTS
from modelinspect.core.tensors import Role
from modelinspect.encodings.hdf5.model import Attribute, Dataset, Group, Hdf5File
from modelinspect.encodings.hdf5.values import text_of, texts_of
from modelinspect.encodings.walk import Walk
from modelinspect.formats.hdf5.naming import Description
from modelinspect.formats.keras.config import LayerConfig, computing_policy, read_config, read_json
from modelinspect.formats.keras.roles import role_of, wrapper_class
from modelinspect.formats.keras.slots import CLASSES, class_of_scope, optimizer_class, slot_name

_OPTIMIZER = f"/{OPTIMIZER_WEIGHTS}/"
_PARTS = 16
_NORMALIZATION = {"mean", "variance", "count"}


class LegacyNaming:
    """Describes datasets by ``layer_names`` and ``weight_names``, and by the model's configuration where
    there is one.
    """

    def __init__(self) -> None:
        self.model: LayerConfig | None = None
        self.training: Mapping[str, object] | None = None
        self.layer_names: tuple[str, ...] = ()
        self.weight_counts: dict[str, int] = {}
        self._root = "/"
        self._weights: dict[str, tuple[str, str]] = {}
        self._by_flat_name: dict[str, Description] = {}
        self._normalizations: set[str] = set()
        self._within: dict[str, dict[str, LayerConfig]] = {}

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        """Call the model's configuration graph, all else metadata."""
        return RegionKind.GRAPH if name == "model_config" else RegionKind.METADATA

    def survey(self, file: Hdf5File, walk: Walk) -> None:
        """Read the configuration and the lists of names."""
        groups = {path: group for group in file.groups for path in (*group.aliases, group.path)}
        root = groups.get("/")
        if root is None:
            return
        self._read_configs(root, walk)
        if self.model is not None:
            for child in self.model.children:
                self._within[child.name] = {layer.name: layer for layer in child.walk() if layer.name}
        self._root = f"/{MODEL_WEIGHTS}" if f"/{MODEL_WEIGHTS}" in groups else "/"
        top = groups[self._root]
        self.layer_names = names(top.attributes, "layer_names", walk)
        prefix = "" if self._root == "/" else self._root
        for layer in dict.fromkeys((*self.layer_names, TOP_LEVEL_WEIGHTS)):
            group = groups.get(f"{prefix}/{layer}")
            weights = names(group.attributes, "weight_names", walk) if group is not None else ()
            if group is not None:
                self.weight_counts[layer] = len(weights)
            if {_bare(weight).rpartition("/")[2] for weight in weights} == _NORMALIZATION:
                self._normalizations.add(layer)
            for weight in weights:
                self._weights[f"{prefix}/{layer}/{weight}"] = (layer, weight)
                self._by_flat_name.setdefault(_flat(weight), self._weight(layer, weight))

    def _read_configs(self, root: Group, walk: Walk) -> None:
        text = _text(root.attributes, "model_config", walk)
        self.model = read_config(text) if text is not None else None
        text = _text(root.attributes, "training_config", walk)
        training = read_json(text) if text is not None else None
        self.training = training if isinstance(training, dict) else None

    def describe(self, dataset: Dataset) -> Description:
        """Name a weight as its model does, without ``:0``."""
        if dataset.path.startswith(_OPTIMIZER):
            variable = _bare(dataset.path[len(_OPTIMIZER) :])
            slot = self._slot(variable)
            return Description(slot.name, Role.OPTIMIZER, slot.layer, f"optimizer/{variable}")
        place = self._weights.get(dataset.path)
        if place is None:
            place = next((self._weights[alias] for alias in dataset.aliases if alias in self._weights), None)
        if place is None:
            layer, _, weight = dataset.path[len(self._root) :].strip("/").partition("/")
            if not weight:
                return Description(dataset.path.strip("/"), Role.OTHER)
            place = layer, weight
        return self._weight(*place)

    def _weight(self, layer: str, weight: str) -> Description:
        parts = _bare(weight).split("/")
        within = self._within.get(layer, {})
        owner = next((within[part] for part in reversed(parts[:-1]) if part in within), within.get(layer))
        class_name = owner.class_name if owner is not None else self._guessed_class(layer, parts)
        quantized = owner is not None and _is_quantized(owner)
        if layer in parts[:-1]:  # Keras 3 writes the model's own name before the layer's
            parts = parts[parts.index(layer) :]
        name = "/".join(parts) if len(parts) > 1 else f"{layer}/{parts[0]}"
        model = within.get(layer)
        if model is not None and owner is not None and owner is not model and "layers" in model.settings:
            shown = f"{layer}/{owner.name}"
        else:
            shown = layer
        return Description(name, role_of(parts[-1], class_name, quantized=quantized), shown)

    def _guessed_class(self, layer: str, parts: list[str]) -> str:
        """Return the class that names betray where there is no configuration: tfmot's wrappers, and
        Normalization by its three weights.
        """
        wrapper = wrapper_class(parts[-2] if len(parts) > 1 else layer)
        return wrapper or ("Normalization" if layer in self._normalizations else "")

    def _slot(self, variable: str) -> Description:
        """Return the name of an optimizer's variable, and the layer whose weight it is for.

        tf_keras writes Adam/m/dense/kernel or training/Adam/dense/kernel/m, Keras 3
        adam/sequential_dense_kernel_momentum.
        """
        parts = variable.split("/")[-_PARTS:]
        named = (known for part in parts if (known := class_of_scope(part)) in CLASSES.values())
        optimizer = next(named, None) or optimizer_class(self.training) or class_of_scope(parts[0])
        for start in range(len(parts)):
            for end in (len(parts), len(parts) - 1):
                weight = self._by_flat_name.get("_".join(parts[start:end]))
                if weight is not None:
                    slot = "_".join(
                        parts[end:] or [part for part in parts[:start] if class_of_scope(part) != optimizer]
                    )
                    return self._named(slot_name(optimizer, slot, weight.name), weight)
        words = parts[-1].split("_")
        for end in range(len(words) - 1, 0, -1):
            weight = self._by_flat_name.get("_".join(words[:end]))
            if weight is not None:
                return self._named(slot_name(optimizer, "_".join(words[end:]), weight.name), weight)
        layer = next((name for name in reversed(parts) if name in self.weight_counts), None)
        name = (
            "/".join((optimizer, *parts[1:]))
            if len(parts) > 1 and class_of_scope(parts[0]) == optimizer
            else f"optimizer/{variable}"
        )
        return Description(name, Role.OPTIMIZER, layer)

    def _named(self, name: str, weight: Description) -> Description:
        return Description(name, Role.OPTIMIZER, weight.layer)


def names(attributes: Mapping[str, Attribute], name: str, walk: Walk) -> tuple[str, ...]:
    """Return a list of names, which Keras splits over ``name0``, ``name1``, … where it is longer than a
    header may be.
    """
    whole = attributes.get(name)
    if whole is not None:
        return texts_of(whole, walk) or ()
    found: list[str] = []
    number = 0
    while (part := attributes.get(f"{name}{number}")) is not None:
        found += texts_of(part, walk) or ()
        number += 1
    return tuple(found)


def _text(attributes: Mapping[str, Attribute], name: str, walk: Walk) -> str | None:
    attribute = attributes.get(name)
    return text_of(attribute, walk) if attribute is not None else None


def _bare(weight: str) -> str:
    """Return a variable's name without the output index that TensorFlow puts after it."""
    return weight[:-2] if weight.endswith(":0") else weight


def _flat(weight: str) -> str:
    return _bare(weight).replace("/", "_")


def _is_quantized(layer: LayerConfig) -> bool:
    """Return whether Keras quantized a layer: its dtype policy is a quantized one."""
    return computing_policy(layer).startswith(("int8", "int4", "float8", "gptq", "awq"))
