"""What the converter makes of operations on images: convolutions, pooling, normalizations."""

from __future__ import annotations

from math import prod

import numpy as np

from modelinspect.conversion.graph.node import Held, Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.network import Shape, Value, floats, kernel
from modelinspect.conversion.operators import (
    ADD,
    AVERAGE_POOL,
    BATCH_TO_SPACE,
    CONCATENATION,
    CONV,
    CONV_3D,
    DEPTHWISE,
    FLOAT32,
    MAX_POOL,
    MEAN,
    MUL,
    PAD,
    RESIZE_BILINEAR,
    RESIZE_NEAREST,
    RSQRT,
    SPACE_TO_BATCH,
    SQUARED_DIFFERENCE,
    SUB,
    TRANSPOSE,
    TRANSPOSE_CONV,
    divided,
    lengthened,
    multiplied,
    slid,
)
from modelinspect.measure.kept import Layout

_MOST_CHANNELS = 1 << 20
_GROUPED = 6
"""The version of a convolution in groups."""


def _image(node: Node, place: int = 0) -> Shape:
    """Return the shape of images whose channels come last. Raises `UnknownNodeError`.

    Height and width can be lengths that the converter does not know.
    """
    shape = node.computed(place).shape
    is_known = len(shape) == 4 and not {-1, 0}.intersection(shape[1:3]) and shape[3] > 0
    if not is_known or node.text("data_format", "NHWC") != "NHWC":
        raise UnknownNodeError("images of another layout")
    return shape


def _weight(node: Node, place: int) -> Held:
    weight = node.held(place)
    count = prod(weight.shape) if weight.tensor is None else weight.tensor.element_count
    if len(weight.shape) != 4 or weight.kind != FLOAT32 or prod(weight.shape) != count:
        raise UnknownNodeError("a kernel of another rank or type")
    return weight


def _steps(node: Node, key: str) -> tuple[int, int]:
    """Return what an attribute says about rows and columns."""
    numbers = node.integers(key) or [1, 1, 1, 1]
    if len(numbers) != 4 or numbers[0] != 1 or numbers[3] != 1 or min(numbers) < 1:
        raise UnknownNodeError("steps over samples or channels")
    return numbers[1], numbers[2]


def _padding(node: Node) -> bool:
    """Return whether sides are padded so a stride of 1 keeps lengths."""
    if node.text("padding") not in ("SAME", "VALID"):
        raise UnknownNodeError("an unsupported padding mode")
    return node.text("padding") == "SAME"


def _slid(
    shape: Shape, window: Shape, strides: Shape, *, same: bool, dilation: Shape = (1, 1)
) -> tuple[int, int]:
    rows, cols = (
        slid(shape[axis + 1], window[axis], strides[axis], same=same, dilation=dilation[axis])
        for axis in (0, 1)
    )
    return rows, cols


def _zeros(node: Node, count: int) -> Value:
    if count > _MOST_CHANNELS:
        raise UnknownNodeError("more channels than any layer has")
    return floats(np.zeros(count, dtype=np.float32), node.location)


def _padded(node: Node, shape: Shape) -> tuple[Value, Shape]:
    """Return what a convolution takes, and its shape: sides that the graph lists are added before it."""
    if node.text("padding") != "EXPLICIT":
        return node.given, shape
    sides = np.array(node.integers("explicit_paddings"), np.int32).reshape(-1, 2)
    if len(sides) != len(shape):
        raise UnknownNodeError("an unsupported padding mode")
    shape = tuple(
        lengthened(length, int(side.sum())) if side.any() else length
        for length, side in zip(shape, sides, strict=True)
    )
    return node.op(PAD, [node.given, node.constant(sides)], shape), shape


