"""What the converter makes of dilated convolutions: where the batch is known an option, else a convolution
between two moves of space.

Where it is not, TensorFlow's graph has SpaceToBatchND before and BatchToSpaceND after the convolution
(nn_ops.with_space_to_batch), and dilated_conv.h does not join them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelinspect.conversion.keras.call import Call, Shape, UnknownLayerError, known
from modelinspect.conversion.keras.repeating import forgotten, recalled
from modelinspect.conversion.network import Value
from modelinspect.conversion.operators import BATCH_TO_SPACE, SPACE_TO_BATCH

Convolve = Callable[[Value], Value]


def dilated(
    call: Call, given: Value, windows: Sequence[int], rates: Sequence[int], scope: str, convolve: Convolve
) -> Value:
    """Convolve within each of the grids that the pixels of one sample are dealt to.

    ``convolve`` keeps no lengths.

    ``scope`` is what the operators are called after; ``windows`` and ``rates`` are one for each side.
    """
    shape = given.shape
    lengths = known((*shape[:1], *map(recalled, shape[1:])))[1:]
    same = call.text("padding", "valid") == "same"
    paddings, crops = [], []
    for length, window, rate in zip(lengths, windows, rates, strict=False):
        whole = (window - 1) * rate if same else 0
        more = -(length + whole) % rate
        paddings.append((whole // 2, whole - whole // 2 + more))
        crops.append((0, more))
    version = 1 if len(shape) == 4 else 3
    inner = tuple(
        (length + sum(side)) // rate for length, side, rate in zip(lengths, paddings, rates, strict=False)
    )
    if min(inner) <= 0:
        raise UnknownLayerError("a window larger than the image")
    name = f"{scope}/SpaceToBatchND"
    block, sides = call.integers(list(rates), f"{name}/block_shape"), call.table(paddings, f"{name}/paddings")
    dealt = call.op(
        SPACE_TO_BATCH, [given, block, sides], (-1, *_unless_known(shape, inner), shape[-1]), name
    )
    call.network.ops[-1].version = version
    made = convolve(dealt)
    outer = tuple(
        recalled(length) * rate - sum(cut)
        for length, rate, cut in zip(made.shape[1:], rates, crops, strict=False)
    )
    outer = _unless_known(shape, outer)
    name = f"{scope}/BatchToSpaceND"
    block, sides = call.integers(list(rates), f"{name}/block_shape"), call.table(crops, f"{name}/crops")
    output = call.op(BATCH_TO_SPACE, [made, block, sides], _whole(shape, outer, made), name)
    call.network.ops[-1].version = version
    return output


def _unless_known(given: Shape, lengths: Shape) -> Shape:
    """Return lengths that the converter knows only where it knows those that they are computed of."""
    return tuple(
        forgotten(length) if before < 0 else length
        for before, length in zip(given[1:], lengths, strict=False)
    )


def _whole(shape: Shape, sides: Shape, made: Value) -> Shape:
    return (shape[0], *sides, made.shape[-1])
