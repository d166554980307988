"""Check that the numbers by which parts of a TFLite model name each other name parts that are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelinspect.conversion.tree import Node
from modelinspect.measure.blocks import UnmeasurableError

_ABSENT = -1
"""The number of an optional input that is left out."""


def check_references(root: Node) -> None:
    """Raise `UnmeasurableError` where a tree that was read from a file names something that is not there."""
    for what, number, count in _references(root):
        if not 0 <= number < count:
            raise UnmeasurableError(f"its {what} {number} is not there: it has {count:,}")


def _references(root: Node) -> Iterator[tuple[str, int, int]]:
    """Yield what is named, by which number, and how many there are."""
    codes, buffers = len(root.lists.get("operator_codes", [])), len(root.lists.get("buffers", []))
    graphs = root.lists.get("subgraphs", [])
    for graph in graphs:
        count = len(graph.lists.get("tensors", []))
        for operation in graph.lists.get("operators", []):
            yield "operator code", operation.number("opcode_index"), codes
            for index in (*_listed(operation, "inputs"), *_listed(operation, "intermediates")):
                if index != _ABSENT:
                    yield "tensor", index, count
            for index in _listed(operation, "outputs"):
                yield "tensor", index, count
        for index in (*_listed(graph, "inputs"), *_listed(graph, "outputs")):
            yield "tensor", index, count
        for tensor in graph.lists.get("tensors", []):
            yield "buffer", tensor.number("buffer"), buffers
    for entry in root.lists.get("metadata", []):
        yield "buffer", entry.number("buffer"), buffers
    for signature in root.lists.get("signature_defs", []):
        index = signature.number("subgraph_index")
        yield "subgraph", index, len(graphs)
        count = len(graphs[index].lists.get("tensors", [])) if 0 <= index < len(graphs) else 0
        for each in (*signature.lists.get("inputs", []), *signature.lists.get("outputs", [])):
            yield "tensor", each.number("tensor_index"), count


def _listed(node: Node, name: str) -> Sequence[int]:
    """Return the numbers of a vector. Raises `UnmeasurableError` where it is too long to be read."""
    vector = node.vector(name)
    if len(vector.values) != vector.count:
        raise UnmeasurableError(f"the {name} of an operator or subgraph are {vector.count:,}")
    return vector.values