def _convolution(node: Node) -> Item:
    shape, weight = _image(node), _weight(node, 1)
    height, width, depth, channels = weight.shape
    if depth < 1 or shape[3] % depth or channels % (shape[3] // depth):
        raise UnknownNodeError("a kernel of another depth")
    given, shape = _padded(node, shape)
    strides, dilation = _steps(node, "strides"), _steps(node, "dilations")
    same = given is node.given and _padding(node)
    layout = Layout(height * width * depth, channels, 1)
    value = kernel(weight.source(), layout, (channels, height, width, depth), node.location)
    rows, cols = _slid(shape, (height, width), strides, same=same, dilation=dilation)
    settings = {
        "stride_w": strides[1],
        "stride_h": strides[0],
        "fused_activation_function": 0,
        "padding": 0 if same else 1,
    }
    settings |= {"dilation_w_factor": dilation[1], "dilation_h_factor": dilation[0]}
    made = node.op(CONV, [given, value, _zeros(node, channels)], (shape[0], rows, cols, channels), settings)
    if depth != shape[3]:
        node.network.ops[-1].version = _GROUPED
    return made


def _solid(node: Node) -> Item:
    """Convolve volumes: the kernel stays as it is, and the bias is added by another operator."""
    given, weight = node.given, node.held(1)
    strides, window = node.integers("strides"), weight.shape[:3]
    dilations = node.integers("dilations") or [1] * 5
    if len(given.shape) != 5 or len(weight.shape) != 5 or min(given.shape[1:]) < 1:
        raise UnknownNodeError("volumes of another layout")
    if len(strides) != 5 or set(dilations) != {1} or weight.shape[3] != given.shape[4]:
        raise UnknownNodeError("a convolution in groups, or dilated")
    if node.text("data_format", "NDHWC") != "NDHWC" or weight.tensor is None:
        raise UnknownNodeError("volumes of another layout")
    same = _padding(node)
    lengths = (slid(given.shape[axis + 1], window[axis], strides[axis + 1], same=same) for axis in range(3))
    settings = {f"stride_{name}": strides[axis] for axis, name in ((1, "d"), (2, "h"), (3, "w"))}
    settings |= {"padding": 0 if same else 1}
    settings |= dict.fromkeys(("dilation_dfactor", "dilation_h_factor", "dilation_w_factor"), 1)
    layout = Layout(prod(weight.shape[:-1]), weight.shape[-1], None)
    value = kernel(weight.tensor, layout, weight.shape, weight.location)
    shape = (given.shape[0], *lengths, weight.shape[-1])
    return node.op(CONV_3D, [given, value, None], shape, settings)


def _depthwise(node: Node) -> Item:
    shape, weight = _image(node), _weight(node, 1)
    height, width, depth, multiplier = weight.shape
    if depth != shape[3]:
        raise UnknownNodeError("a kernel of another depth")
    strides, dilation, same = _steps(node, "strides"), _steps(node, "dilations"), _padding(node)
    channels = depth * multiplier
    layout = Layout(height * width, channels, 1)
    value = kernel(weight.source(), layout, (1, height, width, channels), node.location)
    rows, cols = _slid(shape, (height, width), strides, same=same, dilation=dilation)
    settings = {
        "stride_w": strides[1],
        "stride_h": strides[0],
        "depth_multiplier": multiplier,
        "padding": 0 if same else 1,
    }
    settings |= {"dilation_w_factor": dilation[1], "dilation_h_factor": dilation[0]}
    settings |= {"fused_activation_function": 0}
    made = node.op(
        DEPTHWISE, [node.given, value, _zeros(node, channels)], (shape[0], rows, cols, channels), settings
    )
    node.network.ops[-1].version = 1 if dilation == (1, 1) else 2
    return made


def _backwards(node: Node) -> Item:
    """Convolve backwards: the first input is the shape of what is made."""
    shape, weight = node.computed(2).shape, _weight(node, 1)
    height, width, channels, depth = weight.shape
    if len(shape) != 4 or node.text("data_format", "NHWC") != "NHWC" or -1 in shape[1:]:
        raise UnknownNodeError("images of another layout")
    if depth != shape[3] or _steps(node, "dilations") != (1, 1):
        raise UnknownNodeError("another way backwards")
    strides, same = _steps(node, "strides"), _padding(node)
    made = node.told_shape()
    tensor = weight.tensor
    if made is None or len(made) != 4 or tensor is None:
        raise UnknownNodeError("has an output shape that is not in the graph")
    maker = node.makers.get(id(node.inputs[0]))
    joined = (
        maker is not None
        and maker.code == CONCATENATION
        and sum(value is None or value.constant is None for value in maker.inputs) > 1
    )
    # of sizes that are cut and joined the converter does not know the lengths: layers say so by less than -1
    if -1 in made[1:] or (joined and min(made[1:]) >= 0):
        raise UnknownNodeError("makes lengths that are not known")
    value = kernel(
        tensor,
        Layout(height * width * channels, depth, None),
        (channels, height, width, depth),
        node.location,
    )
    settings = {
        "stride_w": strides[1],
        "stride_h": strides[0],
        "fused_activation_function": 0,
        "padding": 0 if same else 1,
    }
    return node.op(TRANSPOSE_CONV, [node.value(0), value, node.computed(2)], made, settings)


def _pool(code: int) -> Rule:
    def rule(node: Node) -> Item:
        shape = _image(node)
        window, strides, same = _steps(node, "ksize"), _steps(node, "strides"), _padding(node)
        rows, cols = _slid(shape, window, strides, same=same)
        settings = {
            "stride_w": strides[1],
            "stride_h": strides[0],
            "filter_width": window[1],
            "filter_height": window[0],
        }
        return node.op(
            code, [node.given], (shape[0], rows, cols, shape[3]), settings | {"padding": 0 if same else 1}
        )

    return rule


def _normalization(node: Node) -> Item:
    if node.flag("is_training", default=True):
        return _as_batch(node)
    shape = node.given.shape
    if len(shape) not in (4, 5) or node.text("data_format", "N")[-1] not in "CN":
        raise UnknownNodeError("images of another layout")
    gamma, beta, mean, variance = (
        node.held(place).array(node.reading).astype(np.float32) for place in (1, 2, 3, 4)
    )
    if gamma.shape != shape[-1:]:
        raise UnknownNodeError("a normalization of another length")
    with np.errstate(all="ignore"):
        scale = (
            np.float32(1)
            / np.sqrt(variance + np.float32(node.real("epsilon", 1e-4)), dtype=np.float32)
            * gamma
        )
        offset = beta - mean * scale
    scaled = node.op(MUL, [node.given, floats(scale, node.location)], shape)
    return node.op(ADD, [scaled, floats(offset, node.location)], shape)


def _as_batch(node: Node) -> Item:
    """Normalize as in training, one sample whose parts are channels, which are moved and back.

    Of an unknown batch the converter does not know their number; of a fixed one it does, and then the factors
    of one and the offsets of zero are constants.
    """
    given, ones, zeros = node.given, node.value(1), node.value(2)
    if len(given.shape) != 4 or given.shape[::3] != (1, 1):
        raise UnknownNodeError("normalizes as in training")
    one, parts, channels, other = given.shape
    moved, made = (one, channels, other, parts), (parts,)
    if ones.constant is not None and not (ones.constant.is_all(1.0) and ones.shape == made):
        raise UnknownNodeError("normalizes as in training")

    def add(code: int, inputs: list[Value], shape: Shape = made) -> Value:
        return node.op(code, inputs, shape)

    flipped = add(TRANSPOSE, [given, node.constant([0, 2, 3, 1])], moved)
    axes = node.constant([0, 1, 2])
    mean = add(MEAN, [flipped, axes])
    variance = add(MEAN, [add(SQUARED_DIFFERENCE, [flipped, mean], moved), axes])
    epsilon = node.constant(np.float32(node.real("epsilon", 1e-4)), FLOAT32)
    scale = add(RSQRT, [add(ADD, [variance, epsilon])])
    if ones.constant is None:
        scale = add(MUL, [ones, scale])
    scaled = add(MUL, [flipped, scale], moved)
    normal = add(ADD, [scaled, add(SUB, [zeros, add(MUL, [mean, scale])])], moved)
    return add(TRANSPOSE, [normal, node.constant([0, 3, 1, 2])], given.shape)


def _resized(code: int) -> Rule:
    def rule(node: Node) -> Item:
        shape, sizes = _image(node), node.held(1)
        rows, cols = (int(length) for length in sizes.array(node.reading).reshape(-1))
        settings = {
            "half_pixel_centers": node.flag("half_pixel_centers"),
            "align_corners": node.flag("align_corners"),
        }
        made = node.op(
            code, [node.given, sizes.value(node.reading)], (shape[0], rows, cols, shape[3]), settings
        )
        if settings["half_pixel_centers"]:
            node.network.ops[-1].version = 3
        return made

    return rule


def _grids(code: int) -> Rule:
    """Deal the pixels of a sample to grids, as a dilated convolution wants them where the batch is not known,
    or put them together again.
    """

    def rule(node: Node) -> Item:
        given, rates = node.given, [int(number) for number in node.held(1).array(node.reading).reshape(-1)]
        sides = node.held(2).array(node.reading).astype(np.int64).reshape(-1, 2).sum(axis=1).tolist()
        is_known = len(sides) == len(rates) == len(given.shape) - 2 and -1 not in given.shape[1:]
        if given.shape[0] >= 0 or not is_known or min(rates) < 1:
            raise UnknownNodeError("space of another shape")
        inner = tuple(
            divided(lengthened(length, side), rate)
            if code == SPACE_TO_BATCH
            else lengthened(multiplied(length, rate), -side)
            for length, side, rate in zip(given.shape[1:], sides, rates, strict=False)
        )
        made = node.op(code, [given, node.value(1), node.value(2)], (-1, *inner, given.shape[-1]))
        node.network.ops[-1].version = 1 if len(given.shape) == 4 else 3
        return made

    return rule


IMAGES: dict[str, Rule] = {
    "BatchToSpaceND": _grids(BATCH_TO_SPACE),
    "AvgPool": _pool(AVERAGE_POOL),
    "Conv2D": _convolution,
    "Conv3D": _solid,
    "Conv2DBackpropInput": _backwards,
    "DepthwiseConv2dNative": _depthwise,
    "FusedBatchNormV3": _normalization,
    "MaxPool": _pool(MAX_POOL),
    "ResizeBilinear": _resized(RESIZE_BILINEAR),
    "ResizeNearestNeighbor": _resized(RESIZE_NEAREST),
    "SpaceToBatchND": _grids(SPACE_TO_BATCH),
}
"""The rules of operations on images."""
