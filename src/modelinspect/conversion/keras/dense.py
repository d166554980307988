"""What the converter makes of dense layers."""

from __future__ import annotations

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.activations import activate
from modelinspect.conversion.keras.call import Call, Parameter, UnknownLayerError, known, vector
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import Value, kernel
from modelinspect.conversion.operators import ADD, FULLY_CONNECTED
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
            call, _biased(call, _product_of_steps(call), "BiasAdd"), call.settings.get("activation")
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
    value = kernel(weight.tensor, layout, (units, inputs), call.at("Tensordot/MatMul"))
    if given.shape[0] > 0:
        settings = {"fused_activation_function": 0, "keep_num_dims": True}
        output = call.op(
            FULLY_CONNECTED, [given, value, None], (*given.shape[:-1], units), "Tensordot", settings
        )
        call.network.ops[-1].version = 5
        return activate(call, _biased(call, output, "BiasAdd"), call.settings.get("activation"))
    return activate(
        call, _biased(call, tensordot(call, given, weight), "BiasAdd"), call.settings.get("activation")
    )


def _tensordot(t: Trace, given: Value, weight: Parameter) -> Item:
    """Multiply the last axis by a matrix: the shape is taken apart and put together again around it."""
    rank, units = len(given.shape), weight.shape[1]
    name = "Tensordot"
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
    read = t.read(weight, t.pick(name, "Cast"))
    product = t.node("MatMul", [flat, read], f"{name}/MatMul")
    return t.node("Reshape", [product, target], name, _shape=[*given.shape[:-1], units])


def tensordot(call: Call, given: Value, weight: Parameter) -> Value:
    """Multiply the last axis of three or more by a matrix."""
    return traced(lambda t: _tensordot(t, given, weight))(call)


def _product_of_steps(call: Call) -> Value:
    """Multiply every step with one matrix, where the batch is fixed."""
    weight, given = call.need("kernel"), call.given.shape
    inputs, units = weight.shape
    value = kernel(weight.tensor, Layout(inputs, units, 1, 0), (units, inputs), call.at("MatMul"))
    settings = {"fused_activation_function": 0, "keep_num_dims": True}
    output = call.op(FULLY_CONNECTED, [call.given, value, None], (*given[:-1], units), "MatMul", settings)
    call.network.ops[-1].version = 5
    return output
