"""What the converter makes of operations that take one input, element by element."""

from __future__ import annotations

import numpy as np

from modelinspect.conversion.graph.node import Item, Node, Rule
from modelinspect.conversion.operators import (
    ABS,
    ADD,
    BOOL,
    COS,
    DIV,
    ELU,
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
    SUB,
    TANH,
)

_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772


def _unary(code: int, settings: dict[str, int | float | bool] | None = None) -> Rule:
    return lambda node: node.op(code, [node.given], node.given.shape, settings)


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


def _softplus(node: Node) -> Item:
    one = node.constant(np.float32(1), FLOAT32)
    shape = node.given.shape
    return node.op(LOG, [node.op(ADD, [node.op(EXP, [node.given], shape), one], shape)], shape)


def _softsign(node: Node) -> Item:
    one = node.constant(np.float32(1), FLOAT32)
    shape = node.given.shape
    return node.op(DIV, [node.given, node.op(ADD, [node.op(ABS, [node.given], shape), one], shape)], shape)


ACTIVATIONS: dict[str, Rule] = {
    "Abs": _unary(ABS),
    "Elu": _unary(ELU),
    "Exp": _unary(EXP),
    "LeakyRelu": _leaky,
    "Log": _unary(LOG),
    "LogSoftmax": _unary(LOG_SOFTMAX),
    "LogicalNot": lambda node: node.op(LOGICAL_NOT, [node.given], node.given.shape, None, BOOL),
    "Neg": _unary(NEG),
    "Relu": _unary(RELU),
    "Relu6": _unary(RELU6),
    "Rsqrt": _unary(RSQRT),
    "Selu": _selu,
    "Sigmoid": _unary(LOGISTIC),
    "Softmax": _softmax,
    "Sin": _unary(SIN),
    "Cos": _unary(COS),
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Sqrt": _unary(SQRT),
    "Square": _unary(SQUARE),
    "Tanh": _unary(TANH),
}
"""The rules of what has one input."""
