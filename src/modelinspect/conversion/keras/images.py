"""What the converter makes of convolutions over images and sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from modelinspect.conversion.keras.activations import activate
from modelinspect.conversion.keras.call import (
    Call,
    Parameter,
    Rule,
    Shape,
    UnknownLayerError,
    known,
    vector,
)
from modelinspect.conversion.keras.dilated import dilated
from modelinspect.conversion.keras.image_windows import (
    expanded,
    image_shape,
    padding_code,
    squeezed,
    windows,
    windows_along,
)
from modelinspect.conversion.keras.nodes.convolutions import grouped
from modelinspect.conversion.keras.repeating import lengthened, recalled
from modelinspect.conversion.network import Value, floats, integers, kernel
from modelinspect.conversion.operators import (
    ADD,
    CONV,
    DEPTHWISE,
    INT32,
    PACK,
    PAD,
    SHAPE,
    STRIDED_SLICE,
    TRANSPOSE_CONV,
)
from modelinspect.measure.kept import Layout

_MOST_CHANNELS = 1 << 20


def _zeros(call: Call, count: int, *names: str) -> Value:
    """Return the bias that a convolution has before it has one. Raises `UnknownLayerError`."""
    if count > _MOST_CHANNELS:
        raise UnknownLayerError("more channels than any layer has")
    return floats(np.zeros(count, dtype=np.float32), call.at(*names))


def _conv(call: Call) -> Value:
    shape, weight = image_shape(call), call.need("kernel")
    operation = "Conv2D" if call.keras == 2 else "convolution"
    return _finish(call, _convolve(call, call.given, shape, weight, operation, call.pair("strides")))


def _convolve(
    call: Call, given: Value, shape: Shape, weight: Parameter, operation: str, strides: tuple[int, int]
) -> Value:
    """Add a convolution whose kernel is height, width, inputs, outputs."""
    if len(weight.shape) != 4 or weight.shape[2] != shape[3] or call.number("groups", 1) != 1:
        raise UnknownLayerError("a convolution in groups")
    height, width, depth, channels = weight.shape
    layout = Layout(prod(weight.shape) // channels, channels, 1)
    value = kernel(weight.tensor, layout, (channels, height, width, depth), call.at(operation))
    settings = {"stride_w": strides[1], "stride_h": strides[0], "fused_activation_function": 0}

    def convolve(image: Value, padding: Mapping[str, int], dilation: tuple[int, int]) -> Value:
        rows, cols = windows(image.shape, (height, width), strides, dilation, same=not padding["padding"])
        chosen = {**settings, **padding, "dilation_w_factor": dilation[1], "dilation_h_factor": dilation[0]}
        return call.op(
            CONV,
            [image, value, _zeros(call, channels, operation)],
            (image.shape[0], rows, cols, channels),
            operation,
            chosen,
        )

    return _spread(call, given, (height, width), operation, convolve)


def _spread(
    call: Call, given: Value, window: tuple[int, int], scope: str, convolve: Callable[..., Value]
) -> Value:
    """Convolve as the layer's dilation says."""
    padding, dilation = padding_code(call), call.pair("dilation_rate")
    if min(dilation) <= 0:
        raise UnknownLayerError("a dilation of nothing")
    if given.shape[0] > 0 and dilation != (1, 1):
        call.network.ghosts.append(integers(list(dilation), ()))
    if dilation == (1, 1) or given.shape[0] > 0:
        return convolve(given, padding, dilation)
    return dilated(
        call, given, window, dilation, scope, lambda image: convolve(image, {"padding": 1}, (1, 1))
    )


def _finish(call: Call, output: Value) -> Value:
    """Add the bias and the activation."""
    return activate(call, _biased(call, output), call.settings.get("activation"))


def _biased(call: Call, output: Value) -> Value:
    if not call.flag("use_bias", default=True):
        return output
    values = vector(call.need("bias").values)
    name, constant = "BiasAdd", "BiasAdd/ReadVariableOp"
    if call.keras == 3:
        name, constant = ("Add", "Reshape") if values.size == 1 else ("BiasAdd", "Squeeze")
    return call.op(ADD, [output, call.floats(values, constant)], output.shape, name)


