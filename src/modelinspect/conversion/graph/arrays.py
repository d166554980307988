"""What the converter makes of operations that move or choose elements: paddings that mirror, blocks of depth,
several outputs, indices of the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from modelinspect.conversion.graph.node import Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.graph.products import broadcast
from modelinspect.conversion.graph.shapes import told_shape
from modelinspect.conversion.network import Shape, Value
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
    INT32,
    INT64,
    MIRROR_PAD,
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

_MODES = {"REFLECT": 0, "SYMMETRIC": 1}
_MOST_OUTPUTS = 1 << 12


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


def _several(
    node: Node,
    code: int,
    inputs: Sequence[Value],
    shapes: Sequence[Shape],
    settings: dict[str, int | float | bool],
    kinds: Sequence[int],
) -> Value:
    """Add an operator of several outputs; return the first."""
    first = node.op(code, inputs, shapes[0], settings, kinds[0])
    op = node.network.ops[-1]
    rest = [Value(shape, node.location, kind) for shape, kind in zip(shapes[1:], kinds[1:], strict=True)]
    op.outputs = [first, *rest]
    node.makers.update((id(value), op) for value in rest)
    return first


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
    return _several(node, SPLIT_V, inputs, shapes, {"num_splits": len(lengths)}, [given.kind] * len(lengths))


def _unpacked(node: Node) -> Item:
    """Take an axis apart."""
    given, count = node.given, node.number("num")
    axis = node.number("axis") % max(len(given.shape), 1)
    if not 0 < count <= _MOST_OUTPUTS or given.shape[axis] not in (count, -1):
        raise UnknownNodeError("splits lengths that are not known")
    shape = (*given.shape[:axis], *given.shape[axis + 1 :])
    settings: dict[str, int | float | bool] = {"num": count, "axis": node.number("axis")}
    return _several(node, UNPACK, [given], [shape] * count, settings, [given.kind] * count)


def _largest(node: Node) -> Item:
    """Return the largest elements of the last axis, and where they are."""
    given, count = node.given, node.held(1)
    most = int(count.array(node.reading).reshape(-1)[0])
    if given.shape[-1] != -1 and not 0 < most <= given.shape[-1]:
        raise UnknownNodeError("takes more elements than there are")
    shape = (*given.shape[:-1], most)
    return _several(node, TOPK, [given, count.value(node.reading)], [shape, shape], {}, [given.kind, INT32])


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
    "MirrorPad": _mirrored,
    "RandomStandardNormal": _drawn,
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
