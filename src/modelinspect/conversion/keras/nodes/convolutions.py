"""Convolutions of sequences and volumes, convolutions in groups, and pooling of volumes."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Call, Rule, Shape, UnknownLayerError, items, known
from modelinspect.conversion.keras.image_windows import squeezed
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.keras.repeating import forgotten, recalled


def _sequence(t: Trace) -> Shape:
    """Return the shape of sequences whose channels come last. Raises `UnknownLayerError`."""
    shape = known(t.given.shape)
    if len(shape) != 3 or t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("sequences of another layout")
    if t.call.single("dilation_rate") != 1:
        raise UnknownLayerError("a dilated convolution")
    return shape


def _padding(t: Trace) -> str:
    padding = t.call.text("padding", "valid")
    if padding not in ("same", "valid"):
        raise UnknownLayerError("an unsupported padding mode")
    return padding.upper()


def _depthwise(t: Trace) -> Item:
    """Convolve each channel of a sequence, as an image of one row."""
    _sequence(t)
    name = "depthwise_kernel" if t.call.parameter("depthwise_kernel") is not None else "kernel"
    image = t.expand(t.given, 1, "ExpandDims")
    weight = t.expand(t.read(t.call.need(name), "ExpandDims_1"), 0, "ExpandDims_1")
    strides = [1, *(t.call.single("strides"),) * 2, 1]
    made = t.node("DepthwiseConv2dNative", [image, weight], "depthwise", strides=strides, padding=_padding(t))
    return _squeezed(t, made)


def _squeezed(t: Trace, made: Item) -> Item:
    """Add the bias and take the row away: Keras 3 does so in the other order."""
    if t.is_keras3:
        return t.finish(t.add_bias(t.node("Squeeze", [made], "Squeeze", squeeze_dims=[1])))
    return t.finish(t.node("Squeeze", [t.add_bias(made)], "Squeeze", squeeze_dims=[1]))


def _separable(t: Trace) -> Item:
    _sequence(t)
    image = t.expand(t.given, 1, "ExpandDims")
    first = t.expand(t.read(t.call.need("depthwise_kernel"), "ExpandDims_1"), 0, "ExpandDims_1")
    second = t.expand(t.read(t.call.need("pointwise_kernel"), "ExpandDims_2"), 0, "ExpandDims_2")
    strides = [1, *(t.call.single("strides"),) * 2, 1]
    name = "separable_conv2d"
    inner = t.node(
        "DepthwiseConv2dNative", [image, first], f"{name}/depthwise", strides=strides, padding=_padding(t)
    )
    return _squeezed(t, t.node("Conv2D", [inner, second], name, strides=[1, 1, 1, 1], padding="VALID"))


def _backwards(t: Trace) -> Item:
    """Convolve a sequence backwards, as an image of one row."""
    if t.call.settings.get("output_padding") not in (None, [None], [0], 0):
        raise UnknownLayerError("another way backwards")
    if not t.is_keras3:
        return _backwards_keras2(t)
    shape, weight = _sequence(t), t.call.need("kernel")
    window, channels, _ = weight.shape
    stride, name = t.call.single("strides"), "conv_transpose"
    same = _padding(t) == "SAME"
    length = shape[1] * stride + (0 if same else max(window - stride, 0))
    told = t.node("Shape", [t.given], "Shape")
    parts = [
        t.constant([n], f"strided_slice/{part}") for n, part in ((0, "stack"), (1, "stack_1"), (1, "stack_2"))
    ]
    batch = t.node("StridedSlice", [told, *parts], "strided_slice", shrink_axis_mask=1)
    values = [
        t.node("Pack", [batch], f"{name}/concat/values_0"),
        t.constant([1], f"{name}/concat/values_1"),
        t.constant([length, channels], f"{name}/concat/values_2"),
    ]
    sizes = t.node("ConcatV2", [*values, t.constant(0, f"{name}/concat/axis")], f"{name}/concat")
    image = t.expand(t.given, 1, f"{name}/ExpandDims")
    kernel = t.expand(t.read(weight, f"{name}/ExpandDims_1"), 0, f"{name}/ExpandDims_1")
    made = t.node(
        "Conv2DBackpropInput",
        [sizes, kernel, image],
        name,
        strides=[1, 1, stride, 1],
        padding=_padding(t),
        _shape=[shape[0], 1, length, channels],
    )
    return t.finish(t.add_bias(t.node("Squeeze", [made], f"{name}/Squeeze", squeeze_dims=[1])))


def _backwards_keras2(t: Trace) -> Item:
    """Convolve a sequence backwards as Keras 2 does; of what it makes the converter does not know the
    lengths.
    """
    weight, given = t.call.need("kernel"), t.given.shape
    shape = known((*given[:1], *map(recalled, given[1:])))
    if len(shape) != 3 or shape[0] > 0 or t.call.single("dilation_rate") != 1:
        raise UnknownLayerError("sequences of another layout")
    window, channels, depth = weight.shape
    if depth != shape[2] or t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("sequences of another layout")
    stride, name, padding = t.call.single("strides"), "conv1d_transpose", _padding(t)
    more = 0 if padding == "SAME" else max(window - stride, 0)
    told = t.node("Shape", [t.given], "Shape")
    batch = _part(t, told, (0, 1), "strided_slice", shrink_axis_mask=1)
    length = _part(t, told, (1, 2), "strided_slice_1", shrink_axis_mask=1)
    length = t.node("Mul", [length, t.constant(stride, "mul/y")], "mul")
    if padding == "VALID":
        length = t.node("AddV2", [length, t.constant(more, "add/y")], "add")
    whole = t.node("Pack", [batch, length, t.constant(channels, "stack/2")], "stack")
    image = t.expand(t.given, 1, f"{name}/ExpandDims")
    kernel = t.expand(t.read(weight, f"{name}/ExpandDims_1"), 0, f"{name}/ExpandDims_1")
    front = _part(t, whole, (0, 1), f"{name}/strided_slice", begin_mask=1)
    rest = _part(t, whole, (1, 0), f"{name}/strided_slice_1", end_mask=1)
    row, axis = t.constant([1], f"{name}/concat/values_1"), t.constant(0, f"{name}/concat/axis")
    sizes = t.node("ConcatV2", [front, row, rest, axis], f"{name}/concat")
    unknown = tuple(map(forgotten, (shape[1] * stride + more, channels)))
    made = t.value(
        "Conv2DBackpropInput",
        [sizes, kernel, image],
        name,
        strides=[1, 1, stride, 1],
        padding=padding,
        _shape=[shape[0], 1, *unknown],
    )
    value = squeezed(t.call, made, (shape[0], *unknown), f"{name}/Squeeze")
    biased = t.add_bias(value)
    if biased is not value:
        biased.shape = (shape[0], unknown[0], channels)
    return t.finish(biased)


def _part(t: Trace, item: Item, bounds: tuple[int, int], name: str, **masks: int) -> Item:
    """Take a slice of a vector."""
    numbers = (bounds[0], "stack"), (bounds[1], "stack_1"), (1, "stack_2")
    parts = [t.constant([number], f"{name}/{part}") for number, part in numbers]
    return t.node("StridedSlice", [item, *parts], name, **masks)


def _solid(t: Trace) -> Item:
    """Convolve volumes."""
    shape, weight = known(t.given.shape), t.call.need("kernel")
    if len(shape) != 5 or t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("volumes of another layout")
    if t.call.number("groups", 1) != 1 or set(_triple(t, "dilation_rate")) != {1}:
        raise UnknownLayerError("a convolution in groups, or dilated")
    name = t.pick("Conv3D", "convolution")
    made = t.node(
        "Conv3D",
        [t.given, t.read(weight, name)],
        name,
        strides=[1, *_triple(t, "strides"), 1],
        padding=_padding(t),
    )
    return t.finish(t.add_bias(made))


def _triple(t: Trace, key: str, default: int = 1) -> tuple[int, ...]:
    value = t.call.settings.get(key, default)
    many = [each for each in items(value) or [value] * 3 if isinstance(each, int)]
    if len(many) != 3:
        raise UnknownLayerError("unsupported sizes")
    return tuple(many)


def grouped(other: Rule) -> Rule:
    """Return the rule of a convolution in groups, which runs in a function that has its own names.

    ``other`` is the rule of what is in one group.
    """
    rule = traced(_grouped)
    return lambda call: rule(call) if call.number("groups", 1) != 1 else other(call)


def _grouped(t: Trace) -> Item:
    weight, shape = t.call.need("kernel"), known(t.given.shape)
    rank = len(weight.shape)
    if t.call.text("data_format", "channels_last") != "channels_last" or len(shape) != rank:
        raise UnknownLayerError("channels that come first")
    if t.call.pair("dilation_rate") != (1, 1):
        raise UnknownLayerError("a dilated convolution")
    name = t.pick("Conv1D" if rank == 3 else "Conv2D", "convolution")
    read, padding = t.read(weight, name), _padding(t)
    if rank == 4:
        strides = [1, *t.call.pair("strides"), 1]
        return t.finish(
            t.add_bias(t.outside("Conv2D", [t.given, read], name, strides=strides, padding=padding))
        )
    stride = t.call.single("strides")
    image, kernel = (
        t.outside("ExpandDims", [item, t.constant(axis, f"{place}/dim", inside=False)], place)
        for item, axis, place in (
            (t.given, -3, f"{name}/ExpandDims"),
            (read, 0, f"{name}/ExpandDims_1"),
        )
    )
    made = t.outside("Conv2D", [image, kernel], name, strides=[1, 1, stride, 1], padding=padding)
    return t.finish(t.add_bias(t.outside("Squeeze", [made], f"{name}/Squeeze", squeeze_dims=[-3])))


def _reduced(op: str) -> Rule:
    def writer(t: Trace) -> Item:
        shape = known(t.given.shape)
        if len(shape) != 5 or t.call.text("data_format", "channels_last") != "channels_last":
            raise UnknownLayerError("volumes of another layout")
        return t.reduce(op, t.given, [1, 2, 3], keep=t.call.flag("keepdims", default=False))

    return traced(writer)


def _pad(t: Trace) -> Item:
    """Add zeros around volumes."""
    sides = [[0, 0], *_sides(t.call, "padding"), [0, 0]]
    if len(t.given.shape) != 5 or t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("volumes of another layout")
    return t.node("Pad", [t.given, t.constant(sides, t.pick("Pad/paddings", "Const"))], "Pad")


def _crop(t: Trace) -> Item:
    """Cut the sides of volumes off."""
    sides = _sides(t.call, "cropping")
    if len(t.given.shape) != 5 or t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("volumes of another layout")
    begin, end = [0, *(side[0] for side in sides), 0], [0, *(-side[1] for side in sides), 0]
    return _cut(t, begin, end, "strided_slice")


def _cut(t: Trace, begin: list[int], end: list[int], name: str) -> Item:
    """Take a slice of every axis: a zero means all of that side."""
    parts = (begin, end, [1] * len(begin))
    constants = [t.constant(part, f"{name}/{label}") for part, label in zip(parts, _PARTS, strict=True)]
    first = sum(1 << axis for axis in (0, len(begin) - 1))
    last = sum(1 << axis for axis, number in enumerate(end) if not number)
    return t.node("StridedSlice", [t.given, *constants], name, begin_mask=first, end_mask=last)


_PARTS = ("stack", "stack_1", "stack_2")


def _sides(call: Call, key: str) -> list[list[int]]:
    """Return how much of each of three axes a setting names, at both ends."""
    value = call.settings.get(key, 1)
    found = []
    for each in items(value) or [value] * 3:
        pair = items(each) or [each, each]
        found.append([number for number in pair if isinstance(number, int)])
    if len(found) != 3 or any(len(pair) != 2 or min(pair) < 0 for pair in found):
        raise UnknownLayerError("unsupported sizes")
    return found


def _center(t: Trace) -> Item:
    """Cut the middle of images out."""
    shape, call = known(t.given.shape), t.call
    height, width = call.number("height", 0), call.number("width", 0)
    rows, cols = shape[1] - height, shape[2] - width
    is_last = call.text("data_format", "channels_last") == "channels_last"
    if not t.is_keras3 or len(shape) != 4 or min(rows, cols, height, width) < 1 or not is_last:
        raise UnknownLayerError("a cut of another kind")
    top, left = rows // 2, cols // 2
    return _cut(t, [0, top, left, 0], [0, top + height, left + width, 0], "strided_slice_3")


def _resize(t: Trace) -> Item:
    """Resize images."""
    ops = {"bilinear": "ResizeBilinear", "nearest": "ResizeNearestNeighbor"}
    op = ops.get(t.call.text("interpolation", "bilinear"))
    flags = ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
    if op is None or len(t.given.shape) != 4 or any(t.call.flag(name, default=False) for name in flags):
        raise UnknownLayerError("resizing of another kind")
    if t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("channels that come first")
    sizes = [t.call.number("height", 0), t.call.number("width", 0)]
    constant = t.constant(sizes, "resize/size")
    return t.node(op, [t.given, constant], f"resize/{op}", half_pixel_centers=True)


TRACED_CONVOLUTIONS: Mapping[str, Rule] = {
    "CenterCrop": traced(_center),
    "Conv1DTranspose": traced(_backwards),
    "Conv3D": traced(_solid),
    "Cropping3D": traced(_crop),
    "DepthwiseConv1D": traced(_depthwise),
    "GlobalAveragePooling3D": _reduced("Mean"),
    "GlobalMaxPooling3D": _reduced("Max"),
    "Resizing": traced(_resize),
    "SeparableConv1D": traced(_separable),
    "ZeroPadding3D": traced(_pad),
}
"""The rules of convolutions, pooling and cuts that are written as nodes."""
