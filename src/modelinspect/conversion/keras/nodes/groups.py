"""Group normalization as Keras 2 traces it: moments that are weighed with ones in place of a mask."""

from __future__ import annotations

from modelinspect.conversion.graph.node import Item
from modelinspect.conversion.keras.call import UnknownLayerError
from modelinspect.conversion.keras.nodes.trace import Trace
from modelinspect.conversion.operators import FLOAT32


def weighed_groups(t: Trace, groups: int) -> Item:
    """Normalize groups of the last axis by their weighed mean and variance. Raises `UnknownLayerError`."""
    if not (t.call.flag("scale", default=True) and t.call.flag("center", default=True)):
        raise UnknownLayerError("without scale or center")
    rank = len(t.given.shape)
    axes = [*range(1, rank - 1), rank]
    told = t.node("Shape", [t.given], "Shape")
    ones = t.node("OnesLike", [t.given], "ones_like")
    x = _grouped(t, t.given, groups)
    weights = _grouped(t, ones, groups)
    mean, variance = _moments(t, x, weights, axes)
    each = _part(t, told, rank - 1)
    whole = t.node("FloorDiv", [each, t.constant(groups, "floordiv_2/y")], "floordiv")
    gamma, beta = (_wide(t, key, name, whole, groups) for key, name in _READ)
    made = _normalized(t, x, mean, variance, (gamma, beta))
    return t.node("Reshape", [made, told], "Reshape", _shape=list(t.given.shape))


_READ = (("gamma", "Reshape_2"), ("beta", "Reshape_3"))


def _part(t: Trace, told: Item, axis: int) -> Item:
    """Return one length of a shape."""
    name = t.call.scopes.unique(t.call.at("strided_slice")[0])
    bounds = [
        t.constant([number], f"{name}/{label}", inside=False)
        for number, label in ((axis, "stack"), (axis + 1, "stack_1"), (1, "stack_2"))
    ]
    return t.outside("StridedSlice", [told, *bounds], name, shrink_axis_mask=1)


def _grouped(t: Trace, item: Item, groups: int) -> Item:
    """Part the last axis into groups: the shape is taken apart and put together again."""
    told, shape = t.node("Shape", [item], "Shape"), item.shape
    lengths = [_part(t, told, axis) for axis in range(len(shape))]
    last = _part(t, told, len(shape) - 1)
    each = t.node("FloorDiv", [last, t.constant(groups, "floordiv/y")], "floordiv")
    parts = [*lengths[:-1], t.constant(groups, f"stack/{len(shape) - 1}"), each]
    target = t.node("Pack", parts, "stack")
    made = [*shape[:-1], groups, shape[-1] // groups]
    return t.node("Reshape", [item, target], "Reshape", _shape=made)


def _moments(t: Trace, x: Item, weights: Item, axes: list[int]) -> tuple[Item, Item]:
    """Return the weighed mean and variance along axes."""
    scope = "weighted_moments"
    zeros = t.node("ZerosLike", [x], f"{scope}/zeros_like")
    spread = t.node("AddV2", [weights, zeros], f"{scope}/add")
    count = t.reduce("Sum", spread, axes, keep=True, name=f"{scope}/sum_of_weights")
    weighed = t.node("Mul", [weights, x], f"{scope}/mul")
    total = t.reduce("Sum", weighed, axes, keep=True, name=f"{scope}/weighted_input_sum")
    mean = t.node("DivNoNan", [total, count], f"{scope}/div_no_nan")
    squares = t.node("SquaredDifference", [x, mean], f"{scope}/SquaredDifference")
    apart = t.node("Mul", [weights, squares], f"{scope}/mul")
    total = t.reduce("Sum", apart, axes, keep=True, name=f"{scope}/weighted_distsq")
    return mean, t.node("DivNoNan", [total, count], f"{scope}/div_no_nan")


def _wide(t: Trace, key: str, name: str, each: Item, groups: int) -> Item:
    """Read a variable in the shape of the groups."""
    rank = len(t.given.shape)
    numbers = [*(1,) * (rank - 1), groups]
    lengths = [t.constant(number, f"{name}/shape/{place}") for place, number in enumerate(numbers)]
    target = t.node("Pack", [*lengths, each], f"{name}/shape")
    return t.node("Reshape", [t.read(t.call.need(key), name), target], "Reshape")


def _normalized(t: Trace, x: Item, mean: Item, variance: Item, scales: tuple[Item, Item]) -> Item:
    """Normalize as `tf.nn.batch_normalization` does."""
    gamma, beta = scales
    epsilon = t.constant(t.call.real("epsilon", 1e-3), "batchnorm/add/y", FLOAT32)
    factor = t.node("Rsqrt", [t.node("AddV2", [variance, epsilon], "batchnorm/add")], "batchnorm/Rsqrt")
    factor = t.node("Mul", [factor, gamma], "batchnorm/mul")
    scaled = t.node("Mul", [x, factor], "batchnorm/mul")
    moved = t.node("Sub", [beta, t.node("Mul", [mean, factor], "batchnorm/mul")], "batchnorm/sub")
    return t.node("AddV2", [scaled, moved], "batchnorm/add")
