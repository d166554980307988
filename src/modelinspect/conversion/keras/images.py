"""What the converter makes of convolutions, of pooling, and of what changes the sides of images."""

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
    items,
    known,
    vector,
)
from modelinspect.conversion.keras.dilated import dilated
from modelinspect.conversion.keras.repeating import forgotten, recalled, repeated
from modelinspect.conversion.keras.sequences import cut
from modelinspect.conversion.network import Value, floats, integers, kernel
from modelinspect.conversion.operators import (
    ADD,
    AVERAGE_POOL,
    CONV,
    DEPTHWISE,
    EXPAND_DIMS,
    INT32,
    MAX_POOL,
    PACK,
    PAD,
    RESHAPE,
    RESIZE_BILINEAR,
    RESIZE_NEAREST,
    SHAPE,
    STRIDED_SLICE,
    TRANSPOSE_CONV,
    slid,
)
from modelinspect.measure.kept import Layout

_MOST_CHANNELS = 1 << 20


def _image(call: Call) -> Shape:
    """Return the shape of images whose channels come last. Raises `UnknownLayerError`."""
    shape = known(call.given.shape)
    return _channels_last(call, shape)


def _channels_last(call: Call, shape: Shape) -> Shape:
    if len(shape) != 4 or call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("images of another layout")
    return shape


def _windows(
    shape: Shape,
    window: tuple[int, int],
    strides: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    *,
    same: bool,
) -> tuple[int, int]:
    rows, cols = (
        _slid(shape[axis + 1], window[axis], strides[axis], dilation[axis], same=same) for axis in (0, 1)
    )
    return rows, cols


def _slid(length: int, window: int, stride: int, dilation: int, *, same: bool) -> int:
    made = slid(recalled(length), window, stride, same=same, dilation=dilation)
    return forgotten(made) if length < 0 else made


def _padding(call: Call) -> dict[str, int]:
    if call.text("padding", "valid") not in ("same", "valid"):
        raise UnknownLayerError("an unsupported padding mode")
    return {"padding": 0 if call.text("padding", "valid") == "same" else 1}


def _zeros(call: Call, count: int, *names: str) -> Value:
    """Return the bias that a convolution has before it has one. Raises `UnknownLayerError`."""
    if count > _MOST_CHANNELS:
        raise UnknownLayerError("more channels than any layer has")
    return floats(np.zeros(count, dtype=np.float32), call.at(*names))


def _conv(call: Call) -> Value:
    shape, weight = _channels_last(call, call.given.shape), call.need("kernel")
    known((*shape[:1], *shape[2:]))  # the height need not be, after a repetition
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
        rows, cols = _windows(image.shape, (height, width), strides, dilation, same=not padding["padding"])
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
    padding, dilation = _padding(call), call.pair("dilation_rate")
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
    shape = _image(call)
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
        rows, cols = _windows(image.shape, (height, width), strides, dilation, same=not padding["padding"])
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
    shape, weight = _image(call), call.need("kernel")
    if (
        len(weight.shape) != 4
        or weight.shape[3] != shape[3]
        or call.pair("dilation_rate") != (1, 1)
        or call.settings.get("output_padding")
    ):
        raise UnknownLayerError("another way backwards")
    height, width, channels, depth = weight.shape
    strides = call.pair("strides")
    same = _padding(call)["padding"] == 0
    rows, cols = (
        length * stride if same else length * stride + max(window - stride, 0)
        for length, stride, window in zip(shape[1:3], strides, (height, width), strict=True)
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
        **_padding(call),
    }
    output = call.op(
        TRANSPOSE_CONV, [packed, value, call.given], (shape[0], rows, cols, channels), operation, settings
    )
    return _finish(call, output)


def _crop(call: Call) -> Value:
    _image(call)
    return cut(call, _sides(call, "cropping"))


def _conv1d(call: Call) -> Value:
    """Convolve a sequence as an image of one row."""
    given, weight = known(call.given.shape), call.need("kernel")
    if len(given) != 3 or call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("sequences of another layout")
    if len(weight.shape) != 3 or weight.shape[1] != given[2] or call.number("groups", 1) != 1:
        raise UnknownLayerError("a convolution in groups")
    operation = "Conv1D" if call.keras == 2 else "convolution"
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
        length = slid(sequence.shape[1], window, stride, same=same, dilation=dilation)
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
            PAD, [sequence, sides], (given[0], given[1] + (window - 1) * rate, given[2]), "Pad"
        )
    if given[0] > 0 and rate > 1:
        call.network.ghosts.append(integers([rate], ()))
    if rate == 1 or given[0] > 0:
        return _finish(call, convolve(sequence, rate, same=padding == "same"))
    return _finish(
        call,
        dilated(call, sequence, (window,), (rate,), operation, lambda inner: convolve(inner, 1, same=False)),
    )


def expanded(call: Call, given: Value, place: int, name: str, axis: int) -> Value:
    """Add an axis of one: where the batch is known that is a reshape."""
    shape = (*given.shape[:place], 1, *given.shape[place:])
    if given.shape[0] > 0:
        call.network.lasting.append(call.integers(axis, f"{name}/dim"))
        return call.op(RESHAPE, [given, call.integers(list(shape), name)], shape, name)
    return call.op(EXPAND_DIMS, [given, call.integers(axis, f"{name}/dim")], shape, name)


