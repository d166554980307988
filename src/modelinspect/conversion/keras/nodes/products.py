"""Products of tensors: sums in Einstein's notation, dot products and attention without weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Rule, UnknownLayerError, items, known
from modelinspect.conversion.keras.nodes.normalizations import unit
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.operators import TRANSPOSE

_DOT_LEAST = 1e-14


def _einsum(t: Trace) -> Item:
    """Multiply the last axes by a kernel, and add a bias."""
    weight = t.call.need("kernel")
    left, _, result = t.call.text("equation").replace(" ", "").partition("->")
    first, _, second = left.partition(",")
    shape = known(t.given.shape)
    free, summed = _split(first, second, result)
    if not free or len(shape) != len(first) or len(weight.shape) != len(second):
        raise UnknownLayerError("another equation")
    if not t.is_keras3:
        read = t.read(weight, "einsum/Einsum")
        made = t.node("Einsum", [t.given, read], "einsum/Einsum", equation=_renamed(first, second, result))
    else:
        made = _multiplied(t, len(summed), len(free))
    made = _biased(t, made)
    return t.finish(made)


def _split(first: str, second: str, result: str) -> tuple[str, str]:
    """Return the letters that are kept and summed; none where the summed axes are not the last."""
    summed = "".join(letter for letter in second if letter in first)
    free = first[: len(first) - len(summed)]
    plain = first == free + summed and second.startswith(summed)
    return (free, summed) if plain and summed and result == free + second[len(summed) :] else ("", "")


def _renamed(first: str, second: str, result: str) -> str:
    letters = dict.fromkeys(first + second)
    names = {letter: chr(ord("a") + place) for place, letter in enumerate(letters)}
    one, two, three = ("".join(names[each] for each in part) for part in (first, second, result))
    return f"{one},{two}->{three}"


def _multiplied(t: Trace, summed: int, free: int) -> Item:
    """Multiply as Keras 3 does: one product of matrices, between reshapes where there are more axes."""
    weight, given = t.call.need("kernel"), t.given
    rows, cols = prod(weight.shape[:summed]), prod(weight.shape[summed:])
    many = len(weight.shape) - summed
    read = t.read(weight, "Cast")
    kernel: Item = read
    x: Item = given
    if summed > 1:
        x = t.reshape(given, (-1, *given.shape[1:free], rows), "Reshape")
        kernel = t.reshape(read, (-1, cols), "Reshape_1")
    elif many > 1:
        kernel = t.reshape(read, (rows, -1), "Reshape")
    op = "MatMul" if len(x.shape) == 2 else "BatchMatMulV2"
    made = t.node(op, [x, kernel], "MatMul")
    if many > 1:
        shape = (-1, *given.shape[1:free], *weight.shape[summed:])
        made = t.reshape(made, shape, "Reshape_1")
    return made


def _biased(t: Trace, made: Item) -> Item:
    bias = t.call.parameter("bias")
    if not t.call.settings.get("bias_axes") or bias is None:
        return made
    if not t.is_keras3:
        return t.node("AddV2", [made, t.read(bias, "add")], "add")
    return t.add_numbers(made, bias)


def _dot(t: Trace) -> Item:
    """Multiply two tensors along an axis of each."""
    if len(t.call.inputs) != 2:
        raise UnknownLayerError("a product of more than two")
    values = [known(value.shape) for value in t.call.inputs]
    ranks = [len(shape) for shape in values]
    setting = t.call.settings.get("axes")
    axes = [
        axis % rank
        for axis, rank in zip(items(setting) or [setting] * 2, ranks, strict=True)
        if isinstance(axis, int)
    ]
    if not {2, 3}.issuperset(ranks) or len(axes) != 2 or 0 in axes:
        raise UnknownLayerError("a product of other axes")
    x, y = t.call.inputs[0], t.call.inputs[1]
    first: Item = x
    second: Item = y
    if t.call.flag("normalize", default=False):
        if [axis + 1 for axis in axes] != ranks:
            raise UnknownLayerError("a product of other axes")
        first, second = (
            unit(t, item, axis, suffix, _DOT_LEAST)
            for item, axis, suffix in ((x, axes[0], ""), (y, axes[1], "_1"))
        )
    if ranks[0] == 2:
        first = t.expand(first, 1, "ExpandDims")
    elif axes[0] != 2:
        first = _exchanged(t, first, "transpose")
    if ranks[1] == 2:
        second = t.expand(second, 2, "ExpandDims_1" if ranks[0] == 2 else "ExpandDims")
    elif axes[1] != 1:
        second = _exchanged(t, second, "transpose" if ranks[0] == 2 or axes[0] == 2 else "transpose_1")
    made = t.node("BatchMatMulV2", [first, second], "MatMul")
    if ranks == [3, 3]:
        return made
    return t.node("Squeeze", [made], "Squeeze", squeeze_dims=[1 if ranks[0] == 2 else 2])


def _exchanged(t: Trace, item: Item, name: str) -> Item:
    """Exchange the last two axes; where that takes back what was just done, neither is there."""
    maker = t.lowering.makers.get(id(item))
    order = maker.inputs[1] if maker is not None and maker.code == TRANSPOSE else None
    given = maker.inputs[0] if maker is not None else None
    if maker is None or given is None or order is None or order.vector is None:
        return t.transpose(item, (0, 2, 1), name)
    if order.vector.tolist() != [0, 2, 1] or t.call.network.ops[-1] is not maker:
        return t.transpose(item, (0, 2, 1), name)
    t.call.network.ops.pop()
    return given


def _attended(t: Trace) -> tuple[Item, Item, Item]:
    """Return what asks, what is looked up and what is given back."""
    call = t.call
    if len(call.inputs) not in (2, 3) or call.arguments or call.settings.get("seed") is not None:
        raise UnknownLayerError("attention with a mask")
    if any(len(known(value.shape)) != 3 for value in call.inputs):
        raise UnknownLayerError("attention of another shape")
    query, value = call.inputs[0], call.inputs[1]
    return query, call.inputs[2] if len(call.inputs) > 2 else value, value


def _attention(t: Trace) -> Item:
    """Attend by the product of queries and keys."""
    query, key, value = _attended(t)
    if t.call.text("score_mode", "dot") != "dot":
        raise UnknownLayerError("attention by another score")
    if t.is_keras3:
        scores = t.node("BatchMatMulV2", [query, t.transpose(key, (0, 2, 1), "transpose")], "MatMul")
    else:
        scores = t.node("BatchMatMulV2", [query, key], "MatMul", adj_y=True)
    if t.call.flag("use_scale", default=False):
        name = t.pick("mul", "Mul")
        scores = t.node("Mul", [scores, t.read(t.call.need("scale"), name)], name)
    weights = t.node("Softmax", [scores], "Softmax")
    return t.node("BatchMatMulV2", [weights, value], "MatMul")


def _additive(t: Trace) -> Item:
    """Attend by the sum of queries and keys."""
    query, key, value = _attended(t)
    axes = (2, 1) if t.is_keras3 else (-2, -3)
    wide, high = t.expand(query, axes[0], "ExpandDims"), t.expand(key, axes[1], "ExpandDims_1")
    scores = t.node("Tanh", [t.node("AddV2", [wide, high], "add")], "Tanh")
    if t.call.flag("use_scale", default=True):
        scale = t.call.need("scale")
        name = t.pick("mul", "Mul")
        read = t.read(scale, name)
        if not t.is_keras3:
            read.location = t.call.at("ReadVariableOp")
        scores = t.node("Mul", [read, scores], name)
    weights = t.node("Softmax", [t.reduce("Sum", scores, -1, keep=False)], "Softmax")
    return t.node("BatchMatMulV2", [weights, value], "MatMul")


TRACED_PRODUCTS: Mapping[str, Rule] = {
    "AdditiveAttention": traced(_additive),
    "Attention": traced(_attention),
    "Dot": traced(_dot),
    "EinsumDense": traced(_einsum),
}
"""The rules of products that are written as nodes."""
