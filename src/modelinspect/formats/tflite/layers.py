"""Say which layer a stored tensor of a TFLite model belongs to: by its name, else by the operators that read
it.
"""

from __future__ import annotations

from modelinspect.errors import FormatError
from modelinspect.formats.node_names import layer_of_fused
from modelinspect.formats.tflite.model import Model, Operator, SubGraph
from modelinspect.formats.tflite.roles import JOINED, PASSED_ON, bodies

_MOST_STEPS = 8


class Layers:
    """The layers of a model's tensors.

    The converter names a tensor after the nodes that it comes from, or not at all.
    """

    def __init__(self, model: Model) -> None:
        self._readers: dict[int, dict[int, Operator]] = {}
        self._called: set[int] = set()
        self._bodies: dict[int, str] = {}
        for graph in model.subgraphs:
            readers = self._readers.setdefault(graph.index, {})
            for operator in graph.operators:
                self._called.update(body for body, _ in bodies(operator))
                for index in operator.inputs:
                    if index not in readers:
                        readers[index] = operator

    def of(self, graph: SubGraph, index: int, name: str) -> str | None:
        """Return the layer of a tensor, None where neither its name nor that of an operator's output says
        one.
        """
        layer = layer_of_fused(name)
        readers = self._readers[graph.index]
        for _ in range(_MOST_STEPS):
            reader = readers.get(index)
            if layer is not None or reader is None or not reader.outputs:
                break
            index = reader.outputs[0]
            layer = layer_of_fused(_name(graph, index))
            if layer is None and reader.code.name not in PASSED_ON and reader.code.name not in JOINED:
                break
        return layer or self._of_caller(graph)

    def _of_caller(self, graph: SubGraph) -> str | None:
        """Return the layer of a subgraph that an operator runs, such as the steps of a recurrent layer: that
        of its first named tensor.
        """
        known = self._bodies.get(graph.index)
        if known is None and graph.index in self._called:
            names = (layer_of_fused(_name(graph, index)) for index in range(len(graph.tensors)))
            known = self._bodies[graph.index] = next(filter(None, names), "")
        return known or None


def _name(graph: SubGraph, index: int) -> str:
    row = graph.tensors[index] if 0 <= index < len(graph.tensors) else None
    try:
        return "" if row is None else row.name
    except FormatError:  # the walk has reported
        return ""