def squeezed(call: Call, given: Value, shape: Shape, name: str) -> Value:
    """Drop an axis of one."""
    return call.op(RESHAPE, [given, call.integers(list(shape), name)], shape, name)


def _pool(code: int, keras2: str, keras3: str) -> Rule:
    def rule(call: Call) -> Value:
        shape = _image(call)
        window = call.pair("pool_size", 2)
        strides = call.pair("strides", window[0]) if call.settings.get("strides") is not None else window
        rows, cols = _windows(shape, window, strides, same=call.text("padding", "valid") == "same")
        settings = {
            "stride_w": strides[1],
            "stride_h": strides[0],
            "filter_width": window[1],
            "filter_height": window[0],
            **_padding(call),
        }
        name = keras2 if call.keras == 2 else keras3
        return call.op(code, [call.given], (shape[0], rows, cols, shape[3]), name, settings)

    return rule


def _pool1d(code: int, keras2: str, keras3: str) -> Rule:
    def rule(call: Call) -> Value:
        given = known(call.given.shape)
        if len(given) != 3:
            raise UnknownLayerError("sequences of another layout")
        name = keras2 if call.keras == 2 else keras3
        window = call.single("pool_size", 2)
        stride = call.single("strides", window) if call.settings.get("strides") is not None else window
        length = slid(given[1], window, stride, same=call.text("padding", "valid") == "same")
        made = (given[0], length, 1, given[2]) if call.keras == 2 else (given[0], 1, length, given[2])
        prefix = "" if call.keras == 2 else f"{name}/"
        axis = 2 if call.keras == 2 else 1
        image = expanded(call, call.given, axis, f"{prefix}ExpandDims", axis)
        settings = {
            "stride_w": 1,
            "stride_h": stride,
            "filter_width": 1,
            "filter_height": window,
            **_padding(call),
        }
        if call.keras == 3:
            settings |= {"stride_w": stride, "stride_h": 1, "filter_width": window, "filter_height": 1}
        output = call.op(code, [image], made, name, settings)
        return squeezed(call, output, (given[0], length, given[2]), f"{prefix}Squeeze")

    return rule


def _pad(call: Call) -> Value:
    shape = _image(call)
    sides = _sides(call, "padding")
    constant = call.integers(
        np.array([[0, 0], *sides, [0, 0]]).tolist(), "Pad/paddings" if call.keras == 2 else "Const"
    )
    rows, cols = shape[1] + sum(sides[0]), shape[2] + sum(sides[1])
    return call.op(PAD, [call.given, constant], (shape[0], rows, cols, shape[3]), "Pad")


def _sides(call: Call, key: str) -> list[tuple[int, int]]:
    many = items(call.settings.get(key))
    value = call.settings.get(key)
    if isinstance(value, int):
        return [(value, value), (value, value)]
    found: list[tuple[int, int]] = []
    for side in many or []:
        pair = items(side)
        if isinstance(side, int):
            found.append((side, side))
        elif pair is not None and len(pair) == 2 and isinstance(pair[0], int) and isinstance(pair[1], int):
            found.append((pair[0], pair[1]))
    if len(found) != 2:
        raise UnknownLayerError("an unsupported padding mode")
    return found


def _up_sampling(call: Call) -> Value:
    shape = _channels_last(call, call.given.shape)
    known((*shape[:1], *shape[2:]))
    factors = call.pair("size", 2)
    way = call.text("interpolation", "nearest")
    bilinear = way == "bilinear"
    if way == "nearest" and call.keras == 3:
        if shape[1] < 0:
            raise UnknownLayerError("the converter refuses it after another")
        return repeated(call, factors)
    if way not in ("bilinear", "nearest"):
        raise UnknownLayerError("this way of interpolation")
    sizes = [recalled(shape[1]) * factors[0], shape[2] * factors[1]]
    constant = call.integers(sizes, "mul" if call.keras == 2 else "resize/size")
    code, name = (
        (RESIZE_BILINEAR, "ResizeBilinear") if bilinear else (RESIZE_NEAREST, "ResizeNearestNeighbor")
    )
    output = call.op(
        code,
        [call.given, constant],
        (shape[0], *sizes, shape[3]),
        f"resize/{name}",
        {"half_pixel_centers": True},
    )
    call.network.ops[-1].version = 3
    return output


_Rules = Mapping[str, Rule]
CONVOLUTIONS: _Rules = {
    "AveragePooling1D": _pool1d(AVERAGE_POOL, "AvgPool", "AvgPool"),
    "AveragePooling2D": _pool(AVERAGE_POOL, "AvgPool", "AvgPool"),
    "Conv1D": _conv1d,
    "Conv2D": _conv,
    "Conv2DTranspose": _transposed,
    "Cropping2D": _crop,
    "DepthwiseConv2D": _depthwise,
    "MaxPooling1D": _pool1d(MAX_POOL, "MaxPool", "MaxPool1d"),
    "MaxPooling2D": _pool(MAX_POOL, "MaxPool", "MaxPool2d"),
    "SeparableConv2D": _separable,
    "UpSampling2D": _up_sampling,
    "ZeroPadding2D": _pad,
}
"""The rules of layers that work on images and sequences."""
