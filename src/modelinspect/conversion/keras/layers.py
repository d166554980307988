"""What the converter makes of each Keras layer, Keras 2 and Keras 3: operators, constants, and their
names.
"""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np

from modelinspect.conversion.keras.activations import activate, elu, leaky, limited, relu
from modelinspect.conversion.keras.call import (
    Call,
    Parameter,
    Rule,
    Shape,
    UnknownLayerError,
    items,
    known,
    vector,
)
from modelinspect.conversion.keras.dense import dense
from modelinspect.conversion.keras.images import CONVOLUTIONS
from modelinspect.conversion.keras.masks import is_masked, mask_zero, masked_mean
from modelinspect.conversion.keras.nodes.attention import TRACED_ATTENTION
from modelinspect.conversion.keras.nodes.convolutions import TRACED_CONVOLUTIONS
from modelinspect.conversion.keras.nodes.normalizations import TRACED_NORMALIZATIONS, rescaled
from modelinspect.conversion.keras.nodes.products import TRACED_PRODUCTS, masked, softmax
from modelinspect.conversion.keras.nodes.wrappers import distributed, normalized
from modelinspect.conversion.keras.normalizations import NORMALIZATIONS
from modelinspect.conversion.keras.pooling import POOLING
from modelinspect.conversion.keras.recurrent import RECURRENT
from modelinspect.conversion.keras.repeating import fitted, forgotten, joined, recalled
from modelinspect.conversion.keras.sequences import SEQUENCES
from modelinspect.conversion.network import Op, Value, integers, kernel
from modelinspect.conversion.operators import (
    ADD,
    BOOL,
    CAST,
    CONCATENATION,
    GATHER,
    INT32,
    LESS,
    MAXIMUM,
    MEAN,
    MINIMUM,
    MUL,
    PACK,
    PRELU,
    REDUCE_MAX,
    RESHAPE,
    SELECT_V2,
    SHAPE,
    STRIDED_SLICE,
    SUB,
    TRANSPOSE,
)
from modelinspect.measure.kept import Layout


def normalization(call: Call) -> Value:
    """Scale and move the channels by what was learned."""
    given = call.given
    channels = given.shape[-1]
    axis = items(call.settings.get("axis")) or [call.settings.get("axis", -1)]
    if axis not in ([-1], [len(given.shape) - 1]):
        raise UnknownLayerError("a normalization of another axis")
    mean, variance = vector(call.need("moving_mean").values), vector(call.need("moving_variance").values)
    scale = np.float32(1) / np.sqrt(variance + np.float32(call.real("epsilon", 1e-3)), dtype=np.float32)
    if call.flag("scale", default=True):
        scale = scale * vector(call.need("gamma").values)
    offset = -mean * scale
    if call.flag("center", default=True):
        offset = vector(call.need("beta").values) - mean * scale
    if scale.shape != (channels,):
        raise UnknownLayerError("a normalization of another length")
    if call.keras == 2 and len(given.shape) == 4:
        names = ("FusedBatchNormV3",) * 4
    else:
        plain = not call.flag("scale", default=True) or bool((vector(call.need("gamma").values) == 1).all())
        call.network.ghosts.append(call.floats(call.real("epsilon", 1e-3)))
        names = (
            "batchnorm/mul_1",
            "batchnorm/Rsqrt" if plain else "batchnorm/mul",
            "batchnorm/add_1",
            "batchnorm/sub",
        )
    scaled = call.op(MUL, [given, call.floats(scale, names[1])], given.shape, names[0])
    output = call.op(ADD, [scaled, call.floats(offset, names[3])], given.shape, names[2])
    if names[0] == names[2]:
        output.location = scaled.location
    return output


def _activation(call: Call) -> Value:
    return activate(call, call.given, call.settings.get("activation"))


def _named(name: str) -> Rule:
    return lambda call: activate(call, call.given, name)


def _leaky(call: Call) -> Value:
    return leaky(call, call.given, call.real("negative_slope", call.real("alpha", 0.3)))


def _relu(call: Call) -> Value:
    return relu(call, call.given)


def _elu(call: Call) -> Value:
    slope = call.real("alpha", 1.0)
    if slope != 1.0:
        return elu(call, call.given, slope)
    return activate(call, call.given, "elu")


def _softmax(call: Call) -> Value:
    axis, rank = call.settings.get("axis", -1), len(call.given.shape)
    if axis not in (-1, rank - 1):
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise UnknownLayerError("a softmax of several axes")
        return softmax(call, axis % rank)
    return activate(call, call.given, "softmax")


