"""What a SavedModel or graph says about itself: versions, signatures, functions, ops, variables.

Facts of every form: ``meta_graphs`` (a mapping each), ``functions`` (a mapping each: name, offset, size,
nodes, constant_bytes, body, layer; functions of the same ``body`` differ in only names),
``gradient_functions`` (names), ``stablehlo`` (a mapping for each program in MLIR byte code: what
`formats.mlir` says about it, node, function, offset, size), ``ops`` (count by op), ``custom_ops``,
``node_count``, ``function_node_count``, ``variable_count``, ``constant_count``, ``constant_bytes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelinspect.core.facts import Fact, Facts, set_fact
from modelinspect.formats.graph.bodies import same_bodies
from modelinspect.formats.graph.core_ops import core_ops
from modelinspect.formats.graph.data_types import data_type
from modelinspect.formats.graph.messages import Found, MessageWalk

_VARIABLE_OPS = ("VarHandleOp", "VariableV2", "Variable", "RefVariable", "AutoReloadVariable")
PATH_PARTS = 32
"""Longer ways through the object graph are cut to their end."""


def graph_facts(walk: MessageWalk, layers: Mapping[int, str], *, has_places: bool = True) -> Facts:
    """Return the facts of what a walk went over.

    ``layers`` are names of Keras layers by their node in the object graph; ``has_places`` says that offsets
    and sizes are those of the artifact.
    """
    facts: Facts = {}
    ops = {op.decode(errors="replace"): count for op, count in walk.nodes.ops.items()}
    functions = tuple(entry for found in walk.found for entry in _functions(found, layers, has_places))
    names = {str(entry["name"]) for entry in functions}
    meta_graphs = tuple(_meta_graph(found) for found in walk.found)
    if meta_graphs:
        for key in ("tensorflow_version", "tensorflow_git_version", "signatures"):
            if key in meta_graphs[0]:
                set_fact(facts, key, meta_graphs[0][key])
        versions = meta_graphs[0].get("versions")
        if isinstance(versions, Mapping):
            set_fact(facts, "producer", versions["producer"])
            set_fact(facts, "min_consumer", versions["min_consumer"])
    facts["meta_graphs"] = meta_graphs
    facts["functions"] = functions
    gradients = {
        one.gradient_func for found in walk.found for one in found.messages.get("registered_gradients", [])
    }
    if gradients:
        facts["gradient_functions"] = tuple(sorted(gradients))
    if walk.nodes.modules.facts:
        facts["stablehlo"] = tuple(walk.nodes.modules.facts)
    facts["ops"] = dict(sorted(ops.items()))
    facts["custom_ops"] = tuple(sorted(op for op in ops if op not in core_ops() and op not in names))
    facts["node_count"] = sum(found.nodes for found in walk.found)
    facts["function_count"] = len(functions)
    facts["function_node_count"] = sum(function.nodes for found in walk.found for function in found.functions)
    facts["variable_count"] = _variable_count(walk.found, ops)
    facts["constant_count"] = walk.nodes.constant_count
    facts["constant_bytes"] = walk.nodes.constant_bytes
    return facts


def _functions(found: Found, names: Mapping[int, str], has_places: bool) -> list[dict[str, Fact]]:
    bodies = same_bodies(
        {function.name: function.digest for function in found.functions if function.digest is not None}
    )
    layers = traced_layers(_object_graph(found), names)
    return [
        {
            "name": function.name,
            "offset": function.offset if has_places else None,
            "size": function.size if has_places else None,
            "nodes": function.nodes,
            "constant_bytes": function.constant_bytes,
            "body": bodies[function.name],
            "layer": layers.get(function.name),
        }
        for function in found.functions
    ]


def _meta_graph(found: Found) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for info in found.messages.get("meta_info_def", []):
        facts["tags"] = tuple(info.tags)
        facts["tensorflow_version"] = info.tensorflow_version
        facts["tensorflow_git_version"] = info.tensorflow_git_version
        facts["stripped_default_attrs"] = info.stripped_default_attrs
        facts["op_list"] = tuple(op.name for op in info.stripped_op_list.op)
    for versions in found.messages.get("versions", []):
        facts["versions"] = {"producer": versions.producer, "min_consumer": versions.min_consumer}
    signatures = {key: _signature(value) for key, value in found.messages.get("signature_def", [])}
    if signatures or "tags" in facts:
        facts["signatures"] = dict(sorted(signatures.items()))
    collections = {key: _collection_size(value) for key, value in found.messages.get("collection_def", [])}
    if collections:
        facts["collections"] = dict(sorted(collections.items()))
    assets = tuple(asset.filename for asset in found.messages.get("asset_file_def", []))
    if assets:
        facts["assets"] = assets
    graph = _object_graph(found)
    if graph is not None:
        facts["object_count"] = len(graph.nodes)
    facts["node_count"] = found.nodes
    facts["function_count"] = len(found.functions)
    facts["constant_bytes"] = found.constant_bytes + sum(
        function.constant_bytes for function in found.functions
    )
    return facts


def _signature(signature: Any) -> dict[str, Fact]:
    return {
        "method": signature.method_name,
        "inputs": {key: _tensor_info(signature.inputs[key]) for key in sorted(signature.inputs)},
        "outputs": {key: _tensor_info(signature.outputs[key]) for key in sorted(signature.outputs)},
    }


def _tensor_info(info: Any) -> dict[str, Fact]:
    shape = info.tensor_shape
    lengths = None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return {"name": info.name, "dtype": data_type(info.dtype).name, "shape": lengths}


def _collection_size(collection: Any) -> int:
    kind = collection.WhichOneof("kind")
    return 0 if kind is None else len(getattr(collection, kind).value)


def _object_graph(found: Found) -> Any:
    graphs = found.messages.get("object_graph_def", [])
    return graphs[-1] if graphs and len(graphs[-1].nodes) else None


def _variable_count(found: Iterable[Found], ops: Mapping[str, int]) -> int:
    """Return the variables of the object graphs; where there is none, the nodes that make variables."""
    graphs = [graph for graph in map(_object_graph, found) if graph is not None]
    if graphs:
        return sum(1 for graph in graphs for node in graph.nodes if node.WhichOneof("kind") == "variable")
    return sum(ops.get(op, 0) for op in _VARIABLE_OPS)


def traced_layers(graph: Any, names: Mapping[int, str]) -> dict[str, str]:
    """Return for concrete functions the layer whose call they trace: its Keras name, else the object's path
    from the root.
    """
    if graph is None:
        return {}
    count = len(graph.nodes)
    edges = [
        [(child.local_name, child.node_id) for child in node.children if 0 <= child.node_id < count]
        for node in graph.nodes
    ]
    functions = _concrete_functions(graph)
    parents: dict[int, tuple[int, str]] = {0: (0, "")}
    order = [0]
    for number in order:  # breadth first: the shortest way to an object wins
        for name, child in edges[number]:
            if child not in parents:
                parents[child] = (number, name)
                order.append(child)
    traced: dict[str, str] = {}
    for number in order:
        for _, child in edges[number]:
            if child in functions:
                owner = names.get(number) or _object_path(parents, number)
                for function in functions[child]:
                    traced.setdefault(function, owner)
    return traced


def _concrete_functions(graph: Any) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for number, node in enumerate(graph.nodes):
        match node.WhichOneof("kind"):
            case "function":
                found[number] = tuple(node.function.concrete_functions)
            case "bare_concrete_function":
                found[number] = (node.bare_concrete_function.concrete_function_name,)
    return found


def _object_path(parents: Mapping[int, tuple[int, str]], number: int) -> str:
    parts: list[str] = []
    while number and len(parts) < PATH_PARTS:
        number, name = parents[number]
        parts.append(name)
    return ".".join(reversed(parts))
