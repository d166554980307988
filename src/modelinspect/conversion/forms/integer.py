"""Rewrite a float model as the full-integer quantizers would: int8 throughout, or int16 activations with int8
weights.

Sizes hardly depend on the calibration: every computed tensor gets one scale and one zero point, every kernel
one for each output channel, every bias those of its kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.conversion.forms.elements import Elements
from modelinspect.conversion.forms.integer8 import quantize_int8
from modelinspect.conversion.forms.integer16 import quantize_int16
from modelinspect.conversion.forms.integer_kernels import KINDS
from modelinspect.conversion.forms.integer_parts import Decided, Parts
from modelinspect.conversion.forms.rewrite import Model, Weights
from modelinspect.conversion.tree import Node
from modelinspect.measure.blocks import UnmeasurableError

MOST_TENSORS = 100_000


def check_graphs(root: Node) -> None:
    """Raise `UnmeasurableError` where it is not known how a model's graphs are quantized, or they are too
    large for it; before `to_integer`, and before a large model is copied for it.
    """
    graphs = root.lists.get("subgraphs", [])
    if len(graphs) != 1:
        raise UnmeasurableError("it has loops, and it is not known how those are quantized")
    if len(graphs[0].lists.get("tensors", [])) > MOST_TENSORS:
        raise UnmeasurableError(f"it has more than {MOST_TENSORS:,} tensors")


def to_integer(
    model: Model, weights: Weights, *, sparse: bool = False, elements: Mapping[int, Elements] | None = None
) -> Decided:
    """Quantize every operator of a model that has an integer kernel; where it is to be ``sparse``, its
    tensors stay in an order in which they can be encoded. ``elements`` gives those of constants. Return what
    the samples decide about the size.

    Raises `UnmeasurableError` where it is not known how one is quantized, or the converter refuses.
    """
    parts = Parts(model, model.graphs[0], KINDS[weights], elements or {})
    if parts.kind.keeps_ranges:
        return quantize_int16(parts)
    return quantize_int8(parts, is_sparse=sparse)
