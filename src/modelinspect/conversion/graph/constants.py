"""Compute what nodes make of only constants, as the converter does before anything else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np

from modelinspect.conversion.graph.node import KINDS, MOST_ELEMENTS, Elements, Held, Node, UnknownNodeError
from modelinspect.conversion.operators import BOOL, FLOAT32, INT32, INT64, UINT8
from modelinspect.formats.graph.data_types import data_type

_FIELDS = {
    FLOAT32: ("float_val", "<f4"),
    INT32: ("int_val", "<i4"),
    INT64: ("int64_val", "<i8"),
    UINT8: ("int_val", "|u1"),
    BOOL: ("bool_val", "?"),
}
_Fold = Callable[[Node, list[Elements]], Any]


def read_constant(message: Any) -> tuple[int, tuple[int, ...], Elements | None]:
    """Return the type, the shape and the elements of a TensorProto; None where they are too many.

    Raises `UnknownNodeError`.
    """
    kind = KINDS.get(data_type(message.dtype).name)
    shape = tuple(int(dim.size) for dim in message.tensor_shape.dim)
    if kind is None or message.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise UnknownNodeError("a constant of another type")
    if prod(shape) > MOST_ELEMENTS:
        return kind, shape, None
    name, dtype = _FIELDS[kind]
    if message.tensor_content:
        values: Elements = np.frombuffer(message.tensor_content, dtype)
    else:
        values = np.array(getattr(message, name), dtype)
        if values.size < prod(shape):  # the last one stands for the rest
            values = np.concatenate(
                (values, np.full(prod(shape) - values.size, values[-1] if values.size else 0, dtype))
            )
    if values.size != prod(shape):
        raise UnknownNodeError("a constant of another size")
    return kind, shape, values.reshape(shape)


def folded(node: Node) -> Held | None:
    """Return what a node makes where all that it takes is constant and the rules know it, None otherwise."""
    held = [item for item in node.inputs if isinstance(item, Held)]
    if not held or len(held) != len(node.inputs):
        return None
    if node.step.op in ("Reshape", "ExpandDims", "Squeeze"):
        return _moved(node, held[0])
    if node.step.op in ("GatherV2", "ResourceGather"):
        whole = _whole_table(node, held)
        if whole is not None:
            return whole
    rule = _FOLDS.get(node.step.op)
    if rule is None:
        return None
    same = _unchanged(node, held)
    if same is not None:
        return same
    arrays = [each.array(node.reading) for each in held]
    node.budget.spend(_size(node.step.op, arrays))
    with np.errstate(all="ignore"):
        made = np.asarray(rule(node, arrays))
    for each in held:
        node.forget(each)
    first = held[1] if node.step.op == "SelectV2" else held[0]
    kind = {"f": FLOAT32, "b": BOOL}.get(
        made.dtype.kind, first.kind if first.kind in (INT32, INT64) else INT32
    )
    found = Held(made.shape, kind, node.location, None, made, recipe=_recipe(node, held))
    if node.step.op == "Transpose" and arrays[1].tolist() == [1, 0]:
        found.turned_of = held[0].tensor
    return found


def _recipe(node: Node, held: list[Held]) -> bytes:
    """Return what identifies a node of variables: MLIR computes equal nodes once before it folds them, so the
    constant is where the first node is. Nothing for nodes of the graph's own constants.
    """
    if not any(each.recipe or each.tensor is not None for each in held):
        return b""
    names = sorted(name for name in node.step.attributes if not name.startswith("_"))
    settings = [node.step.attributes[name].SerializeToString(deterministic=True) for name in names]
    taken = [each.recipe or _identity(node, each) for each in held]
    return blake2b(repr((node.step.op, names, settings, taken)).encode()).digest()


def _identity(node: Node, held: Held) -> object:
    return (id(held.tensor), held.shape) if held.tensor is not None else held.key(node.reading)


def _whole_table(node: Node, held: list[Held]) -> Held | None:
    """Return a table whose rows are all taken in their order, as positions are: its elements need not be
    read.
    """
    table, index = held[0], held[1]
    if len(table.shape) != 2 or index.shape != table.shape[:1] or table.shape[0] > MOST_ELEMENTS:
        return None
    if (len(held) > 2 and node.whole_numbers(2) != [0]) or node.number("batch_dims"):
        return None
    if not np.array_equal(index.array(node.reading), np.arange(table.shape[0])):
        return None
    return Held(table.shape, table.kind, node.location, table.tensor, table.elements, budget=table.budget)


def _size(op: str, arrays: list[Elements]) -> int:
    """Return the most elements that a result may have. Raises `UnknownNodeError` where those are too many."""
    size = sum(array.size for array in arrays)
    if op in _BINARY or op in ("Pow", "RealDiv", "SelectV2"):
        size = prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    elif op == "Range":
        start, limit, delta = (float(array.reshape(-1)[0]) for array in arrays)
        size = int(min(max((limit - start) / delta, 0.0), 2.0 * MOST_ELEMENTS)) + 1
    elif op == "Tile":
        size = arrays[0].size * prod(int(times) for times in arrays[1].reshape(-1))
    elif op in ("Fill", "BroadcastTo"):
        shape = arrays[op == "BroadcastTo"]
        size = prod(int(length) for length in shape.reshape(-1))
    elif op in ("GatherV2", "ResourceGather"):
        size = arrays[0].size * max(arrays[1].size, 1)
    if size > MOST_ELEMENTS:
        raise UnknownNodeError("computes too large a constant")
    return size


def _unchanged(node: Node, held: list[Held]) -> Held | None:
    """Return the constant that a sum with zeros or a product with ones leaves as it is."""
    neutral = {"AddV2": 0, "Add": 0, "Sub": 0, "Mul": 1, "RealDiv": 1}.get(node.step.op)
    if neutral is None or len(held) != 2 or held[0].kind != FLOAT32:
        return None
    shape = np.broadcast_shapes(held[0].shape, held[1].shape)
    orders = ((0, 1),) if node.step.op in ("Sub", "RealDiv") else ((0, 1), (1, 0))
    for kept, other in orders:
        if (
            held[other].shape
            and held[kept].shape == shape
            and bool((held[other].array(node.reading) == neutral).all())
        ):
            return held[kept]
    return None


def _moved(node: Node, held: Held) -> Held:
    """Give a constant another shape: its elements need not be read."""
    match node.step.op:
        case "Reshape":
            shape = node.whole_numbers(1)
        case "ExpandDims":
            shape = list(held.shape)
            axis = node.whole_numbers(1)[0]
            shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
        case _:
            axes = {axis % max(len(held.shape), 1) for axis in node.integers("squeeze_dims")}
            shape = [
                length for axis, length in enumerate(held.shape) if length != 1 or (axes and axis not in axes)
            ]
    rest = prod(length for length in shape if length >= 0)
    whole = tuple(length if length >= 0 else prod(held.shape) // max(rest, 1) for length in shape)
    if prod(whole) != prod(held.shape) or sum(length < 0 for length in shape) > 1:
        raise UnknownNodeError("gives a constant a shape that does not fit")
    return Held(whole, held.kind, node.location, held.tensor, held.elements)


def strided(node: Node, given: Elements, begin: list[int], end: list[int], step: list[int]) -> Any:
    """Take a slice as StridedSlice does. Raises `UnknownNodeError` for what none of numpy's slices is."""
    added = node.number("new_axis_mask")
    if node.number("ellipsis_mask") or len(begin) - added.bit_count() > given.ndim:
        raise UnknownNodeError("an unsupported slice")
    where: list[int | slice | None] = []
    for axis, (first, last, by) in enumerate(zip(begin, end, step, strict=True)):
        if added >> axis & 1:
            where.append(None)
        elif node.number("shrink_axis_mask") >> axis & 1:
            where.append(first)
        else:
            start = None if node.number("begin_mask") >> axis & 1 else first
            stop = None if node.number("end_mask") >> axis & 1 else last
            where.append(slice(start, stop, by))
    return given[tuple(where)]


