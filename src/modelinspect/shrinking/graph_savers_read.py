"""Read which variable of a graph each key of a checkpoint is saved from and restored to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelinspect.shrinking.graph_savers import CALLS, NAMES, RESTORE, SAVE, TENSORS, node_of, variable_of


def saved_variables(graph: Any) -> dict[tuple[str, bytes], str]:
    """Return the variable of the main graph that each key is saved from and restored to, by operator and key.

    This reads a graph in another way than it is changed: from what a call is given, into the function.
    """
    functions = {each.signature.name: each for each in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    found: dict[tuple[str, bytes], str] = {}
    for call in graph.node:
        function = functions.get(call.attr["f"].func.name) if call.op in CALLS else None
        savers = [node for node in function.node_def if node.op in (SAVE, RESTORE)] if function else []
        for saver in savers:
            found |= _pairs(function, saver, [variable_of(nodes, one) for one in call.input])
    return found


def _pairs(function: Any, saver: Any, variables: Sequence[str]) -> dict[tuple[str, bytes], str]:
    """Return the variables of one operator by its name and key."""
    inner = {node.name: node for node in function.node_def}
    place = {each.name: index for index, each in enumerate(function.signature.input_arg)}
    tensor = inner[node_of(saver.input[NAMES])].attr["value"].tensor
    keys = list(tensor.string_val)
    found: dict[tuple[str, bytes], str] = {}
    if saver.op == SAVE:
        for key, one in zip(keys, saver.input[TENSORS:], strict=False):
            name = variable_of(inner, one)
            found[SAVE, key] = variables[place[name]] if name in place else f"constant {name}"
        return found
    origin: dict[str, int] = {}
    for node in function.node_def:
        for one in node.input[:1] if node.op == "Identity" else node.input[1:2]:
            if node_of(one) == saver.name:
                origin[node.name] = int(one.rpartition(":")[2])
    for node in function.node_def:
        if node.op == "AssignVariableOp":
            source = node_of(node.input[1])
            number = origin.get(node.name, origin.get(source))
            if number is not None:
                found[RESTORE, keys[number]] = variables[place[node_of(node.input[0])]]
    return found
