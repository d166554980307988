"""What the converter makes of dense layers."""

from __future__ import annotations

from modelinspect.conversion.keras.activations import activate
from modelinspect.conversion.keras.call import Call, UnknownLayerError, known, vector
from modelinspect.conversion.keras.sequences import product_of_steps
from modelinspect.conversion.network import Value, kernel
from modelinspect.conversion.operators import (
    ADD,
    CONCATENATION,
    FULLY_CONNECTED,
    GATHER,
    INT32,
    PACK,
    REDUCE_PROD,
    RESHAPE,
    SHAPE,
)
from modelinspect.measure.kept import Layout


def dense(call: Call) -> Value:
    """Multiply by a kernel and add a bias. Raises `UnknownLayerError` where the kernel is not a matrix."""
    weight, given = call.need("kernel"), known(call.given.shape)
    if len(weight.shape) != 2 or not given:
        raise UnknownLayerError("a kernel of another rank")
    inputs, units = weight.shape
    layout = Layout(inputs, units, 1, 0)
    if call.steps:
        return activate(
            call, _biased(call, product_of_steps(call), "BiasAdd"), call.settings.get("activation")
        )
    if len(given) > 2:
        return _dense_over_axes(call, layout)
    value = kernel(weight.tensor, layout, (units, inputs), call.at("MatMul"))
    output = call.op(
        FULLY_CONNECTED,
        [call.given, value, None],
        (given[0], units),
        "MatMul",
        {"fused_activation_function": 0},
    )
    value.location = output.location
    return activate(call, _biased(call, output, "BiasAdd"), call.settings.get("activation"))


def _biased(call: Call, output: Value, name: str, *, constant: str = "") -> Value:
    """Add the bias; Keras 3 adds a bias of one element otherwise."""
    if not call.flag("use_bias", default=True):
        return output
    bias = call.need("bias")
    values = vector(bias.values)
    if call.keras == 3 and values.size == 1:
        name = name.replace("BiasAdd", "Add")
    term = call.floats(values, constant or f"{name}/ReadVariableOp")
    return call.op(ADD, [output, term], output.shape, name)


def _dense_over_axes(call: Call, layout: Layout) -> Value:
    """Multiply the last axis of three or more: the shape is taken apart and put together again around the
    product (Tensordot).
    """
    weight, given = call.need("kernel"), call.given
    inputs, units = weight.shape
    rank = len(given.shape)
    value = kernel(weight.tensor, layout, (units, inputs), call.at("Tensordot/MatMul"))
    if given.shape[0] > 0:
        settings = {"fused_activation_function": 0, "keep_num_dims": True}
        output = call.op(
            FULLY_CONNECTED, [given, value, None], (*given.shape[:-1], units), "Tensordot", settings
        )
        call.network.ops[-1].version = 5
        return activate(call, _biased(call, output, "BiasAdd"), call.settings.get("activation"))
    free = list(range(rank - 1))
    shape = call.op(SHAPE, [given], (rank,), "Tensordot/Shape", {"out_type": 2}, INT32)
    first = call.integers(free, "Tensordot/free")
    axes = call.integers([rank - 1], "Tensordot/axes")
    zero = call.integers([0], "Tensordot/Const")
    kept = call.op(GATHER, [shape, first], (rank - 1,), "Tensordot/GatherV2", {}, INT32)
    kept.location = (*kept.location, "")
    rows = call.op(REDUCE_PROD, [kept, zero], (), "Tensordot/Prod", {}, INT32)
    last = call.integers([units], "Tensordot/Const_2")
    target = call.op(CONCATENATION, [kept, last], (rank,), "Tensordot/concat_1", {}, INT32)
    contracted = call.op(GATHER, [shape, axes], (1,), "Tensordot/GatherV2_1", {}, INT32)
    contracted.location = (*contracted.location, "")
    columns = call.op(REDUCE_PROD, [contracted, zero], (), "Tensordot/Prod_1", {}, INT32)
    stack = call.op(PACK, [rows, columns], (2,), "Tensordot/stack", {"values_count": 2}, INT32)
    flat = call.op(RESHAPE, [given, stack], (-1, -1), "Tensordot/Reshape")
    product = call.op(
        FULLY_CONNECTED,
        [flat, value, None],
        (-1, units),
        "Tensordot/MatMul",
        {"fused_activation_function": 0},
    )
    output = call.op(RESHAPE, [product, target], (*given.shape[:-1], units), "Tensordot")
    return activate(call, _biased(call, output, "BiasAdd"), call.settings.get("activation"))
