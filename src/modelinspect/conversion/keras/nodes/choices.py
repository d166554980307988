"""Functions of tensors that choose, compare, move or pool elements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.graph.node import Held, Item
from modelinspect.conversion.keras.call import UnknownLayerError
from modelinspect.conversion.keras.nodes.arguments import Argument, Arguments
from modelinspect.conversion.keras.nodes.functions import Writer
from modelinspect.conversion.keras.nodes.trace import TYPES, Trace
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import BOOL, FLOAT32, INT32, INT64, SQUARED_DIFFERENCE

_KINDS = {"bool": BOOL, "float32": FLOAT32, "int32": INT32, "int64": INT64}
_LAYOUTS = (None, "channels_last", "NHWC")


def _first(given: Arguments) -> Value:
    return given.tensor(0, "x", "input", "features", "image", "images", "params", "tensor", "value")


def _settled(given: Arguments, *usual: tuple[int, str, Argument]) -> None:
    """Raise `UnknownLayerError` where settings are not the usual ones."""
    if any(given.get(place, name, default=value) not in (value, None) for place, name, value in usual):
        raise UnknownLayerError("of other settings")


def _axis(given: Arguments, place: int, name: str, rank: int) -> int:
    axes = given.integers(place, name)
    if axes is None or len(axes) != 1 or not -rank <= axes[0] < rank:
        raise UnknownLayerError("along another axis")
    return axes[0]


def _by(t: Trace, op: str, item: Item, numbers: object, constant: str) -> Item:
    """Write a node that takes whole numbers, a constant within its scope."""
    name = t.call.scopes.unique(t.call.at(op)[0])
    return t.outside(op, [item, t.constant(numbers, f"{name}/{constant}", INT32, inside=False)], name)


def chosen(t: Trace, given: Arguments) -> Item:
    """Choose between two tensors by a third."""
    items = given.tensor(0, "condition"), given.tensor(1, "x1", "x"), given.tensor(2, "x2", "y")
    return t.node("SelectV2", items, "SelectV2")


def cast(t: Trace, given: Arguments) -> Item:
    """Convert to another type."""
    kind = _KINDS.get(str(given.get(1, "dtype")))
    if kind is None:
        raise UnknownLayerError("to another type")
    return t.node("Cast", [_first(given)], "Cast", DstT=TYPES[kind])


def largest(t: Trace, given: Arguments) -> Item:
    """Return where the largest element along an axis is, as TensorFlow does."""
    x = _first(given)
    _settled(given, (2, "output_type", "int64"))
    return _by(t, "ArgMax", x, _axis(given, 1, "axis", len(x.shape)), "dimension")


def best(t: Trace, given: Arguments) -> Item:
    """Return the largest elements of the last axis, and where they are."""
    count = given.integers(1, "k")
    _settled(given, (2, "sorted", True))
    if count is None or len(count) != 1:
        raise UnknownLayerError("of other settings")
    return _by(t, "TopKV2", _first(given), count[0], "k")


def summed_up(t: Trace, given: Arguments) -> Item:
    """Add each element to those before it."""
    x = _first(given)
    _settled(given, (2, "exclusive", False), (3, "reverse", False))
    return _by(t, "Cumsum", x, _axis(given, 1, "axis", len(x.shape)), "axis")


def turned(t: Trace, given: Arguments) -> Item:
    """Reverse the order along axes."""
    axes = given.integers(1, "axis")
    if not axes:
        raise UnknownLayerError("along all axes")
    return _by(t, "ReverseV2", _first(given), axes, "axis")


def tiled(t: Trace, given: Arguments) -> Item:
    """Repeat a tensor along its axes."""
    x, times = _first(given), given.integers(1, "repeats", "multiples")
    if times is None or len(times) != len(x.shape):
        raise UnknownLayerError("of other settings")
    return _by(t, "Tile", x, times, "multiples")


def taken(t: Trace, given: Arguments) -> Item:
    """Take elements along an axis by constant places."""
    x, places = _first(given), given.integers(1, "indices")
    axis = _axis(given, 2, "axis", len(x.shape))
    _settled(given, (4, "batch_dims", 0))
    if not places or min(places) < 0 or axis % len(x.shape) == 0:
        raise UnknownLayerError("of other settings")
    if t.is_keras3:  # which also takes places from the end, and computes them first
        for name in ("Less", "add"):
            t.call.scopes.unique(t.call.at(name)[0])
        index = Held(
            (len(places),), INT32, (t.call.scopes.unique(t.call.at("SelectV2")[0]),), None, _array(places)
        )
    name = t.call.scopes.unique(t.call.at("GatherV2")[0])
    if not t.is_keras3:
        index = t.constant(places, f"{name}/indices", INT32, inside=False)
    where = t.constant(axis, f"{name}/axis", INT32, inside=False)
    return t.outside("GatherV2", [x, index, where], name)


def _array(numbers: list[int]) -> NDArray[np.generic]:
    return np.asarray(numbers, np.int32)


def exchanged(t: Trace, given: Arguments) -> Item:
    """Exchange two axes."""
    x = _first(given)
    one, two = (_axis(given, place, f"axis{place}", len(x.shape)) for place in (1, 2))
    order = list(range(len(x.shape)))
    order[one], order[two] = order[two], order[one]
    name = t.call.scopes.unique(t.call.at("transpose")[0])
    return t.outside("Transpose", [x, t.constant(order, f"{name}/perm", INT32, inside=False)], name)


def leaky(t: Trace, given: Arguments) -> Item:
    """Let some of what is negative through."""
    slope = given.get(1, "negative_slope", "alpha", default=0.2)
    if not isinstance(slope, int | float):
        raise UnknownLayerError("of other settings")
    return t.node("LeakyRelu", [_first(given)], "LeakyRelu", alpha=float(slope))


def blocks(op: str) -> Writer:
    """Return what moves blocks of pixels to channels, or back."""

    def writer(t: Trace, given: Arguments) -> Item:
        size = given.integers(1, "block_size")
        _settled(given, (2, "data_format", "NHWC"))
        if size is None or len(size) != 1:
            raise UnknownLayerError("of other settings")
        return t.node(op, [_first(given)], op, block_size=size[0])

    return writer


def pooled(op: str, keras2: str, keras3: str) -> Writer:
    """Return what pools windows of images."""

    def writer(t: Trace, given: Arguments) -> Item:
        x = _first(given)
        window = given.integers(1, "pool_size", "ksize")
        steps = given.integers(2, "strides") or window
        padding = str(given.get(3, "padding", default="valid")).upper()
        is_plain = given.get(4, "data_format") in _LAYOUTS and padding in ("SAME", "VALID")
        if not is_plain or len(x.shape) != 4 or window is None or steps is None:
            raise UnknownLayerError("of other settings")
        sides = [_pair(window), _pair(steps)]
        sizes, strides = ([1, *side, 1] for side in sides)
        return t.node(op, [x], t.pick(keras2, keras3), ksize=sizes, strides=strides, padding=padding)

    return writer


def _pair(numbers: list[int]) -> list[int]:
    if len(numbers) not in (1, 2):
        raise UnknownLayerError("of other settings")
    return numbers * (3 - len(numbers))


def resized(t: Trace, given: Arguments) -> Item:
    """Resize images to constant sides."""
    x, size = _first(given), given.integers(1, "size")
    way = given.get(2, "interpolation", "method", default="bilinear")
    flags = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "preserve_aspect_ratio")
    is_plain = given.get(9, "data_format") in _LAYOUTS and way in ("bilinear", "nearest")
    if not is_plain or size is None or len(size) != 2 or any(given.get(9, flag) for flag in flags):
        raise UnknownLayerError("of other settings")
    op = "ResizeBilinear" if way == "bilinear" else "ResizeNearestNeighbor"
    sides = t.constant(size, "resize/size")
    return t.node(op, [x, sides], f"resize/{op}", half_pixel_centers=True)


def length(t: Trace, given: Arguments) -> Item:
    """Return the root of the sum of squares along an axis."""
    x = _first(given)
    axis = _axis(given, 2, "axis", len(x.shape))
    if given.get(1, "ord", default="euclidean") not in ("euclidean", None):
        raise UnknownLayerError("of other settings")
    keep = given.get(3, "keepdims") is True
    scope, axes = ("", axis) if t.is_keras3 else ("norm/", [axis])
    total = t.reduce("Sum", t.node("Mul", [x, x], f"{scope}mul"), axes, keep=keep, name=f"{scope}Sum")
    return t.node("Sqrt", [total], f"{scope}Sqrt")


def spread(*, is_root: bool) -> Writer:
    """Return what takes the variance along axes, or its root."""

    def writer(t: Trace, given: Arguments) -> Item:
        x, axes, setting = _first(given), given.integers(1, "axis"), given.get(1, "axis")
        if axes is None:
            raise UnknownLayerError("along all axes")
        keep = given.get(2, "keepdims") is True
        scope = "reduce_std/reduce_variance" if is_root else "reduce_variance"
        written = axes if t.is_keras3 or isinstance(setting, list) else axes[0]
        mean = t.reduce("Mean", x, written, keep=True, name=f"{scope}/Mean")
        squares = t.whole(SQUARED_DIFFERENCE, [x, mean], (f"{scope}/Square", f"{scope}/sub"))
        name = t.call.at(f"{scope}/Mean_1")[0]
        held = t.constant(written, f"{name}/reduction_indices", INT32, inside=False)
        made = t.outside("Mean", [squares, held], name, keep_dims=keep)
        return t.node("Sqrt", [made], "reduce_std/Sqrt") if is_root else made

    return writer
