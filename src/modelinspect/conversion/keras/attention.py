"""What the converter makes of attention."""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from modelinspect.conversion.keras.call import Call, Parameter, Rule, Shape, UnknownLayerError, known, vector
from modelinspect.conversion.network import Value, booleans, integers, kernel
from modelinspect.conversion.operators import (
    ADD,
    BATCH_MATMUL,
    BOOL,
    FILL,
    FULLY_CONNECTED,
    INT32,
    LOGICAL_AND,
    MUL,
    RESHAPE,
    SELECT_V2,
    SHAPE,
    SOFTMAX,
    TRANSPOSE,
)
from modelinspect.core.records import dataclass
from modelinspect.measure.kept import Layout


def _attention(call: Call) -> Value:
    """Attend with several heads to the same sequence.

    Raises `UnknownLayerError` for masks, other values, or other axes.
    """
    given = known(call.given.shape)
    heads, size = call.number("num_heads", 0), call.number("key_dim", 0)
    if (
        len(given) != 3
        or call.number("value_dim", size) != size
        or any(value is not call.given for value in call.inputs)
    ):
        raise UnknownLayerError("attention to something else")
    if (
        call.settings.get("output_shape")
        or call.settings.get("attention_axes") not in (None, [1])
        or heads <= 0
        or size <= 0
    ):
        raise UnknownLayerError("attention of another shape")
    if call.arguments.get("return_attention_scores") is True:
        raise UnknownLayerError("attention that gives out its scores")
    if call.keras != 2:
        return _attend_keras3(call, given, heads, size)
    batch, length, width = given
    split, flipped = (batch, length, heads, size), (batch, heads, length, length)
    key, query = (_projected(call, name, split, width, _KERAS_2) for name in ("key", "query"))
    query = call.op(MUL, [query, call.floats(1 / sqrt(size), "Mul/y")], split, "Mul")
    order = call.integers([0, 2, 1, 3], "a")
    first = _at(
        call,
        TRANSPOSE,
        [key, call.integers([0, 2, 1, 3], "perm")],
        (batch, heads, length, size),
        "einsum/Einsum",
    )
    second = _at(
        call,
        TRANSPOSE,
        [query, call.integers([0, 2, 3, 1], "einsum/Einsum")],
        (batch, heads, size, length),
        "einsum/Einsum",
    )
    scores = _at(call, BATCH_MATMUL, [first, second], flipped, "einsum/Einsum")
    scores = _at(
        call, RESHAPE, [scores, call.integers([-1, heads, length, length], "b")], flipped, "einsum/Einsum"
    )
    turn = call.integers([0, 1, 3, 2], "einsum/Einsum")
    if call.arguments.get("use_causal_mask") is True:  # the exchange of axes is moved after the sum
        hidden = np.triu(np.full((1, 1, length, length), -1e9, np.float32), 1)
        scores = call.op(ADD, [scores, call.floats(hidden, "softmax/mul")], flipped, "softmax/add")
        scores = _at(call, TRANSPOSE, [scores, turn], flipped, "softmax/add")
    else:
        scores = _at(call, TRANSPOSE, [scores, turn], flipped, "einsum/Einsum")
    weights = call.op(SOFTMAX, [scores], flipped, "softmax/Softmax", {"beta": 1.0})
    value = _projected(call, "value", split, width, _KERAS_2)
    values = _at(call, TRANSPOSE, [value, order], (batch, heads, length, size), "einsum_1/Einsum")
    mixed = _at(call, BATCH_MATMUL, [weights, values], (batch, heads, length, size), "einsum_1/Einsum")
    shape = call.integers([-1, heads, length, size], "c")
    mixed = _at(call, RESHAPE, [mixed, shape], (batch, heads, length, size), "einsum_1/Einsum")
    mixed = _at(call, TRANSPOSE, [mixed, call.integers([0, 2, 1, 3], "d")], split, "einsum_1/Einsum")
    return _joined(call, mixed, given, heads * size)


def _attend_keras3(call: Call, given: Shape, heads: int, size: int) -> Value:
    """Attend as Keras 3 does: products of matrices for the projections, and the scores scaled after they are
    made.
    """
    batch, length, width = given
    split, flipped, parted = (
        (batch, length, heads, size),
        (batch, heads, length, length),
        (batch, heads, length, size),
    )
    key, query = (_projected(call, name, split, width, _KERAS_3) for name in ("key", "query"))
    first = _at(call, TRANSPOSE, [query, call.integers([0, 2, 1, 3], "a")], parted, "einsum/Einsum")
    order = call.integers([0, 2, 3, 1], "einsum/Einsum")
    second = _at(call, TRANSPOSE, [key, order], (batch, heads, size, length), "einsum/Einsum")
    scores = _at(call, BATCH_MATMUL, [first, second], flipped, "einsum/Einsum")
    shape = call.integers([-1, heads, length, length], "b")
    scaled = call.op(MUL, [scores, call.floats(1 / sqrt(size), "Cast/x")], flipped, "Mul")
    scores = _at(call, RESHAPE, [scaled, shape], flipped, "einsum/Einsum")
    scaled.location = scores.location = call.at("Mul", "einsum/Einsum", "Cast/x")
    if call.arguments.get("use_causal_mask") is True:
        scores = _hidden_ahead(call, scores, length)
    weights = call.op(SOFTMAX, [scores], flipped, "Softmax", {"beta": 1.0})
    value = _projected(call, "value", split, width, _KERAS_3)
    values = _at(call, TRANSPOSE, [value, call.integers([0, 2, 1, 3], "c")], parted, "einsum_1/Einsum")
    mixed = _at(call, BATCH_MATMUL, [weights, values], parted, "einsum_1/Einsum")
    mixed = _at(
        call, RESHAPE, [mixed, call.integers([-1, heads, length, size], "d")], parted, "einsum_1/Einsum"
    )
    mixed = _at(call, TRANSPOSE, [mixed, call.integers([0, 2, 1, 3], "e")], split, "einsum_1/Einsum")
    name = "attention_output_1"
    weight, bias = _pair(call, "attention_output")
    joined = _at(
        call,
        RESHAPE,
        [mixed, integers([-1, length, heads * size], ())],
        (batch, length, heads * size),
        f"{name}/Reshape",
    )
    output = _at(
        call,
        FULLY_CONNECTED,
        [joined, _kernel(call, weight, (width, heads * size), f"{name}/MatMul"), None],
        given,
        f"{name}/MatMul",
        keep=True,
    )
    if bias is None:
        return output
    return call.op(
        ADD, [output, call.floats(vector(bias.values), f"{name}/BiasAdd")], given, f"{name}/BiasAdd"
    )


