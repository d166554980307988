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
from modelinspect.measure.blocks import UnmeasurableError

MOST_TENSORS = 100_000


def to_integer(
    model: Model, weights: Weights, *, sparse: bool = False, elements: Mapping[int, Elements] | None = None
) -> Decided:
    """Quantize every operator of a model that has an integer kernel; where it is to be ``sparse``, its
    tensors stay in an order in which they can be encoded. ``elements`` gives those of constants. Return what
    the samples decide about the size.

    Raises `UnmeasurableError` where it is not known how one is quantized, or the converter refuses.
    """
    if len(model.graphs) != 1:
        raise UnmeasurableError("it has loops, and it is not known how those are quantized")
    graph = model.graphs[0]
    if len(graph.tensors) > MOST_TENSORS:
        raise UnmeasurableError(f"it has more than {MOST_TENSORS:,} tensors")
    parts = Parts(model, graph, KINDS[weights], elements or {})
    if parts.kind.keeps_ranges:
        return quantize_int16(parts)
    return quantize_int8(parts, is_sparse=sparse)
