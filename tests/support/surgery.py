"""Takes channels out of real Keras models: a separate operation, which knows nothing of how the tool found
them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from modelinspect import api
from modelinspect.core.artifact import Artifact
from modelinspect.core.tensors import Role
from modelinspect.measure.facts import COMPARING
from modelinspect.networks.channels.removal import Removal, find_removal

Places = Mapping[str, list[dict[int, tuple[int, ...]]]]
"""For each layer and each of its weights, in the order of ``get_weights``, the places that go, by axis."""
WIDTHS = ("units", "filters", "output_dim")


def removal_of(path: Path) -> tuple[Artifact, Removal | None]:
    """Ask the tool which channels an artifact can do without."""
    with api.opened(path) as (artifact, files):
        return artifact, find_removal(artifact, files, api.measure_files(artifact, files, aspects=COMPARING))


def weight_bytes(artifact: Artifact) -> int:
    """Return the bytes of all weights of an artifact."""
    return sum(
        tensor.stored_size
        for tensor in artifact.tensors
        if tensor.role in (Role.WEIGHT, Role.STATISTIC, Role.CONSTANT)
    )


def places_of(model: Any, artifact: Artifact, removal: Removal) -> Places:
    """Return what goes of each layer; a Keras H5 file names its data sets ``layer/variable``."""
    named = {artifact.tensors[tensor].name.split(":")[0]: axes for tensor, axes in removal.places.items()}
    found: dict[str, list[dict[int, tuple[int, ...]]]] = {}
    for layer in model.layers:
        names = [weight.name.split(":")[0].rpartition("/")[2] for weight in layer.weights]
        found[layer.name] = [dict(named.pop(f"{layer.name}/{name}", {})) for name in names]
    assert not named, f"no layer has {sorted(named)}"
    return found


def without(module: ModuleType, model: Any, places: Places, x: Any) -> Any:
    """Return the model without those channels: built anew, narrower; what constant channels added goes into
    biases.
    """
    config = model.get_config()
    for entry in config["layers"]:
        name = entry["config"]["name"]
        if name in places:
            key = next((key for key in WIDTHS if key in entry["config"]), None)
            if key is not None:
                new = [
                    _cut(weight, axes)
                    for weight, axes in zip(model.get_layer(name).get_weights(), places[name], strict=True)
                ]
                kernel = new[1] if entry["class_name"].startswith("Separable") else new[0]
                entry["config"][key] = kernel.shape[-2 if "Transpose" in entry["class_name"] else -1]
            entry.pop("build_config", None)
    smaller = type(model).from_config(config)
    smaller(np.asarray(x))
    for layer in model.layers:
        if layer.weights:
            new = [
                _cut(weight, axes)
                for weight, axes in zip(layer.get_weights(), places[layer.name], strict=True)
            ]
            smaller.get_layer(layer.name).set_weights(new)
    _fold(module, model, smaller, places, x)
    return smaller


def _cut(weight: Any, axes: Mapping[int, tuple[int, ...]]) -> Any:
    for axis, where in axes.items():
        weight = np.delete(weight, where, axis)
    return weight


def _fold(module: ModuleType, model: Any, smaller: Any, places: Places, x: Any) -> None:
    """Give each layer's bias, or the normalization behind it, what the missing channels added: by comparing
    what both compute.
    """
    for layer in model.layers:
        kernels = [
            axes
            for weight, axes in zip(layer.get_weights(), places[layer.name], strict=True)
            if weight.ndim > 1
        ]
        inputs, outputs = _AXES.get(type(layer).__name__, (None, None))
        if inputs is None or inputs not in kernels[0]:
            continue
        given = np.asarray(module.Model(model.inputs, layer.input)(x))
        other = smaller.get_layer(layer.name)
        with _linear(layer), _linear(other):
            whole = np.delete(np.asarray(layer(given)), kernels[-1].get(outputs, ()), -1)
            less = np.asarray(other(np.delete(given, kernels[0][inputs], -1)))
        added = (whole - less).reshape(-1, whole.shape[-1])
        assert np.allclose(added, added[:1], atol=1e-3 * max(1, abs(whole).max())), (
            f"what {layer.name} loses is no constant"
        )
        if abs(added).max() < 1e-5:
            continue
        if layer.use_bias:
            weights = other.get_weights()
            other.set_weights([*weights[:-1], weights[-1] + added[0]])
        else:
            _normalize(smaller, model, layer, added[0])


_AXES = {
    "Dense": (0, 1),
    "Conv1D": (1, 2),
    "Conv2D": (2, 3),
    "SeparableConv2D": (2, 3),
    "Conv2DTranspose": (3, 2),
}
"""The axes of a kernel's inputs and outputs."""


def _normalize(smaller: Any, model: Any, layer: Any, added: Any) -> None:
    """Move the mean of the normalization that follows."""
    follower = next(
        each
        for each in model.layers
        if type(each).__name__ == "BatchNormalization" and each.input is layer.output
    )
    other = smaller.get_layer(follower.name)
    names = [weight.name.split(":")[0].rpartition("/")[2] for weight in follower.weights]
    weights = other.get_weights()
    weights[names.index("moving_mean")] = weights[names.index("moving_mean")] - added
    other.set_weights(weights)


@contextmanager
def _linear(layer: Any) -> Iterator[None]:
    activation = layer.activation
    layer.activation = lambda values: values
    yield
    layer.activation = activation


def seeded(module: ModuleType, seed: int) -> random.Random:
    """Seed everything that draws numbers."""
    module.utils.set_random_seed(seed)
    return random.Random(seed)


def filled(model: Any, seed: int) -> Any:
    """Give a model weights that are all different, and statistics as after training."""
    numbers = np.random.default_rng(seed)

    def drawn(name: str, shape: tuple[int, ...]) -> Any:
        if "variance" in name:
            return numbers.uniform(0.5, 1.5, shape)
        return numbers.normal(
            0, min(0.4, 1.4 / np.sqrt(np.prod(shape[:-1]))) if len(shape) > 1 else 0.4, shape
        )

    for layer in model.layers:
        names = [weight.name.split(":")[0].rpartition("/")[2] for weight in layer.weights]
        layer.set_weights(
            [
                drawn(name, weight.shape).astype("f4")
                for name, weight in zip(names, layer.get_weights(), strict=True)
            ]
        )
    return model


def zeroed(
    model: Any, layer: str, weight: str, axis: int, places: tuple[int, ...], value: float = 0.0
) -> None:
    """Write a value to slices of one weight; Keras 3 calls a depthwise kernel a kernel."""
    found = model.get_layer(layer)
    names = [each.name.split(":")[0].rpartition("/")[2] for each in found.weights]
    weight = weight if weight in names else "kernel"
    weights = found.get_weights()
    index: list[Any] = [slice(None)] * weights[names.index(weight)].ndim
    index[axis] = list(places)
    weights[names.index(weight)][tuple(index)] = value
    found.set_weights(weights)


def convert(model: Any, path: Path, *, half: bool = False) -> Path:
    """Convert a model to TFLite, in float32 or float16."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    return path
