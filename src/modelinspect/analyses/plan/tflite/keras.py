"""Builds the float TFLite model that a Keras artifact converts to, from its configuration and its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.analyses.plan.base import Planning
from modelinspect.analyses.plan.tflite.contents import Elements, elements_of
from modelinspect.analyses.plan.tflite.emit import emit
from modelinspect.analyses.plan.tflite.flow import Flow, unwrapped
from modelinspect.analyses.plan.tflite.fusing import fuse
from modelinspect.analyses.plan.tflite.graph import Array, Constant
from modelinspect.analyses.plan.tflite.lowering import Parameter, items
from modelinspect.analyses.plan.tflite.tree import Node
from modelinspect.core.artifact import Document, DocumentKind
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.encodings.protobuf import parse_message
from modelinspect.errors import FormatError
from modelinspect.formats.keras_model.config import LayerConfig, model_config, read_json
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.kept import Kept, Layout, measure_kept, slabs

_KERAS_MESSAGE = "third_party.py.tf_keras.protobuf.SavedMetadata"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_MOST = 10_000
_SHORT = 1 << 20
"""Vectors of more elements are not read."""
UNKNOWN_LAYER, GUESSED_LAYER = 8_000, 1_500
"""Bytes of structure that one layer may have more or less: of a layer that is not known, and where all layers are guessed."""
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "Conv1D": ("kernel", "bias"),
    "Conv2D": ("kernel", "bias"),
    "Conv2DTranspose": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "Embedding": ("embeddings",),
    "LayerNormalization": ("gamma", "beta"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
}
"""The variables of a layer in the order in which they are numbered where their names are not stored."""


@dataclass(frozen=True, slots=True)
class Source:
    """A float model to predict from: its tree, what is kept of its kernels, and the layers that nothing is known of.

    ``elements`` gives those of its constants. ``doubt`` is how many bytes of structure may be missing or too many,
    ``guessed`` how many bytes of weights may be stored otherwise; ``certain`` tells that its size is known to the byte.
    """

    root: Node
    kept: Mapping[int, Kept]
    unknown: tuple[str, ...]
    has_structure: bool
    doubt: int = 0
    guessed: int = 0
    elements: Mapping[int, Elements] = field(default_factory=dict)
    certain: bool = False


def keras_source(planning: Planning) -> Source:
    """Return the model that the converter would make. Raises `FormatError`, `UnmeasurableError`."""
    model = _read_model(planning)
    parameters = _parameters(planning, model)
    if not parameters:
        raise UnmeasurableError("it holds no weights of layers")
    if model is None or not _has_shape(model):
        return _guess(planning, parameters)
    keras = 3 if str(planning.artifact.facts.get("keras_version", "")).startswith("3") else 2
    flow = Flow(keras, parameters)
    with np.errstate(all="ignore"):  # variables can be anything
        network = flow.run(model)
        if not network.ops or not network.outputs:
            raise UnmeasurableError("its layers are not connected as Keras writes them")
        fuse(network)
    root, constants = emit(network, "StatefulPartitionedCall" if keras == 2 else "StatefulPartitionedCall_1")
    kept = _measured(planning, constants)
    doubt = UNKNOWN_LAYER * len(flow.unknown)
    elements = _elements(planning, constants)
    return Source(root, kept, tuple(flow.unknown), True, doubt, flow.guessed, elements, flow.certain)


def _read_model(planning: Planning) -> LayerConfig | None:
    """Return the model's configuration, None where the artifact has none."""
    for document in planning.artifact.documents:
        if document.kind is DocumentKind.KERAS_CONFIG and document.label != "training_config":
            model = model_config(read_json(_bytes(planning, document).rstrip(b"\0")))
            if model is not None and model.children:
                return model
        if document.kind is DocumentKind.KERAS_METADATA:
            message = parse_message(_KERAS_MESSAGE, _bytes(planning, document), document.stream.member, document.span.offset)
            for node in list(message.nodes)[:_MOST]:  # type: ignore[attr-defined]
                model = model_config(read_json(node.metadata))
                if model is not None and model.children and node.identifier.endswith(("_model", "_sequential", "_network")):
                    return model
    return None


def _bytes(planning: Planning, document: Document) -> bytes:
    if document.data is not None:
        return document.data
    planning.limits.allow("a configuration", document.span.size, planning.limits.structure_size, document.stream.member)
    return planning.files.open_stream(document.stream).read_at(document.span.offset, document.span.size)


