"""What a model is made of: operators, subgraphs, signatures, and who uses which tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice

from modelinspect.core.facts import Fact, Facts
from modelinspect.encodings.flatbuffers.tables import Table
from modelinspect.errors import FormatError
from modelinspect.formats.tflite.model import Model, SubGraph

NAMED = 1_000
"""Names that one fact lists at most."""
_HYBRID = (0, 9)
"""The types of input and weights of a hybrid operator: FLOAT32 and INT8 (schema.fbs, TensorType)."""


def add_model_facts(model: Model, names: Mapping[tuple[int, int], str], facts: Facts) -> None:
    """Add the facts of a model; ``names`` are those of its stored tensors."""
    facts["schema_version"] = model.version
    facts["description"] = model.description
    facts["operators"] = _counts(model, custom=False)
    custom = _counts(model, custom=True)
    if custom:
        facts["custom_operators"] = custom
    facts["operator_versions"] = {
        code.name: code.version for code in sorted(model.codes, key=lambda code: (code.name, code.version))
    }
    stored: dict[int, list[int]] = {}
    for graph, index in sorted(names):
        stored.setdefault(graph, []).append(index)
    facts["subgraphs"] = tuple(
        _subgraph(graph, stored.get(graph.index, [])) for graph in model.subgraphs[:NAMED]
    )
    signatures = _signatures(model)
    if signatures:
        facts["signatures"] = signatures
    facts["tensor_uses"] = _uses(model, names)
    variables = [
        _tensor_name(graph, row.index)
        for graph in model.subgraphs
        for row in graph.tensors
        if row is not None and row.variable
    ]
    if variables:
        facts["variable_tensors"] = tuple(variables[:NAMED])
    densify: list[Fact] = [
        {
            "subgraph": graph.name,
            "operator": place,
            "input": _first(graph, operator.inputs),
            "output": _first(graph, operator.outputs),
        }
        for graph in model.subgraphs
        for place, operator in enumerate(graph.operators)
        if operator.code.name == "DENSIFY"
    ]
    if densify:
        facts["densify"] = tuple(densify[:NAMED])
    hybrid = dict(found for graph in model.subgraphs for found in _sparse_hybrid(graph, names))
    if hybrid:
        facts["sparse_hybrid"] = tuple(
            {"name": name, "densify": expanded} for name, expanded in islice(hybrid.items(), NAMED)
        )


def _sparse_hybrid(graph: SubGraph, names: Mapping[tuple[int, int], str]) -> Iterator[tuple[str, bool]]:
    """Yield the sparse int8 weights of fully connected operators whose input is float32, and whether DENSIFY
    expands them first.

    ``names`` are those of stored tensors.
    """
    expanded = {
        op.outputs[0]: op.inputs[0]
        for op in graph.operators
        if op.code.name == "DENSIFY" and op.inputs and op.outputs
    }
    for operator in graph.operators:
        if operator.code.name != "FULLY_CONNECTED" or len(operator.inputs) < 2:
            continue
        given, weights = operator.inputs[:2]
        stored = expanded.get(weights, weights)
        name = names.get((graph.index, stored))
        if name is None or not 0 <= given < len(graph.tensors):
            continue
        row, activation = graph.tensors[stored], graph.tensors[given]
        if (
            row is not None
            and activation is not None
            and (activation.type, row.type) == _HYBRID
            and row.is_sparse
        ):
            yield name, weights in expanded


def add_buffer_facts(model: Model, used: set[int], listed: set[int], shared: int, facts: Facts) -> list[int]:
    """Add the facts of buffers; return those that hold bytes and that nothing uses."""
    unused = [
        index
        for index, buffer in enumerate(model.buffers)
        if buffer.size and index not in used and index not in listed
    ]
    facts["buffers"] = {
        "count": len(model.buffers),
        "empty": sum(not buffer.size for buffer in model.buffers),
        "outside": sum(buffer.outside for buffer in model.buffers),
        "shared": shared,
        "unused": len(unused),
    }
    return unused


def _counts(model: Model, *, custom: bool) -> dict[str, Fact]:
    counts = Counter(
        op.code.name for graph in model.subgraphs for op in graph.operators if op.code.custom is custom
    )
    return dict(sorted(counts.items()))


def _subgraph(graph: SubGraph, stored: list[int]) -> dict[str, Fact]:
    return {
        "name": graph.name,
        "tensors": len(graph.tensors),
        "operators": len(graph.operators),
        "stored_tensors": _runs(stored),
        "inputs": tuple(_tensor_name(graph, index) for index in graph.inputs[:NAMED]),
        "outputs": tuple(_tensor_name(graph, index) for index in graph.outputs[:NAMED]),
    }


def _runs(indices: list[int]) -> tuple[Fact, ...]:
    """Return sorted indices as runs: the first and the last of each."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index - 1:
            runs[-1] = runs[-1][0], index
        else:
            runs.append((index, index))
    return tuple(runs[:NAMED])


