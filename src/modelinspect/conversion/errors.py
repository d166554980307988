"""The error to state for a predicted form: by class of network, calibrated on networks that no rule was
written for.

`benchmarks/accuracy/fresh_reality.py` measures the networks and shows what each class needs;
docs/developer/predictions.md has its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from modelinspect.conversion.forms.rewrite import Weights
from modelinspect.conversion.keras.source import Source
from modelinspect.conversion.operators import (
    BATCH_MATMUL,
    CONV,
    DEPTHWISE,
    EXPAND_DIMS,
    SEQUENCE_LSTM,
    SPACE_TO_BATCH,
    TRANSPOSE_CONV,
    WHILE,
)
from modelinspect.conversion.predict import Form
from modelinspect.conversion.tree import Node

MOST_ERROR = 9.99
MOST_PADDING, PADDING, TENSOR_PADDING = 64, 16, 2
"""Bytes that the alignment of names and buffers may move: in any file at most, and in networks of dense
layers by themselves and for each tensor.
"""


class NetworkClass(StrEnum):
    """What a network is mainly made of, as the converter writes it."""

    ATTENTION = "attention"
    DENSE = "dense"
    IMAGES = "images"
    LOOPS = "loops"
    SEQUENCES = "sequences"


ERRORS: Mapping[NetworkClass, float] = {
    NetworkClass.ATTENTION: 0.004,
    NetworkClass.DENSE: 0.002,
    NetworkClass.IMAGES: 0.002,
    NetworkClass.LOOPS: 0.004,
    NetworkClass.SEQUENCES: 0.003,
}
"""What an estimate is off by at most where every layer is known, as a share of the size."""
INTEGER_ERROR = 0.01
"""What a full-integer form may be off by at least beside that where tensors are joined: which of them are
quantized again depends on the calibration.
"""
_INTEGER = (Weights.FULL_INT8, Weights.INT16X8)


def class_of(root: Node) -> NetworkClass:
    """Return the class of a network, given the tree of its float form."""
    codes = {
        max(code.number("builtin_code"), code.number("deprecated_builtin_code"))
        for code in root.lists.get("operator_codes", [])
    }
    if codes & {WHILE, SEQUENCE_LSTM}:
        return NetworkClass.LOOPS
    if BATCH_MATMUL in codes:
        return NetworkClass.ATTENTION
    if EXPAND_DIMS in codes or (SPACE_TO_BATCH in codes and not codes & {DEPTHWISE}):
        return NetworkClass.SEQUENCES
    return NetworkClass.IMAGES if codes & {CONV, DEPTHWISE, TRANSPOSE_CONV} else NetworkClass.DENSE


def stated_error(form: Form, source: Source) -> float | None:
    """Return what a form's size is off by at most, as a fraction; None where it is known to the byte."""
    is_integer = form.weights in _INTEGER
    if source.certain and not is_integer:
        return None
    guessed = (
        source.guessed
        if form.is_sparse or (form.weights is not Weights.FLOAT32 and form.weights is not Weights.FLOAT16)
        else 0
    )
    size = max(form.size, 1)
    share = ERRORS[class_of(source.root)]
    if is_integer:
        least = INTEGER_ERROR if joins_tensors(source.root) else 0.0
        share += max(least, form.doubt / max(size - form.doubt, 1))
    return round(min(share + (paddings(source.root) + source.doubt + guessed) / size, MOST_ERROR), 4)


def paddings(root: Node) -> int:
    """Return the bytes that the alignment of names and buffers may move in a network, given the tree of its
    float form.
    """
    if class_of(root) is not NetworkClass.DENSE:
        return MOST_PADDING
    tensors = sum(len(graph.lists.get("tensors", ())) for graph in root.lists.get("subgraphs", ()))
    return min(PADDING + TENSOR_PADDING * tensors, MOST_PADDING)


def joins_tensors(root: Node) -> bool:
    """Return whether an operator takes more than one tensor that is computed, or an input of the network."""
    for graph in root.lists.get("subgraphs", ()):
        operators = graph.lists.get("operators", ())
        made = set(graph.vector("inputs").values)
        made.update(*(each.vector("outputs").values for each in operators))
        if any(sum(index in made for index in each.vector("inputs").values) > 1 for each in operators):
            return True
    return False


def within(error: float | None) -> str:
    """Return what a size is off by at most, to be put after it in a sentence; nothing where it is exact."""
    return "" if error is None else f" within {error:.1%}"


def why_unsure(source: Source) -> str:
    """Say why forms are not predicted well."""
    if source.reason:
        return source.reason
    if not source.has_structure:
        return "there are weights but no layer configuration, so the operators are unknown"
    if source.unknown:
        more = f" and {len(source.unknown) - 3} more" if len(source.unknown) > 3 else ""
        return f"conversion of these is not known: {', '.join(source.unknown[:3])}{more}"
    return "names and padding are too large a part of this small file"
