"""What the converter makes of pooling, padding, cropping and up-sampling of images and sequences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelinspect.conversion.keras.call import (
    Call,
    Rule,
    UnknownLayerError,
    items,
    known,
)
from modelinspect.conversion.keras.image_windows import (
    expanded,
    image_shape,
    padding_code,
    squeezed,
    windows,
)
from modelinspect.conversion.keras.repeating import lengthened, recalled, repeated
from modelinspect.conversion.keras.sequences import cut
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import (
    AVERAGE_POOL,
    MAX_POOL,
    PAD,
    RESIZE_BILINEAR,
    RESIZE_NEAREST,
    slid,
)


def _crop(call: Call) -> Value:
    image_shape(call)
    return cut(call, _sides(call, "cropping"))


def _pool(code: int, keras2: str, keras3: str) -> Rule:
    def rule(call: Call) -> Value:
        shape = image_shape(call)
        window = call.pair("pool_size", 2)
        strides = call.pair("strides", window[0]) if call.settings.get("strides") is not None else window
        rows, cols = windows(shape, window, strides, same=call.text("padding", "valid") == "same")
        settings = {
            "stride_w": strides[1],
            "stride_h": strides[0],
            "filter_width": window[1],
            "filter_height": window[0],
            **padding_code(call),
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
            **padding_code(call),
        }
        if call.keras == 3:
            settings |= {"stride_w": stride, "stride_h": 1, "filter_width": window, "filter_height": 1}
        output = call.op(code, [image], made, name, settings)
        return squeezed(call, output, (given[0], length, given[2]), f"{prefix}Squeeze")

    return rule


def _pad(call: Call) -> Value:
    shape = image_shape(call)
    sides = _sides(call, "padding")
    constant = call.integers(
        np.array([[0, 0], *sides, [0, 0]]).tolist(), "Pad/paddings" if call.keras == 2 else "Const"
    )
    rows, cols = lengthened(shape[1], sum(sides[0])), shape[2] + sum(sides[1])
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
    shape = image_shape(call)
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


POOLING: Mapping[str, Rule] = {
    "AveragePooling1D": _pool1d(AVERAGE_POOL, "AvgPool", "AvgPool"),
    "AveragePooling2D": _pool(AVERAGE_POOL, "AvgPool", "AvgPool"),
    "Cropping2D": _crop,
    "MaxPooling1D": _pool1d(MAX_POOL, "MaxPool", "MaxPool1d"),
    "MaxPooling2D": _pool(MAX_POOL, "MaxPool", "MaxPool2d"),
    "UpSampling2D": _up_sampling,
    "ZeroPadding2D": _pad,
}
"""The rules of layers that pool, pad, crop and repeat."""