def _hidden_ahead(call: Call, scores: Value, length: int) -> Value:
    """Replace the scores of what comes later by the smallest number: the mask is joined with one of the whole
    batch.
    """
    told = call.op(SHAPE, [scores], (4,), "ones_like/Shape", {"out_type": 2}, INT32)
    whole = call.op(FILL, [told, booleans(np.array(True), ())], scores.shape, "ones_like", {}, BOOL)
    call.network.ops[-1].version = 2
    seen = booleans(np.tril(np.ones((1, 1, length, length), bool)), call.at("strided_slice_3"))
    both = call.op(LOGICAL_AND, [whole, seen], scores.shape, "LogicalAnd", {}, BOOL)
    least = call.floats(float(np.finfo(np.float32).min), "Const")
    return call.op(SELECT_V2, [both, scores, least], scores.shape, "SelectV2", {})


@dataclass(frozen=True, slots=True)
class _Names:
    """What a version of Keras calls the operators of a projection, below the name of the projection."""

    product: str
    shape: str
    cut: str
    bias: str
    sum: str


_KERAS_2 = _Names("/einsum/Einsum", "/shape", "/einsum/Einsum", "/add/ReadVariableOp", "/add")
_KERAS_3 = _Names("_1/MatMul", "_1/Reshape", "_1/Reshape_1", "_1/Add/ReadVariableOp", "_1/Add")


def _projected(call: Call, name: str, split: Shape, width: int, names: _Names) -> Value:
    """Project to the heads of keys, queries or values."""
    weight, bias = _pair(call, name)
    heads, size = split[2:]
    value = _kernel(call, weight, (heads * size, width), name + names.product)
    flat = _at(
        call,
        FULLY_CONNECTED,
        [call.given, value, None],
        (*split[:2], heads * size),
        name + names.product,
        keep=True,
    )
    cut = _at(
        call, RESHAPE, [flat, call.integers([-1, *split[1:]], name + names.shape)], split, name + names.cut
    )
    if bias is None:
        return cut
    term = kernel(bias.tensor, Layout(heads, size, None), (heads, size), call.at(name + names.bias))
    return call.op(ADD, [cut, term], split, name + names.sum)


def _joined(call: Call, mixed: Value, given: Shape, whole: int) -> Value:
    weight, bias = _pair(call, "attention_output")
    name = "attention_output/einsum/Einsum"
    joined = _at(call, RESHAPE, [mixed, call.integers([-1, given[1], whole], "e")], (*given[:2], whole), name)
    flat = _at(
        call,
        FULLY_CONNECTED,
        [joined, _kernel(call, weight, (given[2], whole), name), None],
        given,
        name,
        keep=True,
    )
    cut = _at(call, RESHAPE, [flat, call.integers([-1, *given[1:]], "f")], given, name)
    if bias is None:
        return cut
    term = call.floats(vector(bias.values), "attention_output/add/ReadVariableOp")
    return call.op(ADD, [cut, term], given, "attention_output/add")


_STORED = {"attention_output": "output"}
_NUMBERED = {"0": "kernel", "1": "bias"}
"""What `.keras` files call the projection of the output, and variables that they number."""


def _pair(call: Call, name: str) -> tuple[Parameter, Parameter | None]:
    places = f"/{name}/", f"/{_STORED.get(name, name)}_dense/"
    found = {
        _NUMBERED.get(each.name, each.name): each
        for each in call.parameters
        if any(place in f"/{each.tensor.path}" for place in places)
    }
    if "kernel" not in found:
        raise UnknownLayerError("attention whose variables have no names")
    return found["kernel"], found.get("bias")


def _kernel(call: Call, weight: Parameter, shape: tuple[int, int], name: str) -> Value:
    rows, cols = shape[1], shape[0]
    if prod(weight.shape) != rows * cols:
        raise UnknownLayerError("attention of another shape")
    return kernel(weight.tensor, Layout(rows, cols, 1, 0), shape, call.at(name))


def _at(
    call: Call, code: int, inputs: list[Value | None], shape: Shape, name: str, *, keep: bool = False
) -> Value:
    """Add an operator that shares its location with others."""
    output = call.op(code, inputs, shape, name, {"keep_num_dims": True} if keep else {})
    output.location = call.at(name)
    return output


ATTENTION: dict[str, Rule] = {"MultiHeadAttention": _attention}
"""The rules of layers that relate parts of one sample."""
