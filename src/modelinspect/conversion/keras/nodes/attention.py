"""Attention of several heads, to the same sequence or to another."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt

import numpy as np

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import Parameter, Rule, Shape, UnknownLayerError, known
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import BOOL, FLOAT32

_STORED = {"attention_output": "output"}
_NUMBERED = {"0": "kernel", "1": "bias"}
"""What `.keras` files call the projection of the output, and variables that they number."""


def _attend(t: Trace) -> Item:
    call = t.call
    size = call.number("key_dim", 0)
    if len(call.inputs) not in (1, 2, 3) or any(
        len(known(value.shape)) != 3 or value.kind != FLOAT32 for value in call.inputs
    ):
        raise UnknownLayerError("attention with a mask, or of another shape")
    if call.settings.get("output_shape") or call.settings.get("attention_axes") not in (None, [1]):
        raise UnknownLayerError("attention of another shape")
    if call.arguments.get("return_attention_scores") is True or size <= 0:
        raise UnknownLayerError("attention that gives out its scores")
    query, value = call.inputs[0], call.inputs[min(1, len(call.inputs) - 1)]
    key = call.inputs[2] if len(call.inputs) > 2 else value
    if key.shape[1] != value.shape[1]:
        raise UnknownLayerError("attention with a mask")
    attend = _attend_keras3 if t.is_keras3 else _attend_keras2
    return attend(t, query, key, value, 1 / sqrt(size))


def _attend_keras2(t: Trace, query: Value, key: Value, value: Value, factor: float) -> Item:
    keys, queries = _projected(t, "key", key), _projected(t, "query", query)
    queries = t.node("Mul", [queries, t.constant(factor, "Mul/y", FLOAT32)], "Mul")
    scores = t.node("Einsum", [keys, queries], "einsum/Einsum", equation="aecd,abcd->acbe")
    if t.call.arguments.get("use_causal_mask") is True:
        hidden = np.triu(np.full((1, 1, query.shape[1], key.shape[1]), -1e9, np.float32), 1)
        mask = _computed(t, hidden, "softmax/mul", FLOAT32)
        scores = t.node("AddV2", [scores, mask], "softmax/add")
    weights = t.node("Softmax", [scores], "softmax/Softmax")
    values = _projected(t, "value", value)
    mixed = t.node("Einsum", [weights, values], "einsum_1/Einsum", equation="acbe,aecd->abcd")
    weight, bias = _pair(t, "attention_output")
    name = "attention_output"
    read = t.read(weight, f"{name}/einsum/Einsum")
    made = t.node("Einsum", [mixed, read], f"{name}/einsum/Einsum", equation="abcd,cde->abe")
    return made if bias is None else t.node("AddV2", [made, t.read(bias, f"{name}/add")], f"{name}/add")


def _projected(t: Trace, name: str, given: Value) -> Item:
    """Project to the heads of keys, queries or values."""
    weight, bias = _pair(t, name)
    if len(weight.shape) != 3 or weight.shape[0] != given.shape[-1]:
        raise UnknownLayerError("attention of another shape")
    if not t.is_keras3:
        read = t.read(weight, f"{name}/einsum/Einsum")
        made = t.node("Einsum", [given, read], f"{name}/einsum/Einsum", equation="abc,cde->abde")
        return made if bias is None else t.node("AddV2", [made, t.read(bias, f"{name}/add")], f"{name}/add")
    scope = f"{name}_1"
    kernel = t.reshape(t.read(weight, f"{scope}/Cast"), (given.shape[-1], -1), f"{scope}/Reshape")
    flat = t.node("BatchMatMulV2", [given, kernel], f"{scope}/MatMul")
    made = t.reshape(flat, (-1, given.shape[1], *weight.shape[1:]), f"{scope}/Reshape_1")
    return made if bias is None else t.add_numbers(made, bias, f"{scope}/")


def _attend_keras3(t: Trace, query: Value, key: Value, value: Value, factor: float) -> Item:
    queries, keys = _projected(t, "query", query), _projected(t, "key", key)
    if t.call.real("dropout", 0.0) > 0:
        mixed = _mixed_in_parts(t, queries, keys, value, factor)
    else:
        scores = t.node("Einsum", [queries, keys], "einsum/Einsum", equation="BTNH,BSNH->BNTS")
        scores = t.node("Mul", [scores, t.constant(factor, "Cast/x", FLOAT32)], "Mul")
        if t.call.arguments.get("use_causal_mask") is True:
            scores = _hidden_ahead(t, scores)
        weights = t.node("Softmax", [scores], "Softmax")
        values = _projected(t, "value", value)
        mixed = t.node("Einsum", [weights, values], "einsum_1/Einsum", equation="BNTS,BSNH->BTNH")
    weight, bias = _pair(t, "attention_output")
    name, whole = "attention_output_1", prod(weight.shape[:-1])
    joined = t.reshape(mixed, (-1, query.shape[1], whole), f"{name}/Reshape")
    kernel = t.reshape(t.read(weight, f"{name}/Cast"), (-1, weight.shape[-1]), f"{name}/Reshape_1")
    made = t.node("BatchMatMulV2", [joined, kernel], f"{name}/MatMul")
    return made if bias is None else t.add_numbers(made, bias, f"{name}/")


def _mixed_in_parts(t: Trace, queries: Item, keys: Item, value: Value, factor: float) -> Item:
    """Attend as a layer with dropout does at inference: its products are written with exchanges of axes."""
    if t.call.arguments.get("use_causal_mask") is True:
        raise UnknownLayerError("attention with dropout and a mask")
    scaled = t.node("Mul", [queries, t.constant(factor, "Cast/x", FLOAT32)], "Mul")
    first = t.transpose(keys, (0, 2, 1, 3), "transpose")
    scores = t.node("BatchMatMulV2", [first, t.transpose(scaled, (0, 2, 3, 1), "transpose_1")], "MatMul")
    turned = t.transpose(scores, (0, 1, 3, 2), "transpose_2")
    weights = t.node("Softmax", [turned], "softmax_1/Softmax")
    values = t.transpose(_projected(t, "value", value), (0, 2, 1, 3), "transpose_3")
    mixed = t.node("BatchMatMulV2", [weights, values], "MatMul_1")
    return t.transpose(mixed, (0, 2, 1, 3), "transpose_4")


def _hidden_ahead(t: Trace, scores: Item) -> Item:
    """Replace the scores of what comes later by the smallest number."""
    shape: Shape = scores.shape
    told = t.node("Shape", [scores], "ones_like/Shape")
    true = t.constant(True, "ones_like/Const", BOOL)
    true.location = ()  # another constant that is true is computed away
    whole = t.node("Fill", [told, true], "ones_like", _shape=list(shape))
    seen = _computed(t, np.tril(np.ones((1, 1, *shape[2:]), np.bool_)), "strided_slice_3", BOOL)
    both = t.node("LogicalAnd", [whole, seen], "LogicalAnd")
    least = t.constant(float(np.finfo(np.float32).min), "Const", FLOAT32)
    return t.node("SelectV2", [both, scores, least], "SelectV2")


def _computed(t: Trace, values: np.ndarray, name: str, kind: int) -> Held:
    """Return a constant that nodes with constants compute."""
    return Held(values.shape, kind, t.call.at(name), None, values)


def _pair(t: Trace, name: str) -> tuple[Parameter, Parameter | None]:
    places = f"/{name}/", f"/{_STORED.get(name, name)}_dense/"
    found = {
        _NUMBERED.get(each.name, each.name): each
        for each in t.call.parameters
        if any(place in f"/{each.tensor.path}" for place in places)
    }
    if "kernel" not in found:
        raise UnknownLayerError("attention whose variables have no names")
    return found["kernel"], found.get("bias")


TRACED_ATTENTION: Mapping[str, Rule] = {"MultiHeadAttention": traced(_attend)}
"""The rules of layers that relate parts of one sample."""
