"""What the converter makes of layers that pad, cut, repeat or take apart sequences, and of those that cut
images.
"""

from __future__ import annotations

from modelinspect.conversion.keras.call import Call, Rule, UnknownLayerError, items, known
from modelinspect.conversion.keras.image_windows import expanded
from modelinspect.conversion.keras.repeating import lengthened, recalled, repeated, repeated_vector
from modelinspect.conversion.network import Value, integers, kernel
from modelinspect.conversion.operators import (
    CONCATENATION,
    FULLY_CONNECTED,
    PAD,
    SPLIT,
    STRIDED_SLICE,
    TILE,
)
from modelinspect.measure.kept import Layout

_MOST_STEPS = 4_096


def cut(call: Call, sides: list[tuple[int, int]]) -> Value:
    """Cut elements off at both ends of each axis between the batch and the channels."""
    shape, rank = call.given.shape, len(sides) + 2
    known((*shape[:1], *map(recalled, shape[1:])))
    inner = tuple(lengthened(length, -sum(side)) for length, side in zip(shape[1:], sides, strict=False))
    if len(shape) != rank or min(map(recalled, inner)) <= 0 or min(min(side) for side in sides) < 0:
        raise UnknownLayerError("a cut of everything")
    ends = [0, *(-side[1] for side in sides), 0]
    begin = call.integers([0, *(side[0] for side in sides), 0], "strided_slice/stack")
    end, step = (
        call.integers(ends, "strided_slice/stack_1"),
        call.integers([1] * rank, "strided_slice/stack_2"),
    )
    masks = {
        "begin_mask": 1 | 1 << (rank - 1),
        "end_mask": sum(1 << axis for axis, number in enumerate(ends) if not number),
    }
    return call.op(
        STRIDED_SLICE, [call.given, begin, end, step], (shape[0], *inner, shape[-1]), "strided_slice", masks
    )


def _side(call: Call, key: str) -> tuple[int, int]:
    value = call.settings.get(key, 1)
    many = items(value)
    if isinstance(value, int):
        return value, value
    if many is None or len(many) != 2 or not isinstance(many[0], int) or not isinstance(many[1], int):
        raise UnknownLayerError("unsupported padding sizes")
    return many[0], many[1]


def _cut(call: Call) -> Value:
    return cut(call, [_side(call, "cropping")])


def _pad(call: Call) -> Value:
    shape, side = known(call.given.shape), _side(call, "padding")
    if len(shape) != 3 or call.text("data_format", "channels_last") not in ("", "channels_last"):
        raise UnknownLayerError("sequences of another layout")
    sides = call.table([(0, 0), side, (0, 0)], "Pad/paddings" if call.keras == 2 else "Const")
    return call.op(PAD, [call.given, sides], (shape[0], shape[1] + sum(side), shape[2]), "Pad")


def _repeat(call: Call) -> Value:
    """Repeat a vector at every step."""
    shape, count = known(call.given.shape), call.number("n", 0)
    if len(shape) != 2 or count <= 0:
        raise UnknownLayerError("this way of repeating")
    if call.keras == 3:
        return repeated_vector(call, count)
    wide = expanded(call, call.given, 1, "ExpandDims", 1)
    return call.op(TILE, [wide, call.integers([1, count, 1], "stack")], (shape[0], count, shape[1]), "Tile")


def _up_sampling(call: Call) -> Value:
    """Take a sequence apart, and join each step as often as it is repeated."""
    shape, count = known(call.given.shape), call.single("size", 2)
    if call.keras == 3:
        return repeated(call, (count,))
    if len(shape) != 3 or count < 1 or shape[1] * count > _MOST_STEPS:
        raise UnknownLayerError("this way of repeating")
    return _taken_apart(call, call.given, 1, count, "")


def _taken_apart(call: Call, value: Value, axis: int, count: int, suffix: str) -> Value:
    """Split along an axis, and join each part as often as it is repeated."""
    shape = value.shape
    name = f"split{suffix}"
    call.op(SPLIT, [call.integers(axis, f"{name}/split_dim"), value], (), name, {"num_splits": shape[axis]})
    inner = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [Value(inner, call.at(name)) for _ in range(shape[axis])]
    call.network.ops[-1].outputs = parts
    many: list[Value | None] = [part for part in parts for _ in range(count)]
    whole = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    call.network.ghosts.append(integers(axis, ()))  # the axis that the parts are joined along
    return call.op(CONCATENATION, many, whole, f"concat{suffix}", {"axis": axis})


def product_of_steps(call: Call) -> Value:
    """Multiply every step with one matrix, where the batch is fixed."""
    weight, given = call.need("kernel"), call.given.shape
    inputs, units = weight.shape
    value = kernel(weight.tensor, Layout(inputs, units, 1, 0), (units, inputs), call.at("MatMul"))
    settings = {"fused_activation_function": 0, "keep_num_dims": True}
    output = call.op(FULLY_CONNECTED, [call.given, value, None], (*given[:-1], units), "MatMul", settings)
    call.network.ops[-1].version = 5
    return output


def _up_sampling_volumes(call: Call) -> Value:
    """Repeat along each axis of volumes."""
    many = items(call.settings.get("size", 2)) or [call.settings.get("size", 2)] * 3
    factors = [factor for factor in many if isinstance(factor, int)]
    if len(factors) != 3 or call.text("data_format", "channels_last") != "channels_last":
        raise UnknownLayerError("this way of repeating")
    if call.keras == 3:
        return repeated(call, factors)
    value, shape = call.given, known(call.given.shape)
    if len(shape) != 5 or any(
        factor < 1 or length * factor > _MOST_STEPS
        for factor, length in zip(factors, shape[1:4], strict=True)
    ):
        raise UnknownLayerError("this way of repeating")
    for place, factor in enumerate(factors):
        value = _taken_apart(call, value, place + 1, factor, f"_{place}" if place else "")
    return value


SEQUENCES: dict[str, Rule] = {
    "Cropping1D": _cut,
    "RepeatVector": _repeat,
    "UpSampling1D": _up_sampling,
    "UpSampling3D": _up_sampling_volumes,
    "ZeroPadding1D": _pad,
}
"""The rules of layers that work on sequences and have no weights."""