def _parameters(planning: Planning, model: LayerConfig | None) -> dict[str, list[Parameter]]:
    """Return the variables of each layer, by the layer's path."""
    classes = {} if model is None else {unwrapped(layer).name: unwrapped(layer) for layer in model.walk()}
    found: dict[str, list[Parameter]] = {}
    for _, tensor in planning.weights():
        if tensor.role in (Role.WEIGHT, Role.STATISTIC) and tensor.storage is not Storage.INLINE:
            layer = tensor.layer or (tensor.name or "").split("/")[0]
            name = (tensor.name or "").removesuffix(_VALUE).rpartition("/")[2].split(":")[0]
            values = _values(planning, tensor) if len(tensor.shape) <= 1 else None
            found.setdefault(layer, []).append(Parameter(name, tensor, values))
    return {layer: _named(many, classes.get(layer.rpartition("/")[2])) for layer, many in found.items()}


def _named(many: list[Parameter], layer: LayerConfig | None) -> list[Parameter]:
    """Give variables that are numbered their names."""
    if layer is None or not all(each.name.isdecimal() for each in many):
        return many
    kind = layer.class_name.rpartition(">")[2]
    names: tuple[str, ...] = _VARIABLES.get(kind, ())
    if kind == "BatchNormalization":
        learned = [name for name, key in (("gamma", "scale"), ("beta", "center")) if layer.settings.get(key, True)]
        names = (*learned, "moving_mean", "moving_variance")
    ordered = sorted(many, key=lambda each: int(each.name))
    if len(ordered) > len(names):
        return many
    return [Parameter(name, each.tensor, each.values) for name, each in zip(names, ordered, strict=False)]


def _values(planning: Planning, tensor: Tensor) -> Array | None:
    """Read the elements of a vector."""
    if tensor.element_count > _SHORT:
        return None
    try:
        runs = list(slabs(tensor, planning.reading, Layout(1, tensor.element_count)))
    except UnmeasurableError:
        return None
    return np.concatenate([run.reshape(-1) for run in runs]) if runs else np.zeros(0, dtype=np.float32)


def _elements(planning: Planning, constants: Mapping[int, Constant]) -> dict[int, Elements]:
    """Return what gives the elements of each constant that is known, by the index of its buffer."""
    found: dict[int, Elements] = {}
    for index, constant in constants.items():
        if constant.values is not None:
            found[index] = partial(_as_is, constant.values)
        elif constant.kernel is not None:
            one = constant.kernel
            found[index] = elements_of(one.tensor, one.layout, planning.reading, one.input_scale)
    return found


def _as_is(values: NDArray[Any], _: tuple[int, ...]) -> NDArray[Any]:
    return values


def _measured(planning: Planning, constants: Mapping[int, Constant]) -> dict[int, Kept]:
    """Measure every kernel, by the index of its buffer."""
    found: dict[int, Kept] = {}
    for index, one in ((index, constant.kernel) for index, constant in constants.items() if constant.kernel is not None):
        try:
            found[index] = measure_kept(one.tensor, planning.reading, one.layout, one.input_scale)
        except UnmeasurableError:
            continue
    return found


def _has_shape(model: LayerConfig) -> bool:
    return any(items(layer.settings.get(key)) for layer in model.walk() for key in ("batch_input_shape", "batch_shape"))


def _guess(planning: Planning, parameters: Mapping[str, list[Parameter]]) -> Source:
    """Take every layer with a kernel for a dense or convolutional one, in order: good for the weights, rough for the rest."""
    layers: list[LayerConfig] = []
    shape: tuple[int, ...] | None = None
    for name, many in parameters.items():
        kernels = [each for each in many if len(each.shape) in (2, 4)]
        if not kernels:
            continue
        first = kernels[0].shape
        kind = "Dense" if len(first) == 2 else "Conv2D"
        shape = shape or ((first[0],) if kind == "Dense" else (32, 32, first[2]))
        layers.append(LayerConfig(name, kind, {"use_bias": len(many) > 1, "padding": "same"}))
    if shape is None or prod(shape) <= 0:
        raise FormatError("it has no kernels", planning.artifact.location, 0)
    given = LayerConfig("inputs", "InputLayer", {"batch_shape": [None, *shape]})
    flow = Flow(2, {name: _guessed(many) for name, many in parameters.items()})
    network = flow.run(LayerConfig("model", "Sequential", {}, (given, *layers)))
    fuse(network)
    root, constants = emit(network, "StatefulPartitionedCall")
    doubt = GUESSED_LAYER * max(len(layers), 2)
    held = sum(4 * each.tensor.element_count for many in parameters.values() for each in many)
    return Source(root, _measured(planning, constants), (), False, doubt, held // 2)


def _guessed(many: list[Parameter]) -> list[Parameter]:
    """Name the first kernel and the first vector of a layer."""
    found = []
    for name, ranks in (("kernel", (2, 4)), ("bias", (1,))):
        found += [Parameter(name, each.tensor, each.values) for each in many if len(each.shape) in ranks][:1]
    return found