def _strided(_: Node, values: list[Elements]) -> Any:
    given, begin, end, step = values
    return strided(_, given, *([int(number) for number in each.reshape(-1)] for each in (begin, end, step)))


def _joined(_: Node, values: list[Elements]) -> Any:
    return np.concatenate(values[:-1], axis=int(values[-1].reshape(-1)[0]))


def _packed(node: Node, values: list[Elements]) -> Any:
    return np.stack(values, axis=node.number("axis"))


def _gathered(node: Node, values: list[Elements]) -> Any:
    if node.number("batch_dims"):
        raise UnknownNodeError("gathers in batches")
    axis = int(values[2].reshape(-1)[0]) if len(values) > 2 else 0
    return np.take(values[0], values[1].astype(np.int64), axis=axis)


def _reduced(function: Callable[..., Any]) -> _Fold:
    def fold(node: Node, values: list[Elements]) -> Any:
        axes = tuple(int(axis) for axis in values[1].reshape(-1))
        return function(values[0], axis=axes, keepdims=node.flag("keep_dims")).astype(values[0].dtype)

    return fold


def _each(function: Callable[..., Any]) -> _Fold:
    return lambda _, values: function(*values)


def _divided(_: Node, values: list[Elements]) -> Any:
    if values[0].dtype.kind != "f":
        raise UnknownNodeError("divides whole numbers")
    return np.divide(*values)


