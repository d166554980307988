"""Put a network's operators and constants in the order in which TensorFlow's importer has a graph's nodes.

The importer writes nodes in the reverse of the order in which a depth-first search leaves them
(GetReversePostOrder in tensorflow/core/graph/algorithm.cc): it begins at what takes nothing, and visits the
largest name first. Variables are arguments of the function, named after what reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from modelinspect.conversion.network import Network, Op, Value
from modelinspect.conversion.operators import SEQUENCE_LSTM

_READ = re.compile(r"ReadVariableOp(_\d+)?$")
_COMPUTED = re.compile(r"/(strided_slice|Prod|Cast|mul|sub|add|Rsqrt|zeros|Pack)(_\d+)?$")
"""How the nodes end that the converter computes away when all they take is constant."""
_NORMALIZATION = "/batchnorm/"
_SQUEEZED, _RESHAPED = "/Squeeze", "/Reshape"
_LAST = "~"
"""Larger than what names have: what a node takes is named after it."""


class Origin(StrEnum):
    """What a constant is in the graph: one that is written there, or computed of such, a variable that is
    read, or one that is computed of variables.
    """

    WRITTEN, COMPUTED, READ, FOLDED = "written", "computed", "read", "folded"


def origin_of(value: Value) -> Origin:
    """Return what a constant is in the graph, by its location."""
    name = value.location[-1] if value.location else ""
    held = value.constant
    if _READ.search(name) or (held is not None and (held.kernel is not None or held.owner is not None)):
        return Origin.READ
    if _COMPUTED.search(name):
        return Origin.FOLDED if _NORMALIZATION in name else Origin.COMPUTED
    return Origin.WRITTEN


def argument(name: str) -> str:
    """Return the name by which the importer orders a node without inputs: for what is read, that of the
    function's argument.
    """
    return f"{name.lower().replace('/', '_')}_resource" if _READ.search(name) else name


def in_imported_order(network: Network) -> list[Op | Value]:
    """Return the operators and the constants that they take, also those that are computed away, in the order
    of the importer.
    """
    has_lstm = any(op.code == SEQUENCE_LSTM for op in network.ops)
    names: dict[int, str] = {id(value): name for name, value in network.inputs}
    things: dict[int, Op | Value] = {}
    users: dict[int, list[int]] = {}
    makers = {id(value): op for op in network.ops for value in op.outputs}
    for op in network.ops:
        things[id(op)] = op
        names[id(op)] = op.output.location[0] if op.output.location else ""
        for value in op.inputs:
            if value is None:
                continue
            maker = makers.get(id(value))
            if maker is None and id(value) not in names:
                # what lost its name is beside its user; around a fused LSTM it comes with the fused function
                beside = f"{names[id(op)]}/" if value.kind and not has_lstm else ""
                names[id(value)] = _source(value) or beside
            if maker is None and value.constant is not None:
                things[id(value)] = value
            users.setdefault(id(value) if maker is None else id(maker), []).append(id(op))
    for value in network.ghosts:
        if value.location and id(value) not in names:
            names[id(value)], things[id(value)] = _source(value), value
    made = {id(op) for op in network.ops}
    roots = sorted((one for one in names if one not in made), key=names.__getitem__)
    roots += [id(op) for op in network.ops if not any(value is not None for value in op.inputs)]
    return [things[one] for one in reversed(_post_order(roots, users, names)) if one in things]


def _source(value: Value) -> str:
    """Return the name by which the importer orders what a constant comes from."""
    if not value.location:
        return ""
    name, origin = value.location[-1], origin_of(value)
    if origin is Origin.COMPUTED:
        return f"{name}/{_LAST}"
    if origin is Origin.WRITTEN or _READ.search(name):
        return argument(name)
    if name.endswith(_SQUEEZED):  # a bias of Keras 3 gets its shape again
        name = f"{name.removesuffix(_SQUEEZED)}{_RESHAPED}"
    return argument(f"{name}/ReadVariableOp")


def _post_order(roots: Iterable[int], users: Mapping[int, list[int]], names: Mapping[int, str]) -> list[int]:
    order: list[int] = []
    seen: set[int] = set()
    pending = [(one, False) for one in roots]
    while pending:
        one, is_left = pending.pop()
        if is_left:
            order.append(one)
        elif one not in seen:
            seen.add(one)
            pending.append((one, True))
            after = sorted(dict.fromkeys(users.get(one, ())), key=names.__getitem__)
            pending += [(user, False) for user in after if user not in seen]
    return order
