"""Read the graph of the objects that hold variables, as TensorFlow saves it: nodes, edges, slots."""

from __future__ import annotations

from typing import Any

from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role
from modelinspect.encodings.protobuf import parse_message


@dataclass(frozen=True, slots=True)
class Saved:
    """A tensor that an object saves: the attribute's name, the variable's own name and the key in the
    checkpoint.
    """

    attribute: str
    full_name: str
    key: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable that an optimizer keeps for another one, by node ids."""

    original: int
    name: str
    variable: int


@dataclass(frozen=True, slots=True)
class Node:
    """An object: its attributes that are objects, the tensors it saves, and the slots it keeps.

    ``kind`` is a SavedObject's.
    """

    children: tuple[tuple[str, int], ...] = ()
    saved: tuple[Saved, ...] = ()
    slots: tuple[Slot, ...] = ()
    kind: str = ""

    @property
    def edges(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(name for name, _ in self.children)

    def child(self, name: str) -> int | None:
        """Return the object of an attribute."""
        return next((node for edge, node in self.children if edge == name), None)


@dataclass(frozen=True, slots=True)
class Use:
    """What a tensor is for.

    ``purpose`` says it in a word: ``weight``, ``statistic``, a slot's name, ``average``, ``mask``, ``hash
    table``, ``counter``… ``of`` is the key of the variable that a slot, an average or a mask belongs to,
    where that is known; ``name`` is the variable's own name (``dense/kernel``), which its key does not say;
    ``given`` is what people called it: that name without the model's, or for a slot its optimizer's class,
    its purpose and the variable's (``Adam/m/dense/kernel``).
    """

    role: Role
    purpose: str
    layer: str | None = None
    of: str | None = None
    name: str | None = None
    given: str | None = None


def read_trackable(data: bytes, member: str = "") -> tuple[Node, ...]:
    """Read a TrackableObjectGraph. Raises `FormatError`."""
    graph: Any = parse_message("TrackableObjectGraph", data, member)
    count = len(graph.nodes)
    nodes: list[Node] = []
    for node in graph.nodes:
        children = tuple(
            (child.local_name, child.node_id) for child in node.children if 0 <= child.node_id < count
        )
        slots = tuple(
            Slot(slot.original_variable_node_id, slot.slot_name, slot.slot_variable_node_id)
            for slot in node.slot_variables
            if 0 <= slot.original_variable_node_id < count and 0 <= slot.slot_variable_node_id < count
        )
        attributes = getattr(node, "attributes", ())
        saved = tuple(Saved(one.name, one.full_name, one.checkpoint_key) for one in attributes)
        user = getattr(node, "user_object", None)
        nodes.append(Node(children, saved, slots, user.identifier if user is not None else ""))
    return tuple(nodes)