def _cast(node: Node, values: list[Elements]) -> Any:
    dtypes = {1: np.float32, 3: np.int32, 9: np.int64, 10: np.bool_}
    dtype = dtypes.get(int(node.step.attributes["DstT"].type)) if "DstT" in node.step.attributes else None
    if dtype is None:
        raise UnknownNodeError("a cast to another type")
    return values[0].astype(dtype)


def _banded(_: Node, values: list[Elements]) -> Any:
    """Keep a band around the diagonal; what is negative keeps all on its side."""
    given, lower, upper = values[0], int(values[1].reshape(-1)[0]), int(values[2].reshape(-1)[0])
    rows, cols = np.indices(given.shape[-2:])
    kept = ((lower < 0) | (rows - cols <= lower)) & ((upper < 0) | (cols - rows <= upper))
    return np.where(kept, given, np.zeros((), given.dtype))


def _multiplied(node: Node, values: list[Elements]) -> Any:
    if any(each.ndim != 2 for each in values):
        raise UnknownNodeError("a product of constants that are not matrices")
    turned = (node.flag("transpose_a"), node.flag("transpose_b"))
    first, second = (each.T if turn else each for each, turn in zip(values, turned, strict=True))
    if len(first) * second.shape[1] > MOST_ELEMENTS:  # a column and a row of many have little themselves
        raise UnknownNodeError("computes too large a constant")
    node.budget.spend(len(first) * second.shape[1])
    return np.matmul(first, second)


def _power(_: Node, values: list[Elements]) -> Any:
    if values[0].dtype.kind != "f":
        raise UnknownNodeError("raises whole numbers to a power")
    return np.power(*values)


_BINARY: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Equal": np.equal,
    "FloorDiv": np.floor_divide,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Mul": np.multiply,
    "NotEqual": np.not_equal,
    "SquaredDifference": lambda first, second: np.square(first - second),
    "Sub": np.subtract,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "Cos": np.cos,
    "Exp": np.exp,
    "Log": np.log,
    "LogicalNot": np.logical_not,
    "Neg": np.negative,
    "Relu": lambda values: np.maximum(values, 0),
    "Rsqrt": lambda values: (np.float32(1) / np.sqrt(values)).astype(np.float32),
    "Sigmoid": lambda values: (1 / (1 + np.exp(-values))).astype(np.float32),
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Square": np.square,
    "Tanh": np.tanh,
}
_FOLDS: dict[str, _Fold] = {
    **{name: _each(function) for name, function in (_BINARY | _UNARY).items()},
    "BroadcastTo": lambda _, values: np.broadcast_to(values[0], [int(length) for length in values[1]]),
    "Cast": _cast,
    "Fill": lambda _, values: np.full([int(length) for length in values[0]], values[1].reshape(-1)[0]),
    "MatMul": _multiplied,
    "MatrixBandPart": _banded,
    "Range": lambda _, values: np.arange(*(value.reshape(-1)[0] for value in values), dtype=values[0].dtype),
    "ConcatV2": _joined,
    "GatherV2": _gathered,
    "Mean": _reduced(np.mean),
    "Pack": _packed,
    "Pow": _power,
    "Prod": _reduced(np.prod),
    "RealDiv": _divided,
    "ResourceGather": _gathered,
    "SelectV2": lambda _, values: np.where(*values),
    "StridedSlice": _strided,
    "Sum": _reduced(np.sum),
    "Tile": lambda _, values: np.tile(values[0], [int(times) for times in values[1]]),
    "Transpose": lambda _, values: np.transpose(values[0], [int(axis) for axis in values[1].reshape(-1)]),
}
