"""Make operators of graph nodes: constants are folded, equal nodes are one, the rest goes through tables.

Both ways to a network use it: the graph of a SavedModel, and the nodes that Keras layers write.
"""

from __future__ import annotations

from collections import Counter
from math import prod

from modelinspect.conversion.graph.constants import folded
from modelinspect.conversion.graph.node import Budget, Held, Item, Key, Node, UnknownNodeError
from modelinspect.conversion.graph.patterns import Found
from modelinspect.conversion.graph.reader import Step
from modelinspect.conversion.graph.rules import RULES
from modelinspect.conversion.network import MARK, Network, Op, Value
from modelinspect.conversion.operators import FLOAT32, INT32
from modelinspect.core.records import dataclass, field
from modelinspect.measure.blocks import Reading

_SHARED = 64
"""Constants of more elements are not looked at for others that equal them."""
NOTHING = (MARK,)
"""What a constant that several operators share is called within the name of something fused."""


@dataclass(slots=True)
class Lowering:
    """A network that nodes become part of.

    ``gone`` are constants that are computed away, ``makers`` the operators by what they make, ``same`` what
    nodes made by what they have in common with equal ones, ``written`` the constants of the graph itself,
    ``operations`` the kinds of nodes; "" is for operators that no rule of a node made.
    """

    network: Network
    reading: Reading
    gone: dict[Key, set[int]] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    makers: dict[int, Op] = field(default_factory=dict)
    same: dict[tuple[object, ...], tuple[Value, list[Item]]] = field(default_factory=dict)
    written: list[Held] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)

    def node(self, step: Step, inputs: list[Item]) -> Node:
        """Return a node with what it takes."""
        is_read = step.op != "FusedBatchNormV3" or not any(
            isinstance(item, Held) and item.is_written for item in inputs[1:3]
        )
        self.operations.add(step.op if is_read else "")
        return Node(
            self.network, self.reading, step, inputs, self.gone, self.budget, self.makers, self.written
        )

    def lower(self, step: Step, inputs: list[Item]) -> Item:
        """Return what a node makes, after adding its operators. Raises `UnknownNodeError`."""
        node = self.node(step, inputs)
        made = folded(node)
        if made is not None:
            return made
        rule = RULES.get(step.op)
        if rule is None:
            raise UnknownNodeError("no rule")
        key = self._key(step, inputs)
        if key in self.same:
            return self._shared(*self.same[key], inputs)
        item = rule(node)
        if isinstance(item, Value):
            self.same[key] = item, inputs
        told = node.told_shape()
        if told is not None and not _fit(told, item.shape):
            raise UnknownNodeError(f"makes {list(told)} and not {list(item.shape)}")
        return item

    def whole(self, found: Found, step: Step, inputs: list[Item]) -> Value:
        """Return what nodes make that the converter knows as one operator."""
        self.operations.add("")
        return found.lowered(self.node(step, inputs))

    def _shared(self, made: Value, first: list[Item], second: list[Item]) -> Value:
        """Return what an equal node made; whole numbers of both are one constant without a name."""
        for one, other in zip(first, second, strict=True):
            taken = one.taken if isinstance(one, Held) and one.kind == INT32 else None
            if taken is not None and isinstance(other, Held) and taken.location != other.location:
                taken.location = ()
        return made

    def add_written(self, value: Value) -> None:
        """Add a constant of the graph that an operator takes as it is."""
        elements = None if value.constant is None else value.constant.values
        held = Held(value.shape, value.kind, value.location, None, elements, is_written=True, taken=value)
        self.written.append(held)

    def forget_shared(self) -> None:
        """Take their location from constants of the graph that equal others: to the converter they are
        one.
        """
        taken = [item for item in self.written if item.taken is not None]
        keys = [item.key(self.reading) if prod(item.shape) <= _SHARED else () for item in taken]
        counts = Counter(keys)
        for item, key in zip(taken, keys, strict=True):
            if item.taken is None or not key:
                continue
            if item.kind == FLOAT32 and (counts[key] > 1 or self.gone.get(key, set()) - {id(item)}):
                item.taken.location = NOTHING
            elif item.kind != FLOAT32:
                gone = self.gone.get(key, set())
                if gone - {id(item)} or (id(item) in gone and counts[key] > 1):
                    item.taken.location = ()
        for value, constant, location in self.network.named:
            if constant.location != location:
                value.location = tuple("" if name in location else name for name in value.location)

    def _key(self, step: Step, inputs: list[Item]) -> tuple[object, ...]:
        """Return what two steps have in common that are one to the converter, which computes nothing
        twice.
        """
        taken: list[object] = []
        for item in inputs:
            if isinstance(item, Held) and item.tensor is not None:
                taken.append((id(item.tensor), item.shape))
            else:
                taken.append(
                    item.key(self.reading)
                    if isinstance(item, Held) and prod(item.shape) <= _SHARED
                    else id(item)
                )
        names = sorted(name for name in step.attributes if not name.startswith("_"))
        return (
            step.op,
            tuple(taken),
            tuple((name, step.attributes[name].SerializeToString(deterministic=True)) for name in names),
        )


def unmark(network: Network) -> None:
    """Take the numbers of calls out of locations."""
    for op in network.ops:
        for value in (*op.inputs, *op.outputs):
            if value is not None:
                value.location = tuple(dict.fromkeys(name.partition(MARK)[0] for name in value.location))


def _fit(told: tuple[int, ...], made: tuple[int, ...]) -> bool:
    return len(told) == len(made) and all(a == b or -1 in (a, b) for a, b in zip(told, made, strict=True))
