"""Layers without weights over sequences, images and volumes: they pool, pad, cut, resize and repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import Call, Rule, UnknownLayerError, items, known
from modelinspect.conversion.keras.masks import masked_mean, taken_mask
from modelinspect.conversion.keras.nodes.trace import Trace, traced
from modelinspect.conversion.operators import forgotten, recalled

_MOST_STEPS = 4_096


def _pool(rank: int, op: str, keras2: str, keras3: str) -> Rule:
    """Pool windows of one axis or two: a sequence is an image of a row (Keras 3) or a column (Keras 2)."""

    def writer(t: Trace) -> Item:
        t.layout(rank)
        call, name, padding = t.call, t.pick(keras2, keras3), t.padding()
        if rank == 2:
            window = call.pair("pool_size", 2)
            steps = call.pair("strides", window[0]) if call.settings.get("strides") is not None else window
            return t.node(op, [t.given], name, ksize=[1, *window, 1], strides=[1, *steps, 1], padding=padding)
        length = call.single("pool_size", 2)
        step = call.single("strides", length) if call.settings.get("strides") is not None else length
        axis, prefix = (1, f"{name}/") if t.is_keras3 else (2, "")
        sizes, strides = ([1, number, 1] if axis == 2 else [1, 1, number] for number in (length, step))
        image = t.expand(t.given, axis, f"{prefix}ExpandDims")
        made = t.node(op, [image], name, ksize=[*sizes, 1], strides=[*strides, 1], padding=padding)
        return t.node("Squeeze", [made], f"{prefix}Squeeze", squeeze_dims=[axis])

    return traced(writer)


def _reduced(rank: int, op: str) -> Rule:
    """Take the mean or the largest over the axes between the batch and the channels."""

    def writer(t: Trace) -> Item:
        mask = taken_mask(t.call) if rank == 1 and op == "Mean" else None
        if mask is not None:
            return masked_mean(t, mask)
        axes: int | list[int] = list(range(1, rank + 1)) if rank > 1 else 1
        if t.call.text("data_format") == "channels_first" and len(t.recalled_shape()) == rank + 2:
            axes = list(range(2, rank + 2)) if rank > 1 else 2
        else:
            t.layout(rank)
        return t.reduce(op, t.given, axes, keep=t.call.flag("keepdims", default=False))

    return traced(writer)


def _sides(call: Call, key: str, rank: int) -> list[list[int]]:
    """Return how much of each axis a setting names, at both ends."""
    value = call.settings.get(key, 1)
    many = items(value)
    found = []
    for each in [value] * rank if many is None or (rank == 1 and len(many) == 2) else many:
        pair = items(each) or [each, each]
        found.append([number for number in pair if isinstance(number, int)])
    if len(found) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in found):
        raise UnknownLayerError("unsupported sizes")
    return found


def _pad(rank: int) -> Rule:
    """Add zeros at the sides."""

    def writer(t: Trace) -> Item:
        t.layout(rank)
        sides = [[0, 0], *_sides(t.call, "padding", rank), [0, 0]]
        return t.node("Pad", [t.given, t.constant(sides, t.pick("Pad/paddings", "Const"))], "Pad")

    return traced(writer)


def _crop(rank: int) -> Rule:
    """Cut the sides off."""

    def writer(t: Trace) -> Item:
        shape, sides = t.layout(rank), _sides(t.call, "cropping", rank)
        if any(recalled(length) <= sum(side) for length, side in zip(shape[1:], sides, strict=False)):
            raise UnknownLayerError("a cut of everything")
        begin, end = [0, *(side[0] for side in sides), 0], [0, *(-side[1] for side in sides), 0]
        return _cut(t, begin, end, "strided_slice")

    return traced(writer)


def _cut(t: Trace, begin: list[int], end: list[int], name: str) -> Item:
    """Take a slice of every axis: a zero means all of that side."""
    first = 1 | 1 << (len(begin) - 1)
    last = sum(1 << axis for axis, number in enumerate(end) if not number)
    return t.slice(t.given, begin, end, name, begin_mask=first, end_mask=last)


def _center(t: Trace) -> Item:
    """Cut the middle of images out."""
    shape = known(t.layout(2))
    height, width = t.call.number("height", 0), t.call.number("width", 0)
    rows, cols = shape[1] - height, shape[2] - width
    if not t.is_keras3 or min(rows, cols, height, width) < 1:
        raise UnknownLayerError("a cut of another kind")
    top, left = rows // 2, cols // 2
    return _cut(t, [0, top, left, 0], [0, top + height, left + width, 0], "strided_slice_3")


_WAYS = {"bilinear": "ResizeBilinear", "nearest": "ResizeNearestNeighbor"}


def _resize(t: Trace) -> Item:
    """Resize images."""
    flags = ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias")
    if any(t.call.flag(name, default=False) for name in flags):
        raise UnknownLayerError("resizing of another kind")
    return _resized(t, t.constant([t.call.number("height", 0), t.call.number("width", 0)], "resize/size"))


def _resized(t: Trace, sizes: Item, default: str = "bilinear") -> Item:
    op = _WAYS.get(t.call.text("interpolation", default))
    if op is None:
        raise UnknownLayerError("this way of interpolation")
    t.layout(2)
    return t.node(op, [t.given, sizes], f"resize/{op}", half_pixel_centers=True)


def _enlarge(t: Trace) -> Item:
    """Enlarge images: Keras 3 repeats rows and then columns to nearest neighbours."""
    shape, factors = t.layout(2), t.call.pair("size", 2)
    if not t.is_keras3:
        first, second = t.constant(shape[1:3], "Const"), t.constant(factors, "Const_1")
        return _resized(t, t.node("Mul", [first, second], "mul"), "nearest")
    if t.call.text("interpolation", "nearest") != "nearest":
        sizes = [recalled(shape[1]) * factors[0], shape[2] * factors[1]]
        return _resized(t, t.constant(sizes, "resize/size"))
    if shape[1] < 0:
        raise UnknownLayerError("the converter refuses it after another")
    return _repeated(t, factors)


def _repeated(t: Trace, factors: Sequence[int]) -> Item:
    """Repeat along one axis after the other, the first after the batch. Of what each but the first makes, the
    converter does not know the lengths of the axes before it any more.
    """
    given = known(t.given.shape)
    if given[0] > 0 or min(factors) < 1 or len(given) != len(factors) + 2:
        raise UnknownLayerError(_REPEATING)
    value = t.given
    for place, factor in enumerate(factors):
        axis = place + 1
        value = t.finished(_repeat(t, value, axis, factor, f"Repeat_{place}" if place else "Repeat"))
        before = tuple(map(forgotten, map(recalled, value.shape[1:axis])))
        value.shape = (value.shape[0], *before, *value.shape[axis:])
    return value


_REPEATING = "this way of repeating"


def _repeat(t: Trace, x: Item, axis: int, factor: int, name: str) -> Item:
    """Repeat what is along an axis, as Keras 3 does."""
    shape, count = x.shape, t.constant(factor, f"{name}/repeats")
    wide = t.expand(x, axis + 1, f"{name}/ExpandDims")
    times: list[Item] = [t.constant(1, f"{name}/Tile/multiples/{place}") for place in range(len(wide.shape))]
    times[axis + 1] = count
    tiled = t.node("Tile", [wide, t.node("Pack", times, f"{name}/Tile/multiples")], f"{name}/Tile")
    told = t.node("Shape", [x], f"{name}/Shape")
    front = t.slice(told, [0], [axis], f"{name}/strided_slice", begin_mask=1)
    length = t.slice(told, [axis], [axis + 1], f"{name}/strided_slice_1", shrink_axis_mask=1)
    whole = t.node("Pack", [t.node("Mul", [count, length], f"{name}/mul")], f"{name}/concat/values_1")
    rest = t.slice(told, [axis + 1], [0], f"{name}/strided_slice_2", end_mask=1)
    target = t.node("ConcatV2", [front, whole, rest, t.constant(0, f"{name}/concat/axis")], f"{name}/concat")
    made = [*shape[:axis], recalled(shape[axis]) * factor, *shape[axis + 1 :]]
    return t.node("Reshape", [tiled, target], f"{name}/Reshape_1", _shape=made)


def _repeat_vector(t: Trace) -> Item:
    """Repeat a vector at every step."""
    shape, count = known(t.given.shape), t.call.number("n", 0)
    if len(shape) != 2 or count <= 0:
        raise UnknownLayerError(_REPEATING)
    if t.is_keras3:
        return _repeat(t, t.whole_shape((shape[0], 1, shape[1])), 1, count, "Repeat")
    return t.node("Tile", [t.expand(t.given, 1, "ExpandDims"), t.constant([1, count, 1], "stack")], "Tile")


def _repeat_steps(t: Trace) -> Item:
    """Take a sequence apart, and join each step as often as it is repeated."""
    shape, count = known(t.layout(1)), t.call.single("size", 2)
    if t.is_keras3:
        return _repeated(t, (count,))
    if count < 1 or shape[1] * count > _MOST_STEPS:
        raise UnknownLayerError(_REPEATING)
    return _taken_apart(t, t.given, 1, count, "")


def _taken_apart(t: Trace, value: Item, axis: int, count: int, suffix: str) -> Item:
    """Split along an axis, and join each part as often as it is repeated."""
    name = f"split{suffix}"
    t.node("Split", [t.constant(axis, f"{name}/split_dim"), value], name, num_split=value.shape[axis])
    parts = t.call.network.ops[-1].outputs
    many: list[Item] = [part for part in parts for _ in range(count)]
    return t.node("ConcatV2", [*many, t.constant(axis, f"concat{suffix}/axis")], f"concat{suffix}")


def _repeat_volumes(t: Trace) -> Item:
    """Repeat along each axis of volumes."""
    many = items(t.call.settings.get("size", 2)) or [t.call.settings.get("size", 2)] * 3
    factors, shape = [factor for factor in many if isinstance(factor, int)], known(t.layout(3))
    if len(factors) != 3:
        raise UnknownLayerError(_REPEATING)
    if t.is_keras3:
        return _repeated(t, factors)
    if any(
        factor < 1 or length * factor > _MOST_STEPS
        for factor, length in zip(factors, shape[1:4], strict=True)
    ):
        raise UnknownLayerError(_REPEATING)
    value: Item = t.given
    for place, factor in enumerate(factors):
        value = _taken_apart(t, value, place + 1, factor, f"_{place}" if place else "")
    return value


TRACED_POOLING: Mapping[str, Rule] = {
    "AveragePooling1D": _pool(1, "AvgPool", "AvgPool", "AvgPool"),
    "AveragePooling2D": _pool(2, "AvgPool", "AvgPool", "AvgPool"),
    "CenterCrop": traced(_center),
    "Cropping1D": _crop(1),
    "Cropping2D": _crop(2),
    "Cropping3D": _crop(3),
    "GlobalAveragePooling1D": _reduced(1, "Mean"),
    "GlobalAveragePooling2D": _reduced(2, "Mean"),
    "GlobalAveragePooling3D": _reduced(3, "Mean"),
    "GlobalMaxPooling1D": _reduced(1, "Max"),
    "GlobalMaxPooling2D": _reduced(2, "Max"),
    "GlobalMaxPooling3D": _reduced(3, "Max"),
    "MaxPooling1D": _pool(1, "MaxPool", "MaxPool", "MaxPool1d"),
    "MaxPooling2D": _pool(2, "MaxPool", "MaxPool", "MaxPool2d"),
    "RepeatVector": traced(_repeat_vector),
    "Resizing": traced(_resize),
    "UpSampling1D": traced(_repeat_steps),
    "UpSampling2D": traced(_enlarge),
    "UpSampling3D": traced(_repeat_volumes),
    "ZeroPadding1D": _pad(1),
    "ZeroPadding2D": _pad(2),
    "ZeroPadding3D": _pad(3),
}
"""The rules of layers without weights over axes between the batch and the channels."""
