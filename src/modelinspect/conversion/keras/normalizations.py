"""What the converter makes of normalizations within a sample."""

from __future__ import annotations

from modelinspect.conversion.keras.call import Call, Rule, Shape, UnknownLayerError, items, known, vector
from modelinspect.conversion.network import Array, Value
from modelinspect.conversion.operators import (
    ADD,
    FILL,
    INT32,
    MEAN,
    MUL,
    NEG,
    PACK,
    REDUCE_PROD,
    RESHAPE,
    RSQRT,
    SHAPE,
    SQUARED_DIFFERENCE,
    STRIDED_SLICE,
    SUB,
    TRANSPOSE,
)

_LEAST_FUSED = 1.001e-5
"""The smallest epsilon with which Keras 2 takes the operator for the normalization of a batch
(layer_normalization.py).
"""


def _layer_normalization(call: Call) -> Value:
    """Normalize the last axis by its own mean and variance."""
    given = known(call.given.shape)
    axis = items(call.settings.get("axis")) or [call.settings.get("axis", -1)]
    if axis not in ([-1], [len(given) - 1]) or len(given) not in (2, 3, 4):
        raise UnknownLayerError("of another axis or rank")
    gamma = vector(call.need("gamma").values) if call.flag("scale", default=True) else None
    beta = vector(call.need("beta").values) if call.flag("center", default=True) else None
    if call.keras == 3:
        return _normalize_keras3(call, given, gamma, beta)
    if call.real("epsilon", 1e-3) < _LEAST_FUSED:
        return _normalize_keras2(call, given, gamma, beta)
    if given[0] > 0:
        raise UnknownLayerError("of a fixed batch")
    return _normalize_as_batch(call, given, gamma, beta)


def _moments(call: Call, given: Shape) -> tuple[Value, Value, Shape]:
    less = (*given[:-1], 1)
    axis = [-1 if call.keras == 3 else len(given) - 1]
    axes = call.integers(axis, "moments/mean/reduction_indices")
    mean = call.op(MEAN, [call.given, axes], less, "moments/mean", {"keep_dims": True})
    if call.keras == 3:
        call.op(NEG, [mean], less, "Neg")
    squares = call.op(SQUARED_DIFFERENCE, [call.given, mean], given, "moments/SquaredDifference")
    other = call.integers(axis, "moments/variance/reduction_indices")
    return mean, call.op(MEAN, [squares, other], less, "moments/variance", {"keep_dims": True}), less


def _normalize_keras2(call: Call, given: Shape, gamma: Array | None, beta: Array | None) -> Value:
    if gamma is None or beta is None:
        raise UnknownLayerError("without scale or center")
    mean, variance, less = _moments(call, given)
    epsilon = call.floats(call.real("epsilon", 1e-3), "batchnorm/add/y")
    root = call.op(RSQRT, [call.op(ADD, [variance, epsilon], less, "batchnorm/add")], less, "batchnorm/Rsqrt")
    scale = call.op(MUL, [root, call.floats(gamma, "batchnorm/mul/ReadVariableOp")], given, "batchnorm/mul")
    scaled = call.op(MUL, [call.given, scale], given, "batchnorm/mul_1")
    moved = call.op(MUL, [mean, scale], given, "batchnorm/mul_2")
    rest = call.op(SUB, [call.floats(beta, "batchnorm/ReadVariableOp"), moved], given, "batchnorm/sub")
    return call.op(ADD, [scaled, rest], given, "batchnorm/add_1")