def _slide_depthwise(call: Call, weight: Parameter, operation: str, scope: str) -> Value:
    """Add a depthwise convolution; ``scope`` is what moves of space are called after."""
    shape = image_shape(call)
    height, width, depth, multiplier = weight.shape
    channels = depth * multiplier
    strides = call.pair("strides")
    if depth != shape[3]:
        raise UnknownLayerError("a kernel of another depth")
    layout = Layout(height * width, channels, 1)
    value = kernel(weight.tensor, layout, (1, height, width, channels), call.at(operation))
    settings = {
        "stride_w": strides[1],
        "stride_h": strides[0],
        "depth_multiplier": multiplier,
        "fused_activation_function": 0,
    }

    def convolve(image: Value, padding: Mapping[str, int], dilation: tuple[int, int]) -> Value:
        rows, cols = windows(image.shape, (height, width), strides, dilation, same=not padding["padding"])
        chosen = {**settings, **padding, "dilation_w_factor": dilation[1], "dilation_h_factor": dilation[0]}
        output = (image.shape[0], rows, cols, channels)
        made = call.op(
            DEPTHWISE, [image, value, _zeros(call, channels, operation)], output, operation, chosen
        )
        call.network.ops[-1].version = 1 if dilation == (1, 1) else 2
        return made

    return _spread(call, call.given, (height, width), scope, convolve)


def _depthwise(call: Call) -> Value:
    name = "depthwise_kernel" if call.parameter("depthwise_kernel") is not None else "kernel"
    return _finish(call, _slide_depthwise(call, call.need(name), "depthwise", "depthwise"))


def _separable(call: Call) -> Value:
    inner = _slide_depthwise(
        call, call.need("depthwise_kernel"), "separable_conv2d/depthwise", "separable_conv2d"
    )
    pointwise = call.need("pointwise_kernel")
    height, width, depth, channels = pointwise.shape
    layout = Layout(depth, channels, 1)
    value = kernel(pointwise.tensor, layout, (channels, height, width, depth), call.at("separable_conv2d"))
    settings = {
        "stride_w": 1,
        "stride_h": 1,
        "fused_activation_function": 0,
        "padding": 1,
        "dilation_w_factor": 1,
        "dilation_h_factor": 1,
    }
    output = call.op(
        CONV,
        [inner, value, _zeros(call, channels, "separable_conv2d")],
        (*inner.shape[:-1], channels),
        "separable_conv2d",
        settings,
    )
    return _finish(call, output)


