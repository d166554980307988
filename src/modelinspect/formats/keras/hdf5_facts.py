"""Gather the facts of an HDF5 file that reports show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from modelinspect.core.bytemap import TensorId
from modelinspect.core.facts import Fact, Facts, set_fact
from modelinspect.core.names import MODEL_WEIGHTS
from modelinspect.core.tensors import Role
from modelinspect.encodings.hdf5.model import Hdf5File, LayoutKind, LinkKind
from modelinspect.encodings.hdf5.values import text_of
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.keras.config import LayerConfig, mixed_precision, pruning_settings, quantized_layers
from modelinspect.formats.keras.legacy_naming import LegacyNaming
from modelinspect.formats.keras.store_naming import StoreNaming

_SHOWN = 100
_TEXT = 1_000


def structure_facts(file: Hdf5File) -> dict[str, Fact]:
    """Return what the file's structure says: versions, counts, and bytes by class of structure."""
    layouts = Counter(dataset.layout.value for dataset in file.datasets)
    filters = Counter(step.name for dataset in file.datasets for step in dataset.filters)
    facts: dict[str, Fact] = {
        "superblock_version": file.superblock.version,
        "user_block": file.superblock.offset,
        "groups": len(file.groups),
        "datasets": len(file.datasets),
        "layouts": dict(sorted(layouts.items())),
        "bytes": dict(asdict(file.totals)),
    }
    if filters:
        facts["filters"] = dict(sorted(filters.items()))
    if file.datatypes:
        facts["committed_datatypes"] = len(file.datatypes)
    links = [
        f"{link.path} -> {link.file + ':' if link.file else ''}{link.target}"[:_TEXT] for link in file.links
    ]
    if links:
        facts["links"] = tuple(links[:_SHOWN])
    return facts


def elsewhere_facts(file: Hdf5File) -> Facts:
    """Return what the file refers to beside itself: external links, external storage, virtual datasets.

    None of it is opened.
    """
    found: list[Mapping[str, Fact]] = []
    for link in file.links:
        if link.kind is LinkKind.EXTERNAL:
            found.append(
                {
                    "path": link.path[:_TEXT],
                    "kind": "external link",
                    "files": (str(link.file)[:_TEXT],),
                    "target": link.target[:_TEXT],
                }
            )
    for dataset in file.datasets:
        if dataset.layout is LayoutKind.EXTERNAL:
            names = tuple(sorted({run.name[:_TEXT] for run in dataset.external_files}))
            found.append({"path": dataset.path[:_TEXT], "kind": "external storage", "files": names})
        elif dataset.layout is LayoutKind.VIRTUAL:
            found.append({"path": dataset.path[:_TEXT], "kind": "virtual data set", "files": ()})
    return {"elsewhere": tuple(found[:_SHOWN]), "elsewhere_count": len(found)} if found else {}


def parameter_count(parsing: Parsing) -> int:
    """Return the elements of the weights and statistics that were added."""
    tensors = (parsing.tensor(TensorId(index)) for index in range(parsing.tensor_count))
    return sum(tensor.element_count for tensor in tensors if tensor.role in (Role.WEIGHT, Role.STATISTIC))


def attribute_facts(file: Hdf5File, site: Site) -> Facts:
    """Return the versions that Keras notes at the root or beside the weights."""
    facts: Facts = {}
    for path in (f"/{MODEL_WEIGHTS}", "/"):
        group = file.group(path)
        for name in ("keras_version", "backend"):
            attribute = group.attributes.get(name) if group is not None else None
            text = text_of(attribute, site.walk) if attribute is not None else None
            if text is not None:
                set_fact(facts, name, text[:_TEXT])
    return facts


def legacy_facts(naming: LegacyNaming) -> Facts:
    """Return what a Keras HDF5 file says about its model and its training."""
    facts: Facts = {}
    classes: dict[str, str] = {}
    if naming.model is not None:
        facts |= model_facts(naming.model)
        classes = {layer.name: layer.class_name for layer in naming.model.children}
    shown = naming.layer_names or tuple(classes)
    facts["layers"] = tuple(
        {"name": name, "class": classes.get(name), "weights": naming.weight_counts.get(name)}
        for name in shown
    )
    facts["compiled"] = naming.training is not None
    optimizer = optimizer_name(naming.training)
    if optimizer is not None:
        facts["optimizer"] = optimizer
    return facts


def model_facts(model: LayerConfig) -> Facts:
    """Return what a configuration says: the model's class and name, and how many layers are wrapped by
    tfmot.
    """
    facts: Facts = {"model_class": model.class_name, "model_name": model.name or None}
    wrapped = Counter(layer.class_name.rpartition(">")[2] for layer in model.walk() if layer.is_wrapper)
    if wrapped:
        facts["wrapped_layers"] = dict(sorted(wrapped.items()))
    pruning = pruning_settings(model)
    if pruning:
        facts["pruning"] = pruning
    quantized = quantized_layers(model)
    if quantized:
        facts["quantized_layers"] = quantized
    mixed = mixed_precision(model)
    if mixed:
        facts["mixed_precision"] = mixed
    return facts


def optimizer_name(training: Mapping[str, object] | None) -> str | None:
    """Return the class of the optimizer in a training configuration, or of the one within it; None where
    there is none.
    """
    config = training.get("optimizer_config", training.get("optimizer")) if training is not None else None
    if isinstance(config, Mapping):
        settings = config.get("config")
        inner = (
            settings.get("inner_optimizer", settings.get("optimizer"))
            if isinstance(settings, Mapping)
            else None
        )
        config = (inner if isinstance(inner, Mapping) else config).get("class_name")
    return config[:_TEXT] if isinstance(config, str) else None


def store_facts(naming: StoreNaming) -> Facts:
    """Return the names of layers that a weights store notes, by their paths."""
    names = {path: name for path, name in sorted(naming.layer_names.items()) if path}
    facts: Facts = {"layer_names": names} if names else {}
    optimizer = naming.layer_names.get("optimizer")
    if optimizer is not None:
        facts["optimizer"] = optimizer
    return facts
