"""Which tensors are weights, constant inputs of operators that have weights, biases included; and which layer
a stored tensor belongs to: by its name, else by the operators that read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from modelinspect.core.tensors import Role
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.errors import FormatError
from modelinspect.formats.node_names import TORCH, VARIABLE_ROLES, layer_of_fused, variable_of_node
from modelinspect.formats.tflite.model import Model, Operator, SubGraph
from modelinspect.formats.tflite.schema import schema

ALL_BUT_FIRST = tuple(range(1, 64))
WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {
    "FULLY_CONNECTED": (1, 2),
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "CONV_3D": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
    "CONV_3D_TRANSPOSE": (1, 3),
    "BATCH_MATMUL": (0, 1),
    "EMBEDDING_LOOKUP": (1,),
    "EMBEDDING_LOOKUP_SPARSE": (4,),
    "HASHTABLE_LOOKUP": (2,),
    "GATHER": (0,),
    "GATHER_ND": (0,),
    "PRELU": (1,),
    "SVDF": (1, 2, 3),
    "RNN": ALL_BUT_FIRST,
    "UNIDIRECTIONAL_SEQUENCE_RNN": ALL_BUT_FIRST,
    "BIDIRECTIONAL_SEQUENCE_RNN": ALL_BUT_FIRST,
    "LSTM": ALL_BUT_FIRST,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ALL_BUT_FIRST,
    "BIDIRECTIONAL_SEQUENCE_LSTM": ALL_BUT_FIRST,
    "STABLEHLO_CONVOLUTION": (1,),
    "STABLEHLO_DOT_GENERAL": (0, 1),
    "Convolution2DTransposeBias": (1, 2),
    "FlexMatMul": (0, 1),
    "FlexBatchMatMul": (0, 1),
    "FlexBatchMatMulV2": (0, 1),
    "FlexConv2D": (1,),
    "FlexConv3D": (1,),
    "FlexDepthwiseConv2dNative": (1,),
    "FlexConv2DBackpropInput": (1,),
}
"""The inputs that are weights where they are constant, by the operator's name (tflite/kernels)."""

MULTIPLIED = frozenset(WEIGHT_INPUTS) - {
    "EMBEDDING_LOOKUP",
    "EMBEDDING_LOOKUP_SPARSE",
    "HASHTABLE_LOOKUP",
    "GATHER",
    "GATHER_ND",
    "PRELU",
}
"""Operators that multiply by weights: a vector that is added to what they give is a bias."""

ARITHMETIC = ("ADD", "SUB", "MUL", "DIV")

