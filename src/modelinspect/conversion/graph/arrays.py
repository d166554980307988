"""What the converter makes of operations that move or choose elements: paddings that mirror, blocks of depth,
several outputs, indices of the largest.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from modelinspect.conversion.graph.node import Held, Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.graph.products import broadcast
from modelinspect.conversion.graph.shapes import told_shape
from modelinspect.conversion.network import MARK, Shape, Value, fused, kernel
from modelinspect.conversion.operators import (
    ADD_N,
    ARG_MAX,
    ARG_MIN,
    BROADCAST_TO,
    CEIL,
    CUMSUM,
    DEPTH_TO_SPACE,
    FLOAT32,
    FLOOR,
    FLOOR_MOD,
    GATHER,
    INT32,
    INT64,
    MIRROR_PAD,
    ONE_HOT,
    RANDOM_STANDARD_NORMAL,
    REVERSE,
    ROUND,
    SIGN,
    SLICE,
    SPACE_TO_DEPTH,
    SPLIT_V,
    TOPK,
    UNPACK,
    lengthened,
    multiplied,
)
from modelinspect.measure.kept import Layout

_MODES = {"REFLECT": 0, "SYMMETRIC": 1}
_MOST_OUTPUTS = 1 << 12
_BATCHED_GATHER = 5
"""The version of the operator that gathers in batches."""


def _padded_shape(node: Node) -> Shape:
    given, numbers = node.given, node.held(1).array(node.reading).astype(np.int64).reshape(-1, 2)
    if len(numbers) != len(given.shape) or given.kind != FLOAT32:
        raise UnknownNodeError("pads another shape")
    return tuple(
        -1 if length == -1 else lengthened(length, int(side.sum()))
        for length, side in zip(given.shape, numbers, strict=True)
    )


def _mirrored(node: Node) -> Item:
    """Pad with what is inside of the sides."""
    mode = node.text("mode")
    if mode not in _MODES:
        raise UnknownNodeError("an unsupported padding mode")
    return node.op(MIRROR_PAD, [node.given, node.value(1)], _padded_shape(node), {"mode": _MODES[mode]})


def _cut(node: Node) -> Item:
    """Take a part by where it begins and how long it is."""
    given = node.given
    first, lengths = (
        [int(number) for number in node.held(place).array(node.reading).reshape(-1)] for place in (1, 2)
    )
    shape = tuple(
        length if length >= 0 else whole - begin if whole >= 0 else -1
        for whole, begin, length in zip(given.shape, first, lengths, strict=True)
    )
    return node.op(SLICE, [given, node.value(1), node.value(2)], shape, None, given.kind)


def _broadcast(node: Node) -> Item:
    """Repeat a tensor until it has a shape that is computed."""
    given = node.value(0)
    made = node.op(BROADCAST_TO, [given, node.computed(1)], told_shape(node, 0), None, given.kind)
    node.network.ops[-1].version = 2
    return made


def _accumulated(node: Node) -> Item:
    settings: dict[str, int | float | bool] = {key: node.flag(key) for key in ("exclusive", "reverse")}
    return node.op(CUMSUM, [node.given, node.value(1)], node.given.shape, settings, node.given.kind)


def _rest(node: Node) -> Item:
    first, second = node.value(0), node.value(1)
    return node.op(FLOOR_MOD, [first, second], broadcast(first.shape, second.shape), None, first.kind)


def _blocks(node: Node) -> tuple[Shape, int]:
    """Return the shape of images whose channels come last, and the side of a block."""
    shape, side = node.given.shape, node.number("block_size")
    if len(shape) != 4 or side < 1 or shape[3] < 1 or node.text("data_format", "NHWC") != "NHWC":
        raise UnknownNodeError("images of another layout")
    return shape, side


def _grown(length: int, side: int) -> int:
    return -1 if length == -1 else multiplied(length, side)


def _to_space(node: Node) -> Item:
    shape, side = _blocks(node)
    made = (shape[0], _grown(shape[1], side), _grown(shape[2], side), shape[3] // side**2)
    return node.op(DEPTH_TO_SPACE, [node.given], made, {"block_size": side}, node.given.kind)


def _to_depth(node: Node) -> Item:
    shape, side = _blocks(node)
    if min(shape[1:3]) < 0:
        raise UnknownNodeError("images of another layout")
    made = (shape[0], shape[1] // side, shape[2] // side, shape[3] * side**2)
    return node.op(SPACE_TO_DEPTH, [node.given], made, {"block_size": side}, node.given.kind)


def _parted(node: Node) -> Item:
    """Split into parts of given lengths along one axis."""
    given, sizes, axis = node.given, node.held(1), node.held(2)
    lengths = [int(length) for length in sizes.array(node.reading).reshape(-1)]
    where = int(axis.array(node.reading).reshape(-1)[0]) % len(given.shape)
    if not 0 < len(lengths) <= _MOST_OUTPUTS or given.shape[where] < 1 or lengths.count(-1) > 1:
        raise UnknownNodeError("splits lengths that are not known")
    rest = given.shape[where] - sum(length for length in lengths if length >= 0)
    lengths = [length if length >= 0 else rest for length in lengths]
    shapes = [(*given.shape[:where], length, *given.shape[where + 1 :]) for length in lengths]
    inputs = [given, sizes.value(node.reading), axis.value(node.reading)]
    return node.several(SPLIT_V, inputs, shapes, {"num_splits": len(lengths)}, [given.kind] * len(lengths))


def _unpacked(node: Node) -> Item:
    """Take an axis apart."""
    given, count = node.given, node.number("num")
    axis = node.number("axis") % max(len(given.shape), 1)
    if not 0 < count <= _MOST_OUTPUTS or given.shape[axis] not in (count, -1):
        raise UnknownNodeError("splits lengths that are not known")
    shape = (*given.shape[:axis], *given.shape[axis + 1 :])
    settings: dict[str, int | float | bool] = {"num": count, "axis": node.number("axis")}
    return node.several(UNPACK, [given], [shape] * count, settings, [given.kind] * count)


def _largest(node: Node) -> Item:
    """Return the largest elements of the last axis, and where they are."""
    given, count = node.given, node.held(1)
    most = int(count.array(node.reading).reshape(-1)[0])
    if given.shape[-1] != -1 and not 0 < most <= given.shape[-1]:
        raise UnknownNodeError("takes more elements than there are")
    shape = (*given.shape[:-1], most)
    return node.several(TOPK, [given, count.value(node.reading)], [shape, shape], {}, [given.kind, INT32])


def _index(code: int) -> Rule:
    def rule(node: Node) -> Item:
        given, axis = node.given, node.held(1)
        where = int(axis.array(node.reading).reshape(-1)[0]) % len(given.shape)
        shape = (*given.shape[:where], *given.shape[where + 1 :])
        kind = node.element_type("output_type", INT64)
        if kind not in (INT32, INT64):
            raise UnknownNodeError("indices of another type")
        return node.op(code, [given, axis.value(node.reading)], shape, {"output_type": kind}, kind)

    return rule


def _reversed(node: Node) -> Item:
    given, axes = node.given, node.held(1)
    return node.op(REVERSE, [given, axes.value(node.reading)], given.shape, None, given.kind)


def _added(node: Node) -> Item:
    """Add several tensors of one shape at once."""
    values = [node.value(place) for place in range(len(node.inputs))]
    shape = reduce(broadcast, (value.shape for value in values))
    if any(len(value.shape) != len(shape) for value in values):
        raise UnknownNodeError("takes shapes that do not fit")
    return values[0] if len(values) == 1 else node.op(ADD_N, values, shape, {}, values[0].kind)


def _drawn(node: Node) -> Item:
    """Draw numbers of a normal distribution in a shape that is computed, or known."""
    target = node.value(0)
    shape = told_shape(node, 0)
    seeds: dict[str, int | float | bool] = {key: node.number(key) for key in ("seed", "seed2")}
    return node.op(RANDOM_STANDARD_NORMAL, [target], shape, seeds)


def _rounded(code: int) -> Rule:
    return lambda node: node.op(code, [node.given], node.given.shape, None, node.given.kind)


def _gather(node: Node) -> Item:
    axis = node.whole_numbers(2)[0] if len(node.inputs) > 2 else 0
    if axis or node.number("batch_dims"):
        return _chosen(node, axis)
    index = node.value(1)
    table = node.inputs[0]
    if (
        isinstance(table, Held)
        and table.tensor is not None
        and len(table.shape) == 2
        and table.kind == FLOAT32
    ):
        location = table.location if node.step.op == "GatherV2" else node.location
        value = kernel(table.tensor, Layout(table.shape[0], table.shape[1], None), table.shape, location)
    else:
        value = node.value(0)
    output = node.op(GATHER, [value, index], (*index.shape, *value.shape[1:]), {}, value.kind)
    _name_with_axis(node, output)
    return output


def _name_with_axis(node: Node, output: Value) -> None:
    """Name what is gathered also by the constant of the axis, which has no name where others equal it.

    A variable's rows are gathered by an operation that the converter gives an axis, under its own name.
    """
    if node.step.op == "ResourceGather":
        axis = Held((), INT32, (node.step.location + MARK,), None, np.zeros((), np.int32), is_written=True)
        node.written.append(axis)
        node.forget(axis)
    else:
        axis = node.held(2)
    place = axis.value(node.reading)
    output.location = fused(output.location, place.location)
    node.network.named.append((output, place, place.location))


def _chosen(node: Node, axis: int) -> Item:
    """Take elements along an axis other than the first, or by an index for each sample."""
    given, index = node.given, node.value(1)
    axis, batch = axis % len(given.shape), node.number("batch_dims")
    if not 0 <= batch <= min(axis, len(index.shape)):
        raise UnknownNodeError("gathers in batches that do not fit")
    shape = (*given.shape[:axis], *index.shape[batch:], *given.shape[axis + 1 :])
    settings: dict[str, int | float | bool] = {"axis": axis}
    if batch:
        settings["batch_dims"] = batch
    output = node.op(GATHER, [given, index], shape, settings, given.kind)
    if batch:
        node.network.ops[-1].version = _BATCHED_GATHER
    _name_with_axis(node, output)
    return output


def _one_hot(node: Node) -> Item:
    """Write each index as a row with one number at its place, and another one elsewhere."""
    given, length, axis = node.given, node.held(1), node.number("axis", -1)
    if min(given.shape, default=0) > 0:  # a product with these becomes a lookup, by rules that are not known
        raise UnknownNodeError("rows of a known number")
    values = [length.value(node.reading), node.value(2), node.value(3)]
    shape = list(given.shape)
    shape.insert(axis if axis >= 0 else len(shape), int(length.array(node.reading).reshape(-1)[0]))
    return node.op(ONE_HOT, [given, *values], tuple(shape), {"axis": axis}, values[1].kind)


ARRAYS: dict[str, Rule] = {
    "AddN": _added,
    "ArgMax": _index(ARG_MAX),
    "ArgMin": _index(ARG_MIN),
    "BroadcastTo": _broadcast,
    "Ceil": _rounded(CEIL),
    "Cumsum": _accumulated,
    "DepthToSpace": _to_space,
    "Floor": _rounded(FLOOR),
    "FloorMod": _rest,
    "GatherV2": _gather,
    "MirrorPad": _mirrored,
    "OneHot": _one_hot,
    "RandomStandardNormal": _drawn,
    "ResourceGather": _gather,
    "ReverseV2": _reversed,
    "Round": _rounded(ROUND),
    "Sign": _rounded(SIGN),
    "Slice": _cut,
    "SpaceToDepth": _to_depth,
    "SplitV": _parted,
    "TopKV2": _largest,
    "Unpack": _unpacked,
}
"""The rules of operations that move or choose elements."""
