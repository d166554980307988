"""What is known of the files that TensorFlow releases before the newest would write."""

from __future__ import annotations

from modelinspect.conversion.forms.rewrite import Weights
from modelinspect.conversion.keras.source import Source
from modelinspect.conversion.operators import ADD, MUL, RESHAPE, SEQUENCE_LSTM, SUB
from modelinspect.conversion.releases import NEWEST, ConstantNames, Release
from modelinspect.conversion.tree import Node
from modelinspect.core.records import replace
from modelinspect.measure.blocks import UnmeasurableError

PER_CONSTANT = 4
"""Bytes that the name of a constant may have more or less in an older release, on average over a file, of
networks that are not known to the byte in the newest either.
"""
_COMPUTES = (ADD, MUL, SUB)


def as_release(source: Source, release: Release) -> Source:
    """Return the float model as a release writes it, with the doubt that is left about that.

    Raises `UnmeasurableError` where it is known that the release writes it otherwise, and not how.
    """
    if release is NEWEST:
        return source
    graphs = source.root.lists.get("subgraphs", [])
    if not any("base" in tensor.values for graph in graphs for tensor in graph.lists.get("tensors", [])):
        raise UnmeasurableError(
            "a TFLite file keeps the names of the release that wrote it: --tensorflow is for Keras models and"
            " SavedModels"
        )
    if _has_loops(source.root):
        raise UnmeasurableError(f"not known how TensorFlow {release.number} names what is in loops")
    if release.moves_reshapes and _adds_reshaped(source.root):
        raise UnmeasurableError(
            f"not known how TensorFlow {release.number} names reshapes that it moves after additions"
        )
    doubt = 0 if source.certain else PER_CONSTANT * _count_constants(source.root)
    certain = source.certain and release.constants is ConstantNames.NOTHING
    return replace(source, certain=certain, doubt=source.doubt + doubt)


def of_form(source: Source, release: Release, weights: Weights, *, is_sparse: bool) -> Source:
    """Return the model with what is known of one form.

    Of an older release only float32 and dynamic-int8 are known to the byte, and not where they are sparse:
    then names are there once more.
    """
    if release is NEWEST:
        return source
    certain = source.certain and weights in (Weights.FLOAT32, Weights.INT8) and not is_sparse
    return replace(source, certain=certain, doubt=(1 + is_sparse) * source.doubt)


def _has_loops(root: Node) -> bool:
    codes = {code.number("builtin_code") for code in root.lists["operator_codes"]}
    return len(root.lists["subgraphs"]) > 1 or SEQUENCE_LSTM in codes


def _adds_reshaped(root: Node) -> bool:
    """Return whether an operator computes with two tensors that are both reshaped."""
    codes = [code.number("builtin_code") for code in root.lists["operator_codes"]]
    for graph in root.lists["subgraphs"]:
        reshaped: set[int] = set()
        for operator in graph.lists["operators"]:
            code, inputs = codes[operator.number("opcode_index")], operator.vector("inputs").values
            if code == RESHAPE:
                reshaped.update(operator.vector("outputs").values)
            elif code in _COMPUTES and len(inputs) > 1 and reshaped.issuperset(inputs):
                return True
    return False


def _count_constants(root: Node) -> int:
    return sum(buffer.vector("data").size > 0 for buffer in root.lists["buffers"])
