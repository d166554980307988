"""Layers that merge tensors, change their shapes, or look rows up in a table."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Rule, UnknownLayerError, items
from modelinspect.conversion.keras.masks import mask_zero
from modelinspect.conversion.keras.nodes.trace import TYPES, Trace, traced
from modelinspect.conversion.operators import FLOAT32, INT32, INT64


def _all(t: Trace, op: str, name: str) -> Item:
    """Combine the inputs, one after the other; operations of keras.ops have another operand."""
    if len(t.call.inputs) < 2:
        raise UnknownLayerError("of one tensor")
    made: Item = t.given
    for other in t.call.inputs[1:]:
        made = t.node(op, [made, other], name)
    return made


def _merged(op: str, keras2: str, keras3: str) -> Rule:
    return traced(lambda t: _all(t, op, t.pick(keras2, keras3)))


def _average(t: Trace) -> Item:
    count = t.constant(float(len(t.call.inputs)), "truediv/y", FLOAT32)
    return t.node("RealDiv", [_all(t, "AddV2", t.pick("add", "Add")), count], "truediv")


def _concatenate(t: Trace) -> Item:
    axis, rank = t.call.settings.get("axis", -1), len(t.given.shape)
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise UnknownLayerError("joining another axis")
    constant = t.constant(axis if t.is_keras3 else axis % rank, "concat/axis")
    return t.node("ConcatV2", [*t.call.inputs, constant], "concat")


def _flatten(t: Trace) -> Item:
    given = t.recalled_shape()
    count = prod(given[1:])
    if t.is_keras3:
        return t.whole_shape((given[0], count))
    return t.node("Reshape", [t.given, t.constant([-1, count], "Const")], "Reshape")


def _reshape(t: Trace) -> Item:
    given = t.recalled_shape()
    target = [
        length for length in items(t.call.settings.get("target_shape")) or [] if isinstance(length, int)
    ]
    rest = prod(given[1:]) // max(prod(length for length in target if length > 0), 1)
    shape = (given[0], *(length if length > 0 else rest for length in target))
    return t.whole_shape(shape, () if t.is_keras3 else target)


def _permute(t: Trace) -> Item:
    order = [axis for axis in items(t.call.settings.get("dims")) or [] if isinstance(axis, int)]
    if sorted(order) != list(range(1, len(t.given.shape))):
        raise UnknownLayerError("another order of axes")
    return t.transpose(t.given, [0, *order], "transpose")


def _embedding(t: Trace) -> Item:
    """Look rows up; Keras 3 also takes negative numbers, from the end."""
    table = t.call.need("embeddings")
    mask = mask_zero(t) if t.call.flag("mask_zero", default=False) else None
    index: Item = t.given
    if t.given.kind not in (INT32, INT64):
        index = t.node("Cast", [index], "Cast", DstT=TYPES[INT32])
    if not t.is_keras3:
        name = "embedding_lookup"
        made = t.finished(t.node("ResourceGather", [t.read(table, name), index], name))
        if mask is not None:
            t.call.masks[id(made)] = mask
        return made
    kind = t.given.kind if t.given.kind == INT64 else INT32
    negative = t.node("Less", [index, t.constant(0, "Less/y", kind)], "Less")
    rows = t.slice(t.constant(table.shape, "Shape"), [0], [1], "strided_slice", shrink_axis_mask=1)
    if kind == INT64:
        rows = t.constant(table.shape[0], "Cast", INT64)
    moved = t.node("AddV2", [index, rows], "add")
    chosen = t.node("SelectV2", [negative, moved, index], "SelectV2")
    made = t.finished(
        t.node("GatherV2", [t.read(table, "GatherV2"), chosen, t.constant(0, "GatherV2/axis")], "GatherV2")
    )
    weight = t.call.network.ops[-1].inputs[0]
    if weight is not None and weight.constant is not None:
        weight.constant.owner = id(table.tensor)
    if mask is not None:
        t.call.masks[id(made)] = mask
    return made


TRACED_MERGING: Mapping[str, Rule] = {
    "Add": _merged("AddV2", "add", "Add"),
    "Average": traced(_average),
    "Concatenate": traced(_concatenate),
    "Embedding": traced(_embedding),
    "Flatten": traced(_flatten),
    "Maximum": _merged("Maximum", "Maximum", "Maximum"),
    "Minimum": _merged("Minimum", "Minimum", "Minimum"),
    "Multiply": _merged("Mul", "mul", "Mul"),
    "Permute": traced(_permute),
    "Reshape": traced(_reshape),
    "Subtract": _merged("Sub", "sub", "Sub"),
}
"""The rules of layers that merge, reshape and look up."""
