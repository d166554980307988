"""Read what a Keras artifact holds: the configuration of its model, and the variables of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modelinspect.core.artifact import Artifact, Document, DocumentKind
from modelinspect.core.names import KERAS_METADATA_MESSAGE, KEY_END, WrapperName
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.encodings.protobuf import parse_message
from modelinspect.formats.keras.config import LayerConfig, model_config, read_json
from modelinspect.measure.blocks import Reading, UnmeasurableError
from modelinspect.measure.kept import Layout, slabs
from modelinspect.networks.keras_layers import unwrapped

Array = NDArray[np.float32]
Shape = tuple[int, ...]
_MOST = 10_000
_SHORT = 1 << 20
"""Vectors of more elements are not read."""
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "AdditiveAttention": ("scale",),
    "Attention": ("scale",),
    "Conv1D": ("kernel", "bias"),
    "Conv2D": ("kernel", "bias"),
    "Conv1DTranspose": ("kernel", "bias"),
    "Conv2DTranspose": ("kernel", "bias"),
    "Conv3D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv1D": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "EinsumDense": ("kernel", "bias"),
    "Embedding": ("embeddings",),
    "GroupNormalization": ("gamma", "beta"),
    "LayerNormalization": ("gamma", "beta"),
    "Normalization": ("mean", "variance", "count"),
    "PReLU": ("alpha",),
    "RMSNormalization": ("scale",),
    "SeparableConv1D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
}
"""The variables of a layer in the order in which they are numbered where their names are not stored."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A variable of a layer: its tensor, and its elements where it is a short vector."""

    name: str
    tensor: Tensor
    values: Array | None

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return self.tensor.shape


def read_model(artifact: Artifact, reading: Reading) -> LayerConfig | None:
    """Return the model's configuration, None where the artifact has none."""
    for document in artifact.documents:
        if document.kind is DocumentKind.KERAS_CONFIG and document.label != "training_config":
            model = model_config(read_json(_bytes(reading, document).rstrip(b"\0")))
            if model is not None and model.children:
                return model
        if document.kind is DocumentKind.KERAS_METADATA:
            message = parse_message(
                KERAS_METADATA_MESSAGE,
                _bytes(reading, document),
                document.stream.member,
                document.span.offset,
            )
            for node in list(message.nodes)[:_MOST]:  # type: ignore[attr-defined]
                # others are parts: of a class that a program defines only these have configurations
                model = model_config(read_json(node.metadata)) if node.node_path == "root" else None
                if model is not None and model.children:
                    return model
    return None


def _bytes(reading: Reading, document: Document) -> bytes:
    if document.data is not None:
        return document.data
    if document.span.size > reading.limits.document_size:  # parsing has reported it
        return b""
    return reading.files.open_stream(document.stream).read_at(document.span.offset, document.span.size)


def parameters(artifact: Artifact, reading: Reading, model: LayerConfig | None) -> dict[str, list[Parameter]]:
    """Return the variables of each layer, by the layer's path."""
    classes = {} if model is None else {unwrapped(layer).name: unwrapped(layer) for layer in model.walk()}
    found: dict[str, list[Parameter]] = {}
    for tensor in artifact.tensors:
        if tensor.role in (Role.WEIGHT, Role.STATISTIC) and tensor.storage is not Storage.INLINE:
            layer = tensor.layer or tensor.path.split("/")[0]
            name = tensor.path.removesuffix(KEY_END).rpartition("/")[2].split(":")[0]
            values = values_of(tensor, reading) if len(tensor.shape) <= 1 or _is_pair(tensor, name) else None
            found.setdefault(layer, []).append(Parameter(name, tensor, values))
    return {layer: _named(many, classes.get(layer.rpartition("/")[2])) for layer, many in found.items()}


def _named(many: list[Parameter], layer: LayerConfig | None) -> list[Parameter]:
    """Give variables that are numbered their names."""
    if layer is None or not all(each.name.isdecimal() for each in many):
        return many
    kind = layer.class_name.rpartition(">")[2]
    names: tuple[str, ...] = _VARIABLES.get(kind, ())
    if kind == "BatchNormalization":
        learned = [
            name for name, key in (("gamma", "scale"), ("beta", "center")) if layer.settings.get(key, True)
        ]
        names = (*learned, "moving_mean", "moving_variance")
    if kind in ("GroupNormalization", "LayerNormalization"):
        flags = (("gamma", "scale"), ("beta", "center"))
        names = tuple(name for name, key in flags if layer.settings.get(key, True))
    ordered = sorted(many, key=lambda each: int(each.name))
    if len(ordered) > len(names):
        return many
    return [Parameter(name, each.tensor, each.values) for name, each in zip(names, ordered, strict=False)]


def _is_pair(tensor: Tensor, name: str) -> bool:
    """Return whether a tensor is the two biases of a recurrent layer."""
    return len(tensor.shape) == 2 and tensor.shape[0] == 2 and name in ("bias", "2")


def values_of(tensor: Tensor, reading: Reading) -> Array | None:
    """Read the elements of a vector, None of one that is too long or cannot be read."""
    if tensor.element_count > _SHORT:
        return None
    try:
        runs = list(slabs(tensor, reading, Layout(1, tensor.element_count)))
    except UnmeasurableError:
        return None
    return np.concatenate([run.reshape(-1) for run in runs]) if runs else np.zeros(0, dtype=np.float32)


def parameters_of(many: Mapping[str, Sequence[Parameter]], where: str) -> Sequence[Parameter]:
    """Return the variables of the layer at a path, whatever its writer put around its name."""
    name = where.rpartition("/")[2]
    for key in (where, f"{WrapperName.PRUNE}_{name}", name):
        if key in many:
            return many[key]
    found = [each for key, each in many.items() if key.rpartition("/")[2] == name]
    return found[0] if len(found) == 1 else []


def items(value: object) -> list[object] | None:
    """Return what a setting lists, None where it is not a list; SavedModels write tuples as objects."""
    if isinstance(value, Mapping):
        value = value.get("items")
    return list(value) if isinstance(value, list | tuple) else None
