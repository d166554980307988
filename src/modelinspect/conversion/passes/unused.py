"""Leave out operators that nothing needs: what nothing takes, and a softmax before an index."""

from __future__ import annotations

from collections.abc import Set

from modelinspect.conversion.network import Network, Op
from modelinspect.conversion.operators import ARG_MAX, SHAPE, SOFTMAX


def drop_unused(network: Network) -> None:
    """Drop shapes that no operator takes, and softmaxes of which only the index of the largest is taken
    (optimize_patterns.td): they do not change it.
    """
    makers = {id(op.output): op for op in network.ops}
    users = network.users()
    given_out = {id(value) for _, value in network.outputs}
    gone = set()
    for op in network.ops:
        maker = makers.get(id(op.inputs[0])) if op.code == ARG_MAX else None
        if maker is None or maker.code != SOFTMAX or id(maker.output) in given_out:
            continue
        if len(users[id(maker.output)]) == 1:
            op.inputs[0] = maker.inputs[0]
            gone.add(id(maker))
    gone |= {
        id(op)
        for op in network.ops
        if op.code == SHAPE and id(op.output) not in users and id(op.output) not in given_out
    }
    network.ops = [op for op in network.ops if id(op) not in gone]


def drop_dead(network: Network, gone: Set[int] = frozenset()) -> None:
    """Drop operators that are ``gone``, and those that nothing takes then: MLIR's rewriting erases these.

    What keeps a state, or runs other networks, stays, and so does all of a network with guesses, whose parts
    may not be connected.
    """
    if network.is_rough:
        network.ops = [op for op in network.ops if id(op) not in gone]
        return
    needed = {id(value) for _, value in network.outputs}
    kept: list[Op] = []
    for op in reversed(network.ops):
        if id(op) in gone:
            continue
        has_effects = op.networks or any(value is not None and value.is_variable for value in op.inputs)
        if has_effects or any(id(value) in needed for value in op.outputs):
            kept.append(op)
            needed |= {id(value) for value in op.inputs}
    network.ops = kept[::-1]
