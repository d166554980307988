"""How the messages of a SavedModel are labelled: what their bytes are, and which are looked into."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from modelinspect.core.bytemap import RegionKind
from modelinspect.core.records import dataclass


class Step(StrEnum):
    """What is done with the value of a message field."""

    CLAIM = "claim"
    """Check it and claim it whole."""
    DESCEND = "descend"
    """Go through its fields."""
    META_GRAPH = "meta-graph"
    """Go through its fields, and keep its facts apart."""
    NODE = "node"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Label:
    """The kind of a field's bytes, and what to do with its value."""

    kind: RegionKind
    step: Step = Step.CLAIM


_GRAPH = Label(RegionKind.GRAPH, Step.DESCEND)
_METADATA = Label(RegionKind.METADATA, Step.DESCEND)
_DEBUG = Label(RegionKind.DEBUG)

LAYOUT: Mapping[str, Mapping[str, Label]] = {
    "tensorflow.SavedModel": {"meta_graphs": Label(RegionKind.METADATA, Step.META_GRAPH)},
    "tensorflow.MetaGraphDef": {
        "meta_info_def": _METADATA,
        "graph_def": _GRAPH,
        "object_graph_def": _METADATA,
    },
    "tensorflow.MetaGraphDef.MetaInfoDef": {"stripped_op_list": _GRAPH},
    "tensorflow.GraphDef": {
        "node": Label(RegionKind.GRAPH, Step.NODE),
        "library": _GRAPH,
        "versions": Label(RegionKind.METADATA),
        "debug_info": _DEBUG,
    },
    "tensorflow.FunctionDefLibrary": {"function": Label(RegionKind.GRAPH, Step.FUNCTION)},
    "tensorflow.FunctionDef": {"node_def": Label(RegionKind.GRAPH, Step.NODE)},
}
"""Labels by message and field; a field that is not here is claimed whole, as what its message is."""

RUNS = {0x22: "ret", 0x32: "control_ret", 0x3A: "arg_attr", 0x42: "resource_arg_unique_id"}
"""Fields of a FunctionDef by tag that are many and small: those that follow one another are one region."""
