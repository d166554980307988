"""What the converter makes of operations that take one input, element by element."""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.graph.node import Item, Node, Rule
from modelinspect.conversion.network import fused
from modelinspect.conversion.operators import (
    ABS,
    ADD,
    BOOL,
    COS,
    DIV,
    ELU,
    EQUAL,
    EXP,
    FLOAT32,
    GREATER,
    LEAKY_RELU,
    LOG,
    LOG_SOFTMAX,
    LOGICAL_NOT,
    LOGISTIC,
    MUL,
    NEG,
    RELU,
    RELU6,
    RSQRT,
    SELECT_V2,
    SIN,
    SOFTMAX,
    SQRT,
    SQUARE,
    SQUARED_DIFFERENCE,
    SUB,
    TANH,
)

MOST_AXES = 4
"""The axes that the squared difference of TFLite takes, and up to which operators fit shapes themselves."""
_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def _unary(code: int, settings: dict[str, int | float | bool] | None = None) -> Rule:
    return lambda node: node.op(code, [node.given], node.given.shape, settings)


def _square(node: Node) -> Item:
    """Multiply each element with itself; a difference is squared at once."""
    given, maker = node.given, node.makers.get(id(node.given))
    if maker is None or maker.code != SUB or len(given.shape) > MOST_AXES:
        return node.op(SQUARE, [given], given.shape, None, given.kind)
    made = node.op(SQUARED_DIFFERENCE, maker.inputs, given.shape, None, given.kind)
    made.location = fused(made.location, given.location)
    return made


def _is_finite(node: Node) -> Item:
    """Compare the difference of each element with itself, which is zero or no number, with zero."""
    given, zero = node.given, node.constant(np.float32(0), FLOAT32)
    nothing = node.op(SUB, [given, given], given.shape)
    return node.op(EQUAL, [nothing, zero], given.shape, None, BOOL)


def _softmax(node: Node) -> Item:
    return node.op(SOFTMAX, [node.given], node.given.shape, {"beta": 1.0})


def _leaky(node: Node) -> Item:
    return node.op(LEAKY_RELU, [node.given], node.given.shape, {"alpha": node.real("alpha", 0.2)})


def _selu(node: Node) -> Item:
    """Put a SELU together of six operators."""
    given = node.given
    one, scale, factor, zero = (
        node.constant(np.float32(number), FLOAT32) for number in (1.0, _SCALE * _ALPHA, _SCALE, 0.0)
    )
    shape = given.shape
    positive = node.op(GREATER, [given, zero], shape, None, BOOL)
    scaled = node.op(MUL, [given, factor], shape)
    below = node.op(MUL, [node.op(SUB, [node.op(EXP, [given], shape), one], shape), scale], shape)
    return node.op(SELECT_V2, [positive, scaled, below], shape)


def _with_one(*codes: int, is_first: bool = False) -> Rule:
    """Write an operation as operators one after the other, of which those of two inputs take a one."""

    def rule(node: Node) -> Item:
        one, made = node.constant(np.float32(1), FLOAT32), node.given
        for code in codes:
            pair = [one, made] if is_first else [made, one]
            made = node.op(code, pair if code in (ADD, SUB, DIV) else [made], made.shape)
        return made

    return rule


def _softsign(node: Node) -> Item:
    one = node.constant(np.float32(1), FLOAT32)
    shape = node.given.shape
    return node.op(DIV, [node.given, node.op(ADD, [node.op(ABS, [node.given], shape), one], shape)], shape)


ACTIVATIONS: dict[str, Rule] = {
    "Abs": _unary(ABS),
    "Elu": _unary(ELU),
    "Exp": _unary(EXP),
    "Expm1": _with_one(EXP, SUB),
    "Inv": _with_one(DIV, is_first=True),
    "IsFinite": _is_finite,
    "LeakyRelu": _leaky,
    "Log": _unary(LOG),
    "Log1p": _with_one(ADD, LOG),
    "LogSoftmax": _unary(LOG_SOFTMAX),
    "LogicalNot": lambda node: node.op(LOGICAL_NOT, [node.given], node.given.shape, None, BOOL),
    "Neg": _unary(NEG),
    "Reciprocal": _with_one(DIV, is_first=True),
    "Relu": _unary(RELU),
    "Relu6": _unary(RELU6),
    "Rsqrt": _unary(RSQRT),
    "Selu": _selu,
    "Sigmoid": _unary(LOGISTIC),
    "Softmax": _softmax,
    "Sin": _unary(SIN),
    "Cos": _unary(COS),
    "Softplus": _with_one(EXP, ADD, LOG),
    "Softsign": _softsign,
    "Sqrt": _unary(SQRT),
    "Square": _square,
    "Tanh": _unary(TANH),
}
"""The rules of what has one input."""
