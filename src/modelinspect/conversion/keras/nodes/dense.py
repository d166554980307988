"""Dense layers, over one axis or several."""

from __future__ import annotations

from math import prod

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import UnknownLayerError, known
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import Value


def _dense(t: Trace) -> Item:
    """Multiply by a kernel and add a bias."""
    weight, given = t.call.need("kernel"), known(t.given.shape)
    if len(weight.shape) != 2 or not given:
        raise UnknownLayerError("a kernel of another rank")
    if len(given) > 2:
        read = t.read(weight, t.pick("Tensordot", "Cast"))
        made = tensordot(t, t.given, read)
    else:
        made = t.node("MatMul", [t.given, t.read(weight, "MatMul")], "MatMul")
    if t.call.flag("use_bias", default=True):
        bias = t.call.need("bias")
        op, name = ("AddV2", "Add") if t.is_keras3 and prod(bias.shape) == 1 else ("BiasAdd", "BiasAdd")
        made = t.node(op, [made, t.read(bias, name)], name)
    return t.finish(made)


def tensordot(t: Trace, given: Value, weight: Held) -> Item:
    """Multiply the last axis by a matrix: the shape is taken apart and put together again around it."""
    rank, units = len(given.shape), weight.shape[1]
    whole = t.call.scopes.unique(t.call.at("Tensordot")[0])
    name = whole.removeprefix(f"{t.call.scope}/") if t.call.scope else whole
    if given.shape[0] > 0:
        flat = t.reshape(given, (prod(given.shape[:-1]), weight.shape[0]), f"{name}/Reshape")
        product = t.node("MatMul", [flat, weight], f"{name}/MatMul")
        lengths = t.constant((*given.shape[:-1], units), f"{name}/shape")
        return t.outside("Reshape", [product, lengths], whole)
    free = t.constant(list(range(rank - 1)), f"{name}/free")
    axes = t.constant([rank - 1], f"{name}/axes")
    order = t.node("ConcatV2", [free, axes, t.constant(0, f"{name}/concat/axis")], f"{name}/concat")
    shape = t.node("Shape", [given], f"{name}/Shape")
    kept, summed = (
        t.node("GatherV2", [shape, some, t.constant(0, f"{label}/axis")], label)
        for some, label in ((free, f"{name}/GatherV2"), (axes, f"{name}/GatherV2_1"))
    )
    rows = t.node("Prod", [kept, t.constant([0], f"{name}/Const")], f"{name}/Prod")
    last = t.constant([units], f"{name}/Const_2")
    target = t.node("ConcatV2", [kept, last, t.constant(0, f"{name}/concat_1/axis")], f"{name}/concat_1")
    columns = t.node("Prod", [summed, t.constant([0], f"{name}/Const_1")], f"{name}/Prod_1")
    stack = t.node("Pack", [rows, columns], f"{name}/stack")
    turned = t.node("Transpose", [given, order], f"{name}/transpose")
    flat = t.node("Reshape", [turned, stack], f"{name}/Reshape", _shape=[-1, -1])
    product = t.node("MatMul", [flat, weight], f"{name}/MatMul")
    return t.outside("Reshape", [product, target], whole, _shape=[*given.shape[:-1], units])


dense = traced(_dense)
"""The rule of dense layers."""