PASSED_ON = ("DEQUANTIZE", "DENSIFY", "QUANTIZE", "CAST", "TRANSPOSE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Operators whose output is a weight where their first input is: they unpack, convert or move stored
weights.
"""

JOINED = ("PACK", "CONCATENATION")
"""The same for operators that join all of their inputs."""

LOOKED_UP = ("GATHER", "GATHER_ND")
"""Operators that look up weights, but also sizes and indices: whole numbers are none."""

_BATCHNORM = ("/FusedBatchNorm", "/batchnorm/", "torch.nn.modules.batchnorm.")
"""Parts of the names of nodes that TensorFlow makes for a batch normalization."""

_WHOLE = ("INT32", "INT64", "BOOL", "STRING")

_BODIES = {
    "IF": (("then_subgraph_index", 1), ("else_subgraph_index", 1)),
    "WHILE": (("cond_subgraph_index", 0), ("body_subgraph_index", 0)),
    "CALL": (("subgraph", 0),),
    "STABLEHLO_COMPOSITE": (("decomposition_subgraph_index", 0),),
    "STABLEHLO_WHILE": (("cond_subgraph_index", 0), ("body_subgraph_index", 0)),
}
"""Operators that hand inputs to subgraphs: the option that names one, and which input is the subgraph's
first.
"""

_ROUNDS = 8


def weight_tensors(model: Model) -> list[set[int]]:
    """Return the indices of each subgraph's tensors that are used as weights, be they constant or computed
    from constants.
    """
    by_index = {graph.index: place for place, graph in enumerate(model.subgraphs)}
    found: list[set[int]] = [set(_biases(graph)) for graph in model.subgraphs]
    variables = [_variables(graph) for graph in model.subgraphs]
    for _ in range(_ROUNDS):
        before = sum(map(len, found))
        for place in reversed(range(len(model.subgraphs))):
            _mark(model.subgraphs[place], place, found, by_index, model)
        _mark_first_values(model, variables, found)
        if sum(map(len, found)) == before:
            break
    return found


def _variables(graph: SubGraph) -> dict[int, tuple[str | None, str | None]]:
    """Return the container and the name of the variable that each handle of a subgraph is of."""
    handles: dict[int, tuple[str | None, str | None]] = {}
    for operator in graph.operators:
        if operator.code.name == "VAR_HANDLE":
            try:
                options = operator.table.table("builtin_options")
                named = isinstance(options, Table) and "shared_name" in options.type.by_name
                if isinstance(options, Table) and named and operator.outputs:
                    handles[operator.outputs[0]] = options.string("container"), options.string("shared_name")
            except FormatError:  # the walk has reported
                continue
    return handles


def _mark_first_values(
    model: Model, variables: list[dict[int, tuple[str | None, str | None]]], found: list[set[int]]
) -> None:
    """Mark what is assigned to the variables that some subgraph reads as weights: a model that can be trained
    on a device stores its weights as the first values of variables.
    """
    steps = [
        (variables[place][operator.inputs[0]], place, operator)
        for place, graph in enumerate(model.subgraphs)
        for operator in graph.operators
        if operator.code.name in ("READ_VARIABLE", "ASSIGN_VARIABLE")
        and operator.inputs
        and operator.inputs[0] in variables[place]
    ]
    read = {key for key, place, operator in steps if not found[place].isdisjoint(operator.outputs)}
    for key, place, operator in steps:
        if key in read:
            found[place].update(operator.inputs[1:])


def read_by_arithmetic(graph: SubGraph) -> set[int]:
    """Return the indices of a subgraph's tensors that arithmetic reads: `named_role` says what some of them
    were.
    """
    return {
        index for operator in graph.operators if operator.code.name in ARITHMETIC for index in operator.inputs
    }


def named_role(graph: SubGraph, index: int) -> Role | None:
    """Return the role of a tensor that arithmetic reads, where its name says what it was.

    It is a variable of a layer, or what is left of the statistics of a batch normalization.
    """
    row = graph.tensors[index] if 0 <= index < len(graph.tensors) else None
    try:
        if row is None or _is_whole(graph, index) or prod(row.shape) < 2:
            return None
        if any(part in row.name for part in _BATCHNORM):
            return Role.STATISTIC
        return Role.WEIGHT if TORCH in row.name else VARIABLE_ROLES.get(variable_of_node(row.name))
    except FormatError:  # the walk has reported
        return None


def _biases(graph: SubGraph) -> Iterator[int]:
    """Yield the tensors that are added to what a multiplication by weights gives."""
    products: set[int] = set()
    for operator in graph.operators:
        name = operator.code.name
        if name in MULTIPLIED or (name == "ADD" and products.issuperset(operator.inputs)):
            products.update(operator.outputs)
        elif name == "ADD" and not products.isdisjoint(operator.inputs):
            yield from (
                index for index in operator.inputs if index not in products and not _is_whole(graph, index)
            )


def _mark(graph: SubGraph, place: int, found: list[set[int]], by_index: dict[int, int], model: Model) -> None:
    marked = found[place]
    for operator in reversed(graph.operators):
        name = operator.code.name
        if name in WEIGHT_INPUTS:
            weights = [index for at, index in enumerate(operator.inputs) if at in WEIGHT_INPUTS[name]]
            marked.update(
                weights
                if name not in LOOKED_UP
                else [index for index in weights if not _is_whole(graph, index)]
            )
        elif name in PASSED_ON or name in JOINED:
            if not marked.isdisjoint(operator.outputs):
                marked.update(operator.inputs if name in JOINED else operator.inputs[:1])
        else:
            for body, first in bodies(operator):
                inner = by_index.get(body)
                if inner is not None:
                    inputs = zip(operator.inputs[first:], model.subgraphs[inner].inputs, strict=False)
                    marked.update(outer for outer, given in inputs if given in found[inner])


def _is_whole(graph: SubGraph, index: int) -> bool:
    tensor = graph.tensors[index] if 0 <= index < len(graph.tensors) else None
    return tensor is not None and schema("model").enum_name("TensorType", tensor.type) in _WHOLE


def bodies(operator: Operator) -> Iterator[tuple[int, int]]:
    """Yield the subgraphs that an operator runs, each with the operator's input that is the subgraph's
    first.
    """
    if operator.code.name not in _BODIES:
        return
    try:
        options = operator.table.table("builtin_options") or operator.table.table("builtin_options_2")
        if isinstance(options, Table):
            for option, first in _BODIES[operator.code.name]:
                if option in options.type.by_name:
                    yield options.value(option), first
    except FormatError:  # the walk has reported
        return


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
