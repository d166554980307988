"""Convolutions of sequences, images and volumes: dilated, backwards, in groups, of each channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Parameter, Rule, Shape, UnknownLayerError, items, known
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.network import integers
from modelinspect.conversion.operators import CONV, forgotten, recalled

Convolve = Callable[[Item, str, Shape], Item]
"""What convolves a tensor, given its padding and dilation."""


def _sequence(t: Trace, *, dilates: bool = False) -> Shape:
    """Return the shape of sequences whose channels come last. Raises `UnknownLayerError`."""
    shape = known(t.given.shape)
    if len(shape) != 3 or t.call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("sequences of another layout")
    if t.call.single("dilation_rate") != 1 and not dilates:
        raise UnknownLayerError("a dilated convolution")
    return shape


def _spread(t: Trace, given: Item, windows: Shape, rates: Shape, scope: str, convolve: Convolve) -> Item:
    """Convolve as the layer's dilation says.

    Where the batch is not known that is within each of the grids that the pixels of one sample are dealt to:
    dilated_conv.h does not join these three operations then. ``scope`` is what the moves are called after.
    """
    padding = t.call.text("padding", "valid")
    if min(rates) < 1:
        raise UnknownLayerError("a dilation of nothing")
    if given.shape[0] > 0 and set(rates) != {1}:
        t.call.network.ghosts.append(integers(list(rates), ()))
    if given.shape[0] > 0 or set(rates) == {1}:
        return convolve(given, t.padding() if padding != "causal" else "VALID", rates)
    sides, cuts = [], []
    for length, window, rate in zip(map(recalled, given.shape[1:]), windows, rates, strict=False):
        whole = (window - 1) * rate if padding == "same" else 0
        more = -(length + whole) % rate
        sides.append((whole // 2, whole - whole // 2 + more))
        cuts.append((0, more))
    names = f"{scope}/SpaceToBatchND", f"{scope}/BatchToSpaceND"
    block = t.constant(rates, f"{names[0]}/block_shape")
    dealt = t.node("SpaceToBatchND", [given, block, t.constant(sides, f"{names[0]}/paddings")], names[0])
    if min(map(recalled, dealt.shape[1:])) < 1:
        raise UnknownLayerError("a window larger than the image")
    made = convolve(dealt, "VALID", (1,) * len(rates))
    block = t.constant(rates, f"{names[1]}/block_shape")
    return t.node("BatchToSpaceND", [made, block, t.constant(cuts, f"{names[1]}/crops")], names[1])


def _image(t: Trace) -> Item:
    """Convolve images."""
    t.layout(2)
    weight, strides, name = t.call.need("kernel"), t.call.pair("strides"), t.pick("Conv2D", "convolution")

    def convolve(image: Item, padding: str, rates: Shape) -> Item:
        steps = {"strides": [1, *strides, 1], "dilations": [1, *rates, 1]}
        return t.node("Conv2D", [image, t.read(weight, name)], name, padding=padding, **steps)

    rates = t.call.pair("dilation_rate")
    return t.finish(t.add_bias(_spread(t, t.given, weight.shape[:2], rates, name, convolve)))


def _numbered(t: Trace, weight: Parameter, name: str) -> str:
    """Return the scope of a convolution: each use of a layer opens another."""
    uses = sum(
        value is not None and value.constant is not None and value.constant.key == id(weight.tensor)
        for op in t.call.network.ops
        if op.code == CONV
        for value in op.inputs[1:2]
    )
    return f"{name}_{uses}" if uses else name


def _row(t: Trace) -> Item:
    """Convolve sequences, as images of one row."""
    t.layout(1)
    weight, stride = t.call.need("kernel"), t.call.single("strides")
    name = t.pick(_numbered(t, weight, "Conv1D"), "convolution")
    rate, given = t.call.single("dilation_rate"), t.call.given

    def convolve(sequence: Item, padding: str, rates: Shape) -> Item:
        image = t.expand(sequence, -3, f"{name}/ExpandDims")
        kernel = t.expand(t.read(weight, f"{name}/ExpandDims_1"), 0, f"{name}/ExpandDims_1")
        steps = {"strides": [1, 1, stride, 1], "dilations": [1, 1, *rates, 1]}
        made = t.node("Conv2D", [image, kernel], name, padding=padding, **steps)
        return t.node("Squeeze", [made], f"{name}/Squeeze", squeeze_dims=[-3])

    if t.call.text("padding") == "causal":
        sides = [(0, 0), ((weight.shape[0] - 1) * rate, 0), (0, 0)]
        given = t.value("Pad", [given, t.constant(sides, t.pick("Pad/paddings", "Const"))], "Pad")
    return t.finish(t.add_bias(_spread(t, given, weight.shape[:1], (rate,), name, convolve)))


def _each_channel(t: Trace, weight: Parameter, name: str, scope: str) -> Item:
    """Convolve each channel of images."""
    t.layout(2)
    strides = t.call.pair("strides")

    def convolve(image: Item, padding: str, rates: Shape) -> Item:
        steps = {"strides": [1, *strides, 1], "dilations": [1, *rates, 1]}
        return t.node("DepthwiseConv2dNative", [image, t.read(weight, name)], name, padding=padding, **steps)

    return _spread(t, t.given, weight.shape[:2], t.call.pair("dilation_rate"), scope, convolve)


def _depthwise_image(t: Trace) -> Item:
    name = "depthwise_kernel" if t.call.parameter("depthwise_kernel") is not None else "kernel"
    return t.finish(t.add_bias(_each_channel(t, t.call.need(name), "depthwise", "depthwise")))


def _separable_image(t: Trace) -> Item:
    name = "separable_conv2d"
    inner = _each_channel(t, t.call.need("depthwise_kernel"), f"{name}/depthwise", name)
    kernel = t.read(t.call.need("pointwise_kernel"), name)
    made = t.node("Conv2D", [inner, kernel], name, strides=[1, 1, 1, 1], padding="VALID")
    return t.finish(t.add_bias(made))


def _backwards_image(t: Trace) -> Item:
    """Convolve images backwards; the shape of what is made is put together from the batch and the lengths."""
    t.layout(2)
    shape, weight, strides = t.recalled_shape(), t.call.need("kernel"), t.call.pair("strides")
    if len(weight.shape) != 4 or t.call.pair("dilation_rate") != (1, 1):
        raise UnknownLayerError("another way backwards")
    same, name = t.padding() == "SAME", t.pick("conv2d_transpose", "conv_transpose")
    sizes = []
    for place, (length, stride, window) in enumerate(zip(shape[1:], strides, weight.shape, strict=False)):
        size = length * stride + (0 if same else max(window - stride, 0))
        if t.call.settings.get("output_padding"):
            more = t.call.pair("output_padding")[place]
            size = (length - 1) * stride + window - (2 * (window // 2) if same else 0) + more
        sizes.append(size)
    sizes.append(weight.shape[2])
    stack = t.pick("stack", "conv_transpose/input_sizes")
    told = t.node("Shape", [t.given], "Shape")
    batch = t.slice(told, [0], [1], "strided_slice", shrink_axis_mask=1)
    lengths = [t.constant(size, f"{stack}/{place}") for place, size in enumerate(sizes, 1)]
    target = t.node("Pack", [batch, *lengths], stack)
    made = t.node(
        "Conv2DBackpropInput",
        [target, t.read(weight, name), t.given],
        name,
        strides=[1, *strides, 1],
        padding=t.padding(),
        _shape=[shape[0], *sizes],
    )
    return t.finish(t.add_bias(made))


def _depthwise(t: Trace) -> Item:
    """Convolve each channel of a sequence, as an image of one row."""
    _sequence(t, dilates=True)
    name = "depthwise_kernel" if t.call.parameter("depthwise_kernel") is not None else "kernel"
    image = t.expand(t.given, 1, "ExpandDims")
    weight = t.expand(t.read(t.call.need(name), "ExpandDims_1"), 0, "ExpandDims_1")
    strides = [1, *(t.call.single("strides"),) * 2, 1]

    def convolve(row: Item, padding: str, rates: Shape) -> Item:
        steps = {"strides": strides, "dilations": [1, *rates, 1]}
        return t.node("DepthwiseConv2dNative", [row, weight], "depthwise", padding=padding, **steps)

    t.padding()
    rates = (1, t.call.single("dilation_rate"))
    return _squeezed(t, _spread(t, image, (1, weight.shape[1]), rates, "depthwise", convolve))


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
        "DepthwiseConv2dNative", [image, first], f"{name}/depthwise", strides=strides, padding=t.padding()
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
    same = t.padding() == "SAME"
    length = shape[1] * stride + (0 if same else max(window - stride, 0))
    told = t.node("Shape", [t.given], "Shape")
    batch = t.slice(told, [0], [1], "strided_slice", shrink_axis_mask=1)
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
        padding=t.padding(),
        _shape=[shape[0], 1, length, channels],
    )
    return t.finish(t.add_bias(t.node("Squeeze", [made], f"{name}/Squeeze", squeeze_dims=[1])))


def _backwards_keras2(t: Trace) -> Item:
    """Convolve a sequence backwards as Keras 2 does; of what it makes the converter does not know the
    lengths.
    """
    t.layout(1)
    shape, weight = t.recalled_shape(), t.call.need("kernel")
    window, channels, depth = weight.shape
    if shape[0] > 0 or t.call.single("dilation_rate") != 1 or depth != shape[2]:
        raise UnknownLayerError("sequences of another layout")
    stride, name, padding = t.call.single("strides"), "conv1d_transpose", t.padding()
    more = 0 if padding == "SAME" else max(window - stride, 0)
    told = t.node("Shape", [t.given], "Shape")
    batch = t.slice(told, [0], [1], "strided_slice", shrink_axis_mask=1)
    length = t.slice(told, [1], [2], "strided_slice_1", shrink_axis_mask=1)
    length = t.node("Mul", [length, t.constant(stride, "mul/y")], "mul")
    if padding == "VALID":
        length = t.node("AddV2", [length, t.constant(more, "add/y")], "add")
    whole = t.node("Pack", [batch, length, t.constant(channels, "stack/2")], "stack")
    image = t.expand(t.given, 1, f"{name}/ExpandDims")
    kernel = t.expand(t.read(weight, f"{name}/ExpandDims_1"), 0, f"{name}/ExpandDims_1")
    front = t.slice(whole, [0], [1], f"{name}/strided_slice", begin_mask=1)
    rest = t.slice(whole, [1], [0], f"{name}/strided_slice_1", end_mask=1)
    row, axis = t.constant([1], f"{name}/concat/values_1"), t.constant(0, f"{name}/concat/axis")
    sizes = t.node("ConcatV2", [front, row, rest, axis], f"{name}/concat")
    unknown = tuple(map(forgotten, (shape[1] * stride + more, channels)))
    made = t.node(
        "Conv2DBackpropInput",
        [sizes, kernel, image],
        name,
        strides=[1, 1, stride, 1],
        padding=padding,
        _shape=[shape[0], 1, *unknown],
    )
    value = t.finished(t.node("Squeeze", [made], f"{name}/Squeeze", squeeze_dims=[1]))
    biased = t.finished(t.add_bias(value))
    if biased is not value:
        biased.shape = (shape[0], unknown[0], channels)
    return t.finish(biased)


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
        padding=t.padding(),
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
    read, padding = t.read(weight, name), t.padding()
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


TRACED_CONVOLUTIONS: Mapping[str, Rule] = {
    "Conv1D": grouped(traced(_row)),
    "Conv1DTranspose": traced(_backwards),
    "Conv2D": grouped(traced(_image)),
    "Conv2DTranspose": traced(_backwards_image),
    "Conv3D": traced(_solid),
    "DepthwiseConv1D": traced(_depthwise),
    "DepthwiseConv2D": traced(_depthwise_image),
    "SeparableConv1D": traced(_separable),
    "SeparableConv2D": traced(_separable_image),
}
"""The rules of convolutions that are written as nodes."""