def _tensor_name(graph: SubGraph, index: int) -> str:
    row = graph.tensors[index] if 0 <= index < len(graph.tensors) else None
    try:
        return row.name if row is not None else f"tensor {index}"
    except FormatError:  # the walk has reported
        return f"tensor {index}"


def _first(graph: SubGraph, indices: tuple[int, ...]) -> str:
    return _tensor_name(graph, indices[0]) if indices else ""


def _signatures(model: Model) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    graphs = {graph.index: graph for graph in model.subgraphs}
    try:
        for table in model.table.tables("signature_defs"):
            graph = graphs.get(table.value("subgraph_index"))
            key = table.string("signature_key") or ""
            if graph is not None and len(found) < NAMED:
                found[key] = {
                    "subgraph": graph.name or str(graph.index),
                    "inputs": _tensor_map(table, "inputs", graph),
                    "outputs": _tensor_map(table, "outputs", graph),
                }
    except FormatError:  # the walk has reported
        pass
    return found


def _tensor_map(table: Table, name: str, graph: SubGraph) -> dict[str, Fact]:
    return {
        entry.string("name") or "": _tensor_name(graph, entry.value("tensor_index"))
        for entry in table.tables(name)
    }


def _uses(model: Model, names: Mapping[tuple[int, int], str]) -> dict[str, Fact]:
    """Return the operators that take each stored tensor, by the tensor's name."""
    uses: dict[str, dict[str, None]] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            for index in operator.inputs:
                name = names.get((graph.index, index))
                if name is not None:
                    uses.setdefault(name, {})[operator.code.name] = None
    return {name: tuple(sorted(operators)) for name, operators in sorted(uses.items())}


_COUNTED = ("operators", "custom_operators")
_NAMING = {"densify": ("input", "output"), "sparse_tensors": ("name",)}
"""Facts that are lists, and which of their fields name tensors."""


def join_models(models: Mapping[str, Mapping[str, Fact]]) -> dict[str, Fact]:
    """Return the facts that rules look at for all models of a bundle: counts summed, tensors named as the
    artifact names them.

    ``models`` are the facts of each by its name; that of the empty name has tensors whose names begin with no
    model's.
    """
    joined: dict[str, Fact] = {}
    for key in _COUNTED:
        counts: Counter[str] = Counter()
        for facts in models.values():
            found = facts.get(key)
            counts.update(
                {name: count for name, count in found.items() if isinstance(count, int)}
                if isinstance(found, Mapping)
                else {}
            )
        if counts:
            joined[key] = dict(sorted(counts.items()))
    uses: dict[str, Fact] = {}
    for model, facts in models.items():
        found = facts.get("tensor_uses")
        uses |= (
            {_within(model, name): operators for name, operators in found.items()}
            if isinstance(found, Mapping)
            else {}
        )
    if uses:
        joined["tensor_uses"] = uses
    for key, fields in _NAMING.items():
        entries = [
            _renamed(entry, model, fields)
            for model, facts in models.items()
            for entry in _entries(facts.get(key))
        ]
        if entries:
            joined[key] = tuple(entries[:NAMED])
    return joined


def _entries(fact: Fact | None) -> list[Mapping[str, Fact]]:
    return [entry for entry in fact if isinstance(entry, Mapping)] if isinstance(fact, tuple | list) else []


def _renamed(entry: Mapping[str, Fact], model: str, fields: tuple[str, ...]) -> dict[str, Fact]:
    return {
        key: _within(model, value) if key in fields and isinstance(value, str) else value
        for key, value in entry.items()
    }


def _within(model: str, name: str) -> str:
    return f"{model}:{name}" if model else name
