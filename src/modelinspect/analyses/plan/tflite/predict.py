"""Predicts the size of every TFLite form of a float model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelinspect.analyses.plan.tflite.forms import (
    TENSORFLOW,
    Model,
    SparseTensor,
    Weights,
    buffers_in_order,
    put_together,
    take_apart,
    to_float16,
    to_int8,
    to_sparse,
)
from modelinspect.analyses.plan.tflite.packer import packed_size
from modelinspect.analyses.plan.tflite.tree import Node, Vector
from modelinspect.formats.tflite.schema import schema
from modelinspect.measure.kept import Kept

CONVERSION = b"CONVERSION_METADATA"


@dataclass(frozen=True, slots=True)
class Form:
    """A TFLite file that the converter could make; ``sparse`` are the tensors that it would encode."""

    weights: Weights
    is_sparse: bool
    size: int
    sparse: tuple[SparseTensor, ...]


def predict(root: Node, kept: Mapping[int, Kept], weights: Weights, *, sparse: bool, tensorflow: str = TENSORFLOW) -> Form:
    """Return one form of a float model."""
    model = take_apart(root, kept)
    if weights is Weights.FLOAT16:
        to_float16(model)
    elif weights is Weights.INT8:
        to_int8(model)
    if sparse:
        to_sparse(model)
    _tell_conversion(model, weights, tensorflow)
    tree = put_together(model)
    tree.lists["buffers"] = buffers_in_order(model)
    return Form(weights, sparse, packed_size(tree, schema("model")), tuple(model.sparse))


def _tell_conversion(model: Model, weights: Weights, tensorflow: str) -> None:
    """Write how the model was converted, as the converter does at last."""
    entries = model.root.lists.setdefault("metadata", [])
    entry = next((each for each in entries if each.values.get("name") == CONVERSION), None)
    if entry is None:
        return
    modes = (weights is not Weights.FLOAT32) + len({each.block > 1 for each in model.sparse})
    environment = Node("Environment", {"tensorflow_version": tensorflow.encode(), "api_version": 2, "model_type": 2, "model_hash": 1})
    options = Node("ConversionOptions", {"model_optimization_modes": Vector(modes, 4)})
    told = Node("ConversionMetadata", {}, {"environment": environment, "options": options})
    model.buffers[entry.number("buffer")].values["data"] = Vector(packed_size(told, schema("conversion")), 1)
