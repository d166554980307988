"""Words what rules about operators find: one finding for each operator, with the nodes that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modelinspect.rules.base import plural
from modelinspect.rules.unsafe.base import Located, Subject
from modelinspect.rules.unsafe.graphs import FLEX, Node
from modelinspect.rules.unsafe.operator_table import OPERATORS, Risk

_NAMED = 3


def risk_of(node: Node) -> Risk | None:
    """Return what a node's operator can do, None where the table does not list it."""
    known = OPERATORS.get(table_name(node))
    return None if known is None else known[0]


def table_name(node: Node) -> str:
    """Return the name that TensorFlow has for a node's operator: a Flex operator is one of TensorFlow's."""
    return node.op.removeprefix(FLEX) if node.is_lite and node.op.startswith(FLEX) else node.op


def by_operator(subject: Subject, wanted: Callable[[Node], bool], remedy: str, reason: str = "") -> Iterator[Located]:
    """Yield a finding for each operator whose nodes are wanted; the table's reason goes before ``reason``."""
    groups: dict[str, list[Node]] = {}
    for node in subject.nodes:
        if wanted(node):
            groups.setdefault(node.op, []).append(node)
    for op, nodes in sorted(groups.items()):
        first = min(nodes, key=lambda node: (node.place.member, node.place.offset or 0))
        why = OPERATORS.get(table_name(first), (None, reason))[1]
        size = sum(node.place.size or 0 for node in nodes)
        yield Located(f"{op} {why}: {_where(nodes)}", size, remedy, first.place)


def of_risk(risk: Risk, remedy: str) -> Callable[[Subject], Iterator[Located]]:
    """Return a rule's search for operators of one risk."""

    def find(subject: Subject) -> Iterator[Located]:
        yield from by_operator(subject, lambda node: risk_of(node) is risk, remedy)

    return find


def _where(nodes: list[Node]) -> str:
    if nodes[0].is_lite:
        return "a custom operator of the model"
    named = [f"{node.name}{f' in function {node.function}' if node.function else ''}" for node in nodes if node.name]
    if not named:
        return "in the graph's records"
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return f"{plural(len(nodes), 'node')}: {', '.join(named[:_NAMED])}{more}"