def dynamic_shape(call: Call, shape: Shape, *, name: str = "Reshape") -> Value:
    """Reshape to a shape that is put together from the batch and lengths that are known."""
    given = call.given
    rank = len(given.shape)
    if shape[0] > 0:
        return call.op(RESHAPE, [given, integers(shape, ())], shape, name)
    told = call.op(SHAPE, [given], (rank,), "Shape", {"out_type": 2}, INT32)
    begin, end, stride = (
        call.integers([n], f"strided_slice/{part}")
        for n, part in ((0, "stack"), (1, "stack_1"), (1, "stack_2"))
    )
    batch = call.op(
        STRIDED_SLICE, [told, begin, end, stride], (), "strided_slice", {"shrink_axis_mask": 1}, INT32
    )
    lengths = [call.integers(length, f"{name}/shape/{place}") for place, length in enumerate(shape[1:], 1)]
    packed = call.op(
        PACK, [batch, *lengths], (len(shape),), f"{name}/shape", {"values_count": len(shape)}, INT32
    )
    return call.op(RESHAPE, [given, packed], shape, name)


def _recalled(call: Call) -> Shape:
    """Return the shape of the first input as TensorFlow knows it. Raises `UnknownLayerError`."""
    shape = call.given.shape
    return known((*shape[:1], *map(recalled, shape[1:])))


def _flatten(call: Call) -> Value:
    given = _recalled(call)
    shape = (given[0], prod(given[1:]))
    if call.keras == 3:
        return dynamic_shape(call, shape)
    target = call.integers([-1, shape[1]], "Const")
    target.location = ()
    output = call.op(RESHAPE, [call.given, target], shape, "Reshape")
    call.network.ops[-1].is_reshape = True
    return output


