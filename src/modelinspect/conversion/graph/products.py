"""What the converter makes of products of matrices, and of sums of products in Einstein's notation."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelinspect.conversion.graph.node import Held, Item, Node, Rule, UnknownNodeError
from modelinspect.conversion.network import Shape, Value, kernel
from modelinspect.conversion.operators import (
    BATCH_MATMUL,
    CONCATENATION,
    FLOAT32,
    FULLY_CONNECTED,
    RESHAPE,
    TRANSPOSE,
    fitted,
)
from modelinspect.core.records import dataclass
from modelinspect.measure.kept import Layout


def broadcast(first: Shape, second: Shape) -> Shape:
    """Return the shape of two that are computed with element by element; -1 is a length that is not known."""
    rank = max(len(first), len(second))
    pairs = zip((1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True)
    shape = []
    for a, b in pairs:
        if a != b and 1 not in (a, b) and min(a, b) >= 0:
            raise UnknownNodeError("takes shapes that do not fit")
        shape.append(b if a == 1 else a if b == 1 else fitted(a, b))
    return tuple(shape)


def product(node: Node, given: Value, weight: Held, units: int, *, turned: bool, keep: bool) -> Value:
    """Multiply by a constant matrix."""
    if weight.kind != FLOAT32 or len(weight.shape) != 2 or given.kind != FLOAT32:
        raise UnknownNodeError("multiplies by a matrix of another type")
    location = weight.location if turned else node.location
    if weight.turned_of is not None:  # the converter turns it back, and stores it as the file does
        turned, whole = not turned, weight.turned_of
        weight = Held(whole.shape, weight.kind, weight.location, whole)
    rows, cols = weight.shape
    inputs = cols if turned else rows
    if given.shape[-1] not in (inputs, -1) and not node.network.is_rough:
        raise UnknownNodeError("multiplies by a matrix that does not fit")
    layout = Layout(rows, cols, 0, 1) if turned else Layout(rows, cols, 1, 0)
    value = kernel(weight.source(), layout, (units, inputs), location)
    settings: dict[str, int | float | bool] = (
        {"keep_num_dims": True} if keep else {"fused_activation_function": 0}
    )
    return node.op(FULLY_CONNECTED, [given, value, None], (*given.shape[:-1], units), settings)


def _product(node: Node) -> Item:
    if isinstance(node.inputs[1], Value):
        return _of_tensors(node, turn=("transpose_a", "transpose_b"))
    weight = node.held(1)
    turned = node.flag("transpose_b")
    if node.flag("transpose_a") or len(node.given.shape) != 2 or len(weight.shape) != 2:
        raise UnknownNodeError("turns what it multiplies")
    return product(
        node, node.given, weight, weight.shape[0] if turned else weight.shape[1], turned=turned, keep=False
    )


def _products(node: Node) -> Item:
    second = node.inputs[1]
    if isinstance(second, Held):
        turned = node.flag("adj_y")
        if node.flag("adj_x") or len(second.shape) != 2:
            raise UnknownNodeError("multiplies by several matrices")
        return product(
            node, node.given, second, second.shape[0] if turned else second.shape[1], turned=turned, keep=True
        )
    return _of_tensors(node, turn=("adj_x", "adj_y"))


def _of_tensors(node: Node, turn: tuple[str, str]) -> Item:
    """Multiply two tensors that are computed; the flags of the operation tell which is turned."""
    first, second = node.given, node.computed(1)
    settings: dict[str, int | float | bool] = {"adj_x": node.flag(turn[0]), "adj_y": node.flag(turn[1])}
    rows = first.shape[-1] if settings["adj_x"] else first.shape[-2]
    cols = second.shape[-2] if settings["adj_y"] else second.shape[-1]
    outer = broadcast(first.shape[:-2], second.shape[:-2])
    return node.op(BATCH_MATMUL, [first, second], (*outer, rows, cols), settings)


@dataclass(frozen=True, slots=True)
class _Equation:
    """The letters of a sum of products of two: those of each, of the result, and by what they are for."""

    first: str
    second: str
    result: str

    @property
    def batch(self) -> str:
        return "".join(letter for letter in self.first if letter in self.second and letter in self.result)

    @property
    def summed(self) -> str:
        return "".join(letter for letter in self.first if letter in self.second and letter not in self.result)

    @property
    def own(self) -> str:
        return "".join(letter for letter in self.first if letter not in self.second)

    @property
    def other(self) -> str:
        return "".join(letter for letter in self.second if letter not in self.first)


def _sum(node: Node) -> Item:
    """Sum products. Raises `UnknownNodeError` for sums that attention has none of."""
    left, arrow, result = node.text("equation").partition("->")
    first, comma, second = left.partition(",")
    equation = _Equation(first, second, result)
    letters = first + second + result
    if (
        not arrow
        or not comma
        or not letters.isalpha()
        or any(len(set(part)) != len(part) for part in (first, second, result))
    ):
        raise UnknownNodeError("an unsupported equation")
    if set(result) != set(equation.batch + equation.own + equation.other):
        raise UnknownNodeError("an equation that leaves letters out")
    if any(isinstance(item, Value) and _is_repeated(node, item) for item in node.inputs):
        raise UnknownNodeError("takes lengths that the converter does not know")
    if isinstance(node.inputs[1], Held):
        return _sum_with_constant(node, equation, node.inputs[1])
    given, taken = node.given, node.computed(1)
    lengths = dict(zip(first + second, given.shape + taken.shape, strict=True))
    if any(len(part) != 1 for part in (equation.own, equation.other, equation.summed)):
        return _flat_sum(node, equation, given, taken, lengths)
    one = _turned(node, given, first, equation.batch + equation.own + equation.summed)
    two = _turned(node, taken, second, equation.batch + equation.summed + equation.other)
    order = equation.batch + equation.own + equation.other
    shape = tuple(lengths[letter] for letter in order)
    made = node.op(BATCH_MATMUL, [one, two], shape, {})
    if -1 in shape:
        made = node.op(RESHAPE, [made, _own(node, list(shape))], shape)
    return _turned(node, made, order, result)


def _flat_sum(
    node: Node, equation: _Equation, given: Value, taken: Value, lengths: Mapping[str, int]
) -> Item:
    """Sum products of which a side has several letters, or none: they are one length for a product of
    matrices.
    """
    batch, own, other, summed = equation.batch, equation.own, equation.other, equation.summed
    outer = tuple(lengths[letter] for letter in batch)
    if outer.count(-1) > 1 or min(lengths[letter] for letter in own + other + summed) < 0:
        raise UnknownNodeError("an equation of several lengths at once")
    rows, cols, inner = (prod(lengths[letter] for letter in part) for part in (own, other, summed))
    one = _turned(node, given, equation.first, batch + own + summed)
    two = _turned(node, taken, equation.second, batch + summed + other)
    one, two = _reshaped(node, one, (*outer, rows, inner)), _reshaped(node, two, (*outer, inner, cols))
    made = node.op(BATCH_MATMUL, [one, two], (*outer, rows, cols), {})
    order = batch + own + other
    whole = _reshaped(node, made, tuple(lengths[letter] for letter in order))
    return _turned(node, whole, order, equation.result)


def _reshaped(node: Node, value: Value, shape: Shape) -> Value:
    """Give another shape, unless it has that; which it has is known where every length is."""
    return value if value.shape == shape else node.op(RESHAPE, [value, _own(node, list(shape))], shape)


def _is_repeated(node: Node, value: Value) -> bool:
    """Return whether a tensor has a shape that is joined from lengths: the converter does not know them."""
    maker = node.makers.get(id(value))
    target = maker.inputs[1] if maker is not None and maker.code == RESHAPE else None
    inner = node.makers.get(id(target)) if target is not None else None
    return inner is not None and inner.code == CONCATENATION


def _own(node: Node, numbers: list[int]) -> Value:
    """Return a constant that loses its location where another equals it, also one of the same node."""
    value = node.constant(numbers)
    value.origin = len(node.network.ops) + 1
    return value


def _turned(node: Node, value: Value, letters: str, wanted: str) -> Value:
    """Put axes in another order."""
    if letters == wanted:
        return value
    order = [letters.index(letter) for letter in wanted]
    return node.op(TRANSPOSE, [value, _own(node, order)], tuple(value.shape[axis] for axis in order))


def _sum_with_constant(node: Node, equation: _Equation, weight: Held) -> Item:
    """Sum over the last axes of one and the first of a constant: a product of matrices between two
    reshapes.
    """
    if (
        equation.batch
        or equation.first != equation.own + equation.summed
        or equation.second != equation.summed + equation.other
    ):
        raise UnknownNodeError("an equation that turns a constant")
    if equation.result != equation.own + equation.other or len(weight.shape) != len(equation.second):
        raise UnknownNodeError("an equation that turns what it makes")
    given = node.given
    count = len(equation.own)
    inputs, units = prod(weight.shape[: len(equation.summed)]), prod(weight.shape[len(equation.summed) :])
    flat = Held((inputs, units), weight.kind, weight.location, weight.tensor, weight.elements)
    if len(equation.summed) > 1:
        shape = (*given.shape[:count], inputs)
        given = node.op(RESHAPE, [given, _own(node, list(shape))], shape)
    made = product(node, given, flat, units, turned=False, keep=len(given.shape) > 2)
    shape = (*given.shape[:count], *weight.shape[len(equation.summed) :])
    return (
        made
        if shape == made.shape and -1 not in shape
        else node.op(RESHAPE, [made, _own(node, list(shape))], shape)
    )


PRODUCTS: dict[str, Rule] = {
    "BatchMatMulV2": _products,
    "BatchMatMulV3": _products,
    "Einsum": _sum,
    "MatMul": _product,
}
"""The rules of products."""
