"""How windows slide over images whose channels come last, and over sequences as images."""

from __future__ import annotations

from modelinspect.conversion.forms.rewrite import numbers
from modelinspect.conversion.keras.call import (
    Call,
    Shape,
    UnknownLayerError,
    known,
)
from modelinspect.conversion.keras.repeating import forgotten, recalled
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import (
    EXPAND_DIMS,
    RESHAPE,
    SQUEEZE,
    slid,
)


def image_shape(call: Call) -> Shape:
    """Return the shape of images whose channels come last; the converter need not know the height, after a
    repetition. Raises `UnknownLayerError`.
    """
    shape = channels_last(call, call.given.shape)
    known((*shape[:1], recalled(shape[1]), *shape[2:]))
    return shape


def channels_last(call: Call, shape: Shape) -> Shape:
    """Return a shape: batch, height, width, channels. Raises `UnknownLayerError` for another layout."""
    if len(shape) != 4 or call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("images of another layout")
    return shape


def windows(
    shape: Shape,
    window: tuple[int, int],
    strides: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    *,
    same: bool,
) -> tuple[int, int]:
    """Return how many rows and columns of windows an image has."""
    rows, cols = (
        windows_along(shape[axis + 1], window[axis], strides[axis], dilation[axis], same=same)
        for axis in (0, 1)
    )
    return rows, cols


def windows_along(length: int, window: int, stride: int, dilation: int = 1, *, same: bool) -> int:
    """Return how many windows an axis has; the converter need not know its length."""
    made = slid(recalled(length), window, stride, same=same, dilation=dilation)
    return forgotten(made) if length < 0 else made


def padding_code(call: Call) -> dict[str, int]:
    """Return a layer's padding as TFLite numbers it. Raises `UnknownLayerError` for an unsupported mode."""
    if call.text("padding", "valid") not in ("same", "valid"):
        raise UnknownLayerError("an unsupported padding mode")
    return {"padding": 0 if call.text("padding", "valid") == "same" else 1}


def expanded(call: Call, given: Value, place: int, name: str, axis: int) -> Value:
    """Add an axis of one: where the batch is known that is a reshape."""
    shape = (*given.shape[:place], 1, *given.shape[place:])
    if given.shape[0] > 0:
        call.network.lasting.append(call.integers(axis, f"{name}/dim"))
        return call.op(RESHAPE, [given, call.integers(list(shape), name)], shape, name)
    return call.op(EXPAND_DIMS, [given, call.integers(axis, f"{name}/dim")], shape, name)


def squeezed(call: Call, given: Value, shape: Shape, name: str) -> Value:
    """Drop the first axis of one after the batch, or the one after: where all lengths are known that is a
    reshape.
    """
    if min(shape[1:]) < 0:
        made = call.op(SQUEEZE, [given], shape, name)
        options = call.network.ops[-1].options
        if options is not None:
            options.values["squeeze_dims"] = numbers(1)
        return made
    return call.op(RESHAPE, [given, call.integers(list(shape), name)], shape, name)