def _transposed(call: Call) -> Value:
    """Convolve backwards; the shape of what it makes is put together from the batch and the lengths."""
    shape, weight = image_shape(call), call.need("kernel")
    shape = (shape[0], recalled(shape[1]), *shape[2:])
    if len(weight.shape) != 4 or weight.shape[3] != shape[3] or call.pair("dilation_rate") != (1, 1):
        raise UnknownLayerError("another way backwards")
    height, width, channels, depth = weight.shape
    strides = call.pair("strides")
    same = padding_code(call)["padding"] == 0
    rows, cols = (
        length * stride if same else length * stride + max(window - stride, 0)
        for length, stride, window in zip(shape[1:3], strides, (height, width), strict=True)
    )
    if call.settings.get("output_padding"):
        more = call.pair("output_padding")
        rows, cols = (
            (length - 1) * stride + window - (2 * (window // 2) if same else 0) + extra
            for length, stride, window, extra in zip(shape[1:3], strides, (height, width), more, strict=True)
        )
    keras2 = call.keras == 2
    told = call.op(SHAPE, [call.given], (4,), "Shape", {"out_type": 2}, INT32)
    begin, end, step = (
        call.integers([n], f"strided_slice/{part}")
        for n, part in ((0, "stack"), (1, "stack_1"), (1, "stack_2"))
    )
    batch = call.op(
        STRIDED_SLICE, [told, begin, end, step], (), "strided_slice", {"shrink_axis_mask": 1}, INT32
    )
    stack = "stack" if keras2 else "conv_transpose/input_sizes"
    lengths = [
        call.integers(length, f"{stack}/{place}") for place, length in enumerate((rows, cols, channels), 1)
    ]
    packed = call.op(PACK, [batch, *lengths], (4,), stack, {"values_count": 4}, INT32)
    operation = "conv2d_transpose" if keras2 else "conv_transpose"
    layout = Layout(height * width * channels, depth, None)
    value = kernel(weight.tensor, layout, (channels, height, width, depth), call.at(operation))
    settings = {
        "stride_w": strides[1],
        "stride_h": strides[0],
        "fused_activation_function": 0,
        **padding_code(call),
    }
    output = call.op(
        TRANSPOSE_CONV, [packed, value, call.given], (shape[0], rows, cols, channels), operation, settings
    )
    return _finish(call, output)


def _numbered(call: Call, weight: Parameter, name: str) -> str:
    """Return the scope of a convolution: each use of a layer opens another."""
    uses = sum(
        value is not None and value.constant is not None and value.constant.key == id(weight.tensor)
        for op in call.network.ops
        if op.code == CONV
        for value in op.inputs[1:2]
    )
    return f"{name}_{uses}" if uses else name


def _conv1d(call: Call) -> Value:
    """Convolve a sequence as an image of one row."""
    given, weight = call.given.shape, call.need("kernel")
    known((*given[:1], *map(recalled, given[1:])))
    if len(given) != 3 or call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("sequences of another layout")
    if len(weight.shape) != 3 or weight.shape[1] != recalled(given[2]) or call.number("groups", 1) != 1:
        raise UnknownLayerError("a convolution in groups")
    operation = _numbered(call, weight, "Conv1D") if call.keras == 2 else "convolution"
    window, depth, channels = weight.shape
    stride, rate, padding = (
        call.single("strides"),
        call.single("dilation_rate"),
        call.text("padding", "valid"),
    )
    if padding not in ("same", "valid", "causal") or rate <= 0:
        raise UnknownLayerError("an unsupported padding mode")
    layout = Layout(window * depth, channels, 1)
    value = kernel(weight.tensor, layout, (channels, 1, window, depth), call.at(operation))

    def convolve(sequence: Value, dilation: int, *, same: bool) -> Value:
        length = windows_along(sequence.shape[1], window, stride, dilation, same=same)
        image = expanded(call, sequence, 1, f"{operation}/ExpandDims", -3)
        settings = {
            "stride_w": stride,
            "stride_h": 1,
            "fused_activation_function": 0,
            "padding": 0 if same else 1,
        }
        settings |= {"dilation_w_factor": dilation, "dilation_h_factor": 1}
        output = (given[0], 1, length, channels)
        made = call.op(CONV, [image, value, _zeros(call, channels, operation)], output, operation, settings)
        return squeezed(call, made, (given[0], length, channels), f"{operation}/Squeeze")

    sequence = call.given
    if padding == "causal":
        sides = call.table(
            [(0, 0), ((window - 1) * rate, 0), (0, 0)], "Pad/paddings" if call.keras == 2 else "Const"
        )
        sequence = call.op(
            PAD, [sequence, sides], (given[0], lengthened(given[1], (window - 1) * rate), given[2]), "Pad"
        )
    if given[0] > 0 and rate > 1:
        call.network.ghosts.append(integers([rate], ()))
    if rate == 1 or given[0] > 0:
        return _finish(call, convolve(sequence, rate, same=padding == "same"))
    return _finish(
        call,
        dilated(call, sequence, (window,), (rate,), operation, lambda inner: convolve(inner, 1, same=False)),
    )


CONVOLUTIONS: Mapping[str, Rule] = {
    "Conv1D": grouped(_conv1d),
    "Conv2D": grouped(_conv),
    "Conv2DTranspose": _transposed,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
}
"""The rules of convolutions over images and sequences."""