def _reshape(call: Call) -> Value:
    given = _recalled(call)
    target = [length for length in items(call.settings.get("target_shape")) or [] if isinstance(length, int)]
    whole = prod(given[1:])
    rest = prod(length for length in target if length > 0)
    shape = (given[0], *(length if length > 0 else whole // max(rest, 1) for length in target))
    return dynamic_shape(call, shape)


def _reduced(code: int, name: str, axes: int) -> Rule:
    """Take the mean or the largest over the axes between the batch and the channels."""

    def rule(call: Call) -> Value:
        if is_masked(call):
            return masked_mean(call)
        given = _recalled(call)
        if len(given) != axes + 2 or call.text("data_format", "channels_last") != "channels_last":
            raise UnknownLayerError("pooling of other axes")
        if call.flag("keepdims", default=False) and set(given[1:-1]) == {1}:
            return call.given
        numbers = list(range(1, axes + 1)) if axes > 1 else 1
        constant = call.integers(numbers, f"{name}/reduction_indices")
        keep = call.flag("keepdims", default=False)
        return call.op(
            code,
            [call.given, constant],
            (given[0], *((1,) * axes if keep else ()), given[-1]),
            name,
            {"keep_dims": keep},
        )

    return rule


def _takes(op: Op, table: Parameter) -> bool:
    weight = op.inputs[0]
    return weight is not None and weight.constant is not None and weight.constant.key == id(table.tensor)


def _embedding(call: Call) -> Value:
    table = call.need("embeddings")
    given = call.given
    rows, width = table.shape
    layout = Layout(rows, width, None)
    shape = (*given.shape, width)
    index = given if given.kind == INT32 else call.op(CAST, [given], given.shape, "Cast", {}, INT32)
    if call.flag("mask_zero", default=False):
        mask_zero(call)
    if call.keras == 2:
        others = [op for op in call.network.ops if op.code == GATHER and _takes(op, table)]
        name = f"embedding_lookup_{len(others)}" if others else "embedding_lookup"
        weight = kernel(table.tensor, layout, table.shape, call.at(name))
        made = call.op(GATHER, [weight, index], shape, "embedding_lookup")
        for output in (*(op.output for op in others), *((made,) if others else ())):
            output.location = (output.location[0], "")  # of a table that several take, the name is lost
        if call.flag("mask_zero", default=False):
            call.masks[id(made)] = given
        return made
    call.network.ghosts += [call.integers([0]), call.integers([1])]
    negative = call.op(LESS, [index, call.integers(0)], given.shape, "Less", {}, BOOL)
    moved = call.op(ADD, [index, call.integers(rows, "strided_slice")], given.shape, "add", {}, INT32)
    chosen = call.op(SELECT_V2, [negative, moved, index], given.shape, "SelectV2", {}, INT32)
    weight = kernel(table.tensor, layout, table.shape, call.at("GatherV2/ReadVariableOp"))
    if weight.constant is not None:
        weight.constant.owner = id(table.tensor)
    output = call.op(GATHER, [weight, chosen], shape, "GatherV2")
    output.location = (*output.location, "")
    return output


def _merged(code: int, keras2: str, keras3: str) -> Rule:
    """Combine the inputs, one after the other."""

    def rule(call: Call) -> Value:
        value = call.given
        for other in call.inputs[1:]:
            shape = (
                value.shape
                if len(value.shape) >= len(other.shape) and prod(value.shape) >= prod(other.shape)
                else other.shape
            )
            shape = (
                tuple(fitted(a, b) for a, b in zip(value.shape, other.shape, strict=False))
                if len(value.shape) == len(other.shape)
                else shape
            )
            value = call.op(code, [value, other], shape, keras2 if call.keras == 2 else keras3)
        return value

    return rule


def _average(call: Call) -> Value:
    value = _merged(ADD, "add", "Add")(call)
    share = call.floats(float(len(call.inputs)), "truediv/y")
    share.constant = call.floats(1 / len(call.inputs)).constant
    return call.op(MUL, [value, share], value.shape, "truediv")


def _concatenate(call: Call) -> Value:
    axis = call.settings.get("axis", -1)
    rank = len(call.given.shape)
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise UnknownLayerError("joining another axis")
    place = axis % rank
    shape = [reduce(joined, lengths) for lengths in zip(*(value.shape for value in call.inputs), strict=True)]
    along = [value.shape[place] for value in call.inputs]
    shape[place] = sum(map(recalled, along))
    if min(along) < 0:
        shape[place] = forgotten(shape[place])
    written = place if call.keras == 2 else axis
    call.network.lasting.append(call.integers(written, "concat/axis"))
    return call.op(CONCATENATION, list(call.inputs), tuple(shape), "concat", {"axis": written})


def _rescaling(call: Call) -> Value:
    scale, offset = call.settings.get("scale"), call.settings.get("offset", 0.0)
    if not isinstance(scale, int | float) or not isinstance(offset, int | float):
        return rescaled(call)
    given = call.given
    first, second = call.floats(float(scale), "Cast/x"), call.floats(float(offset), "Cast_1/x")
    return call.op(ADD, [call.op(MUL, [given, first], given.shape, "mul"), second], given.shape, "add")


def _permute(call: Call) -> Value:
    order = [axis for axis in items(call.settings.get("dims")) or [] if isinstance(axis, int)]
    given = call.given.shape
    if sorted(order) != list(range(1, len(given))):
        raise UnknownLayerError("another order of axes")
    maker = next((op for op in reversed(call.network.ops) if op.output is call.given), None)
    constant = call.integers([0, *order], "transpose/perm")
    output = call.op(
        TRANSPOSE, [call.given, constant], (given[0], *(given[axis] for axis in order)), "transpose"
    )
    if maker is not None and maker.code in (
        ADD,
        MUL,
        SUB,
        PRELU,
    ):  # it is moved before what is computed with elements, and back
        output.location = call.given.location[:1]
    return output


def _prelu(call: Call) -> Value:
    slope = call.need("alpha")
    names = ("add", "Relu", "Neg_1", "Relu_1", "mul")
    if len(slope.shape) != len(call.given.shape) - 1:
        raise UnknownLayerError("a slope of another rank")
    layout = Layout(slope.tensor.element_count, 1, None)
    output = call.op(
        PRELU,
        [call.given, kernel(slope.tensor, layout, slope.shape, call.at(*names))],
        call.given.shape,
        "add",
    )
    output.location = call.at(*names)
    return output


LAYERS: dict[str, Rule] = {
    "Activation": _activation,
    "Add": _merged(ADD, "add", "Add"),
    "Average": _average,
    "BatchNormalization": normalization,
    "Concatenate": _concatenate,
    "Dense": dense,
    "ELU": _elu,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _reduced(MEAN, "Mean", 1),
    "GlobalAveragePooling2D": _reduced(MEAN, "Mean", 2),
    "GlobalMaxPooling1D": _reduced(REDUCE_MAX, "Max", 1),
    "GlobalMaxPooling2D": _reduced(REDUCE_MAX, "Max", 2),
    "LeakyReLU": _leaky,
    "Maximum": _merged(MAXIMUM, "Maximum", "Maximum"),
    "Minimum": _merged(MINIMUM, "Minimum", "Minimum"),
    "Multiply": _merged(MUL, "mul", "Mul"),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "PReLU": _prelu,
    "Permute": _permute,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "ThresholdedReLU": lambda call: limited(call, call.given, None, call.real("theta", 1.0)),
    "Subtract": _merged(SUB, "sub", "Sub"),
    **TRACED_ATTENTION,
    **CONVOLUTIONS,
    **POOLING,
    **NORMALIZATIONS,
    **RECURRENT,
    **SEQUENCES,
    **TRACED_CONVOLUTIONS,
    **TRACED_NORMALIZATIONS,
    **TRACED_PRODUCTS,
    "Masking": masked,
}
"""The rule of each class of layers."""
LAYERS |= {"SpectralNormalization": normalized(LAYERS), "TimeDistributed": distributed(LAYERS)}
