"""Put a network's operators and constants in the order in which TensorFlow's importer has a graph's nodes.

The importer writes nodes in the reverse of the order in which a depth-first search leaves them
(GetReversePostOrder in tensorflow/core/graph/algorithm.cc): it begins at what takes nothing, and visits the
largest name first. Variables are arguments of the function, named after what reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from modelinspect.conversion.network import Network, Op, Value
from modelinspect.conversion.operators import CONCATENATION, GATHER, SEQUENCE_LSTM, SPLIT
from modelinspect.core.records import dataclass, field

_READ = re.compile(r"ReadVariableOp(_\d+)?$")
_COMPUTED = re.compile(r"/(strided_slice|floordiv|Prod|Cast|mul|sub|add|Rsqrt|zeros|Pack)(_\d+)?$")
"""How the nodes end that the converter computes away when all they take is constant."""
_NORMALIZATION = "/batchnorm/"
_SQUEEZED, _RESHAPED = "/Squeeze", "/Reshape"
_AXES = {CONCATENATION: "axis", GATHER: "axis", SPLIT: "split_dim"}
"""How the constants end that are an operator's axis."""
_FLATTENED, _FREE, _ORDER = "/Tensordot/Reshape", "/Tensordot/free", "/Tensordot/concat"
"""How nodes of a product over several axes end."""
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
    return list(_Graph(network).order())


@dataclass(slots=True)
class _Graph:
    """The nodes of a network's graph, by identity: ``nodes`` are operators that became of one node, or a
    constant, ``names`` what each is called.
    """

    network: Network
    names: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, list[Op | Value]] = field(default_factory=dict)
    users: dict[int, list[int]] = field(default_factory=dict)

    def order(self) -> Iterator[Op | Value]:
        """Yield what nodes became, in order."""
        self.names.update((id(value), name) for name, value in self.network.inputs)
        makers, first = self._nodes(), set()
        has_lstm = any(op.code == SEQUENCE_LSTM for op in self.network.ops)
        for op in self.network.ops:
            node = makers[id(op.output)]
            for value in op.inputs:
                if value is None:
                    continue
                maker = makers.get(id(value))
                if maker is None and id(value) not in self.names:
                    # what lost its name is beside its user; around a fused LSTM it is with the function
                    beside = f"{self.names[node]}/" if value.kind and not has_lstm else ""
                    self.names[id(value)] = _source(value) or beside
                if maker is None and value.constant is not None:
                    self.nodes[id(value)] = [value]
                if maker != node:
                    self.users.setdefault(id(value) if maker is None else maker, []).append(node)
                    first.add(node)
            if op.code in _AXES and op.output.location:  # a constant that became an option
                self.names[axis := -len(self.names) - 1] = f"{op.output.location[0]}/{_AXES[op.code]}"
                self.users[axis] = [node]
        for value in self.network.ghosts:
            if value.location and id(value) not in self.names:
                self.names[id(value)], self.nodes[id(value)] = _source(value), [value]
        made = set(makers.values())
        roots = sorted((one for one in self.names if one not in made), key=self.names.__getitem__)
        roots += [node for node in dict.fromkeys(makers.values()) if node not in first]
        self._add_axes_of_products()
        for one in reversed(self._post_order(roots)):
            yield from self.nodes.get(one, ())

    def _add_axes_of_products(self) -> None:
        """Add the order of axes in which a product over several takes them: what is computed of its free axes
        is taken back before the graph is converted, but the search goes through it.
        """
        found = {name: one for one, name in self.names.items()}
        for name, node in list(found.items()):
            free = found.get(f"{name.removesuffix(_FLATTENED)}{_FREE}") if name.endswith(_FLATTENED) else None
            if free is not None:
                self.names[order := -len(self.names) - 1] = f"{name.removesuffix(_FLATTENED)}{_ORDER}"
                self.users.setdefault(free, []).append(order)
                self.users[order] = [node]

    def _nodes(self) -> dict[int, int]:
        """Return the node that makes each value: operators one after the other that are called the same are
        of one.
        """
        makers: dict[int, int] = {}
        node, last = 0, None
        for op in self.network.ops:
            name = op.output.location[0] if op.output.location else ""
            if not name or name != last:
                node = id(op)
                self.names[node], self.nodes[node] = name, []
            self.nodes[node].append(op)
            makers.update((id(value), node) for value in op.outputs)
            last = name
        return makers

    def _post_order(self, roots: Iterable[int]) -> list[int]:
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
                after = sorted(dict.fromkeys(self.users.get(one, ())), key=self.names.__getitem__)
                pending += [(user, False) for user in after if user not in seen]
        return order


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