def _normalize_keras3(call: Call, given: Shape, gamma: Array | None, beta: Array | None) -> Value:
    _, variance, less = _moments(call, given)
    negative = call.network.ops[-3].output
    epsilon = call.floats(call.real("epsilon", 1e-3), "add/y")
    scale = call.op(RSQRT, [call.op(ADD, [variance, epsilon], less, "add")], less, "Rsqrt")
    wide = (*(1,) * (len(given) - 1), given[-1])
    products, sums, constants = (
        iter(("mul", "mul_1", "mul_2")),
        iter(("add_1", "add_2")),
        iter(("Reshape", "Reshape_1")),
    )
    whole = less
    if gamma is not None:
        whole = given
        scale = call.op(
            MUL, [scale, call.floats(gamma.reshape(wide), next(constants))], given, next(products)
        )
    rest = call.op(MUL, [negative, scale], whole, next(products))
    if beta is not None:
        rest = call.op(ADD, [rest, call.floats(beta.reshape(wide), next(constants))], given, next(sums))
    return call.op(ADD, [call.op(MUL, [call.given, scale], given, next(products)), rest], given, next(sums))


def _normalize_as_batch(call: Call, given: Shape, gamma: Array | None, beta: Array | None) -> Value:
    """Normalize as the normalization of a batch of one, whose channels are the samples; its factors are
    filled again at each run.
    """
    rank, channels = len(given), given[-1]
    shape = call.op(SHAPE, [call.given], (rank,), "Shape", {"out_type": 2}, INT32)
    parts = [
        call.integers([n], f"strided_slice/{part}")
        for n, part in ((0, "stack"), (rank - 1, "stack_1"), (1, "stack_2"))
    ]
    front = call.op(STRIDED_SLICE, [shape, *parts], (rank - 1,), "strided_slice", {"begin_mask": 1}, INT32)
    count = call.op(REDUCE_PROD, [front, call.integers([0], "Const")], (), "Prod", {}, INT32)
    packed = call.op(
        RESHAPE, [count, call.integers([1], "ones/packed/shape")], (1,), "ones/packed", {}, INT32
    )
    ones, zeros = (
        call.op(FILL, [packed, call.floats(n, f"{name}/Const")], (-1,), name)
        for n, name in ((1.0, "ones"), (0.0, "zeros"))
    )
    ends = [call.integers(1, f"Reshape/shape/{place}") for place in (0, 3)]
    lengths = [ends[0], count, call.integers(channels, "Prod_1"), ends[1]]
    target = call.op(PACK, lengths, (4,), "Reshape/shape", {"values_count": 4}, INT32)
    image = call.op(RESHAPE, [call.given, target], (1, -1, channels, 1), "Reshape")
    moved = (1, channels, 1, -1)

    def add(code: int, inputs: list[Value | None], made: Shape = (-1,)) -> Value:
        output = call.op(code, inputs, made, "FusedBatchNormV3")
        output.location = call.at("FusedBatchNormV3")
        return output

    flipped = add(TRANSPOSE, [image, call.integers([0, 2, 3, 1], "FusedBatchNormV3")], moved)
    axes = call.integers([0, 1, 2], "FusedBatchNormV3")
    mean = add(MEAN, [flipped, axes])
    variance = add(MEAN, [add(SQUARED_DIFFERENCE, [flipped, mean], moved), axes])
    root = add(RSQRT, [add(ADD, [variance, call.floats(call.real("epsilon", 1e-3), "FusedBatchNormV3")])])
    scale = add(MUL, [ones, root])
    scaled = add(MUL, [flipped, scale], moved)
    normal = add(ADD, [scaled, add(SUB, [zeros, add(MUL, [mean, scale])])], moved)
    back = add(TRANSPOSE, [normal, call.integers([0, 3, 1, 2], "FusedBatchNormV3")], (1, -1, channels, 1))
    output = call.op(RESHAPE, [back, shape], given, "Reshape_1")
    if gamma is not None:
        output = call.op(MUL, [output, call.floats(gamma, "mul/ReadVariableOp")], given, "mul")
    if beta is not None:
        output = call.op(ADD, [output, call.floats(beta, "add/ReadVariableOp")], given, "add")
    return output


NORMALIZATIONS: dict[str, Rule] = {"LayerNormalization": _layer_normalization}
"""The rules of layers that normalize each sample on its own."""
